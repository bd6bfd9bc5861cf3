import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as algorithms from '../../../solvers/ode/algorithms.js';
import { odeProblem, solve, type OdeAlgorithm, type OdeOptions } from '../../../solvers/index.js';
import {
  detest,
  diffraxStepCounts,
  lotkaVolterra,
  slopeProblems,
  type ReferenceProblem,
  type SlopeProblem,
} from '../../reference/problems.js';
import { expectClose } from '../../support/close.js';
import { odexSolve } from '../../support/odex-oracle.js';
import { isFloat64, tolerance } from '../../support/precision.js';

const methods = Object.values(algorithms).map((make) => make());

function finalError({ f, u0, tspan, exact }: ReferenceProblem, algorithm: OdeAlgorithm, options: OdeOptions): number {
  return tf.tidy(() => {
    const { u } = solve(odeProblem(f, tf.tensor1d([...u0]), tspan, {}), algorithm, options);
    return Math.max(...Array.from(u.dataSync()).map((x, i) => Math.abs(x - exact[i])));
  });
}

/** The largest error over eight times, all of them ends of steps. */
function pathError({ f, u0, tspan: [t0, t1], solution }: SlopeProblem, algorithm: OdeAlgorithm, steps: number): number {
  return tf.tidy(() => {
    const saveAt = Array.from({ length: 8 }, (_, i) => t0 + ((i + 1) * (t1 - t0)) / 8);
    const problem = odeProblem(f, tf.tensor1d([...u0]), [t0, t1], {});
    const u = solve(problem, algorithm, { adaptive: false, dt: (t1 - t0) / steps, saveAt, maxIters: 1e6 }).u.dataSync();
    return Math.max(...saveAt.flatMap(solution as never).map((x, i) => Math.abs(u[i] - (x as number))));
  });
}

describe('solve: order of convergence', () => {
  for (const algorithm of methods) {
    for (const problem of slopeProblems) {
      const { order } = algorithm.tableau;
      it(`${algorithm.name} on the ${problem.name} problem has slope ${order}`, function () {
        // Below about 1e-6 single precision shows rounding, not the method.
        if (!isFloat64) return this.skip();
        // The next term of a fifth-order pair fades slowly: its slope is clean only just above rounding.
        const finest = [NaN, 13, 10, 9, 8, problem.name === 'nonlinear' ? 8 : 9][order];
        const [coarse, fine] = [finest - 1, finest].map((k) => pathError(problem, algorithm, 2 ** k));
        expect(Math.log2(coarse / fine)).to.be.within(order - 0.1, order + 0.1);
        return undefined;
      });
    }
  }

  it('of fixed steps in single precision, as far as it reaches', function () {
    if (isFloat64) return this.skip();
    for (const algorithm of methods.filter(({ tableau }) => tableau.order <= 2)) {
      const [coarse, fine] = [32, 64].map((steps) => pathError(slopeProblems[1], algorithm, steps));
      expect(Math.log2(coarse / fine), algorithm.name).to.be.within(
        algorithm.tableau.order - 0.2,
        algorithm.tableau.order + 0.2,
      );
    }
    return undefined;
  });
});

describe('solve: DETEST at t = 20', () => {
  for (const problem of detest) {
    for (const algorithm of methods.filter(({ tableau }) => tableau.e !== undefined && tableau.order >= 3)) {
      it(`${problem.name} by ${algorithm.name}`, () => {
        const reltol = tolerance({ float32: 1e-5, float64: 1e-8 });
        const error = finalError(problem, algorithm, { reltol, abstol: reltol });
        // The global error of these problems stays within 2 to 3.5 orders of the local tolerance (the Kepler orbit's
        // phase drifts most).
        expect(error).to.be.below(tolerance({ float32: 3e-2, float64: algorithm.tableau.order < 5 ? 1e-5 : 2e-6 }));
      });
    }
  }
});

