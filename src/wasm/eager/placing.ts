/**
 * Elements at places that a tensor of integers names: read, added up, replaced, counted and searched for. In JavaScript, on the
 * memory itself. What cannot be computed (a place that does not exist) is left to the other kernel, which says what is wrong.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { bytesOf, movable, rowMajor, SHORT } from './copy.js';
import { sizeOf, type EagerKernel } from './eager.js';
import { fill } from './filling.js';

/** Places in the leading axes of a tensor, one after the other, each of as many coordinates as there are such axes. */
interface Places {
  /** Where the coordinates begin among the integers of the memory. */
  readonly at: number;
  readonly count: number;
  readonly strides: readonly number[];
  /** Elements of what lies at one place. */
  readonly slice: number;
}

const flat = (words: Int32Array, { at, strides }: Places, i: number): number => {
  const first = at + i * strides.length;
  let place = 0;
  for (let k = 0; k < strides.length; k++) place += words[first + k] * strides[k];
  return place;
};

/** Undefined where there is nothing to do, or a place lies outside. */
function placesIn(
  backend: NullclineBackend,
  indices: tf.TensorInfo | undefined,
  shape: readonly number[],
  depth: number,
): Places | undefined {
  if (indices?.dtype !== 'int32' || depth === 0 || depth > shape.length) return undefined;
  const strides = rowMajor(shape.slice(0, depth));
  const places = {
    at: backend.pointerOf(indices.dataId, 'int32') / 4,
    count: sizeOf(indices.shape) / depth,
    strides,
    slice: sizeOf(shape.slice(depth)),
  };
  const limit = strides[0] * shape[0];
  if (limit * places.slice * places.count === 0) return undefined;
  const words = backend.heap.i32;
  for (let i = 0; i < places.count; i++) {
    const place = flat(words, places, i);
    if (place < 0 || place >= limit) return undefined;
  }
  return places;
}

const gatherNd: EagerKernel = ({ backend, inputs: { params, indices } }) => {
  if (!movable(params) || indices === undefined || indices.shape.length === 0) return undefined;
  const depth = indices.shape[indices.shape.length - 1];
  const source = backend.pointerOf(params.dataId, params.dtype);
  const places = placesIn(backend, indices, params.shape, depth);
  if (places === undefined) return undefined;
  const { count, slice } = places;
  const out = backend.allocateFor(count * slice, params.dtype);
  const [values, words] = [backend.elements(params.dtype), backend.heap.i32];
  const bytes = bytesOf(backend, params.dtype);
  let to = out / bytes;
  for (let i = 0; i < count; i++) {
    const from = source / bytes + flat(words, places, i) * slice;
    if (slice * bytes >= SHORT) values.copyWithin(to, from, from + slice);
    else for (let k = 0; k < slice; k++) values[to + k] = values[from + k];
    to += slice;
  }
  return backend.adopt(out, [...indices.shape.slice(0, -1), ...params.shape.slice(depth)], params.dtype);
};

/** Updates at places of a block that holds what is there before. */
function update(backend: NullclineBackend, out: number, updates: tf.TensorInfo, places: Places, adds: boolean): void {
  const { count, slice } = places;
  const from = backend.pointerOf(updates.dataId, updates.dtype);
  const [values, words] = [backend.elements(updates.dtype), backend.heap.i32];
  const bytes = bytesOf(backend, updates.dtype);
  let source = from / bytes;
  for (let i = 0; i < count; i++) {
    const to = out / bytes + flat(words, places, i) * slice;
    if (adds) for (let k = 0; k < slice; k++) values[to + k] += values[source + k];
    else for (let k = 0; k < slice; k++) values[to + k] = values[source + k];
    source += slice;
  }
}

const depthOf = ({ shape }: tf.TensorInfo): number => (shape.length > 1 ? shape[shape.length - 1] : 1);

const scatterNd: EagerKernel = ({ backend, inputs: { indices, updates }, attrs }) => {
  if (indices === undefined || (updates?.dtype !== 'float32' && updates?.dtype !== 'int32')) return undefined;
  const shape = attrs.shape as number[];
  backend.pointerOf(updates.dataId, updates.dtype); // in the heap before the result has its place
  const places = placesIn(backend, indices, shape, depthOf(indices));
  if (places === undefined || sizeOf(updates.shape) !== places.count * places.slice) return undefined;
  const n = sizeOf(shape);
  const out = backend.allocateFor(n, updates.dtype);
  fill(backend, out, n, updates.dtype, 0);
  update(backend, out, updates, places, true);
  return backend.adopt(out, shape.slice(), updates.dtype);
};

