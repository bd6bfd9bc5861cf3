/**
 * Initialisers: where parameters start. Each constructor takes its settings and returns a function of key and shape.
 *
 * Shapes are in tfjs's layout: a dense weight is `[in, out]`, a convolution kernel `[...window, in, out]`. So the fan-in,
 * the number of inputs that one output sees, is window size times `in`; the fan-out is window size times `out`. (A
 * transposed convolution stores `[...window, out, in]`: exchange the two modes for it.) A vector's fans are its length.
 *
 * The names are WeightInitializers.jl's; `zeros` and `ones` are `zerosInit` and `onesInit`, because tfjs has functions
 * of the shorter names that mean something else.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from './constant.js';
import { orthonormal, sparse } from './matrices.js';
import { normal, truncatedNormal, uniform, type Key } from './random.js';
import { scopeNote } from './scope.js';
import type { Tensor } from './tree.js';
import { describe } from './value.js';

/** Fresh values for a parameter of that shape: the same for the same key. */
export type Initialiser = (key: Key, shape: readonly number[]) => Tensor;

/** Which fan sets the scale: keep the variance of activations (`fanIn`), of gradients (`fanOut`), or between the two. */
export type FanMode = 'fanIn' | 'fanOut' | 'fanAverage';

function nonNegative(x: number, name: string, where: string): number {
  if (x >= 0 && x < Infinity) return x;
  throw new TypeError(`${where}: ${name} must be a non-negative number, got ${describe(x)}`);
}

/** How many inputs an output sees, and how many outputs an input reaches. */
export function fans(shape: readonly number[]): { fanIn: number; fanOut: number } {
  if (shape.length === 0) return { fanIn: 1, fanOut: 1 };
  if (shape.length === 1) return { fanIn: shape[0], fanOut: shape[0] };
  const window = shape.slice(0, -2).reduce((n, m) => n * m, 1);
  return { fanIn: window * shape[shape.length - 2], fanOut: window * shape[shape.length - 1] };
}

const FAN: Readonly<Record<FanMode, (f: { fanIn: number; fanOut: number }) => number>> = {
  fanIn: ({ fanIn }) => fanIn,
  fanOut: ({ fanOut }) => fanOut,
  fanAverage: ({ fanIn, fanOut }) => (fanIn + fanOut) / 2,
};

/** Distributions with a given standard deviation and mean 0. */
const SPREAD: Readonly<Record<'uniform' | 'normal', (key: Key, shape: readonly number[], std: number) => Tensor>> = {
  uniform: (key, shape, std) => uniform(key, shape, { minval: -Math.sqrt(3) * std, maxval: Math.sqrt(3) * std }),
  normal: (key, shape, std) => normal(key, shape, { std }),
};

/** Mean 0 and standard deviation `gain / sqrt(fan)`: the form of all the initialisers by variance below. */
export function varianceScaling(gain: number, mode: FanMode, distribution: 'uniform' | 'normal'): Initialiser {
  nonNegative(gain, 'gain', 'varianceScaling');
  // A parameter without elements has no fan, and draws nothing.
  return (key, shape) => SPREAD[distribution](key, shape, gain / Math.sqrt(Math.max(1, FAN[mode](fans(shape)))));
}

/**
 * Uniform, variance `2 gain² / (fanIn + fanOut)`.
 * Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
 */
export const glorotUniform = (gain = 1): Initialiser => varianceScaling(gain, 'fanAverage', 'uniform');

/** Normal, variance `2 gain² / (fanIn + fanOut)`; see {@link glorotUniform}. */
export const glorotNormal = (gain = 1): Initialiser => varianceScaling(gain, 'fanAverage', 'normal');

/**
 * Uniform, variance `gain² / fan`: values within `± sqrt(3) gain / sqrt(fan)`.
 * He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015.
 *
 * @param gain Default √2, for relu; see {@link calculateGain} for other activations. `1 / √3` gives values within
 * `± 1 / sqrt(fanIn)`, which is how PyTorch starts its linear layers.
 */
export const kaimingUniform = (gain: number = Math.SQRT2, mode: FanMode = 'fanIn'): Initialiser =>
  varianceScaling(gain, mode, 'uniform');

/** Normal, variance `gain² / fan`; see {@link kaimingUniform}. */
export const kaimingNormal = (gain: number = Math.SQRT2, mode: FanMode = 'fanIn'): Initialiser =>
  varianceScaling(gain, mode, 'normal');

/** Uniform, variance `1 / fanIn`. LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998. */
export const lecunUniform = (): Initialiser => varianceScaling(1, 'fanIn', 'uniform');

