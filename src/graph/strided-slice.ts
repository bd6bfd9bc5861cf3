/**
 * What a slice or a strided slice takes, along every axis of its operand; tfjs's own `finalShapeSparse` leaves out those that a
 * mask takes away. Fractions are cut off, as tfjs's cpu backend does.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Attrs } from './engine.js';

const whole = (numbers: readonly number[]): number[] => numbers.map(Math.trunc);

/** @throws RangeError where a slice would begin or end outside of its operand. */
export function sliceOf(shape: readonly number[], attrs: Attrs): readonly [begin: number[], size: number[]] {
  const given = { shape: [...shape], rank: shape.length } as unknown as tf.Tensor;
  const params = tf.slice_util.parseSliceParams(
    given,
    attrs.begin as number | number[],
    attrs.size as number | number[],
  );
  const [begin, size] = params.map(whole);
  begin.forEach((first, i) => {
    if (!(first >= 0 && first <= shape[i])) {
      throw new RangeError(`slice: begin[${i}] is ${params[0][i]}; expected an integer from 0 to ${shape[i]}`);
    }
  });
  tf.slice_util.assertParamsValid(given, begin, size);
  return [begin, size];
}

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
    whole(attrs.begin as number[]),
    whole(attrs.end as number[]),
    whole(attrs.strides as number[]),
    number('beginMask'),
    number('endMask'),
    number('ellipsisMask'),
    number('newAxisMask'),
    number('shrinkAxisMask'),
  );
  const sizes = begin.map((first, i) => Math.max(0, Math.ceil((end[i] - first) / strides[i])));
  return { offset: begin, sizes, steps: strides, finalShape };
}
