/**
 * What a strided slice takes, along every axis of its operand; tfjs's own `finalShapeSparse` leaves out those that a mask
 * takes away.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Attrs } from './engine.js';

export interface StridedSlice {
  /** The first index, how many are taken, and how far they are apart, along each axis of the operand. */
  readonly offset: readonly number[];
  readonly sizes: number[];
  readonly steps: readonly number[];
  /** With the axes that masks add, and without those that they take away. */
  readonly finalShape: number[];
}

export function stridedSliceOf(shape: readonly number[], attrs: Attrs): StridedSlice {
  const number = (name: string): number => attrs[name] as number;
  const { begin, end, strides, finalShape } = tf.slice_util.sliceInfo(
    [...shape],
    attrs.begin as number[],
    attrs.end as number[],
    attrs.strides as number[],
    number('beginMask'),
    number('endMask'),
    number('ellipsisMask'),
    number('newAxisMask'),
    number('shrinkAxisMask'),
  );
  const sizes = begin.map((first, i) => Math.max(0, Math.ceil((end[i] - first) / strides[i])));
  return { offset: begin, sizes, steps: strides, finalShape };
}
