import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  anderson,
  broyden,
  bs3,
  fixedPointProblem,
  limitedMemoryBroyden,
  nonlinearProblem,
  picard,
  readNonlinearStatistics,
  reversible,
  solve,
  squarem,
  steadyState,
  tsit5,
  type NonlinearAlgorithm,
  type NonlinearSolution,
} from '../../../solvers/index.js';
import { compile, constant, disposeTree, type Tensor } from '../../../src/index.js';
import { expectClose } from '../../support/close.js';
import { isFloat64, tolerance } from '../../support/precision.js';
import { f2, F2_EVALUATIONS, F2_SOLUTION, f2Map } from './problems.js';

const tight = { norm: 'l2', abstol: tolerance({ float32: 2e-6, float64: 1e-10 }), reltol: 0 } as const;

const ALGORITHMS: readonly NonlinearAlgorithm[] = [
  picard(),
  picard({ damping: 0.7 }),
  anderson(),
  anderson({ memory: 2, damping: 0.8 }),
  anderson({ memory: 4, restart: 6 }),
  broyden(),
  broyden({ update: 'bad' }),
  broyden({ initialJacobian: 'true' }),
  limitedMemoryBroyden(),
  limitedMemoryBroyden({ memory: 3 }),
  squarem(),
  reversible({ damping: 0.8 }),
  steadyState(bs3()),
  steadyState(tsit5()),
];

/** Solve, read everything, free everything. */
function solved<T>(run: () => NonlinearSolution<Tensor>, read: (solution: NonlinearSolution<Tensor>) => T): T {
  let result: T | undefined;
  tf.tidy(() => {
    result = read(run());
  });
  return result as T;
}

