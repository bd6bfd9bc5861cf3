/**
 * The inverse trigonometric functions, in doubles: no branches, the cases of each chosen lane by lane before the one
 * division or root that they share.
 */
import type { Body, Expr } from '../emit/assembler.js';
import { BITS, F64X2 as L } from '../emit/lanes.js';
import { polynomial } from './exponential.js';

const SIGN = L.constBits(1n << 63n);
const signOf = (x: Expr): Expr => BITS.and(x, SIGN);
const HALF_PI = Math.PI / 2;
/** pi / 2 less its double. */
const HALF_PI_LOW = 6.123233995736766e-17;

/** atan(t) = t + t z P(z) / Q(z) with z = t^2, |t| <= 0.66 (Moshier, Cephes, atan.c). */
const ATAN_ABOVE = [
  -64.85021904942025, -122.88666844901361, -75.00855792314705, -16.157537187333652, -0.8750608600031904,
];
const ATAN_BELOW = [
  194.5506571482614, 485.3903996359137, 432.88106049129027, 165.02700983169885, 24.858464901423062, 1,
];

/** asin(s) = s + s z P(z) / Q(z) with z = s^2 <= 1/4 (FreeBSD, e_asin.c). */
const ASIN_ABOVE = [
  0.16666666666666666, -0.3255658186224009, 0.20121253213486293, -0.04005553450067941, 7.915349942898145e-4,
  3.479331075960212e-5,
];
const ASIN_BELOW = [1, -2.403394911734414, 2.0209457602335057, -0.6882839716054533, 0.07703815055590194];

const choose = (mask: Expr, x: Expr, y: Expr): Expr => BITS.select(x, y, mask);
const number = (x: number): Expr => L.const(x);

/** pi/2 times `quarters`, less r. */
const turnLess = (quarters: number, r: Expr): Expr =>
  L.sub(number(HALF_PI * quarters), L.sub(r, number(HALF_PI_LOW * quarters)));

/** x with the rest of its series, x (1 + z above / below). */
function extended(b: Body, x: Expr, z: Expr, above: readonly number[], below: readonly number[]): Expr {
  const rest = L.div(L.mul(z, polynomial(L, above, z)), polynomial(L, below, z));
  return b.vector(L.add(x, L.mul(x, rest)));
}

function arctanOfQuotient(b: Body, above: Expr, below: Expr): Expr {
  const t = b.vector(L.div(above, below));
  return extended(b, t, b.vector(L.mul(t, t)), ATAN_ABOVE, ATAN_BELOW);
}

/** By |x|: atan(x), pi/4 + atan((x - 1) / (x + 1)), or pi/2 - atan(1 / x). */
export function atan(b: Body, given: Expr): Expr {
  const x = b.vector(given);
  const a = b.vector(L.abs(x));
  const far = b.vector(L.gt(a, number(1 + Math.SQRT2)));
  const middle = b.vector(BITS.andnot(L.gt(a, number(0.66)), far));
  const above = choose(far, number(-1), choose(middle, L.sub(a, number(1)), a));
  const below = choose(far, a, choose(middle, L.add(a, number(1)), number(1)));
  const r = arctanOfQuotient(b, above, below);
  const base = (whole: number): Expr => choose(far, number(whole), BITS.and(middle, number(whole / 2)));
  return BITS.or(L.add(base(HALF_PI), L.add(r, base(HALF_PI_LOW))), signOf(x));
}

/**
 * The angle of (x, y): that of the smaller of |x| and |y| over the larger, in the first eighth of the circle, and from
 * there to where the signs say.
 */
export function atan2(b: Body, y: Expr, x: Expr): Expr {
  const [up, along] = [b.vector(L.abs(y)), b.vector(L.abs(x))];
  const steep = b.vector(L.gt(up, along));
  const most = b.vector(L.max(up, along));
  const least = b.vector(L.min(up, along));
  // Two infinities are like two ones; what could overflow is made smaller.
  const endless = b.vector(L.eq(least, number(Infinity)));
  const scale = b.vector(choose(L.gt(most, number(1e300)), number(2 ** -10), number(1)));
  const m = b.vector(choose(endless, number(1), L.mul(most, scale)));
  const l = b.vector(choose(endless, number(1), L.mul(least, scale)));
  const middle = b.vector(L.gt(l, L.mul(m, number(Math.SQRT2 - 1))));
  const none = L.eq(m, number(0));
  const above = choose(middle, L.sub(l, m), l);
  const below = choose(none, number(1), choose(middle, L.add(l, m), m));
  const r = arctanOfQuotient(b, above, below);
  const quarter = L.add(BITS.and(middle, number(HALF_PI / 2)), L.add(r, BITS.and(middle, number(HALF_PI_LOW / 2))));
  const eighth = b.vector(quarter);
  const first = b.vector(choose(steep, turnLess(1, eighth), eighth));
  // The sign of x, also of -0.
  const left = L.lt(BITS.or(signOf(x), number(1)), number(0));
  return BITS.or(choose(b.vector(left), turnLess(2, first), first), signOf(y));
}

interface Arcsine {
  /** |x| <= 1/2 */
  readonly near: Expr;
  /** asin |x| where near; elsewhere asin(sqrt((1 - |x|) / 2)), of which asin |x| is pi/2 less twice as much. */
  readonly r: Expr;
}

function arcsine(b: Body, x: Expr): Arcsine {
  const a = b.vector(L.abs(x));
  const near = b.vector(L.le(a, number(0.5)));
  const z = b.vector(choose(near, L.mul(a, a), L.mul(L.sub(number(1), a), number(0.5))));
  const s = b.vector(choose(near, a, L.sqrt(z)));
  return { near, r: extended(b, s, z, ASIN_ABOVE, ASIN_BELOW) };
}

export function asin(b: Body, x: Expr): Expr {
  const { near, r } = arcsine(b, x);
  return BITS.or(choose(near, r, turnLess(1, L.add(r, r))), signOf(x));
}

export function acos(b: Body, x: Expr): Expr {
  const { near, r } = arcsine(b, x);
  const twice = b.vector(L.add(r, r));
  const outer = choose(b.vector(L.lt(x, number(0))), turnLess(2, twice), twice);
  return choose(near, turnLess(1, BITS.xor(r, signOf(x))), outer);
}
