/**
 * Elementary functions in fixed point with 240 binary places: the truth against which doubles are measured.
 */
const PLACES = 240n;
const ONE = 1n << PLACES;

/** A double, exactly (as far down as 2^-240, below which nothing is tested here). */
function fixed(x: number): bigint {
  if (x === 0) return 0n;
  let exponent = Math.floor(Math.log2(Math.abs(x))) - 53;
  exponent = Math.max(exponent, -1000);
  const mantissa = BigInt(x / 2 ** exponent);
  const shift = PLACES + BigInt(exponent);
  return shift >= 0n ? mantissa << shift : mantissa >> -shift;
}

const mul = (x: bigint, y: bigint): bigint => (x * y) >> PLACES;
const div = (x: bigint, y: bigint): bigint => (x << PLACES) / y;

/** The sum of terms until they vanish: the first, and how each follows from the one before. */
function series(
  first: bigint,
  next: (term: bigint, n: number) => bigint,
  weight: (term: bigint, n: number) => bigint,
): bigint {
  let sum = 0n;
  let term = first;
  for (let n = 0; term !== 0n && term !== -1n; n++) {
    sum += weight(term, n);
    term = next(term, n + 1);
  }
  return sum;
}

const same = (t: bigint): bigint => t;

function expOf(x: bigint): bigint {
  const halvings = 8n + (x < 0n ? -x : x) / ONE;
  let y = series(ONE, (t, n) => mul(t, x / halvings) / BigInt(n), same);
  let result = ONE;
  for (let k = halvings; k > 0n; k >>= 1n) {
    if (k & 1n) result = mul(result, y);
    y = mul(y, y);
  }
  return result;
}

/** 2 artanh((x - 1) / (x + 1)), with x halved into [2/3, 4/3]. */
function logOf(x: bigint): bigint {
  let y = x;
  let twos = 0n;
  while (3n * y > 4n * ONE) [y, twos] = [y >> 1n, twos + 1n];
  while (3n * y < 2n * ONE) [y, twos] = [y << 1n, twos - 1n];
  return near(y) + twos * LN2;
}

function near(y: bigint): bigint {
  const s = div(y - ONE, y + ONE);
  const square = mul(s, s);
  return 2n * series(s, (t) => mul(t, square), (t, n) => t / BigInt(2 * n + 1)); // prettier-ignore
}
const LN2 = near((4n * ONE) / 3n) + near((3n * ONE) / 2n);

const sinOf = (x: bigint): bigint => series(x, (t, n) => -mul(mul(t, x), x) / BigInt(2 * n * (2 * n + 1)), same);
const arctanOfInverse = (k: bigint): bigint => series(ONE / k, (t) => -t / (k * k), (t, n) => t / BigInt(2 * n + 1)); // prettier-ignore
const PI = 4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n));

function sqrtOf(x: bigint): bigint {
  const target = x << PLACES;
  let y = 1n << (BigInt(target.toString(2).length) / 2n + 1n);
  for (;;) {
    const next = (y + target / y) >> 1n;
    if (next >= y) return y;
    y = next;
  }
}

const abs = (x: bigint): bigint => (x < 0n ? -x : x);

function erfOf(x: bigint): bigint {
  const square = mul(x, x);
  const sum = series(x, (t, n) => -mul(t, square) / BigInt(n), (t, n) => t / BigInt(2 * n + 1)); // prettier-ignore
  return div(2n * sum, sqrtOf(PI));
}

/** arctan, with its argument halved as an angle until the series is short: t / (1 + sqrt(1 + t^2)). */
function arctanOf(x: bigint): bigint {
  let t = x;
  for (let i = 0; i < 6; i++) t = div(t, ONE + sqrtOf(ONE + mul(t, t)));
  const square = mul(t, t);
  return 64n * series(t, (term) => -mul(term, square), (term, n) => term / BigInt(2 * n + 1)); // prettier-ignore
}

const arcsineOf = (x: bigint): bigint => {
  const rest = ONE - mul(x, x);
  return rest === 0n ? (x < 0n ? -PI : PI) / 2n : arctanOf(div(x, sqrtOf(rest)));
};

const FUNCTIONS: Readonly<Record<string, (x: bigint) => bigint>> = {
  exp: expOf,
  log: logOf,
  log1p: (x) => logOf(ONE + x),
  expm1: (x) => expOf(x) - ONE,
  tanh: (x) => div(expOf(2n * x) - ONE, expOf(2n * x) + ONE),
  sigmoid: (x) => div(ONE, ONE + expOf(-x)),
  softplus: (x) => logOf(ONE + expOf(-abs(x))) + (x > 0n ? x : 0n),
  sin: (x) => sinOf(x % (2n * PI)),
  cos: (x) => sinOf((x + PI / 2n) % (2n * PI)),
  erf: erfOf,
  tan: (x) => div(sinOf(x % (2n * PI)), sinOf((x + PI / 2n) % (2n * PI))),
  atan: arctanOf,
  asin: arcsineOf,
  acos: (x) => PI / 2n - arcsineOf(x),
  sinh: (x) => (expOf(x) - expOf(-x)) / 2n,
  cosh: (x) => (expOf(x) + expOf(-x)) / 2n,
  asinh: (x) => (x < 0n ? -1n : 1n) * logOf(abs(x) + sqrtOf(mul(x, x) + ONE)),
  acosh: (x) => logOf(x + sqrtOf(mul(x, x) - ONE)),
  atanh: (x) => logOf(div(ONE + x, ONE - x)) / 2n,
  rsqrt: (x) => div(ONE, sqrtOf(x)),
};

/** How far `value` is from f(x), in units of the last place of the true value. */
export function ulps(name: string, x: number, value: number, bits: 32 | 64): number {
  const truth = FUNCTIONS[name](fixed(x));
  const rounded = Number(truth >> (PLACES - 120n)) / 2 ** 120;
  const places = bits === 32 ? 23 : 52;
  const lowest = bits === 32 ? -126 : -1022;
  const magnitude = Math.abs(rounded);
  const unit = 2 ** (Math.max(Math.floor(Math.log2(magnitude)), lowest) - places);
  return Math.abs(Number((fixed(value) - truth) / (fixed(unit) >> 20n))) / 2 ** 20;
}

const exponentOf = (x: number): number => {
  const e = Math.floor(Math.log2(Math.abs(x)));
  return Math.abs(x) < 2 ** e ? e - 1 : Math.abs(x) >= 2 * 2 ** e ? e + 1 : e;
};

/** 2^-e x, also where 2^-e is no double. */
const shifted = (x: number, e: number): number => x / 2 ** Math.trunc(e / 2) / 2 ** (e - Math.trunc(e / 2));

/** How far `value` is from x^y, for positive x, in units of the last place of `value`: at any size, also of denormals. */
export function powerUlps(x: number, y: number, value: number): number {
  const e = exponentOf(x);
  const logarithm = logOf(fixed(shifted(x, e))) + BigInt(e) * LN2;
  const k = exponentOf(value);
  // y as a whole number times a power of two; the rest as in a product of fixed numbers.
  const down = exponentOf(y) - 52;
  const whole = BigInt(shifted(y, down)) * logarithm;
  const total = down >= 0 ? whole << BigInt(down) : whole >> BigInt(-down);
  const truth = expOf(total - BigInt(k) * LN2);
  const unit = 2 ** (Math.max(k, -1022) - 52 - k);
  return Math.abs(Number(((fixed(shifted(value, k)) - truth) << 20n) / fixed(unit))) / 2 ** 20;
}
