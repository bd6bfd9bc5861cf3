/**
 * Pooling: which windows, times what becomes of each.
 *
 * Windows slide with a stride, or are the whole image, or are as many as are wanted. A reduction takes the maximum, the
 * mean or a p-norm of each. The nine layers are their products, over one, two or three axes.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { flag, parseOptions, positiveNumber, z } from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { formatShape } from '../core/value.js';
import { checkInput, fail } from './check.js';
import { functionLayer } from './functions.js';
import type { Stateless } from './types.js';
import {
  checkSpatial,
  extents,
  padded,
  padOption,
  reach,
  spatial,
  strideOption,
  windows,
  windowSize,
  windowWords,
  type Extent,
  type Pad,
  type PerAxis,
  type Windows,
} from './windows.js';

type Word = 'valid' | 'same';

/** What becomes of the elements of a window. */
interface Reduction {
  /** As it prints: `Max` of `MaxPool`. */
  readonly name: string;
  /** What it says of itself. */
  readonly words: readonly string[];
  /** Stands for the elements outside the input. */
  readonly outside: number;
  /** Does a kernel that pads by 'same' itself do the same as one that sees `outside` there? */
  readonly ignoresOutside: boolean;
  /** tfjs's kernels for two and three axes, on an input without further padding. */
  readonly images: (x: tf.Tensor4D, size: [number, number], stride: [number, number], pad: Word) => Tensor;
  readonly volumes: (x: tf.Tensor5D, size: Triple, stride: Triple, pad: Word) => Tensor;
  /** The same over axes of a tensor. */
  readonly over: (x: Tensor, axes: number[], keepDims: boolean) => Tensor;
  /** Around it all: a p-norm is the root of a mean of powers. */
  readonly before?: (x: Tensor) => Tensor;
  readonly after?: (y: Tensor, windows: Counts) => Tensor;
}

/** How many elements a window has, and how many of them lie inside the input, by output `[1, ...outputs, 1]`. */
interface Counts {
  readonly all: number;
  readonly inside: { readonly counts: readonly number[]; readonly shape: readonly number[] };
}

type Triple = [number, number, number];

const MAXIMUM: Reduction = {
  name: 'Max',
  words: [],
  outside: Number.NEGATIVE_INFINITY,
  ignoresOutside: true,
  images: (x, size, stride, pad) => tf.maxPool(x, size, stride, pad),
  volumes: (x, size, stride, pad) => tf.maxPool3d(x, size, stride, pad),
  over: (x, axes, keepDims) => tf.max(x, axes, keepDims),
};

const MEAN: Reduction = {
  name: 'Mean',
  words: [],
  outside: 0,
  ignoresOutside: false,
  images: (x, size, stride, pad) => tf.avgPool(x, size, stride, pad),
  volumes: (x, size, stride, pad) => tf.avgPool3d(x, size, stride, pad),
  over: (x, axes, keepDims) => tf.mean(x, axes, keepDims),
};

/** The mean of the elements inside: the zeros outside add nothing, and are taken out of the count. */
const MEAN_INSIDE: Reduction = {
  ...MEAN,
  words: ['countIncludePad=false'],
  after: (y, { all, inside: { counts, shape } }) =>
    counts.every((n) => n === all)
      ? y
      : tf.mul(
          y,
          constant(
            counts.map((n) => all / n),
            shape,
          ),
        ),
};

/** `(Σ |x|^p)^(1/p)`; where all is zero, its derivative is taken as zero. */
function norm(p: number): Reduction {
  const powers = (x: Tensor): Tensor => (p === 2 ? tf.square(x) : tf.pow(tf.abs(x), constant(p)));
  const root = (y: Tensor): Tensor => (p === 2 ? tf.sqrt(y) : tf.pow(y, constant(1 / p)));
  return {
    ...MEAN,
    name: 'LP',
    words: [`p=${p}`],
    before: p === 1 ? tf.abs : powers,
    after: (y, { all }) => {
      const sum = tf.mul(y, constant(all));
      if (p === 1) return sum;
      const some = tf.greater(sum, constant(0));
      return tf.where(some, root(tf.where(some, sum, tf.onesLike(sum))), tf.zerosLike(sum));
    },
  };
}

