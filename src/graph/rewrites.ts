/**
 * Local rules by which a graph gets smaller: for each kernel, the value that may stand in its place.
 *
 * Each keeps the values but for the rounding of a product of two constants and for the sign of a zero.
 */
import {
  CONSTANT,
  makeNode,
  sameShape,
  sizeOf,
  splatAttrs,
  splatOf,
  type Node,
  type Spec,
  type Value,
} from './graph.js';
import type { Attrs } from './engine.js';

/** A value to stand for the node's only output, or undefined where the rule does not apply. */
export type Rewrite = (inputs: readonly Value[], node: Node) => Value | undefined;

const keeps = (x: Value, out: Value): boolean => sameShape(x.shape, out.shape) && x.dtype === out.dtype;

/** A new node in the place of `node`. */
function made(kernel: string, inputs: Readonly<Record<string, Value>>, attrs: Attrs, node: Node, spec: Spec): Value {
  return makeNode(kernel, Object.values(inputs), Object.keys(inputs), attrs, [spec], node.scope).outputs[0];
}

const instead = (kernel: string, inputs: Readonly<Record<string, Value>>, attrs: Attrs, node: Node): Value =>
  made(kernel, inputs, attrs, node, node.outputs[0]);

const splat = (value: number, { shape, dtype }: Spec, scope: string): Value =>
  makeNode(CONSTANT, [], null, { ...splatAttrs(value, shape, dtype) }, [{ shape, dtype }], scope).outputs[0];

const first =
  (...rules: Rewrite[]): Rewrite =>
  (inputs, node) => {
    for (const rule of rules) {
      const value = rule(inputs, node);
      if (value !== undefined) return value;
    }
    return undefined;
  };

/** The node is its first input under another name. */
const alias: Rewrite = ([x], { outputs: [out] }) => (keeps(x, out) ? x : undefined);

/** A constant of one value, whatever the input holds. */
const filled =
  (value: (node: Node) => unknown): Rewrite =>
  (_, node) => {
    const v = value(node);
    const [out] = node.outputs;
    return typeof v === 'number' && out.dtype !== 'complex64' ? splat(v, out, node.scope) : undefined;
  };

/** The result of moving elements of a constant of one value about is that constant in another shape. */
const rearranged: Rewrite = ([x], node) => {
  const value = splatOf(x);
  return value === undefined ? undefined : splat(value, node.outputs[0], node.scope);
};

/** A function of a constant of one value. */
const folded =
  (f: (x: number) => number): Rewrite =>
  ([x], node) => {
    const value = splatOf(x);
    return value === undefined || x.dtype !== 'float32' ? undefined : splat(f(value), node.outputs[0], node.scope);
  };

const permOf = (node: Node): number[] => node.attrs.perm as number[];

/** Views of views, and of constants. */
const reshape: Rewrite = ([x], node) => {
  const [out] = node.outputs;
  if (x.node.kernel === CONSTANT) return makeNode(CONSTANT, [], null, x.node.attrs, [out], node.scope).outputs[0];
  return x.node.kernel === 'Reshape' ? instead('Reshape', { x: x.node.inputs[0] }, { shape: out.shape }, node) : undefined; // prettier-ignore
};

const asReshape: Rewrite = ([x], node) => instead('Reshape', { x }, { shape: node.outputs[0].shape }, node);

const transpose: Rewrite = ([x], node) => {
  const perm = permOf(node);
  if (x.node.kernel === 'Transpose') {
    const inner = permOf(x.node);
    return instead('Transpose', { x: x.node.inputs[0] }, { perm: perm.map((p) => inner[p]) }, node);
  }
  // The longer axes stay in order: nothing moves in memory.
  const moving = perm.filter((p) => x.shape[p] !== 1);
  return moving.every((p, i) => i === 0 || moving[i - 1] < p) ? asReshape([x], node) : undefined;
};

/** A sum, mean or extreme over axes of length 1 only. */
const overNothing: Rewrite = ([x], node) =>
  sizeOf(x.shape) === sizeOf(node.outputs[0].shape) && x.dtype === node.outputs[0].dtype
    ? asReshape([x], node)
    : undefined;

const sumOfSplat: Rewrite = ([x], node) => {
  const value = splatOf(x);
  const [out] = node.outputs;
  if (value === undefined || out.dtype !== 'float32' || sizeOf(out.shape) === 0) return undefined;
  return splat((value * sizeOf(x.shape)) / sizeOf(out.shape), out, node.scope);
};

