import '../../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { grad, OptionError } from '../../../src/index.js';
import { explicitRungeKutta, heun, odeProblem, solve, type ExplicitTableau } from '../../../solvers/index.js';
import { expectClose } from '../../support/close.js';
import { tolerance } from '../../support/precision.js';

/** Kutta's third-order method (W. Kutta, Zeitschr. f. Math. u. Phys. 46, 1901). */
const KUTTA: ExplicitTableau = {
  name: 'Kutta 3',
  order: 3,
  c: [0, 1 / 2, 1],
  a: [[], [1 / 2], [-1, 2]],
  b: [1 / 6, 2 / 3, 1 / 6],
};

describe('explicitRungeKutta', () => {
  it('solves with coefficients of the user: order 3 on y" = y cos t', () => {
    const error = (h: number): number =>
      tf.tidy(() => {
        const f = (u: tf.Tensor, _: object, t: tf.Tensor): tf.Tensor => tf.mul(u, tf.cos(t));
        const problem = odeProblem(f, tf.scalar(1), [0, 2], {});
        const { u } = solve(problem, explicitRungeKutta(KUTTA), { dt: h });
        return Math.abs(u.dataSync()[0] - Math.exp(Math.sin(2)));
      });
    const slope = Math.log2(error(0.2) / error(0.1));
    expect(slope).to.be.closeTo(3, 0.2);
  });

  it('is what the built-in method of the same coefficients is, gradient included', () => {
    const { tableau } = heun();
    const run = (method: ReturnType<typeof heun>): tf.Tensor =>
      grad((x: tf.Tensor) => {
        const problem = odeProblem((u: tf.Tensor) => tf.sin(u), x, [0, 1], {});
        return tf.sum(solve(problem, method, { reltol: 1e-3 }).u);
      })(tf.tensor1d([0.5, 1]));
    tf.tidy(() => {
      expectClose(run(explicitRungeKutta(tableau)), run(heun()), {
        rtol: tolerance({ float32: 1e-6, float64: 1e-14 }),
      });
    });
  });

  it('says which coefficients do not fit', () => {
    const bad = (change: Partial<ExplicitTableau>, message: RegExp): void => {
      expect(() => explicitRungeKutta({ ...KUTTA, ...change })).to.throw(OptionError, message);
    };
    bad({ a: [[], [1 / 2]] }, /"a": expected 3 entries, one per stage/);
    bad({ a: [[], [1 / 2], [1]] }, /expected 2 weights/);
    bad({ a: [[], [1 / 3], [-1, 2]] }, /"a\[1\]": expected weights that sum to c\[1\] = 0.5/);
    bad({ b: [1 / 6, 2 / 3, 1 / 3] }, /"b": expected weights that sum to 1/);
    bad({ e: [1, 0, 0] }, /"e": expected weights that sum to 0/);
    bad({ fsal: true }, /"fsal": expected a method whose last stage/);
    bad({ interpolant: [[1], [1], [1]] }, /"interpolant\[0\]": expected coefficients that sum to b\[0\]/);
  });
});
