import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { constant, grad, compile } from '../../../src/index.js';
import {
  bicgstab,
  cg,
  gmres,
  linearProblem,
  lu,
  normalCg,
  qr,
  solve,
  type NonlinearAlgorithm,
  type NonlinearSolution,
} from '../../../solvers/index.js';
import { expectClose } from '../../support/close.js';
import { centralDifference } from '../../support/differences.js';
import { isFloat64, tolerance } from '../../support/precision.js';
import '../../support/backend.js';

type Numbers = number[][];

const n = 12;
const grid = (m: number, k: number, f: (i: number, j: number) => number): Numbers =>
  Array.from({ length: m }, (_, i) => Array.from({ length: k }, (__, j) => f(i, j)));

/** Not symmetric, well conditioned. */
const GENERAL = grid(n, n, (i, j) => (i === j ? 4 + i / 10 : 1 / (1 + (i - j) ** 2) + (i < j ? 0.3 : 0)));
/** Minus the second difference: symmetric, positive definite. */
const LAPLACE = grid(n, n, (i, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0));
const SOLUTION = Array.from({ length: n }, (_, i) => Math.sin(i + 1));

const times = (A: Numbers, x: readonly number[]): number[] => A.map((row) => row.reduce((s, a, j) => s + a * x[j], 0));
const matrix = (A: Numbers): tf.Tensor2D => constant(A) as tf.Tensor2D;
const product = (A: tf.Tensor, x: tf.Tensor): tf.Tensor =>
  tf.reshape(tf.matMul(A as tf.Tensor2D, tf.reshape<tf.Rank.R2>(x, [-1, 1])), [-1]);

const CLOSE = { rtol: tolerance({ float32: 2e-4, float64: 1e-9 }), atol: tolerance({ float32: 2e-4, float64: 1e-9 }) };
/** Well within reach of either precision. */
const TOLERANCE = {
  abstol: tolerance({ float32: 1e-6, float64: 1e-12 }),
  reltol: tolerance({ float32: 1e-5, float64: 1e-12 }),
};

const METHODS: readonly (readonly [string, NonlinearAlgorithm, Numbers])[] = [
  ['lu', lu(), GENERAL],
  ['qr', qr(), GENERAL],
  ['gmres', gmres(), GENERAL],
  ['gmres, restarted every 5', gmres({ restart: 5 }), GENERAL],
  ['bicgstab', bicgstab(), GENERAL],
  ['normalCg', normalCg(), GENERAL],
  ['cg', cg(), LAPLACE],
  ['cg of a negative definite operator', cg(), LAPLACE.map((row) => row.map((x) => -x))],
];

