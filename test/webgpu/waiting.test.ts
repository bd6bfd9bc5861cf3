/**
 * Solves that must wait for numbers on WebGPU: steps that adapt and iterations that stop when they have converged, their
 * gradients, and training through them, as on the compiled backend.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile, disposeTree, leaves, valueAndGrad, type Tensor } from '../../src/index.js';
import {
  anderson,
  broyden,
  bs3,
  dopri5,
  fixedPointProblem,
  gmres,
  implicitAdjoint,
  jacobianFree,
  newtonKrylov,
  newtonRaphson,
  nonlinearProblem,
  odeProblem,
  picard,
  reversible,
  solve,
  solveAsync,
  tsit5,
  unrolled,
  type NonlinearAlgorithm,
  type NonlinearOptions,
  type OdeOptions,
} from '../../solvers/index.js';
import { expectClose } from '../support/close.js';
import { CLOSE, read } from '../support/webgpu.js';

/** Lotka and Volterra's equations. */
const field = (u: Tensor, p: Tensor): Tensor => {
  const [x, y] = tf.split(u, 2);
  const [a, b, c, d] = tf.split(p, 4);
  return tf.concat([tf.mul(x, tf.sub(a, tf.mul(b, y))), tf.mul(y, tf.sub(tf.mul(d, x), c))]);
};

const start = (): [Tensor, Tensor] => [tf.tensor1d([1, 1.5]), tf.tensor1d([1.5, 1, 3, 1])];

/** What `f` gives on the compiled backend and on WebGPU; nothing is left on either. */
async function onBoth<T>(f: () => Promise<T>): Promise<[T, T]> {
  const results: T[] = [];
  for (const backend of ['nullcline', 'webgpu']) {
    await tf.setBackend(backend);
    const before = tf.memory().numTensors;
    results.push(await f());
    expect(tf.memory().numTensors - before, `tensors left on ${backend}`).to.equal(0);
  }
  return [results[0], results[1]];
}

const METHODS = { bs3, dopri5, tsit5 };
const FORMS: Readonly<Record<string, OdeOptions>> = {
  'the final state': { reltol: 1e-4, abstol: 1e-5 },
  'saved states': { reltol: 1e-4, abstol: 1e-5, saveAt: [0, 0.25, 0.5, 1.9, 2] },
};

describe('steps that adapt, waited for on WebGPU', () => {
  for (const [name, method] of Object.entries(METHODS)) {
    for (const [what, options] of Object.entries(FORMS)) {
      it(`${name}, ${what}: value and gradient`, async () => {
        const loss = (u0: Tensor, p: Tensor): Tensor =>
          tf.sum(tf.square(solve(odeProblem(field, u0, [0, 2], p), method(), options).u));
        const program = compile(valueAndGrad(loss, { argnums: [0, 1] }));
        const [expected, actual] = await onBoth(async () => {
          const given = start();
          const result = await program.async(...given);
          const values = await read(result);
          disposeTree([given, leaves(result)]);
          return values;
        });
        const scale = Math.max(...expected.map(Math.abs));
        expectClose(actual, expected, { rtol: 1e-4, atol: 1e-5 * scale });
      });
    }
  }

  it('solveAsync says what it took', async () => {
    const [expected, actual] = await onBoth(async () => {
      const [u0, p] = start();
      const { u, t, stats, retcode, statistics } = await solveAsync(odeProblem(field, u0, [0, 2], p), tsit5(), {
        saveAt: [1, 2],
      });
      const values = await read(u);
      disposeTree([u0, p, u, statistics]);
      return { values, t, stats, retcode };
    });
    expect(actual.retcode).to.equal('Success');
    expect(actual.t).to.deep.equal([1, 2]);
    expect(actual.stats).to.deep.equal(expected.stats);
    expectClose(actual.values, expected.values, CLOSE);
  });
});

/** A contraction of the plane's points, row by row, whose strength is in p. */
const contraction = (u: Tensor, { w, b }: { w: Tensor; b: Tensor }): Tensor => tf.tanh(tf.add(tf.matMul(u, w), b));
const tight: NonlinearOptions = { norm: 'max', abstol: 3e-6, reltol: 0, maxIters: 200 };

