/**
 * Activations as functions of tensors, each in a form that neither overflows nor loses its derivative, to any order.
 *
 * The list is NNlib.jl's with camelCase names, without its `_fast` variants (the plain ones are fast here). At a kink the derivative is that of one of the two sides; where a form below matters, its comment says why.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { nearest } from '../core/options.js';
import { uniform, type Key } from '../core/random.js';
import { scopeNote } from '../core/scope.js';
import { isTensor, type Tensor } from '../core/tree.js';
import { describe } from '../core/value.js';
import { functionName } from './function-name.js';

const tidy = (f: () => Tensor): Tensor => tf.tidy(f);
/** `a x`, with all digits of `a`. */
const times = (a: number, x: Tensor): Tensor => tf.mul(x, constant(a));

/** `x`. */
export const identity = (x: Tensor): Tensor => x;

/** `max(0, x)`. */
export const relu = (x: Tensor): Tensor => tf.relu(x);

/** `min(max(0, x), 6)`. */
export const relu6 = (x: Tensor): Tensor => tf.relu6(x);

/** `x` above 0, `slope x` below. @param slope Default 0.01. */
export const leakyRelu = (x: Tensor, slope = 0.01): Tensor =>
  tidy(() => tf.where(tf.greater(x, constant(0)), x, times(slope, x)));

/** `x` above `threshold`, 0 below. @param threshold Default 1. */
export const thresholdRelu = (x: Tensor, threshold = 1): Tensor =>
  tidy(() => tf.where(tf.greater(x, constant(threshold)), x, tf.zerosLike(x)));

// tfjs's Elu and Selu kernels would do for values. In this form the derivative at 0 is the limit from below, which for
// elu and celu is the limit from both sides; and the exponential never sees a positive argument.
const exponentialTail = (x: Tensor, scale: number, alpha: number, width: number): Tensor =>
  tidy(() => {
    const below = tf.minimum(x, constant(0));
    const tail = tf.expm1(width === 1 ? below : tf.div(below, constant(width)));
    const y = tf.add(tf.relu(x), alpha === 1 ? tail : times(alpha, tail));
    return scale === 1 ? y : times(scale, y);
  });

/** `x` above 0, `alpha (exp(x) - 1)` below. Clevert, Unterthiner and Hochreiter 2016. @param alpha Default 1. */
export const elu = (x: Tensor, alpha = 1): Tensor => exponentialTail(x, 1, alpha, 1);

/** `x` above 0, `alpha (exp(x / alpha) - 1)` below. Barron 2017. @param alpha Default 1. */
export const celu = (x: Tensor, alpha = 1): Tensor => exponentialTail(x, 1, alpha, alpha);

/** Scaled elu, whose constants keep mean 0 and variance 1. Klambauer, Unterthiner, Mayr and Hochreiter 2017. */
export const selu = (x: Tensor): Tensor => exponentialTail(x, 1.0507009873554805, 1.6732632423543772, 1);

/**
 * `x Φ(x)`, with Φ the normal distribution function, by erf. Hendrycks and Gimpel 2016.
 *
 * (tfjs's cpu backend has erf to 1.5e-7.)
 */
export const gelu = (x: Tensor): Tensor =>
  tidy(() => tf.mul(times(0.5, x), tf.add(tf.erf(times(Math.SQRT1_2, x)), constant(1))));

/** `x σ(√(8/π) (x + 0.044715 x³))`, which is gelu's usual approximation by tanh (to 5e-4). */
export const geluTanh = (x: Tensor): Tensor =>
  tidy(() => {
    const inner = tf.mul(x, tf.add(times(0.044715, tf.square(x)), constant(1)));
    return tf.mul(x, tf.sigmoid(times(Math.sqrt(8 / Math.PI), inner)));
  });

/** `x σ(1.702 x)`, gelu's rougher approximation (to 0.02). Hendrycks and Gimpel 2016. */
export const geluSigmoid = (x: Tensor): Tensor => tidy(() => tf.mul(x, tf.sigmoid(times(1.702, x))));

/** `1 / (1 + exp(-x))`. */
export const sigmoid = (x: Tensor): Tensor => tf.sigmoid(x);

/** `relu6(x + 3) / 6`. */
export const hardSigmoid = (x: Tensor): Tensor => tidy(() => times(1 / 6, tf.relu6(tf.add(x, constant(3)))));

/** `log σ(x)`, as `-softplus(-x)`. */
export const logSigmoid = (x: Tensor): Tensor => tidy(() => tf.neg(tf.softplus(tf.neg(x))));

/** The hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => tf.tanh(x);

/** `x σ(x)`, also called silu. */
export const swish = (x: Tensor): Tensor => tidy(() => tf.mul(x, tf.sigmoid(x)));

/** `x hardSigmoid(x)`. */
export const hardSwish = (x: Tensor): Tensor => tidy(() => tf.mul(x, hardSigmoid(x)));

/** `x tanh(softplus(x))`. Misra 2019. */
export const mish = (x: Tensor): Tensor => tidy(() => tf.mul(x, tf.tanh(tf.softplus(x))));

/** `log(1 + exp(x))`. */
export const softplus = (x: Tensor): Tensor => tf.softplus(x);

/** `x / (1 + |x|)`. */
export const softsign = (x: Tensor): Tensor => tidy(() => tf.div(x, tf.add(tf.abs(x), constant(1))));

/** `x - tanh(x)`. */
export const tanhShrink = (x: Tensor): Tensor => tidy(() => tf.sub(x, tf.tanh(x)));

