import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { constant } from '../../../src/core/constant.js';
import { grad } from '../../../src/graph/index.js';
import { dopri5, heun, odeProblem, rk4, solve, tsit5, type OdeOptions } from '../../../solvers/index.js';
import { expectClose } from '../../support/close.js';
import { centralDifference } from '../../support/differences.js';
import { isFloat64 } from '../../support/precision.js';

describe('discreteAdjoint: the gradient in dt, given as a tensor', () => {
  const field = (u: tf.Tensor, _: object, t: tf.Tensor): tf.Tensor => tf.mul(tf.sin(u), tf.add(1, tf.cos(t)));
  const at = (dt: tf.Tensor, algorithm: ReturnType<typeof rk4>, more: OdeOptions, tspan: [number, number] = [0, 1]) =>
    tf.sum(tf.sin(solve(odeProblem(field, constant([0.4, 1]), tspan, {}), algorithm, { dt, ...more }).u));
  const cases: readonly [string, ReturnType<typeof rk4>, number, OdeOptions, [number, number]?][] = [
    ['every step of fixed ones', rk4(), 0.3, {}],
    ['fixed steps, backwards', rk4(), 0.3, {}, [1, 0]],
    ['fixed steps with saved times', heun(), 0.3, { adaptive: false, saveAt: [0, 0.2, 0.65, 1] }],
    // The second step ends at t1, so its size is no choice of the controller.
    ['the first step of adapted ones', tsit5(), 0.7, { reltol: 1, abstol: 1 }],
    ['the first step, with saved times', dopri5(), 0.7, { reltol: 1, abstol: 1, saveAt: [0.2, 0.65, 0.9] }],
  ];
  for (const [name, algorithm, dt, more, tspan] of cases) {
    it(name, () => {
      tf.tidy(() => {
        const f = (x: tf.Tensor): tf.Tensor => at(x, algorithm, more, tspan);
        const slope = grad(f)(constant(dt));
        const expected = centralDifference(f, constant(dt), isFloat64 ? 1e-5 : 1e-2);
        expectClose(slope, expected, isFloat64 ? { rtol: 1e-6, atol: 1e-9 } : { rtol: 2e-2, atol: 2e-3 }); // prettier-ignore
        if (isFloat64) expect(Math.abs(expected[0])).to.be.greaterThan(1e-9);
      });
    });
  }

  it('of a time saved where a step ends', () => {
    tf.tidy(() => {
      const f = (x: tf.Tensor): tf.Tensor => at(x, heun(), { adaptive: false, saveAt: [0, 0.6, 1] });
      // The second derivative jumps there: the error of the difference falls only with its step.
      expectClose(grad(f)(constant(0.3)), centralDifference(f, constant(0.3)), isFloat64 ? { rtol: 1e-4 } : { rtol: 5e-2 }); // prettier-ignore
    });
  });

  it('must be positive', () => {
    tf.tidy(() => {
      expect(() => at(constant(-1), rk4(), {})).to.throw(RangeError, /dt must be a positive number, got -1/);
      expect(() => at(tf.ones([2]), rk4(), {})).to.throw(/dt.*a positive number, or a scalar tensor/);
    });
  });
});
