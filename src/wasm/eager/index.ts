/**
 * The kernels of the backend for single operations. Whether an operation is computed by one of these depends on its dtypes,
 * shapes and attributes alone, never on how often it ran: the same call gives the same bits every time.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { CHOICES } from './choosing.js';
import { COMPLEX } from './complex.js';
import { ELEMENTWISE, elementwiseKernel } from './elementwise.js';
import type { EagerKernel, ManyKernel } from './eager.js';
import { einsum } from './einsum.js';
import { FILLINGS } from './filling.js';
import { addN, fusedProduct } from './fused.js';
import { JOININGS } from './joining.js';
import { MOVEMENTS } from './movement.js';
import { PLACINGS } from './placing.js';
import { product } from './product.js';
import { REDUCTIONS } from './reduction.js';
import { SCANS } from './scans.js';
import { SHARING } from './sharing.js';
import { SPACES } from './spaces.js';

const KERNELS: ReadonlyMap<string, EagerKernel | ManyKernel> = new Map<string, EagerKernel | ManyKernel>([
  ...[...ELEMENTWISE].map(([name, operands]): [string, EagerKernel] => [name, elementwiseKernel(name, operands)]),
  ...Object.entries(REDUCTIONS),
  ...Object.entries(MOVEMENTS),
  ...Object.entries(JOININGS),
  ...Object.entries(FILLINGS),
  ...Object.entries(CHOICES),
  ...Object.entries(SCANS),
  ...Object.entries(SHARING),
  ...Object.entries(PLACINGS),
  ...Object.entries(COMPLEX),
  ...Object.entries(SPACES),
  ['BatchMatMul', product],
  ['_FusedMatMul', fusedProduct(product)],
  ['AddN', addN],
  ['Einsum', einsum],
]);

/** The kernel of that name as tfjs calls it: ours where it takes the operands, the given one otherwise. */
export function eagerKernel(name: string, otherwise: tf.KernelFunc): tf.KernelFunc {
  const own = KERNELS.get(name);
  if (own === undefined) return otherwise;
  return (args) => {
    const backend = args.backend as unknown as NullclineBackend;
    const inputs = args.inputs as Readonly<Record<string, tf.TensorInfo | undefined>>;
    // While a kernel holds views of the memory nothing may be allocated there.
    const result = backend.hosting ? undefined : own({ backend, inputs, attrs: args.attrs ?? {} });
    return result ?? otherwise(args);
  };
}
