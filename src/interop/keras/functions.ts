/**
 * Functions of Keras that differ from those of the same name elsewhere.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import type { Tensor } from '../../core/tree.js';

/** `clip(0.2 x + 0.5, 0, 1)`: Keras's, with another slope than PyTorch's `relu6(x + 3) / 6`. */
export const kerasHardSigmoid = (x: Tensor): Tensor =>
  tf.tidy(() => tf.clipByValue(tf.add(tf.mul(x, constant(0.2)), constant(0.5)), 0, 1));

/** `min(max(0, x), most)`. */
export const cappedRelu =
  (most: number | null) =>
  (x: Tensor): Tensor =>
    tf.tidy(() => (most === null ? tf.relu(x) : tf.minimum(tf.relu(x), constant(most))));
