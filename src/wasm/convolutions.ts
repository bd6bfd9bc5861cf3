/**
 * Convolutions and their gradients. Forward, and back to the input where windows move by one, the window slides over the
 * input (sliding.ts). The rest are matrix products: each window of the input, laid out as a row, times the filter as a matrix
 * gives the channels of one position, and the gradients are the two transposed products. The rows are made block by block,
 * so that they stay in the cache and large images need no large memory. (Chellapilla, Puri and Simard, "High performance
 * convolutional neural networks for document processing", IWFHR 2006.)
 *
 * Depthwise convolutions sum over the window alone and are plain loop nests.
 */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf, type Node } from '../graph/graph.js';
import { apply, loadLeaf } from './emit/terms.js';
import { fill, inputsOf } from './indirect.js';
import { multiply } from './products.js';
import type { Planner } from './steps.js';
import { reduceInto } from './reductions.js';
import { slide } from './sliding.js';
import {
  isContiguous,
  reshapeView,
  reverseView,
  rowMajor,
  sliceView,
  transposeView,
  whole,
  type View,
} from './views.js';
import { atPlace, axesOf, blocks, bordered, extents, interior, isInside, placesOf, windows, type Axis } from './windows.js'; // prettier-ignore

type Plan = (planner: Planner, node: Node) => boolean;

/** Rows of windows that are made at a time. */
const BLOCK_BYTES = 262_144;
/** A program is not to be longer than this for one convolution. */
const MOST_BLOCKS = 256;

type Shape4 = [number, number, number, number];
type Shape5 = [number, number, number, number, number];

/** The sliding axes of a convolution, or undefined for a layout that is not channels last. */
function geometry(
  { attrs }: Node,
  inputShape: readonly number[],
  filterShape: readonly number[],
  { isDepthwise = false, knowsDilation = true } = {},
): Axis[] | undefined {
  const { strides, pad, dataFormat, dimRoundingMode } = attrs;
  if (typeof dataFormat === 'string' && dataFormat.startsWith('NC')) return undefined;
  const dilations = knowsDilation ? ((attrs.dilations as number | undefined) ?? 1) : 1;
  const rounding = dimRoundingMode as 'floor' | undefined;
  const info =
    inputShape.length === 4
      ? tf.backend_util.computeConv2DInfo(
          [...inputShape] as Shape4,
          [...filterShape] as Shape4,
          strides as number,
          dilations,
          pad as 'same',
          rounding,
          isDepthwise,
        )
      : tf.backend_util.computeConv3DInfo(
          [...inputShape] as Shape5,
          [...filterShape] as Shape5,
          strides as number,
          dilations,
          pad as 'same',
          false,
          'channelsLast',
          rounding,
        );
  return axesOf(info, inputShape.length === 4 ? 2 : 3);
}

const isFloat = (node: Node): boolean => [...node.inputs, ...node.outputs].every(({ dtype }) => dtype === 'float32');

const positionsOf = (batch: number, axes: readonly Axis[]): number[] => [batch, ...axes.map(({ output }) => output)];
const windowOf = (axes: readonly Axis[]): number => sizeOf(axes.map(({ window }) => window));

/** The blocks of positions whose rows of `width` elements are made together. */
function blocksOf(planner: Planner, positions: readonly number[], width: number) {
  const rows = BLOCK_BYTES / (width * planner.floatBytes);
  return blocks(positions, Math.max(16, rows, sizeOf(positions) / MOST_BLOCKS));
}

/** Of a view [...positions, ...rest] the block, as a matrix; undefined where strides cannot say it. */
function matrixOf(view: View, { begin, size }: { begin: number[]; size: number[] }, width: number): View | undefined {
  const rest = view.shape.slice(begin.length);
  const part = sliceView(view, [...begin, ...rest.map(() => 0)], [...size, ...rest]);
  return isContiguous(part) ? reshapeView(part, [sizeOf(size), width]) : undefined;
}

/** The windows of a block as the rows of a matrix. */
function rowsOf(planner: Planner, view: View, block: { begin: number[]; size: number[] }, width: number): View {
  const known = matrixOf(view, block, width);
  if (known !== undefined) return known;
  const rest = view.shape.slice(block.begin.length);
  const part = sliceView(view, [...block.begin, ...rest.map(() => 0)], [...block.size, ...rest]);
  const copy = planner.scratch('float', part.shape);
  planner.copy(part, copy);
  return { ...copy, shape: [sizeOf(block.size), width], strides: [width, 1] };
}

