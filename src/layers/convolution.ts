/**
 * Convolutions over one, two or three axes, and their transposes.
 *
 * Everything here is tfjs's convolution in two and three dimensions: one axis is an image of height 1, a group is a
 * slice of the channels, a depthwise convolution has as many groups as channels, and true convolution turns the kernel
 * round first.
 */
import * as tf from '@tensorflow/tfjs-core';
import { calculateGain, glorotUniform, kaimingUniform, uniformInit, zerosInit } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, positiveInteger } from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { resolveActivation, type Activation } from '../functional/activations.js';
import { affine, AFFINE_OPTIONS, parseAffine, sizeOf, type AffineOptions, type AffineParameters } from './affine.js';
import { checkSize, fail } from './check.js';
import {
  checkSpatial,
  countOption,
  extents,
  padded,
  padOption,
  perAxis,
  reach,
  showPerAxis,
  spatial,
  spread,
  strideOption,
  windows,
  windowSize,
  windowWords,
  type Pad,
  type PerAxis,
  type Windows,
} from './windows.js';

export interface ConvOptions<B extends boolean = boolean> extends AffineOptions<B> {
  /** Steps of the window; a number for all axes. Default 1. */
  readonly stride?: PerAxis;
  /** Zeros around the input. Default 0. */
  readonly pad?: Pad;
  /** Distance between the taps of the kernel. Default 1. */
  readonly dilation?: PerAxis;
  /** Into how many groups the channels fall, each convolved by itself. Default 1. */
  readonly groups?: number;
  /**
   * true: the kernel slides as it is, as in tfjs, PyTorch and JAX. false: it is turned round first, which is the
   * convolution of mathematics and the default of Lux.jl. Default true.
   */
  readonly crossCorrelation?: boolean;
}

export interface ConvTransposeOptions<B extends boolean = boolean> extends ConvOptions<B> {
  /** Elements added behind each axis of the output, which the stride leaves open; less than the stride. Default 0. */
  readonly outputPadding?: PerAxis;
}

const OPTIONS = AFFINE_OPTIONS.extend({
  stride: strideOption.default(1),
  pad: padOption.default(0),
  dilation: strideOption.default(1),
  groups: positiveInteger.default(1),
  crossCorrelation: flag.default(true),
});

const DEPTHWISE_OPTIONS = OPTIONS.omit({ groups: true });
const TRANSPOSE_OPTIONS = OPTIONS.extend({ outputPadding: countOption.default(0) });

type Correlate = (x: Tensor, kernel: Tensor, w: Windows, pad: 'valid' | 'same') => Tensor;

type Three = [number, number, number];

/** One group, on an input padded already, by the number of axes. */
const CORRELATE: Readonly<Record<number, Correlate>> = {
  1: (x, kernel, w, pad) => squeezed(CORRELATE[2](image(x), row(kernel), flat(w), pad)),
  2: (x, kernel, w, pad) =>
    tf.conv2d(
      x as tf.Tensor4D,
      kernel as tf.Tensor4D,
      w.stride as [number, number],
      pad,
      'NHWC',
      w.dilation as [number, number],
    ),
  3: (x, kernel, w, pad) =>
    tf.conv3d(x as tf.Tensor5D, kernel as tf.Tensor5D, w.stride as Three, pad, 'NDHWC', w.dilation as Three),
};

/** As many groups as channels: `kernel [...window, 1, out]`. tfjs has it for images. */
const DEPTHWISE: Readonly<Record<number, Correlate | undefined>> = {
  1: (x, kernel, w, pad) => squeezed(depthwise(image(x), row(kernel), flat(w), pad)),
  2: (x, kernel, w, pad) => depthwise(x, kernel, w, pad),
};

function depthwise(x: Tensor, kernel: Tensor, w: Windows, pad: 'valid' | 'same'): Tensor {
  const channels = x.shape[x.rank - 1];
  const [height, width, , outputs] = kernel.shape as [number, number, number, number];
  const filter: tf.Tensor4D = tf.reshape(kernel, [height, width, channels, outputs / channels]);
  const [stride, dilation] = [w.stride, w.dilation] as [number, number][];
  return tf.depthwiseConv2d(x as tf.Tensor4D, filter, stride, pad, 'NHWC', dilation);
}

