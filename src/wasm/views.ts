/**
 * Where values live: buffers, and strided views of them.
 */
import { sameShape, sizeOf } from '../graph/graph.js';
import type { Kind } from './emit/access.js';

/** `table`: bound at each run through the table of pointers. `fixed`: an address known when the program is compiled. */
export interface BufferSlot {
  readonly kind: Kind;
  readonly bytes: number;
  readonly home: 'table' | 'arena' | 'constant';
  /** The entry of the table, or the constant's number. */
  readonly index: number;
}

export interface View {
  readonly buffer: BufferSlot;
  /** In elements. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export function rowMajor(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

export const whole = (buffer: BufferSlot, shape: readonly number[]): View => ({ buffer, offset: 0, shape, strides: rowMajor(shape) }); // prettier-ignore

/** Do its elements follow each other in row-major order? */
export function isContiguous({ shape, strides }: View): boolean {
  const expected = rowMajor(shape);
  return shape.every((n, i) => n === 1 || strides[i] === expected[i]) || sizeOf(shape) === 0;
}

/** Strides of the view seen as a tensor of a larger shape, aligned at the last axis. */
export function broadcastStrides({ shape, strides }: View, to: readonly number[]): number[] {
  const lead = to.length - shape.length;
  return to.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : strides[i - lead]));
}

export function transposeView(view: View, perm: readonly number[]): View {
  return { ...view, shape: perm.map((i) => view.shape[i]), strides: perm.map((i) => view.strides[i]) };
}

export function sliceView(view: View, begin: readonly number[], size: readonly number[]): View {
  return { ...view, offset: view.offset + begin.reduce((n, b, i) => n + b * view.strides[i], 0), shape: [...size] };
}

export function reverseView(view: View, axes: readonly number[]): View {
  let { offset } = view;
  const strides = view.strides.map((s, i) => {
    if (!axes.includes(i) || view.shape[i] === 0) return s;
    offset += (view.shape[i] - 1) * s;
    return -s;
  });
  return { ...view, offset, strides };
}

/** The same elements in another shape, or undefined where strides cannot say it. */
export function reshapeView(view: View, shape: readonly number[]): View | undefined {
  if (sameShape(view.shape, shape)) return view;
  if (isContiguous(view)) return { ...view, shape, strides: rowMajor(shape) };
  // Only axes of one element come or go.
  const axes = view.shape.flatMap((n, i) => (n === 1 ? [] : [i]));
  if (!sameShape(axes.map((i) => view.shape[i]), shape.filter((n) => n !== 1))) return undefined; // prettier-ignore
  let next = 0;
  return { ...view, shape, strides: shape.map((n) => (n === 1 ? 0 : view.strides[axes[next++]])) };
}

/** Elements of the result in a strip: a line of the cache, of singles. */
const STRIP = 16;
/** Elements from which on a copy is worth strips: fewer stay in the innermost cache however they are read. */
const MANY = 4096;

/**
 * A copy as copies of parts, with their axes in the order in which it goes best. Where neighbours of the result are far apart
 * in the source, but neighbours along another axis are not, the result is written in strips so narrow that the lines read for
 * one row of a strip are still in the cache for the next: 512 by 512 singles are transposed ten times as fast.
 */
export function inStrips(from: View, to: View): readonly (readonly [from: View, to: View])[] {
  const last = to.shape.length - 1;
  const near = from.strides.indexOf(1);
  const isFar = near >= 0 && near < last && from.shape[near] > 1 && from.strides[last] > 1;
  if (!isFar || to.shape[last] <= STRIP || sizeOf(to.shape) < MANY || !sameShape(from.shape, to.shape)) return [[from, to]]; // prettier-ignore
  const others = to.shape.map((_, axis) => axis).filter((axis) => axis !== near && axis !== last);
  const part = (first: number, count: number, width: number) => ({ buffer, offset, shape, strides }: View): View => ({
    buffer,
    offset: offset + first * strides[last],
    shape: [...others.map((axis) => shape[axis]), count, shape[near], width],
    strides: [...others.map((axis) => strides[axis]), strides[last] * width, strides[near], strides[last]],
  }); // prettier-ignore
  const count = Math.floor(to.shape[last] / STRIP);
  const rest = to.shape[last] - count * STRIP;
  const parts = [part(0, count, STRIP), ...(rest > 0 ? [part(count * STRIP, 1, rest)] : [])];
  return parts.map((of) => [of(from), of(to)] as const);
}
