/**
 * Running sums and products, sums by segment, and truth of all or any, in JavaScript on the memory itself: each element needs the one
 * before it, or what is left need not be looked at.
 */
import { along, axesOf, overAxes } from './axes.js';
import { bytesOf } from './copy.js';
import { sizeOf, type EagerKernel } from './eager.js';

/** From how many elements on a compiled program is faster. */
const LARGEST = 8192;

const running =
  (start: 0 | 1): EagerKernel =>
  ({ backend, inputs: { x }, attrs }) => {
    if (x === undefined || (x.dtype !== 'float32' && x.dtype !== 'int32')) return undefined;
    const { shape, dtype } = x;
    const size = sizeOf(shape);
    if (size === 0 || size >= LARGEST || shape.length === 0) return undefined;
    const [axis] = axesOf(attrs.axis as number, shape);
    const { blocks, count, columns } = along(shape, axis);
    const isExclusive = attrs.exclusive === true;
    const pointer = backend.pointerOf(x.dataId, dtype);
    const out = backend.allocateFor(size, dtype);
    const values = backend.elements(dtype);
    const bytes = bytesOf(backend, dtype);
    const [from, to] = [pointer / bytes, out / bytes];
    const step = attrs.reverse === true ? -columns : columns;
    for (let block = 0; block < blocks; block++) {
      const first = block * count * columns + (step < 0 ? (count - 1) * columns : 0);
      for (let c = first; c < first + columns; c++) values[to + c] = isExclusive ? start : values[from + c];
      for (let i = 1; i < count; i++) {
        const row = first + i * step;
        for (let c = row; c < row + columns; c++) {
          const before = values[to + c - step];
          const value = values[from + (isExclusive ? c - step : c)];
          values[to + c] = start === 0 ? before + value : before * value;
        }
      }
    }
    return backend.adopt(out, shape, dtype);
  };

const truth = (sought: 0 | 1): EagerKernel =>
  overAxes('axis', (backend, x, { blocks, count, columns }, shape) => {
    if (x.dtype !== 'bool') return undefined;
    const from = backend.pointerOf(x.dataId, 'bool');
    const out = backend.allocateFor(blocks * columns, 'bool');
    const values = backend.heap.u8;
    let to = out;
    for (let block = 0; block < blocks; block++) {
      for (let column = 0; column < columns; column++) {
        let at = from + block * count * columns + column;
        let left = count;
        while (left > 0 && values[at] !== sought) {
          at += columns;
          left--;
        }
        values[to++] = left > 0 ? sought : 1 - sought;
      }
    }
    return backend.adopt(out, shape, 'bool');
  });

/** Rows with the same number are added up; a number that no row of the result has is passed over. */
const segmentSum: EagerKernel = ({ backend, inputs: { x, segmentIds }, attrs }) => {
  if (x === undefined || segmentIds?.dtype !== 'int32' || segmentIds.shape.length !== 1) return undefined;
  if (x.dtype !== 'float32') return undefined;
  const size = sizeOf(x.shape);
  const segments = attrs.numSegments as number;
  if (size === 0 || size >= LARGEST || x.shape[0] !== segmentIds.shape[0] || !(segments > 0)) return undefined;
  const row = size / x.shape[0];
  const pointer = backend.pointerOf(x.dataId, x.dtype);
  const ids = backend.pointerOf(segmentIds.dataId, 'int32') / 4;
  const out = backend.allocateFor(segments * row, x.dtype);
  const [values, places] = [backend.elements(x.dtype), backend.heap.i32];
  const bytes = bytesOf(backend, x.dtype);
  const [from, to] = [pointer / bytes, out / bytes];
  values.fill(0, to, to + segments * row);
  for (let i = 0; i < x.shape[0]; i++) {
    const id = places[ids + i];
    if (id < 0 || id >= segments) continue;
    for (let k = 0; k < row; k++) values[to + id * row + k] += values[from + i * row + k];
  }
  return backend.adopt(out, [segments, ...x.shape.slice(1)], x.dtype);
};

export const SCANS: Readonly<Record<string, EagerKernel>> = {
  Cumsum: running(0),
  Cumprod: running(1),
  All: truth(0),
  Any: truth(1),
  UnsortedSegmentSum: segmentSum,
};
