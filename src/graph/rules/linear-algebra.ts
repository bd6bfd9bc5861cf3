/**
 * Matrix products and contractions.
 */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf } from '../graph.js';
import type { Rule, RuleTable } from './rule.js';
import { kernel, reshaped, through, unbroadcast, type Inputs, type Tensor } from './tools.js';

const product = (a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor =>
  kernel('BatchMatMul', { a, b }, { transposeA, transposeB });

type Factor = 'a' | 'b' | 'dy';

/** One product of two of (a, b, dy), each with its transposition. */
type Plan = readonly [left: Factor, transposed: boolean, right: Factor, transposed: boolean];

/** For y = op(a) op(b), by the transpositions of a and b: what gives da and what gives db. */
const PLANS: Readonly<Record<string, { da: Plan; db: Plan }>> = {
  'false,false': { da: ['dy', false, 'b', true], db: ['a', true, 'dy', false] },
  'false,true': { da: ['dy', false, 'b', false], db: ['dy', true, 'a', false] },
  'true,false': { da: ['b', false, 'dy', true], db: ['a', false, 'dy', false] },
  'true,true': { da: ['b', true, 'dy', true], db: ['dy', true, 'a', true] },
};

/** All axes but the last in one. */
const asMatrix = (x: Tensor): Tensor => reshaped(x, [sizeOf(x.shape.slice(0, -1)), x.shape[x.rank - 1]]);

const matMul: Rule = ({ inputs: { a, b }, dys: [dy], attrs }) => {
  const transposeA = attrs.transposeA === true;
  const transposeB = attrs.transposeB === true;
  const plan = PLANS[`${transposeA},${transposeB}`];
  const follow = ([left, leftT, right, rightT]: Plan, factors: Readonly<Record<Factor, Tensor>>): Tensor =>
    product(factors[left], factors[right], leftT, rightT);
  // One matrix for a whole batch: its cotangent is one long product, not a sum over a batch of products.
  const shared = sizeOf(b.shape.slice(0, -2)) === 1 && !transposeA && dy.rank > 2;
  return {
    a: () => unbroadcast(follow(plan.da, { a, b, dy }), a.shape),
    b: () =>
      shared
        ? reshaped(follow(plan.db, { a: asMatrix(a), b, dy: asMatrix(dy) }), b.shape)
        : unbroadcast(follow(plan.db, { a, b, dy }), b.shape),
  };
};

/** The function behind each activation name of tfjs's fused kernels. */
export function activate(
  x: Tensor,
  { activation, leakyreluAlpha }: Readonly<Record<string, unknown>>,
  inputs: Inputs,
): Tensor {
  switch (activation) {
    case undefined:
    case null:
    case 'linear':
      return x;
    case 'relu':
      return kernel('Relu', { x });
    case 'relu6':
      return kernel('Relu6', { x });
    case 'elu':
      return kernel('Elu', { x });
    case 'sigmoid':
      return kernel('Sigmoid', { x });
    case 'leakyrelu':
      return kernel('LeakyRelu', { x }, { alpha: leakyreluAlpha ?? 0.2 });
    case 'prelu':
      return kernel('Prelu', { x, alpha: inputs.preluActivationWeights });
    default:
      throw new Error(`unknown fused activation ${String(activation)}`);
  }
}

export const LINEAR_ALGEBRA: RuleTable = {
  BatchMatMul: matMul,
  _FusedMatMul: through((inputs, attrs) => {
    const { a, b, bias } = inputs as { a: Tensor; b: Tensor; bias?: Tensor };
    const y = product(a, b, attrs.transposeA === true, attrs.transposeB === true);
    return activate(bias === undefined ? y : tf.add(y, bias), attrs, inputs);
  }),
  Diag: ({ inputs: { x }, dys: [dy] }) => ({
    x: () => reshaped(tf.stridedSlice(tf.reshape(dy, [-1]), [0], [dy.size], [x.size + 1]), x.shape),
  }),
};
