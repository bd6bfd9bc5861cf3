/**
 * Solves with fixed steps on WebGPU, which need no value before the end: values and gradients as on the compiled backend, and
 * the spiral demo's neural ODE trained through them.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  chain,
  compile,
  dense,
  disposeTrainState,
  disposeTree,
  key,
  mae,
  normalInit,
  rmsProp,
  setup,
  train,
  trainState,
  valueAndGrad,
  zerosInit,
  type Tensor,
  type TrainState,
} from '../../src/index.js';
import { neuralODE } from '../../models/index.js';
import { dopri5, euler, heun, odeProblem, rk4, solve, tsit5, type OdeOptions } from '../../solvers/index.js';
import { expectClose } from '../support/close.js';
import { expectSame } from '../support/webgpu.js';

/** Lotka and Volterra's equations. */
const field = (u: Tensor, p: Tensor): Tensor => {
  const [x, y] = tf.split(u, 2);
  const [a, b, c, d] = tf.split(p, 4);
  return tf.concat([tf.mul(x, tf.sub(a, tf.mul(b, y))), tf.mul(y, tf.sub(tf.mul(d, x), c))]);
};

const METHODS = { euler, heun, rk4, dopri5, tsit5 };
const FORMS: Readonly<Record<string, OdeOptions>> = {
  'the final state': { dt: 0.1 },
  'saved states': { dt: 0.1, saveAt: [0, 0.25, 0.5, 1.9, 2] },
};

describe('solves with fixed steps on WebGPU', () => {
  for (const [name, method] of Object.entries(METHODS)) {
    for (const [what, options] of Object.entries(FORMS)) {
      it(`${name}, ${what}: value and gradient`, async () => {
        const loss = (u0: Tensor, p: Tensor): Tensor =>
          tf.sum(tf.square(solve(odeProblem(field, u0, [0, 2], p), method(), { ...options, adaptive: false }).u));
        const program = compile(valueAndGrad(loss, { argnums: [0, 1] }));
        await expectSame(
          () => [tf.tensor1d([1, 1.5]), tf.tensor1d([1.5, 1, 3, 1])] as const,
          ([u0, p]) => program(u0, p),
          name,
        );
      });
    }
  }

  it('say that steps that adapt need values at once, and what to do', async () => {
    await tf.setBackend('webgpu');
    const u0 = tf.tensor1d([1, 1.5]);
    const p = tf.tensor1d([1.5, 1, 3, 1]);
    expect(() => solve(odeProblem(field, u0, [0, 2], p), tsit5(), {})).to.throw(/cannot.* read .*adaptive: false, dt/);
    tf.dispose([u0, p]);
  });
});

const wide = { initWeight: normalInit(0.1), initBias: zerosInit() };
const times = Array.from({ length: 10 }, (_, i) => (i * 25) / 999);
const spiral = neuralODE(
  chain((y: Tensor) => tf.pow(y, 3), dense(2, 50, 'tanh', wide), dense(50, 2, 'identity', wide)),
  { tspan: [0, times[9]], saveAt: times, algorithm: rk4(), dt: times[9] / 3 },
);
type Trained = TrainState<typeof spiral>;

interface Batch {
  readonly start: Tensor;
  readonly target: Tensor;
}

const objective = (m: typeof spiral, ps: Trained['parameters'], st: Trained['states'], { start, target }: Batch) => {
  const [y, next] = m.apply(start, ps, st);
  return [mae(y, target), next, {}] as const;
};

/** Twenty points, and Euler's guess of where the true spiral's field takes them. */
const batch = (): Batch => {
  const points = Array.from({ length: 20 }, (_, i) => [2 * Math.cos(0.31 * i), 2 * Math.sin(0.31 * i)]);
  const after = (t: number): number[][] =>
    points.map(([x, y]) => [x + t * (-0.1 * x ** 3 - 2 * y ** 3), y + t * (2 * x ** 3 - 0.1 * y ** 3)]);
  return { start: tf.tensor2d(points), target: tf.tensor3d(times.map(after)) };
};

describe("the spiral demo's neural ODE on WebGPU", () => {
  it('trains to the losses of the compiled backend', async () => {
    const runs: (readonly number[])[] = [];
    const counts: number[] = [];
    for (const backend of ['nullcline', 'webgpu']) {
      await tf.setBackend(backend);
      const before = tf.memory().numTensors;
      const seed = key(0);
      const [ps, st] = setup(seed, spiral);
      const [begin, data] = [trainState(spiral, ps, st, rmsProp(1e-3, { rho: 0.99 })), batch()];
      const { losses, trainState: end } = await train(objective, { ...data }, begin, { steps: 30, readEvery: 10 });
      runs.push(losses);
      disposeTrainState(end);
      disposeTrainState(begin);
      disposeTree([{ ...data }, seed]);
      counts.push(tf.memory().numTensors - before);
    }
    const [expected, actual] = runs;
    expect(expected[29]).to.be.lessThan(expected[0]);
    expectClose(actual, expected, { rtol: 1e-3 }, 'loss');
    expect(counts).to.deep.equal([0, 0]);
  });
});
