/**
 * Cells over sequences: a cell, times a way to go along.
 */
import * as tf from '@tensorflow/tfjs';
import { parameterLength, type AnyLayer, type Layer } from '../core/layer.js';
import { flag, oneOf, parseOptions, probability, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import type { Key } from '../core/random.js';
import { isTensor, type StateTree, type Tensor, type Tree } from '../core/tree.js';
import { scan } from '../graph/scan.js';
import { functionName } from '../functional/function-name.js';
import { checkFields, checkInput, checkTuple, describeValue, fail, formatShape } from './check.js';
import { defineContainer, initialiseAll, isLayer, withChildren, type Children } from './container.js';
import { dropout as dropoutLayer } from './dropout.js';
import type { CellInput, RecurrentCell, SplitCell } from './recurrent.js';
import { tidy } from './tidy.js';

/** Which axis of the input is time: 1 in `[batch, time, features]`, 0 in `[time, batch, features]`. */
export type TimeAxis = 0 | 1;

export interface RecurrenceOptions {
  /** Return the outputs of all steps, time on the axis it came on; otherwise the last one. Default false. */
  readonly returnSequence?: boolean;
  /** The axis of time. Default 1: `[batch, time, features]`. */
  readonly timeAxis?: TimeAxis;
  /** From the end of the sequence to its beginning; "last" is then the beginning. Default false. */
  readonly reverse?: boolean;
  /** Return `[y, carry]` with the last carry, for a decoder to begin with. Default false. */
  readonly returnCarry?: boolean;
}

const timeAxisOption = z.custom<TimeAxis>((x) => x === 0 || x === 1, { error: '0 or 1' });
const OPTIONS = z.strictObject({
  returnSequence: flag.default(false),
  timeAxis: timeAxisOption.default(1),
  reverse: flag.default(false),
  returnCarry: flag.default(false),
});

/** Batch and time exchanged. */
const exchanged = (x: Tensor): Tensor =>
  tf.transpose(x, x.shape.map((_, i) => (i === 0 ? 1 : i === 1 ? 0 : i))); // prettier-ignore

type AnyCell = RecurrentCell<StateTree, Tree, StateTree>;
type AnySplitCell = SplitCell<readonly Tensor[], Tree, StateTree>;

const isSplit = (cell: AnyLayer): boolean => typeof (cell as Partial<AnySplitCell>).project === 'function';

interface Passed {
  readonly last: Tensor;
  readonly carry: StateTree;
  readonly all: Tensor | null;
  readonly st: StateTree;
}

interface Going {
  readonly keepAll: boolean;
  readonly reverse: boolean;
}

/** A cell whose input product does not wait for the step before: one product for the whole sequence. */
function alongSplit(
  cell: AnySplitCell,
  x: Tensor,
  given: StateTree | undefined,
  ps: Tree,
  st: StateTree,
  { keepAll, reverse }: Going,
): Passed {
  cell.check(ps, st);
  const projected = cell.project(x, ps);
  const [first, after] =
    given === undefined ? cell.start(projected.shape[1] as number, ps, st) : [given as readonly Tensor[], st];
  const [carry, all] = scan(
    (c: readonly Tensor[], gates: Tensor) => {
      const next = cell.step(gates, c, ps);
      return [next, keepAll ? next[0] : null] as const;
    },
    first,
    projected,
    { reverse },
  );
  return { last: carry[0], carry, all, st: after };
}

/** Any cell. It makes its first carry itself, so that its first step comes before the loop. */
function alongAny(
  cell: AnyCell,
  x: Tensor,
  given: StateTree | undefined,
  ps: Tree,
  st: StateTree,
  { keepAll, reverse }: Going,
): Passed {
  const steps = x.shape[0];
  const begin = reverse ? steps - 1 : 0;
  const head = tf.squeeze(tf.slice(x, begin, 1), [0]);
  const [[y, carry], after] = cell.apply(given === undefined ? head : [head, given], ps, st);
  if (steps === 1) return { last: y, carry, all: keepAll ? tf.expandDims(y) : null, st: after };
  const [end, rest] = scan(
    (c: { y: Tensor; carry: StateTree; st: StateTree }, row: Tensor) => {
      const [[out, next], state] = cell.apply([row, c.carry], ps, c.st);
      return [{ y: out, carry: next, st: state }, keepAll ? out : null] as const;
    },
    { y, carry, st: after },
    tf.slice(x, reverse ? 0 : 1, steps - 1),
    { reverse },
  );
  const first = tf.expandDims(y);
  const all = rest === null ? null : tf.concat(reverse ? [rest, first] : [first, rest]);
  return { last: end.y, carry: end.carry, all, st: end.st };
}

/**
 * A cell over a whole sequence.
 *
 * The input is `[batch, time, ...features]` (`timeAxis` 1), `[time, batch, ...features]` (0), or `[time, features]` for one
 * sequence alone; or `[x, carry]`, to go on from a carry. The output is the last output, or with `returnSequence` all of
 * them. Parameters and states are the cell's. In a traced function the loop's body is traced once ({@link scan}); the
 * products of the inputs of {@link rnnCell}, {@link lstmCell} and {@link gruCell} are one product before it.
 *
 * @param cell {@link rnnCell}, {@link lstmCell}, {@link gruCell}, or any layer from `x` or `[x, carry]` to `[y, carry]`.
 * @throws TypeError or OptionError for bad arguments; `apply` throws a LayerError for an input that does not fit.
 *
 * @example
 * const model = chain(recurrence(lstmCell(3, 16)), dense(16, 1)); // [batch, time, 3] to [batch, 1]
 */
export function recurrence<C extends StateTree, P extends Tree, S extends StateTree>(
  cell: RecurrentCell<C, P, S>,
  options: RecurrenceOptions & { readonly returnCarry: true },
): Layer<CellInput<C>, [Tensor, C], P, S>;
export function recurrence<C extends StateTree, P extends Tree, S extends StateTree>(
  cell: RecurrentCell<C, P, S>,
  options?: RecurrenceOptions & { readonly returnCarry?: false },
): Layer<CellInput<C>, Tensor, P, S>;
export function recurrence(cell: AnyCell, options?: RecurrenceOptions): AnyLayer {
  checkCell(cell, 'recurrence', 'the first argument');
  const { returnSequence, timeAxis, reverse, returnCarry } = parseOptions(OPTIONS, options, 'recurrence');
  const words = [
    ...(returnSequence ? ['returnSequence=true'] : []),
    ...(timeAxis === 1 ? [] : ['timeAxis=0']),
    ...(reverse ? ['reverse=true'] : []),
    ...(returnCarry ? ['returnCarry=true'] : []),
  ];
  const summary = words.join(', ');
  const title = `Recurrence(${summary})`;
  return defineLayer({
    display: Object.freeze({ name: 'Recurrence', ...(words.length === 0 ? {} : { summary }), children: { '': cell } }),
    countParameters: () => parameterLength(cell),
    initialParameters: (key: Key) => cell.initialParameters(key),
    initialStates: (key: Key) => cell.initialStates(key),
    apply: (input: unknown, ps: Tree, st: StateTree): [unknown, StateTree] => {
      if (!isTensor(input)) checkTuple(title, input, 2);
      const [x, given] = isTensor(input) ? [input, undefined] : (input as readonly [Tensor, StateTree]);
      checkInput(title, x, { rank: [2, Infinity], dtype: null });
      const single = x.rank === 2;
      const axis = single ? 0 : timeAxis;
      if (x.shape[axis] === 0)
        fail(title, `expected a step or more on axis ${axis}, got shape ${formatShape(x.shape)}`);
      return tidy((): [unknown, StateTree] => {
        const rows = single ? tf.expandDims(x, 1) : timeAxis === 1 ? exchanged(x) : x;
        const going = { keepAll: returnSequence, reverse };
        const passed = isSplit(cell)
          ? alongSplit(cell as unknown as AnySplitCell, rows, batched(given, single), ps, st, going)
          : alongAny(cell, rows, batched(given, single), ps, st, going);
        const alone = (t: Tensor, batchAxis: number): Tensor => (single ? tf.squeeze(t, [batchAxis]) : t);
        const { last, all, carry } = passed;
        const y = all === null ? alone(last, 0) : single ? alone(all, 1) : timeAxis === 1 ? exchanged(all) : all;
        return [returnCarry ? [y, single ? mapTensors(carry, (t) => tf.squeeze(t, [0])) : carry] : y, passed.st];
      });
    },
  });
}

const mapTensors = (tree: unknown, f: (t: Tensor) => Tensor): StateTree =>
  (Array.isArray(tree) ? tree.map((t) => mapTensors(t, f)) : isTensor(tree) ? f(tree) : tree) as StateTree;

/** The carry of one sequence alone, as that of a batch of one. */
const batched = (carry: StateTree | undefined, single: boolean): StateTree | undefined =>
  carry === undefined || !single ? carry : mapTensors(carry, (t) => tf.expandDims(t));

function checkCell(cell: unknown, where: string, what: string): void {
  if (!isLayer(cell)) throw new TypeError(`${where}: ${what} must be a recurrent cell, got ${describeValue(cell)}`);
}

/**
 * A cell that keeps its carry in its state, `{ cell, carry }`: call it step by step. `updateState(st, 'carry', null)` begins
 * a new sequence. Parameters: `{ cell }`.
 */
export function statefulRecurrentCell<C extends StateTree, P extends Tree, S extends StateTree>(
  cell: RecurrentCell<C, P, S>,
): Layer<Tensor, Tensor, { cell: P }, { cell: S; carry: C | null }> {
  checkCell(cell, 'statefulRecurrentCell', 'the first argument');
  const children: Children = { cell };
  return defineLayer({
    display: Object.freeze({ name: 'StatefulRecurrentCell', children }),
    countParameters: () => parameterLength(cell),
    initialParameters: (key: Key) => initialiseAll(children, key, 'initialParameters') as unknown as { cell: P },
    initialStates: (key: Key) => ({
      ...(initialiseAll(children, key, 'initialStates') as unknown as { cell: S }),
      carry: null as C | null,
    }),
    apply: (x: Tensor, ps: { cell: P }, st: { cell: S; carry: C | null }): [Tensor, { cell: S; carry: C | null }] => {
      checkFields('StatefulRecurrentCell', ps, ['cell'], 'parameters');
      checkFields('StatefulRecurrentCell', st, ['cell', 'carry'], 'states');
      return tidy((): [Tensor, { cell: S; carry: C | null }] => {
        const { carry } = st;
        const [[y, next], states] = withChildren(
          children,
          ps,
          st,
          (call) => call('cell', carry === null ? x : [x, carry]) as [Tensor, C],
        );
        return [y, { cell: (states as unknown as { cell: S }).cell, carry: next }];
      });
    },
  });
}

/** How the outputs of the two directions become one: side by side in the last axis, not at all, or by a function. */
export type MergeMode = 'concat' | null | ((forward: Tensor, backward: Tensor) => Tensor);

export interface BidirectionalOptions {
  /** Default `'concat'`: the features of both directions side by side. */
  readonly mergeMode?: MergeMode;
  /** The outputs of all steps, each direction's at the time it belongs to; otherwise the last of each. Default true. */
  readonly returnSequence?: boolean;
  /** The axis of time. Default 1: `[batch, time, features]`. */
  readonly timeAxis?: TimeAxis;
}

const MERGE = z.strictObject({
  mergeMode: z
    .custom<MergeMode>((x) => x === null || x === 'concat' || typeof x === 'function', {
      error: '"concat", null or a function',
    })
    .optional(),
  returnSequence: flag.default(true),
  timeAxis: timeAxisOption.default(1),
});

/** A cell of any carry. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the carry stays within
type CellOf<P extends Tree, S extends StateTree> = RecurrentCell<any, P, S>;

/** A layer with a field for each direction. */
type Bidirectional<Y, P extends Tree, S extends StateTree, P2 extends Tree, S2 extends StateTree> = Layer<
  Tensor,
  Y,
  { forwardRnn: P; backwardRnn: P2 },
  { forwardRnn: S; backwardRnn: S2 }
>;

/**
 * One cell along the sequence and one against it, each with parameters of its own. Schuster and Paliwal 1997.
 *
 * Parameters and states: `{ forwardRnn, backwardRnn }`.
 *
 * @param cell For the way forward.
 * @param backwardCell For the way back. Default: one like the first.
 */
export function bidirectionalRNN<P extends Tree, S extends StateTree, P2 extends Tree = P, S2 extends StateTree = S>(
  cell: CellOf<P, S>,
  backwardCell: CellOf<P2, S2> | null | undefined,
  options: BidirectionalOptions & { readonly mergeMode: null },
): Bidirectional<[Tensor, Tensor], P, S, P2, S2>;
export function bidirectionalRNN<P extends Tree, S extends StateTree, P2 extends Tree = P, S2 extends StateTree = S>(
  cell: CellOf<P, S>,
  backwardCell?: CellOf<P2, S2> | null,
  options?: BidirectionalOptions & { readonly mergeMode?: Exclude<MergeMode, null> },
): Bidirectional<Tensor, P, S, P2, S2>;
export function bidirectionalRNN(
  cell: AnyLayer,
  backwardCell?: AnyLayer | null,
  options?: BidirectionalOptions,
): AnyLayer {
  const { mergeMode = 'concat', returnSequence, timeAxis } = parseOptions(MERGE, options, 'bidirectionalRNN');
  checkCell(cell, 'bidirectionalRNN', 'the first argument');
  const back: unknown = backwardCell ?? cell;
  checkCell(back, 'bidirectionalRNN', 'the second argument');
  const going = { returnSequence, timeAxis };
  const children = {
    forwardRnn: recurrence(cell as AnyCell, going),
    backwardRnn: recurrence(back as AnyCell, { ...going, reverse: true }),
  };
  const merge: (a: Tensor, b: Tensor) => unknown =
    typeof mergeMode === 'function'
      ? mergeMode
      : mergeMode === null
        ? (a, b) => [a, b]
        : (a, b) => tf.concat([a, b], -1);
  const summary = mergeMode === 'concat' ? undefined : `mergeMode=${mergeMode === null ? 'null' : functionName(mergeMode) || 'function'}`; // prettier-ignore
  return defineContainer({
    name: 'BidirectionalRNN',
    ...(summary === undefined ? {} : { summary }),
    children,
    body: (call, x) => merge(call('forwardRnn', x) as Tensor, call('backwardRnn', x) as Tensor),
  });
}

export interface StackedRnnOptions {
  /** Dropout between the layers, with this probability; none after the last. Default 0. */
  readonly dropout?: number;
  /** Of the last layer: return the outputs of all steps. Default false. */
  readonly returnSequence?: boolean;
  /** The axis of time. Default 1: `[batch, time, features]`. */
  readonly timeAxis?: TimeAxis;
  /** Of layers with two directions: how they meet. Default `'concat'`; `'add'` keeps the number of features. */
  readonly mergeMode?: 'concat' | 'add';
}

const STACKED = z.strictObject({
  dropout: probability.default(0),
  returnSequence: flag.default(false),
  timeAxis: timeAxisOption.default(1),
  mergeMode: oneOf('concat', 'add').default('concat'),
});

/**
 * Recurrent layers one above the other, with dropout between them: what PyTorch's `nn.LSTM(num_layers, dropout,
 * bidirectional)` is.
 *
 * Parameters and states: `{ layer1, layer2, ... }`, in the states also `dropout1`, ... where there is dropout.
 *
 * @param cells The cells from the lowest on; a pair `[forward, backward]` for a layer in both directions, whose output has
 * the features of both.
 *
 * @example
 * stackedRNN([lstmCell(3, 32), lstmCell(32, 32)], { dropout: 0.2 });
 */
export function stackedRNN(
  cells: readonly (AnyLayer | readonly [AnyLayer, AnyLayer])[],
  options?: StackedRnnOptions,
): Layer<Tensor, Tensor, { [name: string]: Tree }, { [name: string]: StateTree }> {
  const given: unknown = cells;
  if (!Array.isArray(given) || given.length === 0) {
    throw new TypeError(`stackedRNN: the first argument must be an array of cells, got ${describeValue(given)}`);
  }
  const { dropout, returnSequence, timeAxis, mergeMode } = parseOptions(STACKED, options, 'stackedRNN');
  const children: Record<string, AnyLayer> = {};
  cells.forEach((cell, i) => {
    const going = { timeAxis, returnSequence: returnSequence || i + 1 < cells.length };
    const pair: readonly unknown[] = Array.isArray(cell) ? cell : [cell];
    if (pair.length > 2) throw new TypeError(`stackedRNN: cell ${i + 1} must be a cell or a pair of cells, got an array of ${pair.length}`); // prettier-ignore
    for (const one of pair) checkCell(one, 'stackedRNN', `cell ${i + 1}`);
    const [forward, backward] = pair as readonly AnyCell[];
    const add = (a: Tensor, b: Tensor): Tensor => tf.add(a, b);
    children[`layer${i + 1}`] =
      pair.length === 1
        ? recurrence(forward, going)
        : bidirectionalRNN(forward, backward, { ...going, mergeMode: mergeMode === 'add' ? add : 'concat' });
    if (dropout > 0 && i + 1 < cells.length) children[`dropout${i + 1}`] = dropoutLayer(dropout);
  });
  const names = Object.keys(children);
  return defineContainer({
    name: 'StackedRNN',
    children,
    body: (call, x) => names.reduce((y, name) => call(name, y), x),
  });
}
