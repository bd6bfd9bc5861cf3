/**
 * Matrix products C = A B of strided operands, one function per shape. Two ways through the lanes:
 *
 * - *columns*: neighbours along a row of B and C fill the lanes; each element of A is repeated over them. A tile of rows by
 *   vectors of C stays in registers over the whole sum.
 * - *dots*: neighbours along the summed axis fill the lanes, for results narrower than a vector, and are added up at the end.
 *
 * Where the operands are too large for the innermost cache the planner has them copied into *panels*, one per tile, which
 * lie along memory in the order in which they are read (Goto and van de Geijn, "Anatomy of high-performance matrix
 * multiplication", ACM Transactions on Mathematical Software 34(3), 2008).
 */
import { load, store, type Layout } from './access.js';
import { I32, localExpr, V128, type Body, type Expr, type ModuleWriter, type Type } from './assembler.js'; // prettier-ignore
import { shuffle, type Lanes } from './lanes.js';
import { emitTerm, keyOf, type Term } from './terms.js';

/** What becomes of a sum before it is stored: a term whose leaf 0 is the sum and whose other leaves are these operands. */
export interface Epilogue {
  readonly term: Term;
  /** Elements between neighbours along each axis of the result (0 repeats), of each float operand. */
  readonly operands: readonly (readonly number[])[];
}

export interface MatMulSpec {
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** Elements between neighbouring rows and between neighbouring columns, of each matrix; unused of one in panels. */
  readonly a: readonly [number, number];
  readonly b: readonly [number, number];
  readonly c: readonly [number, number];
  /** A in panels of {@link PANEL_ROWS} rows: `[panel][inner][row]`, the last one as narrow as the rest. */
  readonly aPanels?: boolean;
  /** B in panels of {@link panelColumns} columns: `[panel][inner][column]`, the last one as narrow as the rest. */
  readonly bPanels?: boolean;
  readonly epilogue?: Epilogue;
}

export const PANEL_ROWS = 4;
/** Two vectors. */
export const panelColumns = (floatBytes: number): number => 32 / floatBytes;

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
export function isDots(L: Lanes, { inner, columns, b, bPanels }: MatMulSpec): boolean {
  if (bPanels === true) return false;
  return inner >= L.count && columns > 1 ? b[0] === 1 && b[1] !== 1 : columns < L.count && inner >= L.count;
}

/** Parameters are the addresses of C, A, B and the operands of the epilogue. */
export function matMulFunction(module: ModuleWriter, L: Lanes, spec: MatMulSpec): number {
  const extra = new Array<Type>(spec.epilogue?.operands.length ?? 0).fill(I32);
  return module.kernel(`matmul ${L.bits} ${keyOf(spec)}`, [I32, I32, I32, ...extra], (b) => {
    if (spec.inner === 0) throw new Error('an empty sum has no product');
    if (isDots(L, spec)) new DotsWriter(b, L, spec).write();
    else new ColumnsWriter(b, L, spec).write();
  });
}

const C = 0;
const A = 1;
const B = 2;
const EXTRA = 3;

/** Rows of A that stay in the second cache while all panels of B go by. */
const BLOCK_BYTES = 131_072;
/** Longer sums are worth a call per tile, and the tile's code then exists once. */
const CALL_FROM = 16;

/**
 * Terms of the sum in one round of the loop of a large tile, and whether rows have pointers of their own. Between terms
 * stands a fence: without, V8 keeps more values than there are registers, and 41 GFLOP/s become 27. With B in panels six
 * terms make 49 of 46 GFLOP/s; read in leaps, B misses the innermost cache, and more than two make it slower.
 */
const UNROLLED = {
  panels: [6, true],
  strided: [2, false],
} as const;

type Move = readonly [pointer: number, elements: number];

abstract class TileWriter {
  constructor(
    protected readonly b: Body,
    protected readonly L: Lanes,
    protected readonly spec: MatMulSpec,
  ) {}

  protected abstract tile(height: number, width: number, pointers: readonly number[]): void;

