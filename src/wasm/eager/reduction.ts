/**
 * Reductions over neighbouring axes, and softmax along the last axis, of sizes known only at run time.
 */
import { kindOf } from '../elementwise.js';
import { load, store, type Kind } from '../emit/access.js';
import { i32, i32mul, localExpr, V128, type Body, type Expr } from '../emit/assembler.js';
import { BITS, INTS, shuffle, type Lanes } from '../emit/lanes.js';
import { apply, constantVector, emitTerm, loadLeaf } from '../emit/terms.js';
import { CodeCache, lanesOf, sizeOf, type EagerKernel } from './eager.js';
import { overAxes } from './axes.js';
import { bump, i32and, i32eq, i32shr, link, repeat, variable, type Code } from './link.js';

type Op = 'add' | 'max' | 'min' | 'mul';

const START: Readonly<Record<Op, (kind: Kind) => number>> = {
  add: () => 0,
  mul: () => 1,
  max: (kind) => (kind === 'int' ? -(2 ** 31) : -Infinity),
  min: (kind) => (kind === 'int' ? 2 ** 31 - 1 : Infinity),
};

/** Vector code for a reduction of one kind. Integers take 32-bit lanes, all four of them in either precision. */
class Reducer {
  readonly lanes: number;
  readonly bytes: number;
  readonly start: Expr;

  constructor(
    readonly b: Body,
    readonly L: Lanes,
    private readonly kind: Kind,
    private readonly op: Op,
  ) {
    this.lanes = L.count;
    this.bytes = kind === 'float' ? L.bytes : 4;
    this.start = constantVector(L, kind, START[op](kind));
  }

  combine(x: Expr, y: Expr): Expr {
    return emitTerm(this.b, this.L, apply(this.kind, this.op, loadLeaf(this.kind, 0), loadLeaf(this.kind, 1)), (i) => (i === 0 ? x : y)); // prettier-ignore
  }

  load(address: number, vector: number, count = this.lanes): Expr {
    return load(this.L, this.kind, localExpr(address), vector * this.lanes * this.bytes, { count, stride: 1 });
  }

  store(address: number, vector: number, count: number, value: Expr): void {
    store(this.b, this.L, this.kind, localExpr(address), vector * this.lanes * this.bytes, { count, stride: 1 }, value);
  }

  /** The first lanes of the value; what changes nothing in the others. */
  only(count: number, value: Expr): Expr {
    const mask: Expr = (c) => {
      c.simd(12);
      for (let i = 0; i < 16; i++) c.plain(i < count * this.bytes ? 0xff : 0);
    };
    return this.b.vector(BITS.select(value, this.start, mask));
  }

  /** All lanes combined, in each of them. */
  across(value: Expr): Expr {
    const { b, bytes } = this;
    let x = b.vector(value);
    for (let half = this.lanes / 2; half >= 1; half /= 2) {
      const rotated = Array.from({ length: 16 }, (_, i) => (i + half * bytes) % (this.lanes * bytes));
      x = b.vector(this.combine(x, b.vector(shuffle(x, x, rotated))));
    }
    return x;
  }

  set(local: number, value: Expr): void {
    this.b.set(local, value);
  }

  /** `body` once per vector from `pointer` on, which moves: four by four, then one by one, then what is left. */
  along(pointers: readonly number[], count: Expr, body: (vector: number, lanes: number) => void): void {
    const { b } = this;
    const shift = this.lanes === 4 ? 2 : 1;
    const vectors = variable(b, i32shr(count, shift));
    const move = (n: number): void => {
      for (const pointer of pointers) bump(b, pointer, i32(n * this.lanes * this.bytes));
    };
    repeat(b, i32shr(localExpr(vectors), 2), () => {
      for (let k = 0; k < 4; k++) body(k, this.lanes);
      move(4);
    });
    repeat(b, i32and(localExpr(vectors), i32(3)), () => {
      body(0, this.lanes);
      move(1);
    });
    const rest = variable(b, i32and(count, i32(this.lanes - 1)));
    for (let left = 1; left < this.lanes; left++) {
      b.when(i32eq(localExpr(rest), i32(left)), () => {
        body(0, left);
      });
    }
  }

  /** Everything along a row, combined, in each lane. */
  row(pointer: number, count: Expr): Expr {
    const { b } = this;
    const sums = [0, 1, 2, 3].map(() => b.local(V128));
    for (const sum of sums) b.set(sum, this.start);
    this.along([pointer], count, (vector, lanes) => {
      const value = b.vector(this.load(pointer, vector, lanes));
      b.set(
        sums[vector],
        this.combine(localExpr(sums[vector]), lanes === this.lanes ? value : this.only(lanes, value)),
      );
    });
    const [first, ...others] = sums;
    for (const other of others) b.set(first, this.combine(localExpr(first), localExpr(other)));
    return this.across(localExpr(first));
  }
}

/** out, in, rows, count. */
function writeRowReduction(b: Body, L: Lanes, kind: Kind, op: Op, isMean: boolean): void {
  const r = new Reducer(b, L, kind, op);
  const [out, from, rows, count] = [0, 1, 2, 3];
  repeat(b, localExpr(rows), () => {
    const p = variable(b, localExpr(from));
    const total = r.row(p, localExpr(count));
    r.store(out, 0, 1, isMean ? L.div(total, L.fromInt(INTS.splat(localExpr(count)))) : total);
    bump(b, out, i32(r.bytes));
    bump(b, from, i32mul(localExpr(count), i32(r.bytes)));
  });
}

