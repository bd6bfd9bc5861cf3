/**
 * Matrix products C = A B of strided operands, one function per shape. Two ways through the lanes:
 *
 * - *columns*: neighbours along a row of B and C fill the lanes; each element of A is repeated over them. A tile of rows by
 *   vectors of C stays in registers over the whole sum.
 * - *dots*: neighbours along the summed axis fill the lanes, for results narrower than a vector, and are added up at the end.
 */
import { load, store, type Layout } from './access.js';
import { I32, i32, i32add, localExpr, V128, type Body, type Expr, type ModuleWriter } from './assembler.js';
import { shuffle, type Lanes } from './lanes.js';

export interface MatMulSpec {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Elements between neighbouring rows and between neighbouring columns, of each matrix. */
  readonly a: readonly [number, number];
  readonly b: readonly [number, number];
  readonly c: readonly [number, number];
}

/** The same product with rows and columns exchanged. */
export const transposed = ({ rows, inner, columns, a, b, c }: MatMulSpec): MatMulSpec => ({
  rows: columns,
  inner,
  columns: rows,
  a: [b[1], b[0]],
  b: [a[1], a[0]],
  c: [c[1], c[0]],
});

/** Are the lanes to run along the summed axis? */
export function isDots(L: Lanes, { inner, columns, b }: MatMulSpec): boolean {
  return inner >= L.count && columns > 1 ? b[0] === 1 && b[1] !== 1 : columns < L.count && inner >= L.count;
}

/** Parameters are the addresses of C, A and B. */
export function matMulFunction(module: ModuleWriter, L: Lanes, spec: MatMulSpec): number {
  return module.function(`matmul ${L.bits} ${JSON.stringify(spec)}`, [I32, I32, I32], [], (b) => {
    if (spec.inner === 0) throw new Error('an empty sum has no product');
    if (isDots(L, spec)) new DotsWriter(b, L, spec).write();
    else new ColumnsWriter(b, L, spec).write();
  });
}

const C = 0;
const A = 1;
const B = 2;

abstract class TileWriter {
  constructor(
    protected readonly b: Body,
    protected readonly L: Lanes,
    protected readonly spec: MatMulSpec,
  ) {}

  protected bump(pointer: number, elements: number): void {
    if (elements !== 0) this.b.set(pointer, i32add(localExpr(pointer), i32(elements * this.L.bytes)));
  }

  protected copy(pointer: number): number {
    const local = this.b.local(I32);
    this.b.set(local, localExpr(pointer));
    return local;
  }

  /** `body` as often, with the pointers moved on after each time. */
  protected times(
    count: number,
    moves: readonly (readonly [pointer: number, elements: number])[],
    body: () => void,
  ): void {
    const round = (): void => {
      body();
      for (const [pointer, elements] of moves) this.bump(pointer, elements);
    };
    if (count === 1) round();
    if (count <= 1) return;
    const left = this.b.local(I32);
    this.b.set(left, i32(count));
    this.b.repeat(round, this.b.tee(left, i32add(localExpr(left), i32(-1))));
  }

  protected element(pointer: number, elements: number, layout: Layout): Expr {
    const bytes = elements * this.L.bytes;
    return load(this.L, 'float', localExpr(pointer), bytes, layout);
  }

  /** Cut `size` into full tiles and a rest. */
  protected tiles(
    size: number,
    tile: number,
    pointers: readonly (readonly [number, number])[],
    body: (n: number) => void,
  ): void {
    const moves = pointers.map(([pointer, stride]) => [pointer, stride * tile] as const);
    const full = Math.floor(size / tile);
    if (full > 0)
      this.times(full, moves, () => {
        body(tile);
      });
    if (size % tile > 0) body(size % tile);
  }
}

class ColumnsWriter extends TileWriter {
  write(): void {
    const { L, spec } = this;
    const { rows, columns, a, b: bs, c: cs } = spec;
    const vectors = Math.ceil(columns / L.count);
    const tall = Math.min(rows, 4);
    const wide = Math.min(vectors, tall >= 3 ? 2 : tall === 2 ? 4 : 7);
    // Panels of columns outside, so that a panel of B stays in the cache while all rows go by.
    const c = this.copy(C);
    const b = this.copy(B);
    this.tiles(
      columns,
      wide * L.count,
      [
        [c, cs[1]],
        [b, bs[1]],
      ],
      (width) => {
        // prettier-ignore
        const ci = this.copy(c);
        const ai = this.copy(A);
        this.tiles(
          rows,
          tall,
          [
            [ci, cs[0]],
            [ai, a[0]],
          ],
          (height) => {
            // prettier-ignore
            this.tile(height, width, ci, ai, b);
          },
        );
      },
    );
  }

