/**
 * Results of one value throughout.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { kindOf } from '../elementwise.js';
import { i32, localExpr, V128, type Body } from '../emit/assembler.js';
import { bytesOf } from './copy.js';
import { CodeCache, sizeOf, type EagerKernel } from './eager.js';
import { bump, link, repeat, type Code } from './link.js';

const cache = new CodeCache<string, Code>();

/** out, elements, and the value's bits in a vector's first bytes at an address: fill. */
function writeFill(b: Body): void {
  const value = b.local(V128);
  b.set(value, (c) => { c.get(2); c.simd(0); c.memory(0); }); // prettier-ignore
  repeat(b, localExpr(1), () => {
    b.get(0);
    b.get(value);
    b.simd(11);
    b.memory(0);
    bump(b, 0, i32(16));
  });
}

/** Fill a block with one value, up to the end of its last 16 bytes. */
export function fill(backend: NullclineBackend, pointer: number, n: number, dtype: tf.DataType, value: number): void {
  const { heap } = backend;
  const bytes = n * bytesOf(backend, dtype);
  if (value === 0) {
    heap.u8.fill(0, pointer, pointer + bytes);
    return;
  }
  const lanes = Math.min(n, 16 / bytesOf(backend, dtype));
  if (dtype === 'int32') heap.i32.fill(value, pointer / 4, pointer / 4 + lanes);
  else if (dtype === 'bool') heap.u8.fill(value, pointer, pointer + lanes);
  else if (backend.precision === 64) heap.f64.fill(value, pointer / 8, pointer / 8 + lanes);
  else heap.f32.fill(value, pointer / 4, pointer / 4 + lanes);
  const vectors = Math.ceil(bytes / 16);
  if (vectors > 1) cache.get(backend, 'fill', () => link(heap, 3, writeFill))(pointer, vectors, pointer);
}

function filled(
  backend: NullclineBackend,
  shape: readonly number[],
  dtype: tf.DataType,
  value: number,
): tf.TensorInfo | undefined {
  const n = sizeOf(shape);
  if (n === 0 || kindOf(dtype) === undefined) return undefined;
  const out = backend.allocateFor(n, dtype);
  fill(backend, out, n, dtype, value);
  return backend.adopt(out, shape, dtype);
}

const like =
  (value: number): EagerKernel =>
  ({ backend, inputs: { x } }) =>
    x && filled(backend, x.shape, x.dtype, value);

/**
 * Numbers at equal distances, the last one exactly `end` where that is given. Adding up steps, as tfjs does, would add up what
 * they are rounded by.
 */
function progression(
  backend: NullclineBackend,
  n: number,
  dtype: tf.DataType,
  start: number,
  step: number,
  end?: number,
): tf.TensorInfo | undefined {
  if (!(n > 0) || (dtype !== 'float32' && dtype !== 'int32')) return undefined;
  const out = backend.allocateFor(n, dtype);
  const values = backend.elements(dtype);
  const first = out / bytesOf(backend, dtype);
  for (let i = 0; i < n; i++) values[first + i] = start + i * step;
  if (end !== undefined && n > 1) values[first + n - 1] = end; // but for the rounding of the step
  return backend.adopt(out, [n], dtype);
}

const linSpace: EagerKernel = ({ backend, attrs }) => {
  const { start, stop, num } = attrs as Readonly<Record<'start' | 'stop' | 'num', number>>;
  return progression(backend, num, 'float32', start, (stop - start) / Math.max(num - 1, 1), stop);
};

const range: EagerKernel = ({ backend, attrs }) => {
  const { start, stop, step } = attrs as Readonly<Record<'start' | 'stop' | 'step', number>>;
  const isForward = start < stop;
  // The other kernel makes what is empty. A step of one may also mean down.
  if (start === stop || (isForward ? step < 0 : step > 1)) return undefined;
  const n = Math.abs(Math.ceil((stop - start) / step));
  return progression(backend, n, attrs.dtype as tf.DataType, start, !isForward && step === 1 ? -1 : step);
};

export const FILLINGS: Readonly<Record<string, EagerKernel>> = {
  ZerosLike: like(0),
  OnesLike: like(1),
  LinSpace: linSpace,
  Range: range,
  Fill: ({ backend, attrs: { shape, value, dtype } }) => {
    if (typeof value !== 'number') return undefined;
    return filled(backend, shape as number[], (dtype as tf.DataType | undefined) ?? 'float32', value);
  },
};
