/**
 * Cells over sequences: a cell, times a way to go along.
 */
import * as tf from '@tensorflow/tfjs-core';
import { parameterLength, type AnyLayer, type Layer } from '../core/layer.js';
import { flag, parseOptions, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import type { Key } from '../core/random.js';
import { isTensor, type StateTree, type Tensor, type Tree } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { scan } from '../graph/scan.js';
import { checkFields, checkInput, checkTuple, fail } from './check.js';
import { initialiseAll, isLayer, withChildren, type Children } from './container.js';
import type { CellInput, RecurrentCell, SplitCell } from './cell.js';
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

export const timeAxisOption = z.custom<TimeAxis>((x) => x === 0 || x === 1, { error: '0 or 1' });
const OPTIONS = z.strictObject({
  returnSequence: flag.default(false),
  timeAxis: timeAxisOption.default(1),
  reverse: flag.default(false),
  returnCarry: flag.default(false),
});

/** Batch and time exchanged. */
const exchanged = (x: Tensor): Tensor =>
  tf.transpose(x, x.shape.map((_, i) => (i === 0 ? 1 : i === 1 ? 0 : i))); // prettier-ignore

/** A cell of any kind, for code that only passes cells on. */
export type AnyCell = RecurrentCell<StateTree, Tree, StateTree>;
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
  const [result, after] = cell.apply(given === undefined ? head : [head, given], ps, st);
  const [y, carry] = checkOutput(cell, result);
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
    ...(returnCarry ? {} : { isCell: false }),
    rebuild: (children: Children): AnyLayer => recurrence(children[''] as AnyCell, options as { returnCarry?: false }),
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
      // Before time comes first, so that a message has the shape as it was given.
      if (isSplit(cell)) (cell as unknown as AnySplitCell).check(ps, st, x);
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

/** @throws TypeError for anything but a layer, and for one that can be no cell. */
export function checkCell(cell: unknown, where: string, what: string): void {
  if (isLayer(cell) && cell.isCell !== false) return;
  const hint = isLayer(cell) ? ', which returns no carry; a cell is a layer from x or [x, carry] to [y, carry]' : '';
  throw new TypeError(`${where}: ${what} must be a recurrent cell, got ${describe(cell)}${hint}`);
}

/** What a cell returned. @throws LayerError for a layer that is none */
function checkOutput(cell: AnyLayer, result: unknown): [Tensor, StateTree] {
  if (Array.isArray(result) && result.length === 2 && isTensor(result[0])) return result as [Tensor, StateTree];
  return fail(cell.display?.name ?? 'Layer', `a recurrent cell must return [y, carry], got ${describe(result)}`);
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
          (call) => checkOutput(cell, call('cell', carry === null ? x : [x, carry])) as [Tensor, C],
        );
        return [y, { cell: (states as unknown as { cell: S }).cell, carry: next }];
      });
    },
  });
}
