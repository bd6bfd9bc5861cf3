/**
 * Several recurrences as one layer: side by side in both directions, and one above the other.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyLayer, Layer } from '../core/layer.js';
import { flag, oneOf, parseOptions, probability, z } from '../core/options.js';
import type { StateTree, Tensor, Tree } from '../core/tree.js';
import { describe } from '../core/value.js';
import { functionName } from '../functional/function-name.js';
import type { RecurrentCell } from './cell.js';
import { defineContainer } from './container.js';
import { dropout as dropoutLayer } from './dropout.js';
import { checkCell, recurrence, timeAxisOption, type AnyCell, type TimeAxis } from './recurrence.js';

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
    throw new TypeError(`stackedRNN: the first argument must be an array of cells, got ${describe(given)}`);
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
