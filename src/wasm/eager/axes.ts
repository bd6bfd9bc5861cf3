/**
 * Axes that an operation goes along, seen as one: blocks, each of so many rows of so many columns.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { sizeOf, type EagerKernel } from './eager.js';

export interface Extent {
  readonly blocks: number;
  readonly count: number;
  readonly columns: number;
}

/** Axes counted from the beginning; all of them where none is given. */
export function axesOf(
  given: number | readonly number[] | null | undefined,
  shape: readonly number[],
): readonly number[] {
  const rank = shape.length;
  const axes = given == null ? shape.map((_, i) => i) : typeof given === 'number' ? [given] : given.slice();
  for (let i = 0; i < axes.length; i++) {
    const axis = axes[i];
    if (!(Number.isInteger(axis) && axis >= -rank && axis < rank)) return tf.util.parseAxisParam(axes, [...shape]); // which says what is wrong
    if (axis < 0) axes[i] = axis + rank;
  }
  return axes;
}

export function along(shape: readonly number[], axis: number): Extent {
  let [blocks, columns] = [1, 1];
  for (let i = 0; i < axis; i++) blocks *= shape[i];
  for (let i = axis + 1; i < shape.length; i++) columns *= shape[i];
  return { blocks, count: shape[axis], columns };
}

/** Computes what becomes of each row of the extent, as a tensor of the shape given. */
type Reduction = (
  backend: NullclineBackend,
  x: tf.TensorInfo,
  extent: Extent,
  shape: readonly number[],
) => tf.TensorInfo | undefined;

/** A reduction over any axes: neighbours at once, one group of them after the other. */
export function overAxes(attribute: string, compute: Reduction): EagerKernel {
  const reduce = (
    backend: NullclineBackend,
    x: tf.TensorInfo,
    isReduced: boolean[],
    keepDims: boolean,
  ): tf.TensorInfo | undefined => {
    const { shape } = x;
    const rank = shape.length;
    let [blocks, count, columns] = [1, 1, 1];
    /** The group that is reduced here is the last; where it begins. */
    let begin = rank;
    let axis = rank - 1;
    for (; axis >= 0; axis--) {
      if (shape[axis] === 1) continue;
      if (isReduced[axis]) {
        if (blocks > 1) break;
        count *= shape[axis];
        begin = axis;
      } else if (begin === rank) columns *= shape[axis];
      else blocks *= shape[axis];
    }
    if (axis >= 0) {
      // Another group lies before this one.
      for (let i = 0; i < begin; i++) if (shape[i] !== 1 && i <= axis) blocks *= shape[i];
      const between = shape.map((n, i) => (i >= begin && isReduced[i] ? 1 : n));
      const partial = compute(backend, x, { blocks, count, columns }, between);
      if (partial === undefined) return undefined;
      try {
        return reduce(backend, partial, isReduced, keepDims);
      } finally {
        backend.disposeData(partial.dataId);
      }
    }
    const kept: number[] = [];
    for (let i = 0; i < rank; i++) {
      if (!isReduced[i]) kept.push(shape[i]);
      else if (keepDims) kept.push(1);
    }
    return compute(backend, x, { blocks, count, columns }, kept);
  };
  return ({ backend, inputs: { x }, attrs }) => {
    if (x === undefined || sizeOf(x.shape) === 0) return undefined;
    const isReduced = new Array<boolean>(x.shape.length).fill(false);
    for (const axis of axesOf(attrs[attribute] as number | number[] | undefined, x.shape)) isReduced[axis] = true;
    return reduce(backend, x, isReduced, attrs.keepDims === true);
  };
}
