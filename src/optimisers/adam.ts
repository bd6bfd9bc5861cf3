/**
 * Adam and its relatives: running averages of the gradient and of its square, each divided by what it has gathered of its
 * weight. Definitions and defaults of Optimisers.jl, except where said.
 *
 * The corrections are gathered into two scalars, `rate sqrt(c2) / c1` and `epsilon sqrt(c2)` with `c = 1 - beta ** t`, so that
 * the step `rate (m / c1) / (sqrt(v / c2) + epsilon)` takes four operations on the parameters instead of six.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import type { Tensor } from '../core/tree.js';
import { switched, learningRate, nonNegative, optionsOf, pairOf, type Rate } from './arguments.js';
import { average, gathered, normalised } from './averages.js';
import type { Optimiser } from './optimiser.js';
import { optimiserFromRule, type Rule } from './rule.js';

export interface AdamOptions {
  /** Decay of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  readonly beta?: readonly [number, number] | undefined;
  /** Added to the denominator, after the root. Default 1e-8 (AdaBelief 1e-16). */
  readonly epsilon?: number | undefined;
}

const adamOptions = { beta: pairOf('fraction', [0.9, 0.999]), epsilon: nonNegative(1e-8) };

type AdamRule = Rule<'m' | 'v', 'c1' | 'c2', 'size' | 'epsilon'>;

/** What Adam, AdamW and AdaBelief share: everything but the step itself. */
const corrected = (
  [beta1, beta2]: readonly [number, number],
  epsilon: number,
): Pick<AdamRule, 'slots' | 'counters' | 'advance'> => ({
  slots: { m: 0, v: 0 },
  counters: { c1: 0, c2: 0 },
  advance: (old, eta) => {
    const c1 = gathered(beta1, old.c1);
    const c2 = gathered(beta2, old.c2);
    const root = tf.sqrt(c2);
    const size = tf.div(tf.mul(eta, root), c1);
    return [
      { c1, c2 },
      { size, epsilon: tf.mul(constant(epsilon), root) },
    ];
  },
});

/**
 * Adam (Kingma and Ba, 2015): `x - rate m̂ / (sqrt(v̂) + epsilon)`, epsilon outside the root as in PyTorch.
 *
 * @param rate Default 0.001.
 */
export function adam(rate: Rate = 0.001, options: AdamOptions = {}): Optimiser {
  const { beta, epsilon } = optionsOf(adamOptions, options, 'adam');
  return optimiserFromRule({
    name: 'adam',
    shown: [rate, { beta, epsilon }],
    rate: learningRate(rate, 'adam'),
    ...corrected(beta, epsilon),
    step: (g, old, c) => {
      const m = average(beta[0], old.m, g);
      const v = average(beta[1], old.v, tf.square(g));
      return [normalised(tf.mul(c.size, m), v, c.epsilon), { m, v }];
    },
  });
}

export interface AdamWOptions extends AdamOptions {
  /** Weight decay. Default 0, as in Optimisers.jl; PyTorch has 0.01. */
  readonly lambda?: number | undefined;
  /**
   * True, the default: the decay is multiplied by the rate, `x - rate (dx + lambda x)`, as in PyTorch. False:
   * `x - rate dx - lambda x`, nearer to the paper.
   */
  readonly couple?: boolean | undefined;
}

/**
 * AdamW (Loshchilov and Hutter, 2019): Adam with weight decay outside of the averages.
 *
 * @param rate Default 0.001.
 */
export function adamW(rate: Rate = 0.001, options: AdamWOptions = {}): Optimiser {
  const schema = { ...adamOptions, lambda: nonNegative(0), couple: switched(true) };
  const { beta, epsilon, lambda, couple } = optionsOf(schema, options, 'adamW');
  const shared = corrected(beta, epsilon);
  return optimiserFromRule({
    name: 'adamW',
    shown: [rate, { beta, epsilon, lambda, couple }],
    rate: learningRate(rate, 'adamW'),
    slots: shared.slots,
    counters: shared.counters,
    advance: (old, eta) => {
      const [counters, coefficients] = shared.advance(old, eta);
      const decay = couple ? tf.mul(eta, constant(lambda)) : constant(lambda);
      return [counters, { ...coefficients, decay }];
    },
    step: (g, old, c, x) => {
      const m = average(beta[0], old.m, g);
      const v = average(beta[1], old.v, tf.square(g));
      const dx = normalised(tf.mul(c.size, m), v, c.epsilon);
      return [lambda === 0 ? dx : tf.add(dx, tf.mul(c.decay, x)), { m, v }];
    },
  });
}

