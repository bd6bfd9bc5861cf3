import '../support/backend.js';
import { existsSync, readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { dopri5, explicitRungeKutta, odeProblem, solve, tsit5 } from '../../solvers/index.js';
import {
  adam,
  chain,
  computeGradients,
  constant,
  dense,
  disposeTree,
  mae,
  mse,
  rmsProp,
  trainState,
  train,
  useBackend,
  type Tensor,
} from '../../src/index.js';
import { isFloat64 } from '../support/precision.js';

/**
 * torchdiffeq's spiral demo in float64: start weights, batches, 200 losses and the first gradient. The file lies beside
 * the project where there is one; without it these tests are skipped.
 */
const FIXTURE = '../shared/limit/spiral_fixture.json';

interface Fixture {
  readonly init: Record<'W1' | 'b1' | 'W2' | 'b2', number[]>;
  readonly batches: number[][];
  readonly runs: Record<
    'demo' | 'loose',
    { losses: number[]; grad_iter0: Record<'W1' | 'b1' | 'W2' | 'b2', number[]> }
  >;
}

const times = Array.from({ length: 1000 }, (_, i) => (i * 25) / 999);
const piece = times.slice(0, 10);

/** PyTorch's [out, in] as [in, out]. */
const transposed = (w: number[], out: number, inside: number): Tensor =>
  constant(Array.from({ length: inside }, (_, i) => Array.from({ length: out }, (__, o) => w[o * inside + i])));

/**
 * torchdiffeq's `dopri5` (its file dopri5.py): the same stages with another embedded method, whose error estimate is about half as large;
 * all outputs lie on the quartic through the values and slopes at both ends and L. F. Shampine's value in the middle,
 * u + h sum_i m_i k_i (Math. Comp. 46, 1986); and no step is cut short for an output: the last one comes from a step that goes beyond it.
 */
const torchDopri5 = (): ReturnType<typeof dopri5> => {
  const { tableau } = dopri5();
  const middle = [
    6025192743 / 30085553152, 0, 51252292925 / 65400821598, -2691868925 / 45128329728,
    187940372067 / 1594534317056, -1776094331 / 19743644256, 11237099 / 235043384,
  ].map((x) => x / 2); // prettier-ignore
  const embedded = [1951 / 21600, 0, 22642 / 50085, 451 / 720, -12231 / 42400, 649 / 6300, 1 / 60];
  const e = tableau.b.map((b, i) => b - embedded[i]);
  const interpolant = tableau.b.map((b, i) => {
    const [m, first, last] = [middle[i], i === 0 ? 1 : 0, i === 6 ? 1 : 0];
    return [
      first,
      last - 4 * first - 5 * b + 16 * m,
      5 * first - 3 * last + 14 * b - 32 * m,
      2 * (last - first) - 8 * b + 16 * m,
    ];
  });
  return explicitRungeKutta({ ...tableau, name: 'torchdiffeq dopri5', e, interpolant });
};

/**
 * The first step as torchdiffeq chooses it, of tf operations (E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary
 * Differential Equations I, II.4, as in `_select_initial_step` of its file misc.py).
 */
function firstStep(f: (u: Tensor) => Tensor, u: Tensor, rtol: number, atol: number): Tensor {
  const norm = (x: Tensor): Tensor => tf.sqrt(tf.mean(tf.square(x)));
  const scale = tf.add(tf.mul(tf.abs(u), constant(rtol)), constant(atol));
  const f0 = f(u);
  const [d0, d1] = [norm(tf.div(u, scale)), norm(tf.div(f0, scale))];
  const h0 = tf.mul(tf.div(d0, d1), constant(0.01)); // neither of them is anywhere near zero here
  const f1 = f(tf.add(u, tf.mul(h0, f0)));
  const d2 = tf.div(norm(tf.div(tf.sub(f1, f0), scale)), h0);
  const h1 = tf.pow(tf.div(constant(0.01), tf.maximum(d1, d2)), constant(1 / 5));
  return tf.minimum(tf.mul(h0, 100), h1);
}

describe('training follows torchdiffeq (float64)', () => {
  let active = '';
  before(async function () {
    if (!existsSync(FIXTURE) || isFloat64) return this.skip(); // the backend itself stores doubles
    active = tf.getBackend();
    await useBackend('nullcline', { precision: 'float64' });
    return undefined;
  });
  after(async () => {
    if (active !== '') await tf.setBackend(active);
  });

  const settings = [
    { name: 'demo', rtol: 1e-7, atol: 1e-9 },
    { name: 'loose', rtol: 1e-3, atol: 1e-6 },
  ] as const;
  for (const { name, rtol, atol } of settings) {
    it(`${name}: the first gradient and 100 losses`, async () => {
      const { init, batches, runs } = JSON.parse(readFileSync(FIXTURE, 'utf8')) as Fixture;
      const A = constant([[-0.1, 2], [-2, -0.1]]); // prettier-ignore
      const cubed = (y: Tensor): Tensor => tf.mul(y, tf.square(y));
      const truth = solve(
        odeProblem(
          (y: Tensor) => tf.matMul(cubed(y) as tf.Tensor2D, A as tf.Tensor2D),
          constant([[2, 0]]),
          [0, 25],
          {},
        ),
        tsit5(),
        { saveAt: times, reltol: 1e-11, abstol: 1e-11, maxIters: 1e6 },
      );
      const path = truth.u.dataSync();
      const at = (i: number): number[] => [path[2 * i], path[2 * i + 1]];
      const field = chain(cubed, dense(2, 50, 'tanh'), dense(50, 2));
      // torchdiffeq differentiates the size of its first step, so that is given as a tensor here. At loose tolerances it makes a
      // thousandth of the gradient.
      const ps = {
        layer1: {},
        layer2: { weight: transposed(init.W1, 50, 2) as tf.Tensor2D, bias: constant(init.b1) as tf.Tensor1D },
        layer3: { weight: transposed(init.W2, 2, 50) as tf.Tensor2D, bias: constant(init.b2) as tf.Tensor1D },
      };
      const st = field.initialStates(tf.tensor1d([0, 0], 'int32'));
      const distance = name === 'demo' ? mae : mse;
      const objective = (m: typeof field, p: typeof ps, s: typeof st, { x, y }: { x: Tensor; y: Tensor }) => {
        const f = (u: Tensor, q: typeof ps): Tensor => m.apply(u, q, s)[0];
        // torchdiffeq differentiates the size of its first step, so that is given as a tensor here. At loose tolerances it
        // makes a thousandth of the gradient.
        const dt = firstStep((u) => f(u, p), x, rtol, atol);
        // The span goes beyond the last output, so that the step that covers it is as long as the controller wants it.
        const problem = odeProblem(f, x, [0, 20 * piece[9]], p);
        const { u } = solve(problem, torchDopri5(), { saveAt: piece, reltol: rtol, abstol: atol, dt });
        return [distance(u, y), s, {}] as const;
      };
      const batch = (step: number): { x: Tensor; y: Tensor } => ({
        x: constant(batches[step].map(at)),
        y: constant(piece.map((_, k) => batches[step].map((s) => at(s + k)))),
      });
      const optimiser = name === 'demo' ? rmsProp(1e-3, { rho: 0.99 }) : adam(1e-3);
      const start = trainState(field, ps as never, st, optimiser);
      const { grads } = computeGradients(objective as never, batch(0), start) as unknown as { grads: typeof ps };
      const { W1, b1, W2, b2 } = runs[name].grad_iter0;
      const { layer2, layer3 } = grads;
      for (const [found, expected] of [
        [tf.transpose(layer2.weight), W1],
        [layer2.bias, b1],
        [tf.transpose(layer3.weight), W2],
        [layer3.bias, b2],
      ] as const) {
        const g = found.dataSync();
        const error = Math.hypot(...expected.map((x, i) => x - g[i])) / Math.hypot(...expected);
        expect(error).to.be.below(1e-6);
      }
      const { losses } = await train(objective as never, batch as never, start, { steps: 100 });
      const worst = Math.max(...losses.map((x, i) => Math.abs(x / runs[name].losses[i] - 1)));
      expect(worst).to.be.below(1e-5);
      disposeTree([ps, st, truth.u, truth.statistics, A]);
    }).timeout(60_000);
  }
});
