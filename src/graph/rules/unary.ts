/**
 * Functions of one number, element by element: each is its slope.
 *
 * Where the slope is cheaper in terms of the result, it is written so; at a kink it is what tfjs has (0 for relu at 0).
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import type { Attrs } from '../engine.js';
import type { Rule, RuleTable } from './rule.js';
import { add, div, kernel, mul, neg, negative, sqrt, square, sub, times, where, zero, type Tensor } from './tools.js';

/** Cotangent of `x`, given that of `y = f(x)`. */
type Slope = (dy: Tensor, x: Tensor, y: Tensor, attrs: Attrs) => Tensor;

const one = (): Tensor => constant(1);
const oneMinusSquare = (x: Tensor): Tensor => sub(one(), square(x));
const onePlusSquare = (x: Tensor): Tensor => add(one(), square(x));

// Klambauer et al. 2017, Self-Normalizing Neural Networks, as tfjs rounds them.
const SELU_SCALE = tf.backend_util.SELU_SCALE;
const SELU_SCALE_ALPHA = tf.backend_util.SELU_SCALEALPHA;

const SLOPES: Readonly<Record<string, Slope>> = {
  Abs: (dy, x) => mul(dy, tf.sign(x)),
  Acos: (dy, x) => neg(div(dy, sqrt(oneMinusSquare(x)))),
  Acosh: (dy, x) => div(dy, sqrt(sub(square(x), one()))),
  Asin: (dy, x) => div(dy, sqrt(oneMinusSquare(x))),
  Asinh: (dy, x) => div(dy, sqrt(onePlusSquare(x))),
  Atan: (dy, x) => div(dy, onePlusSquare(x)),
  Atanh: (dy, x) => div(dy, oneMinusSquare(x)),
  Cos: (dy, x) => neg(mul(dy, tf.sin(x))),
  Cosh: (dy, x) => mul(dy, tf.sinh(x)),
  Elu: (dy, _, y) => kernel('EluGrad', { dy, y }),
  Erf: (dy, x) => mul(times(dy, 2 / Math.sqrt(Math.PI)), tf.exp(neg(square(x)))),
  Exp: (dy, _, y) => mul(dy, y),
  Expm1: (dy, _, y) => mul(dy, add(y, one())),
  LeakyRelu: (dy, x, _, { alpha }) => mul(dy, kernel('Step', { x }, { alpha })),
  Log: (dy, x) => div(dy, x),
  Log1p: (dy, x) => div(dy, add(x, one())),
  Neg: (dy) => negative(dy),
  Reciprocal: (dy, _, y) => neg(mul(dy, square(y))),
  Relu: (dy, _, y) => mul(dy, kernel('Step', { x: y }, { alpha: 0 })),
  Relu6: (dy, x) => where(tf.logicalAnd(tf.greater(x, 0), tf.lessEqual(x, 6)), dy),
  Rsqrt: (dy, _, y) => mul(times(dy, -0.5), mul(y, square(y))),
  Selu: (dy, x, y) =>
    mul(dy, kernel('Select', { condition: tf.greater(x, 0), t: filled(x, SELU_SCALE), e: add(y, constant(SELU_SCALE_ALPHA)) })), // prettier-ignore
  Sigmoid: (dy, _, y) => mul(dy, mul(y, sub(one(), y))),
  Sin: (dy, x) => mul(dy, tf.cos(x)),
  Sinh: (dy, x) => mul(dy, tf.cosh(x)),
  Softplus: (dy, x) => mul(dy, tf.sigmoid(x)),
  Sqrt: (dy, _, y) => div(times(dy, 0.5), y),
  Square: (dy, x) => mul(times(dy, 2), x),
  Tan: (dy, _, y) => mul(dy, onePlusSquare(y)),
  Tanh: (dy, _, y) => mul(dy, oneMinusSquare(y)),
  ClipByValue: (dy, x, _, { clipValueMin, clipValueMax }) =>
    where(tf.logicalAnd(tf.greaterEqual(x, clipValueMin as number), tf.lessEqual(x, clipValueMax as number)), dy),
};

const filled = (like: Tensor, value: number): Tensor => add(tf.zerosLike(like), constant(value));

const unary =
  (slope: Slope): Rule =>
  ({ inputs, outputs: [y], dys: [dy], attrs }) => ({ x: () => slope(dy, inputs.x, y, attrs) });

/** Constant between jumps. */
const STEPS =
  'Floor Ceil Round Sign Step FloorDiv IsNan IsInf IsFinite ZerosLike OnesLike OneHot ArgMax ArgMin GreaterEqual';

export const UNARY: RuleTable = {
  ...Object.fromEntries(Object.entries(SLOPES).map(([name, slope]) => [name, unary(slope)])),
  ...Object.fromEntries(STEPS.split(' ').map((name) => [name, zero])),
  Identity: ({ dys: [dy] }) => ({ x: () => dy }),
  // dy for y >= 0, dy (y + 1) below: linear in dy, and the slope e^x = y + 1 has itself as its slope in y.
  EluGrad: ({ inputs: { dy, y }, dys: [g] }) => ({
    dy: () => kernel('EluGrad', { dy: g, y }),
    y: () => where(tf.less(y, 0), mul(g, dy)),
  }),
};
