/**
 * Rules that scale every element by the size of its own past gradients. Definitions and defaults of Optimisers.jl.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { switched, fraction, learningRate, nonNegative, optionsOf, pairOf, positive, type Rate } from './arguments.js';
import { average, normalised } from './averages.js';
import type { Optimiser } from './optimiser.js';
import { optimiserFromRule } from './rule.js';

export interface RMSPropOptions {
  /** Decay of the average of squared gradients. Default 0.9, as in Optimisers.jl; PyTorch calls it alpha and has 0.99. */
  readonly rho?: number | undefined;
  /** Default 1e-8, as in both. */
  readonly epsilon?: number | undefined;
  /** Divide by the deviation instead of the root mean square: the mean gradient is averaged too. Default false. */
  readonly centred?: boolean | undefined;
}

const rmsPropOptions = { rho: fraction(0.9), epsilon: nonNegative(1e-8), centred: switched(false) };

/**
 * RMSProp (Tieleman and Hinton, 2012): `q = rho q + (1 - rho) g²`, `x - rate g / (sqrt(q) + epsilon)`.
 *
 * `rmsProp(1e-3, { rho: 0.99 })` is exactly PyTorch's `RMSprop(lr=1e-3)`: the formula is the same and only the default
 * decay differs.
 *
 * @param rate Default 0.001.
 */
export function rmsProp(rate: Rate = 0.001, options: RMSPropOptions = {}): Optimiser {
  const { rho, epsilon, centred } = optionsOf(rmsPropOptions, options, 'rmsProp');
  const slots: Record<string, number> = centred ? { square: 0, mean: 0 } : { square: 0 };
  return optimiserFromRule({
    name: 'rmsProp',
    shown: [rate, { rho, epsilon, ...(centred ? { centred } : {}) }],
    rate: learningRate(rate, 'rmsProp'),
    slots,
    counters: {},
    advance: (_, eta) => [{}, { eta, epsilon: constant(epsilon) }],
    step: (g, old, c) => {
      const square = average(rho, old.square, tf.square(g));
      if (!centred) return [normalised(tf.mul(c.eta, g), square, c.epsilon), { square }];
      const mean = average(rho, old.mean, g);
      // Rounding must not make a variance negative: its root would be NaN.
      const variance = tf.relu(tf.sub(square, tf.square(mean)));
      return [normalised(tf.mul(c.eta, g), variance, c.epsilon), { square, mean }];
    },
  });
}

export interface AdaGradOptions {
  /** Added to the denominator. Default 1e-8. */
  readonly epsilon?: number | undefined;
}

/**
 * AdaGrad (Duchi, Hazan and Singer, 2011): `s = s + g²`, `x - rate g / (sqrt(s) + epsilon)`, s starting at epsilon.
 *
 * @param rate Default 0.1.
 */
export function adaGrad(rate: Rate = 0.1, options: AdaGradOptions = {}): Optimiser {
  const { epsilon } = optionsOf({ epsilon: nonNegative(1e-8) }, options, 'adaGrad');
  return optimiserFromRule({
    name: 'adaGrad',
    shown: [rate, { epsilon }],
    rate: learningRate(rate, 'adaGrad'),
    slots: { square: epsilon },
    counters: {},
    advance: (_, eta) => [{}, { eta, epsilon: constant(epsilon) }],
    step: (g, old, c) => {
      const square = tf.add(old.square, tf.square(g));
      return [normalised(tf.mul(c.eta, g), square, c.epsilon), { square }];
    },
  });
}

export interface AdaDeltaOptions extends AdaGradOptions {
  /** Decay of both averages. Default 0.9. */
  readonly rho?: number | undefined;
}

/**
 * AdaDelta (Zeiler, 2012), which needs no rate: `q = rho q + (1 - rho) g²`,
 * `dx = g sqrt(d + epsilon) / sqrt(q + epsilon)`, `d = rho d + (1 - rho) dx²`, `x - dx`.
 */
export function adaDelta(options: AdaDeltaOptions = {}): Optimiser {
  const { rho, epsilon } = optionsOf({ rho: fraction(0.9), epsilon: positive(1e-8) }, options, 'adaDelta');
  return optimiserFromRule({
    name: 'adaDelta',
    shown: [{ rho, epsilon }],
    rate: null,
    slots: { square: 0, change: 0 },
    counters: {},
    advance: () => [{}, { epsilon: constant(epsilon) }],
    step: (g, old, c) => {
      const square = average(rho, old.square, tf.square(g));
      const ratio = tf.div(tf.add(old.change, c.epsilon), tf.add(square, c.epsilon));
      const dx = tf.mul(g, tf.sqrt(ratio));
      return [dx, { square, change: average(rho, old.change, tf.square(dx)) }];
    },
  });
}

export interface RpropOptions {
  /** The factors of an element's step when its gradient changed sign and when it kept it. Default [0.5, 1.2]. */
  readonly ell?: readonly [number, number] | undefined;
  /** The smallest and the largest step. Default [1e-6, 50]. */
  readonly gamma?: readonly [number, number] | undefined;
}

const rpropOptions = { ell: pairOf('positive', [0.5, 1.2]), gamma: pairOf('positive', [1e-6, 50]) };

/**
 * Rprop (Riedmiller and Braun, 1993): only the signs of the gradient count, each element has a step size of its own. For
 * full batches.
 *
 * @param rate The step size that every element starts with; being only a start, it has no schedule. Default 0.001.
 */
export function rprop(rate = 0.001, options: RpropOptions = {}): Optimiser {
  const { ell, gamma } = optionsOf(rpropOptions, options, 'rprop');
  const [shrink, grow] = ell;
  const [smallest, largest] = gamma;
  return optimiserFromRule({
    name: 'rprop',
    shown: [rate, { ell, gamma }],
    rate: null,
    slots: { gradient: 0, size: learningRate(rate, 'rprop') },
    counters: {},
    advance: () => [{}, { zero: constant(0) }],
    step: (g, old, { zero }) => {
      const agreement = tf.mul(old.gradient, g);
      const turned = tf.less(agreement, zero);
      const smaller = tf.maximum(tf.mul(old.size, constant(shrink)), constant(smallest));
      const larger = tf.minimum(tf.mul(old.size, constant(grow)), constant(largest));
      const size = tf.where(turned, smaller, tf.where(tf.greater(agreement, zero), larger, old.size));
      // After a change of sign the element rests for a step, and its next sign counts as no change.
      const gradient = tf.where(turned, tf.zerosLike(g), g);
      return [tf.mul(size, tf.sign(gradient)), { gradient, size }];
    },
  });
}
