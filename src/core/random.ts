/**
 * Random numbers from splittable keys: every number is a function of a key and a position, so that the same key gives
 * the same numbers on every backend, eagerly and in a compiled function, and nothing is ever advanced behind the scenes.
 *
 * The scheme is that of JAX (Threefry-2x32, its "partitionable" layout): element i of a draw depends on the key and
 * counter i alone, keys split by encrypting counters, and a key made from a seed here splits into the keys that
 * `jax.random` would give.
 *
 * A key is for one use: draw from it, or split it, not both.
 */
import * as tf from '@tensorflow/tfjs-core';
import { floatsFor } from './floats.js';
import { normalCdf, normalQuantile } from './gaussian.js';
import { defineHostKernel, upload, type HostKernelCall } from './host-kernel.js';
import { OptionError, parseOptions, z } from './options.js';
import { scopeNote } from './scope.js';
import { threefry2x32 } from './threefry.js';
import { describe, isRecord, isTensor } from './value.js';

/** Two 32-bit words in an int32 tensor: it lives in states and traces like any other tensor. */
export type Key = tf.Tensor1D;

const WORD = 2 ** 32;

function checkKey(key: Key, where: string): Key {
  const given: unknown = key;
  if (isTensor(given) && given.dtype === 'int32' && given.shape.length === 1 && given.shape[0] === 2) return key;
  throw new TypeError(
    `${where}: expected a key (an int32 tensor [2], made by key(seed)), got ${describe(given)}${scopeNote()}`,
  );
}

function checkShape(shape: readonly number[], where: string): number[] {
  if (!Array.isArray(shape) || !shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new TypeError(
      `${where}: expected a shape (an array of non-negative integers), got ${describe(shape)}${scopeNote()}`,
    );
  }
  return [...(shape as number[])];
}

function checkFinite(x: number, name: string, where: string): number {
  if (Number.isFinite(x)) return x;
  throw new TypeError(`${where}: ${name} must be a finite number, got ${describe(x)}${scopeNote()}`);
}

/** Names only: the values are checked with the defaults in place, by messages that also say where in the model. */
const anyNumber = z.custom<number>().optional();

