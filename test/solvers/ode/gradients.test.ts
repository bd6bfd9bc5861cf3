import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile, grad, jvp, valueAndGrad } from '../../../src/graph/index.js';
import * as algorithms from '../../../solvers/ode/algorithms.js';
import { discreteAdjoint, odeProblem, solve, type OdeAlgorithm, type OdeOptions } from '../../../solvers/index.js';
import { lotkaVolterra } from '../../reference/problems.js';
import { expectClose } from '../../support/close.js';
import { centralDifference } from '../../support/differences.js';
import { isFloat64, tolerance } from '../../support/precision.js';

const { tsit5, dopri5, bs3, rk4, heun, euler, midpoint, ralston } = algorithms;
const fixed = (dt: number, more: OdeOptions = {}): OdeOptions => ({ adaptive: false, dt, ...more });
const SAVED = [0, 0.1, 0.2, 0.6, 1.15, 2];

/** Methods and options: fixed steps so that central differences see the very same steps, and adaptive ones at the end. */
const cases: readonly [string, OdeAlgorithm, OdeOptions][] = [
  ...[euler(), midpoint(), heun(), ralston(), rk4(), bs3(), dopri5(), tsit5()].flatMap(
    (a): [string, OdeAlgorithm, OdeOptions][] => [
      [`${a.name}, final state`, a, fixed(0.13)],
      [`${a.name}, saved times`, a, fixed(0.3, { saveAt: SAVED })],
    ],
  ),
  ['BS3, saved at ends of steps, every third state kept', bs3(), fixed(0.1, { saveAt: [0.5, 1.5, 2], adjoint: discreteAdjoint({ keepEvery: 3 }) })], // prettier-ignore
  ['Tsit5, every 100th state kept', tsit5(), fixed(0.1, { adjoint: discreteAdjoint({ keepEvery: 100 }) })],
];

const u0 = [1, 0.8];
const p0 = [1.5, 1, 3, 1];
// A projection, so that no cotangent is a multiple of ones.
const project = (u: tf.Tensor): tf.Tensor =>
  tf.sum(tf.mul(tf.square(u), tf.reshape(tf.sin(tf.range(1, u.size + 1)), u.shape)));
const end = (
  u: tf.Tensor,
  p: tf.Tensor,
  a: OdeAlgorithm,
  o: OdeOptions,
  tspan: [number | tf.Tensor, number | tf.Tensor] = [0, 2],
) => project(solve(odeProblem(lotkaVolterra, u, tspan, p), a, o).u);

/** A field that depends on time, so that du/dt0 is not -du/dt1. */
const forced = (u: tf.Tensor, p: tf.Tensor, t: tf.Tensor): tf.Tensor =>
  tf.add(lotkaVolterra(u, p), tf.mul(tf.sin(tf.mul(3, t)), u));

const first = { rtol: tolerance({ float32: 2e-2, float64: 2e-8 }), atol: tolerance({ float32: 2e-2, float64: 1e-8 }) };

