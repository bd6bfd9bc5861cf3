/**
 * Problems with known solutions. Values of DETEST problems at t = 20 (T. E. Hull, W. H. Enright, B. M. Fellen,
 * A. E. Sedgwick, SIAM J. Numer. Anal. 9, 1972) were computed in quadruple precision by extrapolation.
 */
import * as tf from '@tensorflow/tfjs';
import { odexSolve } from '../support/odex-oracle.js';

export interface ReferenceProblem {
  readonly name: string;
  readonly f: (u: tf.Tensor, p: {}, t: tf.Tensor) => tf.Tensor;
  readonly u0: readonly number[];
  readonly tspan: readonly [number, number];
  readonly exact: readonly number[];
}

const parts = (u: tf.Tensor): tf.Tensor[] => tf.unstack(u);

/** DETEST A3: y' = y cos t, y = e^(sin t). Depends on time. */
const A3: ReferenceProblem['f'] = (u, _, t) => tf.mul(u, tf.cos(t));

/** DETEST B1: two conflicting populations. Nonlinear. */
const B1: ReferenceProblem['f'] = (u) => {
  const [x, y] = parts(u);
  return tf.stack([tf.mul(2, tf.sub(x, tf.mul(x, y))), tf.neg(tf.sub(y, tf.mul(x, y)))]);
};

/** DETEST B2: a linear chemical reaction; eigenvalues 0, -1, -3. */
const B2: ReferenceProblem['f'] = (u) => {
  const [a, b, c] = parts(u);
  return tf.stack([tf.sub(b, a), tf.add(tf.sub(a, tf.mul(2, b)), c), tf.sub(b, c)]);
};

/** DETEST D1: Kepler's problem with eccentricity 0.1. */
const D1: ReferenceProblem['f'] = (u) => {
  const [x, y, vx, vy] = parts(u);
  const r3 = tf.pow(tf.add(tf.square(x), tf.square(y)), 1.5);
  return tf.stack([vx, vy, tf.neg(tf.div(x, r3)), tf.neg(tf.div(y, r3))]);
};

export const detest: readonly ReferenceProblem[] = [
  { name: 'A1', f: (u) => tf.neg(u), u0: [1], tspan: [0, 20], exact: [2.061153622438558e-9] },
  { name: 'A3', f: A3, u0: [1], tspan: [0, 20], exact: [2.4916502718504145] },
  { name: 'A4', f: (u) => tf.mul(tf.div(u, 4), tf.sub(1, tf.div(u, 20))), u0: [1], tspan: [0, 20], exact: [17.73016648131484] }, // prettier-ignore
  { name: 'A5', f: (u, _, t) => tf.div(tf.sub(u, t), tf.add(u, t)), u0: [4], tspan: [0, 20], exact: [-0.78878266889640142373] }, // prettier-ignore
  { name: 'B1', f: B1, u0: [1, 3], tspan: [0, 20], exact: [0.67618760085766066073, 0.18608160996400298008] },
  { name: 'B2', f: B2, u0: [2, 0, 1], tspan: [0, 20], exact: [1.0000000010305768112, 1, 0.99999999896942318878] },
  {
    name: 'D1',
    f: D1,
    u0: [0.9, 0, 0, Math.sqrt(1.1 / 0.9)],
    tspan: [0, 20],
    exact: [0.21988353520083966128, 0.94270768463418130852, -0.97876598410581765146, 0.32879779909620360826],
  },
];

export interface SlopeProblem extends Omit<ReferenceProblem, 'exact'> {
  readonly solution: (t: number) => readonly number[];
}

const memo = (f: (t: number) => readonly number[]): ((t: number) => readonly number[]) => {
  const known = new Map<number, readonly number[]>();
  return (t) => known.get(t) ?? known.set(t, f(t)).get(t) ?? [];
};

/**
 * One nonlinear, one time-dependent and one linear problem. Fifth-order pairs have such small leading error terms that
 * a scalar problem's end value shows cancellation instead of the order: the nonlinear one is a pendulum, compared at many
 * times.
 */
export const slopeProblems: readonly SlopeProblem[] = [
  {
    name: 'nonlinear',
    f: (u) => {
      const [angle, velocity] = parts(u);
      return tf.stack([velocity, tf.neg(tf.sin(angle))]);
    },
    u0: [2, 1],
    tspan: [0, 8],
    solution: memo((t) => odexSolve((_, [a, v]) => [v, -Math.sin(a)], [2, 1], [0, t], 1e-14)),
  },
  { name: 'time-dependent', f: A3, u0: [1], tspan: [0, 8], solution: (t) => [Math.exp(Math.sin(t))] },
  // u' = A u with A = [[-0.1, 2], [-2, -0.1]]: a shrinking rotation.
  {
    name: 'linear',
    f: (u) => tf.reshape(tf.matMul(tf.tensor2d([[-0.1, 2], [-2, -0.1]]), tf.reshape<tf.Rank.R2>(u, [2, 1])), [2]), // prettier-ignore
    u0: [2, 0],
    tspan: [0, 8],
    solution: (t) => [2 * Math.exp(-0.1 * t) * Math.cos(2 * t), -2 * Math.exp(-0.1 * t) * Math.sin(2 * t)],
  },
];

/** Lotka-Volterra with the parameters of SciML's benchmarks. */
export const lotkaVolterra = (u: tf.Tensor, p: tf.Tensor): tf.Tensor => {
  const [x, y] = tf.unstack(u);
  const [a, b, c, d] = tf.unstack(p);
  const xy = tf.mul(x, y);
  return tf.stack([tf.sub(tf.mul(a, x), tf.mul(b, xy)), tf.sub(tf.mul(d, xy), tf.mul(c, y))]);
};

/**
 * Lotka-Volterra (1.5, 1, 3, 1), u0 = (1, 1), t 0..10, first step 0.01, abstol = reltol / 1000: steps accepted and
 * rejected by Tsit5 with an I-controller in diffrax 0.7.2, and the error of its result.
 */
export const diffraxStepCounts: readonly { reltol: number; accepted: number; rejected: number; error: number }[] = [
  { reltol: 1e-3, accepted: 28, rejected: 8, error: 1.0e-2 },
  { reltol: 1e-4, accepted: 39, rejected: 12, error: 8.6e-4 },
  { reltol: 1e-5, accepted: 59, rejected: 14, error: 3.9e-5 },
  { reltol: 1e-6, accepted: 91, rejected: 16, error: 2.8e-6 },
  { reltol: 1e-7, accepted: 142, rejected: 23, error: 2.3e-7 },
  { reltol: 1e-8, accepted: 222, rejected: 26, error: 1.5e-8 },
  { reltol: 1e-9, accepted: 350, rejected: 30, error: 9.5e-10 },
  { reltol: 1e-10, accepted: 555, rejected: 36, error: 7.4e-11 },
];
