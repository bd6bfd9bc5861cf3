/**
 * erf. Below 1 its Taylor series, x times a polynomial in x^2; from there 1 - exp(-a^2) g(a), where g is the scaled
 * complementary function erfc(a) exp(a^2): smooth, and here a polynomial in u = (11 - 48 / (a + 2)) / 5, which takes 1..6
 * to -1..1. Beyond 6 erf is 1 in doubles.
 */
import type { Body, Expr } from '../emit/assembler.js';
import { BITS, type Lanes } from '../emit/lanes.js';
import { exp, polynomial } from './exponential.js';

/** Chebyshev interpolation of erfc(a) exp(a^2), computed with mpmath in 60 digits; it errs by less than 2e-16 of the value. */
const SCALED_COMPLEMENT: readonly number[] = [
  0.2214295402299318, -0.16189356804102495, 0.038560570425182426, -0.005588816281841403, 0.00019713917772795885,
  8.07922042879663e-5, -7.340517938287998e-6, -1.9795619759276e-6, 1.6349937383405805e-7, 7.005371793736792e-8,
  -5.886053299221601e-10, -2.625007492297143e-9, -2.68698518348558e-10, 7.468711818050684e-11, 2.2135736614933752e-11,
  -4.775776110782188e-13, -9.369456032869593e-13,
];

/** 2 / sqrt(pi) (-1)^n / (n! (2n + 1)), for x^2 <= 1. */
const TAYLOR: readonly number[] = Array.from({ length: 20 }, (_, n) => {
  let factorial = 1;
  for (let i = 2; i <= n; i++) factorial *= i;
  return ((2 / Math.sqrt(Math.PI)) * (-1) ** n) / (factorial * (2 * n + 1));
});

export function erf(b: Body, L: Lanes, given: Expr): Expr {
  const x = b.vector(given);
  const sign = b.vector(BITS.and(x, L.const(-0)));
  const a = b.vector(L.pmin(BITS.xor(x, sign), L.const(6)));
  const square = b.vector(L.mul(a, a));
  const near = b.vector(L.mul(x, polynomial(L, TAYLOR, square)));
  const u = b.vector(L.sub(L.const(2.2), L.div(L.const(9.6), L.add(a, L.const(2)))));
  const e = b.vector(exp(b, L, L.neg(square)));
  const far = L.sub(L.const(1), L.mul(e, polynomial(L, SCALED_COMPLEMENT, u)));
  return BITS.select(near, BITS.or(far, sign), L.lt(a, L.const(1)));
}
