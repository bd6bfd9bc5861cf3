/**
 * What the Jacobian of the layer at the equilibrium says: its size, which regularisation keeps small, and its spectral
 * radius.
 */
import * as tf from '@tensorflow/tfjs-core';
import { normal, split, type Key } from '../../src/core/random.js';
import type { Tensor } from '../../src/core/tree.js';
import { runOnce } from '../../src/graph/compile.js';
import { scan, stopGradient, vjp } from '../../src/graph/index.js';

/**
 * An estimate of `|J|_F^2 / n` for the Jacobian J of `f` at `z` and n elements of `z`, by Hutchinson's method: the mean of
 * `|J' v|^2 / n` over `probes` standard normal vectors v (S. Bai, V. Koltun, J. Z. Kolter, Stabilizing Equilibrium
 * Models by Jacobian Regularization,
 * ICML 2021). Differentiable in what `f` closes over; `z` counts as a constant.
 *
 * @param key Decides the vectors.
 * @returns A scalar.
 */
export function jacobianLoss(f: (z: Tensor) => Tensor, z: Tensor, key: Key, probes = 1): tf.Scalar {
  if (!Number.isSafeInteger(probes) || probes < 1) {
    throw new RangeError(`jacobianLoss: probes must be a positive integer, got ${probes}`);
  }
  return tf.tidy(() => {
    const at = stopGradient(z);
    const keys = split(key, probes);
    const [, pull] = vjp(f, at);
    const sizes = keys.map((k) => tf.sum(tf.square(pull(normal(k, z.shape))[0])));
    return tf.div<tf.Scalar>(tf.addN(sizes), probes * z.size);
  });
}

/** Iterations of the power method, and how many of the last are averaged. */
export interface PowerOptions {
  readonly iterations?: number;
}

/**
 * An estimate of the spectral radius of the Jacobian of `f` at `z`, by power iteration with the transposed Jacobian:
 * below 1, plain
 * iteration converges there. Without derivative.
 *
 * @param key Decides the first vector.
 * @param options.iterations Default 50; the estimate is the mean growth over the second half of them.
 */
export function spectralRadius(f: (z: Tensor) => Tensor, z: Tensor, key: Key, options: PowerOptions = {}): tf.Scalar {
  const { iterations = 50 } = options;
  if (!Number.isSafeInteger(iterations) || iterations < 2) {
    throw new RangeError(`spectralRadius: iterations must be an integer from 2 on, got ${iterations}`);
  }
  const iterate = (start: Tensor, at: Tensor): tf.Scalar => {
    const step = (v: Tensor): readonly [Tensor, Tensor] => {
      const [, pull] = vjp(f, at);
      const [next] = pull(v);
      const size = tf.sqrt(tf.sum(tf.square(next)));
      return [tf.div(next, tf.add(size, tf.cast(tf.equal(size, 0), 'float32'))), size];
    };
    const [, sizes] = scan(step, start, {}, { length: iterations });
    const late = tf.slice(sizes, [iterations >> 1], [iterations - (iterations >> 1)]);
    // A Jacobian that vanishes altogether has radius 0.
    return tf.mul<tf.Scalar>(tf.exp(tf.mean(tf.log(tf.maximum(late, 1e-30)))), tf.cast(tf.greater(tf.min(late), 0), 'float32')); // prettier-ignore
  };
  return tf.tidy(() => {
    const v = normal(key, z.shape);
    const first = tf.div(v, tf.sqrt(tf.sum(tf.square(v))));
    return stopGradient(runOnce(iterate, [first, stopGradient(z)]));
  });
}