describe('discreteAdjoint: gradients equal central differences', () => {
  for (const [name, a, o] of cases) {
    it(`${name}: u0 and p`, () => {
      tf.tidy(() => {
        const u = tf.tensor1d(u0);
        const p = tf.tensor1d(p0);
        const [du, dp] = valueAndGrad((x: tf.Tensor, q: tf.Tensor) => end(x, q, a, o), { argnums: [0, 1] })(u, p).grad;
        expectClose(
          du,
          centralDifference((x) => end(x, p, a, o), u),
          first,
        );
        expectClose(
          dp,
          centralDifference((q) => end(u, q, a, o), p),
          first,
        );
      });
    });

    it(`${name}: t0 and t1`, () => {
      tf.tidy(() => {
        const u = tf.tensor1d(u0);
        const p = tf.tensor1d(p0);
        // Saved times strictly inside the span, so that differences do not push one out of it.
        const inside: OdeOptions = o.saveAt === undefined ? o : { ...o, saveAt: [0.5, 0.6, 1.1, 1.5] };
        const f = (t: tf.Tensor): tf.Tensor => {
          const [t0, t1] = tf.unstack(t);
          return project(solve(odeProblem(forced, u, [t0, t1], p), a, inside).u);
        };
        const t = tf.tensor1d([0.05, 2.02]);
        expectClose(grad(f)(t), centralDifference(f, t), {
          ...first,
          atol: tolerance({ float32: 5e-2, float64: 1e-7 }),
        });
      });
    });
  }

  it('an adaptive solve: to the accuracy of the steps being constants', function () {
    if (!isFloat64) return this.skip();
    tf.tidy(() => {
      const options = { reltol: 1e-10, abstol: 1e-10, saveAt: SAVED };
      const p = tf.tensor1d(p0);
      const f = (q: tf.Tensor): tf.Tensor => end(tf.tensor1d(u0), q, tsit5(), options);
      expectClose(grad(f)(p), centralDifference(f, p), { rtol: 1e-6 });
    });
    return undefined;
  });

  it('each saved value by itself', function () {
    if (!isFloat64) return this.skip();
    tf.tidy(() => {
      const p = tf.tensor1d(p0);
      SAVED.forEach((_, row) => {
        const f = (q: tf.Tensor): tf.Tensor => {
          const { u } = solve(
            odeProblem(lotkaVolterra, tf.tensor1d(u0), [0, 2], q),
            tsit5(),
            fixed(0.3, { saveAt: SAVED }),
          );
          return tf.sum(tf.slice(u, [row, 0], [1, 1]));
        };
        expectClose(grad(f)(p), centralDifference(f, p), { rtol: 1e-8, atol: 1e-9 });
      });
    });
    return undefined;
  });

  it('backwards in time', () => {
    tf.tidy(() => {
      const p = tf.tensor1d(p0);
      const f = (q: tf.Tensor): tf.Tensor =>
        project(
          solve(odeProblem(forced, tf.tensor1d(u0), [2, 0.5], q), tsit5(), fixed(0.2, { saveAt: [1.7, 1, 0.5] })).u,
        );
      expectClose(grad(f)(p), centralDifference(f, p), first);
    });
  });

  it('closed form: u = e^(p t) u0', () => {
    tf.tidy(() => {
      const tight = {
        reltol: tolerance({ float32: 1e-6, float64: 1e-11 }),
        abstol: tolerance({ float32: 1e-8, float64: 1e-13 }),
      };
      const f = (x: tf.Tensor, q: tf.Tensor, t1: tf.Tensor): tf.Tensor =>
        tf.sum(
          solve(
            odeProblem((u: tf.Tensor, r: tf.Tensor) => tf.mul(r, u), x, [0, t1], q),
            tsit5(),
            tight,
          ).u,
        );
      const args = [tf.scalar(1.5), tf.scalar(0.7), tf.scalar(2)] as const;
      const { grad: g } = valueAndGrad(f, { argnums: [0, 1, 2] })(...args);
      const e = Math.exp(1.4);
      // The derivative in t1 is that of the last step, and so one order less accurate than the solution.
      const rtol = tolerance({ float32: 2e-5, float64: 1e-8 });
      [e, 2 * 1.5 * e, 0.7 * 1.5 * e].forEach((x, i) => {
        expectClose(g[i], x, { rtol });
      });
    });
  });

  it('an empty interval: du/dt1 is the field', () => {
    tf.tidy(() => {
      const f = (t1: tf.Tensor): tf.Tensor =>
        tf.sum(
          solve(
            odeProblem((u: tf.Tensor) => tf.mul(3, u), tf.scalar(2), [1, t1], {}),
            rk4(),
            { dt: 0.1 },
          ).u,
        );
      expectClose(grad(f)(tf.scalar(1)), 6, { rtol: 1e-6 });
    });
  });
});

