/**
 * One array of theirs as one tensor of ours, and back: parts, axes, and the direction of kernels.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../core/tree.js';
import type { Slot } from './slots.js';

const sliding = (kernel: Tensor): number[] => Array.from({ length: kernel.rank - 2 }, (_, i) => i);

const transposed = (x: Tensor, axes: readonly number[]): Tensor =>
  axes.every((axis, i) => axis === i) ? x : tf.transpose(x, [...axes]);

function partOf(x: Tensor, [index, of]: readonly [number, number]): Tensor {
  const size = [x.shape[0] / of, ...x.shape.slice(1)];
  return tf.slice(x, [index * size[0], ...size.slice(1).map(() => 0)], size);
}

/** Theirs to ours; the shape of the result is the caller's to check. */
export function toOurs(x: Tensor, { leaf, flip, tensor }: Slot): Tensor {
  const { part, axes, trailing } = leaf;
  let y = part === undefined ? x : partOf(x, part);
  if (trailing === true && y.rank === tensor.rank + 1 && y.shape[tensor.rank] === 1) y = tf.squeeze(y, [tensor.rank]);
  if (axes !== undefined) y = transposed(y, axes(y.rank));
  return flip ? tf.reverse(y, sliding(y)) : tf.clone(y);
}

/** Ours to theirs; of an array that several of ours make up, the part. */
export function toTheirs({ leaf, flip, tensor }: Slot): Tensor {
  const { axes, trailing } = leaf;
  let y = flip ? tf.reverse(tensor, sliding(tensor)) : tensor;
  if (axes !== undefined) {
    const forward = axes(y.rank);
    y = transposed(y, forward.map((_, i) => forward.indexOf(i))); // prettier-ignore
  }
  return trailing === true ? tf.expandDims(y, y.rank) : tf.clone(y);
}