/** Each window's elements side by side in a new first axis: for dilated windows, which tfjs's kernels do not have. */
function taps(x: Tensor, w: Windows, cuts: readonly Extent[]): Tensor {
  const offsets = w.size.reduce<number[][]>(
    (all, n, i) => all.flatMap((at) => Array.from({ length: n }, (_, k) => [...at, k * w.dilation[i]])),
    [[]],
  );
  const slices = offsets.map((at) => {
    const begin = [0, ...at, 0];
    const end = [x.shape[0], ...at.map((k, i) => k + (cuts[i].output - 1) * w.stride[i] + 1), x.shape[x.rank - 1]];
    return tf.stridedSlice(x, begin, end, [1, ...w.stride, 1]);
  });
  return tf.stack(slices);
}

function pooled(title: string, x: Tensor, w: Windows, reduction: Reduction): Tensor {
  const axes = w.size.length;
  const { images, volumes, over, outside, ignoresOutside, before, after } = reduction;
  const cuts = extents(title, x, w);
  const dilated = w.dilation.some((n) => n > 1);
  const [input, pad] = padded(before === undefined ? x : before(x), w, cuts, outside, ignoresOutside && !dilated);
  const whole = cuts.every(({ output }) => output === 1) && reach(w).every((n, i) => n === input.shape[i + 1]);
  const slide = (): Tensor => {
    if (dilated) return over(taps(input, w, cuts), [0], false);
    // A window over everything is a plain reduction, which every backend has a fast kernel for.
    if (whole && pad === 'valid') return over(input, range(axes), true);
    if (axes === 3) return volumes(input as tf.Tensor5D, w.size as Triple, w.stride as Triple, pad);
    if (axes === 2) return images(input as tf.Tensor4D, w.size as [number, number], w.stride as [number, number], pad);
    const wide: tf.Tensor4D = tf.expandDims(input, 1);
    return tf.squeeze(images(wide, [1, w.size[0]], [1, w.stride[0]], pad), [1]);
  };
  const y = slide();
  return after === undefined ? y : after(y, { all: w.size.reduce((n, m) => n * m, 1), inside: inside(x, w, cuts) });
}

/** Elements of each window that lie inside the input. */
function inside(x: Tensor, { size, stride, dilation }: Windows, cuts: readonly Extent[]): Counts['inside'] {
  const along = cuts.map(({ before, output }, i) =>
    Array.from({ length: output }, (_o, o) => {
      const first = o * stride[i] - before;
      return Array.from({ length: size[i] }, (_k, k) => first + k * dilation[i]).filter((at) => at >= 0 && at < x.shape[i + 1]).length; // prettier-ignore
    }),
  );
  const counts = along.reduce<number[]>((all, axis) => all.flatMap((n) => axis.map((m) => n * m)), [1]);
  return { counts, shape: [1, ...cuts.map(({ output }) => output), 1] };
}

/** The axes between batch and features. */
const range = (axes: number): number[] => Array.from({ length: axes }, (_, i) => i + 1);

export interface PoolOptions {
  /** Steps of the window; a number for all axes. Default: its size, so that windows lie side by side. */
  readonly stride?: PerAxis;
  /** How far windows reach over the border. Default 0. */
  readonly pad?: Pad;
  /** Distance between the elements of a window. Default 1. */
  readonly dilation?: PerAxis;
}

export interface MeanPoolOptions extends PoolOptions {
  /**
   * Count elements outside the input as zeros, as Lux.jl and PyTorch do; false leaves them out of the mean, as TensorFlow
   * does. Default true.
   */
  readonly countIncludePad?: boolean;
}

export interface NormOption {
  /** The norm's exponent. Default 2. */
  readonly p?: number;
}

const WINDOW = z.strictObject({
  stride: strideOption.optional(),
  pad: padOption.default(0),
  dilation: strideOption.default(1),
});
const MEAN_WINDOW = WINDOW.extend({ countIncludePad: flag.default(true) });
const NORM = z.strictObject({ p: positiveNumber.default(2) });
const NORM_WINDOW = WINDOW.extend(NORM.shape);

const shapeWords = (size: readonly number[]): string => `(${size.join(', ')}${size.length === 1 ? ',' : ''})`;

/** Windows of a given size that slide. */
function sliding(
  where: string,
  window: readonly number[],
  options: z.output<typeof WINDOW>,
  reduction: Reduction,
): Stateless {
  const size = windowSize(where, 'the window', window);
  const w = windows(where, size, { ...options, stride: options.stride ?? size });
  const summary = [shapeWords(size), ...windowWords(w, size), ...reduction.words].join(', ');
  const name = `${reduction.name}Pool`;
  const title = `${name}(${summary})`;
  return functionLayer(name, summary, (x: Tensor) => {
    checkSpatial(title, x, size.length);
    return pooled(title, x, w, reduction);
  });
}

