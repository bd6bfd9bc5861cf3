import * as tf from '@tensorflow/tfjs';
import { isFloat64 } from './precision.js';

/** The gradient of a scalar function by central differences, for tests only: (f(x + h) - f(x - h)) / 2h per element. */
export function centralDifference(
  f: (x: tf.Tensor) => tf.Tensor,
  x: tf.Tensor,
  h: number = isFloat64 ? 1e-5 : 1e-2,
): number[] {
  const at = Array.from(x.dataSync());
  return at.map((_, i) => {
    const shifted = (by: number): number =>
      tf.tidy(() => {
        const moved = at.slice();
        moved[i] += by;
        return f(tf.tensor(moved, x.shape)).dataSync()[0];
      });
    return (shifted(h) - shifted(-h)) / (2 * h);
  });
}
