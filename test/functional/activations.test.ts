import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import * as functional from '../../src/functional/index.js';
import { activations, glu, resolveActivation, type ActivationName } from '../../src/functional/activations.js';
import { compile, constant, dense, grad, key, type Tensor } from '../../src/index.js';
import { centralDifference } from '../support/differences.js';
import { expectClose } from '../support/close.js';
import { isFloat64, tolerance } from '../support/precision.js';

const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const elu = (x: number, alpha = 1): number => (x > 0 ? x : alpha * Math.expm1(x));
const tanhGelu = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** The error function by its Maclaurin series, which converges fast enough here (|x| below 4). */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 120; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** Each activation by its textbook formula in double precision. */
const FORMULAS: Readonly<Record<Exclude<ActivationName, 'softmax' | 'logSoftmax'>, (x: number) => number>> = {
  identity: (x) => x,
  relu: (x) => Math.max(0, x),
  relu6: (x) => Math.min(6, Math.max(0, x)),
  leakyRelu: (x) => (x > 0 ? x : 0.01 * x),
  thresholdRelu: (x) => (x > 1 ? x : 0),
  elu: (x) => elu(x),
  celu: (x) => elu(x),
  selu: (x) => 1.0507009873554805 * elu(x, 1.6732632423543772),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  geluTanh: tanhGelu,
  geluSigmoid: (x) => x * sigma(1.702 * x),
  sigmoid: sigma,
  hardSigmoid: (x) => Math.max(0, Math.min(1, (x + 3) / 6)),
  logSigmoid: (x) => -softplus(-x),
  tanh: Math.tanh,
  swish: (x) => x * sigma(x),
  silu: (x) => x * sigma(x),
  hardSwish: (x) => x * Math.max(0, Math.min(1, (x + 3) / 6)),
  mish: (x) => x * Math.tanh(softplus(x)),
  softplus,
  softsign: (x) => x / (1 + Math.abs(x)),
  tanhShrink: (x) => x - Math.tanh(x),
  softShrink: (x) => (x > 0.5 ? x - 0.5 : x < -0.5 ? x + 0.5 : 0),
  hardTanh: (x) => Math.max(-1, Math.min(1, x)),
  lisht: (x) => x * Math.tanh(x),
  logcosh: (x) => Math.log(Math.cosh(x)),
  sin: Math.sin,
};

/** No kink of any activation is within a step of these. */
const POINTS = [-7.3, -3.6, -2.4, -1.3, -0.72, -0.31, -0.043, 0.021, 0.27, 0.66, 1.2, 2.1, 3.3, 4.9, 6.4];

/** tfjs's cpu backend has erf to 1.5e-7 (Abramowitz and Stegun 7.1.26), and so much of its derivative. */
const ERF_ERROR: Readonly<Partial<Record<string, number>>> = { gelu: 1e-6 };

/** The series of this test for erf serves only so far out. */
const pointsFor = (name: string): number[] => (name === 'gelu' ? POINTS.filter((x) => Math.abs(x) < 3) : POINTS);

const each = (f: (x: Tensor) => Tensor) => (x: Tensor) => tf.sum(f(x));
const names = Object.keys(FORMULAS) as (keyof typeof FORMULAS)[];

