/**
 * Loop nests: every operation that computes elements of a result from elements of operands, and reductions of such.
 * Operands and result are strided (0 repeats an element), so the same code serves broadcasting, transposition, slices,
 * concatenation, padding and plain copies. The innermost axis goes through the lanes; what is left over of it is
 * done on exactly as many lanes as it has elements, so nothing outside a tensor is ever read or written.
 * A nest may have several results: all that it computes of one vector is computed before any of it is stored.
 */
import { bytesOfKind, load, store, type Kind } from './access.js';
import { I32, i32, i32add, localExpr, type Body, type Expr, type ModuleWriter, type Type } from './assembler.js';
import { BITS, shuffle, type Lanes } from './lanes.js';
import { apply, constantVector, emitTerm, emitTerms, isHeavy, keyOf, operationsIn, type Term } from './terms.js';

export interface Operand {
  readonly kind: Kind;
  /** Elements between neighbours along each axis. */
  readonly strides: readonly number[];
}

export type ReduceOp = 'add' | 'mul' | 'max' | 'min' | 'and' | 'or';

export interface Result {
  readonly out: Operand;
  readonly term: Term;
}

export interface NestSpec extends Result {
  readonly sizes: readonly number[];
  readonly operands: readonly Operand[];
  /** Results besides the first, of a nest that neither reduces nor is sequential. */
  readonly more?: readonly Result[];
  /** The last `axes` axes are reduced; the result's strides along them are 0. */
  readonly reduce?: { readonly op: ReduceOp; readonly axes: number };
  /** An operand is the result of the step before along the first axis, which therefore is a loop of its own. */
  readonly isSequential?: boolean;
}

export const resultsOf = ({ out, term, more = [] }: NestSpec): readonly Result[] => [{ out, term }, ...more];

/** Fewer axes, same elements: axes of one element go, neighbours that run through memory as one become one. */
export function collapse(spec: NestSpec): NestSpec {
  const reducedFrom = spec.sizes.length - (spec.reduce?.axes ?? 0);
  const results = resultsOf(spec);
  const all = [...results.map(({ out }) => out), ...spec.operands];
  const sizes: number[] = [];
  const strides: number[][] = all.map(() => []);
  let reduced = 0;
  let lastReduced = false;
  spec.sizes.forEach((size, axis) => {
    if (size === 1 && !(axis === 0 && spec.isSequential === true)) return;
    const isReduced = axis >= reducedFrom;
    const here = all.map(({ strides: s }) => s[axis]);
    const top = sizes.length - 1;
    const joins =
      top >= (spec.isSequential === true ? 1 : 0) &&
      lastReduced === isReduced &&
      here.every((s, i) => strides[i][top] === s * size);
    if (joins) {
      sizes[top] *= size;
      here.forEach((s, i) => (strides[i][top] = s));
      return;
    }
    sizes.push(size);
    here.forEach((s, i) => strides[i].push(s));
    lastReduced = isReduced;
    if (isReduced) reduced++;
  });
  const rebuilt = all.map(({ kind }, i) => ({ kind, strides: strides[i] }));
  const [first, ...more] = results.map(({ term }, i): Result => ({ out: rebuilt[i], term }));
  const base = { sizes, ...first, operands: rebuilt.slice(results.length), ...(more.length > 0 ? { more } : {}) };
  if (spec.isSequential === true) return { ...base, isSequential: true };
  return spec.reduce === undefined ? base : { ...base, reduce: { op: spec.reduce.op, axes: reduced } };
}

/** The function for a nest: parameters are the addresses of the results and of each operand. */
export function nestFunction(module: ModuleWriter, L: Lanes, given: NestSpec): number {
  const spec = collapse(given);
  const parameters = new Array<Type>(resultsOf(spec).length + spec.operands.length).fill(I32);
  return module.kernel(`nest ${L.bits} ${keyOf(spec)}`, parameters, (b) => {
    new NestWriter(b, L, spec).write();
  });
}

/** Vectors from which on a loop is unrolled, and from which on it is whatever its code. */
const FEW = 8;
const MANY = 64;
/** Operations, loads among them, of which a round of a shorter loop does four or two. */
const SHORT = 8;
const LONG = 32;

/** Addresses: one local per operand, the results' first. */
type Pointers = readonly number[];

class NestWriter {
  private readonly results: readonly Result[];
  private readonly all: readonly Operand[];

  constructor(
    private readonly b: Body,
    private readonly L: Lanes,
    private readonly spec: NestSpec,
  ) {
    this.results = resultsOf(spec);
    this.all = [...this.results.map(({ out }) => out), ...spec.operands];
  }

