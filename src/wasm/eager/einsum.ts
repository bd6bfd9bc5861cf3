/**
 * `einsum` of moderate size: the kernels for sums, transpositions and products, one after the other, as planned once for
 * an equation and shapes.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { einsumPlan, type EinsumPlan } from '../../graph/einsum.js';
import { sameShape, type EagerKernel } from './eager.js';
import { MOVEMENTS } from './movement.js';
import { product } from './product.js';
import { REDUCTIONS } from './reduction.js';
import { reshaped, Steps } from './steps.js';

interface Known {
  readonly shapes: readonly (readonly number[])[];
  readonly plan: EinsumPlan;
}

/** Plans by equation: few, each with its shapes. */
const plans = new Map<string, Known[]>();
/** Equations and, of each, shapes that are remembered. */
const MOST = 64;

function planOf(equation: string, operands: readonly tf.TensorInfo[]): EinsumPlan {
  let known = plans.get(equation);
  const found = known?.find(
    ({ shapes }) =>
      shapes.length === operands.length && shapes.every((shape, i) => sameShape(shape, operands[i].shape)),
  );
  if (found !== undefined) return found.plan;
  const shapes = operands.map(({ shape }) => shape.slice());
  const plan = einsumPlan(equation, shapes);
  if (known === undefined) {
    if (plans.size >= MOST) plans.clear();
    plans.set(equation, (known = []));
  }
  if (known.length >= MOST) known.length = 0;
  known.push({ shapes, plan });
  return plan;
}

const sum = REDUCTIONS.Sum;
const transpose = MOVEMENTS.Transpose;

export const einsum: EagerKernel = ({ backend, inputs, attrs }) => {
  const operands = Object.values(inputs) as tf.TensorInfo[];
  const plan = planOf(attrs.equation as string, operands);
  const { second } = plan;
  if (second === undefined) return undefined;
  const steps = new Steps(backend);
  const term = (x: tf.TensorInfo, { sum: axes, order, shape }: EinsumPlan['first']): tf.TensorInfo | undefined => {
    const less = axes.length === 0 ? x : steps.run(sum, { x }, { axis: axes });
    const turned = order === null || less === undefined ? less : steps.run(transpose, { x: less }, { perm: order });
    return turned === undefined ? undefined : reshaped(turned, shape);
  };
  const multiplied = (): tf.TensorInfo | undefined => {
    const a = term(operands[0], plan.first);
    const b = a === undefined ? undefined : term(operands[1], second);
    if (b === undefined) return undefined;
    const all = steps.run(product, { a, b }, { transposeA: plan.first.isTransposed, transposeB: second.isTransposed }); // prettier-ignore
    if (all === undefined || plan.order === null) return all;
    return steps.run(transpose, { x: reshaped(all, plan.shape) }, { perm: plan.order });
  };
  let result: tf.TensorInfo | undefined;
  try {
    result = multiplied();
  } finally {
    steps.end(result !== undefined);
  }
  return result === undefined || plan.order !== null ? result : reshaped(result, plan.shape);
};
