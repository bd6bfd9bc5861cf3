/**
 * Elementwise operations of sizes known only at run time, with broadcasting that two nested loops can say.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { elementwiseTerm, kindOf } from '../elementwise.js';
import { bytesOfKind, load, store, type Kind } from '../emit/access.js';
import { i32, i32mul, localExpr, type Body, type Expr } from '../emit/assembler.js';
import type { Lanes } from '../emit/lanes.js';
import { emitTerm, isHeavy, loadLeaf, type Term } from '../emit/terms.js';
import type { NullclineBackend } from '../backend.js';
import { CodeCache, lanesOf, sameShape, sizeOf, type Call, type EagerKernel } from './eager.js';
import { bump, i32and, i32eq, i32shr, link, repeat, variable, type Code } from './link.js';

const DTYPES = { float: 'float32', int: 'int32', bool: 'bool' } as const;

const named = (names: string, kernels: string): [string, readonly string[]][] =>
  kernels.split(' ').map((kernel) => [kernel, names.split(' ')]);

/** The names of the operands, in the order in which the rules of the terms take them. */
export const ELEMENTWISE: ReadonlyMap<string, readonly string[]> = new Map([
  ...named('x', 'Abs Exp Expm1 Log Log1p Tanh Sigmoid Softplus Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh'),
  ...named('x', 'Sqrt Rsqrt Floor Ceil Round Neg Square Reciprocal Sign Relu Relu6 Elu Selu LeakyRelu Step ClipByValue'),
  ...named('x', 'IsNan IsInf IsFinite LogicalNot Cast'),
  ...named('a b', 'Add Sub Multiply RealDiv Maximum Minimum SquaredDifference Pow Atan2 FloorDiv Mod BitwiseAnd'),
  ...named('a b', 'Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr'),
  ...named('x alpha', 'Prelu'),
  ...named('dy y', 'EluGrad'),
  ...named('condition t e', 'Select'),
]); // prettier-ignore

interface Compiled {
  readonly dtype: tf.DataType;
  readonly run: Code;
}

/** One vector after the other, the blocks being padded to whole vectors: out, operands, vectors. */
export function writeFlat(b: Body, L: Lanes, term: Term, kinds: readonly Kind[], repeated: readonly boolean[]): void {
  const fixed = kinds.map((kind, i) => repeated[i] ? b.vector(load(L, kind, localExpr(i + 1), 0, { count: L.count, stride: 0 })) : undefined); // prettier-ignore
  const lanes = { count: L.count, stride: 1 };
  const vectors = (count: number): void => {
    for (let k = 0; k < count; k++) {
      const at = (kind: Kind): number => k * L.count * bytesOfKind(L, kind);
      const value = emitTerm(b, L, term, (i) => fixed[i] ?? load(L, kinds[i], localExpr(i + 1), at(kinds[i]), lanes));
      store(b, L, term.kind, localExpr(0), at(term.kind), lanes, value);
    }
    [term.kind, ...kinds].forEach((kind, i) => {
      if (i === 0 || !repeated[i - 1]) bump(b, i, i32(count * L.count * bytesOfKind(L, kind)));
    });
  };
  const n = localExpr(kinds.length + 1);
  if (isHeavy(term)) {
    repeat(b, n, () => { vectors(1); }); // prettier-ignore
    return;
  }
  repeat(b, i32shr(n, 2), () => { vectors(4); }); // prettier-ignore
  repeat(b, i32and(n, i32(3)), () => { vectors(1); }); // prettier-ignore
}

/** Row after row: out, operands, rows, columns, and the bytes between the rows of each operand. */
function writeRows(b: Body, L: Lanes, term: Term, kinds: readonly Kind[], repeated: readonly boolean[]): void {
  const rows = kinds.length + 1;
  const columns = localExpr(rows + 1);
  const all: readonly Kind[] = [term.kind, ...kinds];
  const vectors = variable(b, i32shr(columns, L.count === 4 ? 2 : 1));
  const rest = variable(b, i32and(columns, i32(L.count - 1)));
  const moving = all.map((_, i) => variable(b, localExpr(i)));
  repeat(b, localExpr(rows), () => {
    all.forEach((_, i) => {
      b.set(moving[i], localExpr(i));
    });
    const fixed = kinds.map((kind, i) => repeated[i] ? b.vector(load(L, kind, localExpr(i + 1), 0, { count: L.count, stride: 0 })) : undefined); // prettier-ignore
    const part = (count: number): void => {
      const lanes = { count, stride: 1 };
      const value = emitTerm(b, L, term, (i) => fixed[i] ?? load(L, kinds[i], localExpr(moving[i + 1]), 0, lanes));
      store(b, L, term.kind, localExpr(moving[0]), 0, lanes, value);
    };
    repeat(b, localExpr(vectors), () => {
      part(L.count);
      all.forEach((kind, i) => {
        if (i === 0 || !repeated[i - 1]) bump(b, moving[i], i32(L.count * bytesOfKind(L, kind)));
      });
    });
    for (let left = 1; left < L.count; left++) {
      b.when(i32eq(localExpr(rest), i32(left)), () => {
        part(left);
      });
    }
    all.forEach((kind, i) => {
      const by: Expr = i === 0 ? i32mul(columns, i32(bytesOfKind(L, kind))) : localExpr(rows + 1 + i);
      bump(b, i, by);
    });
  });
}

