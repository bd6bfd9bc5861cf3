/**
 * A loss on the states that a solve passes on its way, so that the way is short: fixed-point correction.
 *
 * S. Bai, Z. Geng, Y. Savani, J. Z. Kolter, Deep Equilibrium Optical Flow Estimation, CVPR 2022.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import { numberThat, oneOf, parseOptions, z } from '../../src/core/options.js';
import type { Tensor, Tree } from '../../src/core/tree.js';

export interface CorrectionOptions {
  /**
   * The weight of state k of n, counted from 1: 'exponential' `gamma^(n - k)`, 'linear' `1 - gamma (n - k) / n`,
   * 'constant' gamma; the last
   * state always weighs 1. Default 'exponential'.
   */
  readonly weights?: 'exponential' | 'linear' | 'constant';
  /** In [0, 1]. Default 0.8, and 0.9 for 'linear'. */
  readonly gamma?: number;
}

const OPTIONS = z.strictObject({
  weights: oneOf('exponential', 'linear', 'constant').default('exponential'),
  gamma: numberThat((x) => x >= 0 && x <= 1, 'a number from 0 to 1').optional(),
});

const WEIGHTS = {
  exponential: (gamma: number, k: number, n: number) => gamma ** (n - k),
  linear: (gamma: number, k: number, n: number) => 1 - (gamma * (n - k)) / n,
  constant: (gamma: number, k: number, n: number) => (k === n ? 1 : gamma),
} as const;

/**
 * `sum_k weight_k criterion(state_k)` over the states of a deep equilibrium layer with the option `states`:
 * `st.solution.states`.
 *
 * @param criterion The loss of one state, a scalar.
 */
export function fixedPointCorrection<Z extends Tree>(
  criterion: (state: Z) => Tensor,
  states: readonly Z[],
  options: CorrectionOptions = {},
): tf.Scalar {
  const { weights, gamma = weights === 'linear' ? 0.9 : 0.8 } = parseOptions(OPTIONS, options, 'fixedPointCorrection');
  if (states.length === 0) {
    throw new TypeError('fixedPointCorrection: there are no states; give the layer the option "states"');
  }
  return tf.tidy(() => {
    const terms = states.map((state, i) =>
      tf.mul(criterion(state), constant(WEIGHTS[weights](gamma, i + 1, states.length))),
    );
    return tf.addN(terms) as tf.Scalar;
  });
}
