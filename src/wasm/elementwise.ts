/**
 * tfjs's elementwise kernels as terms. What is not in these tables, or not for that dtype, is not computed by generated
 * code.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Attrs } from '../graph/engine.js';
import type { Kind } from './emit/access.js';
import { apply, cast, constant, hasOperation, type Term } from './emit/terms.js';

export function kindOf(dtype: tf.DataType): Kind | undefined {
  return dtype === 'float32' ? 'float' : dtype === 'int32' ? 'int' : dtype === 'bool' ? 'bool' : undefined;
}

type Rule = (args: readonly Term[], attrs: Attrs) => Term | undefined;

/** An operation of the same kind as its operands. */
const plain =
  (op: string, kinds: readonly Kind[] = ['float']): Rule =>
  (args) => {
    const { kind } = args[0];
    return kinds.includes(kind) && hasOperation(kind, op) ? apply(kind, op, ...args) : undefined;
  };

const number = (value: number, like: Term): Term => constant(like.kind, value);
const float =
  (rule: Rule): Rule =>
  (args, attrs) =>
    args[0].kind === 'float' ? rule(args, attrs) : undefined;

type Operation = [op: string, ...args: Term[]];
const not = (x: Term): Term => apply('bool', 'not', x);

/** Comparisons of booleans, false being less than true. */
const OF_TRUTHS: Readonly<Record<string, (x: Term, y: Term) => Operation>> = {
  eq: (x, y) => ['not', apply('bool', 'xor', x, y)],
  ne: (x, y) => ['xor', x, y],
  lt: (x, y) => ['and', not(x), y],
  le: (x, y) => ['or', not(x), y],
  gt: (x, y) => ['and', x, not(y)],
  ge: (x, y) => ['or', x, not(y)],
};

const numeric =
  (rule: Rule): Rule =>
  (args, attrs) =>
    args[0].kind === 'bool' ? undefined : rule(args, attrs);

const comparison =
  (op: string): Rule =>
  ([x, y]) => {
    if (x.kind !== 'bool') return apply('bool', op, x, y);
    return apply('bool', ...OF_TRUTHS[op](x, y));
  };

const choose = (mask: Term, x: Term, y: Term): Term => apply(x.kind, 'select', mask, x, y);
const compare = (op: string, x: Term, value: number): Term => apply('bool', op, x, number(value, x));
const truth = (x: Term): Term => cast('bool', x);

const SELU_SCALE_ALPHA = tf.backend_util.SELU_SCALEALPHA;
const SELU_SCALE = tf.backend_util.SELU_SCALE;

const MATH: Readonly<Record<string, string>> = {
  Exp: 'exp',
  Expm1: 'expm1',
  Log: 'log',
  Log1p: 'log1p',
  Tanh: 'tanh',
  Sigmoid: 'sigmoid',
  Softplus: 'softplus',
  Erf: 'erf',
  Sin: 'sin',
  Cos: 'cos',
  Tan: 'tan',
  Asin: 'asin',
  Acos: 'acos',
  Atan: 'atan',
  Sinh: 'sinh',
  Cosh: 'cosh',
  Asinh: 'asinh',
  Acosh: 'acosh',
  Atanh: 'atanh',
  Atan2: 'atan2',
  RealDiv: 'div',
  Sqrt: 'sqrt',
};

const NUMBERS: readonly Kind[] = ['float', 'int'];

function power([x, y]: readonly Term[]): Term | undefined {
  if (x.kind !== 'float') return undefined;
  if (y.op === 'const' && y.value === 2) return apply('float', 'mul', x, x);
  if (y.op === 'const' && y.value === 3) return apply('float', 'mul', apply('float', 'mul', x, x), x);
  if (y.op === 'const' && y.value === 1) return x;
  return apply('float', 'pow', x, y);
}

/** As in tfjs: a NaN stays one. Bounds that are no integers would be rounded. */
function clip([x]: readonly Term[], { clipValueMin, clipValueMax }: Attrs): Term | undefined {
  if (x.kind === 'bool') return undefined;
  const [low, high] = [clipValueMin as number, clipValueMax as number];
  if (x.kind === 'float') return apply('float', 'pmax', apply('float', 'pmin', x, number(high, x)), number(low, x));
  if (!isInt32(low) || !isInt32(high)) return undefined;
  return apply('int', 'max', apply('int', 'min', x, number(high, x)), number(low, x));
}

const isInt32 = (n: number): boolean => (n | 0) === n;

