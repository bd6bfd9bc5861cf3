/**
 * `constant`: numbers as a tensor, with every digit kept where the backend can hold it.
 */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { storesDoubles } from './floats.js';
import { describe } from './value.js';

/** Numbers in arrays, nested as deep as the tensor has axes. */
export type NestedNumbers = number | readonly NestedNumbers[];

/** Any of JavaScript's arrays of numbers. */
export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

const TRACE = Symbol.for('nullcline.trace');

const isNumericArray = (x: unknown): x is NumericArray =>
  ArrayBuffer.isView(x) && !(x instanceof DataView || x instanceof BigInt64Array || x instanceof BigUint64Array);

/** Shape by the first element at each depth; everything else is then held to it. */
function nestedShape(x: unknown): number[] {
  const shape: number[] = [];
  for (let at = x; Array.isArray(at) || isNumericArray(at); at = (at as readonly unknown[])[0]) shape.push(at.length);
  return shape;
}

function flattenInto(out: number[], x: unknown, shape: readonly number[], at: readonly number[]): void {
  const place = at.length === 0 ? '' : ` at [${at.join('][')}]`;
  if (at.length === shape.length) {
    if (typeof x !== 'number') throw new TypeError(`constant: expected a number${place}, got ${describe(x)}`);
    out.push(x);
    return;
  }
  const length = shape[at.length];
  if (!Array.isArray(x) && !isNumericArray(x)) {
    throw new TypeError(`constant: ragged array: expected ${length} elements${place}, got ${describe(x)}`);
  }
  if (x.length !== length) {
    throw new TypeError(`constant: ragged array: expected ${length} elements${place}, got ${x.length}`);
  }
  for (let i = 0; i < length; i++) flattenInto(out, x[i], shape, [...at, i]);
}

/**
 * A float tensor of the given numbers.
 *
 * `tf.scalar(0.1)` is rounded to single precision before any backend sees it; this is not, on a backend that stores
 * doubles and inside a traced function (whose constants are rounded only by the backend that runs it, if at all).
 *
 * @param values A number, numbers in nested arrays, or a typed array. NaN and infinities are allowed.
 * @param shape Default: that of `values`.
 * @throws TypeError for ragged arrays, for anything that is not a number, and for a shape of another size.
 */
export function constant(values: number): tf.Scalar;
export function constant(values: NestedNumbers | NumericArray, shape?: readonly number[]): tf.Tensor;
export function constant(values: NestedNumbers | NumericArray, shape?: readonly number[]): tf.Tensor {
  let numbers: ArrayLike<number>;
  let given: number[];
  if (isNumericArray(values)) {
    numbers = values;
    given = [values.length];
  } else {
    const flat: number[] = [];
    given = nestedShape(values);
    flattenInto(flat, values, given, []);
    numbers = flat;
  }
  const wanted = shape === undefined ? given : [...shape];
  const size = wanted.reduce((n, m) => n * m, 1);
  if (size !== numbers.length || !wanted.every((n) => Number.isInteger(n) && n >= 0)) {
    throw new TypeError(`constant: shape [${wanted.join(', ')}] does not fit ${numbers.length} value(s)`);
  }
  const backend = tf.backend();
  const keepsDoubles = storesDoubles(backend) || TRACE in backend;
  // A copy: the backend keeps the array it is given. (tfjs's types do not know of backends that take doubles.)
  const stored = keepsDoubles ? (Float64Array.from(numbers) as unknown as Float32Array) : Float32Array.from(numbers);
  return tf.engine().makeTensor(stored, wanted, 'float32');
}