/** out, in, blocks, count, columns: each block is `count` rows of as many columns, which become one row. */
function writeColumnReduction(b: Body, L: Lanes, kind: Kind, op: Op, isMean: boolean): void {
  const r = new Reducer(b, L, kind, op);
  const [out, from, blocks, count, columns] = [0, 1, 2, 3, 4];
  const pitch = variable(b, i32mul(localExpr(columns), i32(r.bytes)));
  const finish = (sum: number): Expr => (isMean ? L.div(localExpr(sum), L.fromInt(INTS.splat(localExpr(count)))) : localExpr(sum)); // prettier-ignore
  const part = (start: number, to: number, vectors: number, lanes: number): void => {
    const sums = Array.from({ length: vectors }, () => b.local(V128));
    for (const sum of sums) b.set(sum, r.start);
    const p = variable(b, localExpr(start));
    repeat(b, localExpr(count), () => {
      sums.forEach((sum, v) => {
        b.set(sum, r.combine(localExpr(sum), r.load(p, v, lanes)));
      });
      bump(b, p, localExpr(pitch));
    });
    sums.forEach((sum, v) => {
      r.store(to, v, lanes, finish(sum));
    });
  };
  repeat(b, localExpr(blocks), () => {
    const [start, to] = [variable(b, localExpr(from)), variable(b, localExpr(out))];
    const vectors = variable(b, i32shr(localExpr(columns), r.lanes === 4 ? 2 : 1));
    const move = (n: number): void => {
      for (const pointer of [start, to]) bump(b, pointer, i32(n * r.lanes * r.bytes));
    };
    repeat(b, i32shr(localExpr(vectors), 2), () => {
      part(start, to, 4, r.lanes);
      move(4);
    });
    repeat(b, i32and(localExpr(vectors), i32(3)), () => {
      part(start, to, 1, r.lanes);
      move(1);
    });
    const rest = variable(b, i32and(localExpr(columns), i32(r.lanes - 1)));
    for (let left = 1; left < r.lanes; left++) {
      b.when(i32eq(localExpr(rest), i32(left)), () => {
        part(start, to, 1, left);
      });
    }
    bump(b, out, localExpr(pitch));
    bump(b, from, i32mul(localExpr(pitch), localExpr(count)));
  });
}

/** out, in, rows, count. */
function writeSoftmax(b: Body, L: Lanes): void {
  const largest = new Reducer(b, L, 'float', 'max');
  const sums = new Reducer(b, L, 'float', 'add');
  const [out, from, rows, count] = [0, 1, 2, 3];
  const apart = apply('float', 'exp', apply('float', 'sub', loadLeaf('float', 0), loadLeaf('float', 1)));
  repeat(b, localExpr(rows), () => {
    const top = largest.row(variable(b, localExpr(from)), localExpr(count));
    const [p, q] = [variable(b, localExpr(from)), variable(b, localExpr(out))];
    const total = b.local(V128);
    b.set(total, L.const(0));
    sums.along([p, q], localExpr(count), (vector, lanes) => {
      const e = b.vector(emitTerm(b, L, apart, (i) => (i === 0 ? sums.load(p, vector, lanes) : top)));
      sums.store(q, vector, lanes, e);
      b.set(total, L.add(localExpr(total), lanes === L.count ? e : sums.only(lanes, e)));
    });
    const sum = sums.across(localExpr(total));
    const w = variable(b, localExpr(out));
    sums.along([w], localExpr(count), (vector, lanes) => {
      sums.store(w, vector, lanes, b.vector(L.div(sums.load(w, vector, lanes), sum)));
    });
    for (const pointer of [out, from]) bump(b, pointer, i32mul(localExpr(count), i32(L.bytes)));
  });
}

const cache = new CodeCache<string, Code>();

function reduced(name: string, op: Op): EagerKernel {
  const isMean = name === 'Mean';
  const codes = new CodeCache<number, Code>();
  return overAxes(name === 'Max' ? 'reductionIndices' : 'axis', (backend, x, { blocks, count, columns }, shape) => {
    if (!(x.dtype === 'float32' || (x.dtype === 'int32' && !isMean))) return undefined;
    const L = lanesOf(backend);
    const kind = kindOf(x.dtype) ?? 'float';
    const byRow = columns === 1;
    const run = codes.get(backend, (kind === 'float' ? 0 : 2) + (byRow ? 1 : 0), () =>
      link(backend.heap, byRow ? 4 : 5, (b) => {
        (byRow ? writeRowReduction : writeColumnReduction)(b, L, kind, op, isMean);
      }),
    );
    const from = backend.pointerOf(x.dataId, x.dtype);
    const out = backend.allocateFor(blocks * columns, x.dtype);
    if (byRow) run(out, from, blocks, count);
    else run(out, from, blocks, count, columns);
    return backend.adopt(out, shape, x.dtype);
  });
}

const softmax: EagerKernel = ({ backend, inputs: { logits }, attrs }) => {
  if (logits?.dtype !== 'float32') return undefined;
  const { shape } = logits;
  const size = sizeOf(shape);
  const dim = attrs.dim as number;
  if (size === 0 || (dim !== -1 && dim !== shape.length - 1)) return undefined;
  const L = lanesOf(backend);
  const run = cache.get(backend, 'Softmax', () => link(backend.heap, 4, (b) => { writeSoftmax(b, L); })); // prettier-ignore
  const from = backend.pointerOf(logits.dataId, logits.dtype);
  const out = backend.allocateFor(size, 'float32');
  const count = shape.length === 0 ? 1 : shape[shape.length - 1];
  run(out, from, size / count, count);
  return backend.adopt(out, shape, 'float32');
};

export const REDUCTIONS: Readonly<Record<string, EagerKernel>> = {
  Sum: reduced('Sum', 'add'),
  Mean: reduced('Mean', 'add'),
  Max: reduced('Max', 'max'),
  Min: reduced('Min', 'min'),
  Prod: reduced('Prod', 'mul'),
  Softmax: softmax,
};
