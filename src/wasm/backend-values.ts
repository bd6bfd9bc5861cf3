/**
 * How the elements of a tensor are stored, by dtype and precision.
 */
import type * as tf from '@tensorflow/tfjs-core';

export type Precision = 32 | 64;

/** The numeric arrays of a backend. tfjs's types know no Float64Array; ours stand in for its Float32Array. */
export type Numbers = Float32Array | Float64Array | Int32Array | Uint8Array;

// Taken once: `withDoubles` exchanges the global of that name while it runs a kernel.
const Float32 = Float32Array;

export interface Storage {
  readonly bytes: number;
  readonly make: new (values: ArrayLike<number>) => Numbers;
  readonly over: new (buffer: ArrayBufferLike, offset: number, length: number) => Numbers;
}

const storage = (of: typeof Float32Array | typeof Float64Array | typeof Int32Array | typeof Uint8Array): Storage => ({
  bytes: of.BYTES_PER_ELEMENT,
  make: of,
  over: of,
});

const FLOATS: Readonly<Record<Precision, Storage>> = { 32: storage(Float32), 64: storage(Float64Array) };
const INTEGERS = storage(Int32Array);
const BOOLEANS = storage(Uint8Array);

/** Undefined for strings, which stay JavaScript's, and for complex numbers, which are a pair of tensors. */
export function storageOf(dtype: tf.DataType, precision: Precision): Storage | undefined {
  switch (dtype) {
    case 'float32':
      return FLOATS[precision];
    case 'int32':
      return INTEGERS;
    case 'bool':
      return BOOLEANS;
    default:
      return undefined;
  }
}

/** The values in an array of the kind in which that dtype is stored; the same array where it is one already. */
export function asKind(values: ArrayLike<number>, { make }: Storage): Numbers {
  return values instanceof make ? values : new make(values);
}