/** Normal (not truncated), variance `1 / fanIn`; see {@link lecunUniform}. */
export const lecunNormal = (): Initialiser => varianceScaling(1, 'fanIn', 'normal');

/** Every value evenly likely within `± bound`. */
export function uniformInit(bound: number): Initialiser {
  nonNegative(bound, 'bound', 'uniformInit');
  return (key, shape) => uniform(key, shape, { minval: -bound, maxval: bound });
}

/** Normal; default mean 0 and standard deviation 0.01. */
export const normalInit =
  (std = 0.01, mean = 0): Initialiser =>
  (key, shape) =>
    normal(key, shape, { mean, std });

/** Normal, cut off outside `[lower, upper]`; defaults: mean 0, standard deviation 1 before cutting, two of them each way. */
export const truncatedNormalInit =
  (options: { mean?: number; std?: number; lower?: number; upper?: number } = {}): Initialiser =>
  (key, shape) =>
    truncatedNormal(key, shape, options);

/** All 0. */
export const zerosInit = (): Initialiser => (_, shape) => tf.zeros([...shape]);

/** All 1. */
export const onesInit = (): Initialiser => (_, shape) => tf.ones([...shape]);

/** All `value`. */
export const constantInit =
  (value: number): Initialiser =>
  (_, shape) =>
    constant(new Float64Array(shape.reduce((n, m) => n * m, 1)).fill(value), shape);

/**
 * A random orthogonal matrix times `gain`, all of them equally likely.
 * Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear networks", 2014.
 *
 * A kernel `[...window, in, out]` is taken as a matrix of `window x in` rows and `out` columns: `WᵀW = gain² I` when it
 * has at least as many rows as columns, `WWᵀ = gain² I` otherwise. Needs two axes or more.
 */
export function orthogonal(gain = 1): Initialiser {
  nonNegative(gain, 'gain', 'orthogonal');
  return (key, shape) => {
    if (shape.length < 2)
      throw new TypeError(`orthogonal: needs two axes or more, got [${shape.join(', ')}]${scopeNote()}`);
    return orthonormal(key, shape, gain);
  };
}

/**
 * Normal numbers with a fraction of each column set to 0, so that each output of a dense weight `[in, out]` sees few
 * inputs. Martens, "Deep learning via Hessian-free optimization", ICML 2010.
 *
 * @param sparsity The fraction of zeros in each column, in [0, 1]; their number is rounded up.
 * @param std Standard deviation of the others. Default 0.01.
 */
export function sparseInit(sparsity: number, std = 0.01): Initialiser {
  if (!(sparsity >= 0 && sparsity <= 1))
    throw new TypeError(`sparseInit: sparsity must be in [0, 1], got ${describe(sparsity)}`);
  nonNegative(std, 'std', 'sparseInit');
  return (key, shape) => {
    if (shape.length !== 2) throw new TypeError(`sparseInit: needs two axes, got [${shape.join(', ')}]${scopeNote()}`);
    return sparse(key, shape as [number, number], sparsity, std);
  };
}

/**
 * What makes the layer pass its input on, times `gain`: the identity matrix for a dense weight, the central tap for a
 * convolution kernel (the one that 'same' padding centres), 0 for a vector (a bias).
 */
export function identityInit(gain = 1): Initialiser {
  return (_, shape) => {
    const values = new Float64Array(shape.reduce((n, m) => n * m, 1));
    if (shape.length >= 2) {
      const [rows, columns] = shape.slice(-2);
      const centre = shape.slice(0, -2).reduce((at, n) => at * n + Math.floor((n - 1) / 2), 0);
      for (let i = 0; i < Math.min(rows, columns); i++) values[(centre * rows + i) * columns + i] = gain;
    }
    return constant(values, shape);
  };
}

/** Activations with a recommended gain. */
export type GainActivation = 'linear' | 'identity' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu';

// PyTorch's table (torch.nn.init.calculate_gain). For relu: half the variance is lost, and √2 restores it (He et al.).
const GAINS: Readonly<Record<GainActivation, (slope: number) => number>> = {
  linear: () => 1,
  identity: () => 1,
  sigmoid: () => 1,
  tanh: () => 5 / 3,
  relu: () => Math.SQRT2,
  leakyRelu: (slope) => Math.sqrt(2 / (1 + slope ** 2)),
  selu: () => 3 / 4,
};

/**
 * The gain that suits an activation.
 *
 * @param activation Its name; one without a recommendation has gain 1.
 * @param slope The slope of `leakyRelu` below 0. Default 0.01.
 */
export function calculateGain(activation: string, slope = 0.01): number {
  return Object.hasOwn(GAINS, activation) ? GAINS[activation as GainActivation](slope) : 1;
}
