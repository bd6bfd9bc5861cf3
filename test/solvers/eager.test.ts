/** Solves outside `compile` trace their function at each call, and share all that follows from an equal one. */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  anderson,
  broyden,
  bs3,
  dopri5,
  explicitRungeKutta,
  fixedPointProblem,
  newtonRaphson,
  nonlinearProblem,
  odeProblem,
  picard,
  solve,
  steadyState,
  tsit5,
} from '../../solvers/index.js';
import { derivations } from '../../src/graph/derived.js';
import { grad } from '../../src/graph/transform.js';
import { NullclineBackend } from '../../src/wasm/backend.js';
import { sharedPrograms } from '../../src/wasm/shared.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

type Tensor = tf.Tensor;

const close = { rtol: tolerance({ float32: 1e-4, float64: 1e-8 }) };
const tight = { reltol: tolerance({ float32: 1e-6, float64: 1e-10 }), abstol: tolerance({ float32: 1e-7, float64: 1e-11 }) }; // prettier-ignore

/** How often something was derived anew while `f` ran, and how many programs were compiled where there are any. */
function made(f: () => void): { derived: number; compiled: number } {
  const backend = tf.backend();
  const { stats } = backend instanceof NullclineBackend ? sharedPrograms(backend, tf.getBackend()) : { stats: { misses: 0 } }; // prettier-ignore
  const before = { derived: derivations.misses, compiled: stats.misses };
  tf.tidy(f);
  return { derived: derivations.misses - before.derived, compiled: stats.misses - before.compiled };
}
const NOTHING = { derived: 0, compiled: 0 };

/** u' = rate u, by a function made anew at each call: `rate` is closed over, or an operand, or a number. */
const growth = {
  captured: (u0: Tensor, rate: number, options = {}): Tensor => {
    const k = tf.scalar(rate);
    const problem = odeProblem((u: Tensor) => tf.mul(u, k), u0, [0, 1]);
    return solve(problem, tsit5(), { ...tight, ...options }).u;
  },
  operand: (u0: Tensor, rate: Tensor, options = {}): Tensor => {
    const problem = odeProblem((u: Tensor, p: Tensor) => tf.mul(u, p), u0, [0, 1], rate);
    return solve(problem, tsit5(), { ...tight, ...options }).u;
  },
  constant: (u0: Tensor, rate: number): Tensor => {
    const problem = odeProblem((u: Tensor) => tf.mul(u, rate), u0, [0, 1]);
    return solve(problem, tsit5(), tight).u;
  },
};

/** u = cos(u) scale + shift, whose solution `expectFixed` checks by putting it in. */
function fixed(scale: Tensor, shift: number, algorithm = anderson(), options = {}): Tensor {
  const f = (u: Tensor, p: Tensor): Tensor => tf.add(tf.mul(tf.cos(u), p), shift);
  return solve(fixedPointProblem(f, tf.zeros([2]), scale), algorithm, { ...tight, ...options }).u;
}
function expectFixed(u: Tensor, scale: number, shift: number): void {
  const values = Array.from(u.dataSync());
  expectClose(values, values.map((v) => Math.cos(v) * scale + shift), close); // prettier-ignore
}

