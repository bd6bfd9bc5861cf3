import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { afterEach, describe, it } from 'mocha';
import { compile, constant, grad, type Tensor } from '../../../src/index.js';
import { anderson, broyden, fixedPointProblem, gaussNewton, levenbergMarquardt, newtonKrylov, newtonRaphson, nonlinearProblem, odeProblem, rk4, solve, trustRegion } from '../../../solvers/index.js'; // prettier-ignore
import { expectClose } from '../../support/close.js';
import { centralDifference } from '../../support/differences.js';
import { tolerance } from '../../support/precision.js';
import { testBackend } from '../../support/backend.js';

const close = { rtol: tolerance({ float32: 3e-2, float64: 1e-7 }), atol: tolerance({ float32: 1e-2, float64: 1e-8 }) };
const weigh = (u: Tensor): Tensor => tf.sum(tf.mul(tf.square(u), tf.reshape(tf.sin(tf.range(1, u.size + 1)), u.shape)));

describe('equations whose residual comes in another shape than the unknowns', () => {
  const shapes: readonly (readonly [readonly number[], readonly number[]])[] = [
    [[4], [4, 1]],
    [[2, 2], [4]],
    [[4], [2, 2]],
  ]; // prettier-ignore
  const problem = (p: Tensor, state: readonly number[], image: readonly number[]) =>
    nonlinearProblem(
      (u: Tensor, q: Tensor) => {
        const v = tf.reshape(u, [4]);
        return tf.reshape(tf.sub(tf.add(tf.square(v), tf.mul(0.25, tf.reverse(v))), q), [...image]);
      },
      tf.ones([...state]),
      p,
    );

  for (const algorithm of [newtonRaphson(), broyden(), newtonKrylov(), trustRegion(), gaussNewton(), levenbergMarquardt()]) {
    it(`${algorithm.name} solves them`, () => {
      tf.tidy(() => {
        const p = constant([2, 3, 5, 7]);
        const expected = solve(problem(p, [4], [4]), newtonRaphson()).u;
        for (const [state, image] of shapes) {
          const { u } = solve(problem(p, state, image), algorithm);
          expect(u.shape).to.deep.equal(state);
          expectClose(tf.reshape(u, [4]), expected, { rtol: tolerance({ float32: 1e-3, float64: 1e-9 }) });
        }
      });
    });
  } // prettier-ignore

  it('the implicit derivative is right, to second order', () => {
    tf.tidy(() => {
      const p = constant([2, 3, 5, 7]);
      for (const [state, image] of shapes) {
        const loss = (q: Tensor): Tensor => weigh(solve(problem(q, state, image), newtonRaphson()).u);
        expectClose(grad(loss)(p), centralDifference(loss, p), close);
        const along = (q: Tensor): Tensor => weigh(grad(loss)(q));
        expectClose(grad(along)(p), centralDifference(along, p), { ...close, atol: 3 * close.atol });
      }
    });
  });

  it('more equations than unknowns have no implicit derivative, and say so', () => {
    const loss = (p: Tensor): Tensor =>
      tf.sum(solve(nonlinearProblem((u: Tensor, q: Tensor) => tf.sub(tf.concat([u, tf.square(u)]), q), tf.ones([2]), p), gaussNewton()).u); // prettier-ignore
    tf.tidy(() => {
      expect(() => grad(loss)(constant([1, 2, 1, 4]))).to.throw(/as many equations as unknowns/);
    });
  });
});

describe('the linear system of the implicit derivative', () => {
  it('has the solution 0 for a cotangent of 0', () => {
    tf.tidy(() => {
      const p = constant([2, 3, 5]);
      const loss = (q: Tensor, scale: Tensor): Tensor =>
        tf.mul(scale, tf.sum(solve(fixedPointProblem((u: Tensor, a: Tensor) => tf.mul(constant(0.3), tf.sin(tf.add(u, a))), tf.ones([3]), q), anderson()).u)); // prettier-ignore
      expectClose(grad(loss)(p, constant(0)), [0, 0, 0], {});
    });
  });
});

describe('an ODE within an equation', () => {
  /** u = p + flow(u) / 4 over one unit of time. */
  const solved = (p: Tensor): Tensor => {
    const flow = (u: Tensor): Tensor =>
      solve(odeProblem((v: Tensor, _: object) => tf.neg(tf.sin(v)), u, [0, 1], {}), rk4(), { adaptive: false, dt: 0.25 }).u; // prettier-ignore
    const f = (u: Tensor, q: Tensor): Tensor => tf.add(q, tf.mul(constant(0.25), flow(u)));
    return weigh(solve(fixedPointProblem(f, tf.zeros([2]), p), anderson()).u);
  };

  it('is differentiated with it', () => {
    tf.tidy(() => {
      const p = constant([0.5, 0.7]);
      expectClose(grad(solved)(p), centralDifference(solved, p), close);
    });
  });

  it('leaves nothing behind from run to run', () => {
    const p = constant([0.5, 0.7]);
    const run = compile(grad(solved));
    run(p).dispose();
    const before = tf.backend().numDataIds();
    for (let i = 0; i < 3; i++) run(p).dispose();
    expect(tf.backend().numDataIds()).to.equal(before);
    run.programFor(p).dispose();
    p.dispose();
  });
});

describe('a solve that would have to wait and may not', () => {
  const marks = ['device', 'queue'] as const;
  afterEach(() => {
    for (const mark of marks) Reflect.deleteProperty(tf.backend(), mark);
  });

  it('frees what it holds when it says so', function () {
    if (testBackend !== 'cpu') this.skip();
    const backend = tf.backend();
    for (const mark of marks) Object.defineProperty(backend, mark, { value: {}, configurable: true });
    const u0 = tf.ones([3]);
    const p = constant([2, 3, 5]);
    const run = compile((q: Tensor) =>
      solve(fixedPointProblem((u: Tensor, a: Tensor) => tf.mul(0.3, tf.sin(tf.add(u, a))), u0, q), anderson()).u,
    ); // prettier-ignore
    expect(() => run(p)).to.throw(/Wait for them/);
    const before = backend.numDataIds();
    for (let i = 0; i < 3; i++) expect(() => run(p)).to.throw(/Wait for them/);
    expect(backend.numDataIds()).to.equal(before);
    run.programFor(p).dispose();
    tf.dispose([u0, p]);
  });
});