const image = (x: Tensor): Tensor => tf.expandDims(x, 1);
const row = (kernel: Tensor): Tensor => tf.expandDims(kernel, 0);
const squeezed = (y: Tensor): Tensor => tf.squeeze(y, [1]);
// Steps are the same on both axes, because some backends have no others; on an axis of size 1 they do nothing.
const flat = (w: Windows): Windows => ({ ...w, stride: [w.stride[0], w.stride[0]], dilation: [w.dilation[0], w.dilation[0]] }); // prettier-ignore

/**
 * The kernel `[...window, inputs, outputs]` turned round on the axes it slides along: correlation with the one is
 * convolution with the other. Kernels of Lux.jl, whose default is true convolution, are turned by it for `conv` here.
 *
 * @throws TypeError for a tensor of less than three axes.
 */
export function flipKernel(kernel: Tensor): Tensor {
  if (kernel.rank < 3) {
    throw new TypeError(
      `flipKernel: expected a kernel [...window, inputs, outputs] with 3 axes or more, got ${formatShape(kernel.shape)}`,
    );
  }
  return tf.reverse(
    kernel,
    Array.from({ length: kernel.rank - 2 }, (_, i) => i),
  );
}

/** Slices of equal size along an axis. */
function slices(x: Tensor, axis: number, count: number): Tensor[] {
  if (count === 1) return [x];
  const size = x.shape.map((n, i) => (i === axis ? n / count : n));
  return Array.from({ length: count }, (_, g) =>
    tf.slice(
      x,
      x.shape.map((_n, i) => (i === axis ? g * size[axis] : 0)),
      size,
    ),
  );
}

function correlation(title: string, x: Tensor, kernel: Tensor, given: Windows, groups: number): Tensor {
  const axes = given.size.length;
  const [input, pad] = padded(x, given, extents(title, x, given));
  // tfjs has steps or dilation, not both: the zeros of a dilated kernel are then written out.
  const both = given.stride.some((n) => n > 1) && given.dilation.some((n) => n > 1);
  const w = both ? { ...given, dilation: given.dilation.map(() => 1) } : given;
  const filter = both ? spread(kernel, 0, given.dilation) : kernel;
  const native = DEPTHWISE[axes];
  if (groups > 1 && groups === x.shape[axes + 1] && native !== undefined) return native(input, filter, w, pad);
  const [inputs, filters] = [slices(input, axes + 1, groups), slices(filter, axes + 1, groups)];
  const parts = inputs.map((part, g) => CORRELATE[axes](part, filters[g], w, pad));
  return parts.length === 1 ? parts[0] : tf.concat(parts, axes + 1);
}

type Transpose = (x: Tensor, kernel: Tensor, stride: readonly number[], output: readonly number[]) => Tensor;

/** The transpose of one group's correlation without padding, by the number of axes; `output` is its size. */
const TRANSPOSE: Readonly<Record<number, Transpose>> = {
  1: (x, kernel, [stride], [size]) => squeezed(TRANSPOSE[2](image(x), row(kernel), [stride, stride], [1, size])),
  2: (x, kernel, stride, output) => {
    const shape = [x.shape[0], ...output, kernel.shape[2]] as [number, number, number, number];
    return tf.conv2dTranspose(x as tf.Tensor4D, kernel as tf.Tensor4D, shape, stride as [number, number], 'valid');
  },
  // As a correlation with the kernel turned round; tfjs's own is wrong on its wasm backend.
  3: (x, kernel, stride, output) => {
    const wide = spread(x, 1, stride);
    const paddings = [0, 1, 2].map((i): [number, number] => {
      const before = kernel.shape[i] - 1;
      return [before, output[i] - wide.shape[i + 1]];
    });
    const filter = tf.transpose(flipKernel(kernel), [0, 1, 2, 4, 3]) as tf.Tensor5D;
    return tf.conv3d(tf.pad(wide, [[0, 0], ...paddings, [0, 0]]) as tf.Tensor5D, filter, 1, 'valid');
  },
};