describe('discreteAdjoint: higher orders and other ways in', () => {
  const options = fixed(0.2, { saveAt: SAVED });

  it('second derivatives equal central differences of the first', function () {
    if (!isFloat64) return this.skip();
    const w = tf.tensor1d([1, 2, -1, 0.5]);
    for (const [name, a, o] of cases.filter(([label]) => /Tsit5|Heun|third/.test(label))) {
      tf.tidy(() => {
        const p = tf.tensor1d(p0);
        const slope = (q: tf.Tensor): tf.Tensor =>
          tf.sum(tf.mul(w, grad((r: tf.Tensor) => end(tf.tensor1d(u0), r, a, o))(q)));
        expectClose(grad(slope)(p), centralDifference(slope, p), { rtol: 1e-7, atol: 1e-7 }, name);
      });
    }
    w.dispose();
    return undefined;
  });

  it('third derivative of u0 -> u0 / (1 - u0 t) at t = 1/2', function () {
    if (!isFloat64) return this.skip();
    tf.tidy(() => {
      const f = (x: tf.Tensor): tf.Tensor =>
        tf.sum(
          solve(
            odeProblem((u: tf.Tensor) => tf.square(u), x, [0, 0.5], {}),
            tsit5(),
            fixed(0.01),
          ).u,
        );
      // d^3/dx^3 of x / (1 - x/2) is 6 (1/2)^2 / (1 - x/2)^4.
      const x = 0.4;
      expectClose(grad(grad(grad(f)))(tf.scalar(x)), 1.5 / (1 - x / 2) ** 4, { rtol: 1e-9 });
    });
    return undefined;
  });

  it('forward mode (jvp) agrees with reverse mode', () => {
    tf.tidy(() => {
      const p = tf.tensor1d(p0);
      const v = tf.tensor1d([0.3, -1, 0.2, 0.7]);
      const f = (q: tf.Tensor): tf.Tensor => end(tf.tensor1d(u0), q, tsit5(), options);
      const [, slope] = jvp(f, [p], [v]);
      expectClose(slope, tf.sum(tf.mul(grad(f)(p), v)), { rtol: tolerance({ float32: 1e-4, float64: 1e-12 }) });
    });
  });

  it('what the field closes over has a gradient too, variable or traced value', () => {
    tf.tidy(() => {
      const rate = tf.variable(tf.scalar(0.7));
      const f = (x: tf.Tensor): tf.Tensor => {
        const twice = tf.mul(2, x);
        return tf.sum(
          solve(
            odeProblem((u: tf.Tensor) => tf.mul(tf.mul(twice, rate), u), tf.scalar(1), [0, 1], {}),
            rk4(),
            { dt: 0.01 },
          ).u,
        );
      };
      const slope = (x: number): number => 1.4 * Math.exp(1.4 * x);
      expectClose(grad(f)(tf.scalar(0.5)), slope(0.5), { rtol: 1e-5 });
      const { grads } = tf.variableGrads(() => f(tf.scalar(0.5)) as tf.Scalar, [rate]);
      expectClose(Object.values(grads)[0], Math.exp(0.7), { rtol: 1e-5 });
      rate.dispose();
    });
  });

  it('tf.grad and tf.variableGrads give the same gradients', () => {
    tf.tidy(() => {
      const u = tf.tensor1d(u0);
      const p = tf.tensor1d(p0);
      const { grad: ours } = valueAndGrad((x: tf.Tensor, q: tf.Tensor) => end(x, q, tsit5(), options), {
        argnums: [0, 1],
      })(u, p);
      // tfjs asks for the derivatives in the end times as well, and so gets other programs: in single precision their error
      // estimates differ by rounding, which at this tolerance shows in the step sizes.
      const theirs = tf.grads((x: tf.Tensor, q: tf.Tensor) => end(x, q, tsit5(), options))([u, p]);
      theirs.forEach((g, i) => {
        expectClose(g, ours[i], { rtol: tolerance({ float32: 3e-4, float64: 1e-13 }) });
      });
      const variable = tf.variable(p);
      const { grads } = tf.variableGrads(() => end(u, variable, tsit5(), options) as tf.Scalar, [variable]);
      expectClose(Object.values(grads)[0], ours[1], {
        rtol: tolerance({ float32: 3e-4, float64: 1e-13 }),
      });
      variable.dispose();
    });
  });

  it('tf.tidy, tf.grad and a tfjs optimizer train through a solve', () => {
    const rate = tf.variable(tf.scalar(0.2));
    const optimizer = tf.train.adam(0.1);
    for (let i = 0; i < 60; i++) {
      optimizer.minimize(() => {
        const { u } = solve(odeProblem((x: tf.Tensor, q: tf.Tensor) => tf.neg(tf.mul(q, x)), tf.scalar(1), [0, 1], rate), heun(), fixed(0.25));
        return tf.square<tf.Scalar>(tf.sub(u, Math.exp(-0.8)));
      }, false, [rate]); // prettier-ignore
    }
    expect(rate.dataSync()[0]).to.be.closeTo(0.8, 0.05);
    rate.dispose();
    optimizer.dispose();
  });

  it('inside compile: traced once, same numbers, nothing leaked', () => {
    const u = tf.tensor1d(u0);
    const p = tf.tensor1d(p0);
    const eager = valueAndGrad((q: tf.Tensor) => end(u, q, tsit5(), {}))(p);
    const step = compile(valueAndGrad((q: tf.Tensor) => end(u, q, tsit5(), {})));
    const run = (): number[] => {
      const { value, grad: g } = step(p);
      const numbers = [...value.dataSync(), ...g.dataSync()];
      tf.dispose([value, g]);
      return numbers;
    };
    expectClose(run(), [...eager.value.dataSync(), ...eager.grad.dataSync()], { rtol: 1e-6 });
    const before = [tf.memory().numTensors, tf.backend().numDataIds()];
    for (let i = 0; i < 20; i++) run();
    expect([tf.memory().numTensors, tf.backend().numDataIds()]).to.deep.equal(before);
    expect(step.stats).to.deep.equal({ traces: 1, hits: 20 });
    tf.dispose([u, p, eager.value, eager.grad]);
  });

  it('a solve within the field of another solve', function () {
    if (!isFloat64) return this.skip();
    tf.tidy(() => {
      const inner = (x: tf.Tensor, q: tf.Tensor): tf.Tensor =>
        solve(
          odeProblem((u: tf.Tensor, r: tf.Tensor) => tf.neg(tf.mul(r, u)), x, [0, 0.5], q),
          rk4(),
          { dt: 0.1 },
        ).u;
      const f = (q: tf.Tensor): tf.Tensor =>
        tf.sum(solve(odeProblem(inner, tf.tensor1d([1, 2]), [0, 1], q), heun(), fixed(0.2)).u);
      const q = tf.scalar(0.9);
      expectClose(grad(f)(q), centralDifference(f, q), { rtol: 1e-8 });
    });
    return undefined;
  });
});