const EQUATIONS: Readonly<Record<string, [NonlinearAlgorithm, NonlinearOptions]>> = {
  'anderson, implicitly': [anderson(), {}],
  'anderson, implicitly by GMRES': [anderson(), { adjoint: implicitAdjoint({ linearSolver: gmres() }) }],
  'anderson, without Jacobian': [anderson(), { adjoint: jacobianFree() }],
  'anderson, row by row': [anderson(), { batch: 'independent', along: ({ b }: { b: Tensor }) => b }],
  'broyden, implicitly': [broyden(), {}],
  'picard, unrolled': [picard(), { adjoint: unrolled() }],
  'reversible, unrolled': [reversible(), { adjoint: unrolled() }],
};
const ROOTS: Readonly<Record<string, [NonlinearAlgorithm, NonlinearOptions]>> = {
  'newton, implicitly': [newtonRaphson(), {}],
  'newton and Krylov, implicitly': [newtonKrylov(), {}],
};
const residual = (u: Tensor, p: { w: Tensor; b: Tensor }): Tensor => tf.sub(contraction(u, p), u);

const parameters = () => ({
  w: tf.tensor2d([[0.4, -0.3, 0.1], [0.2, 0.5, -0.2], [-0.1, 0.3, 0.3]]), // prettier-ignore
  b: tf.tensor2d([[0.1, -0.4, 0.7], [0.9, 0.2, -0.3]]), // prettier-ignore
});

describe('equations, waited for on WebGPU', () => {
  for (const [kind, cases] of Object.entries({ 'fixed point': EQUATIONS, root: ROOTS })) {
    for (const [name, [algorithm, options]] of Object.entries(cases)) {
      it(`${kind} by ${name}: value and gradient`, async () => {
        const program = compile(
          valueAndGrad((p: ReturnType<typeof parameters>) => {
            const u0 = tf.zeros([2, 3]);
            const given = kind === 'root' ? nonlinearProblem(residual, u0, p) : fixedPointProblem(contraction, u0, p);
            return tf.sum(tf.square(solve(given, algorithm, { ...tight, ...options }).u));
          }),
        );
        const [expected, actual] = await onBoth(async () => {
          const p = parameters();
          const result = await program.async(p);
          const values = await read(result);
          disposeTree([p, leaves(result)]);
          return values;
        });
        const scale = Math.max(...expected.map(Math.abs));
        expectClose(actual, expected, { rtol: 1e-4, atol: 1e-5 * scale });
      });
    }
  }

  it('solveAsync says what it took, for each row', async () => {
    const options: NonlinearOptions = { ...tight, ...EQUATIONS['anderson, row by row'][1], storeTrace: true };
    const [expected, actual] = await onBoth(async () => {
      const [p, u0] = [parameters(), tf.zeros([2, 3])];
      const solution = await solveAsync(fixedPointProblem(contraction, u0, p), anderson(), options);
      const values = await read(solution.u);
      const { retcode, samples, trace } = solution;
      disposeTree([p, u0, solution.u, solution.residual, solution.statistics, ...(trace === undefined ? [] : [trace])]);
      return { values, retcode, samples, traced: trace?.shape };
    });
    expect(actual.retcode).to.equal('Success');
    expect(actual.traced).to.deep.equal([2, 201]);
    expectClose(actual.values, expected.values, CLOSE);
    expect(actual.samples).to.have.lengthOf(2);
    actual.samples.forEach(({ iterations, evaluations, residual, retcode }, i) => {
      expect(retcode).to.equal('Success');
      expect(evaluations).to.equal(iterations + 1);
      expect(Math.abs(iterations - expected.samples[i].iterations)).to.be.at.most(1);
      expect(residual).to.be.lessThan(3e-6);
    });
  });

  it('a solve that fails says so', async () => {
    await tf.setBackend('webgpu');
    const [p, u0] = [parameters(), tf.zeros([2, 3])];
    const before = tf.memory().numTensors;
    const failing = solveAsync(fixedPointProblem(contraction, u0, p), picard(), { ...tight, maxIters: 2 });
    const error = await failing.then(
      () => expect.fail('it did not fail'),
      (e: unknown) => e as Error,
    );
    expect(error.message).to.match(/maxIters|iterations/);
    expect(tf.memory().numTensors).to.equal(before);
    disposeTree([p, u0]);
  });
});