/** What of the full output of a transposed convolution is left, and how much of it is cut off in front. */
function crop(w: Windows, outputPadding: readonly number[], shape: readonly number[]): { size: number; before: number; full: number }[] {
  return reach(w).map((wide, i) => {
    const [n, stride] = [shape[i], w.stride[i]];
    const full = (n - 1) * stride + wide;
    if (w.pad === 'same') {
      const excess = Math.max(wide - stride, 0);
      return { size: n * stride, before: excess >> 1, full: Math.max(full, n * stride) };
    }
    const [before, after] = w.pad[i];
    return { size: full + outputPadding[i] - before - after, before, full: full + outputPadding[i] };
  });
} // prettier-ignore

function transposed(
  title: string,
  x: Tensor,
  kernel: Tensor,
  w: Windows,
  groups: number,
  outputPadding: readonly number[],
): Tensor {
  const axes = w.size.length;
  const cut = crop(w, outputPadding, spatial(x));
  if (cut.some(({ size }) => size < 1)) {
    fail(title, `nothing is left of the output when its padding is cut off, got shape ${formatShape(x.shape)}`);
  }
  const filter = spread(kernel, 0, w.dilation);
  const [inputs, filters] = [slices(x, axes + 1, groups), slices(filter, axes + 1, groups)];
  const full = cut.map((axis) => axis.full);
  const parts = inputs.map((part, g) => TRANSPOSE[axes](part, filters[g], w.stride, full));
  const y = parts.length === 1 ? parts[0] : tf.concat(parts, axes + 1);
  if (cut.every(({ size, before, full }) => before === 0 && size === full)) return y;
  return tf.slice(y, [0, ...cut.map(({ before }) => before), 0], [x.shape[0], ...cut.map(({ size }) => size), y.shape[axes + 1]]); // prettier-ignore
}

/** The sizes that every convolution is made with. @throws TypeError */
function checkChannels(where: string, inputs: unknown, outputs: unknown, groups: number): void {
  checkSize(where, 'the number of input channels', inputs);
  checkSize(where, 'the number of output channels', outputs);
  for (const [what, n] of [['input', inputs], ['output', outputs]] as const) {
    if ((n as number) % groups === 0) continue;
    throw new TypeError(`${where}: ${groups} groups must divide the ${what} channels, got ${describe(n)}`);
  } // prettier-ignore
}

const kernelWords = (size: readonly number[], inputs: number, outputs: number): string =>
  `(${size.join(', ')}${size.length === 1 ? ',' : ''}), ${inputs} => ${outputs}`;

const modeWords = (groups: number, crossCorrelation: boolean): string[] => [
  ...(groups === 1 ? [] : [`groups=${groups}`]),
  ...(crossCorrelation ? [] : ['crossCorrelation=false']),
];

/**
 * Convolution: `[batch, ...axes, inputs]` to `[batch, ...axes, outputs]`, over one, two or three axes.
 *
 * Each axis gives `floor((size + padding - dilation (kernel - 1) - 1) / stride) + 1` outputs.
 *
 * Parameters: `weight [...kernel, inputs / groups, outputs]`, `bias [outputs]`. The weight starts uniform within
 * `± √3 gain / √fan` with the gain that suits the activation ({@link calculateGain}), the bias within `± 1 / √fan`, where
 * `fan` is the kernel's size times `inputs / groups`.
 *
 * @param kernel The size of the kernel, one number for each axis: `[3, 3]` for images `[batch, height, width, inputs]`.
 * @param activation A name or a function. Default: none.
 * @param options `stride`, `pad`, `dilation`, `groups`, `crossCorrelation`, `useBias`, `initWeight`, `initBias`.
 * @throws TypeError for bad sizes, options or activations; `apply` throws a LayerError for an input or for parameters
 * that do not fit.
 */
export function conv<B extends boolean = true>(
  kernel: readonly number[],
  inputs: number,
  outputs: number,
  activation: Activation = 'identity',
  options?: ConvOptions<B>,
): Layer<Tensor, Tensor, AffineParameters<B>, Empty> {
  return convolution<B>('conv', kernel, inputs, outputs, activation, options);
}