describe('fixed points', () => {
  it('every algorithm finds the fixed point of tanh(W z + b)', () => {
    for (const [i, algorithm] of ALGORITHMS.entries()) {
      solved(
        () => solve(f2(0.4), algorithm, tight),
        ({ u, retcode, residual }) => {
          expect(retcode, `${i} ${algorithm.name}`).to.equal('Success');
          expectClose(u, F2_SOLUTION, { atol: 5 * tight.abstol }, `${i} ${algorithm.name}`);
          expect(residual.dataSync()[0]).to.be.at.most(tight.abstol);
        },
      );
    }
  });

  it('Anderson takes at most the published evaluations and two, and beats plain iteration', function () {
    if (!isFloat64) this.skip();
    for (const { s, picard: plain, memory5, memory6 } of F2_EVALUATIONS) {
      const count = (algorithm: NonlinearAlgorithm): number =>
        solved(() => solve(f2(s), algorithm, tight), ({ evaluations }) => evaluations); // prettier-ignore
      const [five, six, iteration] = [count(anderson()), count(anderson({ memory: 6 })), count(picard())];
      expect(iteration, `plain iteration, s = ${s}`).to.equal(plain);
      expect(five, `memory 5, s = ${s}`).to.be.at.most(memory5 + 2);
      expect(six, `memory 6, s = ${s}`).to.be.at.most(memory6 + 2);
      expect(five).to.be.below(iteration);
      expect(six).to.be.below(iteration);
    }
  });

  it('Anderson with a memory of n solves a linear problem of n unknowns that does not contract in n + 2 evaluations', () => {
    // Rotations by pi / k: jaxopt's test of a map whose Jacobian has only eigenvalues of modulus 1.
    const angles = [2, 3, 4, 5, 6, 1.27, 1.73].map((k) => Math.PI / k);
    const n = 2 * angles.length;
    const rows = Array.from({ length: n }, () => new Array<number>(n).fill(0));
    angles.forEach((a, i) => {
      [rows[2 * i][2 * i], rows[2 * i][2 * i + 1]] = [Math.cos(a), -Math.sin(a)];
      [rows[2 * i + 1][2 * i], rows[2 * i + 1][2 * i + 1]] = [Math.sin(a), Math.cos(a)];
    });
    const centre = Array.from({ length: n }, (_, i) => i + 1);
    const turn = (u: Tensor, { m, c }: { m: Tensor; c: Tensor }): Tensor =>
      tf.add(tf.reshape(tf.matMul(m as tf.Tensor2D, tf.reshape(tf.sub(u, c), [n, 1])), [n]), c);
    const options = { norm: 'l2', abstol: tolerance({ float32: 2e-3, float64: 1e-8 }), reltol: 0 } as const;
    solved(
      () => solve(fixedPointProblem(turn, tf.zeros([n]), { m: constant(rows), c: constant(centre) }), anderson({ memory: n }), options),
      ({ u, evaluations }) => {
        expect(evaluations).to.be.at.most(n + (isFloat64 ? 2 : 12));
        expectClose(u, centre, { atol: tolerance({ float32: 2e-2, float64: 1e-7 }) });
      },
    ); // prettier-ignore
    expect(() => {
      solve(fixedPointProblem(turn, tf.zeros([n]), { m: constant(rows), c: constant(centre) }), picard(), options);
    }).to.throw(/spectral radius of df\/du is about 1\.0|spectral radius of df\/du is about 0\.99/);
  });

  it('slow linear convergence is no stall: (0.9, 0.99, 0.999) u by plain iteration (jaxopt)', () => {
    const rates = constant([0.9, 0.99, 0.999]);
    const problem = fixedPointProblem((u: Tensor, { a }: { a: Tensor }) => tf.mul(u, a), tf.tensor1d([1, 0.4, -0.2]), { a: rates });
    solved(
      () => solve(problem, picard(), { norm: 'l2', abstol: 1e-5, reltol: 0, maxIters: 8000 }),
      ({ retcode }) => expect(retcode).to.equal('Success'),
    );
    rates.dispose();
    problem.u0.dispose();
  }); // prettier-ignore

  it('the Dottie number: cos u = u', () => {
    solved(
      () =>
        solve(
          fixedPointProblem((u: Tensor) => tf.cos(u), tf.scalar(0.3), {}),
          anderson(),
          tight,
        ),
      ({ u }) => {
        expectClose(u, 0.7390851332151607, { atol: 2 * tight.abstol });
      },
    );
  });

  it('a state may be a tree', () => {
    const u0 = { a: tf.tensor2d([[0.1, 0.2]]), b: [tf.scalar(1)] };
    const f = (u: typeof u0): typeof u0 => ({
      a: tf.mul(0.5, tf.cos(u.a)),
      b: [tf.add<tf.Scalar>(tf.mul(0.25, u.b[0]), tf.sum(u.a))],
    });
    const { u } = solve(fixedPointProblem(f, u0, {}), anderson(), tight);
    expect(u.a.shape).to.deep.equal([1, 2]);
    // a = cos(a) / 2 = 0.45018361129487355 (by bisection), b = (a + a) / 0.75
    expectClose(u.a, [0.45018361129487355, 0.45018361129487355], { atol: 2 * tight.abstol });
    expectClose(u.b[0], (2 * 0.45018361129487355) / 0.75, { atol: 8 * tight.abstol });
  });

  it('Broyden, limited Broyden and the steady state solve the equation as a root, too', () => {
    const p = f2(0.4).p;
    const root = nonlinearProblem((z: Tensor, given: typeof p) => tf.sub(f2Map(z, given), z), tf.zeros([8]), p);
    for (const algorithm of [broyden(), broyden({ update: 'bad' }), limitedMemoryBroyden(), steadyState(bs3())]) {
      solved(
        () => solve(root, algorithm, tight),
        ({ u }) => {
          expectClose(u, F2_SOLUTION, { atol: 10 * tight.abstol }, algorithm.name);
        },
      );
    }
  });

  it('returns the best iterate and its residual when it runs out of iterations', () => {
    solved(
      () => solve(f2(0.5), picard(), { ...tight, maxIters: 5, throwOnFailure: false, storeTrace: true }),
      ({ u, retcode, iterations, evaluations, residual, trace, statistics }) => {
        expect(retcode).to.equal('MaxIters');
        expect(iterations).to.equal(5);
        expect(evaluations).to.equal(6);
        const norms = Array.from((trace as Tensor).dataSync());
        expect(norms).to.have.length(6);
        const [best] = residual.dataSync();
        expect(best).to.equal(Math.min(...norms));
        const miss = tf.norm(tf.sub(f2Map(u, f2(0.5).p), u)).dataSync()[0];
        expectClose(best, miss, { rtol: tolerance({ float32: 1e-5, float64: 1e-12 }) });
        expect(readNonlinearStatistics(statistics)).to.deep.equal([{ iterations: 5, evaluations: 6, retcode: 'MaxIters' }]);
        expect(readNonlinearStatistics(statistics.dataSync()), 'its values').to.deep.equal(readNonlinearStatistics(statistics));
      },
    ); // prettier-ignore
  });

  it('tolerances in each norm mean what they say', () => {
    for (const norm of ['rms', 'l2', 'max'] as const) {
      solved(
        () => solve(f2(0.4), picard(), { norm, abstol: 1e-3, reltol: 0, storeTrace: true }),
        ({ u, residual, trace }) => {
          const r = Array.from(tf.sub(f2Map(u, f2(0.4).p), u).dataSync());
          const l2 = Math.hypot(...r);
          const expected = { rms: l2 / Math.sqrt(8), l2, max: Math.max(...r.map(Math.abs)) }[norm];
          expectClose(residual, expected, { rtol: tolerance({ float32: 1e-4, float64: 1e-12 }) }, norm);
          expect(expected).to.be.at.most(1e-3);
          // And the iterate before did not satisfy it.
          const norms = Array.from((trace as Tensor).dataSync()).filter((x) => !Number.isNaN(x));
          expect(norms[norms.length - 2]).to.be.above(1e-3);
        },
      );
    }
  });

  it('a relative tolerance is relative to f(u)', () => {
    const shift = constant([1000, 2000]);
    const problem = fixedPointProblem((u: Tensor, { c }: { c: Tensor }) => tf.add(tf.mul(u, 0.5), c), tf.zeros([2]), {
      c: shift,
    });
    solved(
      () => solve(problem, picard(), { norm: 'l2', abstol: 0, reltol: 1e-3 }),
      ({ u, residual }) => {
        const size = tf.norm(tf.add(tf.mul(u, 0.5), shift)).dataSync()[0];
        expect(residual.dataSync()[0]).to.be.at.most(1e-3 * size);
        expect(residual.dataSync()[0]).to.be.above(0.2e-3 * size);
      },
    ); // prettier-ignore
  });

  it('runs in a compiled function, again and again, and leaks nothing', () => {
    const problem = f2(0.4);
    const run = compile((w: Tensor, b: Tensor) => {
      const { u, residual, statistics } = solve({ ...problem, p: { w, b } }, anderson(), tight);
      return { u, residual, statistics };
    });
    disposeTree(run(problem.p.w, problem.p.b));
    const before = tf.memory().numTensors;
    for (let i = 0; i < 3; i++) {
      const result = run(problem.p.w, problem.p.b);
      expectClose(result.u, F2_SOLUTION, { atol: 5 * tight.abstol });
      disposeTree(result);
    }
    for (const algorithm of ALGORITHMS) solve(problem, algorithm, tight);
    expect(run.stats.traces).to.equal(1);
    expect(tf.memory().numTensors - before).to.equal(3 * ALGORITHMS.length);
  });
});