/**
 * AdaBelief (Zhuang et al., 2020): the second average is of the gradient's squared distance from its own average,
 * `s = beta2 s + (1 - beta2) (g - m)² + epsilon`.
 *
 * @param rate Default 0.001.
 */
export function adaBelief(rate: Rate = 0.001, options: AdamOptions = {}): Optimiser {
  const { beta, epsilon } = optionsOf({ ...adamOptions, epsilon: nonNegative(1e-16) }, options, 'adaBelief');
  return optimiserFromRule({
    name: 'adaBelief',
    shown: [rate, { beta, epsilon }],
    rate: learningRate(rate, 'adaBelief'),
    ...corrected(beta, epsilon),
    step: (g, old, c) => {
      const m = average(beta[0], old.m, g);
      const v = tf.add(average(beta[1], old.v, tf.square(tf.sub(g, m))), constant(epsilon));
      return [normalised(tf.mul(c.size, m), v, c.epsilon), { m, v }];
    },
  });
}

/**
 * NAdam (Dozat, 2016), Adam with Nesterov's look ahead:
 * `x - rate (beta1 m / (1 - beta1^(t+1)) + (1 - beta1) g / (1 - beta1^t)) / (sqrt(beta2 v / (1 - beta2^t)) + epsilon)`.
 * This is Optimisers.jl's form; PyTorch's adds a momentum schedule.
 *
 * @param rate Default 0.001.
 */
export function nAdam(rate: Rate = 0.001, options: AdamOptions = {}): Optimiser {
  const { beta, epsilon } = optionsOf(adamOptions, options, 'nAdam');
  const [beta1, beta2] = beta;
  return optimiserFromRule({
    name: 'nAdam',
    shown: [rate, { beta, epsilon }],
    rate: learningRate(rate, 'nAdam'),
    slots: { m: 0, v: 0 },
    counters: { c1: 0, c2: 0 },
    advance: (old, eta) => {
      const c1 = gathered(beta1, old.c1);
      const c2 = gathered(beta2, old.c2);
      const ahead = tf.div(tf.mul(eta, constant(beta1)), gathered(beta1, c1));
      const now = tf.div(tf.mul(eta, constant(1 - beta1)), c1);
      return [
        { c1, c2 },
        { ahead, now, scale: tf.div(constant(beta2), c2), epsilon: constant(epsilon) },
      ];
    },
    step: (g, old, c) => {
      const m = average(beta1, old.m, g);
      const v = average(beta2, old.v, tf.square(g));
      const direction = tf.add(tf.mul(c.ahead, m), tf.mul(c.now, g));
      return [normalised(direction, tf.mul(c.scale, v), c.epsilon), { m, v }];
    },
  });
}

/**
 * RAdam (Liu et al., 2020): Adam whose step is held back while the second average is young, and is plain momentum before
 * its variance exists (length of the average at most 4).
 *
 * @param rate Default 0.001.
 */
export function rAdam(rate: Rate = 0.001, options: AdamOptions = {}): Optimiser {
  const { beta, epsilon } = optionsOf(adamOptions, options, 'rAdam');
  const [beta1, beta2] = beta;
  const limit = 2 / (1 - beta2) - 1;
  return optimiserFromRule({
    name: 'rAdam',
    shown: [rate, { beta, epsilon }],
    rate: learningRate(rate, 'rAdam'),
    slots: { m: 0, v: 0 },
    counters: { c1: 0, c2: 0, t: 0 },
    advance: (old, eta) => {
      const c1 = gathered(beta1, old.c1);
      const c2 = gathered(beta2, old.c2);
      const t = tf.add(old.t, constant(1));
      const length = rAdamLength(limit, t, c2);
      const rectified = tf.greater(length, constant(4));
      const safe = tf.maximum(length, constant(4.5)); // where it is not used, its root must not be NaN
      const numerator = tf.mul(tf.mul(tf.sub(safe, constant(4)), tf.sub(safe, constant(2))), constant(limit));
      const denominator = tf.mul(constant((limit - 4) * (limit - 2)), safe);
      const factor = tf.where(rectified, tf.sqrt(tf.div(numerator, denominator)), constant(1));
      // The denominator sqrt(scale v) + rest is Adam's where rectified, and 1 before.
      const coefficients = {
        size: tf.div(tf.mul(eta, factor), c1),
        scale: tf.where(rectified, tf.div(constant(1), c2), constant(0)),
        rest: tf.where(rectified, constant(epsilon), constant(1)),
      };
      return [{ c1, c2, t }, coefficients];
    },
    step: (g, old, c) => {
      const m = average(beta1, old.m, g);
      const v = average(beta2, old.v, tf.square(g));
      return [normalised(tf.mul(c.size, m), tf.mul(c.scale, v), c.rest), { m, v }];
    },
  });
}

