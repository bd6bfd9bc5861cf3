/**
 * The limit for matrix products: the usual packed kernel for 128-bit vectors, four rows by two vectors of C in registers and
 * B laid out in panels beforehand, written by hand for sizes that are multiples of the tile. It is what a C compiler makes
 * of the same loops, without packing, without edges and without tensors.
 */
import { I32, i32, i32add, i32mul, localExpr, ModuleWriter, V128, type Expr } from '../../src/wasm/emit/assembler.js';
import { F32X4, F64X2 } from '../../src/wasm/emit/lanes.js';

export interface PackedProduct {
  /** C [m, n] = A [m, k] B [k, n]. m is a multiple of 4, n of two vectors. */
  readonly run: (m: number, n: number, k: number) => void;
  /** Fill the operands, packing B. */
  readonly load: (a: ArrayLike<number>, b: ArrayLike<number>, m: number, n: number, k: number) => void;
  readonly result: (m: number, n: number) => ArrayLike<number>;
}

const LARGEST = 512;

export function packedProduct(bits: 32 | 64): PackedProduct {
  const L = bits === 32 ? F32X4 : F64X2;
  const module = new ModuleWriter([]);
  const [M, N, K, A, B, C] = [0, 1, 2, 3, 4, 5];
  const width = 2 * L.count;
  const get = localExpr;
  const bytes = (elements: Expr): Expr => i32mul(elements, i32(L.bytes));
  const code = (opcode: number, address: number, offset: number): Expr => (b) => {
    b.get(address);
    b.simd(opcode);
    b.memory(offset);
  }; // prettier-ignore
  const index = module.function('gemm', [I32, I32, I32, I32, I32, I32], [], (b) => {
    const [j, i, k, a0, c0, p, bp] = Array.from({ length: 7 }, () => b.local(I32));
    const rows = Array.from({ length: 4 }, () => b.local(I32));
    const sums = rows.map(() => [b.local(V128), b.local(V128)]);
    const [x0, x1, left] = [b.local(V128), b.local(V128), b.local(V128)];
    const down = (counter: number, by: number): Expr => b.tee(counter, i32add(get(counter), i32(-by)));
    b.set(j, get(N));
    b.set(bp, get(B));
    b.repeat(
      () => {
        b.set(i, get(M));
        b.set(a0, get(A));
        b.set(c0, get(C));
        b.repeat(
          () => {
            rows.forEach((row, r) => {
              b.set(row, r === 0 ? get(a0) : i32add(get(rows[r - 1]), bytes(get(K))));
            });
            for (const sum of sums.flat()) b.set(sum, L.const(0));
            b.set(p, get(bp));
            b.set(k, get(K));
            b.repeat(
              () => {
                b.set(x0, code(0, p, 0));
                b.set(x1, code(0, p, 16));
                rows.forEach((row, r) => {
                  b.set(left, code(bits === 32 ? 9 : 10, row, 0));
                  b.set(sums[r][0], L.add(get(sums[r][0]), L.mul(get(left), get(x0))));
                  b.set(sums[r][1], L.add(get(sums[r][1]), L.mul(get(left), get(x1))));
                  b.set(row, i32add(get(row), i32(L.bytes)));
                });
                b.set(p, i32add(get(p), i32(32)));
              },
              down(k, 1),
            );
            b.set(k, get(c0));
            sums.forEach((pair) => {
              pair.forEach((sum, v) => {
                b.get(k);
                b.get(sum);
                b.simd(11);
                b.memory(16 * v);
              });
              b.set(k, i32add(get(k), bytes(get(N))));
            });
            b.set(c0, get(k));
            b.set(a0, i32add(get(rows[3]), i32(0)));
          },
          down(i, 4),
        );
        b.set(bp, get(p));
        b.set(C, i32add(get(C), i32(32)));
      },
      down(j, width),
    );
  });
  module.export('gemm', index);
  const size = LARGEST * LARGEST * L.bytes;
  const memory = new WebAssembly.Memory({ initial: Math.ceil((3 * size + 65536) / 65536) });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { host: { memory } });
  const gemm = exports.gemm as (m: number, n: number, k: number, a: number, b: number, c: number) => void;
  const [pa, pb, pc] = [0, 1, 2].map((x) => 64 + x * size);
  const view = (at: number, n: number) =>
    bits === 32 ? new Float32Array(memory.buffer, at, n) : new Float64Array(memory.buffer, at, n);
  return {
    run: (m, n, k) => {
      gemm(m, n, k, pa, pb, pc);
    },
    load: (a, b, m, n, k) => {
      view(pa, m * k).set(a);
      const packed = view(pb, k * n);
      let at = 0;
      for (let j = 0; j < n; j += width)
        for (let row = 0; row < k; row++) for (let v = 0; v < width; v++) packed[at++] = b[row * n + j + v];
    },
    result: (m, n) => view(pc, m * n).slice(),
  };
}
