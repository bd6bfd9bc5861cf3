/**
 * Kernels that are recorded as other kernels, because tfjs computes them wrongly in some cases or not on every backend.
 *
 * `Einsum` exists on the cpu backend only, materialises the whole product before it sums, and gives a result of the wrong
 * shape when it sums over a label of one operand (`ij,jk->k`): it becomes sums, transpositions and one matrix product.
 * `BatchMatMul` on the cpu backend stretches batch axes only at the front of the shape: any other way is written out.
 */
import * as tf from '@tensorflow/tfjs-core';
import { einsumPlan, type EinsumTerm } from './einsum.js';
import type { Attrs } from './engine.js';
import { sameShape, sizeOf } from './graph.js';

type Tensor = tf.Tensor;
/** Record a kernel of one output as it is. */
export type RecordOne = (name: string, inputs: Readonly<Record<string, Tensor>>, attrs: Attrs) => Tensor;

/** The tensor of this kernel call in terms of other kernels, or undefined to record the kernel itself. */
export type Lowering = (inputs: Readonly<Record<string, Tensor>>, attrs: Attrs, run: RecordOne) => Tensor | undefined;

const shaped = (x: Tensor, shape: readonly number[]): Tensor =>
  sameShape(x.shape, shape) ? x : tf.reshape(x, [...shape]);
const turned = (x: Tensor, order: readonly number[] | null): Tensor => (order === null ? x : tf.transpose(x, [...order])); // prettier-ignore

const einsum: Lowering = (inputs, { equation }) => {
  const operands = Object.values(inputs);
  const { first, second, shape, order } = einsumPlan(equation as string, operands.map((x) => x.shape)); // prettier-ignore
  const term = (x: Tensor, { sum, order: own, shape: matrix }: EinsumTerm): Tensor =>
    shaped(turned(sum.length === 0 ? x : tf.sum(x, [...sum]), own), matrix);
  if (second === undefined) return tf.clone(turned(term(operands[0], first), order));
  const product = tf.matMul(term(operands[0], first), term(operands[1], second), first.isTransposed, second.isTransposed); // prettier-ignore
  return turned(shaped(product, shape), order);
};

const batchMatMul: Lowering = ({ a, b }, attrs, run) => {
  const batchA = a.shape.slice(0, -2);
  const batchB = b.shape.slice(0, -2);
  if (sameShape(batchA, batchB) || sizeOf(batchA) === 1 || sizeOf(batchB) === 1) return undefined;
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(batchA, batchB);
  const whole = (x: Tensor): Tensor => {
    const shape = [...batch, ...x.shape.slice(-2)];
    return sameShape(x.shape, shape) ? x : tf.broadcastTo(x, shape);
  };
  return run('BatchMatMul', { a: whole(a), b: whole(b) }, attrs);
};

export const LOWERINGS: ReadonlyMap<string, Lowering> = new Map([
  ['Einsum', einsum],
  ['BatchMatMul', batchMatMul],
]);
