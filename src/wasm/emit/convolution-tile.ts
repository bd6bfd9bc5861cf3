/**
 * One tile of a convolution: some neighbouring positions by some channels of the result, whose sums stay in registers while
 * the window goes by. Two ways through the lanes:
 *
 * - *channels*: neighbouring output channels fill the lanes, elements of the input are repeated over them. The positions of
 *   a tile are neighbours along the last axis.
 * - *positions*: neighbours along the last axis fill the lanes, weights are repeated over them: for a few output channels,
 *   which would leave lanes empty. The positions of a tile are neighbours along the axis before the last.
 *
 * Along the axis of the tile's positions the window slides: what one position reads at one place of the window its neighbour
 * reads at the place before, so that one new element (or vector) is loaded per place, and not one for every position.
 */
import { load, store } from './access.js';
import { localExpr, V128, type Body, type Expr } from './assembler.js';
import { shuffle, type Lanes } from './lanes.js';
import type { Epilogue } from './matmul.js';
import { emitTerm } from './terms.js';

/** An axis of the window: how many places, and how far the input and the weights are from one to the next, in elements. */
export interface WindowAxis {
  readonly size: number;
  readonly x: number;
  readonly w: number;
}

export interface ConvolutionSpec {
  readonly lanes: 'channels' | 'positions';
  /** [batch, ...positions, channels] of the result. */
  readonly sizes: readonly number[];
  /** Elements between neighbours along these axes: of the result, ... */
  readonly c: readonly number[];
  /** ... and of the input, which has none along the last. */
  readonly x: readonly number[];
  /** The axes of the window, as many as of positions, and the input's channels. */
  readonly window: readonly WindowAxis[];
  /** Weights of {@link panelChannels} channels follow each other; the next panel of them begins so many elements further. */
  readonly panel: number;
  readonly epilogue?: Epilogue;
}

/** Pointers: addresses of the result, the input, the weights and the operands of the epilogue. */
export const C = 0;
export const X = 1;
export const W = 2;
export const EXTRA = 3;

/** What a tile covers: positions, vectors (or, where lanes are positions, channels), and lanes of the last vector. */
export interface Tile {
  readonly positions: number;
  readonly units: number;
  readonly lanes: number;
}

/** Two vectors of channels, or two channels of a vector of positions. */
export const panelChannels = (lanes: ConvolutionSpec['lanes'], floatBytes: number): number => (lanes === 'channels' ? 32 / floatBytes : 2); // prettier-ignore

/** Axis of the positions of a tile; the window slides along the same. */
export const tileAxis = ({ lanes, sizes }: ConvolutionSpec): number => sizes.length - (lanes === 'channels' ? 2 : 3);

/** Places of the window in one round of the innermost loop. */
const MOST_PLACES = 6;

export class TileWriter {
  private readonly alongChannels: boolean;
  private readonly axis: number;
  /** Channels from one sum of a position to the next. */
  private readonly unit: number;
  private readonly sums: readonly (readonly number[])[];

  constructor(
    private readonly b: Body,
    private readonly L: Lanes,
    private readonly spec: ConvolutionSpec,
    private readonly tile: Tile,
    private readonly pointers: readonly number[],
  ) {
    this.alongChannels = spec.lanes === 'channels';
    this.axis = tileAxis(spec);
    this.unit = this.alongChannels ? L.count : 1;
    this.sums = Array.from({ length: tile.positions }, () => Array.from({ length: tile.units }, () => b.local(V128)));
  }

  write(): void {
    const { b, L, spec, sums } = this;
    for (const sum of sums.flat()) b.set(sum, L.const(0));
    const sliding = spec.window[this.axis - 1];
    const others = spec.window.filter((axis) => axis !== sliding);
    const rounds = Math.ceil(sliding.size / MOST_PLACES);
    const each = Math.ceil(sliding.size / rounds);
    const full = Math.floor(sliding.size / each);
    this.around(others, this.pointers[X], this.pointers[W], (x, w) => {
      this.along({ ...sliding, x: each * sliding.x, w: each * sliding.w }, full, x, w, (p, q) => {
        this.places(p, q, each);
      });
      const [p, q] = [full * each * sliding.x, full * each * sliding.w];
      if (sliding.size % each > 0) this.places(x, w, sliding.size % each, p, q);
    });
    sums.forEach((_, i) => {
      this.put(i);
    });
  }

  /** Nested loops over axes of the window; `body` gets the addresses of input and weights. */
  private around(axes: readonly WindowAxis[], x: number, w: number, body: (x: number, w: number) => void): void {
    const [axis, ...inner] = axes;
    if (axes.length === 0) body(x, w);
    else
      this.along(axis, axis.size, x, w, (p, q) => {
        this.around(inner, p, q, body);
      });
  }