function outShape(inputs: readonly tf.TensorInfo[]): number[] | undefined {
  let shape = inputs[0].shape;
  for (let k = 1; k < inputs.length; k++) {
    const other = inputs[k].shape;
    if (sameShape(shape, other)) continue;
    const rank = Math.max(shape.length, other.length);
    const joined = new Array<number>(rank);
    for (let i = 0; i < rank; i++) {
      const a = shape[shape.length - rank + i] ?? 1;
      const b = other[other.length - rank + i] ?? 1;
      if (a !== b && a !== 1 && b !== 1) return undefined;
      joined[i] = a === 1 ? b : a;
    }
    shape = joined;
  }
  return shape;
}

interface Rows {
  readonly rows: number;
  readonly columns: number;
  /** In elements, of each operand: from row to row, and along a row (0 or 1). */
  readonly strides: readonly (readonly [number, number])[];
}

/** Broadcasting as two loops, where axes that run on together make it so. */
function asRows(inputs: readonly tf.TensorInfo[], shape: readonly number[]): Rows | undefined {
  const count = inputs.length;
  let [columns, rows, loops] = [1, 1, 0];
  const strides: [number, number][] = [];
  const next: number[] = [];
  for (let k = 0; k < count; k++) {
    strides.push([0, 0]);
    next.push(1);
  }
  const here: number[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis];
    if (size === 1) continue;
    let joins = loops > 0;
    for (let k = 0; k < count; k++) {
      const s = inputs[k].shape;
      const at = axis - shape.length + s.length;
      const n = at < 0 ? 1 : s[at];
      here[k] = n === 1 ? 0 : next[k];
      next[k] *= n;
      if (joins) joins = here[k] === (loops === 1 ? strides[k][1] * columns : strides[k][0] * rows);
    }
    if (!joins) {
      if (loops === 2) return undefined;
      for (let k = 0; k < count; k++) strides[k][loops === 0 ? 1 : 0] = here[k];
      loops++;
    }
    if (loops === 1) columns *= size;
    else rows *= size;
  }
  return { rows, columns, strides };
}

/** The attributes that a term depends on. */
const ATTRIBUTES: Readonly<Record<string, (attrs: Call['attrs']) => string>> = {
  Cast: ({ dtype }) => dtype as string,
  LeakyRelu: ({ alpha }) => String(alpha),
  Step: ({ alpha }) => String(alpha),
  ClipByValue: ({ clipValueMin, clipValueMax }) => `${String(clipValueMin)} ${String(clipValueMax)}`,
};

const KIND_CODES: Readonly<Record<string, number | undefined>> = { float32: 1, int32: 2, bool: 3 };

/** How operands lie: each a digit of a number, which is the key of the code, after one for the kind of loop. */
const SAME = 0;
const REPEATED = 1;
const FLAT = 1;
const ROWS = 2;

