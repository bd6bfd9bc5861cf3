import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  anderson,
  broyden,
  fixedPointProblem,
  gmres,
  implicitAdjoint,
  jacobianFree,
  nonlinearProblem,
  phantom,
  picard,
  reversible,
  solve,
  unrolled,
  type NonlinearAlgorithm,
  type NonlinearOptions,
} from '../../../solvers/index.js';
import { compile, constant, grad, hvp, jvp, vjp, type Tensor } from '../../../src/index.js';
import { expectClose } from '../../support/close.js';
import { centralDifference } from '../../support/differences.js';
import { isFloat64, tolerance } from '../../support/precision.js';

type Parameters = { w: Tensor; b: Tensor; x: Tensor };

const N = 4;
const parameters = (): Parameters => ({
  w: constant(Array.from({ length: N }, (_, i) => Array.from({ length: N }, (_, j) => 0.4 * Math.cos(1 + 3 * i + 5 * j + i * j)))),
  b: constant([0.1, -0.2, 0.3, 0.4]),
  x: constant([[0.3, 0.1, -0.2, 0.5], [0.7, 0.2, 0.1, -0.9], [0.2, 0.3, 0.9, 0.1]]),
}); // prettier-ignore
const weights = (): Tensor => constant([[1, 2, -1, 0.5], [0.3, 0.2, 0.1, 1], [1, -1, 1, -1]]); // prettier-ignore
const map = (z: Tensor, { w, b, x }: Parameters): Tensor =>
  tf.tanh(tf.add(tf.add(tf.matMul(z as tf.Tensor2D, w as tf.Tensor2D), b), x));
const start = (): Tensor => tf.zeros([3, N]);

const tight = { abstol: tolerance({ float32: 1e-6, float64: 1e-14 }), reltol: 0 };
const exact = implicitAdjoint({ reltol: tolerance({ float32: 1e-6, float64: 1e-13 }) });

interface How {
  readonly algorithm?: NonlinearAlgorithm;
  readonly options?: NonlinearOptions;
  readonly asRoot?: boolean;
}

/** `sum c z^2` of the equilibrium. */
function loss(p: Parameters, { algorithm = anderson(), options = {}, asRoot = false }: How = {}): tf.Scalar {
  const reached = asRoot ? { ...tight, abstol: tolerance({ float32: 2e-6, float64: 1e-12 }) } : tight;
  const all = { ...reached, adjoint: exact, ...options };
  const { u } = asRoot
    ? solve(
        nonlinearProblem((z: Tensor, q: Parameters) => tf.mul(2, tf.sub(map(z, q), z)), start(), p),
        algorithm,
        all,
      )
    : solve(fixedPointProblem(map, start(), p), algorithm, all);
  return tf.sum(tf.mul(weights(), tf.square(u)));
}

const NAMES = ['w', 'b', 'x'] as const;
const direction = (): Tensor => constant([1, 0.5, -0.3, 0.2]);

