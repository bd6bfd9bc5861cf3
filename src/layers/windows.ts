/**
 * How a window slides over one, two or three axes: its size, steps and padding, as convolution and pooling share them.
 *
 * Padding is resolved for the shape at hand. tfjs's backends agree on 'valid' and 'same' alone, so any other padding is
 * written out before the operation.
 */
import * as tf from '@tensorflow/tfjs-core';
import { z } from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { checkInput, fail } from './check.js';

/**
 * Zeros around the input: a number for all sides, or for each axis a number or a pair `[before, after]`, or such pairs
 * in one flat list `[before1, after1, before2, after2]`. `'same'` gives `ceil(size / stride)` outputs, with the odd zero
 * behind, as TensorFlow has it.
 */
export type Pad = number | 'same' | readonly (number | readonly [number, number])[];

/** A number for all axes, or one for each. */
export type PerAxis = number | readonly number[];

/** A sliding window, with one entry for each axis. */
export interface Windows {
  readonly size: readonly number[];
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  readonly pad: 'same' | readonly (readonly [number, number])[];
}

/** How one axis of an input is cut. */
export interface Extent {
  readonly before: number;
  readonly after: number;
  readonly output: number;
}

const isSize = (least: number) => (n: unknown) => Number.isSafeInteger(n) && (n as number) >= least;

const perAxisOption = (least: number, what: string): z.ZodType<PerAxis, PerAxis> =>
  z.custom<PerAxis>((x) => (Array.isArray(x) ? x.every(isSize(least)) : isSize(least)(x)), {
    error: `${what}, or one for each axis`,
  });

export const strideOption = perAxisOption(1, 'a positive integer');
export const countOption = perAxisOption(0, 'a non-negative integer');

const isPair = (x: unknown): boolean => Array.isArray(x) && x.length === 2 && x.every(isSize(0));

export const padOption = z.custom<Pad>(
  (x) => x === 'same' || isSize(0)(x) || (Array.isArray(x) && x.every((n) => isSize(0)(n) || isPair(n))),
  { error: '"same", a non-negative integer, or for each axis an integer or a pair [before, after]' },
);

/** The size of a window, whose length says over how many axes it slides. @throws TypeError */
export function windowSize(where: string, what: string, size: unknown): number[] {
  if (Array.isArray(size) && size.length >= 1 && size.length <= 3 && size.every(isSize(1))) {
    return [...(size as number[])];
  }
  throw new TypeError(
    `${where}: ${what} must be an array of one to three positive integers, one for each axis, got ${describe(size)}`,
  );
}

/** One number for each of `axes` axes. @throws TypeError */
export function perAxis(where: string, what: string, value: PerAxis, axes: number): number[] {
  if (typeof value === 'number') return Array.from({ length: axes }, () => value);
  if (value.length === axes) return [...value];
  throw new TypeError(
    `${where}: ${what} must be a number or ${axes} numbers, one for each axis, got ${describe(value)}`,
  );
}

/** A pair for each of `axes` axes, or 'same'. @throws TypeError */
function pairs(where: string, pad: Pad, axes: number): Windows['pad'] {
  if (pad === 'same') return pad;
  if (typeof pad === 'number') return Array.from({ length: axes }, () => [pad, pad]);
  if (pad.length === axes) return pad.map((n) => (typeof n === 'number' ? [n, n] : n));
  if (pad.length === 2 * axes && pad.every((n) => typeof n === 'number')) {
    return Array.from({ length: axes }, (_, i) => [pad[2 * i], pad[2 * i + 1]]);
  }
  throw new TypeError(
    `${where}: pad must be "same", a number, or ${axes} numbers or pairs, one for each axis, got ${describe(pad)}`,
  );
}

export interface WindowOptions {
  readonly stride?: PerAxis | undefined;
  readonly pad?: Pad | undefined;
  readonly dilation?: PerAxis | undefined;
}

/** @throws TypeError where an option does not have one entry for each axis. */
export function windows(
  where: string,
  size: readonly number[],
  { stride = 1, pad = 0, dilation = 1 }: WindowOptions,
): Windows {
  const axes = size.length;
  return {
    size,
    stride: perAxis(where, 'stride', stride, axes),
    dilation: perAxis(where, 'dilation', dilation, axes),
    pad: pairs(where, pad, axes),
  };
}