const flat = (view: View, shape: readonly number[]): View => whole(view.buffer, shape);

const forward: Plan = (planner, node) => {
  const { x, filter } = inputsOf(node);
  const axes = isFloat(node) ? geometry(node, x.shape, filter.shape) : undefined;
  const channels = filter.shape[filter.shape.length - 1];
  const width = sizeOf(filter.shape.slice(0, -1));
  // A convolution in groups has narrower filters than its input has channels.
  if (axes === undefined || filter.shape[filter.shape.length - 2] !== x.shape[x.shape.length - 1] || width === 0) return false; // prettier-ignore
  if (windowOf(axes) > 1) {
    const [image, weights] = [planner.view(x), planner.contiguous(filter)];
    slide(planner, planner.define(node.outputs[0]), image, weights, axes);
    return true;
  }
  const weights = planner.reshaped(filter, [width, channels]);
  const seen = windows(bordered(planner, planner.view(x), axes, 0), axes);
  const result = planner.define(node.outputs[0]);
  const positions = positionsOf(x.shape[0], axes);
  for (const block of blocksOf(planner, positions, width)) {
    const out = matrixOf(whole(result.buffer, [...positions, channels]), block, channels);
    if (out !== undefined) multiply(planner, out, rowsOf(planner, seen, block, width), weights);
  }
  return true;
};

/** Positions that windows over the input may have more than windows over the result, before spreading is quicker. */
const MORE_POSITIONS = 1.25;

/**
 * What reached an element of the input through windows that move by one comes back through the mirrored windows over the
 * result: the axes of that convolution. Undefined where it has other windows, none to speak of, or too many more positions.
 */
function backwards(axes: readonly Axis[]): Axis[] | undefined {
  const turned = axes.map((axis): Axis => {
    const { input, output, window, dilation, before } = axis;
    return { ...axis, input: output, output: input, before: (window - 1) * dilation - before };
  });
  const [inputs, outputs] = [axes, turned].map((all) => sizeOf(all.map(({ output }) => output)));
  const isPossible = axes.every(({ stride }) => stride === 1) && turned.every(({ before }) => before >= 0);
  return isPossible && windowOf(axes) > 1 && outputs <= MORE_POSITIONS * inputs ? turned : undefined;
}

/** The filter's part of each position is spread over its window and added up, unless {@link backwards} serves. */
const toInput: Plan = (planner, node) => {
  const { dy, filter } = inputsOf(node);
  const [out] = node.outputs;
  const axes = isFloat(node) ? geometry(node, out.shape, filter.shape, { knowsDilation: false }) : undefined;
  const channels = filter.shape[filter.shape.length - 1];
  const width = sizeOf(filter.shape.slice(0, -1));
  const inChannels = out.shape[out.shape.length - 1];
  if (axes === undefined || filter.shape[filter.shape.length - 2] !== inChannels || channels === 0) return false;
  const turned = backwards(axes);
  if (turned !== undefined) {
    const along = axes.map((_, i) => i);
    const [from, view] = [planner.view(dy), reverseView(planner.view(filter), along)];
    const swapped = transposeView(view, [...along, axes.length + 1, axes.length]);
    slide(planner, planner.define(out), from, planner.copied(swapped), turned);
    return true;
  }
  const positions = positionsOf(out.shape[0], axes);
  const given = whole(planner.contiguous(dy).buffer, [...positions, channels]);
  const from: View = { ...planner.contiguous(dy), shape: given.shape, strides: given.strides };
  const weights = planner.copied(transposeView(planner.reshaped(filter, [width, channels]), [1, 0]));
  const isPointwise = isInside(axes) && windowOf(axes) === 1 && axes.every(({ stride, input, output }) => stride === 1 && input === output); // prettier-ignore
  const result = planner.define(out);
  if (isPointwise) {
    for (const block of blocksOf(planner, positions, width)) {
      const [a, c] = [matrixOf(from, block, channels), matrixOf(flat(result, [...positions, inChannels]), block, inChannels)]; // prettier-ignore
      if (a !== undefined && c !== undefined) multiply(planner, c, a, weights);
    }
    return true;
  }
  const target = isInside(axes) ? result : planner.scratch('float', [out.shape[0], ...extents(axes), inChannels]);
  fill(planner, target, 0);
  const seen = windows(target, axes);
  for (const block of blocksOf(planner, positions, width)) {
    const { begin, size } = block;
    const a = matrixOf(from, block, channels);
    if (a === undefined) continue;
    const spread = planner.scratch('float', [...size, ...axes.map(({ window }) => window), inChannels]);
    multiply(planner, { ...spread, shape: [sizeOf(size), width], strides: [width, 1] }, a, weights);
    for (const place of placesOf(axes)) {
      add(planner, sliceView(atPlace(seen, place), [...begin, 0], [...size, inChannels]), atPlace(spread, place));
    }
  }
  if (target !== result) planner.copy(interior(target, axes), result);
  return true;
};

