/**
 * Resampling of images [batch, height, width, channels].
 *
 * Resizing is linear and works on rows and columns separately: a product with one sparse matrix for each, whose transpose
 * is the derivative. Cropping and projective transforms also depend on where they sample: they are written out as gathers
 * with interpolation weights.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import type { Attrs } from '../engine.js';
import type { Rule, RuleTable } from './rule.js';
import { integers, kernel, linear, through, type Inputs, type Tensor } from './tools.js';

const { add, sub, mul, div, floor } = tf;

interface ResizeAttrs {
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
}

/** Which inputs, with what weights, make output `o`. */
type Taps = (o: number, input: number, ratio: number, attrs: ResizeAttrs) => readonly (readonly [number, number])[];

const bilinearTaps: Taps = (o, input, ratio, { halfPixelCenters }) => {
  const at = halfPixelCenters ? ratio * (o + 0.5) - 0.5 : ratio * o;
  const below = Math.max(0, Math.floor(at));
  return [
    [below, 1 - (at - below)],
    [Math.min(input - 1, Math.ceil(at)), at - below],
  ];
};

const nearestTaps: Taps = (o, input, ratio, { alignCorners, halfPixelCenters }) => {
  const at = ratio * (halfPixelCenters ? o + 0.5 : o);
  const nearest = alignCorners ? Math.round(at) : Math.floor(at);
  return [[Math.max(0, Math.min(input - 1, nearest)), 1]];
};

/** [input, output]: the transpose of the matrix that resizes one axis. */
function transposedMatrix(taps: Taps, input: number, output: number, attrs: ResizeAttrs): Tensor {
  const corners = attrs.alignCorners && output > 1 ? 1 : 0;
  const ratio = (input - corners) / (output - corners);
  const weights = new Array<number>(input * output).fill(0);
  for (let o = 0; o < output; o++) {
    for (const [i, weight] of taps(o, input, ratio, attrs)) weights[i * output + o] += weight;
  }
  return constant(weights, [1, input, output]);
}

const resize =
  (taps: Taps): Rule =>
  ({ inputs: { images }, dys: [dy], attrs }) => ({
    images: () => {
      const how = attrs as unknown as ResizeAttrs;
      const [batch, height, width, channels] = images.shape;
      const [, newHeight, newWidth] = dy.shape;
      const rows = transposedMatrix(taps, height, newHeight, how);
      const columns = transposedMatrix(taps, width, newWidth, how);
      const byRow = tf.matMul(rows, tf.reshape(dy, [batch, newHeight, newWidth * channels]));
      const byColumn = tf.matMul(columns, tf.reshape(byRow, [batch * height, newWidth, channels]));
      return tf.reshape(byColumn, images.shape);
    },
  });

/** tfjs's backward kernels, linear in dy, know no half pixel centres: the resize they transpose has none. */
const resizeGrad = (forward: string): Rule =>
  linear('dy', (g, dy, { alignCorners }) =>
    kernel(forward, { images: g }, { alignCorners, halfPixelCenters: false, size: dy.shape.slice(1, 3) }),
  );

const clamped = (x: Tensor, n: number): Tensor => tf.clipByValue(x, 0, n - 1);

/** `image[b, y, x]`, the coordinates being whole numbers [n, h, w]; `fill` where they lie outside. */
function pixelsAt(image: Tensor, b: Tensor, y: Tensor, x: Tensor, fill: number): Tensor {
  const [, height, width, channels] = image.shape;
  const within = (c: Tensor, n: number): Tensor => tf.logicalAnd(tf.greaterEqual(c, 0), tf.less(c, n));
  const inside = tf.logicalAnd(within(y, height), within(x, width));
  const places = tf.stack([b, tf.cast(clamped(y, height), 'int32'), tf.cast(clamped(x, width), 'int32')], inside.rank);
  const pixels = tf.gatherND(image, places);
  const mask = tf.broadcastTo(tf.expandDims(inside, inside.rank), [...inside.shape, channels]);
  return kernel('Select', { condition: mask, t: pixels, e: add(tf.zeros(pixels.shape), constant(fill)) });
}

