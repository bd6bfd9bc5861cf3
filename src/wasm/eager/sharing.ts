/**
 * Operations whose result is another name for the same numbers: a reference, of another shape or in a wider dtype.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import type { Conversion } from '../ties.js';
import { elementwiseTerm, kindOf } from '../elementwise.js';
import type { Kind } from '../emit/access.js';
import { loadLeaf } from '../emit/terms.js';
import { CodeCache, lanesOf, sizeOf, type EagerKernel } from './eager.js';
import { elementwiseKernel, writeFlat } from './elementwise.js';
import { link, type Code } from './link.js';

/** Another reference to the same buffer. */
function reference(backend: NullclineBackend, { dataId, dtype }: tf.TensorInfo, shape: number[]): tf.TensorInfo {
  backend.incRef(dataId);
  return { dataId, shape, dtype };
}

const identity: EagerKernel = ({ backend, inputs: { x } }) =>
  x === undefined ? undefined : reference(backend, x, x.shape);

const reshape: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (x === undefined || kindOf(x.dtype) === undefined) return undefined;
  const shape = attrs.shape as number[];
  if (sizeOf(shape) !== sizeOf(x.shape)) return undefined; // or one length is left to be inferred
  return reference(backend, x, shape);
};

const conversions = new CodeCache<string, Conversion>();
const codes = new CodeCache<string, Code>();

/** Code that converts integers or truth values. It is looked up when it runs: by then memory may be another. */
function conversion(backend: NullclineBackend, key: string, from: Kind, dtype: tf.DataType): Conversion {
  const L = lanesOf(backend);
  const term = elementwiseTerm('Cast', [loadLeaf(from, 0)], { dtype });
  if (term === undefined) throw new Error(`there is no conversion of ${from} to ${dtype}`);
  const make = (): Code => link(backend.heap, 3, (b) => { writeFlat(b, L, term, [from], [false]); }); // prettier-ignore
  return (to, at, length) => {
    codes.get(backend, key, make)(to, at, Math.ceil(length / L.count));
  };
}

const narrowing = elementwiseKernel('Cast', ['x']);

/** Every integer and truth value is a float too: nothing need be computed before somebody reads it. */
const cast: EagerKernel = (call) => {
  const { backend, inputs, attrs } = call;
  const { x } = inputs;
  if (x === undefined) return undefined;
  const dtype = attrs.dtype as tf.DataType;
  if (x.dtype === dtype) return reference(backend, x, x.shape);
  const isWidening = dtype === 'float32' ? x.dtype === 'int32' || x.dtype === 'bool' : dtype === 'int32' && x.dtype === 'bool'; // prettier-ignore
  if (!isWidening || sizeOf(x.shape) === 0) return narrowing(call);
  const from = x.dtype === 'int32' ? 'int' : 'bool';
  const key = dtype === 'int32' ? 'integers' : from;
  return backend.widened(
    x,
    dtype,
    conversions.get(backend, key, () => conversion(backend, key, from, dtype)),
  );
};

export const SHARING: Readonly<Record<string, EagerKernel>> = { Identity: identity, Reshape: reshape, Cast: cast };
