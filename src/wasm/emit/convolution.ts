/**
 * Convolutions without rows of windows: the result tile by tile, each as convolution-tile.ts says.
 */
import { I32, type Body, type ModuleWriter, type Type } from './assembler.js';
import { EXTRA, panelChannels, TileWriter, tileAxis, W, type ConvolutionSpec, type Tile } from './convolution-tile.js';
import type { Lanes } from './lanes.js';
import { keyOf } from './terms.js';

/** Positions of a tile: as many sums as fit in fifteen registers beside what they are made of, of two vectors and of one. */
const TALL = 4;
const TALLER = 6;

/** Longer sums are worth a call per tile: in a function of their own V8 has more registers for them. */
const CALL_FROM = 32;

export function convolutionFunction(module: ModuleWriter, L: Lanes, spec: ConvolutionSpec): number {
  const key = `convolution ${L.bits} ${keyOf(spec)}`;
  const parameters = new Array<Type>(EXTRA + (spec.epilogue?.operands.length ?? 0)).fill(I32);
  return module.kernel(key, parameters, (b) => {
    new ConvolutionWriter(b, L, spec).write(key, parameters);
  });
}

/** Addresses: of the result, the input, the weights and the operands of the epilogue. */
type Pointers = readonly number[];

class ConvolutionWriter {
  /** The axis of the tile's positions. */
  private readonly across: number;
  private readonly last: number;
  /** Channels of a panel of weights. */
  private readonly panel: number;
  /** Elements between neighbours along each axis, pointer by pointer. */
  private readonly strides: readonly (readonly number[])[];

  constructor(
    private readonly b: Body,
    private readonly L: Lanes,
    private readonly spec: ConvolutionSpec,
  ) {
    this.across = tileAxis(spec);
    this.last = spec.sizes.length - 1;
    this.panel = panelChannels(spec.lanes, L.bytes);
    this.strides = [spec.c, [...spec.x, 0], spec.sizes.map(() => 0), ...(spec.epilogue?.operands ?? [])];
  }

  write(key: string, parameters: readonly Type[]): void {
    const { b, L, spec } = this;
    const start = parameters.map((_, i) => i);
    const places = spec.window.reduce((n, { size }) => n * size, 1);
    const call = (tile: Tile, pointers: Pointers): void => {
      if (places < CALL_FROM) {
        new TileWriter(b, L, spec, tile, pointers).write();
        return;
      }
      const index = b.module.kernel(`${key} ${JSON.stringify(tile)}`, parameters, (body) => {
        new TileWriter(body, L, spec, tile, start).write();
      });
      for (const pointer of pointers) b.get(pointer);
      b.call(index);
    };
    const outer = Array.from({ length: this.across }, (_, i) => i);
    this.loops(outer, start, (p) => {
      if (spec.lanes === 'channels') this.alongChannels(p, call);
      else this.alongPositions(p, call);
    });
  }

  /** A line: panel by panel of weights, so that one stays in the cache while the line goes by. */
  private alongChannels(pointers: Pointers, call: (tile: Tile, p: Pointers) => void): void {
    const { L, across, last, panel } = this;
    const [line, channels] = [this.spec.sizes[across], this.spec.sizes[last]];
    // One or two positions that are left over take more channels instead.
    const few = line % TALL <= 2 && channels > panel ? line % TALL : 0;
    const vectors = (n: number): Pick<Tile, 'units' | 'lanes'> => {
      const units = Math.ceil(n / L.count);
      return { units, lanes: n - (units - 1) * L.count };
    };
    this.parts(last, channels, panel, pointers, (p, n) => {
      const { units, lanes } = vectors(n);
      this.parts(across, line - few, units === 1 ? TALLER : TALL, p, (q, positions) => {
        call({ positions, units, lanes }, q);
      });
    });
    if (few === 0) return;
    this.parts(last, channels, 2 * panel, this.moved(across, line - few, pointers), (p, n) => {
      call({ positions: few, ...vectors(n) }, p);
    });
  }

  /** Some lines: vector by vector of positions, so that what the windows see stays in the cache for all channels. */
  private alongPositions(pointers: Pointers, call: (tile: Tile, p: Pointers) => void): void {
    const { L, across, last, panel } = this;
    const { sizes } = this.spec;
    this.parts(across, sizes[across], sizes[last] === 1 ? TALLER : TALL, pointers, (p, positions) => {
      this.parts(last - 1, sizes[last - 1], L.count, p, (q, lanes) => {
        this.parts(last, sizes[last], panel, q, (r, units) => {
          call({ positions, units, lanes }, r);
        });
      });
    });
  }

  /** Loops over all of the axes. */
  private loops(axes: readonly number[], pointers: Pointers, body: (p: Pointers) => void): void {
    const [axis, ...inner] = axes;
    if (axes.length === 0) body(pointers);
    else
      this.parts(axis, this.spec.sizes[axis], 1, pointers, (p) => {
        this.loops(inner, p, body);
      });
  }

  /** Elements that a pointer moves with so many elements along an axis. */
  private stride(pointer: number, axis: number, elements: number): number {
    if (pointer === W && axis === this.last) return (elements / this.panel) * this.spec.panel;
    return elements * this.strides[pointer][axis];
  }

  /** The pointers so many elements further along an axis. */
  private moved(axis: number, elements: number, pointers: Pointers): Pointers {
    const { b, L } = this;
    return pointers.map((pointer, i) => {
      const by = this.stride(i, axis, elements);
      if (by === 0) return pointer;
      const copy = b.copy(pointer);
      b.bump(copy, by * L.bytes);
      return copy;
    });
  }

  /** Along the first `total` elements of an axis in parts of `size` and a rest. */
  private parts(
    axis: number,
    total: number,
    size: number,
    pointers: Pointers,
    body: (p: Pointers, n: number) => void,
  ): void {
    const { b, L } = this;
    const full = Math.floor(total / size);
    const rest = total - full * size;
    if (full === 0 || (full === 1 && rest === 0)) {
      if (total > 0) body(pointers, total);
      return;
    }
    const moves = pointers.map((_, i) => this.stride(i, axis, size));
    const moving = pointers.map((p, i) => (moves[i] === 0 ? p : b.copy(p)));
    b.times(full, () => {
      body(moving, size);
      moving.forEach((p, i) => {
        b.bump(p, moves[i] * L.bytes);
      });
    });
    if (rest > 0) body(moving, rest);
  }
}
