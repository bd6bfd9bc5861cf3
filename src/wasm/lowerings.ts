/**
 * Kernels in terms of others that have generated code: choices by index, resampling, normalisation, and what moves blocks
 * of an image about.
 */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf, type Value } from '../graph/graph.js';
import { by, countTo, type Attrs, type Lowering, type Maker } from './lowering-maker.js';

/** The first place of the extreme value. As tfjs has it, a NaN is passed over unless it is the first element. */
const extremePlace = (reduction: 'Max' | 'Min'): Lowering =>
  by((make, { x }, { attrs, outputs: [out] }) => {
    if (x === undefined || x.dtype === 'bool' || sizeOf(x.shape) === 0) return undefined;
    const { shape, dtype } = x;
    const [axis] = tf.util.parseAxisParam(attrs.axis as number, [...shape]);
    const isNaN = dtype === 'float32' ? make.binary('NotEqual', x, x, shape, 'bool') : undefined;
    const worst = make.splat(reduction === 'Max' ? -Infinity : Infinity, 'float32');
    const known = isNaN === undefined ? x : make.select(isNaN, worst, x, shape, dtype);
    const kept = shape.map((n, i) => (i === axis ? 1 : n));
    const extreme = make.op(reduction, { x: known }, { [reduction === 'Max' ? 'reductionIndices' : 'axis']: [axis], keepDims: true }, kept, dtype); // prettier-ignore
    const isHere = make.binary('Equal', known, extreme, shape, 'bool');
    const n = make.splat(shape[axis], 'int32');
    const places = make.select(isHere, make.positions(shape[axis], axis, shape.length), n, shape, 'int32');
    const found = make.op('Min', { x: places }, { axis: [axis], keepDims: false }, out.shape, 'int32');
    if (isNaN === undefined) return found;
    const begin = shape.map(() => 0);
    const first = make.reshape(make.op('Slice', { x }, { begin, size: kept }, kept), out.shape);
    const isLost = make.binary('NotEqual', first, first, out.shape, 'bool');
    return make.select(isLost, make.splat(0, 'int32'), found, out.shape, 'int32');
  });

const oneHot = by((make, { indices }, { attrs, outputs: [out] }) => {
  const { depth, onValue, offValue } = attrs as { depth: number; onValue: number; offValue: number };
  if (indices?.dtype !== 'int32' || out.dtype === 'bool') return undefined;
  const { shape, dtype } = out;
  const column = make.reshape(indices, [...indices.shape, 1]);
  const row = make.positions(depth, 0, 1);
  const isHere = make.binary('Equal', column, row, shape, 'bool');
  return make.select(isHere, make.splat(onValue, dtype), make.splat(offValue, dtype), shape, dtype);
});

interface Resize {
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
  readonly size: readonly [number, number];
}

const ratioOf = (input: number, output: number, { alignCorners }: Resize): number => {
  const corners = alignCorners && output > 1 ? 1 : 0;
  return (input - corners) / (output - corners);
};

/** Columns first and then rows, as tfjs interpolates. */
const bilinear = by((make, { images }, { attrs }) => {
  if (images?.dtype !== 'float32') return undefined;
  const how = attrs as unknown as Resize;
  return [1, 0].reduce<Value>((x, k) => {
    const axis = k + 1;
    const [input, output] = [x.shape[axis], how.size[k]];
    const ratio = ratioOf(input, output, how);
    const at = countTo(output, (o) => (how.halfPixelCenters ? ratio * (o + 0.5) - 0.5 : ratio * o));
    const below = at.map((p) => Math.max(0, Math.floor(p)));
    const above = at.map((p) => Math.min(input - 1, Math.ceil(p)));
    const fractions = at.map((p, i) => p - below[i]);
    const near = make.gather(x, below, axis);
    const { shape } = near;
    const weights = make.constant(fractions, shape.map((n, i) => (i === axis ? n : 1)), 'float32'); // prettier-ignore
    const step = make.binary('Sub', make.gather(x, above, axis), near, shape);
    return make.binary('Add', near, make.binary('Multiply', step, weights, shape), shape);
  }, images);
});

const nearest = by((make, { images }, { attrs, outputs: [out] }) => {
  if (images === undefined || images.dtype !== out.dtype) return undefined;
  const how = attrs as unknown as Resize;
  return [0, 1].reduce<Value>((x, k) => {
    const [input, output] = [x.shape[k + 1], how.size[k]];
    const ratio = ratioOf(input, output, how);
    const places = countTo(output, (o) => {
      const at = ratio * (how.halfPixelCenters ? o + 0.5 : o);
      const place = Math.min(input - 1, how.alignCorners ? Math.round(at) : Math.floor(at));
      return how.halfPixelCenters ? Math.max(0, place) : place;
    });
    return make.gather(x, places, k + 1);
  }, images);
});

