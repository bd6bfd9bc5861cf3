/**
 * Places of elements: of the largest, of the k largest, and ones at given places. In JavaScript, on the memory itself:
 * finding takes a step after the other, and vectors gain nothing at sizes that are not worth a program of their own.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Numbers } from '../backend-values.js';
import { kindOf } from '../elementwise.js';
import { along, axesOf } from './axes.js';
import { bytesOf } from './copy.js';
import { sizeOf, type EagerKernel, type ManyKernel } from './eager.js';
import { fill } from './filling.js';

/** From how many elements on a compiled program finds them faster. */
const LARGEST = 8192;

/** The first place of the extreme value; a NaN is passed over unless it is the first element. */
const extremePlace =
  (isMax: boolean): EagerKernel =>
  ({ backend, inputs: { x }, attrs }) => {
    if (x === undefined || (x.dtype !== 'float32' && x.dtype !== 'int32')) return undefined;
    const size = sizeOf(x.shape);
    if (size === 0 || size >= LARGEST) return undefined;
    const [axis] = axesOf(attrs.axis as number, x.shape);
    const { blocks, count, columns } = along(x.shape, axis);
    const pointer = backend.pointerOf(x.dataId, x.dtype);
    const out = backend.allocateFor(blocks * columns, 'int32');
    const values = backend.elements(x.dtype);
    const places = backend.heap.i32;
    const from = pointer / bytesOf(backend, x.dtype);
    let to = out / 4;
    for (let block = 0; block < blocks; block++) {
      for (let column = 0; column < columns; column++) {
        let at = from + block * count * columns + column;
        let best = values[at];
        let place = 0;
        for (let i = 1; i < count; i++) {
          const value = values[(at += columns)];
          if (isMax ? value > best : value < best) {
            best = value;
            place = i;
          }
        }
        places[to++] = place;
      }
    }
    const shape = x.shape.slice();
    shape.splice(axis, 1);
    return backend.adopt(out, shape, 'int32');
  };

/** More of a row than these are found by sorting it. */
const FEW = 32;

/** The larger one comes first; of equal ones the first; a NaN last. */
const before = (x: number, y: number): boolean => x > y || (y !== y && x === x);

/** The places of the k largest of n values from `from` on, in order. */
function largestPlaces(values: Numbers, from: number, n: number, k: number, places: Int32Array): void {
  if (k > FEW) {
    const order = Int32Array.from({ length: n }, (_, i) => i).sort((i, j) => {
      const [x, y] = [values[from + i], values[from + j]];
      return before(x, y) ? -1 : before(y, x) ? 1 : i - j;
    });
    places.set(order.subarray(0, k));
    return;
  }
  let found = 0;
  for (let i = 0; i < n; i++) {
    const value = values[from + i];
    if (found === k && !before(value, values[from + places[k - 1]])) continue;
    let at = found < k ? found++ : k - 1;
    while (at > 0 && before(value, values[from + places[at - 1]])) {
      places[at] = places[at - 1];
      at--;
    }
    places[at] = i;
  }
}

const topK: ManyKernel = ({ backend, inputs: { x }, attrs }) => {
  const k = attrs.k as number;
  if (x === undefined || (x.dtype !== 'float32' && x.dtype !== 'int32') || x.shape.length === 0) return undefined;
  const n = x.shape[x.shape.length - 1];
  const size = sizeOf(x.shape);
  if (size === 0 || !(k >= 1 && k <= n)) return undefined;
  const rows = size / n;
  const pointer = backend.pointerOf(x.dataId, x.dtype);
  const largest = backend.allocateFor(rows * k, x.dtype);
  let indices: number;
  try {
    indices = backend.allocateFor(rows * k, 'int32');
  } catch (error) {
    backend.heap.release(largest);
    throw error;
  }
  const values = backend.elements(x.dtype);
  const bytes = bytesOf(backend, x.dtype);
  const [from, to] = [pointer / bytes, largest / bytes];
  const all = backend.heap.i32.subarray(indices / 4, indices / 4 + rows * k);
  for (let row = 0; row < rows; row++) {
    const places = all.subarray(row * k, (row + 1) * k);
    largestPlaces(values, from + row * n, n, k, places);
    for (let i = 0; i < k; i++) values[to + row * k + i] = values[from + row * n + places[i]];
  }
  const shape = x.shape.slice();
  shape[shape.length - 1] = k;
  return [backend.adopt(largest, shape, x.dtype), backend.adopt(indices, shape, 'int32')];
};

const oneHot: EagerKernel = ({ backend, inputs: { indices }, attrs }) => {
  const { depth, onValue, offValue } = attrs as { depth: number; onValue: number; offValue: number };
  const dtype = attrs.dtype as tf.DataType;
  if (indices?.dtype !== 'int32' || kindOf(dtype) === undefined) return undefined;
  const count = sizeOf(indices.shape);
  if (count * depth === 0) return undefined;
  const at = backend.pointerOf(indices.dataId, 'int32') / 4;
  const out = backend.allocateFor(count * depth, dtype);
  fill(backend, out, count * depth, dtype, offValue);
  const values = backend.elements(dtype);
  const to = out / bytesOf(backend, dtype);
  const places = backend.heap.i32;
  for (let i = 0; i < count; i++) {
    const place = places[at + i];
    if (place >= 0 && place < depth) values[to + i * depth + place] = onValue;
  }
  return backend.adopt(out, [...indices.shape, depth], dtype);
};

/** The elements of a vector in the order in which they first occur, and of each element its place there. */
const unique: ManyKernel = ({ backend, inputs: { x }, attrs }) => {
  if (x === undefined || x.shape.length !== 1 || (x.dtype !== 'float32' && x.dtype !== 'int32')) return undefined;
  axesOf(attrs.axis as number, x.shape); // an error where there is no such axis
  const [n] = x.shape;
  const from = backend.pointerOf(x.dataId, x.dtype) / bytesOf(backend, x.dtype);
  const indices = backend.adopt(backend.allocateFor(n, 'int32'), [n], 'int32');
  const at = backend.pointerOf(indices.dataId) / 4;
  const [values, places] = [backend.elements(x.dtype), backend.heap.i32];
  const known = new Map<number, number>(); // to which 0 and -0 are one, and so are all NaN
  for (let i = 0; i < n; i++) {
    const value = values[from + i];
    let place = known.get(value);
    if (place === undefined) known.set(value, (place = known.size));
    places[at + i] = place;
  }
  const found = Float64Array.from(known.keys());
  return [backend.makeTensorInfo([found.length], x.dtype, found as unknown as Float32Array), indices];
};

export const CHOICES: Readonly<Record<string, EagerKernel | ManyKernel>> = {
  ArgMax: extremePlace(true),
  ArgMin: extremePlace(false),
  TopK: topK,
  OneHot: oneHot,
  Unique: unique,
};
