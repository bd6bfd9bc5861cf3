import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { anderson, fixedPointProblem, solve, type NonlinearSolution } from '../../../solvers/index.js';
import { reducedRank } from '../../../solvers/linear/reduced-rank.js';
import { compile, constant, type Tensor } from '../../../src/index.js';
import { expectClose } from '../../support/close.js';
import { isFloat64, tolerance } from '../../support/precision.js';

const n = 40;
type Matrix = number[][];
const matrix = (f: (i: number, j: number) => number): Matrix =>
  Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => f(i, j)));

/** A symmetric orthogonal matrix without a zero: a Householder reflection. */
const v = Array.from({ length: n }, (_, i) => Math.sin(i + 1) + 1.5);
const vv = v.reduce((s, x) => s + x * x, 0);
const Q = matrix((i, j) => (i === j ? 1 : 0) - (2 * v[i] * v[j]) / vv);
const symmetric = (eigenvalue: (k: number) => number): Matrix =>
  matrix((i, j) => Q.reduce((s, row, k) => s + eigenvalue(k) * row[i] * row[j], 0));
/** Eigenvalues all round a circle. */
const rotation = (radius: number): Matrix => matrix((i, j) => (j === (i + 1) % n ? radius : 0));

const B = Array.from({ length: n }, (_, i) => Math.cos(3 * i) + 0.2);
const problem = (J: Matrix, b: readonly number[] = B) => {
  const A = constant(J) as tf.Tensor2D;
  const c = constant(b);
  return fixedPointProblem((x: Tensor) => tf.add(c, tf.reshape(tf.matMul(A, tf.reshape(x, [n, 1])), [n])), c);
};

/** |b + J x - x| / |x|, in double precision. */
function trueResidual(J: Matrix, u: Tensor): number {
  const x = Array.from(u.dataSync());
  const r = J.map((row, i) => row.reduce((s, a, j) => s + a * x[j], B[i] - x[i]));
  return Math.hypot(...r) / Math.hypot(...x);
}

const RELTOL = tolerance({ float32: 1e-5, float64: 1e-10 });
const options = { abstol: 0, reltol: RELTOL, maxIters: 100 };

