/**
 * Where a pair of solutions has just vanished, the residual is small without a solution near: iterations have to go on through, uphill.
 */
import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { anderson, fixedPointProblem, picard, solve, type NonlinearAlgorithm } from '../../../solvers/index.js';
import { constant, type Tensor } from '../../../src/index.js';
import { expectClose } from '../../support/close.js';

/** `u = tanh(1.5 u + c)` has three solutions for |c| below this, and one above: at the fold tanh' = 1 / 1.5, so that u = -1 / sqrt(3). */
const FOLD = 1.5 / Math.sqrt(3) - Math.atanh(1 / Math.sqrt(3));

/** That solution, by Newton's method from the far side. */
function beyond(c: number): number {
  let u = 1;
  for (let i = 0; i < 50; i++) {
    const y = Math.tanh(1.5 * u + c);
    u -= (u - y) / (1 - 1.5 * (1 - y * y));
  }
  return u;
}

/** One unit in the bottleneck, and others that it drives and that contract, some of them slowly. */
function coupled(units: number, coupling: number, past: number) {
  const w = Array.from({ length: units }, (_, i) =>
    Array.from({ length: units }, (_, j) => {
      if (i === j) return i === 0 ? 1.5 : 0.95 * Math.cos(i);
      return j === 0 ? coupling * Math.sin(3 * i) : 0;
    }),
  );
  const c = Array.from({ length: units }, (_, i) => (i === 0 ? FOLD + past : 0.5 * Math.cos(2 * i)));
  const f = (u: Tensor, p: { w: Tensor; c: Tensor }): Tensor =>
    tf.tanh(tf.add(tf.reshape(tf.matMul(p.w, tf.reshape(u, [units, 1])), [units]), p.c));
  return fixedPointProblem(f, tf.fill([units], -1), { w: constant(w), c: constant(c) });
}

const ALGORITHMS: Readonly<Record<string, NonlinearAlgorithm>> = {
  'plain iteration': picard(),
  'Anderson acceleration': anderson(),
  'Anderson acceleration with a memory of 2': anderson({ memory: 2 }),
  'damped Anderson acceleration': anderson({ damping: 0.5 }),
};

describe('a bottleneck', () => {
  for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
    it(`lets ${name} through`, () => {
      for (const past of [1e-3, 3e-4])
        for (const units of [1, 8, 16, 32])
          for (const coupling of [0.3, 1])
            tf.tidy(() => {
              const what = `${units} units, coupled by ${coupling}, ${past} past the fold`;
              const options = { abstol: 1e-6, reltol: 0, maxIters: 3000, throwOnFailure: false };
              const { u, retcode } = solve(coupled(units, coupling, past), algorithm, options);
              expect(retcode, what).to.equal('Success');
              // The unit contracts by 0.24 there, and is one of many in the mean square.
              expectClose(tf.slice(u, [0], [1]), [beyond(FOLD + past)], { atol: 3e-6 * Math.sqrt(units) }, what);
            });
    });
  }

  it('without a far side is where the state returned lies', () => {
    // |f(u) - u| = 1e-4 + tanh(u)^2 is smallest at 0; plain iteration goes off to the right, by 1 in each step in the end.
    for (const algorithm of [picard(), anderson(), anderson({ memory: 2, damping: 0.5 })])
      tf.tidy(() => {
        const f = (u: Tensor): Tensor => tf.add(u, tf.add(tf.square(tf.tanh(u)), constant(1e-4)));
        const solution = solve(fixedPointProblem(f, tf.fill([1], -0.3), {}), algorithm, { throwOnFailure: false });
        expect(solution.retcode, algorithm.name).to.equal('Stalled');
        expect(solution.residual.dataSync()[0]).to.be.within(0.99e-4, 1.2e-4);
        expectClose(solution.u, [0], { atol: 5e-3 });
      });
  });

  it('is not looked for where the map expands: it comes back from where f is not defined', () => {
    // r = 0.5 (u - 1) + 1e-3 above 1 and 0.5 (u - 1) - 1e-3 below: no root. The last term is defined within 100 of the origin, and is nothing there.
    const f = (u: Tensor): Tensor => {
      const jump = tf.where(tf.greater(u, 1), tf.fill([1], 1e-3), tf.fill([1], -1e-3));
      const affine = tf.add(tf.mul(tf.sub(u, 1), 1.5), tf.add(jump, 1));
      return tf.add(affine, tf.mul(constant(1e-30), tf.sqrt(tf.sub(100, tf.abs(u)))));
    };
    for (const algorithm of [anderson(), anderson({ damping: 0.5 }), anderson({ safeguard: Infinity })])
      tf.tidy(() => {
        const problem = fixedPointProblem(f, tf.tensor1d([3]), {});
        const { u, residual, retcode } = solve(problem, algorithm, { throwOnFailure: false });
        expect(retcode).to.equal('Stalled');
        expectClose(u, [1], { atol: 1e-2 });
        expect(residual.dataSync()[0]).to.be.within(0.99e-3, 6e-3);
      });
  });

  it('a residual that only scatters has stalled', () => {
    // 0.5 u + 0.6 below 1 would be 1.2, 0.5 u + 0.4 above it would be 0.8.
    tf.tidy(() => {
      const jump = (u: Tensor): Tensor =>
        tf.add(tf.mul(u, 0.5), tf.where(tf.greater(u, 1), tf.fill([3], 0.4), tf.fill([3], 0.6)));
      const problem = fixedPointProblem(jump, tf.fill([3], 0.1), {});
      for (const algorithm of [picard(), anderson()]) {
        const { retcode, iterations } = solve(problem, algorithm, { patience: 30, throwOnFailure: false });
        expect(retcode, algorithm.name).to.equal('Stalled');
        expect(iterations, algorithm.name).to.be.at.most(200);
      }
    });
  });
});
