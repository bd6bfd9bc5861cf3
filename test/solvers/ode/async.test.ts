/**
 * Solves on a backend whose numbers cannot be read at once: here the active one, made to say so, with `readSync` refused for
 * whatever is not a small upload.
 */
import '../../support/backend.js';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  adam,
  compile,
  constant,
  dense,
  disposeTrainState,
  disposeTree,
  key,
  setup,
  train,
  trainState,
  valueAndGrad,
  type Objective,
} from '../../../src/index.js';
import { neuralODE } from '../../../models/index.js';
import {
  odeProblem,
  rk4,
  solve,
  solveAsync,
  SolveError,
  tsit5,
  type OdeAlgorithm,
  type OdeOptions,
} from '../../../solvers/index.js';
import { expectClose } from '../../support/close.js';
import { tolerance } from '../../support/precision.js';

const problem = (rate: tf.Tensor = constant(0.7)) =>
  odeProblem(
    (u: tf.Tensor, p: { rate: tf.Tensor }, t: tf.Tensor) => tf.mul(tf.mul(u, p.rate), tf.cos(t)),
    constant([1, 2]),
    [0, 2],
    { rate },
  );
const exact = [1, 2].map((x) => x * Math.exp(0.7 * Math.sin(2)));

// The compiled backend can always read, and tfjs's wasm backend is lent kernels that do: they are only asked to wait.
const waiting = (process.env.NULLCLINE_TEST_BACKEND ?? 'cpu') === 'cpu';

describe('solving with waiting', () => {
  let restore = (): void => undefined;
  let reads = 0;
  beforeEach(() => {
    reads = 0;
    const backend = tf.backend() as tf.KernelBackend & { device?: object; queue?: object };
    const readSync = backend.readSync.bind(backend);
    if (waiting) {
      backend.device = backend.queue = {};
      backend.readSync = (id) => {
        const values = readSync(id);
        if (values instanceof Int32Array) return values; // tickets
        reads++;
        throw new Error('not at once');
      };
      const read = backend.read.bind(backend);
      backend.read = (id) => {
        reads++;
        return Promise.resolve(readSync(id));
      };
      restore = () => {
        Object.assign(backend, { readSync, read });
        delete backend.device;
        delete backend.queue;
      };
    }
  });
  afterEach(() => {
    restore();
    restore = () => undefined;
  });

  const same: readonly [string, OdeAlgorithm, OdeOptions][] = [
    ['adaptive', tsit5(), { reltol: 1e-5, abstol: 1e-7 }],
    ['fixed steps', rk4(), { dt: 0.05 }],
  ];
  for (const [name, algorithm, options] of same) {
    it(`solveAsync gives the solution, statistics and all (${name})`, async () => {
      const before = tf.memory().numTensors;
      const asked = problem();
      const { u, t, stats, retcode, statistics } = await solveAsync(asked, algorithm, options);
      expectClose(Array.from(await u.data()), exact, { rtol: 1e-4 });
      expect({ t, retcode }).to.deep.equal({ t: [2], retcode: 'Success' });
      expect(stats.accepted).to.be.greaterThan(3);
      disposeTree([u, statistics, asked.u0, asked.p]);
      expect(tf.memory().numTensors).to.equal(before);
    });
  }

  it('saves at times', async () => {
    const asked = problem();
    const { u, statistics } = await solveAsync(asked, tsit5(), { saveAt: [0, 0.3, 1, 2], reltol: 1e-6 });
    expect(u.shape).to.deep.equal([4, 2]);
    const at = (x: number): number[] => [1, 2].map((c) => c * Math.exp(0.7 * Math.sin(x)));
    expectClose(Array.from(await u.data()), [0, 0.3, 1, 2].flatMap(at), { rtol: 1e-4 });
    disposeTree([u, statistics, asked.u0, asked.p]);
  });

  it('a compiled gradient can wait: the adjoint of an adaptive solve', async () => {
    const before = tf.memory().numTensors;
    const loss = (rate: tf.Tensor): tf.Tensor =>
      tf.sum(solve(problem(rate), tsit5(), { reltol: 1e-6, abstol: 1e-8 }).u);
    const f = compile(valueAndGrad(loss));
    const rate = constant(0.7);
    const { value, grad } = await f.async(rate);
    const rtol = tolerance({ float32: 1e-4, float64: 1e-5 });
    expectClose(Array.from(await value.data()), 3 * Math.exp(0.7 * Math.sin(2)), { rtol });
    expectClose(Array.from(await grad.data()), 3 * Math.sin(2) * Math.exp(0.7 * Math.sin(2)), { rtol });
    f.programFor(rate).dispose();
    disposeTree([value, grad, rate]);
    expect(tf.memory().numTensors).to.be.at.most(before + 1); // the captured u0 lives as long as the program
  });

  it('train waits, too: the same losses as without', async () => {
    const model = neuralODE(dense(2, 2, 'tanh'), { tspan: [0, 1], reltol: 1e-4, abstol: 1e-6 });
    const objective: Objective<typeof model, { x: tf.Tensor }, Record<string, never>> = (m, ps, st, { x }) => {
      const [y, next] = m.apply(x, ps, st);
      return [tf.mean(tf.square(y)), next, {}];
    };
    const k = key(3);
    const run = async (): Promise<readonly number[]> => {
      const [ps, st] = setup(k, model);
      const start = trainState(model, ps, st, adam(0.05));
      const batch = (step: number) => ({ x: tf.fill([4, 2], 1 + (step % 3)) });
      const before = tf.memory().numTensors;
      const { losses, trainState: last } = await train(objective, batch, start, { steps: 7 });
      disposeTrainState(last);
      expect(tf.memory().numTensors).to.equal(before);
      disposeTrainState(start);
      return losses;
    };
    const slow = await run();
    restore();
    restore = () => undefined;
    const quick = await run();
    k.dispose();
    expect(slow).to.deep.equal(quick);
    expect(slow[6]).to.be.below(slow[0]);
  });

  it('rejects with the error that solve throws', async () => {
    const asked = odeProblem((u: tf.Tensor) => tf.square(u), constant(1), [0, 2], {});
    const error = await solveAsync(asked, tsit5()).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).to.be.instanceOf(SolveError);
    asked.u0.dispose();
  });

  if (waiting) {
    it('solve says what to do where it would have to wait; fixed steps need not', () => {
      tf.tidy(() => {
        expect(() => solve(problem(), tsit5())).to.throw(/numbers that this backend cannot read at once.*solveAsync/s);
        reads = 0;
        const f = compile((rate: tf.Tensor) => solve(problem(rate), rk4(), { dt: 0.1 }).u);
        expect(f(constant(0.7)).shape).to.deep.equal([2]);
        expect(reads).to.equal(0);
      });
    });
  }
});
