/**
 * Losses: functions `(prediction, target, options?) => scalar`, differentiable to any order.
 *
 * Names and defaults are Lux.jl's. Samples come first and features last, so classes are the last axis. Prediction and
 * target have the same shape; where targets are classes, integer labels without the class axis do as well.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { flag, nonNegativeNumber, oneOf, parseOptions, positiveNumber, probability, z } from '../core/options.js';
import { scopeNote } from '../core/scope.js';
import type { Tensor } from '../core/tree.js';
import { describe, formatShape, isTensor } from '../core/value.js';
import { readsAtOnce } from '../graph/buffer-workspace.js';
import { currentTrace } from '../graph/trace.js';

/** How the terms of a loss become one number. Default `'mean'`. */
export type Reduction = 'mean' | 'sum';

export interface LossOptions {
  /** The mean or the sum of the terms. Default `'mean'`. */
  readonly reduction?: Reduction;
}

/** A loss with options of its own. */
export type Loss<O = {}> = (prediction: Tensor, target: Tensor, options?: O & LossOptions) => tf.Scalar;

/** Options of a loss that takes a logarithm. */
export interface LogarithmOptions {
  /** The least value whose logarithm is taken: smaller ones are raised to it. Default 1e-12. */
  readonly epsilon?: number;
}

const scalar = (f: () => Tensor): tf.Scalar => tf.tidy(f) as tf.Scalar;

const sameShape = (a: Tensor, b: Tensor): boolean => a.rank === b.rank && a.shape.every((n, i) => n === b.shape[i]);

/** A loss that broadcasts by accident gives a number that is wrong in silence: shapes must agree. */
function check(where: string, prediction: unknown, target: unknown, labels: boolean): void {
  if (!isTensor(prediction) || !isTensor(target)) {
    throw new TypeError(
      `${where}: expected two tensors, got ${describe(prediction)} and ${describe(target)}${scopeNote()}`,
    );
  }
  if (prediction.dtype !== 'float32') {
    throw new TypeError(`${where}: the prediction must be float32, got ${describe(prediction)}${scopeNote()}`);
  }
  if (!sameShape(prediction, target)) {
    const other = labels ? ` or int32 labels ${formatShape(prediction.shape.slice(0, -1))}` : '';
    throw new TypeError(
      `${where}: prediction and target must have the same shape${other}, got ${describe(prediction)} and ${describe(target)}${scopeNote()}`,
    );
  }
}

const REDUCTION = { reduction: oneOf('mean', 'sum').default('mean') };
const EPSILON = { epsilon: nonNegativeNumber.default(1e-12) };
const GAMMA = { gamma: nonNegativeNumber.default(2) };
const PROBABILITIES = { logits: flag.default(false), labelSmoothing: probability.default(0) };

const reduce = (terms: Tensor, reduction: Reduction): Tensor => (reduction === 'mean' ? tf.mean(terms) : tf.sum(terms));

const floats = (x: Tensor): Tensor => (x.dtype === 'float32' ? x : tf.cast(x, 'float32'));

type Term<O> = (prediction: Tensor, target: Tensor, options: O) => Tensor;

/**
 * A loss from its term: what is computed for each element (or each sample) before the mean or the sum.
 *
 * The two axes of this file: terms, which differ, and everything around them, which does not.
 */
function loss<S extends z.ZodRawShape>(
  name: string,
  shape: S,
  term: Term<z.output<z.ZodObject<S>>>,
  labels = false,
): (prediction: Tensor, target: Tensor, options?: object) => tf.Scalar {
  const schema = z.strictObject({ ...shape, ...REDUCTION });
  return (prediction, target, options) => {
    const parsed = parseOptions(schema, options, name) as z.output<z.ZodObject<S>> & { reduction: Reduction };
    return scalar(() => {
      const given = labels ? asDistribution(name, prediction, target) : target;
      check(name, prediction, given, labels);
      return reduce(term(prediction, floats(given), parsed), parsed.reduction);
    });
  };
}

/**
 * A loss of one's own, from what it is for each element: checks of shapes, options and the mean or the sum come with it.
 *
 * @param term `(prediction, target) => terms`, of tf operations; the target is float32 by then.
 * @param name For its messages.
 *
 * @example
 * const quartic = genericLoss((p, y) => tf.pow(tf.sub(p, y), 4), 'quartic');
 */
export function genericLoss(term: (prediction: Tensor, target: Tensor) => Tensor, name = 'genericLoss'): Loss {
  if (typeof term !== 'function') throw new TypeError(`genericLoss: expected a function, got ${describe(term)}`);
  return loss(name, {}, term);
}

