/**
 * Copies of elements from place to place, of sizes known only at run time: four nested loops with a stride each.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { kindOf } from '../elementwise.js';
import { bytesOfKind } from '../emit/access.js';
import { localExpr, type Body, type Expr } from '../emit/assembler.js';
import { CodeCache, lanesOf, sizeOf } from './eager.js';
import { bump, link, repeat, variable, type Code } from './link.js';

/** Shorter runs are copied element by element: the instruction for blocks of memory is a call. */
export const SHORT = 64;

const cache = new CodeCache<string, Code>();
const strided = new CodeCache<number, Code>();

export function element(b: Body, size: number, to: number, from: number): void {
  const [read, write] = size === 8 ? [0x29, 0x37] : size === 4 ? [0x28, 0x36] : [0x2d, 0x3a];
  b.get(to);
  b.get(from);
  b.plain(read);
  b.memory(0);
  b.plain(write);
  b.memory(0);
}

export function block(b: Body, to: Expr, from: Expr, bytes: Expr): void {
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

/** Strides in elements; those of the operand may be 0 or negative. */
export interface Move {
  readonly sizes: readonly number[];
  readonly to: readonly number[];
  readonly from: readonly number[];
}

export const rowMajor = (shape: readonly number[]): number[] => {
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

const stridedCode = (backend: NullclineBackend, size: number): Code =>
  strided.get(backend, size, () => link(backend.heap, 14, (b) => { writeStrided(b, size); })); // prettier-ignore

/** At most four axes, the last of them innermost. */
function copyStrided(run: Code, size: number, { sizes: n, to: t, from: f }: Move, to: number, from: number): void {
  const [i, j, k, l] = [n.length - 4, n.length - 3, n.length - 2, n.length - 1];
  run(
    to, from,
    i < 0 ? 1 : n[i], i < 0 ? 0 : t[i] * size, i < 0 ? 0 : f[i] * size,
    j < 0 ? 1 : n[j], j < 0 ? 0 : t[j] * size, j < 0 ? 0 : f[j] * size,
    k < 0 ? 1 : n[k], k < 0 ? 0 : t[k] * size, k < 0 ? 0 : f[k] * size,
    l < 0 ? 1 : n[l], l < 0 ? 0 : t[l] * size, l < 0 ? 0 : f[l] * size,
  ); // prettier-ignore
}

/** Of fewer elements than these it is not worth thinking how to copy them best. */
const HANDFUL = 32;

/** Copy; addresses are of the first elements. False where the axes are too many. */
export function move(backend: NullclineBackend, size: number, given: Move, to: number, from: number): boolean {
  const run = stridedCode(backend, size);
  if (given.sizes.length <= 4 && sizeOf(given.sizes) < HANDFUL) {
    copyStrided(run, size, given, to, from);
    return true;
  }
  const m = collapsed(given);
  if (m === undefined) return false;
  const { sizes: n, to: t, from: f } = m;
  const inner = n.length - 1;
  if (inner >= 0 && t[inner] === 1 && f[inner] === 1 && n[inner] * size >= SHORT) {
    const bytes = n[inner] * size;
    if (inner === 0) {
      backend.heap.u8.copyWithin(to, from, from + bytes);
      return true;
    }
    const [i, j, k] = [inner - 3, inner - 2, inner - 1];
    cache.get(backend, 'runs', () => link(backend.heap, 12, writeRuns))(
      to, from,
      i < 0 ? 1 : n[i], i < 0 ? 0 : t[i] * size, i < 0 ? 0 : f[i] * size,
      j < 0 ? 1 : n[j], j < 0 ? 0 : t[j] * size, j < 0 ? 0 : f[j] * size,
      n[k], t[k] * size, f[k] * size,
      bytes,
    ); // prettier-ignore
    return true;
  }
  // A transposition: read rows, a few columns at a time.
  if (inner >= 1 && inner <= 2 && f[inner - 1] === 1 && f[inner] !== 1 && n[inner - 1] > TILE) {
    const columns = n[inner - 1];
    const full = Math.floor(columns / TILE);
    const lead = (list: readonly number[]): readonly number[] => list.slice(0, inner - 1);
    copyStrided(run, size, {
      sizes: [...lead(n), full, n[inner], TILE],
      to: [...lead(t), TILE * t[inner - 1], t[inner], t[inner - 1]],
      from: [...lead(f), TILE, f[inner], 1],
    }, to, from); // prettier-ignore
    if (columns % TILE > 0) {
      copyStrided(run, size, {
        sizes: [...lead(n), n[inner], columns % TILE],
        to: [...lead(t), t[inner], t[inner - 1]],
        from: [...lead(f), f[inner], 1],
      }, to + full * TILE * t[inner - 1] * size, from + full * TILE * size); // prettier-ignore
    }
    return true;
  }
  copyStrided(run, size, m, to, from);
  return true;
}

export const movable = (x: tf.TensorInfo | undefined): x is tf.TensorInfo =>
  x !== undefined && kindOf(x.dtype) !== undefined;

export const bytesOf = (backend: NullclineBackend, dtype: tf.DataType): number =>
  bytesOfKind(lanesOf(backend), kindOf(dtype) ?? 'float');

/** From how many bytes on a row of elements is not copied but stays where it is. A small piece does not hold a large whole in memory. */
export const IN_PLACE = 16_384;

/** Elements that lie in a row in x, as a tensor of their own: in the same memory if they are many; undefined where they should be copied. */
export function inPlace(
  backend: NullclineBackend,
  x: tf.TensorInfo,
  offset: number,
  shape: number[],
): tf.TensorInfo | undefined {
  const n = sizeOf(shape);
  if (n * bytesOf(backend, x.dtype) < IN_PLACE) return undefined;
  if (n !== sizeOf(x.shape)) return backend.part(x, offset, shape);
  backend.incRef(x.dataId);
  return { dataId: x.dataId, shape, dtype: x.dtype };
}

/** Do elements with these strides lie in a row? */
export function isRow(sizes: readonly number[], strides: readonly number[]): boolean {
  let n = 1;
  for (let i = sizes.length - 1; i >= 0; i--) {
    if (sizes[i] === 1) continue;
    if (strides[i] !== n) return false;
    n *= sizes[i];
  }
  return true;
}

/** Rows of neighbouring elements, as many from one place to another; all distances in elements. */
export function copyRows(
  backend: NullclineBackend,
  size: number,
  rows: number,
  n: number,
  to: number,
  toPitch: number,
  from: number,
  fromPitch: number,
): void {
  if (n * size >= SHORT) {
    const run = cache.get(backend, 'runs', () => link(backend.heap, 12, writeRuns));
    run(to, from, 1, 0, 0, 1, 0, 0, rows, toPitch * size, fromPitch * size, n * size);
  } else {
    stridedCode(backend, size)(to, from, 1, 0, 0, 1, 0, 0, rows, toPitch * size, fromPitch * size, n, size, size);
  }
}
