/**
 * Elementwise expressions: what one element of a result is in terms of elements of operands, and the vector code for it.
 */
import { V128, type Body, type Expr } from './assembler.js';
import { narrowMask, widenMask, type Kind } from './access.js';
import { BITS, F64X2, INTS, shuffle, type Lanes } from './lanes.js';
import { applyMath, isMathFunction } from '../math/functions.js';

export interface Term {
  readonly kind: Kind;
  /** `load`, `const`, `cast`, a name of {@link OPERATIONS}, or of a mathematical function. */
  readonly op: string;
  readonly args: readonly Term[];
  /** Which operand `load` reads. */
  readonly leaf?: number;
  readonly value?: number;
}

export const apply = (kind: Kind, op: string, ...args: Term[]): Term => ({ kind, op, args });
export const constant = (kind: Kind, value: number): Term => ({ kind, op: 'const', args: [], value });
export const loadLeaf = (kind: Kind, leaf: number): Term => ({ kind, op: 'load', args: [], leaf });
export const cast = (kind: Kind, x: Term): Term => (x.kind === kind ? x : apply(kind, 'cast', x));

type Operation = (L: Lanes, ...x: Expr[]) => Expr;

const FLOAT: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ['add', (L, x, y) => L.add(x, y)],
  ['sub', (L, x, y) => L.sub(x, y)],
  ['mul', (L, x, y) => L.mul(x, y)],
  ['div', (L, x, y) => L.div(x, y)],
  ['max', (L, x, y) => L.max(x, y)],
  ['min', (L, x, y) => L.min(x, y)],
  // As `max`, but for which of two zeros and which NaN: three instructions where V8 on x64 makes eight.
  ['larger', (L, x, y) => BITS.or(L.pmax(x, y), L.ne(y, y))],
  ['pmax', (L, x, y) => L.pmax(x, y)],
  ['pmin', (L, x, y) => L.pmin(x, y)],
  ['neg', (L, x) => L.neg(x)],
  ['abs', (L, x) => L.abs(x)],
  ['sqrt', (L, x) => L.sqrt(x)],
  ['floor', (L, x) => L.floor(x)],
  ['ceil', (L, x) => L.ceil(x)],
  ['round', (L, x) => L.nearest(x)],
]);

type Binary = (x: Expr, y: Expr) => Expr;

const highHalf = (x: Expr): Expr => shuffle(x, x, [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]);

/** An operation on integers by way of doubles, which hold every quotient of theirs exactly enough to round it down. */
const inDoubles =
  (f: Binary): Operation =>
  (L, x, y) => {
    const half = (a: Expr, c: Expr): Expr => F64X2.toInt(f(F64X2.fromInt(a), F64X2.fromInt(c)));
    const low = half(x, y);
    if (L.bits === 64) return low;
    return shuffle(low, half(highHalf(x), highHalf(y)), [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
  };

const floorDiv = inDoubles((x, y) => F64X2.floor(F64X2.div(x, y)));
const floorMod = inDoubles((x, y) => F64X2.sub(x, F64X2.mul(y, F64X2.floor(F64X2.div(x, y)))));
/** What is divided by zero becomes zero, as in tfjs. */
const unlessZero = (y: Expr, value: Expr): Expr => BITS.andnot(value, INTS.eq(y, INTS.const(0)));

const INTEGER: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ['add', (_, x, y) => INTS.add(x, y)],
  ['sub', (_, x, y) => INTS.sub(x, y)],
  ['mul', (_, x, y) => INTS.mul(x, y)],
  ['max', (_, x, y) => INTS.max(x, y)],
  ['min', (_, x, y) => INTS.min(x, y)],
  ['neg', (_, x) => INTS.neg(x)],
  ['abs', (_, x) => INTS.abs(x)],
  ['and', (_, x, y) => BITS.and(x, y)],
  // The one quotient that does not fit wraps around, as in tfjs.
  ['floorDiv', (L, x, y) => unlessZero(y, BITS.select(INTS.neg(x), floorDiv(L, x, y), INTS.eq(y, INTS.const(-1))))],
  ['mod', (L, x, y) => unlessZero(y, floorMod(L, x, y))],
]);

const LOGIC: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ['and', (_, x, y) => BITS.and(x, y)],
  ['or', (_, x, y) => BITS.or(x, y)],
  ['xor', (_, x, y) => BITS.xor(x, y)],
  ['not', (_, x) => BITS.not(x)],
]);

const TABLES = { float: FLOAT, int: INTEGER, bool: LOGIC } as const;

