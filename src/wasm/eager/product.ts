/**
 * Matrix products of sizes known only at run time: tiles of four rows by two vectors, as for the compiled ones, without
 * panels. Large products are worth a program of their own.
 */
import type { NullclineBackend } from '../backend.js';
import { load, store } from '../emit/access.js';
import { i32, i32add, i32mul, localExpr, V128, type Body, type Expr } from '../emit/assembler.js';
import type { Lanes } from '../emit/lanes.js';
import { CodeCache, lanesOf, type EagerKernel } from './eager.js';
import { bump, i32and, i32shr, link, repeat, variable, type Code } from './link.js';

/** More multiplications than these are for a program compiled for the shapes. */
export const LARGEST_EAGER = 32_768;

const cache = new CodeCache<string, Code>();

/** c, a, b, rows, inner, columns, bytes between rows and between columns of A. C and B are in row-major order. */
function writeProduct(b: Body, L: Lanes): void {
  const [c, a, right, rows, inner, columns, aRow, aStep] = [0, 1, 2, 3, 4, 5, 6, 7];
  const pitch = variable(b, i32mul(localExpr(columns), i32(L.bytes)));
  const twice = variable(b, i32add(localExpr(aRow), localExpr(aRow)));
  const thrice = variable(b, i32add(localExpr(twice), localExpr(aRow)));
  const splat = { count: L.count, stride: 0 };
  const tile = (height: number, widths: readonly number[], ci: number, ai: number, bj: number): void => {
    const sums = Array.from({ length: height }, () => widths.map(() => b.local(V128)));
    for (const sum of sums.flat()) b.set(sum, L.const(0));
    const [p, q] = [variable(b, localExpr(ai)), variable(b, localExpr(bj))];
    const rowAt = (i: number): Expr => (i === 0 ? localExpr(p) : i32add(localExpr(p), localExpr([aRow, twice, thrice][i - 1]))); // prettier-ignore
    repeat(b, localExpr(inner), () => {
      const across = widths.map((n, v) => b.vector(load(L, 'float', localExpr(q), 16 * v, { count: n, stride: 1 })));
      sums.forEach((row, i) => {
        const left = b.vector(load(L, 'float', rowAt(i), 0, splat));
        row.forEach((sum, v) => {
          b.set(sum, L.mulAdd(left, across[v], localExpr(sum)));
        });
      });
      bump(b, p, localExpr(aStep));
      bump(b, q, localExpr(pitch));
    });
    const to = variable(b, localExpr(ci));
    sums.forEach((row, i) => {
      row.forEach((sum, v) => {
        store(b, L, 'float', localExpr(to), 16 * v, { count: widths[v], stride: 1 }, localExpr(sum));
      });
      if (i < height - 1) bump(b, to, localExpr(pitch));
    });
  };
  const down = (widths: readonly number[]): void => {
    const [ci, ai] = [variable(b, localExpr(c)), variable(b, localExpr(a))];
    for (const height of [4, 1]) {
      repeat(b, height === 4 ? i32shr(localExpr(rows), 2) : i32and(localExpr(rows), i32(3)), () => {
        tile(height, widths, ci, ai, right);
        bump(b, ci, i32mul(localExpr(pitch), i32(height)));
        bump(b, ai, i32mul(localExpr(aRow), i32(height)));
      });
    }
    const bytes = widths.reduce((n, w) => n + w, 0) * L.bytes;
    bump(b, c, i32(bytes));
    bump(b, right, i32(bytes));
  };
  const panel = 2 * L.count;
  repeat(b, i32shr(localExpr(columns), L.count === 4 ? 3 : 2), () => { down([L.count, L.count]); }); // prettier-ignore
  const rest = variable(b, i32and(localExpr(columns), i32(panel - 1)));
  repeat(b, i32shr(localExpr(rest), L.count === 4 ? 2 : 1), () => { down([L.count]); }); // prettier-ignore
  repeat(b, i32and(localExpr(rest), i32(L.count - 1)), () => { down([1]); }); // prettier-ignore
}