describe('solve: step counts of diffrax (Tsit5, I-controller)', () => {
  const end = odexSolve((_, [x, y]) => [1.5 * x - x * y, x * y - 3 * y], [1, 1], [0, 10], 1e-13);

  for (const { reltol, accepted, rejected, error } of diffraxStepCounts) {
    it(`reltol ${reltol}: ${accepted} + ${rejected}`, function () {
      // In single precision the error estimate itself is rounding below 1e-5.
      if (!isFloat64 && reltol < 1e-5) return this.skip();
      tf.tidy(() => {
        const problem = odeProblem(lotkaVolterra, tf.tensor1d([1, 1]), [0, 10], tf.tensor1d([1.5, 1, 3, 1]));
        const { u, stats } = solve(problem, algorithms.tsit5(), { reltol, abstol: reltol / 1000, dt: 0.01 });
        // At 1e-3 the few large steps depend on the rounding of the very first estimates: 33 in single precision.
        const allowed = tolerance({ float32: reltol === 1e-3 ? 3 : 2, float64: 2 });
        expect(Math.abs(stats.steps - accepted - rejected)).to.be.at.most(allowed);
        expect(Math.abs(stats.accepted - accepted)).to.be.at.most(2);
        // FSAL: one slope at the start, six more for each step tried.
        expect(stats.evaluations).to.equal(1 + 6 * stats.steps);
        if (isFloat64) expectClose(u, end, { atol: 2 * error });
      });
      return undefined;
    });
  }
});

describe('solve: the starting step', () => {
  const dts = Array.from({ length: 14 }, (_, i) => 2 / 1.6 ** i);
  for (const { name, f, u0, tspan } of slopeProblems) {
    for (const algorithm of methods.filter(({ tableau }) => tableau.e !== undefined && tableau.order >= 3)) {
      it(`${algorithm.name} on the ${name} problem: a solve takes at most two steps more than from the best of ${dts.length} given ones`, () => {
        tf.tidy(() => {
          const problem = odeProblem(f, tf.tensor1d([...u0]), [tspan[0], tspan[0] + 2], {});
          for (const reltol of [1e-3, tolerance({ float32: 1e-4, float64: 1e-6 })]) {
            const steps = (dt?: number): number =>
              solve(problem, algorithm, { reltol, abstol: reltol, ...(dt === undefined ? {} : { dt }) }).stats.steps;
            const best = Math.min(...dts.map((dt) => steps(dt)));
            expect(steps()).to.be.at.most(best + 2);
          }
        });
      });
    }
  }
});

describe('solve: dense output', () => {
  const spiral = { ...slopeProblems[2], tspan: [0, 3] as const };
  const at = (t: number): number[] => [
    2 * Math.exp(-0.1 * t) * Math.cos(2 * t),
    -2 * Math.exp(-0.1 * t) * Math.sin(2 * t),
  ];
  const saveAt = [0, 0.01, 0.5, 1.23456, 1.3, 2.9999, 3];

  for (const algorithm of methods) {
    it(`${algorithm.name} interpolates to its own order (at most 4)`, () => {
      tf.tidy(() => {
        const dt = algorithm.tableau.order === 1 ? 1e-3 : 0.02;
        const problem = odeProblem(spiral.f, tf.tensor1d([...spiral.u0]), spiral.tspan, {});
        const { u, t } = solve(problem, algorithm, { adaptive: false, dt, saveAt });
        expect(t).to.deep.equal(saveAt);
        expect(u.shape).to.deep.equal([saveAt.length, 2]);
        const allowed = [0, 2e-2, 4e-3, 1e-4, 3e-7, 3e-8][algorithm.tableau.order];
        expectClose(u, saveAt.flatMap(at), { atol: Math.max(allowed, tolerance({ float32: 3e-6, float64: 0 })) });
      });
    });
  }

  it('converges at order 4 or more between the steps of the fifth-order methods', function () {
    if (!isFloat64) return this.skip();
    for (const algorithm of [algorithms.tsit5(), algorithms.dopri5()]) {
      const errors = [0.2, 0.1, 0.05].map((dt) =>
        tf.tidy(() => {
          const times = [dt * 3.37, dt * 7.61];
          const problem = odeProblem(spiral.f, tf.tensor1d([...spiral.u0]), spiral.tspan, {});
          const u = solve(problem, algorithm, { adaptive: false, dt, saveAt: times }).u.dataSync();
          return Math.max(...times.flatMap((t, i) => at(t).map((x, j) => Math.abs(x - u[2 * i + j]))));
        }),
      );
      expect(Math.log2(errors[1] / errors[2]), algorithm.name).to.be.above(3.8);
    }
    return undefined;
  });

  it('gives the final value exactly as the solve without saveAt does', () => {
    tf.tidy(() => {
      const problem = odeProblem(lotkaVolterra, tf.tensor1d([1, 1]), [0, 3], tf.tensor1d([1.5, 1, 3, 1]));
      const alone = solve(problem, algorithms.tsit5()).u.arraySync();
      const rows = solve(problem, algorithms.tsit5(), { saveAt: [1, 3] }).u.arraySync() as number[][];
      expect(rows[1]).to.deep.equal(alone);
    });
  });
});