describe('the implicit derivative of a fixed point', () => {
  const cases: readonly (readonly [string, How])[] = [
    ['Anderson', {}],
    ['plain iteration', { algorithm: picard() }],
    ['an independent batch', { options: { batch: 'independent', along: ({ x }: Parameters) => x } }],
    ['a GMRES adjoint', { options: { adjoint: implicitAdjoint({ linearSolver: gmres(), reltol: tolerance({ float32: 1e-6, float64: 1e-13 }) }) } }],
    ['a root', { algorithm: broyden(), asRoot: true }],
  ]; // prettier-ignore

  for (const [name, how] of cases) {
    it(`equals central differences for weights, biases and inputs: ${name}`, () => {
      tf.tidy(() => {
        const p = parameters();
        const g = grad((q: Parameters) => loss(q, how))(p);
        const value = compile((q: Parameters) => loss(q, how));
        for (const field of NAMES) {
          const expected = centralDifference((v) => value({ ...p, [field]: v }), p[field], isFloat64 ? 1e-4 : 1e-2);
          // The differences are good to h^2: the analytic values are compared among each other below.
          expectClose(g[field], expected, { atol: tolerance({ float32: 2e-3, float64: 5e-8 }) }, field);
        }
        const reference = grad((q: Parameters) => loss(q, {}))(p);
        for (const field of NAMES) {
          expectClose(g[field], reference[field], { atol: tolerance({ float32: 2e-5, float64: 2e-11 }) }, field);
        }
      });
    });
  }

  it('equals fourth-order differences to 1e-8', function () {
    if (!isFloat64) this.skip();
    tf.tidy(() => {
      const p = parameters();
      const g = grad((q: Parameters) => loss(q))(p);
      const value = compile((q: Parameters) => loss(q));
      for (const field of NAMES) {
        const difference = (h: number): number[] => centralDifference((v) => value({ ...p, [field]: v }), p[field], h);
        const [one, two] = [difference(1e-3), difference(2e-3)];
        const expected = one.map((d, i) => (4 * d - two[i]) / 3);
        expectClose(g[field], expected, { atol: 1e-9 }, field);
      }
    });
  });

  it('has second derivatives: the Hessian times a vector', () => {
    tf.tidy(() => {
      const p = parameters();
      for (const asRoot of [false, true]) {
        const how: How = asRoot ? { asRoot, algorithm: broyden() } : {};
        const [h] = hvp((b: Tensor) => loss({ ...p, b }, how), [p.b], [direction()]);
        const gradientAlong = compile((t: Tensor) =>
          grad((b: Tensor) => loss({ ...p, b }, how))(tf.add(p.b, tf.mul(t, direction()))),
        );
        const expected = [0, 1, 2, 3].map(
          (i) => centralDifference((t) => tf.slice(gradientAlong(t), i, 1), tf.scalar(0), isFloat64 ? 1e-4 : 1e-2)[0],
        );
        expectClose(h, expected, { atol: tolerance({ float32: 2e-2, float64: 1e-6 }) });
        // With respect to the weights, through the inputs.
        const mixed = grad((w: Tensor) => tf.sum(grad((x: Tensor) => loss({ ...p, w, x }, how))(p.x)))(p.w);
        const sum = compile((w: Tensor) => tf.sum(grad((x: Tensor) => loss({ ...p, w, x }, how))(p.x)));
        expectClose(mixed, centralDifference(sum, p.w, isFloat64 ? 1e-4 : 1e-2), {
          atol: tolerance({ float32: 4e-2, float64: 2e-6 }),
        });
      }
    });
  });

  it('has third derivatives', function () {
    if (!isFloat64) this.skip();
    tf.tidy(() => {
      const p = parameters();
      const along = (t: Tensor): tf.Scalar => loss({ ...p, b: tf.add(p.b, tf.mul(t, direction())) });
      const second = grad((t: Tensor) => grad(along)(t));
      const third = grad((t: Tensor) => second(t))(tf.scalar(0));
      expectClose(
        third,
        centralDifference((t) => second(t), tf.scalar(0), 1e-4),
        { rtol: 1e-6, atol: 1e-6 },
      );
    });
  });

  it('works in forward mode, where only the tangent system is solved', () => {
    tf.tidy(() => {
      const p = parameters();
      const [value, tangent] = jvp((b: Tensor) => loss({ ...p, b }), [p.b], [direction()]);
      const g = grad((b: Tensor) => loss({ ...p, b }))(p.b);
      expectClose(value, loss(p), { rtol: 1e-6 });
      expectClose(tangent, tf.sum(tf.mul(g, direction())), { atol: tolerance({ float32: 2e-5, float64: 1e-11 }) });
    });
  });

  it("enters tfjs's own tape, and compiled functions", () => {
    tf.tidy(() => {
      const p = parameters();
      const g = grad((b: Tensor) => loss({ ...p, b }))(p.b);
      const close = { atol: tolerance({ float32: 1e-6, float64: 1e-12 }) };
      expectClose(tf.grad((b: Tensor) => loss({ ...p, b }))(p.b), g, close);
      const compiled = compile(grad((b: Tensor) => loss({ ...p, b })));
      expectClose(compiled(p.b), g, close);
      expectClose(compiled(p.b), g, close);
      expect(compiled.stats.traces).to.equal(1);
    });
  });

  it('does not depend on where the solve started, and says so by a zero', () => {
    tf.tidy(() => {
      const p = parameters();
      const g = grad((u0: Tensor) => tf.sum(solve(fixedPointProblem(map, u0, p), anderson(), tight).u))(start());
      expectClose(g, new Array<number>(3 * N).fill(0));
    });
  });

  it('leaves the residual of its linear system on the solution', () => {
    tf.tidy(() => {
      const p = parameters();
      const [{ u }] = [solve(fixedPointProblem(map, start(), p), anderson(), tight)];
      u.dispose();
      const box: { solution?: ReturnType<typeof solve<Tensor, Parameters>> } = {};
      const adjoint = implicitAdjoint({ reltol: 1e-4 });
      grad((b: Tensor) => {
        box.solution = solve(fixedPointProblem(map, start(), { ...p, b }), anderson(), { ...tight, adjoint });
        return tf.sum(box.solution.u);
      })(p.b);
      const report = box.solution?.adjoint;
      expect(report?.retcode).to.equal('Success');
      expect(report?.residual).to.be.above(0);
      expect(report?.residual).to.be.below(2e-4);
      expect(report?.iterations).to.be.within(2, 20);
    });
  });

  it('is an error, a warning or nothing when the linear system is not solved', () => {
    tf.tidy(() => {
      const p = parameters();
      const run = (onFailure: 'error' | 'warn' | 'ignore'): Tensor =>
        grad((b: Tensor) => loss({ ...p, b }, { options: { adjoint: implicitAdjoint({ maxIters: 1, onFailure, linearSolver: picard(), reltol: 1e-6 }) } }))(p.b); // prettier-ignore
      expect(() => run('error')).to.throw(/linear system of the implicit adjoint was not solved \(picard\): residual/);
      const { warn } = console;
      const said: unknown[] = [];
      console.warn = (...words: unknown[]) => said.push(...words);
      try {
        run('ignore');
        expect(said).to.deep.equal([]);
        run('warn');
      } finally {
        console.warn = warn;
      }
      expect(said).to.have.length(1);
      expect(said[0]).to.match(/was not solved/);
    });
  });

  it('computes nothing of f at the solution that the solve already has, and nothing twice', () => {
    tf.tidy(() => {
      const p = parameters();
      const products = (f: (z: Tensor, q: Parameters) => Tensor, algorithm: NonlinearAlgorithm): number => {
        const run = compile(
          grad((q: Parameters) => tf.sum(solve(fixedPointProblem(f, start(), q), algorithm, tight).u)),
        );
        return run.programFor(p).graph.nodes.filter(({ kernel }) => /MatMul/.test(kernel)).length;
      };
      // The derivative of tanh is one of its value, which the solve knows: what is left is the product that makes dw.
      expect(products(map, anderson())).to.equal(1);
      expect(products(map, picard())).to.equal(1);
      // Broyden's method has no image of its last state.
      expect(products(map, broyden())).to.equal(2);
      // The inner value of a map of two layers: z w once, for the linear system and for dw; three products make the two parts of dw.
      const deep = (z: Tensor, q: Parameters): Tensor =>
        tf.tanh(tf.matMul(map(z, q) as tf.Tensor2D, q.w as tf.Tensor2D));
      expect(products(deep, anderson())).to.equal(4);
    });
  });

  it('is that of the state returned, also where that is not the last', () => {
    tf.tidy(() => {
      // A map that repels near its fixed point (0.5, -0.3): of two states the start is the better.
      const a = constant([[0.2, 2.2], [-2.2, 0.2]]) as tf.Tensor2D; // prettier-ignore
      const f = (z: Tensor, { b }: { b: Tensor }): Tensor => tf.add(tf.sin(tf.matMul(z as tf.Tensor2D, a)), b);
      const b = constant([[0.5 - Math.sin(0.76), -0.3 - Math.sin(1.04)]]);
      const begin = constant([[0.51, -0.31]]);
      const options = { abstol: 1e-12, reltol: 0, maxIters: 1, throwOnFailure: false, adjoint: exact } as const;
      const { u, statistics } = solve(fixedPointProblem(f, begin, { b }), anderson(), options);
      const [iterations, , , bestAt] = statistics.dataSync();
      expect([bestAt, iterations]).to.deep.equal([0, 1]);
      const g = grad((c: Tensor) => tf.sum(solve(fixedPointProblem(f, begin, { b: c }), anderson(), options).u))(b);
      // w = (I - J')^-1 (1, 1), J' = A diag(cos(u A)); df/db = I.
      const [x, y] = u.dataSync();
      const [c, s] = [Math.cos(0.2 * x - 2.2 * y), Math.cos(2.2 * x + 0.2 * y)];
      const [m00, m01, m10, m11] = [1 - 0.2 * c, -2.2 * s, 2.2 * c, 1 - 0.2 * s];
      const det = m00 * m11 - m01 * m10;
      expectClose(g, [(m11 - m01) / det, (m00 - m10) / det], { rtol: tolerance({ float32: 1e-4, float64: 1e-10 }) });
    });
  });

  it('goes with a trace of the residuals, in a joint and in an independent batch', () => {
    tf.tidy(() => {
      const p = parameters();
      const g = grad((x: Tensor) => loss({ ...p, x }))(p.x);
      for (const batch of ['joint', 'independent'] as const) {
        const options = { ...tight, adjoint: exact, storeTrace: true, maxIters: 50, ...(batch === 'joint' ? {} : { batch, along: ({ x }: Parameters) => x }) }; // prettier-ignore
        const value = (x: Tensor): { sum: tf.Scalar; trace: Tensor } => {
          const { u, trace } = solve(fixedPointProblem(map, start(), { ...p, x }), anderson(), options);
          return { sum: tf.sum(tf.mul(weights(), tf.square(u))), trace: trace as Tensor };
        };
        expect(compile(value)(p.x).trace.shape).to.deep.equal(batch === 'joint' ? [51] : [3, 51]);
        expectClose(grad((x: Tensor) => value(x).sum)(p.x), g, { atol: tolerance({ float32: 2e-5, float64: 2e-11 }) });
      }
    });
  });

  it('goes to GMRES for a system that is too much for a short memory', () => {
    // u = A u + b with a rotation whose eigenvalues lie all round the unit circle: difficult for a memory of 5.
    tf.tidy(() => {
      const n = 40;
      const rows = Array.from({ length: n }, (_, i) =>
        Array.from({ length: n }, (_, j) => (j === (i + 1) % n ? 1 : 0)),
      );
      const a = tf.mul(constant(rows), constant(0.99));
      const b = constant(Array.from({ length: n }, (_, i) => Math.sin(i)));
      const f = (u: Tensor, { b: c }: { b: Tensor }): Tensor =>
        tf.add(tf.reshape(tf.matMul(a as tf.Tensor2D, tf.reshape(u, [n, 1])), [n]), c);
      const options = { abstol: tolerance({ float32: 1e-4, float64: 1e-10 }), reltol: 0, adjoint: implicitAdjoint({ reltol: tolerance({ float32: 1e-4, float64: 1e-12 }) }) }; // prettier-ignore
      const g = grad((c: Tensor) => {
        const { u } = solve(fixedPointProblem(f, tf.zeros([n]), { b: c }), anderson({ memory: 40 }), options);
        return tf.sum(tf.mul(u, constant(Array.from({ length: n }, (_, i) => i))));
      })(b);
      // (I - A)' w = v has the solution w_j = sum_k 0.99^k v_(j-k) / (1 - 0.99^n).
      const expected = Array.from({ length: n }, (_, j) => {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += 0.99 ** k * ((j - k + n) % n);
        return sum / (1 - 0.99 ** n);
      });
      expectClose(g, expected, { rtol: tolerance({ float32: 2e-3, float64: 1e-9 }) });
    });
  });
});