  private tile(height: number, width: number, c: number, a: number, bPointer: number): void {
    const { b, L, spec } = this;
    const widths: number[] = [];
    for (let left = width; left > 0; left -= L.count) widths.push(Math.min(left, L.count));
    const sums = Array.from({ length: height }, () => widths.map(() => b.local(V128)));
    const [aRow, aStep] = spec.a;
    const [bStep, bColumn] = spec.b;
    const step = (p: number, q: number, k: number, first: boolean): void => {
      const right = widths.map((n, v) =>
        b.vector(this.element(q, k * bStep + v * L.count * bColumn, { count: n, stride: bColumn })),
      );
      sums.forEach((row, i) => {
        const left = b.vector(this.element(p, i * aRow + k * aStep, { count: L.count, stride: 0 }));
        row.forEach((sum, v) => {
          const product = L.mul(left, right[v]);
          b.set(sum, first ? product : L.add(localExpr(sum), product));
        });
      });
    };
    step(a, bPointer, 0, true);
    const rest = spec.inner - 1;
    const unroll = height * widths.length >= 4 ? 2 : 4;
    const rounds = rest > 4 ? Math.floor(rest / unroll) : 0;
    if (rounds > 0) {
      const p = this.copy(a);
      const q = this.copy(bPointer);
      this.bump(p, aStep);
      this.bump(q, bStep);
      this.times(
        rounds,
        [
          [p, unroll * aStep],
          [q, unroll * bStep],
        ],
        () => {
          // prettier-ignore
          for (let k = 0; k < unroll; k++) step(p, q, k, false);
        },
      );
      for (let k = 0; k < rest - rounds * unroll; k++) step(p, q, k, false);
    } else {
      for (let k = 1; k <= rest; k++) step(a, bPointer, k, false);
    }
    const [cRow, cColumn] = spec.c;
    sums.forEach((row, i) => {
      row.forEach((sum, v) => {
        const offset = (i * cRow + v * L.count * cColumn) * L.bytes;
        store(b, L, 'float', localExpr(c), offset, { count: widths[v], stride: cColumn }, localExpr(sum));
      });
    });
  }
}

class DotsWriter extends TileWriter {
  write(): void {
    const { spec } = this;
    const tall = Math.min(spec.rows, 4);
    const wide = Math.min(spec.columns, tall >= 3 ? 2 : 4);
    const c = this.copy(C);
    const b = this.copy(B);
    this.tiles(
      spec.columns,
      wide,
      [
        [c, spec.c[1]],
        [b, spec.b[1]],
      ],
      (width) => {
        // prettier-ignore
        const ci = this.copy(c);
        const ai = this.copy(A);
        this.tiles(
          spec.rows,
          tall,
          [
            [ci, spec.c[0]],
            [ai, spec.a[0]],
          ],
          (height) => {
            // prettier-ignore
            this.tile(height, width, ci, ai, b);
          },
        );
      },
    );
  }

  private tile(height: number, width: number, c: number, a: number, bPointer: number): void {
    const { b, L, spec } = this;
    const { inner } = spec;
    const sums = Array.from({ length: height }, () => Array.from({ length: width }, () => b.local(V128)));
    const step = (p: number, q: number, lanes: number, k: number, first: boolean): void => {
      const right = sums[0].map((_, j) =>
        b.vector(this.element(q, j * spec.b[1] + k * spec.b[0], { count: lanes, stride: spec.b[0] })),
      );
      sums.forEach((row, i) => {
        const left = b.vector(this.element(p, i * spec.a[0] + k * spec.a[1], { count: lanes, stride: spec.a[1] }));
        row.forEach((sum, j) => {
          const product = L.mul(left, right[j]);
          b.set(sum, first ? product : L.add(localExpr(sum), product));
        });
      });
    };
    const vectors = Math.floor(inner / L.count);
    const p = this.copy(a);
    const q = this.copy(bPointer);
    step(p, q, L.count, 0, true);
    this.bump(p, L.count * spec.a[1]);
    this.bump(q, L.count * spec.b[0]);
    if (vectors > 1) {
      this.times(
        vectors - 1,
        [
          [p, L.count * spec.a[1]],
          [q, L.count * spec.b[0]],
        ],
        () => {
          // prettier-ignore
          step(p, q, L.count, 0, false);
        },
      );
    }
    if (inner % L.count > 0) step(p, q, inner % L.count, 0, false);
    sums.forEach((row, i) => {
      row.forEach((sum, j) => {
        const offset = (i * spec.c[0] + j * spec.c[1]) * L.bytes;
        store(b, L, 'float', localExpr(c), offset, { count: 1, stride: 1 }, this.across(localExpr(sum)));
      });
    });
  }

  private across(value: Expr): Expr {
    const { b, L } = this;
    let x = value;
    for (let half = L.count / 2; half >= 1; half /= 2) {
      const moved = shuffle(
        x,
        x,
        Array.from({ length: 16 }, (_, i) => (i + half * L.bytes) % 16),
      );
      x = b.vector(L.add(x, moved));
    }
    return x;
  }
}
