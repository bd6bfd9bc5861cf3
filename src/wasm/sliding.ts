/**
 * Convolutions in one step, without rows of windows: where the input lies, how the weights are laid out, and which way the
 * lanes run.
 */
import { sizeOf } from '../graph/graph.js';
import { panelChannels, type ConvolutionSpec } from './emit/convolution-tile.js';
import { fill } from './indirect.js';
import type { Planner } from './steps.js';
import { reshapeView, rowMajor, sliceView, transposeView, type View } from './views.js';
import { bordered, extents, type Axis } from './windows.js';

/** Panels pay where all weights are too large for the innermost cache, and from so many positions on that read them. */
const CACHE_BYTES = 16_384;
const MANY = 64;

/** With lanes emptier than this share of the other way's, the other way is quicker. */
const EMPTY = 0.8;

/** Which share of the lanes of its vectors an axis of so many elements fills. */
const filled = (n: number, lanes: number): number => n / (Math.ceil(n / lanes) * lanes);

function lanesOf(axes: readonly Axis[], channels: number, count: number): ConvolutionSpec['lanes'] {
  const [line, position] = axes.slice(-2);
  const isPossible = axes.length > 1 && line.output > 1 && position.stride === 1;
  return isPossible && filled(channels, count) < EMPTY * filled(position.output, count) ? 'positions' : 'channels';
}

/** The input as [batch, channels, ...axes] with its border, and lines long enough for whole vectors of positions. */
function planar(planner: Planner, x: View, axes: readonly Axis[], lanes: number): View {
  const [batch, channels] = [x.shape[0], x.shape[x.shape.length - 1]];
  const lengths = extents(axes);
  const { output, window, dilation } = axes[axes.length - 1];
  const reach = Math.ceil(output / lanes) * lanes + (window - 1) * dilation;
  lengths.push(Math.max(lengths.pop() ?? 0, reach));
  // Channels so far apart would all lie in the same places of the innermost cache.
  if (channels > 1 && (sizeOf(lengths) * planner.floatBytes) % 4096 === 0) lengths.push((lengths.pop() ?? 0) + lanes);
  const copy = planner.scratch('float', [batch, channels, ...lengths]);
  fill(planner, copy, 0);
  const inside = sliceView(copy, [0, 0, ...axes.map(({ before }) => before)], [batch, channels, ...axes.map(({ input }) => input)]); // prettier-ignore
  planner.copy(transposeView(x, [0, axes.length + 1, ...axes.map((_, i) => i + 1)]), inside);
  return copy;
}

interface Weights {
  readonly view: View;
  /** Elements between neighbours of the summed axis, and between panels. */
  readonly step: number;
  readonly panel: number;
}

/** Weights `[inner, channels]` with whole vectors of channels, and where they are large one panel after the other. */
function inPanels(planner: Planner, weights: View, positions: number, lanes: number): Weights {
  const [inner, channels] = weights.shape;
  const width = panelChannels('channels', planner.floatBytes);
  const isLarge = channels > width && sizeOf(weights.shape) * planner.floatBytes > CACHE_BYTES && positions >= MANY;
  if (channels % lanes === 0 && !isLarge) return { view: weights, step: channels, panel: width };
  const full = Math.floor(channels / width);
  const rest = channels - full * width;
  const copy = planner.scratch('float', [Math.ceil(channels / width), inner, width]);
  // Nobody reads what comes of the lanes left over, but numbers too small to be normal would make it slow.
  if (rest % lanes > 0) fill(planner, sliceView(copy, [full, 0, 0], [1, inner, width]), 0);
  const parts = reshapeView(sliceView(weights, [0, 0], [inner, full * width]), [inner, full, width]) ?? {
    ...weights,
    shape: [inner, full, width],
    strides: [weights.strides[0], width * weights.strides[1], weights.strides[1]],
  };
  if (full > 0) planner.copy(transposeView(parts, [1, 0, 2]), sliceView(copy, [0, 0, 0], [full, inner, width]));
  if (rest > 0) {
    const left = sliceView(weights, [0, full * width], [inner, rest]);
    planner.copy({ ...left, shape: [1, inner, rest], strides: [0, ...left.strides] }, sliceView(copy, [full, 0, 0], [1, inner, rest])); // prettier-ignore
  }
  return { view: copy, step: width, panel: inner * width };
}

/** Write `to` [batch, ...positions, channels] from `x` [batch, ...axes, inputs] and weights [...window, inputs, channels], which lie in row-major order. */
export function slide(planner: Planner, to: View, x: View, weights: View, axes: readonly Axis[]): void {
  const lanes = 16 / planner.floatBytes;
  const [inputs, channels] = weights.shape.slice(-2);
  const way = lanesOf(axes, channels, lanes);
  const inner = sizeOf(weights.shape.slice(0, -1));
  const flat: View = { ...weights, shape: [inner, channels], strides: [channels, 1] };
  const isPlanar = way === 'positions';
  const from = isPlanar ? planar(planner, x, axes, lanes) : bordered(planner, x, axes, 0);
  const [batch, ...along] = isPlanar ? [0, ...axes.map((_, i) => i + 2)].map((i) => from.strides[i]) : from.strides.slice(0, -1); // prettier-ignore
  const next = isPlanar ? from.strides[1] : from.strides[from.strides.length - 1];
  const { view, step, panel } = isPlanar ? { view: flat, step: channels, panel: panelChannels(way, planner.floatBytes) } : inPanels(planner, flat, sizeOf(to.shape) / channels, lanes); // prettier-ignore
  const places = rowMajor([...axes.map(({ window }) => window), inputs]).map((n) => n * step);
  planner.steps.push({
    type: 'convolution',
    spec: {
      lanes: way,
      sizes: to.shape,
      c: to.strides,
      x: [batch, ...along.map((stride, i) => stride * axes[i].stride)],
      window: [
        ...axes.map(({ window, dilation }, i) => ({ size: window, x: along[i] * dilation, w: places[i] })),
        { size: inputs, x: next, w: step },
      ],
      panel,
    },
    views: [to, from, view],
  });
}
