import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { compile, constant, grad } from '../../../src/index.js';
import {
  backtracking,
  bicgstab,
  bisection,
  brent,
  chord,
  cg,
  dfSane,
  fastShortcut,
  fixedPointProblem,
  gaussNewton,
  gmres,
  implicitAdjoint,
  klement,
  levenbergMarquardt,
  lu,
  newtonKrylov,
  newtonRaphson,
  nonlinearProblem,
  normalCg,
  polyalgorithm,
  pseudoTransient,
  qr,
  robustMultiNewton,
  solve,
  trustRegion,
  type EquilibriumAdjoint,
  type NonlinearAlgorithm,
} from '../../../solvers/index.js';
import { expectClose } from '../../support/close.js';
import { centralDifference } from '../../support/differences.js';
import { isFloat64, tolerance } from '../../support/precision.js';
import '../../support/backend.js';

const ALL: readonly NonlinearAlgorithm[] = [
  newtonRaphson(),
  newtonRaphson({ lineSearch: backtracking() }),
  newtonKrylov(),
  newtonKrylov({ linearSolver: bicgstab() }),
  chord(),
  chord({ keepWhile: Infinity }),
  gaussNewton(),
  trustRegion(),
  levenbergMarquardt(),
  klement(),
  dfSane(),
  pseudoTransient(),
  robustMultiNewton(),
  fastShortcut(),
];

const ROOT2 = Math.SQRT2;
const square2 = (u: tf.Tensor, p: tf.Tensor): tf.Tensor => tf.sub(tf.square(u), p);
const NONE = undefined;

