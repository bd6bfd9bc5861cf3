import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { describe, it } from 'mocha';
import { grad, hvp } from '../../src/graph/transform.js';
import { expectClose } from '../support/close.js';
import { centralDifference } from '../support/differences.js';
import { isFloat64, tolerance } from '../support/precision.js';

type Tensor = tf.Tensor;
type Scalar = (x: Tensor) => Tensor;

const total =
  (f: Scalar): Scalar =>
  (x) =>
    tf.sum(f(x));
/** Element by element, for a function that works so. */
const nth = (f: Scalar, order: number): Scalar => (order === 0 ? f : grad(total(nth(f, order - 1))));
const close = {
  rtol: tolerance({ float32: 2e-5, float64: 1e-13 }),
  atol: tolerance({ float32: 1e-5, float64: 1e-14 }),
};

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const at = 0.7;
const s = logistic(at);
const t = Math.tanh(at);
const sech2 = 1 - t * t;

/** Functions for which tfjs's own second derivative is silently wrong or throws (its issue 3252), with the truth. */
const CLOSED: readonly [name: string, f: Scalar, order: number, truth: number][] = [
  ["silu''", (x) => tf.mul(x, tf.sigmoid(x)), 2, s * (1 - s) * (2 + at * (1 - 2 * s))],
  ["(x tanh x)''", (x) => tf.mul(x, tf.tanh(x)), 2, 2 * sech2 - 2 * at * t * sech2],
  ["(x tanh x)'''", (x) => tf.mul(x, tf.tanh(x)), 3, -6 * t * sech2 + at * sech2 * (6 * t * t - 2)],
  ["(x e^x)''", (x) => tf.mul(x, tf.exp(x)), 2, (2 + at) * Math.exp(at)],
  ["(x e^x)''''", (x) => tf.mul(x, tf.exp(x)), 4, (4 + at) * Math.exp(at)],
  ["tanh''", tf.tanh, 2, -2 * t * sech2],
  ["tanh'''", tf.tanh, 3, sech2 * (6 * t * t - 2)],
  ["sigmoid''", tf.sigmoid, 2, s * (1 - s) * (1 - 2 * s)],
  ["softplus'''", tf.softplus, 3, s * (1 - s) * (1 - 2 * s)],
  ["exp'''", tf.exp, 3, Math.exp(at)],
  ["elu'' at -0.7", (x) => tf.elu(tf.neg(x)), 2, Math.exp(-at)],
  ["elu''' at -0.7", (x) => tf.elu(tf.neg(x)), 3, -Math.exp(-at)],
  ["leakyRelu''", (x) => tf.square(tf.leakyRelu(tf.neg(x), 0.3)), 2, 2 * 0.09],
  ["(relu^3)''", (x) => tf.pow(tf.relu(x), 3), 2, 6 * at],
  ["(1/x)'''", tf.reciprocal, 3, -6 / at ** 4],
  ["log''''", tf.log, 4, -6 / at ** 4],
  ["sqrt'''", tf.sqrt, 3, 0.375 * at ** -2.5],
  ["(x^5)'''''", (x) => tf.pow(x, 5), 5, 120],
  ["(x^x)'", (x) => tf.pow(x, x), 1, at ** at * (Math.log(at) + 1)],
  ["(x^x)''", (x) => tf.pow(x, x), 2, at ** at * ((Math.log(at) + 1) ** 2 + 1 / at)],
  ["sin''''", tf.sin, 4, Math.sin(at)],
  ["atan''", tf.atan, 2, (-2 * at) / (1 + at * at) ** 2],
  ["a linear function'", (x) => tf.mul(x, 3), 1, 3],
  ["a linear function''", (x) => tf.mul(x, 3), 2, 0],
  ["a constant'", () => tf.scalar(4), 1, 0],
];

