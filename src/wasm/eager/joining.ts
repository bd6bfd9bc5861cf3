/**
 * Tensors put together along an axis, and taken apart.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { axesOf } from './axes.js';
import { bytesOf, copyRows, inPlace, movable } from './copy.js';
import { sizeOf, type EagerKernel, type ManyKernel } from './eager.js';

const concat: EagerKernel = ({ backend, inputs, attrs }) => {
  const parts = Object.values(inputs);
  const [first] = parts;
  if (!movable(first)) return undefined;
  const [axis] = axesOf(attrs.axis as number, first.shape);
  const shape = first.shape.slice();
  const rank = shape.length;
  let length = 0;
  const { dtype } = first;
  for (const part of parts) {
    if (part?.dtype !== dtype || part.shape.length !== rank) return undefined;
    for (let i = 0; i < rank; i++) if (i !== axis && part.shape[i] !== shape[i]) return undefined; // the other kernel says what is wrong
    length += part.shape[axis];
    backend.pointerOf(part.dataId, dtype); // in the heap before the result has its place
  }
  shape[axis] = length;
  const n = sizeOf(shape);
  if (n === 0) return undefined;
  let [blocks, inner] = [1, 1];
  for (let i = 0; i < axis; i++) blocks *= shape[i];
  for (let i = axis + 1; i < rank; i++) inner *= shape[i];
  const out = backend.allocateFor(n, dtype);
  const size = bytesOf(backend, dtype);
  let to = out;
  for (const part of parts as readonly tf.TensorInfo[]) {
    const row = part.shape[axis] * inner;
    if (row === 0) continue;
    copyRows(backend, size, blocks, row, to, length * inner, backend.pointerOf(part.dataId, dtype), row);
    to += row * size;
  }
  return backend.adopt(out, shape, dtype);
};

const pack: EagerKernel = (call) => {
  const parts = Object.values(call.inputs);
  const [first] = parts;
  if (!movable(first)) return undefined;
  // Each lies as if it had one more axis, of length one.
  const rank = first.shape.length + 1;
  const given = call.attrs.axis as number;
  const axis = given < 0 ? given + rank : given;
  const widened: Record<string, tf.TensorInfo> = {};
  for (const [i, part] of parts.entries()) {
    if (part?.shape.length !== rank - 1) return undefined;
    const shape = part.shape.slice();
    shape.splice(axis, 0, 1);
    widened[i] = { dataId: part.dataId, dtype: part.dtype, shape };
  }
  return concat({ backend: call.backend, inputs: widened, attrs: { axis } });
};

/** Slices along an axis, each of its length there. */
function apart(
  backend: NullclineBackend,
  x: tf.TensorInfo,
  axis: number,
  lengths: readonly number[],
  keepsAxis: boolean,
): tf.TensorInfo[] {
  const { shape, dtype } = x;
  let [blocks, inner] = [1, 1];
  for (let i = 0; i < axis; i++) blocks *= shape[i];
  for (let i = axis + 1; i < shape.length; i++) inner *= shape[i];
  const size = bytesOf(backend, dtype);
  const pitch = shape[axis] * inner;
  const results: tf.TensorInfo[] = [];
  const from = backend.pointerOf(x.dataId, dtype);
  let offset = 0;
  try {
    for (const length of lengths) {
      const row = length * inner;
      const part = shape.slice();
      if (keepsAxis) part[axis] = length;
      else part.splice(axis, 1);
      let result = blocks === 1 ? inPlace(backend, x, offset, part) : undefined;
      if (result === undefined) {
        const out = backend.allocateFor(blocks * row, dtype);
        if (blocks * row > 0) copyRows(backend, size, blocks, row, out, row, from + offset * size, pitch);
        result = backend.adopt(out, part, dtype);
      }
      results.push(result);
      offset += row;
    }
    return results;
  } catch (error) {
    for (const { dataId } of results) backend.disposeData(dataId);
    throw error;
  }
}

const unpack: ManyKernel = ({ backend, inputs: { value }, attrs }) => {
  if (!movable(value)) return undefined;
  const [axis] = axesOf(attrs.axis as number, value.shape);
  return apart(backend, value, axis, new Array<number>(value.shape[axis]).fill(1), false);
};

const split: ManyKernel = ({ backend, inputs: { x }, attrs }) => {
  if (!movable(x)) return undefined;
  const [axis] = axesOf(attrs.axis as number, x.shape);
  const lengths = tf.backend_util.prepareSplitSize(x, attrs.numOrSizeSplits as number | number[], axis);
  return apart(backend, x, axis, lengths, true);
};

export const JOININGS: Readonly<Record<string, EagerKernel | ManyKernel>> = {
  Concat: concat,
  Pack: pack,
  Unpack: unpack,
  SplitV: split,
};