  write(): void {
    const { sizes, reduce } = this.spec;
    const start = this.all.map((_, i) => i);
    const axes = sizes.map((_, i) => i);
    if (reduce === undefined) {
      if (sizes.length === 0) this.element(start);
      else if (this.spec.isSequential === true && sizes.length === 1) this.loops(axes, start, (p) => { this.element(p); }); // prettier-ignore
      else this.loops(axes.slice(0, -1), start, (p) => { this.along(axes.length - 1, p, (q, n, k) => { this.assign(axes.length - 1, q, n, k); }); }); // prettier-ignore
      return;
    }
    const kept = axes.slice(0, axes.length - reduce.axes);
    const reduced = axes.slice(kept.length);
    if (reduced.length === 0 || this.runsAlongKept(kept, reduced)) this.reduceColumns(kept, reduced, start);
    else
      this.loops(kept, start, (p) => {
        this.reduceRow(reduced, p);
      });
  }

  /** Is the last kept axis the one whose elements are neighbours? */
  private runsAlongKept(kept: readonly number[], reduced: readonly number[]): boolean {
    if (kept.length === 0) return false;
    const unit = (axis: number): number => this.spec.operands.filter(({ strides }) => strides[axis] === 1).length;
    const last = kept[kept.length - 1];
    return unit(last) > unit(reduced[reduced.length - 1]);
  }

  /** A nest of plain loops over `axes`; `body` gets the addresses. */
  private loops(axes: readonly number[], pointers: Pointers, body: (p: Pointers) => void): void {
    if (axes.length === 0) {
      body(pointers);
      return;
    }
    const [axis, ...inner] = axes;
    const moving = this.moving(axis, pointers);
    this.b.times(this.spec.sizes[axis], () => {
      this.loops(inner, moving, body);
      this.advance(axis, moving, 1);
    });
  }

  /** Pointers of which those that move along the axis are copies. */
  private moving(axis: number, pointers: Pointers): Pointers {
    return pointers.map((pointer, i) => {
      if (this.all[i].strides[axis] === 0) return pointer;
      return this.b.copy(pointer);
    });
  }

  private advance(axis: number, pointers: Pointers, elements: number): void {
    pointers.forEach((pointer, i) => {
      this.b.bump(pointer, this.all[i].strides[axis] * elements * bytesOfKind(this.L, this.all[i].kind));
    });
  }

  /** Run `body` on the elements of the axis, vector after vector, and once more on the rest: (addresses, lanes, offset). */
  private along(axis: number, pointers: Pointers, body: (p: Pointers, lanes: number, offset: number) => void): void {
    const { L } = this;
    const size = this.spec.sizes[axis];
    const vectors = Math.floor(size / L.count);
    const rest = size % L.count;
    const moving = this.moving(axis, pointers);
    const unroll = this.unrolled(vectors);
    const rounds = Math.floor(vectors / unroll);
    if (rounds > 0) {
      this.b.times(rounds, () => {
        for (let k = 0; k < unroll; k++) body(moving, L.count, k * L.count);
        this.advance(axis, moving, unroll * L.count);
      });
    }
    const odd = vectors - rounds * unroll;
    for (let k = 0; k < odd; k++) body(moving, L.count, k * L.count);
    if (rest > 0) body(moving, rest, odd * L.count);
  }

  /** How many vectors to a round. Of a short loop the time to compile it counts, too. */
  private unrolled(vectors: number): number {
    if (vectors < FEW || this.results.some(({ term }) => isHeavy(term))) return 1;
    if (vectors >= MANY) return 4;
    const work = operationsIn(this.results.map(({ term }) => term));
    const most = work <= SHORT ? 4 : work <= LONG ? 2 : 1;
    // The rest would be as much code as the loop.
    return vectors % most === 0 ? most : Math.min(most, 2);
  }

  /** The values of the terms on `lanes` elements along an axis, `offset` elements on. */
  private values(axis: number, pointers: Pointers, lanes: number, offset = 0): Expr[] {
    const { b, L, spec, results } = this;
    return emitTerms(b, L, results.map(({ term }) => term), (i) => {
      const { kind, strides } = spec.operands[i];
      const stride = axis < 0 ? 0 : strides[axis];
      const moved = offset * stride * bytesOfKind(L, kind);
      const base = localExpr(pointers[results.length + i]);
      const address = moved < 0 ? i32add(base, i32(moved)) : base;
      return load(L, kind, address, Math.max(moved, 0), { count: lanes, stride });
    }); // prettier-ignore
  }