/** offset + (x - mean) scale / sqrt(variance + epsilon) */
const batchNorm = by((make, { x, mean, variance, scale, offset }, { attrs }) => {
  if (x === undefined || mean === undefined || variance === undefined) return undefined;
  const { shape } = x;
  const fits = (v: Value | undefined): boolean => v === undefined || v.shape.length <= 1 || v.shape.every((n, i) => n === shape[i]); // prettier-ignore
  if (![mean, variance, scale, offset].every(fits)) return undefined;
  const epsilon = make.splat((attrs.varianceEpsilon as number | null | undefined) ?? 0.001, 'float32');
  const deviation = make.op('Sqrt', { x: make.binary('Add', variance, epsilon, variance.shape) }, {}, variance.shape);
  const centred = make.binary('Sub', x, mean, shape);
  const scaled = scale === undefined ? centred : make.binary('Multiply', centred, scale, shape);
  const divided = make.binary('RealDiv', scaled, deviation, shape);
  return offset === undefined ? divided : make.binary('Add', divided, offset, shape);
});

const ACTIVATIONS: ReadonlyMap<string, string> = new Map([
  ['relu', 'Relu'],
  ['relu6', 'Relu6'],
  ['elu', 'Elu'],
  ['sigmoid', 'Sigmoid'],
]);

/** Convolution, bias and activation. */
const fused = (forward: string): Lowering =>
  by((make, { x, filter, bias, preluActivationWeights: slope }, { attrs, outputs: [{ shape }] }) => {
    const { strides, pad, dataFormat, dilations, dimRoundingMode, leakyreluAlpha } = attrs;
    if (x === undefined || filter === undefined || dataFormat === 'NCHW') return undefined;
    const given = { strides, pad, dataFormat, dilations, dimRoundingMode };
    const y = make.op(forward, { x, filter }, given, shape);
    const z = bias === undefined ? y : make.binary('Add', y, bias, shape);
    const activation = (attrs.activation as string | null | undefined) ?? 'linear';
    if (activation === 'linear') return z;
    if (activation === 'leakyrelu') return make.op('LeakyRelu', { x: z }, { alpha: leakyreluAlpha }, shape);
    if (activation === 'prelu') return slope === undefined ? undefined : make.op('Prelu', { x: z, alpha: slope }, {}, shape); // prettier-ignore
    const kernel = ACTIVATIONS.get(activation);
    return kernel === undefined ? undefined : make.op(kernel, { x: z }, {}, shape);
  });

/** Numbers at equal distances: known when the program is made. */
const evenly = (distance: (attrs: Attrs, n: number) => number, end?: (attrs: Attrs) => number): Lowering =>
  by((make, _, { attrs, outputs: [{ shape, dtype }] }) => {
    if (dtype === 'bool') return undefined;
    const [n] = shape;
    const step = distance(attrs, n);
    const at = (i: number): number => (attrs.start as number) + i * step;
    // The end itself, but for the rounding of the step.
    return make.constant(countTo(n, (i) => (end !== undefined && i > 0 && i === n - 1 ? end(attrs) : at(i))), shape, dtype); // prettier-ignore
  });

/** Seen in another shape, its axes in another order, and in a third shape. */
function rearrange(
  make: Maker,
  x: Value,
  shape: readonly number[],
  perm: readonly number[],
  to: readonly number[],
): Value {
  // prettier-ignore
  const split = make.reshape(x, shape);
  const turned = perm.map((i) => shape[i]);
  return make.reshape(make.op('Transpose', { x: split }, { perm: [...perm] }, turned, x.dtype), to);
}

const batchToSpace = by((make, { x }, { attrs, outputs: [out] }) => {
  if (x === undefined) return undefined;
  const block = attrs.blockShape as number[];
  const crops = attrs.crops as number[][];
  const product = sizeOf(block);
  const util = tf.backend_util;
  const split = util.getReshaped([...x.shape], block, product);
  const joined = util.getReshapedPermuted([...x.shape], block, product);
  const whole = rearrange(make, x, split, util.getPermuted(split.length, block.length), joined);
  const begin = util.getSliceBeginCoords(crops, block.length);
  return make.op('Slice', { x: whole }, { begin, size: [...out.shape] }, out.shape, x.dtype);
});

const spaceToBatch = by((make, { x }, { attrs, outputs: [out] }) => {
  if (x === undefined) return undefined;
  const block = attrs.blockShape as number[];
  const paddings = [[0, 0], ...(attrs.paddings as number[][])];
  while (paddings.length < x.shape.length) paddings.push([0, 0]);
  const shape = x.shape.map((n, i) => n + paddings[i][0] + paddings[i][1]);
  const padded = make.op('PadV2', { x }, { paddings, constantValue: 0 }, shape, x.dtype);
  const util = tf.backend_util;
  const split = util.getReshaped(shape, block, sizeOf(block), false);
  return rearrange(make, padded, split, util.getPermuted(split.length, block.length, false), out.shape);
});