/** Interpolate between the four pixels around (y, x), linearly in each coordinate. */
function bilinear(image: Tensor, b: Tensor, y: Tensor, x: Tensor, fill: number): Tensor {
  const above = floor(y);
  const left = floor(x);
  const along = (w: Tensor): Tensor => tf.expandDims(w, w.rank);
  const row = (yy: Tensor): Tensor => {
    const right = add(left, 1);
    const near = mul(along(sub(right, x)), pixelsAt(image, b, yy, left, fill));
    return add(near, mul(along(sub(x, left)), pixelsAt(image, b, yy, right, fill)));
  };
  const below = add(above, 1);
  return add(mul(along(sub(below, y)), row(above)), mul(along(sub(y, above)), row(below)));
}

/** Halves go up, as in Math.round; tf.round would send them to the even neighbour. */
const rounded = (x: Tensor): Tensor => floor(add(x, 0.5));

const nearest = (image: Tensor, b: Tensor, y: Tensor, x: Tensor, fill: number): Tensor =>
  pixelsAt(image, b, rounded(y), rounded(x), fill);

const ramp = (n: number, shape: readonly number[]): Tensor => constant(Array.from({ length: n }, (_, i) => i), shape); // prettier-ignore

function cropAndResize({ image, boxes, boxInd }: Inputs, attrs: Attrs): Tensor {
  const { cropSize, method, extrapolationValue } = attrs as unknown as {
    cropSize: [number, number];
    method: string;
    extrapolationValue: number;
  };
  const [, height, width, channels] = image.shape;
  const n = boxes.shape[0];
  const shape = [n, ...cropSize];
  const corner = (k: number): Tensor => tf.slice(boxes, [0, k], [n, 1]);
  /** Where the samples of one axis lie, [n, crop]: evenly from the first corner to the second, or half-way. */
  const samples = (from: Tensor, to: Tensor, size: number, crop: number): Tensor => {
    if (crop === 1) return mul(add(from, to), constant(0.5 * (size - 1)));
    const step = mul(sub(to, from), constant((size - 1) / (crop - 1)));
    return add(mul(from, constant(size - 1)), mul(ramp(crop, [1, crop]), step));
  };
  const y = tf.broadcastTo(tf.expandDims(samples(corner(0), corner(2), height, cropSize[0]), 2), shape);
  const x = tf.broadcastTo(tf.expandDims(samples(corner(1), corner(3), width, cropSize[1]), 1), shape);
  const b = tf.broadcastTo(tf.reshape(tf.cast(boxInd, 'int32'), [n, 1, 1]), shape);
  const within = (c: Tensor, size: number): Tensor => tf.logicalAnd(tf.greaterEqual(c, 0), tf.lessEqual(c, size - 1));
  const inside = tf.logicalAnd(within(y, height), within(x, width));
  // Beyond the last pixel only weight zero is read.
  const sample = method === 'nearest' ? nearest(image, b, y, x, 0) : bilinear(image, b, y, x, 0);
  const mask = tf.broadcastTo(tf.expandDims(inside, 3), [...shape, channels]);
  return tf.where(mask, sample, tf.fill([...shape, channels], extrapolationValue));
}

/** Where a coordinate beyond the image is taken from, for each fill mode: piecewise of slope 1, -1 or 0. */
const FILL_MODES: Readonly<Record<string, (c: Tensor, n: number) => Tensor>> = {
  constant: (c) => c,
  nearest: clamped,
  // The image between its own mirror images, borders repeated: period 2n.
  reflect: (c, n) => {
    if (n <= 1) return tf.zerosLike(c);
    const upper = sub(c, mul(floor(div(c, 2 * n)), 2 * n));
    const mirrored = tf.where(tf.greaterEqual(upper, n), sub(2 * n - 1, upper), upper);
    const within = tf.logicalAnd(tf.greaterEqual(c, 0), tf.lessEqual(c, n - 1));
    return clamped(tf.where(within, c, mirrored), n);
  },
  // tfjs counts the turns in units of n - 1 and steps by n.
  wrap: (c, n) => {
    if (n <= 1) return tf.zerosLike(c);
    const low = add(c, mul(add(floor(div(tf.neg(c), n - 1)), 1), n));
    const high = sub(c, mul(floor(div(c, n - 1)), n));
    return clamped(tf.where(tf.less(c, 0), low, tf.where(tf.greater(c, n - 1), high, c)), n);
  },
};

