/**
 * More elements from fewer: interpolation of images, and channels spread out over space.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { flag, numberThat, OptionError, parseOptions, z } from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { checkInput, checkSize, fail } from './check.js';
import { functionLayer } from './functions.js';
import type { Stateless } from './types.js';
import { perAxis, showPerAxis, spatial, strideOption, type PerAxis } from './windows.js';

/** `'linear'`, `'bilinear'` and `'trilinear'` are the same for one, two and three axes. */
export type UpsampleMode = 'nearest' | 'linear' | 'bilinear' | 'trilinear';

export interface UpsampleOptions {
  /** How much larger the output is; a number for all axes. Give this or `size`. */
  readonly scale?: PerAxis;
  /** The output's size; a number for all axes. */
  readonly size?: PerAxis;
  /**
   * Linear modes: let the first and last elements of input and output coincide, rather than the borders of the outermost
   * ones. Default false.
   */
  readonly alignCorners?: boolean;
}

/** How many axes a mode is for. */
const AXES: Readonly<Record<UpsampleMode, readonly number[]>> = {
  nearest: [1, 2, 3],
  linear: [1],
  bilinear: [2],
  trilinear: [3],
};

const positive = numberThat((x) => x > 0 && x < Infinity, 'a positive number');
const OPTIONS = z.strictObject({
  scale: z.union([positive, z.array(positive)]).optional(),
  size: strideOption.optional(),
  alignCorners: flag.default(false),
});

/** Where on an axis of `from` elements the `to` elements of the output lie. */
function places(from: number, to: number, alignCorners: boolean): number[] {
  return Array.from({ length: to }, (_, o) => {
    if (alignCorners) return to === 1 ? 0 : (o * (from - 1)) / (to - 1);
    return Math.min(Math.max(((o + 0.5) * from) / to - 0.5, 0), from - 1);
  });
}

const gather = (x: Tensor, indices: readonly number[], axis: number): Tensor =>
  tf.gather(x, tf.tensor1d(Int32Array.from(indices), 'int32'), axis);

/** Linear between the two nearest elements along an axis. */
function linear(x: Tensor, axis: number, to: number, alignCorners: boolean): Tensor {
  const from = x.shape[axis];
  if (from === to) return x;
  const at = places(from, to, alignCorners);
  const below = at.map((t) => Math.min(Math.floor(t), from - 1));
  const weights = constant(at.map((t, i) => t - below[i]), x.shape.map((_, i) => (i === axis ? to : 1))); // prettier-ignore
  const low = gather(x, below, axis);
  const high = gather(
    x,
    below.map((i) => Math.min(i + 1, from - 1)),
    axis,
  );
  return tf.add(low, tf.mul(weights, tf.sub(high, low)));
}

/** The element that the output's left border falls into, along an axis. */
function nearest(x: Tensor, axis: number, to: number): Tensor {
  const from = x.shape[axis];
  if (from === to) return x;
  if (to % from === 0) {
    const [lead, tail] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
    const size = (shape: readonly number[]): number => shape.reduce((n, m) => n * m, 1);
    const apart = tf.reshape(x, [size(lead) * from, 1, size(tail)]);
    return tf.reshape(tf.tile(apart, [1, to / from, 1]), [...lead, to, ...tail]);
  }
  const indices = Array.from({ length: to }, (_, o) => Math.min(Math.floor((o * from) / to), from - 1));
  return gather(x, indices, axis);
}

/**
 * Interpolates the axes between batch and features.
 *
 * `'nearest'` repeats elements; the linear modes interpolate in each axis. Without `alignCorners`, element `o` of an output
 * lies at `(o + 1/2) from / to - 1/2` of the input, and what is outside takes the border's value.
 *
 * @param mode Default `'nearest'`.
 * @param options `scale` or `size`, and `alignCorners`.
 * @throws TypeError for a bad mode or option; `apply` throws a LayerError where the input does not fit.
 */