describe('root finders', () => {
  for (const algorithm of ALL) {
    it(`${algorithm.name}: finds roots and fixed points, of tensors and trees`, () => {
      tf.tidy(() => {
        const close = { atol: tolerance({ float32: 2e-5, float64: 1e-9 }) };
        const roots = solve(nonlinearProblem(square2, constant([[1, 1.5], [2, 3]]), constant(2)), algorithm); // prettier-ignore
        expectClose(roots.u, [ROOT2, ROOT2, ROOT2, ROOT2], close, 'roots');
        expect(roots.u.shape).to.deep.equal([2, 2]);
        // Dottie's number: the fixed point of cos.
        const fixed = solve(
          fixedPointProblem((u: tf.Tensor) => tf.cos(u), constant([0.5, 1]), NONE),
          algorithm,
        );
        expectClose(fixed.u, [0.7390851332151607, 0.7390851332151607], close, 'fixed point');
        const circle = ({ x, y }: { x: tf.Tensor; y: tf.Tensor }) => ({
          sum: tf.sub(tf.add(tf.square(x), tf.square(y)), 4),
          difference: tf.sub(y, x),
        });
        const { u } = solve(nonlinearProblem(circle, { x: constant(1), y: constant(2) }, NONE), algorithm);
        expectClose([u.x.dataSync()[0], u.y.dataSync()[0]], [ROOT2, ROOT2], close, 'tree');
      });
    });
  }

  it('newtonRaphson converges quadratically, chord linearly', () => {
    tf.tidy(() => {
      const problem = nonlinearProblem(square2, constant(1.5), constant(2));
      const options = {
        norm: 'l2',
        abstol: tolerance({ float32: 1e-6, float64: 1e-14 }),
        reltol: 0,
        storeTrace: true,
      } as const;
      const residuals = ({ trace, iterations }: { trace: tf.Tensor | undefined; iterations: number }): number[] =>
        Array.from((trace as tf.Tensor).dataSync()).slice(0, iterations + 1);
      const newton = residuals(solve(problem, newtonRaphson(), options));
      // Of u^2 - 2 the residual after a step d is exactly d^2 = (r / 2u)^2, about r^2 / 8.
      for (let k = 1; k < newton.length - 1; k++) {
        expectClose(newton[k] / newton[k - 1] ** 2, 1 / 8, { rtol: 0.15 }, `step ${k}`);
      }
      const fixed = residuals(solve(problem, chord({ keepWhile: Infinity }), options));
      // The rate is |1 - f'(root) / f'(start)| = 1 - sqrt(2) / 1.5.
      for (const k of [2, 3]) expectClose(fixed[k] / fixed[k - 1], 1 - ROOT2 / 1.5, { rtol: tolerance({ float32: 0.1, float64: 0.05 }) }); // prettier-ignore
    });
  });

  it('chord evaluates the Jacobian once where that serves', () => {
    tf.tidy(() => {
      const start = constant([1.4, 1.42, 1.41, 1.5]);
      const { evaluations, iterations } = solve(nonlinearProblem(square2, start, constant(2)), chord());
      expect(evaluations).to.equal(1 + iterations + 4);
    });
  });

  it('a line search brings Newton to the root of atan from where it would diverge', () => {
    tf.tidy(() => {
      const problem = nonlinearProblem((u: tf.Tensor) => tf.atan(u), constant([2]), NONE);
      expect(() => solve(problem, newtonRaphson(), { maxIters: 50 })).to.throw(/newtonRaphson/);
      expectClose(solve(problem, newtonRaphson({ lineSearch: backtracking() })).u, [0], { atol: 1e-5 });
      expectClose(solve(problem, newtonKrylov()).u, [0], { atol: 1e-5 });
    });
  });

  it('newtonKrylov solves the Bratu problem on 64 points with few products, fewer when preconditioned', () => {
    tf.tidy(() => {
      const n = 64;
      const h = 1 / (n + 1);
      // u'' + exp(u) = 0, u(0) = u(1) = 0, divided by n^2.
      const bratu = (u: tf.Tensor): tf.Tensor => {
        const wide = tf.pad(u as tf.Tensor1D, [[1, 1]]);
        const sides = tf.add(tf.slice(wide, [0], [n]), tf.slice(wide, [2], [n]));
        return tf.add(tf.sub(sides, tf.mul(2, u)), tf.mul(constant(h * h), tf.exp(u)));
      };
      const inverse = constant(
        Array.from({ length: n }, (_, i) =>
          // Green's function of the second difference.
          Array.from({ length: n }, (__, j) => -((Math.min(i, j) + 1) * (n - Math.max(i, j))) / (n + 1)),
        ),
      ) as tf.Tensor2D;
      const preconditioner = (r: tf.Tensor): tf.Tensor => tf.reshape(tf.matMul(inverse, tf.reshape<tf.Rank.R2>(r, [n, 1])), [n]); // prettier-ignore
      const options = { abstol: tolerance({ float32: 1e-7, float64: 1e-13 }), reltol: 0 };
      const problem = nonlinearProblem(bratu, tf.zeros([n]), NONE);
      const plain = solve(problem, newtonKrylov({ linearSolver: gmres({ restart: 64 }) }), options);
      const conditioned = solve(problem, newtonKrylov({ linearSolver: gmres({ preconditioner }) }), options);
      // The middle of the lower branch: 2 ln(cosh(t)) with t = cosh(t) / sqrt(8), 0.14053921; the grid is off by O(h^2).
      const middle = Math.max(...Array.from(conditioned.u.dataSync()));
      expectClose(middle, 0.1405392144, { atol: 5e-5 });
      expectClose(plain.u, conditioned.u, { atol: tolerance({ float32: 1e-3, float64: 1e-9 }) });
      expect(conditioned.evaluations).to.be.lessThan(plain.evaluations / 3);
    });
  });

  it('gaussNewton and levenbergMarquardt fit the Misra1a data to the certified values', () => {
    // NIST StRD, nonlinear regression, Misra1a: y = b1 (1 - exp(-b2 x)); start 2; certified to 11 digits.
    const x = [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0];
    const y = [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4, 75.47, 81.78];
    const certified = [238.94212918, 5.5015643181e-4];
    tf.tidy(() => {
      const residual = (u: tf.Tensor): tf.Tensor => {
        const [b1, b2] = tf.unstack(u);
        return tf.sub(tf.mul(b1, tf.sub(1, tf.exp(tf.neg(tf.mul(b2, constant(x)))))), constant(y));
      };
      for (const algorithm of [gaussNewton({ lineSearch: backtracking() }), levenbergMarquardt()]) {
        const { u, retcode } = solve(nonlinearProblem(residual, constant([250, 5e-4]), NONE), algorithm, {
          abstol: 1e-12,
          reltol: 0,
          throwOnFailure: isFloat64,
        });
        expectClose(u, certified, { rtol: tolerance({ float32: 2e-2, float64: 1e-7 }) }, algorithm.name);
        if (isFloat64) expect(retcode, algorithm.name).to.equal('StalledSuccess');
      }
    });
  });

  it('pseudoTransient follows the flow to the rest point that belongs to the start', () => {
    tf.tidy(() => {
      // du/dt = u - u^3 rests at -1, 0 and 1, and flows from 0.1 to 1.
      const flow = (u: tf.Tensor): tf.Tensor => tf.sub(u, tf.mul(u, tf.square(u)));
      const problem = nonlinearProblem(flow, constant([0.1]), NONE);
      expectClose(solve(problem, pseudoTransient({ flow: 'forward', initialStep: 0.5 })).u, [1], { atol: 1e-4 });
      expectClose(solve(problem, newtonRaphson()).u, [0], { atol: 1e-4 });
    });
  });

  it('a polyalgorithm goes on where one gives up, and reports what all spent', () => {
    tf.tidy(() => {
      const problem = nonlinearProblem((u: tf.Tensor) => tf.atan(u), constant([2]), NONE);
      const both = polyalgorithm([newtonRaphson(), newtonRaphson({ lineSearch: backtracking() })]);
      const options = { maxIters: 40, throwOnFailure: false } as const;
      const { u, evaluations, retcode } = solve(problem, both, options);
      expectClose(u, [0], { atol: 1e-5 });
      expect(retcode).to.equal('Success');
      const [first, second] = [newtonRaphson(), newtonRaphson({ lineSearch: backtracking() })].map(
        (algorithm) => solve(problem, algorithm, options).evaluations,
      );
      expect(evaluations).to.equal(first + second);
      const impossible = nonlinearProblem((x: tf.Tensor) => tf.add(tf.square(x), 1), constant([1]), NONE);
      expect(() => solve(impossible, both, { maxIters: 40 })).to.throw(/none of its algorithms.*newtonRaphson: /);
    });
  });

  it('is differentiable to second order, also through a compiled function', () => {
    tf.tidy(() => {
      const p = constant([2, 0.7]);
      const f = (u: tf.Tensor, q: tf.Tensor): tf.Tensor =>
        tf.sub(tf.add(tf.mul(u, tf.square(u)), tf.mul(u, tf.sum(q))), tf.exp(q));
      const options = { abstol: tolerance({ float32: 1e-6, float64: 1e-13 }), reltol: 0 };
      for (const algorithm of [newtonRaphson(), newtonKrylov()]) {
        const loss = compile((q: tf.Tensor): tf.Tensor => tf.sum(tf.square(solve(nonlinearProblem(f, constant([1, 1]), q), algorithm, options).u))); // prettier-ignore
        const slope = grad(loss);
        expectClose(slope(p), centralDifference(loss, p), { rtol: tolerance({ float32: 2e-2, float64: 1e-8 }), atol: tolerance({ float32: 1e-2, float64: 1e-9 }) }); // prettier-ignore
        if (!isFloat64) continue;
        const along = compile((q: tf.Tensor): tf.Tensor => tf.sum(tf.mul(slope(q), constant([1, -2]))));
        expectClose(grad(along)(p), centralDifference(along, p), { rtol: 1e-6, atol: 1e-8 }, 'second');
      }
    });
  });

  it('any of the linear solvers serves the implicit derivative, of roots and of fixed points', () => {
    tf.tidy(() => {
      const p = constant([0.3, 0.7]);
      const map = (u: tf.Tensor, q: tf.Tensor): tf.Tensor =>
        tf.tanh(tf.add(tf.mul(tf.sum(u), constant([0.4, -0.2])), q));
      const residual = (u: tf.Tensor, q: tf.Tensor): tf.Tensor => tf.sub(map(u, q), u);
      const options = { abstol: tolerance({ float32: 1e-6, float64: 1e-13 }), reltol: 0 };
      const close = { rtol: tolerance({ float32: 2e-2, float64: 1e-8 }) };
      const asRoot = (q: tf.Tensor, adjoint: EquilibriumAdjoint): tf.Tensor =>
        tf.sum(
          tf.square(solve(nonlinearProblem(residual, tf.zeros([2]), q), newtonRaphson(), { ...options, adjoint }).u),
        );
      const asFixed = (q: tf.Tensor, adjoint: EquilibriumAdjoint): tf.Tensor =>
        tf.sum(tf.square(solve(fixedPointProblem(map, tf.zeros([2]), q), newtonKrylov(), { ...options, adjoint }).u));
      const expected = centralDifference((q) => asRoot(q, implicitAdjoint()), p);
      for (const linearSolver of [gmres(), bicgstab(), normalCg(), lu(), qr()]) {
        const adjoint = implicitAdjoint({ linearSolver });
        for (const loss of [asRoot, asFixed]) {
          expectClose(
            grad((q: tf.Tensor) => loss(q, adjoint))(p),
            expected,
            close,
            `${linearSolver.name} ${loss.name}`,
          );
        }
      }
    });
  });

  it('each row of a batch takes the iterations that it takes alone', () => {
    tf.tidy(() => {
      const p = { x: constant([[2], [1e4], [5]]) };
      const f = (u: tf.Tensor, q: { x: tf.Tensor }): tf.Tensor => tf.sub(tf.square(u), q.x);
      const along = ((q: { x: tf.Tensor }) => q.x) as never;
      for (const algorithm of [newtonRaphson(), newtonKrylov(), trustRegion(), dfSane()]) {
        const batch = solve(nonlinearProblem(f, tf.ones([3, 1]), p), algorithm, { batch: 'independent', along });
        const alone = [2, 1e4, 5].map((x) =>
          solve(nonlinearProblem(f, tf.ones([1, 1]), { x: constant([[x]]) }), algorithm),
        );
        expectClose(tf.square(batch.u), [2, 1e4, 5], { rtol: 1e-4 }, algorithm.name);
        expect(batch.samples.map(({ iterations }) => iterations)).to.deep.equal(
          alone.map(({ iterations }) => iterations),
        );
        expect(new Set(batch.samples.map(({ evaluations }) => evaluations)).size, algorithm.name).to.be.greaterThan(1);
      }
    });
  });

  it('leaks nothing', () => {
    const once = (): void => {
      tf.tidy(() => {
        for (const algorithm of ALL) solve(nonlinearProblem(square2, constant([1, 1.5]), constant(2)), algorithm);
      });
    };
    once();
    const before = tf.memory();
    once();
    expect(tf.memory().numTensors).to.equal(before.numTensors);
    expect(tf.memory().numDataBuffers).to.equal(before.numDataBuffers);
  });
});

