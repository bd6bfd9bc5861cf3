/**
 * `scan`: a loop whose body is traced once.
 */
import * as tf from '@tensorflow/tfjs-core';
import { flag, parseOptions, positiveInteger, z } from '../core/options.js';
import { scopeNote } from '../core/scope.js';
import {
  flatten,
  formatPath,
  leavesWithPaths,
  mapLeaves,
  isTensor,
  type StateTree,
  type Tensor,
} from '../core/tree.js';
import { describe } from '../core/value.js';
import { specsOf } from './arguments.js';
import { formatShape, sameShape, type Spec } from './graph.js';
import { Program } from './program.js';
import { replay } from './replay.js';
import { scanPrimitive } from './scan-primitive.js';
import { simplify } from './simplify.js';
import { currentTrace, type Trace, traceGraph } from './trace.js';

export interface ScanOptions {
  /** The number of steps; needed only where there are no sequences to count. */
  readonly length?: number;
  /** From the last row to the first; the results still lie in the order of the rows. Default false. */
  readonly reverse?: boolean;
}

const OPTIONS = z.strictObject({ length: positiveInteger.optional(), reverse: flag.default(false) });

/** A tree in which each tensor is one row of a sequence. */
const rowOf = <X>(xs: X, pick: (leaf: Tensor) => Tensor): X =>
  mapLeaves(xs, (leaf) => (isTensor(leaf) ? pick(leaf) : leaf)) as X;

function lengthOf(xs: unknown, given: number | undefined): number {
  let length = given;
  for (const { leaf, path } of leavesWithPaths(xs)) {
    if (leaf.rank === 0) {
      throw new TypeError(`scan: the sequence at ${formatPath(path)} must have an axis to go along, got a scalar${scopeNote()}`); // prettier-ignore
    }
    const n = leaf.shape[0];
    length ??= n;
    if (n !== length || n === 0) {
      const expected = length === 0 ? '1 row or more' : `${length} row${length === 1 ? '' : 's'}`;
      throw new TypeError(
        `scan: the sequence at ${formatPath(path)} must have ${expected}, got shape ${formatShape(leaf.shape)}${scopeNote()}`,
      );
    }
  }
  if (length === undefined) throw new TypeError(`scan: without sequences the option "length" is needed${scopeNote()}`);
  return length;
}

/** What a step returned, as the pair that it must be. */
function pairOf<C, Y>(returned: readonly [C, Y]): readonly [C, Y] {
  const given: unknown = returned;
  if (Array.isArray(given) && given.length === 2) return returned;
  throw new TypeError(`scan: the step must return [carry, y], got ${describe(given)}${scopeNote()}`);
}

/** The carry that a step returns must be able to enter the next. */
function checkCarry(expected: unknown, given: unknown): void {
  const wanted = leavesWithPaths(expected);
  const got = leavesWithPaths(given);
  const text = ({ dtype, shape }: Spec): string => `${dtype} ${formatShape(shape)}`;
  wanted.forEach(({ leaf, path }, i) => {
    const found = got.find((g) => formatPath(g.path) === formatPath(path));
    if (found !== undefined && got.length === wanted.length && got[i] === found) {
      if (found.leaf.dtype === leaf.dtype && sameShape(found.leaf.shape, leaf.shape)) return;
    }
    throw new TypeError(
      `scan: the step must return a carry like the one it gets: at ${formatPath(path)} expected ${text(leaf)}, got ` +
        `${found === undefined ? 'nothing' : text(found.leaf)}${scopeNote()}`,
    );
  });
  if (got.length > wanted.length) {
    const extra = got.find(({ path }) => !wanted.some((w) => formatPath(w.path) === formatPath(path)));
    const where = extra === undefined ? 'it' : formatPath(extra.path);
    throw new TypeError(
      `scan: the step must return a carry like the one it gets: ${where} is not in the first carry${scopeNote()}`,
    );
  }
}

