/**
 * Windows that slide over the inner axes of a tensor [batch, ...axes, channels], as strided views: an input with its
 * border seen as [batch, ...positions, ...window, channels], without a copy.
 */
import { sizeOf } from '../graph/graph.js';
import { fill } from './indirect.js';
import type { Planner } from './steps.js';
import { sliceView, type View } from './views.js';

/** How one axis is cut into windows. */
export interface Axis {
  readonly input: number;
  readonly output: number;
  readonly window: number;
  readonly stride: number;
  readonly dilation: number;
  /** Elements of border before the first of the input. */
  readonly before: number;
}

/** The fields of tfjs's convolution and pooling geometry, for two or three axes. */
export function axesOf(info: object, count: 2 | 3): Axis[] {
  const fields = info as Readonly<Record<string, number>>;
  const border = (info as { padInfo: Readonly<Record<string, number>> }).padInfo;
  const names = [
    ['Depth', 'front'],
    ['Height', 'top'],
    ['Width', 'left'],
  ] as const;
  return names.slice(3 - count).map(([name, side]) => ({
    input: fields[`in${name}`],
    output: fields[`out${name}`],
    window: fields[`filter${name}`],
    stride: fields[`stride${name}`],
    dilation: fields[`dilation${name}`],
    before: border[side],
  }));
}

/** How much of an axis the windows reach over, from the first element of the border on. */
const reach = ({ output, window, stride, dilation }: Axis): number =>
  (output - 1) * stride + (window - 1) * dilation + 1;

/** The length of an axis with its border. */
const extent = (axis: Axis): number => Math.max(axis.before + axis.input, reach(axis));

/** Does every window lie inside the input? */
export const isInside = (axes: readonly Axis[]): boolean => axes.every((a) => a.before === 0 && reach(a) <= a.input);

export const extents = (axes: readonly Axis[]): number[] => axes.map(extent);

/** The part of a tensor with borders that is the input. */
export function interior(view: View, axes: readonly Axis[]): View {
  const begin = [0, ...axes.map(({ before }) => before), 0];
  return sliceView(view, begin, view.shape.map((n, i) => axes[i - 1]?.input ?? n)); // prettier-ignore
}

/** The input with its border filled. */
export function bordered(planner: Planner, x: View, axes: readonly Axis[], value: number): View {
  if (isInside(axes)) return x;
  const [batch, channels] = [x.shape[0], x.shape[x.shape.length - 1]];
  const copy = planner.scratch(x.buffer.kind, [batch, ...extents(axes), channels]);
  fill(planner, copy, value);
  planner.copy(x, interior(copy, axes));
  return copy;
}

/** [batch, ...positions, ...window, channels] of a tensor with its borders. */
export function windows(view: View, axes: readonly Axis[]): View {
  const inner = view.strides.slice(1, -1);
  const [batch, channels] = [view.shape[0], view.shape[view.shape.length - 1]];
  return {
    ...view,
    shape: [batch, ...axes.map((a) => a.output), ...axes.map((a) => a.window), channels],
    strides: [
      view.strides[0],
      ...inner.map((s, i) => s * axes[i].stride),
      ...inner.map((s, i) => s * axes[i].dilation),
      view.strides[view.strides.length - 1],
    ],
  };
}

/** All places within a window, with their number in row-major order. */
export function placesOf(axes: readonly Axis[]): (readonly number[])[] {
  return axes.reduce<number[][]>(
    (places, { window }) => places.flatMap((p) => Array.from({ length: window }, (_, k) => [...p, k])),
    [[]],
  );
}

/** Of windows [batch, ...positions, ...window, channels] the element at one place of each: [batch, ...positions, channels]. */
export function atPlace(view: View, place: readonly number[]): View {
  const n = place.length;
  const without = (list: readonly number[]): number[] => [...list.slice(0, n + 1), ...list.slice(2 * n + 1)];
  const offset = place.reduce((sum, k, i) => sum + k * view.strides[n + 1 + i], view.offset);
  return { buffer: view.buffer, offset, shape: without(view.shape), strides: without(view.strides) };
}

/** Ranges of `positions` [batch, first axis, ...] of at most so many each: whole images where one fits, rows of one where not. */
export function blocks(positions: readonly number[], most: number): { begin: number[]; size: number[] }[] {
  const at = positions.findIndex((n, i) => n > 1 && sizeOf(positions.slice(i + 1)) <= most);
  const axis = at < 0 ? positions.length - 1 : at;
  const step = Math.max(1, Math.min(positions[axis], Math.floor(most / sizeOf(positions.slice(axis + 1)))));
  const outer = sizeOf(positions.slice(0, axis));
  const found: { begin: number[]; size: number[] }[] = [];
  for (let o = 0; o < outer; o++) {
    const lead: number[] = [];
    let rest = o;
    for (let i = axis - 1; i >= 0; i--) {
      lead.unshift(rest % positions[i]);
      rest = Math.floor(rest / positions[i]);
    }
    for (let start = 0; start < positions[axis]; start += step) {
      found.push({
        begin: [...lead, start, ...positions.slice(axis + 1).map(() => 0)],
        size: [...lead.map(() => 1), Math.min(step, positions[axis] - start), ...positions.slice(axis + 1)],
      });
    }
  }
  return found;
}
