/**
 * The standard normal distribution in double precision: its quantile (inverse distribution) function and its
 * distribution function.
 */

interface Ratio {
  /** Coefficients of polynomials, lowest degree first. */
  readonly numerator: readonly number[];
  readonly denominator: readonly number[];
}

// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988), 477-484,
// routine PPND16: relative accuracy about 1e-16.
// prettier-ignore
const CENTRAL: Ratio = {
  numerator: [
    3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946,
    45921.95393154987, 67265.7709270087, 33430.57558358813, 2509.0809287301227,
  ],
  denominator: [
    1, 42.31333070160091, 687.1870074920579, 5394.196021424751,
    21213.794301586597, 39307.89580009271, 28729.085735721943, 5226.495278852854,
  ],
};
// prettier-ignore
const MIDDLE: Ratio = {
  numerator: [
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045,
    1.2704582524523684, 0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
  ],
  denominator: [
    1, 2.053191626637759, 1.6763848301838038, 0.6897673349851,
    0.14810397642748008, 0.015198666563616457, 0.0005475938084995345, 1.0507500716444169e-9,
  ],
};
// prettier-ignore
const TAIL: Ratio = {
  numerator: [
    6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487,
    0.026532189526576124, 0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
  ],
  denominator: [
    1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615,
    0.0007868691311456133, 1.8463183175100548e-5, 1.421511758316446e-7, 2.0442631033899397e-15,
  ],
};

function ratio({ numerator, denominator }: Ratio, r: number): number {
  let above = 0;
  let below = 0;
  for (let i = numerator.length - 1; i >= 0; i--) {
    above = above * r + numerator[i];
    below = below * r + denominator[i];
  }
  return above / below;
}

/** The number below which a standard normal variable lies with probability `p`, 0 < p < 1. */
export function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) return q * ratio(CENTRAL, 0.180625 - q * q);
  const r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p));
  const x = r <= 5 ? ratio(MIDDLE, r - 1.6) : ratio(TAIL, r - 5);
  return q < 0 ? -x : x;
}

/** The probability that a standard normal variable lies below `x`; accurate relatively, far into the lower tail too. */
export function normalCdf(x: number): number {
  if (x > 0) return 1 - normalCdf(-x);
  if (x === -Infinity) return 0;
  const density = Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
  if (x > -2) {
    // Phi(x) = 1/2 + phi(x) (x + x^3/3 + x^5/(3 5) + ...); Marsaglia, "Evaluating the normal distribution",
    // J. Stat. Software 11 (2004). Terms of one sign: no cancellation within the sum.
    let term = x;
    let sum = x;
    for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
      term *= (x * x) / k;
      sum += term;
    }
    return 0.5 + density * sum;
  }
  // Laplace's continued fraction phi(x) / (y + 1/(y + 2/(y + 3/...))), y = -x, from the inside out.
  const y = -x;
  let fraction = y;
  for (let k = 200; k >= 1; k--) fraction = y + k / fraction;
  return density / fraction;
}