describe('bracketing methods', () => {
  const close = { atol: tolerance({ float32: 3e-5, float64: 1e-12 }) };
  for (const method of [bisection, brent]) {
    it(`${method.name}: finds the root in the bracket, whichever way round`, () => {
      tf.tidy(() => {
        const dottie = nonlinearProblem((u: tf.Tensor) => tf.sub(tf.cos(u), u), constant(0), NONE);
        for (const bracket of [
          [0, 2],
          [2, 0],
          [-5, 1],
        ] as const) {
          // prettier-ignore
          expectClose(solve(dottie, method({ bracket })).u, 0.7390851332151607, close);
        }
        // A root at the end, and one that only the precision of numbers bounds.
        const cubic = nonlinearProblem((u: tf.Tensor) => tf.mul(u, tf.square(u)), constant(0), NONE);
        expect(solve(cubic, method({ bracket: [0, 1] })).retcode).to.equal('ExactSolutionLeft');
        expect(solve(cubic, method({ bracket: [-1, 0] })).retcode).to.equal('ExactSolutionRight');
        const steep = nonlinearProblem((u: tf.Tensor) => tf.mul(1e6, tf.sub(tf.exp(u), 3)), constant(0), NONE);
        const { u, retcode } = solve(steep, method({ bracket: [0, 3] }), { abstol: 1e-30, reltol: 0 });
        expectClose(u, Math.log(3), close);
        expect(retcode).to.be.oneOf(['FloatingPointLimit', 'Success']);
      });
    });

    it(`${method.name}: takes the rows of a batch, and has a derivative`, () => {
      tf.tidy(() => {
        const p = constant([[2], [3], [5]]);
        const root = (q: tf.Tensor): tf.Tensor => {
          const problem = nonlinearProblem(
            (u: tf.Tensor, a: { x: tf.Tensor }) => tf.sub(tf.square(u), a.x),
            tf.zeros([3, 1]),
            { x: q },
          );
          const along = (a: { x: tf.Tensor }): tf.Tensor => a.x;
          return solve(problem, method({ bracket: [1, 4] }), { batch: 'independent', along: along }).u;
        };
        expectClose(root(p), [Math.SQRT2, Math.sqrt(3), Math.sqrt(5)], close);
        const slope = grad((q: tf.Tensor) => tf.sum(root(q)))(p);
        expectClose(slope, [2, 3, 5].map((x) => 0.5 / Math.sqrt(x)), { rtol: 1e-5 }); // prettier-ignore
      });
    });

    it(`${method.name}: says when the signs are the same`, () => {
      tf.tidy(() => {
        const problem = nonlinearProblem((u: tf.Tensor) => tf.add(tf.square(u), 1), constant(0), NONE);
        expect(() => solve(problem, method({ bracket: [0, 2] }))).to.throw(/same sign.*1 at 0, 5 at 2.*InitialFailure/);
        expect(() => method({ bracket: [1, 1] })).to.throw(/two different finite numbers/);
        const two = nonlinearProblem((u: tf.Tensor) => u, constant([1, 2]), NONE);
        expect(() => solve(two, method({ bracket: [0, 1] }))).to.throw(/one unknown; the state is \[2\]/);
      });
    });
  }

  it('brent needs far fewer evaluations than bisection', () => {
    tf.tidy(() => {
      const problem = nonlinearProblem((u: tf.Tensor) => tf.sub(tf.cos(u), u), constant(0), NONE);
      const spent = [bisection, brent].map((method) => solve(problem, method({ bracket: [0, 2] })).evaluations);
      expect(spent[1]).to.be.lessThan(spent[0] / 1.8);
    });
  });
});