/** What rounds a float, leaves an integer as it is. */
const rounding =
  (op: string): Rule =>
  ([x]) =>
    x.kind === 'int' ? x : plain(op)([x], {});

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...Object.entries(MATH).map(([kernel, op]): [string, Rule] => [kernel, plain(op)]),
  ['Add', plain('add', NUMBERS)],
  ['AddV2', plain('add', NUMBERS)],
  ['Sub', plain('sub', NUMBERS)],
  ['Multiply', plain('mul', NUMBERS)],
  ['Maximum', plain('max', NUMBERS)],
  ['Minimum', plain('min', NUMBERS)],
  ['Neg', plain('neg', NUMBERS)],
  ['Abs', plain('abs', NUMBERS)],
  ['Floor', rounding('floor')],
  ['Ceil', rounding('ceil')],
  ['Round', rounding('round')],
  ['Pow', power],
  ['Identity', ([x]) => x],
  ['SquaredDifference', ([x, y]) => {
    if (x.kind === 'bool') return undefined;
    const difference = apply(x.kind, 'sub', x, y);
    return apply(x.kind, 'mul', difference, difference);
  }], // prettier-ignore
  ['Square', ([x]) => (x.kind === 'bool' ? undefined : apply(x.kind, 'mul', x, x))],
  ['Rsqrt', float(([x]) => apply('float', 'div', number(1, x), apply('float', 'sqrt', x)))],
  ['Reciprocal', float(([x]) => apply('float', 'div', number(1, x), x))],
  ['FloorDiv', ([x, y]) => (x.kind === 'float' ? apply('float', 'floor', apply('float', 'div', x, y)) : plain('floorDiv', NUMBERS)([x, y], {}))], // prettier-ignore
  ['Mod', plain('mod', NUMBERS)],
  ['BitwiseAnd', plain('and', ['int'])],
  ['Sign', numeric(([x]) => choose(compare('gt', x, 0), number(1, x), choose(compare('lt', x, 0), number(-1, x), number(0, x))))], // prettier-ignore
  ['Relu', ([x]) => (x.kind === 'bool' ? undefined : apply(x.kind, x.kind === 'int' ? 'max' : 'pmax', x, number(0, x)))], // prettier-ignore
  ['Relu6', float(([x]) => apply('float', 'pmin', apply('float', 'pmax', x, number(0, x)), number(6, x)))],
  ['Elu', float(([x]) => choose(compare('ge', x, 0), x, apply('float', 'expm1', x)))],
  ['EluGrad', float(([dy, y]) => choose(compare('ge', y, 0), dy, apply('float', 'mul', dy, apply('float', 'add', y, number(1, y)))))], // prettier-ignore
  ['Selu', float(([x]) => choose(compare('ge', x, 0), apply('float', 'mul', number(SELU_SCALE, x), x), apply('float', 'mul', number(SELU_SCALE_ALPHA, x), apply('float', 'expm1', x))))], // prettier-ignore
  ['LeakyRelu', float(([x], { alpha }) => choose(compare('lt', x, 0), apply('float', 'mul', number(alpha as number, x), x), x))], // prettier-ignore
  ['Prelu', float(([x, alpha]) => choose(compare('lt', x, 0), apply('float', 'mul', alpha, x), x))],
  ['Step', float(([x], { alpha }) => choose(apply('bool', 'ne', x, x), x, choose(compare('gt', x, 0), number(1, x), number(alpha as number, x))))], // prettier-ignore
  ['ClipByValue', clip],
  ['OnesLike', ([x]) => number(1, x)],
  ['ZerosLike', ([x]) => number(0, x)],
  ['IsNan', float(([x]) => apply('bool', 'ne', x, x))],
  ['IsInf', float(([x]) => compare('eq', apply('float', 'abs', x), Infinity))],
  ['IsFinite', float(([x]) => compare('lt', apply('float', 'abs', x), Infinity))],
  ['Equal', comparison('eq')],
  ['NotEqual', comparison('ne')],
  ['Less', comparison('lt')],
  ['LessEqual', comparison('le')],
  ['Greater', comparison('gt')],
  ['GreaterEqual', comparison('ge')],
  ['LogicalAnd', ([x, y]) => apply('bool', 'and', truth(x), truth(y))],
  ['LogicalOr', ([x, y]) => apply('bool', 'or', truth(x), truth(y))],
  ['LogicalXor', ([x, y]) => apply('bool', 'xor', truth(x), truth(y))],
  ['LogicalNot', ([x]) => apply('bool', 'not', truth(x))],
  ['Select', ([c, x, y]) => choose(truth(c), x, y)],
  ['Cast', ([x], { dtype }) => {
    const kind = kindOf(dtype as tf.DataType);
    return kind === undefined ? undefined : cast(kind, x);
  }], // prettier-ignore
]);

export const isElementwise = (kernel: string): boolean => RULES.has(kernel);

/** The term of a kernel applied to terms, or undefined where there is none for these operands. */
export function elementwiseTerm(kernel: string, args: readonly Term[], attrs: Attrs): Term | undefined {
  return RULES.get(kernel)?.(args, attrs);
}
