/**
 * Operations that are several, one after the other: the product that tfjs fuses with a bias and an activation, and sums.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Call, EagerKernel } from './eager.js';
import { ELEMENTWISE, elementwiseKernel } from './elementwise.js';

const kernel = (name: string): EagerKernel => elementwiseKernel(name, ELEMENTWISE.get(name) ?? []);

const add = kernel('Add');

const ACTIVATIONS: ReadonlyMap<unknown, EagerKernel> = new Map([
  ['relu', kernel('Relu')],
  ['relu6', kernel('Relu6')],
  ['elu', kernel('Elu')],
  ['sigmoid', kernel('Sigmoid')],
]);

/** A sum of any number of tensors of one shape, from left to right. */
export const addN: EagerKernel = ({ backend, inputs }) => {
  const [first, ...rest] = Object.values(inputs);
  if (first === undefined || rest.length === 0) return undefined;
  let sum: tf.TensorInfo | undefined;
  for (const x of rest) {
    const before: tf.TensorInfo | undefined = sum;
    sum = add({ backend, inputs: { a: before ?? first, b: x }, attrs: {} });
    if (before !== undefined) backend.disposeData(before.dataId);
    if (sum === undefined) return undefined;
  }
  return sum;
};

/** `_FusedMatMul` by that kernel for products. */
export const fusedProduct =
  (product: EagerKernel): EagerKernel =>
  ({ backend, inputs, attrs }: Call): tf.TensorInfo | undefined => {
    const { a, b, bias } = inputs;
    const activation = attrs.activation ?? 'linear';
    const activate = ACTIVATIONS.get(activation);
    if (activate === undefined && activation !== 'linear') return undefined;
    let result = product({ backend, inputs: { a, b }, attrs });
    const then = (next: EagerKernel, operands: Call['inputs']): void => {
      const before = result;
      result = next({ backend, inputs: operands, attrs: {} });
      if (before !== undefined) backend.disposeData(before.dataId);
    };
    if (result !== undefined && bias != null) then(add, { a: result, b: bias });
    if (result !== undefined && activate !== undefined) then(activate, { x: result });
    return result;
  };