/** A slice of a concatenation that is just one of its pieces. */
const pieceOfConcat: Rewrite = ([x], node) => {
  if (x.node.kernel !== 'Concat') return undefined;
  const [out] = node.outputs;
  const axis = x.shape.findIndex((n, i) => x.node.inputs.some((piece) => piece.shape[i] !== n));
  if (axis < 0) return undefined;
  const begin = node.attrs.begin as number | number[];
  let start = typeof begin === 'number' ? (axis === 0 ? begin : 0) : (begin[axis] ?? 0);
  for (const piece of x.node.inputs) {
    if (start === 0 && keeps(piece, out)) return piece;
    start -= piece.shape[axis];
    if (start < 0) return undefined;
  }
  return undefined;
};

/** Concatenating neighbouring slices of one tensor, all of it and in order, gives it back. */
const wholeAgain: Rewrite = (pieces, node) => {
  const [out] = node.outputs;
  const source = pieces[0].node.kernel === 'Slice' ? pieces[0].node.inputs[0] : undefined;
  if (source === undefined || !keeps(source, out)) return undefined;
  const axis = out.shape.findIndex((n, i) => pieces.some((piece) => piece.shape[i] !== n));
  let start = 0;
  for (const piece of pieces) {
    const { kernel, inputs, attrs } = piece.node;
    if (kernel !== 'Slice' || inputs[0] !== source || !Array.isArray(attrs.begin)) return undefined;
    const begin = attrs.begin as number[];
    if (begin.some((b, i) => b !== (i === axis ? start : 0))) return undefined;
    start += piece.shape[axis];
  }
  return source;
};

/** `x op neutral = x`, on the sides where that holds, and the operation on two constants of one value. */
const arithmetic =
  (f: (a: number, b: number) => number, neutral: number, sides: 'both' | 'right'): Rewrite =>
  ([a, b], node) => {
    const [out] = node.outputs;
    const left = splatOf(a);
    const right = splatOf(b);
    if (left !== undefined && right !== undefined && out.dtype === 'float32') {
      return splat(f(left, right), out, node.scope);
    }
    if (right === neutral && keeps(a, out)) return a;
    if (sides === 'both' && left === neutral && keeps(b, out)) return b;
    return undefined;
  };

/** The tensor that a broadcast repeats, where the operation broadcasts by itself. */
function source(x: Value): Value {
  const value = splatOf(x);
  if (value !== undefined) return x.shape.length === 0 ? x : splat(value, { shape: [], dtype: x.dtype }, x.node.scope);
  const { kernel, inputs, attrs } = x.node;
  if (kernel !== 'Tile') return x;
  const [inner] = inputs;
  if ((attrs.reps as number[]).some((r, i) => r !== 1 && inner.shape[i] !== 1)) return x;
  // Axes of length 1 in front are not needed either; most kernels are faster without.
  const { kernel: by, inputs: from } = inner.node;
  if (by !== 'Reshape') return inner;
  const bare = inner.shape.slice(inner.shape.findIndex((n) => n !== 1));
  return sameShape(from[0].shape, sizeOf(inner.shape) === 1 ? [] : bare) ? from[0] : inner;
}

/** An operand need not be repeated when the other one already has the shape of the result. */
const unrepeated: Rewrite = ([a, b], node) => {
  const [out] = node.outputs;
  const names = node.inputNames ?? ['a', 'b'];
  if (sameShape(b.shape, out.shape)) {
    const bare = source(a);
    if (bare !== a) return instead(node.kernel, { [names[0]]: bare, [names[1]]: b }, node.attrs, node);
  }
  if (sameShape(a.shape, out.shape)) {
    const bare = source(b);
    if (bare !== b) return instead(node.kernel, { [names[0]]: a, [names[1]]: bare }, node.attrs, node);
  }
  return undefined;
};

const negated: Rewrite = ([x]) => (x.node.kernel === 'Neg' ? x.node.inputs[0] : undefined);

/** a + (-b) and (-a) + b are differences. */
const sumOfNegative: Rewrite = ([a, b], node) => {
  if (b.node.kernel === 'Neg') return instead('Sub', { a, b: b.node.inputs[0] }, {}, node);
  if (a.node.kernel === 'Neg') return instead('Sub', { a: b, b: a.node.inputs[0] }, {}, node);
  return undefined;
};

const differenceOfNegative: Rewrite = ([a, b], node) => {
  if (b.node.kernel === 'Neg') return instead('Add', { a, b: b.node.inputs[0] }, {}, node);
  return splatOf(a) === 0 && keeps(b, node.outputs[0]) ? instead('Neg', { x: b }, {}, node) : undefined;
};

