/**
 * exp and what is made of it. With n = round(x / ln 2) and r = x - n ln 2, |r| <= ln 2 / 2,
 *
 *   exp(x) = 2^n (A + r B) / (A - r B),
 *
 * where A and r B are the even and the odd part of the numerator of the diagonal Padé approximant of exp. Its
 * coefficients are whole numbers: (3, 3) errs by less than 7e-9 of the value on that interval and (6, 6) by 2e-19
 * (Padé remainder (m!)^2 r^(2m+1) / ((2m)! (2m+1)!)). What is subtracted or divided is arranged as an exact term and a
 * small correction wherever the two leave more than a unit in the last place. In singles exp(r) itself is a polynomial.
 */
import type { Body, Expr } from '../emit/assembler.js';
import { BITS, F32X4, F64X2, type Lanes } from '../emit/lanes.js';

interface Format {
  readonly even: readonly number[];
  readonly odd: readonly number[];
  /** (A / 2 - B) / r^2 */
  readonly lack: readonly number[];
  /** ln 2 in two parts, the first with enough trailing zeros for n times it to be exact. */
  readonly ln2: readonly [number, number];
  /** Adding and taking it away rounds to a whole number, which stays in the low bits of the sum. */
  readonly magic: number;
  readonly mantissa: number;
  readonly one: bigint;
  /** exp overflows above the second and is zero below the first. */
  readonly range: readonly [number, number];
  /** sigmoid, and tanh in doubles, are 1 beyond it. */
  readonly saturation: number;
}

const FORMATS: Readonly<Record<32 | 64, Format>> = {
  32: {
    even: [120, 12],
    odd: [60, 1],
    lack: [5],
    ln2: [0.693359375, -2.1219444005469057e-4],
    magic: 12582912,
    mantissa: 23,
    one: 0x3f800000n,
    range: [-104, 89],
    saturation: 18.5,
  },
  64: {
    even: [665280, 75600, 840, 1],
    odd: [332640, 10080, 42],
    lack: [27720, 378, 0.5],
    ln2: [6.93147180369123816e-1, 1.9082149292705877e-10],
    magic: 6755399441055744,
    mantissa: 52,
    one: 0x3ff0000000000000n,
    range: [-746, 710],
    saturation: 38.6,
  },
};

/** (exp(r) - 1 - r) / r^2, least largest error of exp(r) (3.1e-9 of the value), by weighted least squares. */
const SERIES = [0.49999994, 0.16666521, 0.04166839, 0.0083687454, 0.001381454];

/** Horner's rule, lowest coefficient first. */
export function polynomial(L: Lanes, coefficients: readonly number[], z: Expr): Expr {
  const last = coefficients.length - 1;
  let sum: Expr | undefined;
  for (let i = last; i >= 0; i--) {
    const c = L.const(coefficients[i]);
    if (sum === undefined) sum = c;
    else if (i === last - 1 && coefficients[last] === 1) sum = L.add(z, c);
    else sum = L.add(L.mul(sum, z), c);
  }
  return sum ?? L.const(0);
}

interface Reduced {
  readonly r: Expr;
  readonly square: Expr;
  /** n in the low bits of each lane. */
  readonly power: Expr;
}

function reduce(b: Body, L: Lanes, x: Expr): Reduced {
  const f = FORMATS[L.bits];
  const power = b.vector(L.add(L.mul(x, L.const(Math.LOG2E)), L.const(f.magic)));
  const n = b.vector(L.sub(power, L.const(f.magic)));
  const r = b.vector(L.sub(L.sub(x, L.mul(n, L.const(f.ln2[0]))), L.mul(n, L.const(f.ln2[1]))));
  return { r, square: b.vector(L.mul(r, r)), power };
}

/** r B, and exp(r) - 1 as r + r (r B - (A - 2 B)) / (A - r B). */
function fraction(b: Body, L: Lanes, { r, square }: Reduced): Expr {
  const { even, odd, lack } = FORMATS[L.bits];
  const product = b.vector(L.mul(r, polynomial(L, odd, square)));
  const surplus = L.sub(product, L.mul(L.add(square, square), polynomial(L, lack, square)));
  const correction = L.div(L.mul(r, surplus), L.sub(polynomial(L, even, square), product));
  return b.vector(L.add(r, correction));
}

/** tanh(r / 2) = r B / A */
function halfTanh(b: Body, L: Lanes, { r, square }: Reduced): Expr {
  const { even, lack } = FORMATS[L.bits];
  const correction = L.div(L.mul(L.mul(r, square), polynomial(L, lack, square)), polynomial(L, even, square));
  return b.vector(L.sub(L.mul(r, L.const(0.5)), correction));
}

/** 2^n for n in the low bits, where that is a normal number. */
function powerOfTwo(L: Lanes, n: Expr): Expr {
  const { mantissa, one } = FORMATS[L.bits];
  return L.intAdd(L.shl(n, mantissa), L.constBits(one));
}

/** x 2^n for x near 1 and n as far out as exp needs it: half of n goes to the exponent of x, the rest is a factor. */
function scaled(b: Body, L: Lanes, x: Expr, power: Expr): Expr {
  const { mantissa, one } = FORMATS[L.bits];
  const exponents = L.constBits(-1n << BigInt(mantissa));
  const half = b.vector(BITS.and(L.shl(power, mantissa - 1), exponents));
  const rest = L.intSub(L.shl(power, mantissa), half);
  return L.mul(L.intAdd(x, half), L.intAdd(rest, L.constBits(one)));
}

/** x within the bounds; NaN stays. */
export function clamp(L: Lanes, x: Expr, low: number, high: number): Expr {
  return L.pmax(L.pmin(x, L.const(high)), L.const(low));
}

