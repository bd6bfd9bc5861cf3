/**
 * Operations that only move elements about.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { i32, i32add, i32load, i32mul, localExpr, type Body, type Expr } from '../emit/assembler.js';
import { sliceOf, stridedSliceOf } from '../../graph/strided-slice.js';
import { axesOf } from './axes.js';
import { block, bytesOf, element, inPlace, isRow, movable, move, rowMajor, SHORT } from './copy.js';
import { CodeCache, sizeOf, type EagerKernel } from './eager.js';
import { fill } from './filling.js';
import { bump, i32and, i32shr, link, repeat, variable, type Code } from './link.js';

const cache = new CodeCache<string, Code>();

/** out, in, indices, blocks, count, bytes of a row, bytes of a block of the operand. */
function writeGather(b: Body): void {
  const [out, from, indices, blocks, count, row, pitch] = [0, 1, 2, 3, 4, 5, 6];
  repeat(b, localExpr(blocks), () => {
    const index = variable(b, localExpr(indices));
    repeat(b, localExpr(count), () => {
      const source = variable(b, i32add(localExpr(from), i32mul(i32load(localExpr(index)), localExpr(row))));
      const end = variable(b, i32and(localExpr(row), i32(-4)));
      const isShort: Expr = (c) => { c.get(row); i32(SHORT)(c); c.plain(0x49); }; // prettier-ignore
      isShort(b);
      b.plain(0x04, 0x40);
      const [p, q] = [variable(b, localExpr(out)), variable(b, localExpr(source))];
      repeat(b, i32shr(localExpr(end), 2), () => {
        element(b, 4, p, q);
        bump(b, p, i32(4));
        bump(b, q, i32(4));
      });
      repeat(b, i32and(localExpr(row), i32(3)), () => {
        element(b, 1, p, q);
        bump(b, p, i32(1));
        bump(b, q, i32(1));
      });
      b.plain(0x05);
      block(b, localExpr(out), localExpr(source), localExpr(row));
      b.plain(0x0b);
      bump(b, out, localExpr(row));
      bump(b, index, i32(4));
    });
    bump(b, from, localExpr(pitch));
  });
}

/** A result whose elements are those of x with these strides, the first of them at `offset`: one copy, or none. */
function rearranged(
  backend: NullclineBackend,
  x: tf.TensorInfo,
  shape: number[],
  sizes: readonly number[],
  from: readonly number[],
  offset: number,
): tf.TensorInfo | undefined {
  const n = sizeOf(shape);
  if (n === 0) return undefined;
  const there = isRow(sizes, from) ? inPlace(backend, x, offset, shape) : undefined;
  if (there !== undefined) return there;
  const size = bytesOf(backend, x.dtype);
  const source = backend.pointerOf(x.dataId, x.dtype);
  const out = backend.allocateFor(n, x.dtype);
  if (!move(backend, size, { sizes, to: rowMajor(sizes), from }, out, source + offset * size)) {
    backend.heap.release(out);
    return undefined;
  }
  return backend.adopt(out, shape, x.dtype);
}

const transpose: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (!movable(x)) return undefined;
  const perm = attrs.perm as number[];
  const strides = rowMajor(x.shape);
  const shape = perm.map((i) => x.shape[i]);
  return rearranged(backend, x, shape, shape, perm.map((i) => strides[i]), 0); // prettier-ignore
};

const slice: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (!movable(x)) return undefined;
  const [begin, size] = sliceOf(x.shape, attrs);
  const strides = rowMajor(x.shape);
  return rearranged(backend, x, size, size, strides, begin.reduce((n, b, i) => n + b * strides[i], 0)); // prettier-ignore
};

/** The cpu backend's kernel does not know masks that add or take away axes. */
const stridedSlice: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (!movable(x)) return undefined;
  const { offset, sizes, steps, finalShape } = stridedSliceOf(x.shape, attrs);
  const strides = rowMajor(x.shape);
  if (sizeOf(finalShape) === 0) return backend.adopt(backend.allocateFor(0, x.dtype), finalShape, x.dtype);
  return rearranged(backend, x, finalShape, sizes, strides.map((s, i) => s * steps[i]), offset.reduce((n, first, i) => n + first * strides[i], 0)); // prettier-ignore
};