const COMPARISONS = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const;
type Comparison = (typeof COMPARISONS)[number];
const isComparison = (op: string): op is Comparison => (COMPARISONS as readonly string[]).includes(op);

/** Can an operation of that name be applied to operands of that kind? */
export const hasOperation = (kind: Kind, op: string): boolean =>
  TABLES[kind].has(op) || (kind === 'float' && isMathFunction(op)) || (kind !== 'bool' && isComparison(op));

/** What a kernel is shared by: text of what it computes that tells all numbers apart. */
export function keyOf(spec: unknown): string {
  if (typeof spec === 'number') return Object.is(spec, -0) ? '-0' : String(spec);
  if (typeof spec !== 'object' || spec === null) return String(spec);
  if (isTerm(spec)) return termText(spec);
  if (Array.isArray(spec)) {
    let text = '[';
    for (const item of spec) text += `${keyOf(item)},`;
    return text;
  }
  let text = '{';
  for (const name in spec) text += `${name}:${keyOf((spec as Readonly<Record<string, unknown>>)[name])},`;
  return text;
}

const isTerm = (x: object): x is Term => 'op' in x && 'args' in x;

function termText({ kind, op, args, leaf, value }: Term): string {
  if (op === 'load') return `${kind} ${leaf ?? 0}`;
  if (op === 'const') return `${kind}(${keyOf(value)})`;
  let text = `${kind} ${op}(`;
  for (const arg of args) text += `${termText(arg)},`;
  return `${text})`;
}

/** Is the term long enough that repeating it in a loop body gains nothing? */
export function isHeavy(t: Term): boolean {
  return isMathFunction(t.op) || t.args.some(isHeavy);
}

/** Operations of terms; what they share counts once. */
export function operationsIn(terms: readonly Term[], counted = new Set<Term>()): number {
  for (const term of terms) {
    if (term.op === 'const' || counted.has(term)) continue;
    counted.add(term);
    operationsIn(term.args, counted);
  }
  return counted.size;
}

/** Vector code for a term. `leaf` loads an operand; each operand is loaded once. */
export const emitTerm = (b: Body, L: Lanes, term: Term, leaf: (index: number) => Expr): Expr =>
  emitTerms(b, L, [term], leaf)[0];

/** The same for several terms; what they share is computed once. */
export function emitTerms(b: Body, L: Lanes, terms: readonly Term[], leaf: (index: number) => Expr): Expr[] {
  const loaded = new Map<number, Expr>();
  const done = new Map<Term, Expr>();
  const visit = (t: Term): Expr => {
    if (t.op === 'load') {
      const index = t.leaf ?? 0;
      let value = loaded.get(index);
      if (value === undefined) loaded.set(index, (value = b.vector(leaf(index))));
      return value;
    }
    if (t.op === 'const') return constantVector(L, t.kind, t.value ?? 0);
    const known = done.get(t);
    if (known !== undefined) return known;
    const value = b.let(V128, operate(b, L, t, t.args.map(visit)));
    done.set(t, value);
    return value;
  };
  return terms.map(visit);
}

export function constantVector(L: Lanes, kind: Kind, value: number): Expr {
  if (kind === 'float') return L.const(value);
  return INTS.const(kind === 'int' ? value : value === 0 ? 0 : -1);
}

function operate(b: Body, L: Lanes, t: Term, args: readonly Expr[]): Expr {
  const [x, y, z] = args;
  const of = t.args[0].kind;
  if (t.op === 'cast') return convert(L, x, of, t.kind);
  // select(mask, x, y)
  if (t.op === 'select') return BITS.select(y, z, t.kind === 'int' && L.bits === 64 ? narrowMask(x) : x);
  if (isComparison(t.op)) return of === 'int' ? widenMask(L, INTS[t.op](x, y)) : L[t.op](x, y);
  const operation = TABLES[t.kind].get(t.op);
  if (operation !== undefined) return operation(L, ...args);
  return applyMath(b, L, t.op, args);
}

function convert(L: Lanes, x: Expr, from: Kind, to: Kind): Expr {
  if (from === 'float') return to === 'int' ? L.toInt(x) : L.ne(x, L.const(0));
  if (from === 'int') return to === 'float' ? L.fromInt(x) : widenMask(L, INTS.ne(x, INTS.const(0)));
  if (to === 'float') return BITS.and(x, L.const(1));
  return BITS.and(L.bits === 32 ? x : narrowMask(x), INTS.const(1));
}