describe('solve: ways to integrate', () => {
  const growth = (u: tf.Tensor): tf.Tensor => u;
  const close = { rtol: tolerance({ float32: 2e-6, float64: 1e-8 }) };
  const tight = {
    reltol: tolerance({ float32: 1e-6, float64: 1e-10 }),
    abstol: tolerance({ float32: 1e-7, float64: 1e-12 }),
  };

  it('backwards in time, adaptive and fixed, with saved times descending', () => {
    tf.tidy(() => {
      const problem = odeProblem(growth, tf.scalar(Math.E), [1, -1], {});
      expectClose(solve(problem, algorithms.tsit5(), tight).u, 1 / Math.E, close);
      expectClose(solve(problem, algorithms.rk4(), { dt: 0.01 }).u, 1 / Math.E, close);
      const { u } = solve(problem, algorithms.dopri5(), { ...tight, saveAt: [1, 0.5, 0, -1] });
      expectClose(u, [Math.E, Math.exp(0.5), 1, 1 / Math.E], close);
    });
  });

  it('an empty interval returns the initial state without an evaluation', () => {
    tf.tidy(() => {
      const problem = odeProblem(growth, tf.tensor1d([2, 3]), [1, 1], {});
      const { u, stats, retcode } = solve(problem, algorithms.tsit5());
      expect(u.arraySync()).to.deep.equal([2, 3]);
      expect(stats).to.include({ steps: 0, evaluations: 0 });
      expect(retcode).to.equal('Success');
      expect(solve(problem, algorithms.tsit5(), { saveAt: [1, 1] }).u.arraySync()).to.deep.equal([[2, 3], [2, 3]]); // prettier-ignore
    });
  });

  it('a state that is a tree, with every saved leaf time-first', () => {
    tf.tidy(() => {
      const f = (
        { x, v }: { x: tf.Tensor; v: tf.Tensor },
        { k }: { k: tf.Tensor },
      ): { x: tf.Tensor; v: tf.Tensor } => ({
        x: v,
        v: tf.neg(tf.mul(k, x)),
      });
      const u0 = { x: tf.ones([2, 3]), v: tf.zeros([2, 3]) };
      const problem = odeProblem(f, u0, [0, 1], { k: tf.scalar(4) });
      const { u } = solve(problem, algorithms.tsit5(), { ...tight, saveAt: [0, 0.5, 1] });
      expect(u.x.shape).to.deep.equal([3, 2, 3]);
      expectClose(u.x, [1, Math.cos(1), Math.cos(2)].flatMap((x) => new Array<number>(6).fill(x)), { atol: tolerance({ float32: 1e-5, float64: 1e-8 }) }); // prettier-ignore
      expectClose(solve(problem, algorithms.tsit5(), tight).u.v, new Array(6).fill(-2 * Math.sin(2)), { rtol: 1e-5 });
    });
  });

  it('a tree whose leaves are one tensor twice, and a derivative with its fields in another order', () => {
    tf.tidy(() => {
      const z = tf.tensor1d([1]);
      const f = (u: { x: tf.Tensor; v: tf.Tensor }): { x: tf.Tensor; v: tf.Tensor } => ({ v: tf.neg(u.x), x: u.v });
      const { u } = solve(odeProblem(f, { x: z, v: z }, [0, 1], {}), algorithms.tsit5(), tight);
      expectClose(u.x, Math.cos(1) + Math.sin(1), { atol: tolerance({ float32: 1e-5, float64: 1e-8 }) });
      expectClose(u.v, Math.cos(1) - Math.sin(1), { atol: tolerance({ float32: 1e-5, float64: 1e-8 }) });
    });
  });

  it('fixed steps that do not divide the span end exactly at t1', () => {
    tf.tidy(() => {
      const { stats, u } = solve(
        odeProblem((_u, _p, t) => tf.mul(2, t), tf.scalar(0), [0, 1], {}),
        algorithms.midpoint(),
        { adaptive: false, dt: 0.3 },
      );
      expect(stats.steps).to.equal(4);
      expectClose(u, 1, { atol: 1e-6 }); // exact for a quadratic
      const even = solve(odeProblem(growth, tf.scalar(1), [0, 1], {}), algorithms.euler(), { dt: 0.1 });
      expect(even.stats.steps).to.equal(10);
      expectClose(even.u, 1.1 ** 10, { rtol: 1e-6 }); // values.md: exactly 1.1^10
    });
  });

  it('counts evaluations as the method makes them', () => {
    tf.tidy(() => {
      const problem = odeProblem(growth, tf.scalar(1), [0, 1], {});
      const evaluations = (a: OdeAlgorithm): number =>
        solve(problem, a, { adaptive: false, dt: 0.25 }).stats.evaluations;
      expect(evaluations(algorithms.euler())).to.equal(4);
      expect(evaluations(algorithms.heun())).to.equal(8);
      expect(evaluations(algorithms.rk4())).to.equal(16);
      expect(evaluations(algorithms.tsit5())).to.equal(1 + 4 * 6);
    });
  });

  it('agrees with odex on the Lorenz system', function () {
    if (!isFloat64) return this.skip();
    const lorenz = (u: tf.Tensor): tf.Tensor => {
      const [x, y, z] = tf.unstack(u);
      return tf.stack([
        tf.mul(10, tf.sub(y, x)),
        tf.sub(tf.mul(x, tf.sub(28, z)), y),
        tf.sub(tf.mul(x, y), tf.mul(8 / 3, z)),
      ]);
    };
    tf.tidy(() => {
      const { u } = solve(odeProblem(lorenz, tf.tensor1d([1, 0, 0]), [0, 1], {}), algorithms.dopri5(), {
        reltol: 1e-11,
        abstol: 1e-11,
      });
      const oracle = odexSolve(
        (_, [x, y, z]) => [10 * (y - x), x * (28 - z) - y, x * y - (8 / 3) * z],
        [1, 0, 0],
        [0, 1],
      );
      expectClose(u, oracle, { rtol: 1e-8 });
      expectClose(u, [-9.4084505670560362054, -9.0961990711864789683, 28.581627624392339108], { rtol: 1e-8 }); // values.md section 4
    });
    return undefined;
  });

  it('leaves no tensor behind but the solution', () => {
    const u0 = tf.tensor1d([1, 1]);
    const p = tf.tensor1d([1.5, 1, 3, 1]);
    const before = [tf.memory().numTensors, tf.backend().numDataIds()];
    const { u, statistics } = solve(odeProblem(lotkaVolterra, u0, [0, 1], p), algorithms.tsit5(), { saveAt: [0.5, 1] });
    expect(tf.memory().numTensors).to.equal(before[0] + 2);
    tf.dispose([u, statistics]);
    expect(tf.memory().numTensors).to.equal(before[0]);
    tf.dispose([u0, p]);
  });
});
