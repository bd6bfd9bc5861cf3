/**
 * Functions made of exp, log, sin and cos, in doubles. In single precision, where the result is rounded from a double, they
 * are correct to half a unit in the last place.
 */
import type { Body, Expr } from '../emit/assembler.js';
import { BITS, F64X2 as L } from '../emit/lanes.js';
import { exp, expm1 } from './exponential.js';
import { log, log1p } from './logarithm.js';
import { sinReduced } from './trigonometric.js';

const SIGN = 1n << 63n;
/** Beyond it 1 + x^2 is x^2. */
const LARGE = 2 ** 28;
/** Beyond it exp(x) / 2 is all there is, and exp(x) may overflow before it is halved. */
const NEAR_OVERFLOW = 40;

const withSignOf = (magnitude: Expr, x: Expr): Expr => BITS.or(magnitude, BITS.and(x, L.constBits(SIGN)));

export const tanReduced = (b: Body, x: Expr): Expr => L.div(sinReduced(b, x, 0), sinReduced(b, x, 1));

/** exp(a) / 2 as (exp(a / 2) / 2) exp(a / 2). */
function halfExp(b: Body, a: Expr): Expr {
  const root = b.vector(exp(b, L, L.mul(a, L.const(0.5))));
  return L.mul(L.mul(root, L.const(0.5)), root);
}

/** (t + t / (t + 1)) / 2 with t = exp(|x|) - 1. */
export function sinh(b: Body, x: Expr): Expr {
  const a = b.vector(L.abs(x));
  const t = b.vector(expm1(b, L, a));
  const near = L.mul(L.add(t, L.div(t, L.add(t, L.const(1)))), L.const(0.5));
  return withSignOf(BITS.select(halfExp(b, a), near, L.gt(a, L.const(NEAR_OVERFLOW))), x);
}

export function cosh(b: Body, x: Expr): Expr {
  const a = b.vector(L.abs(x));
  const e = b.vector(exp(b, L, a));
  const near = L.mul(L.add(e, L.div(L.const(1), e)), L.const(0.5));
  return BITS.select(halfExp(b, a), near, L.gt(a, L.const(NEAR_OVERFLOW)));
}

const logTwice = (b: Body, x: Expr): Expr => L.add(log(b, L, x), L.const(Math.LN2));

/** log1p(|x| + x^2 / (1 + sqrt(1 + x^2))) */
export function asinh(b: Body, x: Expr): Expr {
  const a = b.vector(L.abs(x));
  const square = b.vector(L.mul(a, a));
  const rest = L.div(square, L.add(L.const(1), L.sqrt(L.add(L.const(1), square))));
  const near = log1p(b, L, L.add(a, rest));
  return withSignOf(BITS.select(logTwice(b, a), near, L.gt(a, L.const(LARGE))), x);
}

/** log1p(t + sqrt(2 t + t^2)) with t = x - 1. */
export function acosh(b: Body, x: Expr): Expr {
  const t = b.vector(L.sub(x, L.const(1)));
  const near = log1p(b, L, L.add(t, L.sqrt(L.add(L.mul(t, L.const(2)), L.mul(t, t)))));
  const value = BITS.select(logTwice(b, x), near, L.gt(x, L.const(LARGE)));
  return BITS.select(L.const(NaN), value, L.lt(x, L.const(1)));
}

/** log1p(2 |x| / (1 - |x|)) / 2 */
export function atanh(b: Body, x: Expr): Expr {
  const a = b.vector(L.abs(x));
  const ratio = L.div(L.mul(a, L.const(2)), L.sub(L.const(1), a));
  return withSignOf(L.mul(log1p(b, L, ratio), L.const(0.5)), x);
}
