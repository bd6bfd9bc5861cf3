/**
 * Sums, products and extremes along axes, running ones too.
 *
 * All entries equal to a maximum or minimum receive its whole cotangent, as in tfjs.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import { sizeOf } from '../graph.js';
import type { Rule, RuleTable } from './rule.js';
import { axesOf, countOf, kernel, keptShape, reshaped, stretched, times, type Tensor } from './tools.js';

/** `dy` with the reduced axes back, as axes of length 1. */
const kept = (dy: Tensor, x: Tensor, axis: unknown): Tensor => reshaped(dy, keptShape(x.shape, axesOf(axis, x.shape)));

const extreme =
  (axisName: string): Rule =>
  ({ inputs: { x }, outputs: [y], dys: [dy], attrs }) => ({
    x: () => {
      const reached = tf.equal(x, kept(y, x, attrs[axisName]));
      return tf.mul(tf.cast(reached, 'float32'), kept(dy, x, attrs[axisName]));
    },
  });

/**
 * dx_k is the sum over i of dy_i times the i-th running product with x_k replaced by 1: n times the work of the product,
 * and right when any of the x are zero, at every order.
 */
const runningProduct: Rule = ({ inputs: { x }, dys: [dy], attrs }) => ({
  x: () => {
    const { exclusive, reverse } = attrs as { exclusive: boolean; reverse: boolean };
    const [axis] = axesOf(attrs.axis ?? 0, x.shape);
    const last = x.rank - 1;
    const swap = x.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
    const lastX = axis === last ? x : tf.transpose(x, swap);
    const lastDy = axis === last ? dy : tf.transpose(dy, swap);
    const n = x.shape[axis];
    const outer = x.size / Math.max(n, 1);
    const copies = stretched(tf.reshape(lastX, [outer, 1, n]), [outer, n, n]);
    const diagonal = Array.from({ length: n * n }, (_, i) => i % (n + 1) === 0);
    const isK = stretched(tf.tensor(diagonal, [1, n, n], 'bool'), [outer, n, n]);
    const without = kernel('Select', { condition: isK, t: tf.ones([outer, n, n]), e: copies });
    const products = tf.cumprod(without, 2, exclusive, reverse);
    // x_k is a factor of the i-th product: i after k, or before it in a reversed product; not i = k in an exclusive one.
    const factor = Array.from({ length: n * n }, (_, index) => {
      const k = Math.floor(index / n);
      const i = index % n;
      return i === k ? !exclusive : reverse ? i < k : i > k;
    });
    const weights = tf.mul(tf.reshape(lastDy, [outer, 1, n]), constant(factor.map(Number), [1, n, n]));
    const dx = tf.reshape(tf.sum(tf.mul(products, weights), 2), lastX.shape);
    return axis === last ? dx : tf.transpose(dx, swap);
  },
});

/** The product of all other factors is that of those before times that of those after. */
const product: Rule = ({ inputs: { x }, dys: [dy], attrs }) => ({
  x: () => {
    const axes = axesOf(attrs.axis, x.shape);
    const others = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
    const perm = [...others, ...axes];
    const moved = perm.every((p, i) => p === i) ? x : tf.transpose(x, perm);
    const rows = tf.reshape(moved, [sizeOf(others.map((i) => x.shape[i])), countOf(x.shape, axes)]);
    const rest = tf.mul(tf.cumprod(rows, 1, true, false), tf.cumprod(rows, 1, true, true));
    const dx = tf.reshape(tf.mul(rest, tf.reshape(dy, [rows.shape[0], 1])), moved.shape);
    return moved === x ? dx : tf.transpose(dx, perm.map((_, i) => perm.indexOf(i))); // prettier-ignore
  },
});

export const REDUCTIONS: RuleTable = {
  Sum: ({ inputs: { x }, dys: [dy], attrs }) => ({ x: () => stretched(kept(dy, x, attrs.axis), x.shape) }),
  Mean: ({ inputs: { x }, dys: [dy], attrs }) => ({
    x: () => {
      const share = times(dy, 1 / countOf(x.shape, axesOf(attrs.axis, x.shape)));
      return stretched(kept(share, x, attrs.axis), x.shape);
    },
  }),
  Max: extreme('reductionIndices'),
  Min: extreme('axis'),
  Prod: product,
  Cumprod: runningProduct,
  Cumsum: ({ dys: [dy], attrs }) => ({
    x: () => kernel('Cumsum', { x: dy }, { ...attrs, reverse: attrs.reverse !== true }),
  }),
  Softmax: ({ outputs: [y], dys: [dy], attrs }) => ({
    logits: () => tf.mul(tf.sub(dy, tf.sum(tf.mul(dy, y), attrs.dim as number, true)), y),
  }),
  LogSoftmax: ({ outputs: [y], dys: [dy], attrs }) => ({
    logits: () => tf.sub(dy, tf.mul(tf.sum(dy, attrs.axis as number, true), tf.exp(y))),
  }),
};
