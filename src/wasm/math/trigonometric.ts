/**
 * sin and cos: x less the nearest multiple of pi/2, in two parts, then Taylor's series on |r| <= pi/4. The three parts of
 * pi/2 have 33 bits each (FreeBSD's e_rem_pio2.c), so that a multiple below 2^20 of the first two is exact. Larger
 * arguments go to the host one by one.
 */
import { V128, type Body, type Expr } from '../emit/assembler.js';
import { BITS, F64X2, type Lanes } from '../emit/lanes.js';
import { polynomial } from './exponential.js';

const HALF_PI = [1.57079632673412561417, 6.0771005063039659766e-11, 2.02226624879595063154e-21] as const;
export const LARGEST_REDUCED = 2 ** 20;
const MAGIC = 6755399441055744;

function factorial(n: number): number {
  return n <= 1 ? 1 : n * factorial(n - 1);
}

/** (-1)^k / (2k + first)! from k = 0 on. */
const series = (first: number, sign: number, terms: number): number[] =>
  Array.from({ length: terms }, (_, k) => (sign * (-1) ** k) / factorial(2 * k + first));

/** sin(x + quarter pi/2) in doubles, |x| <= LARGEST_REDUCED. */
export function sinReduced(b: Body, x: Expr, quarter: 0 | 1): Expr {
  const L: Lanes = F64X2;
  const turns = b.vector(L.add(L.mul(x, L.const(2 / Math.PI)), L.const(MAGIC)));
  const n = b.vector(L.sub(turns, L.const(MAGIC)));
  const first = b.vector(L.sub(x, L.mul(n, L.const(HALF_PI[0]))));
  const second = b.vector(L.mul(n, L.const(HALF_PI[1])));
  const near = b.vector(L.sub(first, second));
  const lost = L.sub(L.sub(first, near), second);
  const tail = b.vector(L.sub(L.mul(n, L.const(HALF_PI[2])), lost));
  const r = b.vector(L.sub(near, tail));
  const low = b.vector(L.sub(L.sub(near, r), tail));
  const z = b.vector(L.mul(r, r));

  // sin(r + low) = r + (r^3 S + low (1 - z/2))
  const half = b.vector(L.mul(z, L.const(0.5)));
  const w = b.vector(L.sub(L.const(1), half));
  const cubic = L.mul(L.mul(r, z), polynomial(L, series(3, -1, 8), z));
  const sine = b.vector(L.add(r, L.add(cubic, L.mul(low, w))));
  // cos(r + low) = w + ((1 - w - z/2) + (z^2 C - r low))
  const quartic = L.sub(L.mul(L.mul(z, z), polynomial(L, series(4, 1, 7), z)), L.mul(r, low));
  const cosine = b.vector(L.add(w, L.add(L.sub(L.sub(L.const(1), w), half), quartic)));

  const count = b.let(V128, quarter === 0 ? turns : L.intAdd(turns, L.constBits(1n)));
  const odd = L.intSub(L.constBits(0n), BITS.and(count, L.constBits(1n)));
  const sign = L.shl(BITS.and(count, L.constBits(2n)), 62);
  const value = b.vector(BITS.xor(BITS.select(cosine, sine, b.vector(odd)), sign));
  // sin(-0) is -0; the sum above has lost the sign.
  return quarter === 0 ? BITS.select(x, value, L.eq(x, L.const(0))) : value;
}