describe('reduced rank extrapolation', () => {
  const cases: readonly (readonly [string, Matrix])[] = [
    ['eigenvalues from -0.8 to 0.8', symmetric((k) => -0.8 + (1.6 * k) / (n - 1))],
    ['eigenvalues from 0 to 0.95', symmetric((k) => (0.95 * k) / (n - 1))],
    ['one eigenvalue near 1', symmetric((k) => (k === 7 ? 0.99 : 0.2 * Math.sin(k)))],
    ['eigenvalues below -1', symmetric((k) => -1.5 + (2 * k) / (n - 1))],
    ['eigenvalues round a circle', rotation(0.6)],
    [
      'not normal',
      matrix((i, j) => (j > i && j < i + 6 ? 0.15 * Math.sin(i + 7 * j) : i === j ? 0.4 * Math.cos(i) : 0)),
    ],
    ['zero', matrix(() => 0)],
  ];
  for (const [name, J] of cases) {
    it(`meets the tolerance with no more products than Anderson acceleration: ${name}`, () => {
      tf.tidy(() => {
        const found = solve(problem(J), reducedRank(), options);
        expect(found.retcode).to.equal('Success');
        // The residual of what is returned is estimated.
        expect(trueResidual(J, found.u)).to.be.at.most(1.5 * RELTOL);
        const rival = solve(problem(J), anderson(), options);
        // In single precision the order of summation, another on each backend, moves both counts.
        if (isFloat64)
          expect(found.evaluations).to.be.at.most(rival.evaluations + (name === 'eigenvalues below -1' ? 2 : 0));
      });
    });
  }

  it('meets the tolerance for a long state, of which it keeps fewer differences', () => {
    tf.tidy(() => {
      const length = 20_000;
      const slopes = constant(Array.from({ length }, (_, i) => 0.8 * Math.sin(i)));
      const b = constant(Array.from({ length }, (_, i) => Math.cos(3 * i) + 0.2));
      const affine = fixedPointProblem((x: Tensor) => tf.add(b, tf.mul(slopes, x)), b);
      const found = solve(affine, reducedRank(), options);
      const exact = tf.div(b, tf.sub(1, slopes));
      // (I - J)^-1 makes at most five of a residual here.
      const off = tf.div(tf.norm(tf.sub(found.u, exact)), tf.norm(exact)).dataSync()[0];
      expect(off).to.be.at.most(5 * 1.5 * RELTOL);
    });
  });

  it('meets the tolerance where the products first grow', () => {
    tf.tidy(() => {
      const J = matrix((i, j) => (j > i ? 0.3 * Math.sin(i + 7 * j) : i === j ? 0.4 * Math.cos(i) : 0));
      const found = solve(problem(J), reducedRank(), options);
      expect(trueResidual(J, found.u)).to.be.at.most(3 * RELTOL);
    });
  });

  it('finds a solution in a Krylov space as soon as the products span it, but for one', () => {
    tf.tidy(() => {
      const values = [0.9, -0.7, 0.4];
      const J = symmetric((k) => values[k % 3]);
      const reltol = tolerance({ float32: 1e-3, float64: 1e-5 });
      const { u, evaluations } = solve(problem(J), reducedRank(), { ...options, reltol });
      expect(evaluations).to.be.at.most(4);
      expect(trueResidual(J, u)).to.be.below(reltol);
    });
  });

  it('needs no product to check its result: a solve to r takes as many as the plain iteration needs to reach r', () => {
    tf.tidy(() => {
      // |J^k b| = 0.6^k |b| exactly, and nothing accelerates: the state after k products has the residual 0.6^(k + 1) |b|.
      const J = rotation(0.6);
      const { u, evaluations } = solve(problem(J), reducedRank(), { ...options, reltol: 1e-3 });
      const size = Math.hypot(...u.dataSync()) / Math.hypot(...B);
      expect(evaluations).to.be.at.most(Math.ceil(Math.log(1e-3 * size) / Math.log(0.6)) - 1);
      expect(trueResidual(J, u)).to.be.at.most(1e-3);
    });
  });

  it('gives up early where its iterations will not be enough', () => {
    tf.tidy(() => {
      const found: NonlinearSolution<Tensor> = solve(problem(rotation(0.99)), reducedRank(), { ...options, throwOnFailure: false }); // prettier-ignore
      expect(found.retcode).to.equal('Stalled');
      expect(found.evaluations).to.be.below(20);
    });
  });

  it('knows the solution zero', () => {
    tf.tidy(() => {
      const zero = new Array<number>(n).fill(0);
      const { u, evaluations } = solve(problem(rotation(0.5), zero), reducedRank(), options);
      expectClose(u, zero);
      expect(evaluations).to.equal(1);
    });
  });

  it('solves again as it solved first', () => {
    tf.tidy(() => {
      const [hard, easy] = [symmetric((k) => (0.95 * k) / (n - 1)), rotation(0.3)];
      const run = compile((J: Tensor, c: Tensor) => {
        const f = (x: Tensor): Tensor => tf.add(c, tf.reshape(tf.matMul(J as tf.Tensor2D, tf.reshape(x, [n, 1])), [n]));
        const { u, statistics } = solve(fixedPointProblem(f, c), reducedRank(), options);
        return { u, statistics };
      });
      const first = [hard, easy].map((J) => run(constant(J), constant(B)));
      const second = [easy, hard, easy].map((J) => run(constant(J), constant(B)));
      for (const [a, b] of [[first[0], second[1]], [first[1], second[0]], [first[1], second[2]]]) {
        expectClose(b.u, a.u);
        expectClose(b.statistics, a.statistics);
      } // prettier-ignore
    });
  });
});