/** Grow what is there. */
function add(planner: Planner, to: View, x: View): void {
  const term = apply('float', 'add', loadLeaf('float', 0), loadLeaf('float', 1));
  planner.compute({ shape: to.shape, term, leaves: [to, x] }, to);
}

const toFilter: Plan = (planner, node) => {
  const { x, dy } = inputsOf(node);
  const [out] = node.outputs;
  const axes = isFloat(node) ? geometry(node, x.shape, out.shape, { knowsDilation: false }) : undefined;
  const channels = out.shape[out.shape.length - 1];
  const width = sizeOf(out.shape.slice(0, -1));
  if (axes === undefined || out.shape[out.shape.length - 2] !== x.shape[x.shape.length - 1]) return false;
  const positions = positionsOf(x.shape[0], axes);
  if (sizeOf(positions) === 0) return false;
  const seen = windows(bordered(planner, planner.view(x), axes, 0), axes);
  const given = planner.contiguous(dy);
  const from: View = { ...given, shape: [...positions, channels], strides: rowMajor([...positions, channels]) };
  const result = flat(planner.define(out), [width, channels]);
  blocksOf(planner, positions, width).forEach((block, i) => {
    const b = matrixOf(from, block, channels);
    if (b === undefined) return;
    const a = transposeView(rowsOf(planner, seen, block, width), [1, 0]);
    const part = i === 0 ? result : planner.scratch('float', [width, channels]);
    multiply(planner, part, a, b);
    if (i > 0) add(planner, result, part);
  });
  return true;
};

const product = apply('float', 'mul', loadLeaf('float', 0), loadLeaf('float', 1));

/** The order of axes [batch, ...positions, channels, ...window] of windows. */
const windowLast = (view: View, n: number): View =>
  transposeView(view, [
    ...Array.from({ length: n + 1 }, (_, i) => i),
    2 * n + 1,
    ...Array.from({ length: n }, (_, i) => n + 1 + i),
  ]);

/** A view with an axis of one more kind, along which it repeats. */
function repeated(view: View, at: number, size: number): View {
  const insert = (list: readonly number[], n: number): number[] => [...list.slice(0, at), n, ...list.slice(at)];
  return { ...view, shape: insert(view.shape, size), strides: insert(view.strides, 0) };
}

/** A filter [...window, channels, multiplier] along positions: [batch, ...positions, channels, multiplier, ...window]. */
function alongPositions(filter: View, positions: readonly number[]): View {
  const n = filter.shape.length - 2;
  const moved = transposeView(filter, [n, n + 1, ...Array.from({ length: n }, (_, i) => i)]);
  return {
    ...moved,
    shape: [...positions, ...moved.shape],
    strides: [...positions.map(() => 0), ...moved.strides],
  };
}

const depthwise: Plan = (planner, node) => {
  const { x, filter } = inputsOf(node);
  const axes = isFloat(node) ? geometry(node, x.shape, filter.shape, { isDepthwise: true }) : undefined;
  if (axes === undefined) return false;
  const n = axes.length;
  const [channels, multiplier] = filter.shape.slice(-2);
  const weights = planner.view(filter);
  const seen = windowLast(windows(bordered(planner, planner.view(x), axes, 0), axes), n);
  const positions = positionsOf(x.shape[0], axes);
  const shape = [...positions, channels, multiplier, ...axes.map(({ window }) => window)];
  const result = flat(planner.define(node.outputs[0]), [...positions, channels, multiplier]);
  const leaves = [repeated(seen, n + 2, multiplier), alongPositions(weights, positions)];
  reduceInto(planner, 'add', { shape, term: product, leaves }, n, result);
  return true;
};