/** Output pixel (x, y) shows the input at ((a0 x + a1 y + a2) / w, (b0 x + b1 y + b2) / w), w = c0 x + c1 y + 1. */
function projective({ image, transforms }: Inputs, attrs: Attrs): Tensor {
  const { interpolation, fillMode, fillValue, outputShape } = attrs as unknown as {
    interpolation: string;
    fillMode: string;
    fillValue: number;
    outputShape?: [number, number];
  };
  const [batch, height, width, channels] = image.shape;
  const [outHeight, outWidth] = outputShape ?? [height, width];
  const shape = [batch, outHeight, outWidth];
  const all = tf.broadcastTo(transforms, [batch, 8]);
  const entry = (k: number): Tensor => tf.reshape(tf.slice(all, [0, k], [batch, 1]), [batch, 1, 1]);
  const column = ramp(outWidth, [1, 1, outWidth]);
  const row = ramp(outHeight, [1, outHeight, 1]);
  const affine = (k: number): Tensor => add(mul(entry(k), column), mul(entry(k + 1), row));
  const scale = add(affine(6), 1);
  const finite = tf.broadcastTo(tf.notEqual(scale, 0), shape);
  const safe = tf.where(finite, tf.broadcastTo(scale, shape), tf.ones(shape));
  const toInput = FILL_MODES[fillMode] ?? FILL_MODES.constant;
  const x = toInput(div(add(affine(0), entry(2)), safe), width);
  const y = toInput(div(add(affine(3), entry(5)), safe), height);
  const b = tf.broadcastTo(integers(Array.from({ length: batch }, (_, i) => i), [batch, 1, 1]), shape); // prettier-ignore
  const sample = (interpolation === 'nearest' ? nearest : bilinear)(image, b, y, x, fillValue);
  const mask = tf.broadcastTo(tf.expandDims(finite, 3), [...shape, channels]);
  return tf.where(mask, sample, tf.fill([...shape, channels], fillValue));
}

/** The rotation is fixed, so each output pixel is one input pixel or the fill. */
const rotate: Rule = ({ inputs: { image }, dys: [dy], attrs }) => ({
  image: () => {
    const [batch, height, width, channels] = image.shape;
    const radians = attrs.radians as number;
    const [cx, cy] = tf.backend_util.getImageCenter(attrs.center as number, height, width);
    const [sin, cos] = [Math.sin(radians), Math.cos(radians)];
    const kept: number[] = [];
    const source: number[] = [];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const fromX = Math.round((x - cx) * cos - (y - cy) * sin + cx);
        const fromY = Math.round((x - cx) * sin + (y - cy) * cos + cy);
        if (fromX < 0 || fromX >= width || fromY < 0 || fromY >= height) continue;
        kept.push(y * width + x);
        source.push(fromY * width + fromX);
      }
    }
    if (kept.length === 0) return null;
    const pixels = tf.transpose(tf.reshape(dy, [batch, height * width, channels]), [1, 0, 2]);
    const updates = tf.gather(pixels, integers(kept, [kept.length]));
    const shape = [height * width, batch, channels];
    const placed = kernel('ScatterNd', { indices: integers(source, [source.length, 1]), updates }, { shape });
    return tf.reshape(tf.transpose(placed, [1, 0, 2]), image.shape);
  },
});

export const IMAGE: RuleTable = {
  ResizeBilinear: resize(bilinearTaps),
  ResizeNearestNeighbor: resize(nearestTaps),
  ResizeBilinearGrad: resizeGrad('ResizeBilinear'),
  ResizeNearestNeighborGrad: resizeGrad('ResizeNearestNeighbor'),
  CropAndResize: through(cropAndResize),
  Transform: through(projective),
  RotateWithOffset: rotate,
};