export function upsample(mode: UpsampleMode, options: UpsampleOptions): Stateless {
  const where = 'upsample';
  if (!Object.hasOwn(AXES, mode)) {
    const known = Object.keys(AXES).map((m) => `"${m}"`);
    throw new TypeError(`${where}: the mode must be one of ${known.join(', ')}, got ${describe(mode)}`);
  }
  const { scale, size, alignCorners } = parseOptions(OPTIONS, options, where);
  if ((scale === undefined) === (size === undefined)) {
    throw new OptionError(where, [`give either "scale" or "size", got ${scale === undefined ? 'neither' : 'both'}`]);
  }
  if (alignCorners && mode === 'nearest') {
    throw new OptionError(where, ['option "alignCorners": mode "nearest" has no corners to align']);
  }
  const [what, given] = scale === undefined ? (['size', size] as const) : (['scale', scale] as const);
  const wanted = given as PerAxis;
  const axes = AXES[mode].filter((n) => typeof wanted === 'number' || wanted.length === n);
  if (axes.length === 0) perAxis(where, what, wanted, AXES[mode][0]);
  const shown = typeof wanted === 'number' ? String(wanted) : showPerAxis(wanted);
  const summary = [mode, `${what}=${shown}`, ...(alignCorners ? ['alignCorners=true'] : [])].join(', ');
  const title = `Upsample(${summary})`;
  return functionLayer('Upsample', summary, (x: Tensor) => {
    checkInput(title, x, { rank: [Math.min(...axes) + 2, Math.max(...axes) + 2] });
    const from = spatial(x);
    const numbers = perAxis(where, what, wanted, from.length);
    const to = what === 'size' ? numbers : from.map((n, i) => Math.floor(n * numbers[i]));
    if (to.some((n) => n < 1)) fail(title, `nothing is left, got shape ${formatShape(x.shape)}`);
    return to.reduce((y, n, i) => (mode === 'nearest' ? nearest(y, i + 1, n) : linear(y, i + 1, n, alignCorners)), x);
  });
}

/**
 * Spreads channels out over space: `[batch, ...axes, channels factorⁿ]` to `[batch, ...(factor axes), channels]`, for
 * one, two or three axes (`n`).
 *
 * Channel `(c factor + i) factor + j` goes to row `i` and column `j` of its block in channel `c`, as in Lux.jl and PyTorch
 * (tfjs's `depthToSpace` has the output channel last). Shi et al., CVPR 2016.
 *
 * @throws TypeError for a bad factor; `apply` throws a LayerError where the channels do not divide.
 */
export function pixelShuffle(factor: number): Stateless {
  checkSize('pixelShuffle', 'the factor', factor);
  const title = `PixelShuffle(${factor})`;
  return functionLayer('PixelShuffle', String(factor), (x: Tensor) => {
    checkInput(title, x, { rank: [3, 5] });
    const from = spatial(x);
    const block = factor ** from.length;
    const given = x.shape[x.rank - 1];
    if (given % block !== 0) {
      fail(title, `expected a multiple of ${block} channels in the last axis, got shape ${formatShape(x.shape)}`);
    }
    const channels = given / block;
    // One axis after the other, so that no tensor has many axes: [before, n, after, channels, factor, rest].
    let [before, rest] = [x.shape[0], block];
    return from.reduce((y: Tensor, n, i) => {
      const after = from.slice(i + 1).reduce((a, b) => a * b, 1);
      rest /= factor;
      const apart = tf.reshape(y, [before, n, after, channels, factor, rest]);
      const together = tf.transpose(apart, [0, 1, 4, 2, 3, 5]);
      before *= n * factor;
      const shape = [x.shape[0], ...from.slice(0, i + 1).map((m) => m * factor), ...from.slice(i + 1), channels * rest];
      return tf.reshape(together, shape);
    }, x);
  });
}