describe('other gradients of a fixed point', () => {
  it('phantom and Jacobian-free gradients equal their definitions', () => {
    tf.tidy(() => {
      const p = parameters();
      const z = solve(fixedPointProblem(map, start(), p), anderson(), tight).u;
      for (const [adjoint, steps, damping] of [
        [phantom({ steps: 3, damping: 0.6 }), 3, 0.6],
        [phantom(), 5, 1],
        [jacobianFree(), 1, 1],
      ] as const) {
        const g = grad((q: Parameters) => loss(q, { options: { adjoint } }))(p);
        // The cotangent of the loss at z, pulled back through `steps` applications that start at z as a constant.
        const dz = tf.mul(2, tf.mul(weights(), z));
        const [, pull] = vjp((q: Parameters) => {
          let x: Tensor = z;
          for (let k = 0; k < steps; k++) x = tf.add(tf.mul(x, constant(1 - damping)), tf.mul(map(x, q), constant(damping)));
          return x;
        }, p); // prettier-ignore
        const [expected] = pull(dz);
        for (const field of NAMES) {
          expectClose(g[field], expected[field], { atol: tolerance({ float32: 1e-5, float64: 1e-11 }) }, field);
        }
      }
    });
  });

  it('many phantom steps approach the implicit gradient', () => {
    tf.tidy(() => {
      const p = parameters();
      const g = grad((b: Tensor) => loss({ ...p, b }))(p.b);
      const [few, many] = [2, 60].map((steps) => {
        const d = grad((b: Tensor) => loss({ ...p, b }, { options: { adjoint: phantom({ steps }) } }))(p.b);
        return tf.max(tf.abs(tf.sub(d, g))).dataSync()[0];
      });
      expect(many).to.be.below(tolerance({ float32: 1e-4, float64: 1e-6 }));
      expect(few).to.be.above(1e-3);
    });
  });

  for (const algorithm of [picard(), picard({ damping: 0.7 }), reversible(), reversible({ damping: 0.8 })]) {
    it(`unrolled gradients are those of the iterations that were made: ${algorithm.name}`, () => {
      tf.tidy(() => {
        const p = parameters();
        const u0 = tf.mul(weights(), 0.1);
        // A loose solve: its iterates, not the fixed point, are what is differentiated.
        const loose = { abstol: 1e-2, reltol: 0, norm: 'l2' } as const;
        const value = (start: Tensor, q: Parameters): tf.Scalar => {
          const { u } = solve(fixedPointProblem(map, start, q), algorithm, { ...loose, adjoint: unrolled() });
          return tf.sum(tf.mul(weights(), tf.square(u)));
        };
        const h = isFloat64 ? 1e-5 : 1e-3;
        const close = { atol: tolerance({ float32: 2e-2, float64: 1e-8 }) };
        const run = compile(value);
        const g = grad((q: Parameters) => value(u0, q))(p);
        for (const field of NAMES) {
          expectClose(
            g[field],
            centralDifference((v) => run(u0, { ...p, [field]: v }), p[field], h),
            close,
            field,
          );
        }
        const dStart = grad((s: Tensor) => value(s, p))(u0);
        expectClose(
          dStart,
          centralDifference((s) => run(s, p), u0, h),
          close,
          'u0',
        );
        expect(tf.max(tf.abs(dStart)).dataSync()[0]).to.be.above(1e-4);
      });
    });
  }

  for (const algorithm of [picard(), picard({ damping: 0.7 }), reversible(), reversible({ damping: 0.8 })]) {
    it(`second derivatives of unrolled iterations are those of what was computed: ${algorithm.name}`, () => {
      tf.tidy(() => {
        const p = parameters();
        const u0 = tf.mul(weights(), 0.1);
        // As many iterations whatever the parameters: of fewer or more, the derivatives are others.
        const loose = {
          abstol: 1e-30,
          reltol: 0,
          maxIters: 6,
          throwOnFailure: false,
          adjoint: unrolled({ keepEvery: 3 }),
        };
        const value = (q: Parameters, s: Tensor): Tensor =>
          tf.sum(tf.mul(weights(), tf.square(solve(fixedPointProblem(map, s, q), algorithm, loose).u)));
        /** The gradients along fixed directions. */
        const slope = ({ w, b, x, s }: Parameters & { s: Tensor }): Tensor => {
          const dp = grad((q: Parameters) => value(q, s))({ w, b, x });
          const ds = grad((t: Tensor) => value({ w, b, x }, t))(s);
          const along = (g: Tensor): Tensor => tf.sum(tf.mul(g, tf.reshape(tf.cos(tf.range(0, g.size)), g.shape)));
          return tf.addN([dp.w, dp.b, dp.x, ds].map(along));
        };
        const all = { ...p, s: u0 };
        const run = compile(slope);
        const g = grad(slope)(all);
        const close = { atol: tolerance({ float32: 5e-2, float64: 1e-7 }) };
        for (const field of [...NAMES, 's'] as const) {
          const expected = centralDifference((v) => run({ ...all, [field]: v }), all[field], isFloat64 ? 1e-5 : 1e-2);
          expectClose(g[field], expected, close, field);
          expect(Math.max(...expected.map(Math.abs)), field).to.be.above(1e-3);
        }
      });
    });
  }

  for (const algorithm of [picard(), reversible()]) {
    it(`unrolled derivatives of an independent batch are those of its rows alone: ${algorithm.name}`, () => {
      tf.tidy(() => {
        const { w, b, x } = parameters();
        const u0 = tf.mul(weights(), 0.1);
        const options = { abstol: 3e-2, reltol: 0, norm: 'l2', adjoint: unrolled({ keepEvery: 2 }) } as const;
        // Rows that take different numbers of iterations.
        const scale = constant([[1], [0.5], [0]]);
        type All = Parameters & { s: Tensor };
        const scaled = (q: All): Parameters => ({ ...q, x: tf.mul(q.x, scale), w: q.w, b: tf.mul(q.b, 0.1) });
        const square = (u: Tensor, c: Tensor): Tensor => tf.sum(tf.mul(c, tf.square(u)));
        const together = (q: All): Tensor => {
          const problem = fixedPointProblem(map, q.s, scaled(q));
          const { u } = solve(problem, algorithm, { ...options, batch: 'independent', along: (p: Parameters) => p.x });
          return square(u, weights());
        };
        const alone = (q: All): Tensor => {
          const { w, b, x } = scaled(q);
          const row = (t: Tensor, i: number): Tensor => tf.slice(t, [i, 0], [1, N]);
          const rows = [0, 1, 2].map((i) => solve(fixedPointProblem(map, row(q.s, i), { w, b, x: row(x, i) }), algorithm, options).u);
          return tf.addN(rows.map((u, i) => square(u, row(weights(), i))));
        };
        const all = { w, b, x, s: u0 };
        const { samples } = solve(fixedPointProblem(map, u0, scaled(all)), algorithm, { ...options, batch: 'independent', along: (p: Parameters) => p.x });
        expect(new Set(samples.map(({ iterations }) => iterations)).size, 'different numbers').to.be.above(1);
        const close = { rtol: tolerance({ float32: 1e-4, float64: 1e-11 }), atol: tolerance({ float32: 1e-4, float64: 1e-12 }) };
        const along = { w: tf.cos(w), b: tf.cos(b), x: tf.cos(x), s: tf.sin(u0) };
        const [one, other] = [together, alone].map((f) => ({ first: grad(f)(all), second: hvp(f, [all], [along])[0] }));
        for (const field of [...NAMES, 's'] as const) {
          expectClose(one.first[field], other.first[field], close, `first, ${field}`);
          expectClose(one.second[field], other.second[field], close, `second, ${field}`);
        }
      });
    }); // prettier-ignore
  }

  it('third derivatives of unrolled iterations are those of what was computed; tight ones those of the fixed point', () => {
    tf.tidy(() => {
      const p = parameters();
      const value =
        (options: NonlinearOptions) =>
        (a: Tensor): Tensor => {
          const problem = fixedPointProblem(map, tf.mul(weights(), 0.1), { ...p, b: tf.mul(a, p.b) });
          return tf.sum(tf.mul(weights(), solve(problem, picard(), options).u));
        };
      const orders = (f: (a: Tensor) => Tensor): ((a: Tensor) => Tensor)[] => [
        grad(f),
        grad(grad(f)),
        grad(grad(grad(f))),
      ];
      const one = constant(0.8);
      const six = { abstol: 1e-30, reltol: 0, maxIters: 6, throwOnFailure: false };
      const [, second, third] = orders(value({ ...six, adjoint: unrolled() }));
      const run = compile(second);
      const close = { atol: tolerance({ float32: 5e-2, float64: 1e-7 }) };
      expectClose(
        third(one),
        centralDifference((a) => run(a), one),
        close,
      );
      const ours = orders(value({ ...tight, adjoint: unrolled() })).map((f) => f(one));
      const implicit = orders(value({ ...tight, adjoint: exact })).map((f) => f(one));
      ours.forEach((d, i) => { expectClose(d, implicit[i], { atol: tolerance({ float32: 1e-3, float64: 1e-10 }) }, `order ${i + 1}`); }); // prettier-ignore
    });
  });

  it('what cannot be had is refused with words', () => {
    tf.tidy(() => {
      const p = parameters();
      const problem = fixedPointProblem(map, start(), p);
      expect(() => solve(problem, anderson(), { adjoint: unrolled() })).to.throw(/recorded, which anderson\(\) has not; take picard\(\) or reversible\(\)/); // prettier-ignore
      const root = nonlinearProblem((z: Tensor, q: Parameters) => tf.sub(map(z, q), z), start(), p);
      expect(() => solve(root, broyden(), { adjoint: phantom() })).to.throw(
        /for fixed points; a root takes implicitAdjoint/,
      );
      expect(() => phantom({ steps: 0 })).to.throw(/phantom: option "steps": expected a positive integer, got 0/);
      expect(() => phantom({ damping: 2 })).to.throw(/a number in \(0, 1\], got 2/);
      expect(() => implicitAdjoint({ tol: 1 } as never)).to.throw(/unknown option "tol"/);
    });
  });
});