/** Integer labels `[...samples]` as one-hot rows `[...samples, classes]`, NaN for what is no class; anything else as it is. */
function asDistribution(where: string, prediction: Tensor, target: Tensor): Tensor {
  if (!isTensor(prediction) || !isTensor(target)) return target;
  if (target.dtype !== 'int32' || target.rank !== prediction.rank - 1) return target;
  const classes = prediction.shape[prediction.rank - 1];
  if (currentTrace() === undefined && readsAtOnce(tf.backend())) {
    checkLabels(where, target, classes);
    return tf.oneHot(target, classes);
  }
  const isClass = tf.logicalAnd(
    tf.greaterEqual(target, tf.scalar(0, 'int32')),
    tf.less(target, tf.scalar(classes, 'int32')),
  );
  return tf.add(tf.oneHot(target, classes), tf.expandDims(tf.where(isClass, constant(0), constant(NaN)), -1));
}

function checkLabels(where: string, labels: Tensor, classes: number): void {
  const values = labels.dataSync();
  const at = values.findIndex((label) => label < 0 || label >= classes);
  if (at < 0) return;
  const sample = tf.util.indexToLoc(at, labels.rank, tf.util.computeStrides(labels.shape));
  const name = labels.rank === 1 ? ` of sample ${at}` : labels.rank === 0 ? '' : ` of sample ${formatShape(sample)}`;
  throw new RangeError(`${where}: label ${values[at]}${name} is not in [0, ${classes - 1}]${scopeNote()}`);
}

const plus = (x: Tensor, a: number): Tensor => (a === 0 ? x : tf.add(x, constant(a)));
/** Raised to `least`, so that a logarithm stays finite; what is above it stays as it is to the last digit. */
const atLeast = (x: Tensor, least: number): Tensor => (least === 0 ? x : tf.maximum(x, constant(least)));
const times = (a: number, x: Tensor): Tensor => (a === 1 ? x : tf.mul(x, constant(a)));
const minusFrom = (a: number, x: Tensor): Tensor => tf.sub(constant(a), x);

/** `x log y`, 0 where x is 0 even if y is 0 too. */
const xlogy = (x: Tensor, y: Tensor): Tensor => {
  const zero = tf.equal(x, constant(0));
  return tf.mul(x, tf.log(tf.where(zero, tf.onesLike(y), y)));
};

const smoothed = (y: Tensor, smoothing: number, classes: number): Tensor =>
  smoothing === 0 ? y : plus(times(1 - smoothing, y), smoothing / classes);

const overClasses = (terms: Tensor): Tensor => tf.sum(terms, -1);

/** All axes but the first: one sample. A vector is one sample as a whole. */
function perSample(terms: Tensor): Tensor {
  if (terms.rank < 2) return tf.sum(terms);
  return tf.sum(tf.reshape(terms, [terms.shape[0], -1]), 1);
}

/** Absolute error: `|ŷ - y|`. Its derivative where they are equal is that of one side. */
export const mae: Loss = loss('mae', {}, (p, y) => tf.abs(tf.sub(p, y)));

/** Squared error: `(ŷ - y)²`. */
export const mse: Loss = loss('mse', {}, (p, y) => tf.square(tf.sub(p, y)));

/**
 * Squared logarithmic error: `(log ŷ - log y)²`.
 *
 * Both are raised to at least `epsilon` (default 1e-12).
 */
export const msle: Loss<LogarithmOptions> = loss('msle', EPSILON, (p, y, { epsilon }) =>
  tf.square(tf.sub(tf.log(atLeast(p, epsilon)), tf.log(atLeast(y, epsilon)))),
);

/** Huber's loss: `d² / 2` where `d = |ŷ - y| ≤ δ`, else `δ (d - δ/2)`. `delta`: default 1. */
export const huber: Loss<{ readonly delta?: number }> = loss(
  'huber',
  { delta: positiveNumber.default(1) },
  (p, y, { delta }) => {
    const d = tf.abs(tf.sub(p, y));
    // With c the part of d up to delta, both branches are c (d - c/2): no choice that a derivative could get wrong.
    const c = tf.minimum(d, constant(delta));
    return tf.mul(c, tf.sub(d, times(0.5, c)));
  },
);

export interface CrossEntropyOptions extends LogarithmOptions {
  /** The prediction is unnormalised log probabilities, not probabilities: better in every way. Default false. */
  readonly logits?: boolean;
  /** The part of each target that is spread evenly over all classes. Default 0. */
  readonly labelSmoothing?: number;
}

/**
 * Cross-entropy of distributions over the last axis: `-Σ y log ŷ`, then the mean (or sum) over samples.
 *
 * The target is rows of probabilities shaped like the prediction, or int32 labels without the class axis. A label that is no class is a
 * RangeError; in a traced function, where it is not known, the loss of its sample is NaN.
 */
export const crossEntropy: Loss<CrossEntropyOptions> = loss(
  'crossEntropy',
  { ...EPSILON, ...PROBABILITIES },
  (p, y, { logits, labelSmoothing, epsilon }) => {
    const target = smoothed(y, labelSmoothing, p.shape[p.rank - 1]);
    if (logits) return tf.neg(overClasses(tf.mul(target, tf.logSoftmax(p))));
    return tf.neg(overClasses(xlogy(target, atLeast(p, epsilon))));
  },
  true,
);