/** out, in, rows, columns: the transposed matrix. */
function writeTranspose(b: Body, L: Lanes): void {
  const [out, from, rows, columns] = [0, 1, 2, 3];
  const pitch = variable(b, i32mul(localExpr(rows), i32(L.bytes)));
  repeat(b, localExpr(rows), () => {
    const to = variable(b, localExpr(out));
    repeat(b, localExpr(columns), () => {
      b.get(to);
      b.get(from);
      b.plain(L.bits === 32 ? 0x28 : 0x29);
      b.memory(0);
      b.plain(L.bits === 32 ? 0x36 : 0x37);
      b.memory(0);
      bump(b, to, localExpr(pitch));
      bump(b, from, i32(L.bytes));
    });
    bump(b, out, i32(L.bytes));
  });
}

/** How many matrices the leading axes hold. */
function matricesOf(shape: readonly number[]): number {
  let n = 1;
  for (let i = shape.length - 3; i >= 0; i--) n *= shape[i];
  return n;
}

/** Products of moderate size: of two matrices, of two lists of them, or of one with each of a list. */
export const product: EagerKernel = ({ backend, inputs: { a, b }, attrs }) => {
  if (a?.dtype !== 'float32' || b?.dtype !== 'float32') return undefined;
  const [sa, sb] = [a.shape, b.shape];
  const [ra, rb] = [sa.length, sb.length];
  const [na, nb] = [matricesOf(sa), matricesOf(sb)];
  if (na !== 1 && nb !== 1) {
    if (ra !== rb) return undefined;
    for (let i = 0; i < ra - 2; i++) if (sa[i] !== sb[i]) return undefined;
  }
  const ta = attrs.transposeA === true;
  const tb = attrs.transposeB === true;
  const m = sa[ta ? ra - 1 : ra - 2];
  const k = sa[ta ? ra - 2 : ra - 1];
  const n = sb[tb ? rb - 2 : rb - 1];
  const matrices = Math.max(na, nb);
  const work = matrices * m * n * k;
  if (k !== sb[tb ? rb - 1 : rb - 2] || work === 0 || work >= LARGEST_EAGER) return undefined;
  const L = lanesOf(backend);
  const left = backend.pointerOf(a.dataId, 'float32');
  const given = backend.pointerOf(b.dataId, 'float32');
  const run = cache.get(backend, 'product', () => link(backend.heap, 8, (body) => { writeProduct(body, L); })); // prettier-ignore
  const turned = tb && n > 1 && k > 1 ? upright(backend, given, nb, n, k) : 0;
  const right = turned === 0 ? given : turned;
  const out = backend.allocateFor(matrices * m * n, 'float32');
  const [stepA, stepB] = [na === 1 ? 0 : m * k * L.bytes, nb === 1 ? 0 : k * n * L.bytes];
  const [row, column] = [(ta ? 1 : k) * L.bytes, (ta ? m : 1) * L.bytes];
  for (let i = 0; i < matrices; i++) {
    run(out + i * m * n * L.bytes, left + i * stepA, right + i * stepB, m, k, n, row, column);
  }
  if (turned !== 0) backend.heap.release(turned);
  const rank = Math.max(ra, rb);
  const shape = new Array<number>(rank);
  for (let i = 0; i < rank - 2; i++) shape[i] = Math.max(sa[i - rank + ra] ?? 1, sb[i - rank + rb] ?? 1);
  shape[rank - 2] = m;
  shape[rank - 1] = n;
  return backend.adopt(out, shape, 'float32');
};

/** A block that holds the transposed matrices. */
function upright(backend: NullclineBackend, from: number, matrices: number, rows: number, columns: number): number {
  const L = lanesOf(backend);
  const run = cache.get(backend, 'transpose', () => link(backend.heap, 4, (b) => { writeTranspose(b, L); })); // prettier-ignore
  const block = backend.allocateFor(matrices * rows * columns, 'float32');
  const step = rows * columns * L.bytes;
  for (let i = 0; i < matrices; i++) run(block + i * step, from + i * step, rows, columns);
  return block;
}