describe('an independent batch of fixed points', () => {
  // Rows of very different difficulty: the factor decides how fast each contracts.
  const factors = [0.05, 0.97, 0.4, 0.99, 0.8];
  const f = (u: Tensor, { a, x, w }: { a: Tensor; x: Tensor; w: Tensor }): Tensor =>
    tf.add(tf.mul(a, tf.sin(tf.matMul(u as tf.Tensor2D, w as tf.Tensor2D))), x);
  const w = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]; // prettier-ignore
  const inputs = factors.map((_, i) => [0.3 * i, 1 - 0.2 * i, 0.1]);
  const options = { abstol: tolerance({ float32: 1e-5, float64: 1e-11 }), reltol: 0, maxIters: 3000 };
  const problem = (rows: readonly number[]) =>
    fixedPointProblem(f, tf.zeros([rows.length, 3]), {
      a: constant(rows.map((i) => [factors[i]])),
      x: constant(rows.map((i) => inputs[i])),
      w: constant(w),
    });
  const all = factors.map((_, i) => i);

  it('takes for each row exactly the iterations that it takes alone, and gives the same numbers', () => {
    for (const algorithm of [picard(), anderson(), broyden(), squarem()]) {
      tf.tidy(() => {
        const together = solve(problem(all), algorithm, { ...options, batch: 'independent', along: ({ a, x }) => [a, x] });
        const rows = together.u.arraySync() as number[][];
        const counts = new Set<number>();
        for (const i of all) {
          const alone = solve(problem([i]), algorithm, options);
          const [{ iterations, evaluations, residual }] = alone.samples;
          expect(together.samples[i].iterations, `${algorithm.name}, row ${i}`).to.equal(iterations);
          expect(together.samples[i].evaluations).to.equal(evaluations);
          expect(together.samples[i].residual).to.equal(residual);
          expect(rows[i]).to.deep.equal((alone.u.arraySync() as number[][])[0]);
          counts.add(iterations);
        }
        expect(counts.size, 'rows of different difficulty').to.be.at.least(3);
        expect(together.residual.shape).to.deep.equal([5]);
        expect(together.evaluations).to.equal(together.samples.reduce((n, s) => n + s.evaluations, 0));
      }); // prettier-ignore
    }
  });

  it('a row that is done costs nothing: f runs for the others only', () => {
    tf.tidy(() => {
      const { samples, evaluations } = solve(problem(all), picard(), { ...options, batch: 'independent', along: ({ a, x }) => [a, x] }); // prettier-ignore
      const slowest = Math.max(...samples.map((s) => s.evaluations));
      expect(evaluations).to.be.below(0.8 * slowest * samples.length);
    });
  });

  it('names the row that fails', () => {
    const run = (): unknown =>
      solve(problem(all), picard(), { ...options, maxIters: 12, batch: 'independent', along: ({ a, x }) => [a, x] });
    expect(() => tf.tidy(() => run() as never)).to.throw(/failed for row 1: it made as many iterations/);
  });

  it('says what is wrong with its options', () => {
    tf.tidy(() => {
      expect(() => solve(problem(all), picard(), { along: ({ x }) => x })).to.throw(/"along".*batch: 'independent'/);
      expect(() => solve(problem(all), picard(), { batch: 'independent', along: ({ w }) => w })).to.throw(
        /the tensor at w of p, \[3, 3\], whose first axis is not the batch of 5/,
      );
      expect(() => solve(problem(all), picard(), { batch: 'independent', along: () => tf.zeros([5]) })).to.throw(
        /must pick tensors of p/,
      );
      expect(() => solve(problem(all), picard(), { batch: 'independent' })).to.throw(/u0 is float32 \[1, 3\], f returned float32 \[5, 3\]/);
    }); // prettier-ignore
  });
});