/** One window: the whole image. */
function global(reduction: Reduction): Stateless {
  const name = `Global${reduction.name}Pool`;
  const summary = reduction.words.join(', ');
  const title = `${name}(${summary})`;
  return functionLayer(name, summary, (x: Tensor) => {
    checkInput(title, x, { rank: [3, 5] });
    const size = spatial(x);
    return pooled(title, x, windows(title, size, {}), reduction);
  });
}

/** As many windows as are wanted. */
function adaptive(where: string, outputs: readonly number[], reduction: Reduction): Stateless {
  const wanted = windowSize(where, 'the output size', outputs);
  const name = `Adaptive${reduction.name}Pool`;
  const summary = [shapeWords(wanted), ...reduction.words].join(', ');
  const title = `${name}(${summary})`;
  return functionLayer(name, summary, (x: Tensor) => {
    checkSpatial(title, x, wanted.length);
    const given = spatial(x);
    if (given.some((n, i) => n < wanted[i])) {
      fail(title, `cannot make ${formatShape(wanted)} windows of ${formatShape(given)}, got shape ${formatShape(x.shape)}`); // prettier-ignore
    }
    const stride = given.map((n, i) => Math.floor(n / wanted[i]));
    const size = given.map((n, i) => n - (wanted[i] - 1) * stride[i]);
    return pooled(title, x, windows(title, size, { stride }), reduction);
  });
}

/**
 * The maximum of each window: `[batch, ...axes, features]` to `[batch, ...outputs, features]`. Elements outside the input
 * take no part. The cotangent of each window goes to its maximum; to one of
 * them where several are equal.
 *
 * Each axis gives `floor((size + padding - dilation (window - 1) - 1) / stride) + 1` outputs.
 *
 * @param window One number for each axis: `[2, 2]` for images.
 * @param options `stride`, `pad`, `dilation`.
 * @throws TypeError for a bad window or option; `apply` throws a LayerError where the input does not fit.
 */
export const maxPool = (window: readonly number[], options?: PoolOptions): Stateless =>
  sliding('maxPool', window, parseOptions(WINDOW, options, 'maxPool'), MAXIMUM);

/** The mean of each window; see {@link maxPool}. @param options `stride`, `pad`, `dilation`, `countIncludePad`. */
export function meanPool(window: readonly number[], options?: MeanPoolOptions): Stateless {
  const { countIncludePad, ...rest } = parseOptions(MEAN_WINDOW, options, 'meanPool');
  return sliding('meanPool', window, rest, countIncludePad ? MEAN : MEAN_INSIDE);
}

/** `(Σ |x|^p)^(1/p)` over each window; see {@link maxPool}. @param options `stride`, `pad`, `dilation`, `p`. */
export function lpPool(window: readonly number[], options?: PoolOptions & NormOption): Stateless {
  const { p, ...rest } = parseOptions(NORM_WINDOW, options, 'lpPool');
  return sliding('lpPool', window, rest, norm(p));
}

/** The maximum over all axes between batch and features, which become 1. */
export const globalMaxPool = (): Stateless => global(MAXIMUM);

/** The mean over all axes between batch and features, which become 1. */
export const globalMeanPool = (): Stateless => global(MEAN);

/** `(Σ |x|^p)^(1/p)` over all axes between batch and features, which become 1. */
export const globalLpPool = (options?: NormOption): Stateless =>
  global(norm(parseOptions(NORM, options, 'globalLpPool').p));

/**
 * {@link maxPool} with as many outputs as are wanted, whatever the input: windows of `size - (outputs - 1) stride` with
 * `stride = floor(size / outputs)`, as in Lux.jl.
 *
 * @param outputs One number for each axis: `[7, 7]` for images.
 */
export const adaptiveMaxPool = (outputs: readonly number[]): Stateless => adaptive('adaptiveMaxPool', outputs, MAXIMUM);

/** {@link meanPool} with as many outputs as are wanted; see {@link adaptiveMaxPool}. */
export const adaptiveMeanPool = (outputs: readonly number[]): Stateless => adaptive('adaptiveMeanPool', outputs, MEAN);

/** {@link lpPool} with as many outputs as are wanted; see {@link adaptiveMaxPool}. */
export const adaptiveLpPool = (outputs: readonly number[], options?: NormOption): Stateless =>
  adaptive('adaptiveLpPool', outputs, norm(parseOptions(NORM, options, 'adaptiveLpPool').p));