/** A constant of one value and the other factor, whichever side it is on. */
function scaling([a, b]: readonly Value[]): { x: Value; c: number } | undefined {
  const left = splatOf(a);
  if (left !== undefined) return { x: b, c: left };
  const right = splatOf(b);
  return right === undefined ? undefined : { x: a, c: right };
}

/** (x c) d = x (c d), and -1 x = -x. */
const product: Rewrite = (inputs, node) => {
  const [out] = node.outputs;
  const outer = scaling(inputs);
  if (outer === undefined || out.dtype !== 'float32' || !keeps(outer.x, out)) return undefined;
  if (outer.c === -1) return instead('Neg', { x: outer.x }, {}, node);
  if (outer.x.node.kernel === 'Neg') return times(outer.x.node.inputs[0], -outer.c, node);
  if (outer.x.node.kernel !== 'Multiply') return undefined;
  const inner = scaling(outer.x.node.inputs);
  return inner !== undefined && keeps(inner.x, out) ? times(inner.x, inner.c * outer.c, node) : undefined;
};

const times = (x: Value, c: number, node: Node): Value =>
  instead('Multiply', { a: x, b: splat(c, { shape: [], dtype: 'float32' }, node.scope) }, {}, node);

const power: Rewrite = ([x, exponent], node) => {
  const [out] = node.outputs;
  const n = splatOf(exponent);
  if (n === undefined || !keeps(x, out)) return undefined;
  if (n === 1) return x;
  return n === 2 ? instead('Square', { x }, {}, node) : undefined;
};

/** The transposition of an operand's two last axes is an attribute of the product. */
const matMul: Rewrite = ([a, b], node) => {
  const plain = (x: Value): Value | undefined => {
    if (x.node.kernel !== 'Transpose') return undefined;
    const perm = permOf(x.node);
    const n = perm.length;
    const swapsLast = n >= 2 && perm.every((p, i) => p === (i === n - 1 ? n - 2 : i === n - 2 ? n - 1 : i));
    return swapsLast ? x.node.inputs[0] : undefined;
  };
  const [innerA, innerB] = [plain(a), plain(b)];
  if (innerA === undefined && innerB === undefined) return undefined;
  const attrs = {
    transposeA: (node.attrs.transposeA === true) !== (innerA !== undefined),
    transposeB: (node.attrs.transposeB === true) !== (innerB !== undefined),
  };
  return instead('BatchMatMul', { a: innerA ?? a, b: innerB ?? b }, attrs, node);
};

const castOfConstant: Rewrite = ([x], node) =>
  x.dtype === 'bool' || x.dtype === 'complex64' || node.outputs[0].dtype !== 'float32'
    ? undefined
    : rearranged([x], node);

const noChange =
  (name: string, neutral: unknown): Rewrite =>
  ([x], { attrs }) =>
    (attrs[name] as unknown[]).flat().every((v) => v === neutral) ? x : undefined;

const BROADCASTING = 'Maximum Minimum SquaredDifference Mod Atan2 Greater GreaterEqual Less LessEqual Equal NotEqual';

export const REWRITES: ReadonlyMap<string, Rewrite> = new Map<string, Rewrite>([
  ...BROADCASTING.split(' ').map((kernel): [string, Rewrite] => [kernel, unrepeated]),
  ['Identity', alias],
  ['Cast', first(alias, castOfConstant)],
  ['Reshape', first(alias, rearranged, reshape)],
  ['ExpandDims', first(rearranged, asReshape)],
  ['Transpose', first(rearranged, transpose)],
  ['Tile', first(noChange('reps', 1), rearranged)],
  ['Slice', first(alias, rearranged, pieceOfConcat)],
  ['PadV2', noChange('paddings', 0)],
  ['Concat', first(alias, wholeAgain)],
  ['Reverse', rearranged],
  ['ZerosLike', filled(() => 0)],
  ['OnesLike', filled(() => 1)],
  ['Fill', filled(({ attrs }) => attrs.value)],
  ['Sum', first(overNothing, sumOfSplat)],
  ['Mean', overNothing],
  ['Max', overNothing],
  ['Min', overNothing],
  ['Neg', first(folded((x) => -x), negated)],
  ['Square', folded((x) => x * x)],
  ['Pow', first(power, unrepeated)],
  ['Add', first(arithmetic((a, b) => a + b, 0, 'both'), sumOfNegative, unrepeated)],
  ['Sub', first(arithmetic((a, b) => a - b, 0, 'right'), differenceOfNegative, unrepeated)],
  ['Multiply', first(arithmetic((a, b) => a * b, 1, 'both'), product, unrepeated)],
  ['RealDiv', first(arithmetic((a, b) => a / b, 1, 'right'), unrepeated)],
  ['BatchMatMul', matMul],
]); // prettier-ignore