describe('a solve outside compile', () => {
  it('of an ODE, when it comes again, derives and compiles nothing', () => {
    const u0 = tf.tensor1d([1, 2]);
    tf.tidy(() => {
      const first = growth.captured(u0, 0.5).dataSync();
      const rate = tf.scalar(-0.75);
      growth.operand(u0, rate);
      const again: Tensor[] = [];
      expect(made(() => again.push(tf.keep(growth.captured(u0, 0.5))))).to.deep.equal(NOTHING);
      expect(again[0].dataSync()).to.deep.equal(first);
      expectClose(again[0], [Math.exp(0.5), 2 * Math.exp(0.5)], close);
      expect(made(() => growth.operand(u0, rate))).to.deep.equal(NOTHING);
      again[0].dispose();
    });
    u0.dispose();
  });

  it('sees other values of what its function closes over', () => {
    const u0 = tf.tensor1d([1, 2]);
    for (const rate of [0.5, -1, 0.25]) {
      tf.tidy(() => { expectClose(growth.captured(u0, rate), [Math.exp(rate), 2 * Math.exp(rate)], close); }); // prettier-ignore
    }
    expect(made(() => growth.captured(u0, 0.125))).to.deep.equal(NOTHING);
    u0.dispose();
  });

  it('sees another number in its function, another shape, tolerance and method', () => {
    const u0 = tf.tensor1d([1, 2]);
    const check = (u: Tensor, rate: number): void => { expectClose(u, u0.dataSync().map((x) => x * Math.exp(rate)), close); }; // prettier-ignore
    tf.tidy(() => {
      check(growth.constant(u0, 0.3), 0.3);
      check(growth.constant(u0, -0.3), -0.3);
      check(growth.constant(u0, 0.3), 0.3);
      const wide = growth.constant(tf.ones([2, 3]), 0.3);
      expectClose(wide, Array.from({ length: 6 }, () => Math.exp(0.3)), close); // prettier-ignore
    });
    expect(made(() => growth.constant(u0, 0.7)).derived).to.be.greaterThan(0);
    expect(made(() => growth.constant(tf.ones([7]), 0.3)).derived).to.be.greaterThan(0);
    const steps = (algorithm: ReturnType<typeof tsit5>, reltol: number): number =>
      tf.tidy(() => {
        const problem = odeProblem((u: Tensor) => tf.mul(u, 0.3), u0, [0, 10]);
        return solve(problem, algorithm, { reltol, abstol: 1e-9 }).stats.accepted;
      });
    const counts = [steps(tsit5(), 1e-3), steps(tsit5(), 1e-5), steps(bs3(), 1e-5), steps(dopri5(), 1e-5)];
    expect(new Set(counts).size, counts.join()).to.equal(4);
    expect([steps(tsit5(), 1e-3), steps(tsit5(), 1e-5), steps(bs3(), 1e-5), steps(dopri5(), 1e-5)]).to.deep.equal(counts); // prettier-ignore
    u0.dispose();
  });

  it('sees the numbers that an array holds now', () => {
    const rates = Float32Array.of(0.5, -0.5);
    const run = (): number[] =>
      tf.tidy(() => {
        const problem = odeProblem((u: Tensor) => tf.mul(u, tf.tensor1d(rates)), tf.ones([2]), [0, 1]);
        return Array.from(solve(problem, tsit5(), tight).u.dataSync());
      });
    expectClose(run(), [Math.exp(0.5), Math.exp(-0.5)], close);
    rates.set([1, 0]);
    expectClose(run(), [Math.E, 1], close);
    rates.set([0.5, -0.5]);
    expectClose(run(), [Math.exp(0.5), Math.exp(-0.5)], close);
  });

  it('is not mistaken for another whose program looks the same from outside', () => {
    // Outside, both are one node "solve (tsit5)" of two inputs of the same shapes.
    tf.tidy(() => {
      const u0 = tf.tensor1d([1]);
      const by = (f: (u: Tensor) => Tensor): Tensor => solve(odeProblem(f, u0, [0, 1]), tsit5(), tight).u;
      expectClose(by((u) => tf.neg(u)), [Math.exp(-1)], close); // prettier-ignore
      expectClose(by((u) => tf.square(tf.sin(tf.onesLike(u)))), [1 + Math.sin(1) ** 2], close); // prettier-ignore
      expectClose(by((u) => tf.neg(u)), [Math.exp(-1)], close); // prettier-ignore
    });
  });

  it('may lie within another of the same form', () => {
    // w' = (v' = (u' = u over [0, 1] from v) over [0, 1] from w) over [0, 1], each e times the last: v' = e v, w' = e^e w.
    tf.tidy(() => {
      const within = (inner: (u: Tensor) => Tensor) => (u: Tensor): Tensor => solve(odeProblem(inner, u, [0, 1]), tsit5(), { adaptive: false, dt: 1 / 2 }).u; // prettier-ignore
      const once = within((u) => tf.mul(u, 0.1));
      const twice = within(once);
      const thrice = within(twice);
      const x = tf.tensor1d([1, -2]);
      const a = Math.exp(0.1);
      const b = Math.exp(a);
      for (const [f, factor] of [[twice, b], [thrice, Math.exp(b)], [once, a], [thrice, Math.exp(b)]] as const) {
        expectClose(f(x), [factor, -2 * factor], { rtol: 5e-3 });
      } // prettier-ignore
    });
  });

  it('has a gradient that is made once, by tfjs and by grad, and is right for other values', () => {
    // d/dk of the sum of u0 e^k, and of the two states saved.
    const u0 = tf.tensor1d([1, 2]);
    const gradients = [
      (f: (k: Tensor) => Tensor, k: Tensor): Tensor => tf.grad(f)(k),
      (f: (k: Tensor) => Tensor, k: Tensor): Tensor => grad(f)(k),
    ];
    for (const gradient of gradients) {
      const end = (k: number): Tensor => gradient((rate) => tf.sum(growth.operand(u0, rate)), tf.scalar(k));
      const saved = (k: number): Tensor => gradient((rate) => tf.sum(growth.operand(u0, rate, { saveAt: [0.5, 1] })), tf.scalar(k)); // prettier-ignore
      tf.tidy(() => {
        expectClose(end(0.5), 3 * Math.exp(0.5), close);
        expectClose(saved(0.5), 1.5 * Math.exp(0.25) + 3 * Math.exp(0.5), close);
      });
      const again: number[] = [];
      expect(made(() => again.push(end(-0.25).dataSync()[0], saved(-0.25).dataSync()[0]))).to.deep.equal(NOTHING);
      expectClose(again, [3 * Math.exp(-0.25), 1.5 * Math.exp(-0.125) + 3 * Math.exp(-0.25)], close);
    }
    u0.dispose();
  });

  it('of a fixed point or a root, when it comes again, derives and compiles nothing', () => {
    const [a, b] = [tf.tensor1d([0.5, 0.5]), tf.tensor1d([0.25, 0.25])];
    tf.tidy(() => {
      expectFixed(fixed(a, 0.1), 0.5, 0.1);
      expect(made(() => { expectFixed(fixed(b, 0.1), 0.25, 0.1); })).to.deep.equal(NOTHING); // prettier-ignore
      expect(made(() => { expectFixed(fixed(b, 0.2), 0.25, 0.2); }).derived).to.be.greaterThan(0); // prettier-ignore
      const root = (p: number): Tensor => solve(nonlinearProblem((u: Tensor, q: Tensor) => tf.sub(tf.square(u), q), tf.ones([1]), tf.tensor1d([p])), newtonRaphson(), tight).u; // prettier-ignore
      expectClose(root(2), [Math.SQRT2], close);
      expect(made(() => { expectClose(root(9), [3], close); })).to.deep.equal(NOTHING); // prettier-ignore
    });
    tf.dispose([a, b]);
  });

  it('tells apart the kinds of problem, the methods, their options and the norms', () => {
    tf.tidy(() => {
      const p = tf.tensor1d([0.5, 0.5]);
      // The same f as fixed point and as root: u = cos(u) / 2 + 0.1, and cos(u) / 2 + 0.1 = 0.
      const f = (u: Tensor, q: Tensor): Tensor => tf.add(tf.mul(tf.cos(u), q), 0.1);
      const start = tf.ones([2]);
      for (let turn = 0; turn < 2; turn++) {
        expectFixed(solve(fixedPointProblem(f, start, p), broyden(), tight).u, 0.5, 0.1);
        const root = solve(nonlinearProblem(f, start, p), broyden(), tight).u;
        expectClose(root, [Math.acos(-0.2), Math.acos(-0.2)], close);
      }
      const first = (damping: number, norm: 'rms' | 'max' | 'l2'): number[] => {
        const tilted = fixedPointProblem((u: Tensor) => tf.add(tf.mul(u, 0.5), tf.tensor1d([3, 4])), tf.zeros([2]));
        const options = { norm, maxIters: 1, storeTrace: true, throwOnFailure: false } as const;
        return Array.from((solve(tilted, picard({ damping }), options).trace as Tensor).dataSync());
      };
      // Residuals (3, 4), and after one step of that damping the fraction 1 - damping / 2 of it.
      for (const damping of [1, 0.5]) {
        const left = 1 - damping / 2;
        for (const [norm, size] of [['rms', Math.sqrt(12.5)], ['max', 4], ['l2', 5]] as const) {
          expectClose(first(damping, norm), [size, left * size], { rtol: 1e-6 });
        } // prettier-ignore
      }
    });
  });

  it('tells apart methods of one name with other coefficients', () => {
    // Heun's, with the error estimated as that many times what it is: more steps.
    const method = (k: number): ReturnType<typeof explicitRungeKutta> =>
      explicitRungeKutta({ name: 'mine', order: 2, c: [0, 1], a: [[], [1]], b: [0.5, 0.5], e: [-k / 2, k / 2] });
    const evaluations = (k: number): number =>
      tf.tidy(() => {
        const problem = fixedPointProblem((u: Tensor) => tf.mul(tf.cos(u), 0.5), tf.ones([1]));
        return solve(problem, steadyState(method(k), { reltol: 0.1 }), { abstol: 1e-4, reltol: 0, maxIters: 5000 }).evaluations; // prettier-ignore
      });
    const expected = [1, 4, 16].map(evaluations);
    expect(new Set(expected).size, expected.join()).to.equal(3);
    expect([1, 4, 16].map(evaluations)).to.deep.equal(expected);
  });

  it('has implicit gradients that are made once and are right for other values', () => {
    // u = a cos(u) + 0.1: du/da = cos(u) / (1 + a sin(u)).
    for (const gradient of [tf.grad, grad] as ((f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor)[]) {
      const slope = (a: number): void => {
        const p = tf.tensor1d([a, a]);
        const [u] = fixed(p, 0.1).dataSync();
        const expected = Math.cos(u) / (1 + a * Math.sin(u));
        expectClose(gradient((q) => tf.sum(fixed(q, 0.1)))(p), [expected, expected], { rtol: 1e-3 });
      };
      tf.tidy(() => { slope(0.5); }); // prettier-ignore
      expect(made(() => { slope(0.25); })).to.deep.equal(NOTHING); // prettier-ignore
    }
  });

  it('leaves nothing behind, a thousand times', function () {
    this.timeout(0);
    const [u0, p] = [tf.tensor1d([1, 2]), tf.tensor1d([0.5, 0.5])];
    const once = (): void => {
      tf.tidy(() => {
        growth.captured(u0, 0.5, { reltol: 1e-2 });
        fixed(p, 0.1);
      });
    };
    const held = (): object => {
      const backend = tf.backend();
      const heap = backend instanceof NullclineBackend ? backend.heap.bytesInUse : 0;
      const { numTensors, numDataBuffers } = tf.memory();
      return { numTensors, numDataBuffers, ids: backend.numDataIds(), heap };
    };
    once();
    const before = held();
    const count = tf.backend() instanceof NullclineBackend ? 1000 : 100;
    for (let i = 1; i < count; i++) once();
    expect(held()).to.deep.equal(before);
    tf.dispose([u0, p]);
  });
});