  /** The value of the only term. */
  private value(axis: number, pointers: Pointers, lanes: number, offset = 0): Expr {
    return this.values(axis, pointers, lanes, offset)[0];
  }

  private put(axis: number, pointers: Pointers, lanes: number, value: Expr, offset = 0, result = 0): void {
    const { kind, strides } = this.results[result].out;
    const stride = axis < 0 ? 1 : strides[axis];
    const moved = offset * stride * bytesOfKind(this.L, kind);
    store(this.b, this.L, kind, localExpr(pointers[result]), moved, { count: lanes, stride }, value);
  }

  private assign(axis: number, pointers: Pointers, lanes: number, offset = 0): void {
    this.values(axis, pointers, lanes, offset).forEach((value, i) => {
      this.put(axis, pointers, lanes, value, offset, i);
    });
  }

  private element(pointers: Pointers): void {
    this.assign(-1, pointers, 1);
  }

  private identity(): Expr {
    const { kind } = this.spec.out;
    const op = this.spec.reduce?.op ?? 'add';
    const extreme = kind === 'int' ? [-(2 ** 31), 2 ** 31 - 1] : [-Infinity, Infinity];
    const start = { add: 0, mul: 1, max: extreme[0], min: extreme[1], and: 1, or: 0 }[op];
    return constantVector(this.L, kind, start);
  }

  private combine(x: Expr, y: Expr): Expr {
    const { b, L, spec } = this;
    const { kind } = spec.out;
    const leaf = (i: number): Term => ({ kind, op: 'load', args: [], leaf: i });
    return emitTerm(b, L, apply(kind, spec.reduce?.op ?? 'add', leaf(0), leaf(1)), (i) => (i === 0 ? x : y));
  }

  /** Lanes are results: one accumulator for as many columns, which run over the reduced axes together. */
  private reduceColumns(kept: readonly number[], reduced: readonly number[], start: Pointers): void {
    const { b } = this;
    const last = kept.at(-1) ?? -1;
    const columns = (p: Pointers, lanes: number, offset: number): void => {
      const sum = b.local(0x7b);
      b.set(sum, this.identity());
      this.loops(reduced, p, (q) => {
        b.set(sum, this.combine(localExpr(sum), this.value(last, q, lanes, offset)));
      });
      this.put(last, p, lanes, localExpr(sum), offset);
    };
    if (last < 0) columns(start, 1, 0);
    else
      this.loops(kept.slice(0, -1), start, (p) => {
        this.along(last, p, columns);
      });
  }

  /** Lanes are neighbours along the last reduced axis, and are combined at the end. */
  private reduceRow(reduced: readonly number[], start: Pointers): void {
    const { b, L } = this;
    const last = reduced[reduced.length - 1];
    const sums = [0, 1, 2, 3].map(() => b.local(0x7b));
    const used = new Set<number>();
    for (const sum of sums) b.set(sum, this.identity());
    this.loops(reduced.slice(0, -1), start, (p) => {
      this.along(last, p, (q, lanes, offset) => {
        const sum = sums[(offset / L.count) % sums.length];
        used.add(sum);
        const value = b.vector(this.value(last, q, lanes, offset));
        b.set(sum, this.combine(localExpr(sum), lanes === L.count ? value : this.only(lanes, value)));
      });
    });
    const [first, ...others] = [...used];
    for (const other of others) b.set(first, this.combine(localExpr(first), localExpr(other)));
    this.put(-1, start, 1, this.across(localExpr(first)));
  }

  /** The value on the first lanes, the identity on the others. */
  private only(lanes: number, value: Expr): Expr {
    const { b, L } = this;
    const width = 16 / L.count;
    const isInt = this.spec.out.kind === 'int';
    const bytes = lanes * (isInt ? 4 : width);
    const mask: Expr = (c) => {
      c.simd(12);
      for (let i = 0; i < 16; i++) c.plain(i < bytes ? 0xff : 0);
    };
    return b.vector(BITS.select(value, this.identity(), mask));
  }

  /** All lanes combined, in the first. */
  private across(value: Expr): Expr {
    const { b, L, spec } = this;
    const isInt = spec.out.kind === 'int';
    const width = isInt ? 4 : 16 / L.count;
    let x = b.vector(value);
    for (let half = L.count / 2; half >= 1; half /= 2) {
      const from = half * width;
      const moved = shuffle(
        x,
        x,
        Array.from({ length: 16 }, (_, i) => (i + from) % 16),
      );
      x = b.vector(this.combine(x, b.vector(moved)));
    }
    return x;
  }
}
