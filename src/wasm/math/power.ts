/**
 * x^y = 2^(y log2|x|), with the sign and the exceptions of `Math.pow`.
 *
 * The error of y log2|x|, which may be 1075, is an error of the result relative to it: in single precision doubles have
 * digits enough; in double precision the logarithm and its product with y are sums of two doubles, with errors of about
 * 2^-63 of their values. The logarithm is arranged as in FreeBSD's e_pow.c: with s = f / (2 + f) as in `logarithm.ts`,
 *
 *   log(1 + f) = 2/3 s (3 + s^2 + R),   R = s^4 (3/5 + 3/7 s^2 + 3/9 s^4 + ...),
 *
 * where 3 + s^2 and the product with s are exact, so that only R is rounded in full.
 */
import type { Body, Expr } from '../emit/assembler.js';
import { BITS, F64X2 as L } from '../emit/lanes.js';
import { headOf, renormalised, split, splitConstant, type Split } from './double-double.js';
import { exp, expOfParts, polynomial, roundingMagic } from './exponential.js';
import { lifted, log, significand } from './logarithm.js';

const SIGN = L.constBits(1n << 63n);
/** A power of two beyond these exponents is zero or infinite. */
const FARTHEST = 1100;

/** Cut where s^2 <= 0.0295 makes the rest less than 2^-69 of the sum. */
const SERIES = Array.from({ length: 11 }, (_, k) => 3 / (2 * k + 5));
const [EVEN, ODD] = [0, 1].map((first) => SERIES.filter((_, k) => k % 2 === first));
/** 2 / (3 ln 2) and ln 2, each with what its double lacks. */
const TO_LOG2 = splitConstant(0.9617966939259756, 5.0577616648125907e-17);
const LN2 = splitConstant(Math.LN2, 2.3190468138462996e-17);

/** log2 of normal numbers given as 2^e m. */
function log2(b: Body, { e, m }: { readonly e: Expr; readonly m: Expr }): Split {
  const f = b.vector(L.sub(m, L.const(1)));
  const sum = b.vector(L.add(m, L.const(1)));
  const below = split(b, sum);
  const belowTail = b.vector(L.add(below.tail, L.sub(m, L.sub(sum, L.const(1)))));
  const s = b.vector(L.div(f, sum));
  const head = b.vector(headOf(s));
  const rest = L.sub(L.sub(f, L.mul(head, below.head)), L.mul(head, belowTail));
  const tail = b.vector(L.div(rest, sum));
  const z = b.vector(L.mul(s, s));
  const square = b.vector(L.mul(head, head));
  const fourth = b.vector(L.mul(z, z));
  // Two polynomials that need not wait for each other.
  const series = L.add(polynomial(L, EVEN, fourth), L.mul(z, polynomial(L, ODD, fourth)));
  const lack = b.vector(L.add(L.mul(tail, L.add(head, s)), L.mul(fourth, series)));
  const bracket = b.vector(headOf(L.add(L.add(L.const(3), square), lack)));
  const bracketTail = L.sub(lack, L.sub(L.sub(bracket, L.const(3)), square));
  const product = renormalised(b, {
    head: b.vector(L.mul(head, bracket)),
    tail: b.vector(L.add(L.mul(tail, bracket), L.mul(bracketTail, s))),
  });
  const whole = b.vector(L.mul(product.head, TO_LOG2.head));
  const part = b.vector(L.add(L.mul(product.head, TO_LOG2.tail), L.mul(product.tail, TO_LOG2.whole)));
  const total = b.vector(headOf(L.add(e, L.add(whole, part))));
  return { head: total, tail: b.vector(L.sub(part, L.sub(L.sub(total, e), whole))) };
}

/** 2^(head + tail) for |head| < {@link FARTHEST}, of which the tail is a small part. */
function exp2(b: Body, head: Expr, tail: Expr): Expr {
  const power = b.vector(L.add(L.add(head, tail), L.const(roundingMagic)));
  const n = L.sub(power, L.const(roundingMagic));
  const f = renormalised(b, { head: b.vector(L.sub(head, n)), tail });
  const main = b.vector(L.mul(f.head, LN2.head));
  const small = b.vector(L.add(L.mul(f.tail, LN2.whole), L.mul(f.head, LN2.tail)));
  const r = b.vector(L.add(main, small));
  return expOfParts(b, r, L.sub(small, L.sub(r, main)), power);
}

/** |x|^y in double precision. */
function sizeOfPower(b: Body, x: Expr, y: Expr): Expr {
  const a = b.vector(L.abs(x));
  const isRegular = b.vector(BITS.and(L.gt(a, L.const(0)), L.lt(a, L.const(Infinity))));
  const { head, tail } = log2(b, significand(b, L, lifted(b, L, a)));
  const edge = BITS.select(L.const(-Infinity), a, L.eq(a, L.const(0)));
  const log = b.vector(BITS.select(head, edge, isRegular));
  const rough = b.vector(L.mul(y, log));
  const isNear = b.vector(L.lt(L.abs(rough), L.const(FARTHEST)));
  const factor = split(b, y);
  const high = b.vector(BITS.and(L.mul(factor.head, log), isNear));
  const low = b.vector(BITS.and(L.add(L.mul(factor.tail, log), L.mul(y, tail)), isNear));
  const near = b.vector(exp2(b, high, low));
  const far = b.vector(BITS.and(L.gt(rough, L.const(0)), L.const(Infinity)));
  return BITS.select(near, BITS.select(far, rough, L.eq(rough, rough)), isNear);
}

/** With the sign of x where y is odd, NaN where x is negative and y no whole number, and 1 where y is zero. */
function withExceptions(b: Body, x: Expr, y: Expr, size: Expr): Expr {
  const isWhole = L.eq(y, L.trunc(y));
  const half = b.vector(L.mul(y, L.const(0.5)));
  const isOdd = BITS.andnot(isWhole, L.eq(half, L.trunc(half)));
  const signed = BITS.or(size, BITS.and(BITS.and(x, SIGN), isOdd));
  const isReal = BITS.or(isWhole, BITS.not(BITS.and(L.lt(x, L.const(0)), L.gt(x, L.const(-Infinity)))));
  const value = BITS.select(signed, L.const(NaN), b.vector(isReal));
  return BITS.select(L.const(1), value, L.eq(y, L.const(0)));
}

export const power = (b: Body, x: Expr, y: Expr): Expr => withExceptions(b, x, y, b.vector(sizeOfPower(b, x, y)));

/**
 * For single precision, in doubles: exp(y log|x|), whose relative error is that of the logarithm times |y log|x||, at most
 * 104 where the result is finite and not zero in single precision.
 */
export function powerOfSingles(b: Body, x: Expr, y: Expr): Expr {
  const size = b.vector(exp(b, L, b.vector(L.mul(y, b.vector(log(b, L, L.abs(x)))))));
  return withExceptions(b, x, y, size);
}
