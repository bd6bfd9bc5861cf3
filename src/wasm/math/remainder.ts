/**
 * The remainder with the sign of the divisor, as tfjs's cpu backend computes it: exactly what is left by the whole part of
 * x / y where both have one sign; otherwise (rest + y) % y, whose sum is rounded.
 */
import type { Body, Expr } from '../emit/assembler.js';
import { BITS, F64X2 as L } from '../emit/lanes.js';
import { productError, split } from './double-double.js';

const SIGN = L.constBits(1n << 63n);

/** @param rest - |x| modulo |y|. */
function turned(b: Body, rest: Expr, x: Expr, y: Expr): Expr {
  const r = b.vector(BITS.or(rest, BITS.and(x, SIGN)));
  const zero = L.const(0);
  const isMixed = b.vector(BITS.xor(L.lt(x, zero), L.lt(y, zero)));
  const sum = b.vector(L.add(r, y));
  const value = b.vector(BITS.select(BITS.and(y, SIGN), sum, L.eq(sum, y)));
  return BITS.select(value, r, isMixed);
}

/** A remainder, and where it holds. */
interface Remainder {
  readonly value: Expr;
  readonly isNear: Expr;
}

/** Singles in doubles: up to 2^28 quotients are never rounded across a whole number, and their whole part times y is exact. */
export function remainderOfSingles(b: Body, x: Expr, y: Expr): Remainder {
  const quotient = b.vector(L.div(x, y));
  const rest = L.abs(L.sub(x, L.mul(y, L.trunc(quotient))));
  const isNear = BITS.and(L.le(L.abs(quotient), L.const(2 ** 28)), L.lt(L.abs(y), L.const(Infinity)));
  return { value: turned(b, rest, x, y), isNear: b.vector(isNear) };
}

/**
 * Doubles: n = |x / y| rounded, and |x| - n |y| from the exact product. Up to 2^50, n is at most 5/8 from the true quotient,
 * so that every difference on the way is a multiple of the last place of y and no larger than y: none is rounded.
 */
export function remainder(b: Body, x: Expr, y: Expr): Remainder {
  const [a, c] = [b.vector(L.abs(x)), b.vector(L.abs(y))];
  const n = b.vector(L.nearest(L.div(a, c)));
  const product = b.vector(L.mul(n, c));
  const less = L.sub(L.sub(a, product), productError(split(b, n), split(b, c), product));
  const rest = b.vector(less);
  const whole = L.add(rest, BITS.and(c, L.lt(rest, L.const(0))));
  const isNear = BITS.and(L.le(n, L.const(2 ** 50)), L.lt(L.max(a, c), L.const(2 ** 1020)));
  return { value: turned(b, L.abs(whole), x, y), isNear: b.vector(isNear) };
}
