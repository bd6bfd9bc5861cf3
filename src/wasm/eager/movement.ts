/**
 * Operations that only move elements, of sizes known only at run time: a strided copy in four nested loops.
 */
import * as tf from '@tensorflow/tfjs';
import type { NullclineBackend } from '../backend.js';
import { kindOf } from '../elementwise.js';
import { bytesOfKind } from '../emit/access.js';
import { i32, i32add, i32load, i32mul, localExpr, V128, type Body, type Expr } from '../emit/assembler.js';
import { stridedSliceOf } from '../../graph/strided-slice.js';
import { CodeCache, lanesOf, sizeOf, type Call, type EagerKernel } from './eager.js';
import { bump, i32and, i32shr, link, repeat, variable, type Code } from './link.js';

/** Shorter runs are copied element by element: the instruction for blocks of memory is a call. */
const SHORT = 64;

const cache = new CodeCache<string, Code>();
const strided = new CodeCache<number, Code>();

function element(b: Body, size: number, to: number, from: number): void {
  const [read, write] = size === 8 ? [0x29, 0x37] : size === 4 ? [0x28, 0x36] : [0x2d, 0x3a];
  b.get(to);
  b.get(from);
  b.plain(read);
  b.memory(0);
  b.plain(write);
  b.memory(0);
}

function block(b: Body, to: Expr, from: Expr, bytes: Expr): void {
  to(b);
  from(b);
  bytes(b);
  b.plain(0xfc, 0x0a, 0, 0);
}

/** out, in, and for each of four axes its length, then the bytes between neighbours in the result and in the operand. */
function writeStrided(b: Body, size: number): void {
  const at = (axis: number, which: number): Expr => localExpr(2 + 3 * axis + which);
  const level = (axis: number, to: number, from: number): void => {
    const [p, q] = [variable(b, localExpr(to)), variable(b, localExpr(from))];
    repeat(b, at(axis, 0), () => {
      if (axis === 3) element(b, size, p, q);
      else level(axis + 1, p, q);
      bump(b, p, at(axis, 1));
      bump(b, q, at(axis, 2));
    });
  };
  level(0, 0, 1);
}

/** The same with three loops around runs of bytes: out, in, three axes, bytes. */
function writeRuns(b: Body): void {
  const at = (axis: number, which: number): Expr => localExpr(2 + 3 * axis + which);
  const level = (axis: number, to: number, from: number): void => {
    const [p, q] = [variable(b, localExpr(to)), variable(b, localExpr(from))];
    repeat(b, at(axis, 0), () => {
      if (axis === 2) block(b, localExpr(p), localExpr(q), localExpr(11));
      else level(axis + 1, p, q);
      bump(b, p, at(axis, 1));
      bump(b, q, at(axis, 2));
    });
  };
  level(0, 0, 1);
}

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

/** Strides in elements; those of the operand may be 0 or negative. */
interface Move {
  readonly sizes: readonly number[];
  readonly to: readonly number[];
  readonly from: readonly number[];
}

const rowMajor = (shape: readonly number[]): number[] => {
  const strides = new Array<number>(shape.length);
  let n = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = n;
    n *= shape[i];
  }
  return strides;
};

/** Axes that run on together become one; undefined where more than four are left. */
function collapsed({ sizes, to, from }: Move): Move | undefined {
  const n: number[] = [];
  const t: number[] = [];
  const f: number[] = [];
  for (let i = 0; i < sizes.length; i++) {
    if (sizes[i] === 1) continue;
    const top = n.length - 1;
    if (top >= 0 && t[top] === to[i] * sizes[i] && f[top] === from[i] * sizes[i]) {
      n[top] *= sizes[i];
      t[top] = to[i];
      f[top] = from[i];
    } else {
      n.push(sizes[i]);
      t.push(to[i]);
      f.push(from[i]);
    }
  }
  return n.length > 4 ? undefined : { sizes: n, to: t, from: f };
}

/** Columns that are copied together, so that what a row brings into the cache is used before it leaves. */
const TILE = 16;