  private along(axis: WindowAxis, count: number, x: number, w: number, body: (x: number, w: number) => void): void {
    const { b, L } = this;
    const [p, q] = count === 1 ? [x, w] : [b.copy(x), b.copy(w)];
    b.times(count, () => {
      body(p, q);
      if (count === 1) return;
      b.bump(p, axis.x * L.bytes);
      b.bump(q, axis.w * L.bytes);
    });
  }

  /** So many places along the sliding axis, from so many elements behind the addresses of input and weights on. */
  private places(x: number, w: number, count: number, xOffset = 0, wOffset = 0): void {
    const { b, L, spec, sums } = this;
    const sliding = spec.window[this.axis - 1];
    const inPanel = panelChannels(spec.lanes, L.bytes) / this.unit;
    let before = new Map<number, Expr>();
    const place = (k: number): void => {
      const now = new Map<number, Expr>();
      const inputs = sums.map((_, i) => {
        const at = xOffset + i * spec.x[this.axis] + k * sliding.x;
        const value = now.get(at) ?? before.get(at) ?? this.element(x, at, !this.alongChannels);
        now.set(at, value);
        return value;
      });
      const weights = sums[0].map((_, j) => {
        const at = Math.floor(j / inPanel) * spec.panel + (j % inPanel) * this.unit;
        return this.element(w, wOffset + k * sliding.w + at, this.alongChannels);
      });
      sums.forEach((row, i) => {
        row.forEach((sum, j) => {
          b.set(sum, L.mulAdd(inputs[i], weights[j], localExpr(sum)));
        });
      });
      before = now;
    };
    b.block(() => {
      for (let k = 0; k < count; k++) {
        if (k > 0) b.fence(this.pointers[C]);
        place(k);
      }
    });
  }

  /** Neighbours for all lanes, or one element for all. */
  private element(pointer: number, elements: number, areNeighbours: boolean): Expr {
    const { b, L } = this;
    const layout = { count: L.count, stride: areNeighbours ? 1 : 0 };
    return b.vector(load(L, 'float', localExpr(pointer), elements * L.bytes, layout));
  }

  /** Store the sums of one position (of one vector of positions), through the epilogue if there is one. */
  private put(i: number): void {
    const { b, L, spec, sums, tile, unit, pointers } = this;
    const last = spec.sizes.length - 1;
    const laneAxis = this.alongChannels ? last : last - 1;
    const at = (strides: readonly number[], j: number): number => (i * strides[this.axis] + j * unit * strides[last]) * L.bytes; // prettier-ignore
    const layout = (strides: readonly number[], j: number) => ({
      count: !this.alongChannels || j === tile.units - 1 ? tile.lanes : L.count,
      stride: strides[laneAxis],
    });
    const values = sums[i].map((sum, j) => {
      if (spec.epilogue === undefined) return localExpr(sum);
      const { term, operands } = spec.epilogue;
      return emitTerm(b, L, term, (leaf) => {
        const strides = operands[leaf - 1];
        return leaf === 0 ? localExpr(sum) : load(L, 'float', localExpr(pointers[EXTRA + leaf - 1]), at(strides, j), layout(strides, j)); // prettier-ignore
      });
    });
    if (!this.alongChannels && values.length === 2 && spec.c[last] === 1) this.putPairs(at(spec.c, 0), values);
    else values.forEach((value, j) => { store(b, L, 'float', localExpr(pointers[C]), at(spec.c, j), layout(spec.c, j), value); }); // prettier-ignore
  }

  /** Two neighbouring channels of a vector of positions: position by position. */
  private putPairs(offset: number, [x, y]: readonly Expr[]): void {
    const { b, L, spec, tile, pointers } = this;
    const stride = spec.c[spec.c.length - 2];
    const [first, second] = [b.vector(x), b.vector(y)];
    // So many positions of both fill a vector.
    const pairs = L.count / 2;
    const bytesOf = (from: number): number[] => Array.from({ length: L.bytes }, (_, i) => from + i);
    for (let lane = 0; lane < tile.lanes; lane += pairs) {
      const lanes = Array.from({ length: pairs }, (_, k) => (lane + k) * L.bytes);
      const mixed = b.vector(shuffle(first, second, lanes.flatMap((from) => [...bytesOf(from), ...bytesOf(16 + from)]))); // prettier-ignore
      const count = Math.min(pairs, tile.lanes - lane);
      const at = (k: number): number => offset + (lane + k) * stride * L.bytes;
      if (count === pairs && (pairs === 1 || stride === 2)) {
        store(b, L, 'float', localExpr(pointers[C]), at(0), { count: L.count, stride: 1 }, mixed);
      } else {
        for (let k = 0; k < count; k++) storeHalf(b, pointers[C], at(k), mixed, k);
      }
    }
  }
}

/** The eight bytes of one half of a vector. */
function storeHalf(b: Body, pointer: number, offset: number, value: Expr, half: number): void {
  b.get(pointer);
  value(b);
  b.simd(91);
  b.memory(offset);
  b.plain(half);
}
