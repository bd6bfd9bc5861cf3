/**
 * Running kernels that tfjs wrote for single precision in double precision.
 *
 * tfjs's cpu kernels compute in JavaScript numbers, which are doubles; they round only where they store a result, in an
 * array made with the global `Float32Array`. While one runs for a backend of doubles, that name stands for
 * `Float64Array`. Kernels are synchronous, so nothing else runs meanwhile, and it is put back whatever happens.
 */
import * as tf from '@tensorflow/tfjs-core';

interface Platform {
  isTypedArray: (this: Platform, a: unknown) => boolean;
}

const globals = globalThis as unknown as { Float32Array: unknown };

export function withDoubles<T>(kernel: () => T): T {
  const single = globals.Float32Array;
  if (single === Float64Array) return kernel();
  globals.Float32Array = Float64Array;
  try {
    return kernel();
  } finally {
    globals.Float32Array = single;
  }
}

/**
 * Let tfjs take a `Float64Array` for an array of numbers. It asks the platform, not the constructor; without this
 * `tf.tensor(x.dataSync())` would fail where `x` holds doubles. (It is rounded there; `constant` keeps the digits.)
 */
export function acceptDoubles(): void {
  const platform = tf.env().platform as unknown as Partial<Platform>;
  const isTypedArray = platform.isTypedArray;
  if (isTypedArray === undefined) return;
  platform.isTypedArray = (a) => a instanceof Float64Array || isTypedArray.call(platform as Platform, a);
}