/** Copy; addresses are of the first elements. False where the axes are too many. */
function move(backend: NullclineBackend, size: number, given: Move, to: number, from: number): boolean {
  const m = collapsed(given);
  if (m === undefined) return false;
  const rank = m.sizes.length;
  const inner = rank - 1;
  if (rank === 0 || (m.to[inner] === 1 && m.from[inner] === 1 && m.sizes[inner] * size >= SHORT)) {
    const bytes = rank === 0 ? size : m.sizes[inner] * size;
    if (rank <= 1 && bytes >= SHORT) {
      backend.heap.u8.copyWithin(to, from, from + bytes);
      return true;
    }
    if (rank === 0) {
      strided.get(backend, size, () => link(backend.heap, 14, (b) => { writeStrided(b, size); }))(to, from, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0); // prettier-ignore
      return true;
    }
    const run = cache.get(backend, 'runs', () => link(backend.heap, 12, writeRuns));
    const { sizes: n, to: t, from: f } = m;
    const [i, j, k] = [inner - 3, inner - 2, inner - 1];
    run(
      to, from,
      i < 0 ? 1 : n[i], i < 0 ? 0 : t[i] * size, i < 0 ? 0 : f[i] * size,
      j < 0 ? 1 : n[j], j < 0 ? 0 : t[j] * size, j < 0 ? 0 : f[j] * size,
      n[k], t[k] * size, f[k] * size,
      bytes,
    ); // prettier-ignore
    return true;
  }
  const run = strided.get(backend, size, () => link(backend.heap, 14, (b) => { writeStrided(b, size); })); // prettier-ignore
  const call = (move: Move, at: number, source: number): void => {
    const { sizes: n, to: t, from: f } = move;
    const [i, j, k, l] = [n.length - 4, n.length - 3, n.length - 2, n.length - 1];
    run(
      at, source,
      i < 0 ? 1 : n[i], i < 0 ? 0 : t[i] * size, i < 0 ? 0 : f[i] * size,
      j < 0 ? 1 : n[j], j < 0 ? 0 : t[j] * size, j < 0 ? 0 : f[j] * size,
      k < 0 ? 1 : n[k], k < 0 ? 0 : t[k] * size, k < 0 ? 0 : f[k] * size,
      n[l], t[l] * size, f[l] * size,
    ); // prettier-ignore
  };
  // A transposition: read rows, a few columns at a time.
  if (rank >= 2 && rank <= 3 && m.from[inner - 1] === 1 && m.from[inner] !== 1 && m.sizes[inner - 1] > TILE) {
    const n = m.sizes[inner - 1];
    const full = Math.floor(n / TILE);
    const lead = (list: readonly number[]): number[] => list.slice(0, inner - 1);
    call({
      sizes: [...lead(m.sizes), full, m.sizes[inner], TILE],
      to: [...lead(m.to), TILE * m.to[inner - 1], m.to[inner], m.to[inner - 1]],
      from: [...lead(m.from), TILE, m.from[inner], 1],
    }, to, from); // prettier-ignore
    if (n % TILE > 0) {
      call({
        sizes: [...lead(m.sizes), m.sizes[inner], n % TILE],
        to: [...lead(m.to), m.to[inner], m.to[inner - 1]],
        from: [...lead(m.from), m.from[inner], 1],
      }, to + full * TILE * m.to[inner - 1] * size, from + full * TILE * size); // prettier-ignore
    }
    return true;
  }
  call(m, to, from);
  return true;
}

const movable = (x: tf.TensorInfo | undefined): x is tf.TensorInfo => x !== undefined && kindOf(x.dtype) !== undefined;

const bytesOf = (backend: NullclineBackend, dtype: tf.DataType): number =>
  bytesOfKind(lanesOf(backend), kindOf(dtype) ?? 'float');

/** A result whose elements are one strided copy of those of x, the first of them at `offset`. */
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
  const size = bytesOf(backend, x.dtype);
  const source = backend.pointerOf(x.dataId);
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
  const given = { shape: x.shape, rank: x.shape.length } as unknown as tf.Tensor;
  const [begin, size] = tf.slice_util.parseSliceParams(given, attrs.begin as number[], attrs.size as number[]);
  tf.slice_util.assertParamsValid(given, begin, size);
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
  const axes = tf.util.parseAxisParam(attrs.dims as number[], x.shape);
  const strides = rowMajor(x.shape);
  const offset = axes.reduce((n, axis) => n + (x.shape[axis] - 1) * strides[axis], 0);
  return rearranged(backend, x, x.shape, x.shape, strides.map((s, i) => (axes.includes(i) ? -s : s)), offset); // prettier-ignore
};

