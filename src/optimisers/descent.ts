/**
 * Descent with one rate for all elements, plain or with momentum. Definitions and defaults of Optimisers.jl.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { fraction, learningRate, optionsOf, type Rate } from './arguments.js';
import type { Optimiser } from './optimiser.js';
import { optimiserFromRule } from './rule.js';

/**
 * Gradient descent: `x - rate g`.
 *
 * @param rate Default 0.1.
 */
export function descent(rate: Rate = 0.1): Optimiser {
  return optimiserFromRule({
    name: 'descent',
    shown: [rate],
    rate: learningRate(rate, 'descent'),
    slots: {},
    counters: {},
    advance: (_, eta) => [{}, { eta }],
    step: (g, _, { eta }) => [tf.mul(eta, g), {}],
  });
}

export interface MomentumOptions {
  /** How much of the velocity is kept. Default 0.9. */
  readonly rho?: number | undefined;
}

const momentumOptions = { rho: fraction(0.9) };

/**
 * Descent with momentum: `v = rho v + rate g`, `x - v`. The rate is inside the velocity, as in Optimisers.jl; PyTorch's SGD
 * multiplies by it outside, which is the same as long as the rate does not change.
 *
 * @param rate Default 0.01.
 */
export function momentum(rate: Rate = 0.01, options: MomentumOptions = {}): Optimiser {
  const { rho } = optionsOf(momentumOptions, options, 'momentum');
  return optimiserFromRule({
    name: 'momentum',
    shown: [rate, { rho }],
    rate: learningRate(rate, 'momentum'),
    slots: { velocity: 0 },
    counters: {},
    advance: (_, eta) => [{}, { eta }],
    step: (g, { velocity: old }, { eta }) => {
      const velocity = tf.add(tf.mul(constant(rho), old), tf.mul(eta, g));
      return [velocity, { velocity }];
    },
  });
}

/**
 * Nesterov's momentum: `v = rho v + rate g`, `x - (rho v + rate g)` with the new v: the gradient's own step is taken after the
 * velocity has carried the parameters along.
 *
 * @param rate Default 0.001.
 */
export function nesterov(rate: Rate = 0.001, options: MomentumOptions = {}): Optimiser {
  const { rho } = optionsOf(momentumOptions, options, 'nesterov');
  return optimiserFromRule({
    name: 'nesterov',
    shown: [rate, { rho }],
    rate: learningRate(rate, 'nesterov'),
    slots: { velocity: 0 },
    counters: {},
    advance: (_, eta) => [{}, { eta }],
    step: (g, { velocity: old }, { eta }) => {
      const own = tf.mul(eta, g);
      const velocity = tf.add(tf.mul(constant(rho), old), own);
      return [tf.add(tf.mul(constant(rho), velocity), own), { velocity }];
    },
  });
}
