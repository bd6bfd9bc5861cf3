/**
 * log and log1p: x = 2^e (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), s = f / (2 + f), and
 *
 *   log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R)),   R = s^2 (2/3 + 2/5 s^2 + 2/7 s^4 + ...),
 *
 * which is 2 atanh(s) arranged so that the largest term, f, is exact. The series is cut where s^2 <= 0.0295 makes the rest
 * smaller than a tenth of the last place. (The arrangement is that of FreeBSD's e_log.c.)
 */
import type { Body, Expr } from '../emit/assembler.js';
import { BITS, type Lanes } from '../emit/lanes.js';
import { polynomial } from './exponential.js';

interface Format {
  readonly terms: number;
  readonly ln2: readonly [number, number];
  readonly mantissa: number;
  /** Below it numbers are denormal; times `lift` they are not. */
  readonly smallest: number;
  readonly lift: number;
  /** Bits of sqrt(1/2). */
  readonly root: bigint;
  readonly one: bigint;
  readonly fraction: bigint;
}

const FORMATS: Readonly<Record<32 | 64, Format>> = {
  32: {
    terms: 4,
    ln2: [0.693359375, -2.1219444005469057e-4],
    mantissa: 23,
    smallest: 2 ** -126,
    lift: 25,
    root: 0x3f3504f3n,
    one: 0x3f800000n,
    fraction: 0x007fffffn,
  },
  64: {
    terms: 10,
    ln2: [6.93147180369123816e-1, 1.9082149292705877e-10],
    mantissa: 52,
    smallest: 2 ** -1022,
    lift: 54,
    root: 0x3fe6a09e667f3bcdn,
    one: 0x3ff0000000000000n,
    fraction: 0x000fffffffffffffn,
  },
};

/** A normal number of which `extra` halvings are to be counted: denormal ones are made normal by doublings. */
interface Normal {
  readonly x: Expr;
  readonly extra: Expr;
}

export function lifted(b: Body, L: Lanes, x: Expr): Normal {
  const F = FORMATS[L.bits];
  const denormal = b.vector(L.lt(x, L.const(F.smallest)));
  const normal = b.vector(BITS.select(L.mul(x, L.const(2 ** F.lift)), x, denormal));
  return { x: normal, extra: BITS.and(denormal, L.const(F.lift)) };
}

/** Positive numbers as 2^e m with m between sqrt(1/2) and sqrt(2). */
export function significand(b: Body, L: Lanes, { x, extra }: Normal): { readonly e: Expr; readonly m: Expr } {
  const F = FORMATS[L.bits];
  // The exponent of x / sqrt(1/2), as an integer and then, by a float whose low bits it is, as a float.
  const shifted = b.vector(L.intAdd(L.intSub(x, L.constBits(F.root)), L.constBits(F.one)));
  const biased = L.shr(shifted, F.mantissa);
  const whole = L.const(2 ** F.mantissa);
  const bias = L.const(2 ** F.mantissa + (L.bits === 32 ? 127 : 1023));
  const e = b.vector(L.sub(L.sub(BITS.or(biased, whole), bias), extra));
  return { e, m: b.vector(L.intAdd(BITS.and(shifted, L.constBits(F.fraction)), L.constBits(F.root))) };
}

/** log(x) + correction */
function logOfNormal(b: Body, L: Lanes, given: Normal, correction: Expr | null): Expr {
  const F = FORMATS[L.bits];
  const { e, m } = significand(b, L, given);
  const f = b.vector(L.sub(m, L.const(1)));
  const s = b.vector(L.div(f, L.add(f, L.const(2))));
  const z = b.vector(L.mul(s, s));
  const series = Array.from({ length: F.terms }, (_, k) => 2 / (2 * k + 3));
  const rest = L.mul(z, polynomial(L, series, z));
  const half = b.vector(L.mul(L.mul(f, f), L.const(0.5)));
  const low = L.mul(e, L.const(F.ln2[1]));
  const small = L.add(L.mul(s, L.add(half, rest)), correction === null ? low : L.add(low, correction));
  return L.sub(L.mul(e, L.const(F.ln2[0])), L.sub(L.sub(half, small), f));
}

export function log(b: Body, L: Lanes, given: Expr): Expr {
  const x = b.vector(given);
  return atTheEdges(b, L, x, logOfNormal(b, L, lifted(b, L, x), null));
}

/** log of a negative number, zero, infinity or NaN. */
function atTheEdges(b: Body, L: Lanes, x: Expr, value: Expr): Expr {
  const zero = L.eq(x, L.const(0));
  const regular = b.vector(BITS.and(L.gt(x, L.const(0)), L.lt(x, L.const(Infinity))));
  const negative = b.vector(L.lt(x, L.const(0)));
  const edge = b.vector(BITS.select(L.const(-Infinity), x, zero));
  return BITS.select(value, BITS.select(L.const(NaN), edge, negative), regular);
}

/** log(u) + (x - (u - 1)) / u, where u = 1 + x rounded. */
export function log1p(b: Body, L: Lanes, given: Expr): Expr {
  const x = b.vector(given);
  const u = b.vector(L.add(x, L.const(1)));
  const correction = b.vector(L.div(L.sub(x, L.sub(u, L.const(1))), u));
  const value = b.vector(atTheEdges(b, L, u, logOfNormal(b, L, { x: u, extra: L.const(0) }, correction)));
  return BITS.select(x, value, L.eq(x, L.const(0)));
}