const reverse: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (!movable(x)) return undefined;
  const axes = axesOf(attrs.dims as number[], x.shape);
  const strides = rowMajor(x.shape);
  const offset = axes.reduce((n, axis) => n + (x.shape[axis] - 1) * strides[axis], 0);
  return rearranged(backend, x, x.shape, x.shape, strides.map((s, i) => (axes.includes(i) ? -s : s)), offset); // prettier-ignore
};

const tile: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  const reps = attrs.reps as number[];
  if (!movable(x) || reps.length !== x.shape.length || reps.some((n) => n < 0)) return undefined;
  const strides = rowMajor(x.shape);
  const shape: number[] = [];
  const sizes: number[] = [];
  const from: number[] = [];
  for (let i = 0; i < reps.length; i++) {
    shape.push(x.shape[i] * reps[i]);
    sizes.push(reps[i], x.shape[i]);
    from.push(0, strides[i]);
  }
  return rearranged(backend, x, shape, sizes, from, 0);
};

const pad: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (!movable(x)) return undefined;
  const paddings = attrs.paddings as [number, number][];
  const shape = x.shape.map((n, i) => n + paddings[i][0] + paddings[i][1]);
  const [n, inside] = [sizeOf(shape), sizeOf(x.shape)];
  if (n === 0 || inside === 0 || x.shape.length > 4) return undefined;
  const source = backend.pointerOf(x.dataId, x.dtype);
  const out = backend.allocateFor(n, x.dtype);
  if (n > inside) fill(backend, out, n, x.dtype, attrs.constantValue as number);
  const to = rowMajor(shape);
  const offset = paddings.reduce((sum, [low], i) => sum + low * to[i], 0);
  const size = bytesOf(backend, x.dtype);
  move(backend, size, { sizes: x.shape, to, from: rowMajor(x.shape) }, out + offset * size, source);
  return backend.adopt(out, shape, x.dtype);
};

const gather: EagerKernel = ({ backend, inputs: { x, indices }, attrs }) => {
  if (!movable(x) || indices?.dtype !== 'int32' || (attrs.batchDims as number | undefined ?? 0) !== 0) return undefined; // prettier-ignore
  const [axis] = axesOf((attrs.axis as number | undefined) ?? 0, x.shape);
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  const n = sizeOf(shape);
  if (n === 0) return undefined;
  const source = backend.pointerOf(x.dataId, x.dtype);
  const at = backend.pointerOf(indices.dataId, indices.dtype);
  const count = sizeOf(indices.shape);
  const { heap } = backend;
  const words = heap.i32;
  const length = x.shape[axis];
  // An index that does not exist is an error, which the other kernel words.
  const first = words[at / 4];
  let isRun = true;
  for (let i = 0; i < count; i++) {
    const index = words[at / 4 + i];
    if (index < 0 || index >= length) return undefined;
    if (index !== first + i) isRun = false;
  }
  if (isRun && n === count * sizeOf(x.shape.slice(axis + 1))) {
    const there = inPlace(backend, x, (first * n) / count, shape);
    if (there !== undefined) return there;
  }
  const out = backend.allocateFor(n, x.dtype);
  const row = sizeOf(x.shape.slice(axis + 1)) * bytesOf(backend, x.dtype);
  const blocks = sizeOf(x.shape.slice(0, axis));
  cache.get(backend, 'gather', () => link(heap, 7, writeGather))(out, source, at, blocks, count, row, row * length);
  return backend.adopt(out, shape, x.dtype);
};

export const MOVEMENTS: Readonly<Record<string, EagerKernel>> = {
  Transpose: transpose,
  Slice: slice,
  StridedSlice: stridedSlice,
  Reverse: reverse,
  Tile: tile,
  PadV2: pad,
  GatherV2: gather,
};
