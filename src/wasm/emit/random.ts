/**
 * Random numbers as src/core/random.ts defines them, to the last bit: Threefry-2x32 on four counters at a time (Salmon,
 * Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), and what is made of its words, in doubles.
 */
import { store } from './access.js';
import { F64, I32, i32, i32add, i32load, localExpr, type Body, type Expr, type ModuleWriter } from './assembler.js';
import { BITS, demote, extractLane, F32X4, F64X2, INTS, replaceLane, shuffle, type Lanes } from './lanes.js';

/** What is made of the two words of each counter. */
export type Form =
  | { readonly form: 'words' }
  /** minval + range u, u of 24 bits */
  | { readonly form: 'uniform'; readonly minval: number; readonly range: number }
  /** u < p, u of 24 bits */
  | { readonly form: 'bernoulli'; readonly p: number }
  /** minval + floor(range u), u of 52 bits */
  | { readonly form: 'integers'; readonly minval: number; readonly range: number }
  /** mean + scale quantile(below + within u), or of 1 - u, cut off at the bounds */
  | {
      readonly form: 'normal';
      readonly mean: number;
      readonly scale: number;
      readonly cut?: { below: number; within: number; isMirrored: boolean; lower: number; upper: number };
    };

export interface RandomSpec {
  readonly of: Form;
  readonly count: number;
  /** The first counter, in two words; the low word does not run over. */
  readonly high: number;
  readonly low: number;
}

const RESULT = 0;
const KEY = 1;
const PARITY = 0x1bd11bda;
const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;

/** Parameters are the addresses of the result and of the key. */
export function randomFunction(module: ModuleWriter, L: Lanes, spec: RandomSpec): number {
  return module.function(`random ${L.bits} ${JSON.stringify(spec)}`, [I32, I32], [], (b) => {
    write(b, L, spec);
  });
}

function write(b: Body, L: Lanes, { of, count, high, low }: RandomSpec): void {
  const word = (k: number): Expr => b.vector(INTS.splat(i32load(localExpr(KEY), 4 * k)));
  const [k0, k1] = [word(0), word(1)];
  const keys = [k0, k1, b.vector(BITS.xor(INTS.const(PARITY), BITS.xor(k0, k1)))];
  const counter = b.local(0x7b);
  const lanes: Expr = (c) => {
    c.simd(12);
    for (let lane = 0; lane < 4; lane++) c.plain(lane, 0, 0, 0);
  };
  b.set(counter, INTS.add(INTS.const(low), lanes));
  const four = (n: number): void => {
    const [first, second] = threefry(b, keys, INTS.const(high), localExpr(counter));
    WRITERS[of.form](b, L, of as never, first, second, n);
  };
  const width = bytesOf(L, of.form);
  const rounds = Math.floor(count / 4);
  if (rounds > 0) {
    const left = b.local(I32);
    b.set(left, i32(rounds));
    b.repeat(
      () => {
        four(4);
        b.set(counter, INTS.add(localExpr(counter), INTS.const(4)));
        b.set(RESULT, i32add(localExpr(RESULT), i32(4 * width)));
      },
      b.tee(left, i32add(localExpr(left), i32(-1))),
    );
  }
  if (count % 4 > 0) four(count % 4);
}

function bytesOf(L: Lanes, form: Form['form']): number {
  return form === 'words' ? 8 : form === 'bernoulli' ? 1 : form === 'integers' ? 4 : L.bytes;
}

const rotated = (x: Expr, by: number): Expr => BITS.or(F32X4.shl(x, by), F32X4.shr(x, 32 - by));

function threefry(b: Body, keys: readonly Expr[], high: Expr, low: Expr): [Expr, Expr] {
  const [x, y] = [b.local(0x7b), b.local(0x7b)];
  b.set(x, INTS.add(high, keys[0]));
  b.set(y, INTS.add(low, keys[1]));
  for (let group = 1; group <= 5; group++) {
    for (const by of ROTATIONS[(group + 1) % 2]) {
      b.set(x, INTS.add(localExpr(x), localExpr(y)));
      b.set(y, BITS.xor(rotated(localExpr(y), by), localExpr(x)));
    }
    b.set(x, INTS.add(localExpr(x), keys[group % 3]));
    b.set(y, INTS.add(INTS.add(localExpr(y), keys[(group + 1) % 3]), INTS.const(group)));
  }
  return [localExpr(x), localExpr(y)];
}

type Writer<F> = (b: Body, L: Lanes, of: F, first: Expr, second: Expr, n: number) => void;
type Of<K extends Form['form']> = Extract<Form, { form: K }>;

const highHalf = (x: Expr): Expr => shuffle(x, x, [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]);
/** From the low two of four unsigned integers. */
const fromUnsigned =
  (x: Expr): Expr =>
  (c) => {
    x(c);
    c.simd(255);
  };

