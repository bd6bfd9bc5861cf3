/**
 * Every mathematical function that code can be generated for: written as vector code here, or asked of the host one lane
 * at a time.
 *
 * In single precision the rarer functions are computed in doubles, two lanes at a time, and rounded once: simple, and
 * correct to half a unit in the last place.
 */
import { normalQuantile } from '../../core/gaussian.js';
import { F64, I32, localExpr, V128, type Body, type Expr, type ModuleWriter } from '../emit/assembler.js';
import { outOfRange } from '../emit/indirect.js';
import { BITS, demote, extractLane, F64X2, promoteLow, replaceLane, shuffle, type Lanes } from '../emit/lanes.js';
import { acos, asin, atan, atan2 } from './arcs.js';
import { acosh, asinh, atanh, cosh, sinh, tanReduced } from './derived.js';
import { erf } from './erf.js';
import { exp, expm1, sigmoid, tanh } from './exponential.js';
import { log, log1p } from './logarithm.js';
import { power, powerOfSingles } from './power.js';
import { remainder, remainderOfSingles } from './remainder.js';
import { LARGEST_REDUCED, sinReduced } from './trigonometric.js';

/** Functions that the host computes where vector code does not reach, by their name in `Math`. */
const HOST_UNARY = ['sin', 'cos', 'tan'] as const;

/** The remainder with the sign of the divisor, as tfjs's cpu backend defines it. */
export function mod(x: number, y: number): number {
  const rest = x % y;
  return x < 0 === y < 0 ? rest : (rest + y) % y;
}

/** What generated code asks of the host. */
export const HOST_FUNCTIONS: Readonly<Record<string, (...numbers: number[]) => number | undefined>> = {
  ...Object.fromEntries(HOST_UNARY.map((name) => [name, Reflect.get(Math, name) as () => number] as const)),
  mod,
  outOfRange,
  normalQuantile,
};

export const MATH_IMPORTS = [
  ...HOST_UNARY.map((name) => ({ name, parameters: [F64 as number], results: [F64 as number] })),
  { name: 'mod', parameters: [F64, F64], results: [F64] },
  { name: 'normalQuantile', parameters: [F64], results: [F64] },
  { name: 'outOfRange', parameters: [I32, I32, I32], results: [] },
] as ConstructorParameters<typeof ModuleWriter>[0];

export type VectorFunction = (b: Body, L: Lanes, x: Expr, y: Expr) => Expr;

/** One lane at a time, in doubles. */
function byHost(b: Body, name: string, operands: readonly Expr[]): Expr {
  const L: Lanes = F64X2;
  const index = b.module.importIndex(name);
  const given = operands.map((x) => b.vector(x));
  const lane =
    (i: number): Expr =>
    (c) => {
      for (const x of given) extractLane(L, x, i)(c);
      c.call(index);
    };
  return replaceLane(L, L.splat(lane(0)), 1, lane(1));
}

/** By `near` unless that does not hold for some lane: such go to the host. */
function unless(b: Body, name: string, operands: readonly Expr[], isNear: Expr, near: Expr): Expr {
  const result = b.local(V128);
  b.set(result, near);
  b.when(
    (c) => {
      BITS.not(isNear)(c);
      c.simd(83);
    },
    () => {
      b.set(result, byHost(b, name, operands));
    },
  );
  return localExpr(result);
}

/** Lanes that are large, infinite or NaN go to the host. */
const reduced =
  (name: (typeof HOST_UNARY)[number], near: (b: Body, x: Expr) => Expr): VectorFunction =>
  (b, L, given) => {
    const x = b.vector(given);
    return unless(b, name, [x], L.le(L.abs(x), L.const(LARGEST_REDUCED)), near(b, x));
  };

/** Lanes whose quotient is large, infinite or NaN go to the host. */
const modulo =
  (near: typeof remainder): VectorFunction =>
  (b, _, x, y) => {
    const { value, isNear } = near(b, x, y);
    return unless(b, 'mod', [x, y], isNear, value);
  };

