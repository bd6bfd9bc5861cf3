/**
 * Trees in another precision.
 */
import * as tf from '@tensorflow/tfjs-core';
import { storesDoubles } from '../core/floats.js';
import { treeMap } from '../core/tree.js';
import { withBackend } from './engine.js';
import { backendOfPrecision, type Precision } from './program.js';
import { currentTrace, TraceError } from './trace.js';

function converted<T>(tree: T, precision: Precision, where: string): T {
  if (currentTrace() !== undefined) {
    throw new TraceError(`${where}: a traced function computes in one precision; convert its arguments, or use compile(f, { precision })`); // prettier-ignore
  }
  const doubles = precision === 'float64';
  const move = (): T =>
    treeMap(tree, (leaf) => {
      if (leaf.dtype !== 'float32') return leaf;
      const values: Float64Array = Float64Array.from(leaf.dataSync());
      const stored = doubles ? values : values.map(Math.fround);
      // A backend of single precision rounds by itself what it is given as its own kind of array.
      const own = storesDoubles(tf.backend()) ? stored : Float32Array.from(stored);
      return tf.engine().makeTensor(own as Float32Array, leaf.shape, 'float32');
    });
  // The active backend serves if it can hold the numbers.
  return doubles && !storesDoubles(tf.backend()) ? withBackend(backendOfPrecision(precision), move) : move();
}

/**
 * The tree with its floats in double precision: of the active backend where it stores doubles, otherwise of the compiled
 * backend in doubles. Integers, booleans, keys and plain values stay as they are. For `compile(f, { precision: 'float64' })`.
 *
 * @returns New float tensors, the caller's to dispose of.
 * @throws Error where no backend that stores doubles is loaded: `await useBackend('nullcline')` loads one.
 */
export const f64 = <T>(tree: T): T => converted(tree, 'float64', 'f64');

/**
 * The tree with its floats rounded to single precision and held by the active backend; the rest stays as it is.
 *
 * @returns New float tensors, the caller's to dispose of.
 */
export const f32 = <T>(tree: T): T => converted(tree, 'float32', 'f32');