const depthwiseToInput: Plan = (planner, node) => {
  const { dy, filter } = inputsOf(node);
  const [out] = node.outputs;
  const axes = isFloat(node) ? geometry(node, out.shape, filter.shape, { isDepthwise: true }) : undefined;
  if (axes === undefined) return false;
  const [channels, multiplier] = filter.shape.slice(-2);
  const weights = planner.view(filter);
  const positions = positionsOf(out.shape[0], axes);
  const given = planner.reshaped(dy, [...positions, channels, multiplier]);
  const result = planner.define(out);
  const target = isInside(axes) ? result : planner.scratch('float', [out.shape[0], ...extents(axes), channels]);
  fill(planner, target, 0);
  const seen = windows(target, axes);
  const part = multiplier === 1 ? undefined : planner.scratch('float', [...positions, channels]);
  for (const place of placesOf(axes)) {
    const to = atPlace(seen, place);
    const offset = place.reduce((sum, k, i) => sum + k * weights.strides[i], weights.offset);
    const n = place.length;
    const own: View = { ...weights, offset, shape: weights.shape.slice(n), strides: weights.strides.slice(n) };
    const along = alongPositions(own, positions);
    if (part === undefined) {
      const [shape, one] = [to.shape, (v: View): View => ({ ...v, shape: v.shape.slice(0, -1), strides: v.strides.slice(0, -1) })]; // prettier-ignore
      const load = (i: number) => loadLeaf('float', i);
      const term = apply('float', 'add', load(0), apply('float', 'mul', load(1), load(2)));
      planner.compute({ shape, term, leaves: [to, one(given), one(along)] }, to);
    } else {
      reduceInto(planner, 'add', { shape: given.shape, term: product, leaves: [given, along] }, 1, part);
      add(planner, to, part);
    }
  }
  if (target !== result) planner.copy(interior(target, axes), result);
  return true;
};

const depthwiseToFilter: Plan = (planner, node) => {
  const { x, dy } = inputsOf(node);
  const [out] = node.outputs;
  const axes = isFloat(node) ? geometry(node, x.shape, out.shape, { isDepthwise: true }) : undefined;
  if (axes === undefined) return false;
  const n = axes.length;
  const [channels, multiplier] = out.shape.slice(-2);
  const positions = positionsOf(x.shape[0], axes);
  if (sizeOf(positions) === 0) return false;
  const seen = windows(bordered(planner, planner.view(x), axes, 0), axes);
  const inner = Array.from({ length: n + 1 }, (_, i) => i);
  const turned = transposeView(seen, [...inner.slice(1).map((i) => n + i), 2 * n + 1, ...inner]);
  const given = planner.reshaped(dy, [...positions, channels, multiplier]);
  const moved = transposeView(given, [n + 1, n + 2, ...inner]);
  const shape = [...out.shape, ...positions];
  const along: View = {
    ...moved,
    shape,
    strides: [...axes.map(() => 0), ...moved.strides],
  };
  const result = planner.define(out);
  reduceInto(planner, 'add', { shape, term: product, leaves: [repeated(turned, n + 1, multiplier), along] }, n + 1, result); // prettier-ignore
  return true;
};

export const CONVOLUTIONS: ReadonlyMap<string, Plan> = new Map<string, Plan>([
  ['Conv2D', forward],
  ['Conv2DBackpropInput', toInput],
  ['Conv2DBackpropFilter', toFilter],
  ['Conv3D', forward],
  ['Conv3DBackpropInputV2', toInput],
  ['Conv3DBackpropFilterV2', toFilter],
  ['DepthwiseConv2dNative', depthwise],
  ['DepthwiseConv2dNativeBackpropInput', depthwiseToInput],
  ['DepthwiseConv2dNativeBackpropFilter', depthwiseToFilter],
]);