const mirrored = by((make, { image }) => image && make.op('Reverse', { x: image }, { dims: [2] }, image.shape, image.dtype)); // prettier-ignore

const depthToSpace = by((make, { x }, { attrs, outputs: [out] }) => {
  if (x === undefined || attrs.dataFormat !== 'NHWC') return undefined;
  const [batch, height, width] = x.shape;
  const block = attrs.blockSize as number;
  return rearrange(make, x, [batch, height, width, block, block, out.shape[3]], [0, 1, 3, 2, 4, 5], out.shape);
});

interface Response {
  readonly depthRadius: number;
  readonly bias: number;
  readonly alpha: number;
  readonly beta: number;
}

/** Of more channels than these the host takes the sums: each is a product with a matrix of as many rows and columns. */
const MOST_CHANNELS = 256;

/** The sum over so many channels on either side of each: a product with a band matrix. */
function overChannels(make: Maker, x: Value, radius: number): Value {
  const { shape } = x;
  const n = shape[3];
  const rows = [sizeOf(shape) / n, n];
  const band = make.constant(countTo(n * n, (i) => (Math.abs(Math.floor(i / n) - (i % n)) <= radius ? 1 : 0)), [n, n], 'float32'); // prettier-ignore
  return make.reshape(make.op('BatchMatMul', [make.reshape(x, rows), band], { transposeA: false, transposeB: false }, rows), shape); // prettier-ignore
}

/** bias + alpha times the sum of the squares of the neighbouring channels. */
function responses(make: Maker, x: Value, { depthRadius, bias, alpha }: Response): Value | undefined {
  const { shape, dtype } = x;
  if (dtype !== 'float32' || shape[3] > MOST_CHANNELS || sizeOf(shape) === 0) return undefined;
  const sum = overChannels(make, make.op('Square', { x }, {}, shape), depthRadius);
  const scaled = make.binary('Multiply', sum, make.splat(alpha, 'float32'), shape);
  return make.binary('Add', scaled, make.splat(bias, 'float32'), shape);
}

/** Krizhevsky, Sutskever and Hinton 2012, section 3.3: x / s^beta. */
const localResponse = by((make, { x }, { attrs }) => {
  const how = attrs as unknown as Response;
  const s = x && responses(make, x, how);
  if (x === undefined || s === undefined) return undefined;
  const factor = make.binary('Pow', s, make.splat(-how.beta, 'float32'), x.shape);
  return make.binary('Multiply', x, factor, x.shape);
});

/** dy / s^beta - 2 alpha beta x (sum over the neighbours of y dy / s) */
const localResponseGradient = by((make, { x, y, dy }, { attrs }) => {
  const how = attrs as unknown as Response;
  const s = x && responses(make, x, how);
  if (x === undefined || y === undefined || dy === undefined || s === undefined) return undefined;
  const { shape } = x;
  const own = make.binary('Multiply', dy, make.binary('Pow', s, make.splat(-how.beta, 'float32'), shape), shape);
  const shared = overChannels(
    make,
    make.binary('RealDiv', make.binary('Multiply', y, dy, shape), s, shape),
    how.depthRadius,
  );
  const weighted = make.binary('Multiply', x, make.splat(2 * how.alpha * how.beta, 'float32'), shape);
  return make.binary('Sub', own, make.binary('Multiply', weighted, shared, shape), shape);
});

export const MORE_LOWERINGS: ReadonlyMap<string, Lowering> = new Map<string, Lowering>([
  ['ArgMax', extremePlace('Max')],
  ['ArgMin', extremePlace('Min')],
  ['OneHot', oneHot],
  ['ResizeBilinear', bilinear],
  ['ResizeNearestNeighbor', nearest],
  // A step of one may also mean down.
  [
    'Range',
    evenly(({ start, stop, step }) => ((stop as number) < (start as number) && step === 1 ? -1 : (step as number))),
  ],
  [
    'LinSpace',
    evenly(
      ({ start, stop }, n) => ((stop as number) - (start as number)) / Math.max(n - 1, 1),
      ({ stop }) => stop as number,
    ),
  ],
  ['FusedBatchNorm', batchNorm],
  ['FusedConv2D', fused('Conv2D')],
  ['FusedDepthwiseConv2D', fused('DepthwiseConv2dNative')],
  ['BatchToSpaceND', batchToSpace],
  ['SpaceToBatchND', spaceToBatch],
  ['DepthToSpace', depthToSpace],
  ['FlipLeftRight', mirrored],
  ['LRN', localResponse],
  ['LRNGrad', localResponseGradient],
]);
