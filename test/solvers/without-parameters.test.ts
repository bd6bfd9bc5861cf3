import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  anderson,
  fixedPointProblem,
  newtonRaphson,
  nonlinearProblem,
  odeProblem,
  solve,
  tsit5,
} from '../../solvers/index.js';
import { expectClose } from '../support/close.js';

const close = { rtol: 1e-4 };

describe('problems without parameters', () => {
  it('are as those with them', () => {
    tf.tidy(() => {
      const one = tf.tensor1d([1]);
      const decay = odeProblem((u: tf.Tensor) => tf.neg(u), one, [0, 1]);
      expect(decay.p).to.equal(undefined);
      expectClose(solve(decay, tsit5(), { reltol: 1e-6 }).u, [Math.exp(-1)], close);
      const root = nonlinearProblem((u: tf.Tensor) => tf.sub(tf.square(u), 2), one);
      expectClose(solve(root, newtonRaphson()).u, [Math.SQRT2], close);
      // The number whose cosine it is: 0.7390851332151607 (OEIS A003957).
      expectClose(
        solve(
          fixedPointProblem((u: tf.Tensor) => tf.cos(u), one),
          anderson(),
        ).u,
        [0.7390851332151607],
        close,
      );
      expect(() => nonlinearProblem((u: tf.Tensor) => u, 3 as never)).to.throw(TypeError, /u0 must be .* got 3$/);
    });
  });
});