function convolution<B extends boolean>(
  where: string,
  kernel: readonly number[],
  inputs: number,
  outputs: number,
  activation: Activation,
  options: ConvOptions<B> | undefined,
): Layer<Tensor, Tensor, AffineParameters<B>, Empty> {
  const size = windowSize(where, 'the kernel', kernel);
  const parsed = parseAffine(OPTIONS, options, where);
  const { groups, crossCorrelation } = parsed;
  checkChannels(where, inputs, outputs, groups);
  const w = windows(where, size, parsed);
  const resolved = resolveActivation(activation, where);
  return affine<Tensor, B>(resolved, parsed, {
    name: 'Conv',
    summary: kernelWords(size, inputs, outputs),
    words: [...windowWords(w), ...modeWords(groups, crossCorrelation)],
    weight: [...size, inputs / groups, outputs],
    bias: [outputs],
    initWeight: kaimingUniform(calculateGain(resolved.name)),
    initBias: uniformInit(1 / Math.sqrt((sizeOf(size) * inputs) / groups)),
    product: (title, x, weight) => {
      checkSpatial(title, x, size.length, inputs);
      return correlation(title, x, crossCorrelation ? weight : flipKernel(weight), w, groups);
    },
  });
}

/**
 * {@link conv} of each channel by itself, which makes `outputs / inputs` channels of it.
 *
 * Parameters: `weight [...kernel, 1, outputs]`, `bias [outputs]`. It is `conv` with `groups: inputs`, and prints as that.
 *
 * @param outputs A multiple of `inputs`.
 */
export function depthwiseConv<B extends boolean = true>(
  kernel: readonly number[],
  inputs: number,
  outputs: number = inputs,
  activation: Activation = 'identity',
  options?: Omit<ConvOptions<B>, 'groups'>,
): Layer<Tensor, Tensor, AffineParameters<B>, Empty> {
  checkSize('depthwiseConv', 'the number of input channels', inputs);
  parseAffine(DEPTHWISE_OPTIONS, options, 'depthwiseConv');
  return convolution<B>('depthwiseConv', kernel, inputs, outputs, activation, { ...options, groups: inputs }); // prettier-ignore
}

/**
 * The transpose of a convolution from `outputs` to `inputs` channels: it gives back the shape that such a convolution
 * takes. (Some call it deconvolution.)
 *
 * Each axis gives `(size - 1) stride + dilation (kernel - 1) + 1 - padding + outputPadding` outputs; `pad: 'same'` gives
 * `size stride`.
 *
 * Parameters: `weight [...kernel, outputs / groups, inputs]`, `bias [outputs]`. The weight starts as
 * {@link glorotUniform}, the bias as zeros.
 *
 * @param options As for {@link conv}, and `outputPadding`.
 */
export function convTranspose<B extends boolean = true>(
  kernel: readonly number[],
  inputs: number,
  outputs: number,
  activation: Activation = 'identity',
  options?: ConvTransposeOptions<B>,
): Layer<Tensor, Tensor, AffineParameters<B>, Empty> {
  const where = 'convTranspose';
  const size = windowSize(where, 'the kernel', kernel);
  const parsed = parseAffine(TRANSPOSE_OPTIONS, options, where);
  const { groups, crossCorrelation } = parsed;
  checkChannels(where, inputs, outputs, groups);
  const w = windows(where, size, parsed);
  const outputPadding = perAxis(where, 'outputPadding', parsed.outputPadding, size.length);
  if (outputPadding.some((n, i) => n >= w.stride[i])) {
    throw new TypeError(
      `${where}: outputPadding must be less than the stride ${showPerAxis(w.stride)}, got ${showPerAxis(outputPadding)}`,
    );
  }
  if (w.pad === 'same' && outputPadding.some((n) => n > 0)) {
    throw new TypeError(`${where}: pad "same" leaves no room for outputPadding, got ${showPerAxis(outputPadding)}`);
  }
  const more = outputPadding.some((n) => n > 0) ? [`outputPadding=${showPerAxis(outputPadding)}`] : [];
  return affine<Tensor, B>(resolveActivation(activation, where), parsed, {
    name: 'ConvTranspose',
    summary: kernelWords(size, inputs, outputs),
    words: [...windowWords(w), ...more, ...modeWords(groups, crossCorrelation)],
    weight: [...size, outputs / groups, inputs],
    bias: [outputs],
    initWeight: glorotUniform(),
    initBias: zerosInit(),
    product: (title, x, weight) => {
      checkSpatial(title, x, size.length, inputs);
      const filter = crossCorrelation ? weight : flipKernel(weight);
      return transposed(title, x, filter, w, groups, outputPadding);
    },
  });
}