/** What of `x` lies outside `± lambda`: `x - clip(x, -lambda, lambda)`. @param lambda Default 0.5. */
export const softShrink = (x: Tensor, lambda = 0.5): Tensor =>
  tidy(() => tf.sub(tf.relu(tf.sub(x, constant(lambda))), tf.relu(tf.sub(constant(-lambda), x))));

/** `x` within ±1, ±1 outside. */
export const hardTanh = (x: Tensor): Tensor => tf.clipByValue(x, -1, 1);

/** `x tanh(x)`. */
export const lisht = (x: Tensor): Tensor => tidy(() => tf.mul(x, tf.tanh(x)));

/** `log(cosh(x))`, as `|x| + softplus(-2 |x|) - log 2`: cosh itself overflows early. */
export const logcosh = (x: Tensor): Tensor =>
  tidy(() => {
    // Not tf.abs, whose derivative at 0 is 0: the second derivative there, 1, is a square of it.
    const size = tf.where(tf.greaterEqual(x, constant(0)), x, tf.neg(x));
    return tf.sub(tf.add(size, tf.softplus(times(-2, size))), constant(Math.LN2));
  });

/** The sine. */
export const sin = (x: Tensor): Tensor => tf.sin(x);

/** `exp(x) / Σ exp(x)` over the last axis. */
export const softmax = (x: Tensor): Tensor => tf.softmax(x);

/** `x - log Σ exp(x)` over the last axis. */
export const logSoftmax = (x: Tensor): Tensor => tf.logSoftmax(x);

/**
 * `log Σ exp(x)`, with the maximum taken out before the exponential.
 *
 * @param axis The axis that is summed over, and goes. Default: the last.
 */
export const logSumExp = (x: Tensor, axis = -1): Tensor => tf.logSumExp(x, axis);

/**
 * `x` above 0, `slope x` below, each slope drawn evenly from `[lower, upper)`. Xu, Wang, Chen and Li 2015.
 *
 * Not among the names a layer takes, because it needs a key. In test mode `leakyRelu(x, (lower + upper) / 2)` stands for it.
 *
 * @param lower Default 1/8.
 * @param upper Default 1/3.
 */
export const rrelu = (x: Tensor, key: Key, lower = 1 / 8, upper = 1 / 3): Tensor =>
  tidy(() => {
    const slopes = uniform(key, x.shape, { minval: lower, maxval: upper });
    return tf.where(tf.greater(x, constant(0)), x, tf.mul(x, slopes));
  });

/**
 * `a σ(b)`, with `a` and `b` the two halves of `x`. Not among the names a layer takes, because it halves the features.
 *
 * @param axis The axis that is halved. Default: the last.
 * @throws TypeError for an axis of odd size.
 */
export function glu(x: Tensor, axis = -1): Tensor {
  if (!isTensor(x)) throw new TypeError(`glu: expected a tensor, got ${describe(x)}${scopeNote()}`);
  const along = axis < 0 ? axis + x.rank : axis;
  if (x.shape[along] % 2 !== 0) {
    throw new TypeError(`glu: axis ${axis} must have an even size, got shape [${x.shape.join(', ')}]${scopeNote()}`);
  }
  return tidy(() => {
    const [a, b] = tf.split(x, 2, along);
    return tf.mul(a, tf.sigmoid(b));
  });
}

/** Every activation that a layer takes by name. */
export const activations = Object.freeze({
  identity,
  relu,
  relu6,
  leakyRelu: (x: Tensor) => leakyRelu(x),
  thresholdRelu: (x: Tensor) => thresholdRelu(x),
  elu: (x: Tensor) => elu(x),
  celu: (x: Tensor) => celu(x),
  selu,
  gelu,
  geluTanh,
  geluSigmoid,
  sigmoid,
  hardSigmoid,
  logSigmoid,
  tanh,
  swish,
  silu: swish,
  hardSwish,
  mish,
  softplus,
  softsign,
  tanhShrink,
  softShrink: (x: Tensor) => softShrink(x),
  hardTanh,
  lisht,
  logcosh,
  sin,
  softmax,
  logSoftmax,
});

/** The name of an activation: `'tanh'`. */
export type ActivationName = keyof typeof activations;

/** An activation: by name, or any function of one tensor that keeps its shape. */
export type Activation = ActivationName | ((x: Tensor) => Tensor);

export interface ResolvedActivation {
  /** As it prints, and as initialisers look up its gain; a function has its own name, or `function`. */
  readonly name: string;
  readonly apply: (x: Tensor) => Tensor;
}

/** A function of the table by another way than its name is still that activation. */
function nameOf(f: (x: Tensor) => Tensor): string {
  const known = Object.entries(activations).find(([, entry]) => entry === f);
  return known?.[0] ?? (functionName(f) || 'function');
}

/**
 * The function an activation stands for, and its name.
 *
 * @param where The constructor to name in an error.
 * @throws TypeError for an unknown name, with the known one that it resembles.
 */
export function resolveActivation(activation: Activation, where: string): ResolvedActivation {
  if (typeof activation === 'function') return { name: nameOf(activation), apply: activation };
  const given: unknown = activation;
  if (typeof given === 'string' && Object.hasOwn(activations, given)) {
    return { name: activation, apply: activations[activation] };
  }
  if (typeof given !== 'string') {
    throw new TypeError(
      `${where}: the activation must be a name or a function, got ${given === null ? 'null' : typeof given}`,
    );
  }
  const names = Object.keys(activations);
  const meant = nearest(given, names);
  const hint = meant === undefined ? `known are ${names.join(', ')}` : `did you mean "${meant}"?`;
  throw new TypeError(`${where}: unknown activation "${given}"; ${hint}`);
}