/**
 * Cross-entropy of yes-or-no probabilities: `-y log ŷ - (1 - y) log(1 - ŷ)`, for each element.
 *
 * With `logits` the prediction is log odds: `(1 - y) ŷ + softplus(-ŷ)`, which never overflows.
 */
export const binaryCrossEntropy: Loss<CrossEntropyOptions> = loss(
  'binaryCrossEntropy',
  { ...EPSILON, ...PROBABILITIES },
  (p, y, { logits, labelSmoothing, epsilon }) => {
    const target = smoothed(y, labelSmoothing, 2);
    const other = minusFrom(1, target);
    if (logits) return tf.add(tf.mul(other, p), tf.softplus(tf.neg(p)));
    return tf.neg(tf.add(xlogy(target, atLeast(p, epsilon)), xlogy(other, atLeast(minusFrom(1, p), epsilon))));
  },
);

export interface FocalOptions extends LogarithmOptions {
  /** How much what is already right counts less; 0 is the cross-entropy. Default 2. */
  readonly gamma?: number;
}

const power = (x: Tensor, exponent: number): Tensor =>
  exponent === 0 ? tf.onesLike(x) : exponent === 1 ? x : exponent === 2 ? tf.square(x) : tf.pow(x, constant(exponent));

/**
 * Focal loss over the classes of the last axis: `-Σ y (1 - ŷ)^γ log ŷ`, on probabilities.
 * Lin, Goyal, Girshick, He and Dollár 2017. Targets as for {@link crossEntropy}.
 */
export const focal: Loss<FocalOptions> = loss(
  'focal',
  { ...EPSILON, ...GAMMA },
  (p, y, { gamma, epsilon }) =>
    tf.neg(overClasses(tf.mul(power(minusFrom(1, p), gamma), xlogy(y, atLeast(p, epsilon))))),
  true,
);

/** Focal loss of yes-or-no probabilities, for each element: `-(1 - q)^γ log q`, with q the probability of what is true. */
export const binaryFocal: Loss<FocalOptions> = loss(
  'binaryFocal',
  { ...EPSILON, ...GAMMA },
  (p, y, { gamma, epsilon }) => {
    const q = tf.add(tf.mul(y, p), tf.mul(minusFrom(1, y), minusFrom(1, p)));
    return tf.neg(tf.mul(power(minusFrom(1, q), gamma), tf.log(atLeast(q, epsilon))));
  },
);

/** Hinge loss: `max(0, 1 - ŷ y)`, for targets ±1. */
export const hinge: Loss = loss('hinge', {}, (p, y) => tf.relu(minusFrom(1, tf.mul(p, y))));

/** Squared hinge loss: `max(0, 1 - ŷ y)²`, for targets ±1. */
export const squaredHinge: Loss = loss('squaredHinge', {}, (p, y) => tf.square(tf.relu(minusFrom(1, tf.mul(p, y)))));

/**
 * Kullback and Leibler's divergence of the prediction from the target, distributions over the last axis:
 * `Σ y log(y / ŷ)`, then the mean (or sum) over samples. `epsilon`: the least probability that counts, default 1e-12.
 */
export const klDivergence: Loss<LogarithmOptions> = loss(
  'klDivergence',
  EPSILON,
  (p, y, { epsilon }) => overClasses(tf.sub(xlogy(y, y), xlogy(y, atLeast(p, epsilon)))),
  true,
);

/** Poisson loss: `ŷ - y log ŷ`, the log likelihood of counts `y` at rates `ŷ`. `epsilon`: the least rate that counts, default 1e-12. */
export const poisson: Loss<LogarithmOptions> = loss('poisson', EPSILON, (p, y, { epsilon }) =>
  tf.sub(p, xlogy(y, atLeast(p, epsilon))),
);

/**
 * Dice loss of each sample: `1 - (2 Σ ŷ y + s) / (Σ ŷ² + Σ y² + s)`. `smooth`: s, default 1.
 * Milletari, Navab and Ahmadi 2016.
 *
 * The sums go over all axes but the first; a vector is one sample.
 */
export const dice: Loss<{ readonly smooth?: number }> = loss(
  'dice',
  { smooth: nonNegativeNumber.default(1) },
  (p, y, { smooth }) => {
    const overlap = plus(times(2, perSample(tf.mul(p, y))), smooth);
    const total = plus(perSample(tf.add(tf.square(p), tf.square(y))), smooth);
    return minusFrom(1, tf.div(overlap, total));
  },
);

/**
 * Contrastive loss of pairs at distance ŷ: `(1 - y) ŷ² + y max(0, margin - ŷ)²`, with y 0 for pairs that belong together.
 * `margin`: default 1. Hadsell, Chopra and LeCun 2006.
 */
export const siameseContrastive: Loss<{ readonly margin?: number }> = loss(
  'siameseContrastive',
  { margin: positiveNumber.default(1) },
  (p, y, { margin }) =>
    tf.add(tf.mul(minusFrom(1, y), tf.square(p)), tf.mul(y, tf.square(tf.relu(minusFrom(margin, p))))),
);