  /** All tiles of that size and, at the edges, of what is left; columns outside, so that B's part stays in the cache. */
  protected cover(rows: number, tall: number, wide: number, start: readonly number[]): void {
    const { spec } = this;
    const [c, a, bs, ...extra] = start;
    const operands = spec.epilogue?.operands ?? [];
    const across = this.copies([c, bs, ...extra]);
    const [cj, bj, ...ej] = across;
    // A panel is `inner` rows of as many columns as the tile: one column further is `inner` elements further.
    const bMove: Move = [bj, spec.bPanels === true ? spec.inner : spec.b[1]];
    const sideways: Move[] = [[cj, spec.c[1]], bMove, ...ej.map((e, i): Move => [e, operands[i][1]])];
    this.tiles(spec.columns, wide, sideways, (width) => {
      const [ci, ai, ...ei] = this.copies([cj, a, ...ej]);
      const aMove: Move = [ai, spec.aPanels === true ? spec.inner : spec.a[0]];
      const down: Move[] = [[ci, spec.c[0]], aMove, ...ei.map((e, i): Move => [e, operands[i][0]])];
      this.tiles(rows, tall, down, (height) => {
        this.tile(height, width, [ci, ai, bj, ...ei]);
      });
    });
  }

  protected bump(pointer: number, elements: number): void {
    this.b.bump(pointer, elements * this.L.bytes);
  }

  protected copies(pointers: readonly number[]): number[] {
    return pointers.map((pointer) => this.b.copy(pointer));
  }

  /** `body` as often, with the pointers moved on after each time. */
  protected times(count: number, moves: readonly Move[], body: () => void): void {
    this.b.times(count, () => {
      body();
      for (const [pointer, elements] of moves) this.bump(pointer, elements);
    });
  }

  protected element(pointer: number, elements: number, layout: Layout): Expr {
    const bytes = elements * this.L.bytes;
    return load(this.L, 'float', localExpr(pointer), bytes, layout);
  }

  /** Cut `size` into full tiles and a rest. */
  protected tiles(size: number, tile: number, moves: readonly Move[], body: (n: number) => void): void {
    const full = Math.floor(size / tile);
    const scaled = moves.map(([pointer, stride]): Move => [pointer, stride * tile]);
    if (full > 0)
      this.times(full, scaled, () => {
        body(tile);
      });
    if (size % tile > 0) body(size % tile);
  }

  /** Store sums of `count` neighbouring columns, through the epilogue if there is one. */
  protected put(pointers: readonly number[], row: number, column: number, count: number, sum: Expr): void {
    const { b, L, spec } = this;
    const at = ([down, along]: readonly number[]): number => row * down + column * along;
    const { epilogue } = spec;
    const leaf = (i: number): Expr => {
      if (i === 0 || epilogue === undefined) return sum;
      const strides = epilogue.operands[i - 1];
      return this.element(pointers[EXTRA + i - 1], at(strides), { count, stride: strides[1] });
    };
    const value = epilogue === undefined ? sum : emitTerm(b, L, epilogue.term, leaf);
    store(b, L, 'float', localExpr(pointers[C]), at(spec.c) * L.bytes, { count, stride: spec.c[1] }, value);
  }
}

class ColumnsWriter extends TileWriter {
  write(): void {
    const { L, spec } = this;
    const { rows, inner, columns } = spec;
    const vectors = Math.ceil(columns / L.count);
    const inPanels = spec.aPanels === true || spec.bPanels === true;
    const tall = inPanels ? PANEL_ROWS : Math.min(rows, 4);
    const wide = inPanels ? 2 : Math.min(vectors, tall >= 3 ? 2 : tall === 2 ? 4 : 7);
    const start = [C, A, B, ...(spec.epilogue?.operands.map((_, i) => EXTRA + i) ?? [])];
    const block = Math.max(tall, Math.floor(BLOCK_BYTES / (inner * L.bytes) / tall) * tall);
    if (!inPanels || rows <= 2 * block) {
      this.cover(rows, tall, wide * L.count, start);
      return;
    }
    const moving = this.copies(start);
    const strides = [
      spec.c[0],
      spec.aPanels === true ? inner : spec.a[0],
      0,
      ...(spec.epilogue?.operands.map(([row]) => row) ?? []),
    ];
    const moves = moving.map((pointer, i): Move => [pointer, strides[i]]);
    this.tiles(rows, block, moves, (n) => {
      this.cover(n, tall, wide * L.count, moving);
    });
  }

