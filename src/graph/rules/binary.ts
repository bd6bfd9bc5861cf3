/**
 * Functions of two numbers, element by element, with broadcasting.
 *
 * A tie of maximum or minimum goes wholly to the first argument, as in tfjs.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import type { Rule, RuleTable } from './rule.js';
import {
  add,
  byParts,
  constantOf,
  div,
  isComplex,
  mul,
  neg,
  negative,
  square,
  sub,
  times,
  unbroadcast,
  where,
  whereNot,
  type Tensor,
} from './tools.js';

/** Cotangents of `a` and `b` in the broadcast shape, before they are summed over what was stretched. */
interface Pair {
  readonly a: (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor | null;
  readonly b: (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => Tensor | null;
}

/** The adjoint of multiplying by `z`, for the inner product Re(conj(u) v) that complex cotangents stand for. */
const conjugate = (z: Tensor): Tensor => (isComplex(z) ? tf.complex(tf.real(z), tf.neg(tf.imag(z))) : z);

/** `dy` times the derivative of a^b for a; 0 where b is 0, whatever a is. */
function powerSlope(dy: Tensor, a: Tensor, b: Tensor): Tensor | null {
  const exponent = constantOf(b);
  if (exponent === 0) return null;
  if (exponent === 1) return add(dy, tf.zeros(a.shape));
  if (exponent === 2) return mul(times(dy, 2), a);
  if (exponent !== undefined) return mul(times(dy, exponent), tf.pow(a, constant(exponent - 1)));
  const isZero = tf.equal(b, 0);
  const lower = tf.where(isZero, tf.onesLike(b), sub(b, constant(1)));
  return mul(dy, mul(b, tf.pow(a, lower)));
}

const PAIRS: Readonly<Record<string, Pair>> = {
  Multiply: { a: (dy, _, b) => mul(dy, conjugate(b)), b: (dy, a) => mul(dy, conjugate(a)) },
  RealDiv: { a: (dy, _, b) => div(dy, b), b: (dy, _, b, y) => neg(mul(div(dy, b), y)) },
  Maximum: {
    a: (dy, a, b) => where(tf.greaterEqual(a, b), dy),
    b: (dy, a, b) => whereNot(tf.greaterEqual(a, b), dy),
  },
  Minimum: {
    a: (dy, a, b) => where(tf.lessEqual(a, b), dy),
    b: (dy, a, b) => whereNot(tf.lessEqual(a, b), dy),
  },
  Pow: {
    a: powerSlope,
    // For a <= 0 the power is defined at isolated exponents only; tfjs calls the slope there 0.
    b: (dy, a, _, y) => {
      const positive = tf.greater(a, 0);
      const log = tf.log(tf.where(positive, a, tf.onesLike(a)));
      return mul(dy, mul(y, log));
    },
  },
  SquaredDifference: {
    a: (dy, a, b) => mul(times(dy, 2), sub(a, b)),
    b: (dy, a, b) => mul(times(dy, 2), sub(b, a)),
  },
  Atan2: {
    a: (dy, a, b) => div(mul(dy, b), add(square(a), square(b))),
    b: (dy, a, b) => neg(div(mul(dy, a), add(square(a), square(b)))),
  },
  Mod: { a: (dy) => dy, b: (dy, a, b) => neg(mul(dy, tf.floor(div(a, b)))) },
};

const binary =
  ({ a: slopeA, b: slopeB }: Pair): Rule =>
  ({ inputs: { a, b }, outputs: [y], dys: [dy] }) => {
    const summed = (dx: Tensor | null, x: Tensor): Tensor | null => (dx === null ? null : unbroadcast(dx, x.shape));
    return { a: () => summed(slopeA(dy, a, b, y), a), b: () => summed(slopeB(dy, a, b, y), b) };
  };

export const BINARY: RuleTable = {
  ...Object.fromEntries(Object.entries(PAIRS).map(([name, pair]) => [name, binary(pair)])),
  Add: ({ inputs: { a, b }, dys: [dy] }) => ({
    a: () => unbroadcast(dy, a.shape),
    b: () => unbroadcast(dy, b.shape),
  }),
  // The sign changes after the sum, on the smaller tensor.
  Sub: ({ inputs: { a, b }, dys: [dy] }) => ({
    a: () => unbroadcast(dy, a.shape),
    b: () => negative(unbroadcast(dy, b.shape)),
  }),
  AddN: ({ inputs, dys: [dy] }) => Object.fromEntries(Object.keys(inputs).map((name) => [name, () => dy])),
  Prelu: ({ inputs: { x, alpha }, dys: [dy] }) => ({
    x: () => tf.where(tf.greater(x, 0), dy, mul(dy, alpha)),
    alpha: () => unbroadcast(whereNot(tf.greater(x, 0), mul(dy, x)), alpha.shape),
  }),
  Select: ({ inputs: { condition, t, e }, dys: [dy] }) => {
    // A condition of one axis chooses whole rows.
    const rows = [...condition.shape, ...Array.from({ length: t.rank - condition.rank }, () => 1)];
    const chosen = (): Tensor =>
      condition.rank === t.rank ? condition : tf.broadcastTo(tf.reshape(condition, rows), t.shape);
    const parts = (f: (part: Tensor) => Tensor): Tensor => byParts(dy, f);
    return {
      t: () => parts((part) => where(chosen(), part)),
      e: () => (e.size === 0 ? null : parts((part) => whereNot(chosen(), part))),
    };
  },
};