/** Two pairs of doubles as the result's floats. */
function putFloats(b: Body, L: Lanes, low: Expr, high: Expr, n: number): void {
  const at = localExpr(RESULT);
  if (L.bits === 32) {
    const pair = shuffle(demote(low), demote(high), [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
    store(b, L, 'float', at, 0, { count: n, stride: 1 }, pair);
    return;
  }
  store(b, L, 'float', at, 0, { count: Math.min(n, 2), stride: 1 }, low);
  if (n > 2) store(b, L, 'float', at, 16, { count: n - 2, stride: 1 }, high);
}

const unit24 = (first: Expr, second: Expr): Expr => F32X4.shr(BITS.xor(first, second), 8);

/** u of 52 bits for the low two lanes. */
const unit52 = (first: Expr, second: Expr): Expr => {
  const upper = F64X2.mul(fromUnsigned(BITS.xor(first, second)), F64X2.const(2 ** 20));
  const lower = F64X2.fromInt(F32X4.shr(second, 12));
  return F64X2.mul(F64X2.add(F64X2.add(upper, lower), F64X2.const(0.5)), F64X2.const(2 ** -52));
};

const words: Writer<Of<'words'>> = (b, _, __, first, second, n) => {
  const at = localExpr(RESULT);
  const pairs = [
    shuffle(first, second, [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23]),
    shuffle(first, second, [8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31]),
  ];
  store(b, F32X4, 'int', at, 0, { count: Math.min(4, 2 * n), stride: 1 }, pairs[0]);
  if (n > 2) store(b, F32X4, 'int', at, 16, { count: 2 * n - 4, stride: 1 }, pairs[1]);
};

const uniform: Writer<Of<'uniform'>> = (b, L, { minval, range }, first, second, n) => {
  const whole = b.vector(unit24(first, second));
  const scaled = (x: Expr): Expr =>
    F64X2.add(F64X2.const(minval), F64X2.mul(F64X2.const(range), F64X2.mul(F64X2.fromInt(x), F64X2.const(2 ** -24))));
  putFloats(b, L, scaled(whole), scaled(highHalf(whole)), n);
};

const bernoulli: Writer<Of<'bernoulli'>> = (b, _, { p }, first, second, n) => {
  // k / 2^24 < p for a whole number k.
  const isBelow = INTS.lt(unit24(first, second), INTS.const(Math.ceil(p * 2 ** 24)));
  store(b, F32X4, 'bool', localExpr(RESULT), 0, { count: n, stride: 1 }, isBelow);
};

const integers: Writer<Of<'integers'>> = (b, _, { minval, range }, first, second, n) => {
  const half = (x: Expr, y: Expr): Expr =>
    F64X2.toInt(F64X2.add(F64X2.const(minval), F64X2.floor(F64X2.mul(F64X2.const(range), unit52(x, y)))));
  const all = shuffle(half(first, second), half(highHalf(first), highHalf(second)), [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]); // prettier-ignore
  store(b, F32X4, 'int', localExpr(RESULT), 0, { count: n, stride: 1 }, all);
};

// The central part of the quantile: Wichura, algorithm AS 241, Applied Statistics 37 (1988), 477-484; as in core/gaussian.ts.
const NUMERATOR = [3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987, 67265.7709270087, 33430.57558358813, 2509.0809287301227]; // prettier-ignore
const DENOMINATOR = [1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271, 28729.085735721943, 5226.495278852854]; // prettier-ignore

/** By Horner's rule, each step rounded twice, as JavaScript does. */
function polynomial(b: Body, coefficients: readonly number[], x: Expr): Expr {
  const sum = b.local(0x7b);
  b.set(sum, F64X2.const(0));
  for (const c of [...coefficients].reverse()) {
    b.set(sum, F64X2.add(F64X2.mul(localExpr(sum), x), F64X2.const(c)));
  }
  return localExpr(sum);
}

/** The normal quantile of two probabilities: the central 85 % here, the tails by the host. */
function quantile(b: Body, given: Expr): Expr {
  const p = b.vector(given);
  const q = b.vector(F64X2.sub(p, F64X2.const(0.5)));
  const r = b.vector(F64X2.sub(F64X2.const(0.180625), F64X2.mul(q, q)));
  const ratio = F64X2.div(polynomial(b, NUMERATOR, r), polynomial(b, DENOMINATOR, r));
  const result = b.local(0x7b);
  b.set(result, F64X2.mul(q, ratio));
  const isTail: Expr = (c) => {
    F64X2.gt(F64X2.abs(q), F64X2.const(0.425))(c);
    c.simd(83);
  };
  b.when(isTail, () => {
    const index = b.module.importIndex('normalQuantile');
    const lane = (i: number): Expr =>
      b.let(F64, (c) => {
        extractLane(F64X2, p, i)(c);
        c.call(index);
      });
    const [low, high] = [lane(0), lane(1)];
    b.set(result, replaceLane(F64X2, F64X2.splat(low), 1, high));
  });
  return localExpr(result);
}

const normal: Writer<Of<'normal'>> = (b, L, { mean, scale, cut }, first, second, n) => {
  const half = (x: Expr, y: Expr): Expr => {
    const u = unit52(x, y);
    const { below = 0, within = 1, isMirrored = false } = cut ?? {};
    const p = cut === undefined ? u : F64X2.add(F64X2.const(below), F64X2.mul(F64X2.const(within), isMirrored ? F64X2.sub(F64X2.const(1), u) : u)); // prettier-ignore
    const value = F64X2.add(F64X2.const(mean), F64X2.mul(F64X2.const(scale), quantile(b, p)));
    return b.vector(
      cut === undefined ? value : F64X2.min(F64X2.const(cut.upper), F64X2.max(F64X2.const(cut.lower), value)),
    );
  };
  const low = half(first, second);
  const high = n > 2 ? half(highHalf(first), highHalf(second)) : low;
  putFloats(b, L, low, high, n);
};

const WRITERS: { readonly [K in Form['form']]: Writer<Of<K>> } = { words, uniform, bernoulli, integers, normal };
