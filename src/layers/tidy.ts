import * as tf from '@tensorflow/tfjs-core';

/** `tf.tidy` for a result of any structure: the tensors in it stay, all others made on the way are freed. */
export function tidy<T>(f: () => T): T {
  return tf.tidy(f as () => tf.TensorContainer) as T;
}
