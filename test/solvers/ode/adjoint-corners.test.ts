/**
 * The discrete adjoint where it is easily wrong: every way in which a step can be kept, rows saved at all kinds of times, and solves
 * that fail or stand within another.
 */
import '../../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { compile, constant, grad, type Tensor } from '../../../src/index.js';
import { bs3, discreteAdjoint, explicitRungeKutta, heun, odeProblem, rk4, solve, tsit5, type DiscreteAdjoint, type OdeAlgorithm, type OdeOptions } from '../../../solvers/index.js'; // prettier-ignore
import { expectClose } from '../../support/close.js';
import { centralDifference } from '../../support/differences.js';
import { tolerance } from '../../support/precision.js';

/** Heun's method with an interpolant of its own: not FSAL, and no slope at the end of a step is wanted. */
const interpolated = explicitRungeKutta({
  name: 'Heun with an interpolant',
  order: 2,
  c: [0, 1],
  a: [[], [1]],
  b: [0.5, 0.5],
  e: [0.5, -0.5],
  interpolant: [[1, -0.5], [0, 0.5]],
}); // prettier-ignore

const close = { rtol: tolerance({ float32: 3e-2, float64: 3e-8 }), atol: tolerance({ float32: 2e-2, float64: 1e-8 }) };
const same = { rtol: tolerance({ float32: 1e-3, float64: 1e-11 }), atol: tolerance({ float32: 1e-4, float64: 1e-12 }) };

interface Parameters {
  readonly rate: Tensor;
  readonly order: Tensor;
  readonly unused: Tensor;
}

/** Depends on time and on an index that is no number, and leaves one parameter alone. */
const swinging = (u: Tensor, { rate, order }: Parameters, t: Tensor): Tensor =>
  tf.mul(tf.mul(tf.gather(u, order), rate), tf.cos(tf.mul(tf.add(t, u), constant(1.5))));

const weigh = (u: Tensor): Tensor => tf.sum(tf.mul(tf.square(u), tf.reshape(tf.sin(tf.range(1, u.size + 1)), u.shape)));

function loss(algorithm: OdeAlgorithm, options: OdeOptions, span: readonly [number, number]): (x: Tensor) => Tensor {
  return (x) => {
    const [u0, rate] = tf.unstack(x);
    const p = { rate, order: tf.tensor1d([1, 0], 'int32'), unused: constant(4) };
    return weigh(solve(odeProblem(swinging, u0, span, p), algorithm, options).u);
  };
}

const KEPT: Readonly<Record<string, DiscreteAdjoint>> = {
  'a tape of each step': discreteAdjoint(),
  'tapes of the first steps': discreteAdjoint({ tapeBytes: 400 }),
  'no tape': discreteAdjoint({ tapeBytes: 0 }),
  'every third state': discreteAdjoint({ keepEvery: 3 }),
};

/** Where rows lie: at both ends, several in one step, twice at one time, at ends of steps, none in the first or last step. */
const ROWS: Readonly<Record<string, readonly number[]>> = {
  none: [],
  'all over': [0, 0, 0.05, 0.1, 0.25, 0.5, 0.5, 0.6, 0.93, 1, 1],
  'the first step and the last': [0.03, 0.07, 0.97],
};

