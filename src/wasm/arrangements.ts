/**
 * Operations that only move elements: views where strides can say it, copies into parts of the result otherwise.
 */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf, type Node, type Value } from '../graph/graph.js';
import { kindOf } from './elementwise.js';
import { constant } from './emit/terms.js';
import type { Planner } from './steps.js';
import { sliceOf, stridedSliceOf } from '../graph/strided-slice.js';
import { reshapeView, reverseView, rowMajor, sliceView, transposeView, whole, type View } from './views.js';

/** Plans the node; false where it cannot. */
type Arrangement = (planner: Planner, node: Node) => boolean;

const movable = (node: Node): boolean => [...node.inputs, ...node.outputs].every((v) => kindOf(v.dtype) !== undefined);

/** A result that is a view of its only input. */
const viewed =
  (make: (view: View, node: Node) => View): Arrangement =>
  (planner, node) => {
    if (!movable(node)) return false;
    planner.setView(node.outputs[0], make(planner.view(node.inputs[0]), node));
    return true;
  };

const reshaped: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const [out] = node.outputs;
  planner.setView(out, planner.reshaped(node.inputs[0], out.shape));
  return true;
};

function fill(planner: Planner, to: View, value: number): void {
  planner.compute({ shape: to.shape, term: constant(to.buffer.kind, value), leaves: [] }, to);
}

/** Copy the inputs side by side along an axis. */
function joined(planner: Planner, out: Value, parts: readonly View[], axis: number, shape: readonly number[]): boolean {
  const target = whole(planner.define(out).buffer, shape);
  let start = 0;
  for (const part of parts) {
    const begin = shape.map((_, i) => (i === axis ? start : 0));
    planner.copy(part, sliceView(target, begin, part.shape));
    start += part.shape[axis];
  }
  return true;
}

const concat: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const [out] = node.outputs;
  const axis = tf.util.parseAxisParam(node.attrs.axis as number, [...out.shape])[0];
  const parts = node.inputs.filter((v) => sizeOf(v.shape) > 0).map((v) => planner.view(v));
  return joined(planner, out, parts, axis, out.shape);
};

const pack: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const [out] = node.outputs;
  const axis = node.attrs.axis as number;
  const at = axis < 0 ? axis + out.shape.length : axis;
  const shape = out.shape.map((n, i) => (i === at ? 1 : n));
  return joined(planner, out, node.inputs.map((v) => planner.reshaped(v, shape)), at, out.shape); // prettier-ignore
};

const unpack: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const view = planner.view(node.inputs[0]);
  const axis = node.attrs.axis as number;
  const at = axis < 0 ? axis + view.shape.length : axis;
  node.outputs.forEach((v, k) => {
    const { offset, shape, strides } = view;
    planner.setView(v, {
      buffer: view.buffer,
      offset: offset + k * strides[at],
      shape: shape.filter((_, i) => i !== at),
      strides: strides.filter((_, i) => i !== at),
    });
  });
  return true;
};

const split: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const view = planner.view(node.inputs[0]);
  const axis = tf.util.parseAxisParam(node.attrs.axis as number, [...view.shape])[0];
  let start = 0;
  for (const v of node.outputs) {
    planner.setView(v, sliceView(view, view.shape.map((_, i) => (i === axis ? start : 0)), v.shape)); // prettier-ignore
    start += v.shape[axis];
  }
  return true;
};

const slice = viewed((view, node) => sliceView(view, ...sliceOf(view.shape, node.attrs)));

const pad: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const [x] = node.inputs;
  const paddings = node.attrs.paddings as number[][];
  const result = planner.define(node.outputs[0]);
  fill(planner, result, node.attrs.constantValue as number);
  if (sizeOf(x.shape) > 0) planner.copy(planner.view(x), sliceView(result, paddings.map(([low]) => low), x.shape)); // prettier-ignore
  return true;
};

/** Every so many elements, perhaps backwards. */
const stridedSlice: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const [x] = node.inputs;
  const { offset, sizes, steps, finalShape } = stridedSliceOf(x.shape, node.attrs);
  const view = planner.view(x);
  const part: View = {
    buffer: view.buffer,
    offset: offset.reduce((n, first, i) => n + first * view.strides[i], view.offset),
    shape: sizes,
    strides: view.strides.map((s, i) => s * steps[i]),
  };
  const shaped = reshapeView(part, finalShape);
  if (shaped === undefined) return false;
  planner.setView(node.outputs[0], shaped);
  return true;
};

/** The input in the middle; then, axis after axis, the mirror images of what is there. */
const mirrorPad: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const [x] = node.inputs;
  if (sizeOf(x.shape) === 0) return false;
  const paddings = node.attrs.paddings as number[][];
  // 'reflect' does not repeat the border, 'symmetric' does.
  const skip = node.attrs.mode === 'reflect' ? 1 : 0;
  const from = planner.view(x);
  const result = planner.define(node.outputs[0]);
  const begin = paddings.map(([low]) => low);
  const size = [...x.shape];
  planner.copy(from, sliceView(result, begin, size));
  paddings.forEach(([low, high], axis) => {
    const n = x.shape[axis];
    const band = (start: number, length: number): View =>
      sliceView(result, begin.map((b, i) => (i === axis ? start : b)), size.map((m, i) => (i === axis ? length : m))); // prettier-ignore
    if (low > 0) planner.copy(reverseView(band(low + skip, low), [axis]), band(0, low));
    if (high > 0) planner.copy(reverseView(band(low + n - skip - high, high), [axis]), band(low + n, high));
    begin[axis] = 0;
    size[axis] = low + n + high;
  });
  return true;
};

/** Each axis becomes two: the repetitions, with stride 0, and the elements. */
const tile: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  const [out] = node.outputs;
  const view = planner.view(node.inputs[0]);
  const reps = node.attrs.reps as number[];
  if (reps.length !== view.shape.length) return false;
  const result = planner.define(out);
  const shape = view.shape.flatMap((n, i) => [reps[i], n]);
  planner.copy(
    { ...view, shape, strides: view.strides.flatMap((s) => [0, s]) },
    { ...result, shape, strides: rowMajor(shape) },
  );
  return true;
};

const broadcastTo: Arrangement = (planner, node) => {
  if (!movable(node)) return false;
  planner.copy(planner.view(node.inputs[0]), planner.define(node.outputs[0]));
  return true;
};

const filled: Arrangement = (planner, node) => {
  if (!movable(node) || typeof node.attrs.value !== 'number') return false;
  fill(planner, planner.define(node.outputs[0]), node.attrs.value);
  return true;
};

export const ARRANGEMENTS: ReadonlyMap<string, Arrangement> = new Map<string, Arrangement>([
  ['Reshape', reshaped],
  ['ExpandDims', reshaped],
  ['Transpose', viewed((view, node) => transposeView(view, node.attrs.perm as number[]))],
  ['Slice', slice],
  ['Reverse', viewed((view, node) => reverseView(view, tf.util.parseAxisParam(node.attrs.dims as number[], [...view.shape])))], // prettier-ignore
  ['Unpack', unpack],
  ['SplitV', split],
  ['Concat', concat],
  ['Pack', pack],
  ['PadV2', pad],
  ['MirrorPad', mirrorPad],
  ['StridedSlice', stridedSlice],
  ['Tile', tile],
  ['BroadcastTo', broadcastTo],
  ['Fill', filled],
]);
