/**
 * Which numbers a backend stores. tfjs calls them all `float32`; a backend that says 64 bits keeps doubles in them.
 */
import type * as tf from '@tensorflow/tfjs-core';

/** Does this backend store doubles in its `float32` tensors? (tfjs's types know only 16 and 32.) */
export function storesDoubles(backend: tf.KernelBackend): boolean {
  return (backend.floatPrecision() as number) === 64;
}

/** An array of `length` zeros of the kind that the backend uploads. */
export function floatsFor(backend: tf.KernelBackend, length: number): Float32Array {
  return storesDoubles(backend) ? (new Float64Array(length) as unknown as Float32Array) : new Float32Array(length);
}

/** Values as the backend uploads them: doubles are rounded for one that stores single precision. */
export function asStored<V extends tf.backend_util.BackendValues>(
  backend: tf.KernelBackend,
  values: V,
): V | Float32Array {
  const doubles: unknown = values;
  if (!(doubles instanceof Float64Array) || storesDoubles(backend)) return values;
  // In a process whose Float32Array holds doubles this keeps them.
  return doubles instanceof Float32Array ? values : Float32Array.from(doubles);
}