export function elementwiseKernel(name: string, names: readonly string[]): EagerKernel {
  const [first, second, third] = names as readonly [string, string | undefined, string | undefined];
  const attributesOf = ATTRIBUTES[name] as ((attrs: Call['attrs']) => string) | undefined;
  const plain = new CodeCache<number, Compiled | null>();
  const special = new Map<string, CodeCache<number, Compiled | null>>();
  const isSelect = name === 'Select';

  const cacheFor = (attrs: Call['attrs']): CodeCache<number, Compiled | null> => {
    if (attributesOf === undefined) return plain;
    const key = attributesOf(attrs);
    let cache = special.get(key);
    if (cache === undefined) {
      if (special.size >= MOST_ATTRIBUTES) special.clear();
      special.set(key, (cache = new CodeCache()));
    }
    return cache;
  };

  const compile = (
    backend: NullclineBackend,
    kinds: readonly Kind[],
    repeated: readonly boolean[],
    attrs: Call['attrs'],
    isFlat: boolean,
  ): Compiled | null => {
    const L = lanesOf(backend);
    const alike = isSelect ? kinds[1] === kinds[2] : kinds.every((k) => k === kinds[0]);
    const term = alike ? elementwiseTerm(name, kinds.map((kind, i) => loadLeaf(kind, i)), attrs) : undefined; // prettier-ignore
    if (term === undefined || term.op === 'load') return null;
    const write = isFlat ? writeFlat : writeRows;
    const parameters = isFlat ? kinds.length + 2 : 2 * kinds.length + 3;
    const run = link(backend.heap, parameters, (b) => { write(b, L, term, kinds, repeated); }); // prettier-ignore
    return { dtype: DTYPES[term.kind], run };
  };

  return ({ backend, inputs, attrs }) => {
    const x = inputs[first];
    if (x === undefined) return undefined;
    const kx = KIND_CODES[x.dtype];
    if (kx === undefined) return undefined;
    const xSize = sizeOf(x.shape);
    const cache = cacheFor(attrs);
    const count = backend.precision === 32 ? 4 : 2;
    if (second === undefined) {
      if (xSize === 0) return undefined;
      const code = cache.get(backend, kx, () => compile(backend, [kindOf(x.dtype) ?? 'float'], [false], attrs, true));
      if (code === null) return undefined;
      const from = backend.pointerOf(x.dataId, x.dtype);
      const out = backend.allocateFor(xSize, code.dtype);
      code.run(out, from, Math.ceil(xSize / count));
      return backend.adopt(out, x.shape, code.dtype);
    }
    const y = inputs[second];
    const z = third === undefined ? undefined : inputs[third];
    if (y === undefined || (third !== undefined && z === undefined)) return undefined;
    const ky = KIND_CODES[y.dtype];
    const kz = z === undefined ? 0 : KIND_CODES[z.dtype];
    if (ky === undefined || kz === undefined) return undefined;
    // An old form of select: a mask of one axis chooses rows.
    if (isSelect && x.shape.length !== y.shape.length) return undefined;
    if (z === undefined && !isSelect && sameShape(x.shape, y.shape)) {
      // By far the most frequent: without the lists that broadcasting needs.
      if (xSize === 0) return undefined;
      const flat = keyOf(kx, ky, 0, SAME, SAME, SAME, FLAT);
      const code = cache.get(backend, flat, () => compile(backend, kindsOf([x, y]), [false, false], attrs, true));
      if (code === null) return undefined;
      const [left, right] = [backend.pointerOf(x.dataId, x.dtype), backend.pointerOf(y.dataId, y.dtype)];
      const to = backend.allocateFor(xSize, code.dtype);
      code.run(to, left, right, Math.ceil(xSize / count));
      return backend.adopt(to, x.shape, code.dtype);
    }
    const given = z === undefined ? [x, y] : [x, y, z];
    const shape = outShape(given);
    if (shape === undefined) return undefined;
    const size = sizeOf(shape);
    if (size === 0) return undefined;
    const [px, py, pz] = [patternOf(xSize, size), patternOf(sizeOf(y.shape), size), z === undefined ? SAME : patternOf(sizeOf(z.shape), size)]; // prettier-ignore
    const isFlat = px >= 0 && py >= 0 && pz >= 0;
    const rows = isFlat ? undefined : asRows(given, shape);
    if (!isFlat && rows === undefined) return undefined;
    const along = rows?.strides.map(([, stride]) => 1 - stride) ?? [px, py, pz];
    const key = keyOf(kx, ky, kz, along[0], along[1], along.at(2) ?? SAME, isFlat ? FLAT : ROWS);
    const repeated = given.map((_, i) => along[i] === REPEATED);
    const code = cache.get(backend, key, () => compile(backend, kindsOf(given), repeated, attrs, isFlat));
    if (code === null) return undefined;
    const { dtype, run } = code;
    const [fx, fy] = [backend.pointerOf(x.dataId, x.dtype), backend.pointerOf(y.dataId, y.dtype)];
    const fz = z === undefined ? 0 : backend.pointerOf(z.dataId, z.dtype);
    const out = backend.allocateFor(size, dtype);
    if (rows === undefined) {
      const vectors = Math.ceil(size / count);
      if (z === undefined) run(out, fx, fy, vectors);
      else run(out, fx, fy, fz, vectors);
    } else {
      // Written out: a call with a spread list is several times slower.
      const { rows: n, columns, strides } = rows;
      const sx = strides[0][0] * bytesOf(backend, kx);
      const sy = strides[1][0] * bytesOf(backend, ky);
      if (z === undefined) run(out, fx, fy, n, columns, sx, sy);
      else run(out, fx, fy, fz, n, columns, sx, sy, strides[2][0] * bytesOf(backend, kz));
    }
    return backend.adopt(out, shape, dtype);
  };
}

const bytesOf = ({ precision }: NullclineBackend, code: number): number => (code === 1 ? precision / 8 : code === 2 ? 4 : 1); // prettier-ignore

/** Programs for different limits of a clip and the like that are kept. */
const MOST_ATTRIBUTES = 64;

const keyOf = (kx: number, ky: number, kz: number, px: number, py: number, pz: number, loop: number): number =>
  (((((kx * 4 + ky) * 4 + kz) * 2 + px) * 2 + py) * 2 + pz) * 4 + loop;

const kindsOf = (inputs: readonly tf.TensorInfo[]): Kind[] => inputs.map(({ dtype }) => kindOf(dtype) ?? 'float');

const patternOf = (n: number, size: number): number => (n === size ? SAME : n === 1 ? REPEATED : -1);