describe('activations', () => {
  it('have a formula each in this test', () => {
    expect([...names, 'softmax', 'logSoftmax'].sort()).to.deep.equal(Object.keys(activations).sort());
  });

  for (const name of names) {
    const f = activations[name];
    const loose = ERF_ERROR[name] ?? 0;

    it(`${name} has the values of its formula`, () => {
      const points = pointsFor(name);
      expectClose(f(constant(points)), points.map(FORMULAS[name]), {
        rtol: tolerance({ float32: 2e-6, float64: 1e-13 }),
        atol: Math.max(loose, tolerance({ float32: 3e-7, float64: 1e-15 })),
      });
    });

    it(`${name} has the first and second derivative of central differences`, () => {
      const points = pointsFor(name);
      const x = constant(points);
      const slope = grad(each(f));
      const first = slope(x);
      const second = grad(each(slope))(x);
      // In single precision the reference is the formula, in double precision the function itself.
      const h = 1e-4;
      const formula = FORMULAS[name];
      expectClose(first, points.map((p) => (formula(p + h) - formula(p - h)) / (2 * h)), {
        rtol: tolerance({ float32: 1e-5, float64: 1e-7 }),
        atol: Math.max(loose, tolerance({ float32: 1e-6, float64: 1e-7 })),
      }); // prettier-ignore
      expectClose(second, points.map((p) => (formula(p + h) - 2 * formula(p) + formula(p - h)) / (h * h)), {
        rtol: 1e-4,
        atol: Math.max(10 * loose, tolerance({ float32: 3e-5, float64: 2e-6 })),
      }); // prettier-ignore
      if (isFloat64 && loose === 0) {
        expectClose(first, centralDifference(each(f), x), { rtol: 1e-8, atol: 1e-9 });
        expectClose(second, centralDifference(each(slope), x), { rtol: 1e-8, atol: 1e-9 });
      }
    });

    it(`${name} stays finite far out, with finite derivatives`, () => {
      const x = constant([-1e4, -200, -90, 0, 90, 200, 1e4]);
      const slope = grad(each(f));
      for (const y of [f(x), slope(x), grad(each(slope))(x)]) {
        expect(Array.from(y.dataSync()).every(Number.isFinite), String(y)).to.equal(true);
      }
    });
  }

  it('that are smooth at 0 have their derivative there', () => {
    const at = (name: ActivationName): number => grad(each(activations[name]))(tf.scalar(0)).dataSync()[0];
    const slopes: Partial<Record<ActivationName, number>> = {
      elu: 1, celu: 1, softplus: 0.5, logSigmoid: 0.5, swish: 0.5, mish: 0.6, softsign: 1, gelu: 0.5, geluTanh: 0.5, logcosh: 0, lisht: 0, tanhShrink: 0,
    }; // prettier-ignore
    for (const [name, slope] of Object.entries(slopes)) {
      expectClose(at(name as ActivationName), slope, { atol: 1e-6 }, name);
    }
  });

  for (const name of ['softmax', 'logSoftmax'] as const) {
    it(`${name} goes over the last axis, and has its derivatives`, () => {
      const f = activations[name];
      const rows = [
        [0.3, -1.2, 2.1],
        [1000, 1001, 999],
      ];
      const x = constant(rows);
      const expected = rows.map((row) => {
        const top = Math.max(...row);
        const total = row.reduce((s, v) => s + Math.exp(v - top), 0);
        return row.map((v) => (name === 'softmax' ? Math.exp(v - top) / total : v - top - Math.log(total)));
      });
      expectClose(f(x), expected, { rtol: tolerance({ float32: 1e-6, float64: 1e-13 }) });
      const weights = constant([
        [0.3, 1.7, -0.4],
        [1.1, 0.2, 0.9],
      ]);
      const loss = (z: Tensor): Tensor => tf.sum(tf.mul(f(z), weights));
      const slope = (z: Tensor): Tensor => tf.sum(tf.mul(grad(loss)(z), tf.square(weights)));
      const close = {
        rtol: tolerance({ float32: 2e-2, float64: 1e-7 }),
        atol: tolerance({ float32: 2e-2, float64: 1e-8 }),
      };
      const near = constant([rows[0], [0.1, 0.4, -0.2]]);
      expectClose(grad(loss)(near), centralDifference(loss, near), close);
      expectClose(grad(slope)(near), centralDifference(slope, near), close);
    });
  }

  it('take their parameters', () => {
    const x = constant([-2, 0.25, 2]);
    const close = { rtol: 1e-6, atol: 1e-7 };
    expectClose(functional.leakyRelu(x, 0.2), [-0.4, 0.25, 2], close);
    expectClose(functional.elu(x, 0.5), [0.5 * Math.expm1(-2), 0.25, 2], close);
    expectClose(functional.celu(x, 2), [2 * Math.expm1(-1), 0.25, 2], close);
    expectClose(functional.softShrink(x, 0.2), [-1.8, 0.05, 1.8], close);
    expectClose(functional.thresholdRelu(x, 0.2), [0, 0.25, 2], close);
  });

  it('logSumExp neither overflows nor loses its derivatives', () => {
    const rows = [[1000, 1001, 999], [-100, 100, 0], [0.3, -1.2, 2.1]]; // prettier-ignore
    const x = constant(rows);
    const expected = rows.map((row) => {
      const top = Math.max(...row);
      return top + Math.log(row.reduce((s, v) => s + Math.exp(v - top), 0));
    });
    expectClose(functional.logSumExp(x), expected, { rtol: tolerance({ float32: 1e-6, float64: 1e-14 }) });
    expectClose(functional.logSumExp(x, 0), [1000, 1001, 999], { rtol: 1e-6 });
    // Its derivative is softmax, whose own is diag(p) - p pᵀ: along ones it vanishes.
    const slope = grad((z: Tensor) => tf.sum(functional.logSumExp(z)));
    expectClose(slope(x), tf.softmax(x), { rtol: tolerance({ float32: 1e-5, float64: 1e-13 }), atol: 1e-12 });
    const second = grad((z: Tensor) => tf.sum(tf.mul(slope(z), constant([1, 2, 3]))))(x);
    const p = tf.softmax(x);
    const mean = tf.sum(tf.mul(p, constant([1, 2, 3])), -1, true);
    expectClose(second, tf.mul(p, tf.sub(constant([1, 2, 3]), mean)), { rtol: 1e-5, atol: 1e-6 });
  });

  it('rrelu has slopes within its bounds, the same for the same key', () => {
    const x = tf.fill([1000], -1);
    const slopes = functional.rrelu(x, key(4)).neg().dataSync() as Float32Array;
    expect(Math.min(...slopes)).to.be.within(0.125, 0.13);
    expect(Math.max(...slopes)).to.be.within(0.328, 1 / 3);
    expectClose(functional.rrelu(x, key(4)), functional.rrelu(x, key(4)), {});
    expectClose(functional.rrelu(constant([2, 0.5]), key(4)), [2, 0.5], { rtol: 1e-7 });
    expectClose(functional.rrelu(constant([-3]), key(1), 0.5, 0.5), [-1.5], { rtol: 1e-7 });
  });

  it('glu halves an axis', () => {
    expectClose(glu(constant([[1, 2, 0, Math.log(3)]])), [[0.5, 1.5]], { rtol: 1e-6 });
    expect(() => glu(tf.zeros([2, 3]))).to.throw('glu: axis -1 must have an even size, got shape [2, 3]');
  });

  it('give the same when compiled, and free what they make', () => {
    const x = constant([POINTS]);
    for (const [name, f] of Object.entries(activations)) {
      const before = tf.memory().numTensors;
      const y = f(x);
      expect(tf.memory().numTensors - before, name).to.equal(name === 'identity' ? 0 : 1);
      const compiled = compile(f)(x);
      expectClose(compiled, y, { rtol: 1e-6, atol: 1e-7 }, name);
    }
  });

  it('are found by name, or taken as they are', () => {
    expect(resolveActivation('tanh', 'f')).to.deep.include({ name: 'tanh' });
    expect(resolveActivation(functional.relu, 'f').name).to.equal('relu');
    const own = (x: Tensor): Tensor => tf.square(x);
    expect(resolveActivation(own, 'f')).to.deep.equal({ name: 'own', apply: own });
    expect(resolveActivation((x) => x, 'f').name).to.equal('function');
    expect(resolveActivation(tf.tanh, 'f').name).to.equal('tanh');
  });

  it('that do not exist are an error that knows what was meant', () => {
    const name = (given: string): ActivationName => given as ActivationName;
    expect(() => dense(2, 3, name('sigmiod'))).to.throw('dense: unknown activation "sigmiod"; did you mean "sigmoid"?');
    expect(() => dense(2, 3, name('leaky_relu'))).to.throw('did you mean "leakyRelu"?');
    expect(() => dense(2, 3, name('toString'))).to.throw('unknown activation "toString"');
    expect(() => dense(2, 3, 7 as unknown as 'tanh')).to.throw(
      'dense: the activation must be a name or a function, got number',
    );
  });
});