describe('higher derivatives', () => {
  for (const [name, f, order, truth] of CLOSED) {
    it(`${name} at 0.7 is ${truth.toPrecision(7)}`, () => {
      tf.tidy(() => {
        expectClose(nth(f, order)(tf.scalar(at)), truth, close, name);
      });
    });
  }

  it("silu''(0.7) is the published 0.3912206", () => {
    tf.tidy(() => {
      const second = nth((x) => tf.mul(x, tf.sigmoid(x)), 2);
      expectClose(second(tf.scalar(0.7)), 0.3912206, { atol: 2e-7 });
    });
  });

  it('of x^3 at 0 is 0 and of x^2 is 2: no 0 times infinity', () => {
    tf.tidy(() => {
      expectClose(nth((x) => tf.pow(x, 2), 2)(tf.tensor1d([0, 1])), [2, 2], close);
      expectClose(nth((x) => tf.pow(x, 3), 2)(tf.tensor1d([0, 1])), [0, 6], close);
      expectClose(nth((x) => tf.pow(x, 1), 2)(tf.tensor1d([0, 1])), [0, 0], close);
    });
  });

  it('of the error function follow from its closed form', () => {
    tf.tidy(() => {
      const x = [-1.1, -0.3, 0.4, 0.9];
      const first = x.map((v) => (2 / Math.sqrt(Math.PI)) * Math.exp(-v * v));
      const approximate = { rtol: tolerance({ float32: 2e-6, float64: 1e-14 }) };
      expectClose(grad(total(tf.erf))(tf.tensor1d(x)), first, approximate);
      expectClose(nth(tf.erf, 2)(tf.tensor1d(x)), first.map((g, i) => -2 * x[i] * g), approximate); // prettier-ignore
    });
  });

  it('of softmax: the Hessian of (w . softmax)^2 against its own differences', function () {
    if (!isFloat64) this.skip();
    tf.tidy(() => {
      const w = tf.tensor1d([0.3, -1.2, 0.8]);
      const f = (z: Tensor): Tensor => tf.square(tf.sum(tf.mul(w, tf.softmax(z))));
      const z = tf.tensor1d([0.2, -0.4, 1.1]);
      for (const v of [
        [1, 0, 0],
        [0, 1, 0],
        [0.5, -1, 2],
      ]) {
        // prettier-ignore
        const direction = tf.tensor1d(v);
        const along = (y: Tensor): Tensor => tf.sum(tf.mul(grad(f)(y), direction));
        expectClose(hvp(f, [z], [direction])[0], centralDifference(along, z), { rtol: 1e-8, atol: 1e-10 });
      }
    });
  });

  it('of a tanh network: every block of its Hessian', function () {
    if (!isFloat64) this.skip();
    tf.tidy(() => {
      const x = tf.tensor2d([[0.3, -0.8], [1.1, 0.4], [-0.6, 0.9]]); // prettier-ignore
      const sizes = [6, 3, 3];
      const parts = (p: Tensor): [Tensor, Tensor, Tensor] => {
        const [w, b, v] = tf.split(p, sizes);
        return [tf.reshape(w, [2, 3]), b, tf.reshape(v, [3, 1])];
      };
      const loss = (p: Tensor): Tensor => {
        const [w, b, v] = parts(p);
        return tf.sum(tf.square(tf.matMul(tf.tanh(tf.add(tf.matMul(x, w), b)), v)));
      };
      const p = tf.tensor1d(Array.from({ length: 12 }, (_, i) => Math.sin(3.1 * i + 0.4)));
      const direction = tf.tensor1d(Array.from({ length: 12 }, (_, i) => Math.cos(2.3 * i)));
      const along = (q: Tensor): Tensor => tf.sum(tf.mul(grad(loss)(q), direction));
      expectClose(hvp(loss, [p], [direction])[0], centralDifference(along, p), { rtol: 1e-8, atol: 1e-8 });
    });
  });
});

describe('conventions at kinks', () => {
  const slopes: readonly [string, Scalar, number[], number[]][] = [
    ['relu', tf.relu, [-1, 0, 1], [0, 0, 1]],
    ['relu6', tf.relu6, [0, 6, 7], [0, 1, 0]],
    ['abs', tf.abs, [-1, 0, 1], [-1, 0, 1]],
    ['clipByValue', (x) => tf.clipByValue(x, -1, 1), [-1, 1, 2], [1, 1, 0]],
    ['maximum with a tie', (x) => tf.maximum(x, 1), [0, 1, 2], [0, 1, 1]],
    ['max with a tie', (x) => tf.max(x), [2, 1, 2], [1, 0, 1]],
    ['sign, floor, round', (x) => tf.addN([tf.sign(x), tf.floor(x), tf.round(x)]), [0, 0.5, 1], [0, 0, 0]],
    ['pow 0', (x) => tf.pow(x, 0), [0, 1, 2], [0, 0, 0]],
  ];
  for (const [name, f, x, expected] of slopes) {
    it(`${name} at ${x.join(', ')}`, () => {
      tf.tidy(() => {
        expectClose(grad(total(f))(tf.tensor1d(x)), expected);
      });
    });
  }

  it('lets no NaN through the branch that where does not take', () => {
    tf.tidy(() => {
      const f = total((x) => tf.where(tf.greater(x, 0), tf.log(tf.where(tf.greater(x, 0), x, tf.onesLike(x))), x));
      expectClose(grad(f)(tf.tensor1d([-1, 0, 2])), [1, 1, 0.5]);
    });
  });
});
