/**
 * Slices moved to or from places that are only known when the program runs. Every place is compared with the bounds before
 * anything is read or written there.
 */
import { bytesOfKind, load, store, type Kind } from './access.js';
import { binary, I32, i32, i32add, i32load, i32mul, localExpr, type Body, type Expr, type ModuleWriter } from './assembler.js'; // prettier-ignore
import { BITS, INTS, type Lanes } from './lanes.js';

/** One of the loops around all indices: how far the result, the source and the indices move, in elements. */
export interface OuterLoop {
  readonly size: number;
  readonly strides: readonly [result: number, source: number, indices: number];
}

export interface MoveSpec {
  /** `gather`: result[i] = source[place i]; `put` and `add`: result[place i] becomes, or grows by, source[i]. */
  readonly mode: 'gather' | 'put' | 'add';
  readonly kind: Kind;
  readonly outer: readonly OuterLoop[];
  /** How many places, each made of as many numbers as there are `steps`. */
  readonly count: number;
  /** Slices between neighbours along each indexed axis. */
  readonly steps: readonly number[];
  /** How many slices there are to choose from. */
  readonly limit: number;
  /** Elements of a slice, which follow each other. */
  readonly slice: number;
  /** Position in {@link SITES} of the kernel that refuses a place outside; -1 where such a place is passed over. */
  readonly site: number;
}

/** Kernels that refuse an index out of range. */
export const SITES = ['GatherV2', 'GatherNd', 'ScatterNd', 'TensorScatterUpdate'] as const;

/** Called from generated code; its error passes through to whoever called that. */
export function outOfRange(site: number, place: number, limit: number): undefined {
  throw new RangeError(`${SITES[site]}: the index value ${place} is not in [0, ${limit - 1}]`);
}

const RESULT = 0;
const SOURCE = 1;
const INDICES = 2;

export function moveFunction(module: ModuleWriter, L: Lanes, spec: MoveSpec): number {
  return module.function(`move ${L.bits} ${JSON.stringify(spec)}`, [I32, I32, I32], [], (b) => {
    new MoveWriter(b, L, spec).write();
  });
}

class MoveWriter {
  private readonly bytes: number;

  constructor(
    private readonly b: Body,
    private readonly L: Lanes,
    private readonly spec: MoveSpec,
  ) {
    this.bytes = bytesOfKind(L, spec.kind);
  }

  write(): void {
    this.outer(this.spec.outer, [RESULT, SOURCE, INDICES]);
  }

  private copies(pointers: readonly number[]): number[] {
    return pointers.map((p) => this.b.copy(p));
  }

  private outer(loops: readonly OuterLoop[], pointers: readonly number[]): void {
    if (loops.length === 0) {
      this.places(pointers);
      return;
    }
    const [{ size, strides }, ...inner] = loops;
    const moving = this.copies(pointers);
    this.b.times(size, () => {
      this.outer(inner, moving);
      moving.forEach((p, i) => {
        this.b.bump(p, strides[i] * (i === INDICES ? 4 : this.bytes));
      });
    });
  }

  /** The loop over the places. One of result and source moves along with it, the other is where the place says. */
  private places(pointers: readonly number[]): void {
    const { b, spec } = this;
    const { mode, count, steps, limit, slice, site } = spec;
    const moving = this.copies(pointers);
    const isGather = mode === 'gather';
    const [chosen, along] = isGather ? [pointers[SOURCE], moving[RESULT]] : [pointers[RESULT], moving[SOURCE]];
    const place = b.local(I32);
    const at = b.local(I32);
    this.b.times(count, () => {
      const numbers = steps.map((step, k): Expr => {
        const number = i32load(localExpr(moving[INDICES]), 4 * k);
        return step === 1 ? number : i32mul(number, i32(step));
      });
      b.set(place, numbers.reduce(i32add));
      const inside = binary(0x49, localExpr(place), i32(limit));
      if (site >= 0) {
        b.when(binary(0x4f, localExpr(place), i32(limit)), () => {
          i32(site)(b);
          localExpr(place)(b);
          i32(limit)(b);
          b.call(b.module.importIndex('outOfRange'));
        });
        b.set(at, i32add(localExpr(chosen), i32mul(localExpr(place), i32(slice * this.bytes))));
        this.slice(isGather ? along : at, isGather ? at : along);
      } else {
        b.when(inside, () => {
          b.set(at, i32add(localExpr(chosen), i32mul(localExpr(place), i32(slice * this.bytes))));
          this.slice(isGather ? along : at, isGather ? at : along);
        });
      }
      this.b.bump(along, slice * this.bytes);
      this.b.bump(moving[INDICES], 4 * steps.length);
    });
  }

  /** Elements of one slice. */
  private slice(to: number, from: number): void {
    const { L, spec } = this;
    const vectors = Math.floor(spec.slice / L.count);
    const rest = spec.slice % L.count;
    if (vectors <= 4) {
      for (let k = 0; k < vectors; k++) this.vector(to, from, L.count, k * L.count);
      if (rest > 0) this.vector(to, from, rest, vectors * L.count);
      return;
    }
    const [p, q] = this.copies([to, from]);
    const unroll = vectors % 4 === 0 ? 4 : vectors % 2 === 0 ? 2 : 1;
    this.b.times(vectors / unroll, () => {
      for (let k = 0; k < unroll; k++) this.vector(p, q, L.count, k * L.count);
      this.b.bump(p, unroll * L.count * this.bytes);
      this.b.bump(q, unroll * L.count * this.bytes);
    });
    if (rest > 0) this.vector(p, q, rest, 0);
  }

  private vector(to: number, from: number, count: number, element: number): void {
    const { b, L, spec } = this;
    const layout = { count, stride: 1 };
    const offset = element * this.bytes;
    const read = (local: number): Expr => load(L, spec.kind, localExpr(local), offset, layout);
    const value = spec.mode === 'add' ? this.sum(b.vector(read(to)), b.vector(read(from))) : read(from);
    store(b, L, spec.kind, localExpr(to), offset, layout, value);
  }

  private sum(x: Expr, y: Expr): Expr {
    if (this.spec.kind === 'float') return this.L.add(x, y);
    return this.spec.kind === 'int' ? INTS.add(x, y) : BITS.or(x, y);
  }
}