describe('discreteAdjoint, in all its forms', () => {
  for (const algorithm of [interpolated, heun(), tsit5()]) {
    for (const [name, rows] of Object.entries(ROWS)) {
      it(`${algorithm.name}, fixed steps, rows: ${name}`, () => {
        tf.tidy(() => {
          const x = constant([[1, 2], [0.5, 0.7]]); // prettier-ignore
          for (const [t0, t1] of [[0, 1], [1, 0]] as const) {
            const at = t0 < t1 ? rows : rows.map((t) => 1 - t);
            const options = { adaptive: false, dt: 0.1, ...(at.length === 0 ? {} : { saveAt: at }) };
            const expected = centralDifference(loss(algorithm, options, [t0, t1]), x);
            for (const [form, adjoint] of Object.entries(KEPT)) {
              expectClose(grad(loss(algorithm, { ...options, adjoint }, [t0, t1]))(x), expected, close, form);
            }
          } // prettier-ignore
        });
      });
    }
  }

  for (const algorithm of [interpolated, bs3(), tsit5()]) {
    it(`${algorithm.name}, adaptive with rejected steps: every form gives the same`, () => {
      tf.tidy(() => {
        const x = constant([[1, 2], [4, 5]]); // prettier-ignore
        const options = { dt: 1, reltol: 1e-3, abstol: 1e-4, saveAt: [0, 0.4, 0.45, 0.9, 1] };
        const { stats } = solve(
          odeProblem(swinging, constant([1, 2]), [0, 1], { rate: constant([4, 5]), order: tf.tensor1d([1, 0], 'int32'), unused: constant(4) }),
          algorithm,
          options,
        ); // prettier-ignore
        expect(stats.rejected).to.be.greaterThan(0);
        const [first, ...others] = Object.entries(KEPT).map(
          ([form, adjoint]) => [form, grad(loss(algorithm, { ...options, adjoint }, [0, 1]))(x)] as const,
        );
        for (const [form, g] of others) expectClose(g, first[1], same, form);
      });
    });
  }

  it('a solve that stopped early has the derivatives of the steps it made, to second order', () => {
    tf.tidy(() => {
      const x = constant([[1, 2], [0.5, 0.7]]); // prettier-ignore
      const stopped = { adaptive: false, dt: 0.2, maxIters: 3, throwOnFailure: false };
      for (const options of [stopped, { ...stopped, maxIters: 1 }]) {
        const f = loss(tsit5(), options, [0, 1]);
        expectClose(grad(f)(x), centralDifference(f, x), close);
        const along = (y: Tensor): Tensor => weigh(grad(f)(y));
        expectClose(grad(along)(x), centralDifference(along, x), { ...close, atol: 3 * close.atol });
      }
      // Rows that it did not come to say so in forward mode, too.
      const { u } = solve(odeProblem(swinging, constant([1, 2]), [0, 1], { rate: constant([0.5, 0.7]), order: tf.tensor1d([1, 0], 'int32'), unused: constant(4) }), tsit5(), { ...stopped, saveAt: [0.3, 0.9, 1] }); // prettier-ignore
      expect(Array.from(u.dataSync()).map(Number.isNaN)).to.deep.equal([false, false, true, true, true, true]);
    });
  });
});

describe('a solve within the field of another', () => {
  const inner = (u: Tensor, p: Tensor): Tensor =>
    solve(odeProblem((v: Tensor, q: Tensor) => tf.mul(tf.sin(v), q), u, [0, 1], p), rk4(), { dt: 0.5, adaptive: false }).u; // prettier-ignore
  const outer =
    (steps: number) =>
    (p: Tensor): Tensor =>
      weigh(
        solve(odeProblem((u: Tensor, q: Tensor) => tf.neg(inner(u, q)), constant([1, 2]), [0, 1], p), rk4(), { dt: 1 / steps, adaptive: false }).u, // prettier-ignore
      );

  it('is differentiated with it', () => {
    tf.tidy(() => {
      const p = constant([0.5, 0.7]);
      expectClose(grad(outer(3))(p), centralDifference(outer(3), p), close);
    });
  });

  it('leaves nothing behind that grows with the steps', () => {
    /** The most buffers at any time: those of kept states grow by one for each step, and no more. */
    const most = (steps: number): number => {
      const backend = tf.backend();
      const p = constant([0.5, 0.7]);
      const run = compile(grad(outer(steps)));
      const write = backend.write.bind(backend);
      let peak = 0;
      backend.write = (...given): object => {
        peak = Math.max(peak, backend.numDataIds());
        return write(...given);
      };
      try {
        run(p).dispose();
      } finally {
        Reflect.deleteProperty(backend, 'write');
        run.programFor(p).dispose();
        p.dispose();
      }
      return peak - backend.numDataIds();
    };
    expect(most(32) - most(8)).to.be.below(4 * 24);
  });
});