/** `2`, or `(2, 1)` where the axes differ. */
export const showPerAxis = (values: readonly number[]): string =>
  values.every((n) => n === values[0]) ? String(values[0]) : `(${values.join(', ')})`;

/** What differs from the defaults, in the words of the options: `stride=2`, `pad=(0, 1, 1, 2)`. */
export function windowWords({ stride, pad, dilation }: Windows, defaultStride?: readonly number[]): string[] {
  const words: string[] = [];
  if (stride.some((n, i) => n !== (defaultStride?.[i] ?? 1))) words.push(`stride=${showPerAxis(stride)}`);
  if (pad === 'same') words.push('pad=same');
  else if (pad.some(([a, b]) => a !== b)) words.push(`pad=(${pad.flat().join(', ')})`);
  else if (pad.some(([a]) => a !== 0)) words.push(`pad=${showPerAxis(pad.map(([a]) => a))}`);
  if (dilation.some((n) => n !== 1)) words.push(`dilation=${showPerAxis(dilation)}`);
  return words;
}

/** How far a window reaches, gaps included. */
export const reach = ({ size, dilation }: Windows): number[] => size.map((n, i) => (n - 1) * dilation[i] + 1);

/** The axes between batch and features. */
export const spatial = (x: Tensor): number[] => x.shape.slice(1, -1);

/** Input `[batch, ...axes, features]` with as many axes as the window. @throws LayerError */
export function checkSpatial(title: string, x: unknown, axes: number, features?: number): asserts x is Tensor {
  checkInput(title, x, { rank: axes + 2, ...(features === undefined ? {} : { features }) });
}

/** Padding and output size on each axis. @throws LayerError where the window does not fit once. */
export function extents(title: string, x: Tensor, w: Windows): Extent[] {
  return reach(w).map((wide, i) => {
    const size = x.shape[i + 1];
    const stride = w.stride[i];
    if (w.pad === 'same') {
      const output = Math.ceil(size / stride);
      const total = Math.max((output - 1) * stride + wide - size, 0);
      return { before: total >> 1, after: total - (total >> 1), output };
    }
    const [before, after] = w.pad[i];
    const output = Math.floor((size + before + after - wide) / stride) + 1;
    if (output < 1) {
      const padded = before + after === 0 ? '' : `, ${size + before + after} with its padding`;
      fail(
        title,
        `a window that reaches over ${wide} does not fit axis ${i + 1} of size ${size}${padded}, got shape ${formatShape(x.shape)}`,
      );
    }
    return { before, after, output };
  });
}

/** The input, padded where no kernel would do it, and the word for the kernel. */
export function padded(
  x: Tensor,
  w: Windows,
  cuts: readonly Extent[],
  value = 0,
  allowSame = true,
): [Tensor, 'valid' | 'same'] {
  if (cuts.every(({ before, after }) => before === 0 && after === 0)) return [x, 'valid'];
  const wide = reach(w);
  const asSame = cuts.every(({ before, after }, i) => {
    const size = x.shape[i + 1];
    const total = Math.max((Math.ceil(size / w.stride[i]) - 1) * w.stride[i] + wide[i] - size, 0);
    return before === total >> 1 && after === total - (total >> 1);
  });
  if (asSame && allowSame) return [x, 'same'];
  const paddings: [number, number][] = [[0, 0], ...cuts.map(({ before, after }): [number, number] => [before, after]), [0, 0]]; // prettier-ignore
  return [tf.pad(x, paddings, value), 'valid'];
}

/** `x` with `steps[k] - 1` zeros between its neighbours along axis `first + k`. */
export function spread(x: Tensor, first: number, steps: readonly number[]): Tensor {
  return steps.reduce((y, step, k) => {
    const n = y.shape[first + k];
    if (step === 1 || n === 1) return y;
    const lead = y.shape.slice(0, first + k);
    const tail = y.shape.slice(first + k + 1);
    const [before, after] = [lead, tail].map((shape) => shape.reduce((a, b) => a * b, 1));
    const wide = tf.reshape(
      tf.pad(tf.reshape(y, [before, n, 1, after]), [[0, 0], [0, 0], [0, step - 1], [0, 0]]), // prettier-ignore
      [before, n * step, after],
    );
    const kept = (n - 1) * step + 1;
    return tf.reshape(tf.slice(wide, [0, 0, 0], [before, kept, after]), [...lead, kept, ...tail]);
  }, x);
}
