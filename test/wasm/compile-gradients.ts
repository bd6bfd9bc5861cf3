/** Gradients of a traced function, with a cotangent that differs from element to element. */
import * as tf from '@tensorflow/tfjs';
import { grad } from '../../src/index.js';

/** Of the sum of f's elements, each times another number. */
export function gradients(f: (...xs: tf.Tensor[]) => tf.Tensor, xs: readonly tf.Tensor[]): tf.Tensor[] {
  const weighted = (all: tf.Tensor[]): tf.Tensor => {
    const y = f(...all);
    const weights = tf.tensor(Array.from({ length: y.size }, (_, i) => ((i * 7) % 11) - 4), y.shape); // prettier-ignore
    return tf.sum(tf.mul(y, weights));
  };
  return grad(weighted)([...xs]);
}