/** The length of the average: `limit - 2 t beta2^t / (1 - beta2^t)`, from c2 = 1 - beta2^t. */
const rAdamLength = (limit: number, t: Tensor, c2: Tensor): Tensor =>
  tf.sub(constant(limit), tf.div(tf.mul(tf.mul(constant(2), t), tf.sub(constant(1), c2)), c2));

/**
 * AdaMax (Kingma and Ba, 2015): Adam with the largest gradient, slowly forgotten, in place of the root mean square:
 * `u = max(beta2 u, |g|)`, `x - (rate / (1 - beta1^t)) m / (u + epsilon)`.
 *
 * @param rate Default 0.001.
 */
export function adaMax(rate: Rate = 0.001, options: AdamOptions = {}): Optimiser {
  const { beta, epsilon } = optionsOf(adamOptions, options, 'adaMax');
  return optimiserFromRule({
    name: 'adaMax',
    shown: [rate, { beta, epsilon }],
    rate: learningRate(rate, 'adaMax'),
    slots: { m: 0, u: 0 },
    counters: { c1: 0 },
    advance: (old, eta) => {
      const c1 = gathered(beta[0], old.c1);
      return [{ c1 }, { size: tf.div(eta, c1), epsilon: constant(epsilon) }];
    },
    step: (g, old, c) => {
      const m = average(beta[0], old.m, g);
      const u = tf.maximum(tf.mul(constant(beta[1]), old.u), tf.abs(g));
      return [tf.div(tf.mul(c.size, m), tf.add(u, c.epsilon)), { m, u }];
    },
  });
}

/**
 * AMSGrad (Reddi, Kale and Kumar, 2018): the second average never shrinks. As in Optimisers.jl the averages start at
 * epsilon and are not corrected (PyTorch's `amsgrad=True` corrects them).
 *
 * @param rate Default 0.001.
 */
export function amsGrad(rate: Rate = 0.001, options: AdamOptions = {}): Optimiser {
  const { beta, epsilon } = optionsOf(adamOptions, options, 'amsGrad');
  return optimiserFromRule({
    name: 'amsGrad',
    shown: [rate, { beta, epsilon }],
    rate: learningRate(rate, 'amsGrad'),
    slots: { m: epsilon, v: epsilon, largest: epsilon },
    counters: {},
    advance: (_, eta) => [{}, { eta, epsilon: constant(epsilon) }],
    step: (g, old, c) => {
      const m = average(beta[0], old.m, g);
      const v = average(beta[1], old.v, tf.square(g));
      const largest = tf.maximum(old.largest, v);
      return [normalised(tf.mul(c.eta, m), largest, c.epsilon), { m, v, largest }];
    },
  });
}

export interface LionOptions {
  /** Weight of the momentum in the step, and its decay. Default [0.9, 0.99]. */
  readonly beta?: readonly [number, number] | undefined;
}

/**
 * Lion (Chen et al., 2023): `x - rate sign(beta1 m + (1 - beta1) g)`, then `m = beta2 m + (1 - beta2) g`.
 *
 * The paper's definition and defaults. Optimisers.jl 0.4 differs: it updates the momentum with the weights exchanged,
 * `beta2 g + (1 - beta2) m`, which forgets the past at once.
 *
 * @param rate Default 1e-4.
 */
export function lion(rate: Rate = 1e-4, options: LionOptions = {}): Optimiser {
  const { beta } = optionsOf({ beta: pairOf('fraction', [0.9, 0.99]) }, options, 'lion');
  return optimiserFromRule({
    name: 'lion',
    shown: [rate, { beta }],
    rate: learningRate(rate, 'lion'),
    slots: { m: 0 },
    counters: {},
    advance: (_, eta) => [{}, { eta }],
    step: (g, old, { eta }) => [tf.mul(eta, tf.sign(average(beta[0], old.m, g))), { m: average(beta[1], old.m, g) }],
  });
}