  protected override tile(height: number, width: number, pointers: readonly number[]): void {
    const { b, L, spec } = this;
    if (spec.inner < CALL_FROM) {
      this.inline(height, width, pointers);
      return;
    }
    const { rows: _, columns: __, ...same } = spec;
    const key = `tile ${L.bits} ${height} ${width} ${keyOf(same)}`;
    const index = b.module.kernel(key, new Array<Type>(pointers.length).fill(I32), (body) => {
      new ColumnsWriter(body, L, spec).inline(height, width, pointers.map((_, i) => i)); // prettier-ignore
    }); // prettier-ignore
    for (const pointer of pointers) b.get(pointer);
    b.call(index);
  }

  private inline(height: number, width: number, pointers: readonly number[]): void {
    const { b, L, spec } = this;
    const widths: number[] = [];
    for (let left = width; left > 0; left -= L.count) widths.push(Math.min(left, L.count));
    const sums = Array.from({ length: height }, () => widths.map(() => b.local(V128)));
    const [aRow, aStep] = spec.aPanels === true ? [1, height] : spec.a;
    const [bStep, bColumn] = spec.bPanels === true ? [width, 1] : spec.b;
    const q = b.copy(pointers[B]);
    const isLarge = height * widths.length >= 4;
    const [unroll, apart] = isLarge ? UNROLLED[spec.bPanels === true ? 'panels' : 'strided'] : [4, false];
    // Where an element is repeated V8 wants a register for each distance from its pointer: of the row, or of the term.
    const p = b.copy(pointers[A]);
    const ps = sums.map((_, i) => (apart && i > 0 ? b.copy(pointers[A]) : p));
    if (apart) for (const [i, row] of ps.entries()) this.bump(row, i * aRow);
    const step = (k: number, first: boolean): void => {
      const right = widths.map((n, v) =>
        b.vector(this.element(q, k * bStep + v * L.count * bColumn, { count: n, stride: bColumn })),
      );
      sums.forEach((row, i) => {
        const at = (apart ? 0 : i * aRow) + k * aStep;
        const left = b.vector(this.element(ps[i], at, { count: L.count, stride: 0 }));
        row.forEach((sum, v) => {
          b.set(sum, first ? L.mul(left, right[v]) : L.mulAdd(left, right[v], localExpr(sum)));
        });
      });
    };
    step(0, true);
    const rest = spec.inner - 1;
    const rounds = rest > 4 ? Math.floor(rest / unroll) : 0;
    if (rounds > 0) {
      const moves = [...new Set(ps)].map((row): Move => [row, aStep]).concat([[q, bStep]]);
      for (const [pointer, elements] of moves) this.bump(pointer, elements);
      this.times(rounds, moves.map(([pointer, elements]) => [pointer, unroll * elements]), () => {
        b.block(() => {
          for (let k = 0; k < unroll; k++) {
            if (isLarge && k > 0) b.fence(pointers[C]);
            step(k, false);
          }
        });
      }); // prettier-ignore
    }
    const done = rounds > 0 ? 0 : 1;
    for (let k = 0; k < rest - rounds * unroll; k++) step(done + k, false);
    sums.forEach((row, i) => {
      row.forEach((sum, v) => {
        this.put(pointers, i, v * L.count, widths[v], localExpr(sum));
      });
    });
  }
}

class DotsWriter extends TileWriter {
  write(): void {
    const { spec } = this;
    const tall = Math.min(spec.rows, 4);
    const wide = Math.min(spec.columns, tall >= 3 ? 2 : 4);
    this.cover(spec.rows, tall, wide, [C, A, B, ...(spec.epilogue?.operands.map((_, i) => EXTRA + i) ?? [])]);
  }

  protected override tile(height: number, width: number, pointers: readonly number[]): void {
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
          b.set(sum, first ? L.mul(left, right[j]) : L.mulAdd(left, right[j], localExpr(sum)));
        });
      });
    };
    const vectors = Math.floor(inner / L.count);
    const [p, q] = this.copies([pointers[A], pointers[B]]);
    const moves: Move[] = [[p, L.count * spec.a[1]], [q, L.count * spec.b[0]]]; // prettier-ignore
    step(p, q, L.count, 0, true);
    for (const [pointer, elements] of moves) this.bump(pointer, elements);
    if (vectors > 1) {
      this.times(vectors - 1, moves, () => {
        step(p, q, L.count, 0, false);
      });
    }
    if (inner % L.count > 0) step(p, q, inner % L.count, 0, false);
    sums.forEach((row, i) => {
      row.forEach((sum, j) => {
        this.put(pointers, i, j, 1, this.across(localExpr(sum)));
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