const tile: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  const reps = attrs.reps as number[];
  if (!movable(x) || reps.length !== x.shape.length) return undefined;
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

const concat: EagerKernel = ({ backend, inputs, attrs }) => {
  const given = Object.values(inputs);
  if (!given.every(movable) || given.some(({ dtype }) => dtype !== given[0].dtype)) return undefined;
  const [axis] = tf.util.parseAxisParam(attrs.axis as number, given[0].shape);
  const parts = given.filter(({ shape }) => sizeOf(shape) > 0);
  if (parts.length === 0) return undefined;
  const shape = [...parts[0].shape];
  shape[axis] = parts.reduce((n, part) => n + part.shape[axis], 0);
  tf.backend_util.assertParamsConsistent(parts.map((part) => part.shape), axis); // prettier-ignore
  const { dtype } = parts[0];
  const size = bytesOf(backend, dtype);
  const pointers = parts.map(({ dataId }) => backend.pointerOf(dataId));
  const out = backend.allocateFor(sizeOf(shape), dtype);
  const blocks = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1));
  let done = 0;
  parts.forEach((part, i) => {
    const n = part.shape[axis] * inner;
    move(backend, size, { sizes: [blocks, n], to: [shape[axis] * inner, 1], from: [n, 1] }, out + done * size, pointers[i]); // prettier-ignore
    done += n;
  });
  return backend.adopt(out, shape, dtype);
};

/** Fill a block with one value, up to the end of its last 16 bytes. */
function fill(backend: NullclineBackend, pointer: number, n: number, dtype: tf.DataType, value: number): void {
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

const pad: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (!movable(x)) return undefined;
  const paddings = attrs.paddings as [number, number][];
  const shape = x.shape.map((n, i) => n + paddings[i][0] + paddings[i][1]);
  const [n, inside] = [sizeOf(shape), sizeOf(x.shape)];
  if (n === 0 || inside === 0 || x.shape.length > 4) return undefined;
  const source = backend.pointerOf(x.dataId);
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
  const [axis] = tf.util.parseAxisParam((attrs.axis as number | undefined) ?? 0, x.shape);
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  const n = sizeOf(shape);
  if (n === 0) return undefined;
  const source = backend.pointerOf(x.dataId);
  const at = backend.pointerOf(indices.dataId);
  const count = sizeOf(indices.shape);
  const { heap } = backend;
  const words = heap.i32;
  const length = x.shape[axis];
  // An index that does not exist is an error, which the other kernel words.
  for (let i = at / 4; i < at / 4 + count; i++) if (words[i] < 0 || words[i] >= length) return undefined;
  const out = backend.allocateFor(n, x.dtype);
  const row = sizeOf(x.shape.slice(axis + 1)) * bytesOf(backend, x.dtype);
  const blocks = sizeOf(x.shape.slice(0, axis));
  cache.get(backend, 'gather', () => link(heap, 7, writeGather))(out, source, at, blocks, count, row, row * length);
  return backend.adopt(out, shape, x.dtype);
};

/** Another reference to the same buffer. */
const reshape: EagerKernel = ({ backend, inputs: { x }, attrs }: Call) => {
  if (!movable(x)) return undefined;
  const shape = attrs.shape as number[];
  if (sizeOf(shape) !== sizeOf(x.shape)) return undefined; // or one length is left to be inferred
  backend.incRef(x.dataId);
  return { dataId: x.dataId, shape, dtype: x.dtype };
};

export const MOVEMENTS: Readonly<Record<string, EagerKernel>> = {
  Transpose: transpose,
  Slice: slice,
  StridedSlice: stridedSlice,
  Reverse: reverse,
  Tile: tile,
  Concat: concat,
  PadV2: pad,
  GatherV2: gather,
  Reshape: reshape,
};