/** What other libraries call these settings, too far in spelling for a guess. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  loc: 'mean',
  mu: 'mean',
  scale: 'std',
  sigma: 'std',
  stddev: 'std',
  stdev: 'std',
  low: 'lower',
  high: 'upper',
  min: 'minval',
  max: 'maxval',
};

/** The options given, every name of them known. Draws are hot in eager code: without options nothing is looked at. */
function checkNames<S extends z.ZodObject>(schema: S, options: unknown, where: string): Partial<z.output<S>> {
  if (options === undefined) return {};
  if (isRecord(options)) {
    for (const name of Object.keys(options)) {
      const meant = Object.hasOwn(ELSEWHERE, name) ? ELSEWHERE[name] : undefined;
      if (meant !== undefined && Object.hasOwn(schema.shape, meant)) {
        throw new OptionError(where, [`unknown option "${name}"; did you mean "${meant}"?`]);
      }
    }
  }
  return parseOptions(schema, options, where);
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((n, m) => n * m, 1);

/** The two output words of counters `start`, `start + 1`, ..., under the key that is the first input. */
function words({ inputs, backend }: HostKernelCall, count: number, start = 0): [Uint32Array, Uint32Array] {
  const [k0, k1] = backend.readSync(inputs[0].dataId) as Int32Array;
  const first = new Uint32Array(count);
  const second = new Uint32Array(count);
  threefry2x32(k0, k1, Math.floor(start / WORD), start % WORD, first, second);
  return [first, second];
}

/**
 * A key from a seed.
 *
 * @param seed Any safe integer. Its 64-bit two's complement gives the two words, high word first, as in JAX.
 * @throws TypeError when the seed is not a safe integer.
 */
export function key(seed: number): Key {
  if (!Number.isSafeInteger(seed)) throw new TypeError(`key: the seed must be a safe integer, got ${describe(seed)}`);
  return tf.tensor1d(Int32Array.of(Math.floor(seed / WORD), seed), 'int32');
}

const splitKernel = defineHostKernel({
  name: 'NullclineSplit',
  outputs: (_, { start, count }) =>
    Array.from({ length: (count as number) - (start as number) }, () => ({ shape: [2], dtype: 'int32' })),
  run: (call) => {
    const { start, count } = call.attrs as { start: number; count: number };
    const [first, second] = words(call, count - start, start);
    return Array.from(first, (a, i) => upload(call.backend, Int32Array.of(a, second[i]), [2], 'int32'));
  },
});

/**
 * `n` independent keys from one, which must not be used again itself.
 *
 * @param n How many; default 2.
 */
export function split(key: Key, n = 2): Key[] {
  checkKey(key, 'split');
  if (!Number.isSafeInteger(n) || n < 1) throw new TypeError(`split: n must be a positive integer, got ${describe(n)}`);
  return splitKernel([key], { start: 0, count: n }) as Key[];
}

/**
 * The key for item `i` of a series, such as a step of training: the same as `split(key, n)[i]` for any n above i.
 *
 * @param i A non-negative safe integer.
 */
export function foldIn(key: Key, i: number): Key {
  checkKey(key, 'foldIn');
  if (!Number.isSafeInteger(i) || i < 0) {
    throw new TypeError(`foldIn: i must be a non-negative integer, got ${describe(i)}${scopeNote()}`);
  }
  return splitKernel([key], { start: i, count: i + 1 })[0] as Key;
}

/** In [0, 1), a multiple of 2^-24, so the same number in single and in double precision. */
const unit24 = (a: number, b: number): number => ((a ^ b) >>> 8) / 2 ** 24;

/** In (0, 1), from 52 random bits; never 0, never 1, symmetric about 1/2. Its high bits are those of `unit24`. */
const unit52 = (a: number, b: number): number => (((a ^ b) >>> 0) * 2 ** 20 + (b >>> 12) + 0.5) / 2 ** 52;

/** A kernel that fills an output from the two words of each element. */
function sampler<A extends object>(
  name: string,
  dtype: 'float32' | 'int32' | 'bool',
  prepare: (attrs: A) => (a: number, b: number) => number,
): (key: Key, shape: readonly number[], attrs: A) => tf.Tensor {
  const draw = defineHostKernel({
    name: `Nullcline${name[0].toUpperCase()}${name.slice(1)}`,
    outputs: (_, { shape }) => [{ shape: shape as number[], dtype }],
    run: (call) => {
      const shape = call.attrs.shape as number[];
      const n = sizeOf(shape);
      const [first, second] = words(call, n);
      const values =
        dtype === 'float32' ? floatsFor(call.backend, n) : dtype === 'int32' ? new Int32Array(n) : new Uint8Array(n);
      const sample = prepare(call.attrs as unknown as A);
      for (let i = 0; i < n; i++) values[i] = sample(first[i], second[i]);
      return [upload(call.backend, values, shape, dtype)];
    },
  });
  return (key, shape, attrs) => draw([checkKey(key, name)], { ...attrs, shape: checkShape(shape, name) })[0];
}

const drawUniform = sampler<{ minval: number; maxval: number }>('uniform', 'float32', ({ minval, maxval }) => {
  const range = maxval - minval;
  return (a, b) => minval + range * unit24(a, b);
});

const UNIFORM = z.strictObject({ minval: anyNumber, maxval: anyNumber });

export interface UniformOptions {
  /** The least value. Default 0. */
  readonly minval?: number;
  /** The bound from above. Default 1. */
  readonly maxval?: number;
}

/**
 * Numbers spread evenly over `[minval, maxval)`, in 2^24 equal steps. (Where single precision cannot hold the last steps
 * below `maxval`, they round to it; with the default bounds that does not happen.)
 */
export function uniform(key: Key, shape: readonly number[], options?: UniformOptions): tf.Tensor {
  const { minval = 0, maxval = 1 } = checkNames(UNIFORM, options, 'uniform');
  checkFinite(minval, 'minval', 'uniform');
  checkFinite(maxval, 'maxval', 'uniform');
  if (maxval < minval) throw new TypeError(`uniform: maxval ${maxval} is less than minval ${minval}${scopeNote()}`);
  return drawUniform(key, shape, { minval, maxval });
}

const drawNormal = sampler<{ mean: number; std: number }>(
  'normal',
  'float32',
  ({ mean, std }) =>
    (a, b) =>
      mean + std * normalQuantile(unit52(a, b)),
);

const NORMAL = z.strictObject({ mean: anyNumber, std: anyNumber });

export interface NormalOptions {
  /** Default 0. */
  readonly mean?: number;
  /** Standard deviation, at least 0. Default 1. */
  readonly std?: number;
}

function checkNormal(mean: number, std: number, where: string): void {
  checkFinite(mean, 'mean', where);
  if (!(checkFinite(std, 'std', where) >= 0))
    throw new TypeError(`${where}: std must not be negative, got ${std}${scopeNote()}`);
}

/** Normally distributed numbers, by inversion in double precision; within 8.3 standard deviations of the mean. */
export function normal(key: Key, shape: readonly number[], options?: NormalOptions): tf.Tensor {
  const { mean = 0, std = 1 } = checkNames(NORMAL, options, 'normal');
  checkNormal(mean, std, 'normal');
  return drawNormal(key, shape, { mean, std });
}

const drawTruncated = sampler<{ mean: number; std: number; lower: number; upper: number }>(
  'truncatedNormal',
  'float32',
  ({ mean, std, lower, upper }) => {
    // Probabilities near 1 lose their digits, so an interval above the mean is drawn as its mirror image below.
    const mirrored = lower + upper > 2 * mean;
    const sign = mirrored ? -1 : 1;
    const [low, high] = mirrored
      ? [(mean - upper) / std, (mean - lower) / std]
      : [(lower - mean) / std, (upper - mean) / std];
    const below = normalCdf(low);
    const within = normalCdf(high) - below;
    return (a, b) => {
      const u = unit52(a, b);
      const z = normalQuantile(below + within * (mirrored ? 1 - u : u));
      return Math.min(upper, Math.max(lower, mean + sign * std * z));
    };
  },
);

const TRUNCATED_NORMAL = z.strictObject({ ...NORMAL.shape, lower: anyNumber, upper: anyNumber });

export interface TruncatedNormalOptions extends NormalOptions {
  /** The least value; default `mean - 2 std`. */
  readonly lower?: number;
  /** The greatest value; default `mean + 2 std`. */
  readonly upper?: number;
}

/**
 * A normal distribution cut off outside `[lower, upper]` (bounds on the values themselves, not in standard deviations).
 * `mean` and `std` are those of the distribution before it is cut: with the default bounds the standard deviation of
 * what is drawn is 0.8796 `std`.
 */
export function truncatedNormal(key: Key, shape: readonly number[], options?: TruncatedNormalOptions): tf.Tensor {
  const given = checkNames(TRUNCATED_NORMAL, options, 'truncatedNormal');
  const { mean = 0, std = 1 } = given;
  checkNormal(mean, std, 'truncatedNormal');
  const { lower = mean - 2 * std, upper = mean + 2 * std } = given;
  checkFinite(lower, 'lower', 'truncatedNormal');
  checkFinite(upper, 'upper', 'truncatedNormal');
  if (std === 0 || !(upper > lower)) {
    throw new TypeError(
      `truncatedNormal: std must be positive and upper above lower, got std ${std} and [${lower}, ${upper}]${scopeNote()}`,
    );
  }
  if (Math.min(Math.abs(lower - mean), Math.abs(upper - mean)) > 37 * std && (lower > mean || upper < mean)) {
    throw new TypeError(
      `truncatedNormal: [${lower}, ${upper}] lies more than 37 standard deviations from the mean${scopeNote()}`,
    );
  }
  return drawTruncated(key, shape, { mean, std, lower, upper });
}

const drawBernoulli = sampler<{ p: number }>(
  'bernoulli',
  'bool',
  ({ p }) =>
    (a, b) =>
      unit24(a, b) < p ? 1 : 0,
);

/**
 * True with probability `p`: `uniform(key, shape) < p`.
 *
 * @param p A number in [0, 1].
 */
export function bernoulli(key: Key, p: number, shape: readonly number[]): tf.Tensor {
  if (!(p >= 0 && p <= 1)) throw new TypeError(`bernoulli: p must be in [0, 1], got ${describe(p)}${scopeNote()}`);
  return drawBernoulli(key, shape, { p });
}

const drawIntegers = sampler<{ minval: number; maxval: number }>(
  'randint',
  'int32',
  ({ minval, maxval }) =>
    (a, b) =>
      minval + Math.floor((maxval - minval) * unit52(a, b)),
);

/** Integers from `minval` up to but not including `maxval`, all equally likely (to 2^-20 at worst, relatively). */
export function randint(key: Key, shape: readonly number[], minval: number, maxval: number): tf.Tensor {
  const fits = (n: number): boolean => Number.isInteger(n) && n >= -(2 ** 31) && n <= 2 ** 31;
  if (!fits(minval) || !fits(maxval) || maxval <= minval) {
    throw new TypeError(
      `randint: expected 32-bit integers minval < maxval, got ${describe(minval)} and ${describe(maxval)}${scopeNote()}`,
    );
  }
  return drawIntegers(key, shape, { minval, maxval });
}

const permutationKernel = defineHostKernel({
  name: 'NullclinePermutation',
  outputs: (_, { n }) => [{ shape: [n as number], dtype: 'int32' }],
  run: (call) => {
    const n = call.attrs.n as number;
    const [first, second] = words(call, n);
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor((i + 1) * unit52(first[i], second[i]));
      const moved = order[i];
      order[i] = order[j];
      order[j] = moved;
    }
    return [upload(call.backend, order, [n], 'int32')];
  },
});

/** The integers 0 to n - 1 in random order (Fisher and Yates); `tf.gather(x, permutation(key, n))` shuffles a tensor. */
export function permutation(key: Key, n: number): tf.Tensor1D {
  checkKey(key, 'permutation');
  if (!Number.isSafeInteger(n) || n < 0)
    throw new TypeError(`permutation: n must be a non-negative integer, got ${describe(n)}`);
  return permutationKernel([key], { n })[0] as tf.Tensor1D;
}