/**
 * Goes along the first axis of the sequences: `[carry, y] = step(carry, x)` for each row `x`, from the first to the last.
 * Returns the last carry and the `y` of all steps, stacked. (The function of that name in JAX.)
 *
 * Inside a traced function (`compile`, `grad`, a layer within them) the step is traced once and becomes the body of one
 * node, whatever the number of rows; its derivative, of any order, is such a node again, which goes the other way and
 * computes each step anew from its carry: memory grows with the carries, not with what lies within a step. Outside, the
 * loop simply runs.
 *
 * @param step A pure function. It may close over tensors; these get their derivatives, too.
 * @param init The first carry: a tree of tensors. Shapes and dtypes stay from step to step.
 * @param xs Sequences: a tree of tensors with the same first dimension, 1 or more; `{}` with the option `length`.
 * @throws TypeError for sequences of different lengths, for a step that does not return a pair and for a carry that changes its shape.
 *
 * @example
 * // exponential moving average
 * const [last, all] = scan((m: Tensor, x: Tensor) => {
 *   const next = tf.add(tf.mul(m, constant(0.9)), tf.mul(x, constant(0.1)));
 *   return [next, next];
 * }, tf.zeros([3]), xs);
 */
export function scan<C extends StateTree, X, Y>(
  step: (carry: C, x: X) => readonly [C, Y],
  init: C,
  xs: X,
  options?: ScanOptions,
): [C, Y] {
  if (typeof step !== 'function')
    throw new TypeError(`scan: the first argument must be a function, got ${typeof step}`);
  const { length: given, reverse } = parseOptions(OPTIONS, options, 'scan');
  const length = lengthOf(xs, given);
  const trace = currentTrace();
  return trace === undefined
    ? runLoop(step, init, xs, length, reverse)
    : traceLoop(trace, step, init, xs, length, reverse);
}

function runLoop<C, X, Y>(
  step: (carry: C, x: X) => readonly [C, Y],
  init: C,
  xs: X,
  length: number,
  reverse: boolean,
): [C, Y] {
  return tf.tidy(() => {
    const rows = new Map(leavesWithPaths(xs).map(({ leaf }) => [leaf, tf.unstack(leaf)]));
    let carry = init;
    const ys: Y[] = [];
    for (let k = 0; k < length; k++) {
      const t = reverse ? length - 1 - k : k;
      const [next, y] = pairOf(
        step(
          carry,
          rowOf(xs, (leaf) => (rows.get(leaf) as Tensor[])[t]),
        ),
      );
      checkCarry(init, next);
      carry = next;
      ys[t] = y;
    }
    const { leaves, unflatten } = flatten(ys[0]);
    const columns = ys.map((y) => flatten(y).leaves);
    const stacked = unflatten(leaves.map((_, i) => tf.stack(columns.map((column) => column[i]))));
    return [carry, stacked] as unknown as tf.TensorContainer;
  }) as unknown as [C, Y];
}

function traceLoop<C, X, Y>(
  trace: Trace,
  step: (carry: C, x: X) => readonly [C, Y],
  init: C,
  xs: X,
  length: number,
  reverse: boolean,
): [C, Y] {
  const first = flatten(init);
  const sequences = flatten(xs);
  const carries = specsOf(first.leaves);
  const rows = specsOf(sequences.leaves).map(({ shape, dtype }): Spec => ({ shape: shape.slice(1), dtype }));
  let last = first;
  let results: { leaves: Tensor[]; unflatten: (leaves: readonly Tensor[]) => Y } | undefined;
  const program = new Program(
    traceGraph([...carries, ...rows], (inputs) => {
      const carry = first.unflatten(inputs.slice(0, carries.length));
      const [next, y] = pairOf(step(carry, sequences.unflatten(inputs.slice(carries.length))));
      checkCarry(carry, next);
      last = flatten(next);
      results = flatten(y);
      return [...last.leaves, ...results.leaves];
    }),
  );
  const { unflatten } = results as unknown as NonNullable<typeof results>;
  const { captured } = program;
  const operands = specsOf(captured);
  const own = carries.length + rows.length;
  const graph = simplify(
    traceGraph([...carries, ...rows, ...operands], (inputs) =>
      replay(currentTrace() as Trace, program.graph, inputs.slice(0, own), inputs.slice(own)),
    ),
  );
  const ys = graph.outputs.slice(carries.length).map(({ shape, dtype }): Spec => ({ shape, dtype }));
  const primitive = scanPrimitive({
    body: { graph, carries, sequences: rows, operands, results: ys, sums: [] },
    length,
    reverse,
  });
  const outputs = trace.primitive(primitive, [...first.leaves, ...sequences.leaves, ...captured]);
  return [
    last.unflatten(outputs.slice(0, carries.length)),
    unflatten(outputs.slice(carries.length, carries.length + ys.length)),
  ];
}