describe('root finders say what is wrong', () => {
  it('with a singular Jacobian', () => {
    tf.tidy(() => {
      const f = (u: tf.Tensor): tf.Tensor => tf.mul(constant([1, 1]), tf.sum(u));
      expect(() => solve(nonlinearProblem(f, constant([1, 2]), NONE), newtonRaphson())).to.throw(
        /Jacobian is singular at iteration 0/,
      );
      const without = (u: tf.Tensor): tf.Tensor => tf.stack([tf.sub(tf.slice(u, [0], [1]).sum(), 1), tf.scalar(1)]);
      expect(() => solve(nonlinearProblem(without, constant([2, 2]), NONE), newtonRaphson())).to.throw(
        /does not depend on unknown 1/,
      );
      expect(() => solve(nonlinearProblem(without, constant([2, 2]), NONE), newtonKrylov())).to.throw(
        /linear system of iteration|no step/,
      );
    });
  });

  it('with a residual of another shape, naming both', () => {
    tf.tidy(() => {
      const f = (u: tf.Tensor): tf.Tensor => tf.concat([u, u]);
      for (const algorithm of [
        newtonRaphson(),
        newtonKrylov(),
        trustRegion(),
        klement(),
        dfSane(),
        pseudoTransient(),
      ]) {
        expect(() => solve(nonlinearProblem(f, constant([1, 2]), NONE), algorithm), algorithm.name).to.throw(
          /\[2\].*\[4\]/,
        );
      }
      const fewer = nonlinearProblem((u: tf.Tensor) => tf.sum(u), constant([1, 2]), NONE);
      expect(() => solve(fewer, gaussNewton())).to.throw(/fewer equations \(1\) than unknowns \(2\)/);
      expectClose(tf.sum(solve(fewer, levenbergMarquardt()).u), 0, { atol: 1e-5 });
    });
  });

  it('with NaN', () => {
    tf.tidy(() => {
      const problem = nonlinearProblem((u: tf.Tensor) => tf.log(u), constant([-1, 2]), NONE);
      for (const algorithm of ALL) expect(() => solve(problem, algorithm), algorithm.name).to.throw(/Unstable/);
    });
  });

  it('at a local minimum of |f|', () => {
    tf.tidy(() => {
      const problem = nonlinearProblem((u: tf.Tensor) => tf.add(tf.square(u), 1), constant([3]), NONE);
      for (const algorithm of [trustRegion(), levenbergMarquardt()]) {
        expect(() => solve(problem, algorithm), algorithm.name).to.throw(/no root|no longer falls|shrank/);
      }
    });
  });

  it('with options that do not fit', () => {
    expect(() => newtonRaphson({ linesearch: backtracking() } as never)).to.throw(/did you mean "lineSearch"/);
    expect(() => trustRegion({ radiusUpdate: 'bold' as never })).to.throw(/one of "simple"/);
    expect(() => newtonKrylov({ linearSolver: newtonRaphson() as never })).to.throw(/a matrix-free method/);
    expect(() => backtracking({ lower: 0.6 })).to.throw(/lower = 0.6/);
    expect(() => dfSane({ sigmaMin: 2, sigmaMax: 1 })).to.throw(/sigmaMin/);
    expect(() => polyalgorithm([])).to.throw(/at least one/);
    expect(() => polyalgorithm([cg as never])).to.throw(/element 0/);
  });
});