describe('linear systems', () => {
  for (const [name, algorithm, A] of METHODS) {
    it(`${name}: with a matrix and with a function`, () => {
      tf.tidy(() => {
        const b = constant(times(A, SOLUTION));
        const byMatrix = solve(linearProblem(matrix(A), b), algorithm, TOLERANCE);
        expectClose(byMatrix.u, SOLUTION, CLOSE, 'matrix');
        const map = (x: tf.Tensor, p: tf.Tensor): tf.Tensor => product(p, x);
        const byFunction = solve(linearProblem(map, b, { p: matrix(A) }), algorithm, TOLERANCE);
        expectClose(byFunction.u, SOLUTION, CLOSE, 'function');
        expect(byFunction.retcode).to.equal('Success');
      });
    });
  }

  it('solves for several right-hand sides at once, and from a start', () => {
    tf.tidy(() => {
      const X = grid(n, 2, (i, j) => Math.cos(i + 3 * j));
      const b = tf.matMul(matrix(GENERAL), matrix(X));
      expectClose(solve(linearProblem(matrix(GENERAL), b), gmres(), TOLERANCE).u, X.flat(), CLOSE);
      const { iterations } = solve(linearProblem(matrix(GENERAL), b, { x0: matrix(X) }), gmres(), TOLERANCE);
      expect(iterations).to.equal(0);
    });
  });

  it('solves for a tree of unknowns', () => {
    tf.tidy(() => {
      // 2 a + sum(c) = 7, c_i - a = i: a = 1 with c = (1, 2, 2 + ...).
      const map = ({ a, c }: { a: tf.Tensor; c: tf.Tensor }) => ({
        a: tf.add(tf.mul(2, a), tf.sum(c)),
        c: tf.sub(c, a),
      });
      const b = { a: constant(8), c: constant([0, 1, 2]) };
      const { u } = solve(linearProblem(map, b), gmres(), TOLERANCE);
      expectClose(u.a, [1], CLOSE);
      expectClose(u.c, [1, 2, 3], CLOSE);
    });
  });

  it('qr and normalCg solve least squares, and qr gives the least norm where there is a choice', () => {
    tf.tidy(() => {
      // The line through (0, 1), (1, 3), (2, 4), (3, 4): y = 1.5 + t by the normal equations 4 a + 6 b = 12, 6 a + 14 b = 23.
      const A = matrix([[1, 0], [1, 1], [1, 2], [1, 3]]); // prettier-ignore
      for (const algorithm of [qr(), normalCg()]) {
        const { u, retcode } = solve(linearProblem(A, constant([1, 3, 4, 4])), algorithm, TOLERANCE);
        expectClose(u, [1.5, 1], CLOSE, algorithm.name);
        expect(retcode, algorithm.name).to.equal('StalledSuccess');
      }
      const singular = solve(linearProblem(matrix([[1, 1], [1, 1]]), constant([2, 2])), qr(), TOLERANCE); // prettier-ignore
      expectClose(singular.u, [1, 1], CLOSE);
    });
  });

  it('a preconditioner saves iterations', () => {
    tf.tidy(() => {
      const scales = Array.from({ length: n }, (_, i) => 10 ** (i / 4));
      const A = GENERAL.map((row, i) => row.map((x) => x * scales[i]));
      const b = constant(times(A, SOLUTION));
      const divide = (r: tf.Tensor): tf.Tensor => tf.div(r, constant(A.map((row, i) => row[i])));
      for (const method of [gmres, bicgstab]) {
        const options = { ...TOLERANCE, reltol: 1e-4 };
        const plain = solve(linearProblem(matrix(A), b), method(), options);
        const conditioned = solve(linearProblem(matrix(A), b), method({ preconditioner: divide }), options);
        expect(conditioned.iterations).to.be.lessThan(plain.iterations);
      }
      const weights = Array.from({ length: n }, (_, i) => 4 ** (i % 3));
      const scaled = LAPLACE.map((row, i) => row.map((x, j) => x * weights[i] * weights[j]));
      const right = constant(times(scaled, SOLUTION));
      const diagonal = (r: tf.Tensor): tf.Tensor => tf.div(r, constant(scaled.map((row, i) => row[i])));
      const options = { ...TOLERANCE, maxIters: 200 };
      const plain = solve(linearProblem(matrix(scaled), right), cg(), options);
      const conditioned = solve(linearProblem(matrix(scaled), right), cg({ preconditioner: diagonal }), options);
      expectClose(conditioned.u, SOLUTION, { rtol: 10 * CLOSE.rtol, atol: 10 * CLOSE.atol });
      expect(conditioned.iterations).to.be.lessThan(plain.iterations);
    });
  });

  it('counts and traces the iterations of a Krylov method', () => {
    tf.tidy(() => {
      const b = constant(times(LAPLACE, SOLUTION));
      const { trace, iterations, residual } = solve(linearProblem(matrix(LAPLACE), b), gmres(), {
        ...TOLERANCE,
        storeTrace: true,
        maxIters: 40,
      });
      // The second difference has n different eigenvalues: GMRES needs no more steps.
      expect(iterations).to.be.at.most(n + 1);
      const norms = Array.from((trace as tf.Tensor).dataSync()).slice(0, iterations + 1);
      for (let k = 1; k < norms.length; k++) expect(norms[k]).to.be.at.most(norms[k - 1] * 1.0001);
      expectClose(norms[iterations], residual, { rtol: 1e-6 });
    });
  });

  it('is differentiable to second order', () => {
    tf.tidy(() => {
      const small = matrix(GENERAL.slice(0, 3).map((row) => row.slice(0, 3)));
      const b = constant([1, -2, 0.5]);
      const options = { abstol: 0, reltol: tolerance({ float32: 1e-6, float64: 1e-13 }) };
      for (const algorithm of [gmres(), lu()]) {
        const f = (A: tf.Tensor2D, right: tf.Tensor): tf.Tensor =>
          tf.sum(tf.square(solve(linearProblem(A, right), algorithm, options).u));
        const value = compile(f);
        const close = {
          rtol: tolerance({ float32: 5e-2, float64: 1e-7 }),
          atol: tolerance({ float32: 5e-3, float64: 1e-8 }),
        };
        const dA = (A: tf.Tensor2D): tf.Tensor => grad((M: tf.Tensor2D) => f(M, b))(A);
        expectClose(
          dA(small),
          centralDifference((A) => value(A as tf.Tensor2D, b), small),
          close,
          'dA',
        );
        expectClose(
          grad((x: tf.Tensor) => f(small, x))(b),
          centralDifference((x) => value(small, x), b),
          close,
          'db',
        );
        if (!isFloat64) continue;
        const slope = compile((A: tf.Tensor2D): tf.Tensor => tf.sum(tf.square(dA(A))));
        const numeric = centralDifference((A) => slope(A as tf.Tensor2D), small);
        expectClose(grad((A: tf.Tensor2D) => slope(A))(small), numeric, { rtol: 1e-5, atol: 1e-6 }, 'second');
      }
    });
  });

  it('runs inside a compiled function, and leaks nothing', () => {
    const run = compile((A: tf.Tensor2D, b: tf.Tensor) => solve(linearProblem(A, b), gmres(), TOLERANCE).u);
    const [A, b] = [matrix(GENERAL), constant(times(GENERAL, SOLUTION))];
    const once = (): void => {
      tf.tidy(() => {
        expectClose(run(A, b), SOLUTION, CLOSE);
        const preconditioner = (r: tf.Tensor): tf.Tensor => tf.div(r, constant(GENERAL.map((row, i) => row[i])));
        solve(linearProblem(A, b), bicgstab({ preconditioner }), TOLERANCE);
      });
    };
    once();
    const before = tf.memory().numTensors;
    once();
    expect(tf.memory().numTensors).to.equal(before);
  });

  describe('says what is wrong', () => {
    const ones = [[1, 1], [1, 1]]; // prettier-ignore
    const attempt = (A: Numbers, b: number[], algorithm: NonlinearAlgorithm): NonlinearSolution<tf.Tensor> =>
      solve(linearProblem(matrix(A), constant(b)), algorithm, { ...TOLERANCE, maxIters: 50 });

    it('with a singular matrix', () => {
      tf.tidy(() => {
        expect(() => attempt(ones, [1, 2], lu())).to.throw(/lu.*matrix is singular/);
        expect(() => attempt(ones, [1, 2], gmres())).to.throw(/gmres.*singular/);
        expect(() => attempt(ones, [1, 2], bicgstab())).to.throw(/bicgstab/);
        expect(() => attempt(ones, [1, 2], normalCg())).to.throw(/normalCg.*no solution/);
      });
    });

    it('with an indefinite matrix for cg', () => {
      tf.tidy(() => {
        const indefinite = [[1, 0, 0], [0, -1, 0], [0, 0, 2]]; // prettier-ignore
        expect(() => attempt(indefinite, [1, 1, 1], cg())).to.throw(/not definite/);
      });
    });

    it('with shapes that do not fit', () => {
      tf.tidy(() => {
        expect(() => linearProblem(tf.ones([2, 2]), constant([1, 2, 3]))).to.throw(/\[2\] or \[2, k\].*\[3\]/);
        expect(() => linearProblem(tf.ones([2]), constant([1, 2]))).to.throw(/matrix \[m, n\], got shape \[2\]/);
        const widening = linearProblem((x: tf.Tensor) => tf.concat([x, x]), constant([1, 2]));
        expect(() => solve(widening, gmres())).to.throw(/A\(x\) must be like b: b is \[2\], A\(x\) is \[4\]/);
        expect(() => solve(linearProblem(tf.ones([3, 2]), constant([1, 2, 3])), gmres())).to.throw(/least squares/);
        const bad = gmres({ preconditioner: (r) => tf.sum(r) });
        expect(() => solve(linearProblem(matrix(LAPLACE), constant(SOLUTION)), bad)).to.throw(
          /preconditioner.*\[12\], got \[\]/,
        );
      });
    });

    it('with a function that is not linear', () => {
      tf.tidy(() => {
        const problem = linearProblem((x: tf.Tensor) => tf.exp(x), constant([1, 2]));
        expect(() => solve(problem, gmres())).to.throw(/not linear/);
      });
    });

    it('with options that are not there', () => {
      expect(() => gmres({ restarts: 3 } as never)).to.throw(/did you mean "restart"/);
      expect(() => normalCg({ preconditioner: (r: tf.Tensor) => r } as never)).to.throw(
        /unknown option "preconditioner"/,
      );
    });
  });
});