export function exp(b: Body, L: Lanes, x: Expr): Expr {
  const [low, high] = FORMATS[L.bits].range;
  return exponential(b, L, x, low, high);
}

function exponential(b: Body, L: Lanes, x: Expr, low: number, high: number): Expr {
  const reduced = reduce(b, L, b.vector(clamp(L, x, low, high)));
  const less = L.bits === 32 ? series(L, reduced) : fraction(b, L, reduced);
  return scaled(b, L, b.vector(L.add(less, L.const(1))), reduced.power);
}

/** Adding and taking it away rounds a double to a whole number, which stays in the low bits of the sum. */
export const roundingMagic = FORMATS[64].magic;

/** 2^n exp(r + low) in doubles: n in the low bits of `power`, |r| <= ln 2 / 2, and `low` less than its last place. */
export function expOfParts(b: Body, r: Expr, low: Expr, power: Expr): Expr {
  const reduced = { r, square: b.vector(F64X2.mul(r, r)), power };
  const less = F64X2.add(fraction(b, F64X2, reduced), low);
  return scaled(b, F64X2, b.vector(F64X2.add(less, F64X2.const(1))), power);
}

/** exp(r) - 1 in singles, where a polynomial takes less time than a division; in pairs, so that it does not wait for itself. */
function series(L: Lanes, { r, square }: Reduced): Expr {
  const [c0, c1, c2, c3, c4] = SERIES.map((c) => L.const(c));
  const high = L.add(L.add(L.mul(r, c3), c2), L.mul(square, c4));
  return L.add(L.mul(square, L.add(L.add(L.mul(r, c1), c0), L.mul(square, high))), r);
}

export function sigmoid(b: Body, L: Lanes, x: Expr): Expr {
  const { range, saturation } = FORMATS[L.bits];
  const e = b.vector(exponential(b, L, x, range[0], saturation));
  const d = b.vector(L.add(e, L.const(1)));
  const value = L.div(e, d);
  if (L.bits === 64) return value;
  // What rounding d lost: the derivative of 1 / d is known from the value itself.
  const v = b.vector(value);
  const lost = L.sub(L.pmin(e, L.const(1)), L.sub(d, L.pmax(e, L.const(1))));
  return L.sub(v, L.mul(L.mul(v, lost), L.sub(L.const(1), v)));
}

export function tanh(b: Body, L: Lanes, x: Expr): Expr {
  if (L.bits === 32) return singleTanh(b, x);
  const sign = b.vector(BITS.and(x, L.const(-0)));
  const a = b.vector(BITS.xor(x, sign));
  const reduced = reduce(b, L, b.vector(L.pmin(L.add(a, a), L.const(FORMATS[64].saturation * 2))));
  const s = b.vector(powerOfTwo(L, reduced.power));
  return BITS.or(doubleTanh(b, L, reduced, s), sign);
}

/** ((s - 1) + (s + 1) t) / ((s + 1) + (s - 1) t) with s = 2^n, t = tanh(r / 2). */
function doubleTanh(b: Body, L: Lanes, reduced: Reduced, s: Expr): Expr {
  const t = halfTanh(b, L, reduced);
  const less = b.vector(L.sub(s, L.const(1)));
  const more = b.vector(L.add(s, L.const(1)));
  return L.div(L.add(less, L.mul(more, t)), L.add(more, L.mul(less, t)));
}

/**
 * The addition theorem: with n = round(2 x / ln 2), d = x - n ln 2 / 2 and T = tanh(n ln 2 / 2) = (2^n - 1) / (2^n + 1),
 *
 *   tanh(x) = T + d (1 - T^2) / (d coth d + T d),   d coth d = 1 + d^2 / 3 - d^4 / 45 + ...
 *
 * T is one rounding off and the rest is smaller than T, so that no branch is needed and the sign of x takes care of itself.
 * `minus` is -T, which makes the result -0 at -0. The nearest single to ln 2 is off by 2^-29, so that one subtraction
 * reduces x; the last coefficient is fitted with the rounded arithmetic. Over all singles: at most 1.83 units.
 */
function singleTanh(b: Body, given: Expr): Expr {
  const L = F32X4;
  const { magic } = FORMATS[32];
  const one = L.const(1);
  const x = b.vector(clamp(L, given, -9.1, 9.1));
  const power = b.vector(L.add(L.mul(x, L.const(2 * Math.LOG2E)), L.const(magic)));
  const d = b.vector(L.sub(x, L.mul(L.sub(power, L.const(magic)), L.const(Math.LN2 / 2))));
  const s = b.vector(powerOfTwo(L, power));
  const minus = b.vector(L.div(L.sub(one, s), L.add(one, s)));
  const z = b.vector(L.mul(d, d));
  const series = L.mul(z, L.add(L.const(1 / 3), L.mul(z, L.const(-0.02218))));
  const below = L.add(L.sub(series, L.mul(minus, d)), one);
  return L.sub(L.div(L.mul(d, L.sub(one, L.mul(minus, minus))), below), minus);
}

export function expm1(b: Body, L: Lanes, x: Expr): Expr {
  const { range, saturation } = FORMATS[L.bits];
  const given = b.vector(x);
  const reduced = reduce(b, L, b.vector(clamp(L, given, -1.2 * saturation, range[1])));
  const q = fraction(b, L, reduced);
  // 2^n as 2 times 2^(n - 1): n = 1024 is needed just below overflow.
  const s = b.vector(powerOfTwo(L, L.intSub(reduced.power, L.constBits(1n))));
  const half = L.const(0.5);
  const sum = b.vector(L.add(L.mul(s, q), L.sub(s, half)));
  // -0 and the tiniest, which halving would round.
  return BITS.select(given, L.add(sum, sum), L.lt(L.abs(given), L.const(L.bits === 32 ? 1e-30 : 1e-290)));
}