/** max(x, 0) + log1p(exp(-|x|)) */
const softplus: VectorFunction = (b, L, given) => {
  const x = b.vector(given);
  const e = b.vector(exp(b, L, L.neg(L.abs(x))));
  return L.add(L.pmax(x, L.const(0)), log1p(b, L, e));
};

interface Entry {
  readonly code: VectorFunction;
  readonly arity: 1 | 2;
  /** In single precision: the same code on four lanes (false), or in doubles. */
  readonly inDoubles: boolean;
  /** In its place for operands that are singles made doubles. */
  readonly ofSingles?: VectorFunction;
  /** Short enough to stand in every loop that uses it; otherwise a function of its own. */
  readonly inline: boolean;
}

const lane = (code: VectorFunction, inline: boolean): Entry => ({ code, arity: 1, inDoubles: false, inline });
const doubles = (code: VectorFunction, arity: 1 | 2 = 1): Entry => ({ code, arity, inDoubles: true, inline: false });

const TABLE: ReadonlyMap<string, Entry> = new Map<string, Entry>([
  ['exp', lane(exp, true)],
  ['tanh', lane(tanh, true)],
  ['sigmoid', lane(sigmoid, true)],
  ['log', lane(log, false)],
  ['expm1', doubles(expm1)],
  ['log1p', doubles(log1p)],
  ['softplus', doubles(softplus)],
  ['erf', doubles(erf)],
  ['sin', doubles(reduced('sin', (b, x) => sinReduced(b, x, 0)))],
  ['cos', doubles(reduced('cos', (b, x) => sinReduced(b, x, 1)))],
  ['tan', doubles(reduced('tan', tanReduced))],
  ...Object.entries({ asin, acos, atan, sinh, cosh, asinh, acosh, atanh }).map(([name, f]): [string, Entry] => [name, doubles((b, _, x) => f(b, x))]), // prettier-ignore
  ['atan2', doubles((b, _, y, x) => atan2(b, y, x), 2)],
  ['mod', { ...doubles(modulo(remainder), 2), ofSingles: modulo(remainderOfSingles) }],
  ['pow', { ...doubles((b, _, x, y) => power(b, x, y), 2), ofSingles: (b, _, x, y) => powerOfSingles(b, x, y) }],
]);

export const isMathFunction = (name: string): boolean => TABLE.has(name);

/** The function of that name applied to vectors. */
export function applyMath(b: Body, L: Lanes, name: string, operands: readonly Expr[]): Expr {
  const entry = TABLE.get(name);
  if (entry === undefined) throw new Error(`no vector code for "${name}"`);
  const [x, y = x] = operands.map((e) => b.vector(e));
  if (entry.inline) return b.vector(entry.code(b, L, x, y));
  const parameters = operands.map(() => V128 as typeof V128);
  const index = b.module.function(`${name}/${L.bits}`, parameters, [V128], (f) => {
    const given = operands.map((_, i) => f.parameter(i));
    write(f, L, entry, given);
  });
  return b.vector((c) => {
    for (const e of [x, y].slice(0, operands.length)) e(c);
    c.call(index);
  });
}

function write(f: Body, L: Lanes, { code, inDoubles, ofSingles = code }: Entry, [x, y = x]: readonly Expr[]): void {
  if (L.bits === 64 || !inDoubles) {
    code(f, L, x, y)(f);
    return;
  }
  const high = (v: Expr): Expr => shuffle(v, v, [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]);
  const wide = (a: Expr, c: Expr): Expr =>
    demote(f.vector(ofSingles(f, F64X2, f.vector(promoteLow(a)), f.vector(promoteLow(c)))));
  const low = f.vector(wide(x, y));
  const top = f.vector(wide(high(x), high(y)));
  shuffle(low, top, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23])(f);
}