/** Of updates of one place the last one stays. The cpu backend's kernel changes the tensor that it is given. */
const tensorScatterUpdate: EagerKernel = ({ backend, inputs: { tensor, indices, updates } }) => {
  if (!movable(tensor) || indices === undefined || updates?.dtype !== tensor.dtype) return undefined;
  backend.pointerOf(updates.dataId, updates.dtype);
  const from = backend.pointerOf(tensor.dataId, tensor.dtype);
  const places = placesIn(backend, indices, tensor.shape, depthOf(indices));
  if (places === undefined || sizeOf(updates.shape) !== places.count * places.slice) return undefined;
  const n = sizeOf(tensor.shape);
  const out = backend.allocateFor(n, tensor.dtype);
  backend.heap.u8.copyWithin(out, from, from + n * bytesOf(backend, tensor.dtype));
  update(backend, out, updates, places, false);
  return backend.adopt(out, tensor.shape, tensor.dtype);
};

/** In each row of a sorted sequence the first place whose element is not less than a value, or greater than it. */
const searchSorted: EagerKernel = ({ backend, inputs: { sortedSequence: sorted, values }, attrs }) => {
  if (sorted === undefined || values?.dtype !== sorted.dtype) return undefined;
  if (sorted.dtype !== 'float32' && sorted.dtype !== 'int32') return undefined;
  const [[rows, n], [, m]] = [sorted.shape, values.shape];
  if (rows * n * m === 0) return undefined;
  const bytes = bytesOf(backend, sorted.dtype);
  const [first, given] = [backend.pointerOf(sorted.dataId, sorted.dtype) / bytes, backend.pointerOf(values.dataId, values.dtype) / bytes]; // prettier-ignore
  const out = backend.allocateFor(rows * m, 'int32');
  const [numbers, places] = [backend.elements(sorted.dtype), backend.heap.i32];
  const isLeft = attrs.side === 'left';
  for (let i = 0, start = first; i < rows * m; start += n) {
    for (const end = i + m; i < end; i++) {
      const value = numbers[given + i];
      let [at, left] = [start, n];
      // By arithmetic: a branch would be guessed wrong every other time.
      while (left > 1) {
        const half = left >>> 1;
        const x = numbers[at + half - 1];
        at += half & (0 - +(isLeft ? x < value : x <= value));
        left -= half;
      }
      const x = numbers[at];
      places[out / 4 + i] = at - start + +(isLeft ? x < value : x <= value);
    }
  }
  return backend.adopt(out, values.shape, 'int32');
};

/** How often each number up to `size` occurs in each row, or the sum of the weights there. */
const bincount: EagerKernel = ({ backend, inputs: { x, weights }, attrs }) => {
  const size = attrs.size as number;
  if (x?.dtype !== 'int32' || x.shape.length === 0 || x.shape.length > 2 || !(size > 0)) return undefined;
  if (weights?.dtype !== 'float32' && weights?.dtype !== 'int32') return undefined;
  const n = sizeOf(x.shape);
  const isWeighted = sizeOf(weights.shape) > 0;
  if (n === 0 || (isWeighted && sizeOf(weights.shape) !== n)) return undefined;
  const columns = x.shape[x.shape.length - 1];
  // As on the cpu backend, one row is always counted.
  const isBinary = attrs.binaryOutput === true && x.shape.length === 2;
  const at = backend.pointerOf(x.dataId, 'int32') / 4;
  const bytes = bytesOf(backend, weights.dtype);
  const weightAt = isWeighted ? backend.pointerOf(weights.dataId, weights.dtype) / bytes : 0;
  const shape = [...x.shape.slice(0, -1), size];
  const bins = sizeOf(shape);
  const out = backend.allocateFor(bins, weights.dtype);
  fill(backend, out, bins, weights.dtype, 0);
  const [values, words] = [backend.elements(weights.dtype), backend.heap.i32];
  // Without weights integers are counted up where the result will be, which takes less time than floats.
  const [to, wide] = isWeighted ? [out / bytes, 1] : [out / 4, bytes / 4];
  for (let i = 0, row = to; i < n; row += size * wide) {
    for (const end = i + columns; i < end; i++) {
      const value = words[at + i];
      if (value < 0) {
        backend.heap.release(out);
        return undefined;
      }
      if (value >= size) continue;
      if (isWeighted && !isBinary) values[row + value] += values[weightAt + i];
      else if (isWeighted) values[row + value] = 1;
      else if (isBinary) words[row + value * wide] = 1;
      else words[row + value * wide]++;
    }
  }
  if (!isWeighted && weights.dtype === 'float32') for (let i = 0; i < bins; i++) values[out / bytes + i] = words[to + i * wide]; // prettier-ignore
  return backend.adopt(out, shape, weights.dtype);
};

export const PLACINGS: Readonly<Record<string, EagerKernel>> = {
  GatherNd: gatherNd,
  ScatterNd: scatterNd,
  TensorScatterUpdate: tensorScatterUpdate,
  SearchSorted: searchSorted,
  Bincount: bincount,
  DenseBincount: bincount,
};
