/**
 * The kernels of the backend for single operations. Whether an operation is computed by one of these depends on its dtypes,
 * shapes and attributes alone, never on how often it ran: the same call gives the same bits every time.
 */
import type * as tf from '@tensorflow/tfjs';
import type { NullclineBackend } from '../backend.js';
import { ELEMENTWISE, elementwiseKernel } from './elementwise.js';
import type { EagerKernel } from './eager.js';
import { fusedProduct } from './fused.js';
import { MOVEMENTS } from './movement.js';
import { product } from './product.js';
import { REDUCTIONS } from './reduction.js';

const KERNELS: ReadonlyMap<string, EagerKernel> = new Map<string, EagerKernel>([
  ...[...ELEMENTWISE].map(([name, operands]): [string, EagerKernel] => [name, elementwiseKernel(name, operands)]),
  ...Object.entries(REDUCTIONS),
  ...Object.entries(MOVEMENTS),
  ['BatchMatMul', product],
  ['_FusedMatMul', fusedProduct(product)],
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
