/** Running averages, the arithmetic that adaptive rules share. */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import type { Tensor } from '../core/tree.js';

/** `decay * average + (1 - decay) * x`, with one multiplication. */
export const average = (decay: number, old: Tensor, x: Tensor): Tensor =>
  tf.add(old, tf.mul(constant(1 - decay), tf.sub(x, old)));

/**
 * `1 - decay ** t` from its value at t - 1: the weight that an average started at zero has gathered so far.
 *
 * It is kept instead of the power because in float32 1 - 0.999 is wrong in the fifth digit, and with it the first steps.
 */
export const gathered = (decay: number, old: Tensor): Tensor =>
  tf.add(tf.mul(constant(decay), old), constant(1 - decay));

/** `numerator / (sqrt(square) + epsilon)`. */
export const normalised = (numerator: Tensor, square: Tensor, epsilon: Tensor): Tensor =>
  tf.div(numerator, tf.add(tf.sqrt(square), epsilon));
