import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { ModuleWriter } from '../../src/wasm/emit/assembler.js';
import { F32X4, F64X2, hasRelaxedSimd, type Lanes } from '../../src/wasm/emit/lanes.js';
import { matMulFunction, PANEL_ROWS, panelColumns, type MatMulSpec } from '../../src/wasm/emit/matmul.js';
import { apply, constant, loadLeaf } from '../../src/wasm/emit/terms.js';
import { wasmExecutor } from '../../src/wasm/executor.js';
import { simplify } from '../../src/graph/simplify.js';
import type { Spec } from '../../src/graph/graph.js';
import { Planner } from '../../src/wasm/plan.js';
import { expectClose } from '../support/close.js';
import { compiledBackend, randomValues, repeatable, runOn, trace } from './compile-support.js';

const Singles =
  (globalThis as { NativeFloat32Array?: Float32ArrayConstructor }).NativeFloat32Array ?? globalThis.Float32Array;

type Floats = Float32Array | Float64Array;

/** The product of a spec on its own memory: C's surroundings must stay as they were. */
function run(
  L: Lanes,
  spec: MatMulSpec,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  size: number,
  others: ArrayLike<number>[] = [],
) {
  // prettier-ignore
  const module = new ModuleWriter([]);
  module.export('f', matMulFunction(module, L, spec));
  const memory = new WebAssembly.Memory({ initial: 40 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { host: { memory } });
  const view: Floats = L.bits === 32 ? new Singles(memory.buffer) : new Float64Array(memory.buffer);
  let next = 16;
  const place = (values: ArrayLike<number>): number => {
    const at = next;
    view.set(values, at);
    next += values.length + 16;
    return at;
  };
  const c = place(new Array<number>(size).fill(-7));
  const pointers = [c, ...[a, b, ...others].map(place)].map((at) => at * L.bytes);
  const before = view.slice(c + size, next);
  (exports.f as (...p: number[]) => void)(...pointers);
  expect(Array.from(view.slice(c + size, next)), 'beyond C').to.deep.equal(Array.from(before));
  expect(Array.from(view.slice(0, 16)), 'before C').to.deep.equal(new Array<number>(16).fill(0));
  return Array.from(view.slice(c, c + size));
}

/** In doubles, one by one. */
function reference(
  { rows, inner, columns }: MatMulSpec,
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
) {
  // prettier-ignore
  return Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a(Math.floor(at / columns), k) * b(k, at % columns);
    return sum;
  });
}

/** `[inner, n]`, addressed by a function, in panels of that width. */
function inPanels(inner: number, n: number, width: number, at: (k: number, j: number) => number): number[] {
  const out: number[] = [];
  for (let j = 0; j < n; j += width) {
    const w = Math.min(width, n - j);
    for (let k = 0; k < inner; k++) for (let v = 0; v < w; v++) out.push(at(k, j + v));
  }
  return out;
}

const SIZES = [
  [1, 1, 1],
  [1, 64, 33],
  [2, 3, 2],
  [3, 5, 7],
  [4, 16, 8],
  [5, 17, 9],
  [7, 40, 13],
  [9, 2, 50],
  [20, 50, 2],
  [33, 31, 29],
  [65, 19, 18],
] as const;

for (const L of [F32X4, F64X2]) {
  const close = L.bits === 32 ? { rtol: 1e-5, atol: 1e-5 } : { rtol: 1e-13, atol: 1e-13 };
  describe(`matrix products of float${L.bits}`, () => {
    for (const [rows, inner, columns] of SIZES) {
      const random = repeatable(rows + 100 * inner + 10_000 * columns);
      const A = Array.from({ length: rows * inner }, () => random() - 0.5).map((x) => (L.bits === 32 ? Math.fround(x) : x)); // prettier-ignore
      const B = Array.from({ length: inner * columns }, () => random() - 0.5).map((x) => (L.bits === 32 ? Math.fround(x) : x)); // prettier-ignore
      const base = { rows, inner, columns, c: [columns, 1] as const };
      const n = rows * columns;
      for (const ta of [false, true])
        for (const tb of [false, true]) {
          it(`${rows} ${inner} ${columns}${ta ? ', A transposed' : ''}${tb ? ', B transposed' : ''}`, () => {
            const spec: MatMulSpec = { ...base, a: ta ? [1, rows] : [inner, 1], b: tb ? [1, inner] : [columns, 1] };
            const expected = reference(spec, (i, k) => A[i * spec.a[0] + k * spec.a[1]], (k, j) => B[k * spec.b[0] + j * spec.b[1]]); // prettier-ignore
            expectClose(run(L, spec, A, B, n), expected, close);
          });
        }

      it(`${rows} ${inner} ${columns} in panels, with a bias and a limit in the epilogue`, () => {
        const width = panelColumns(L.bytes);
        const a = (i: number, k: number): number => A[i * inner + k];
        const b = (k: number, j: number): number => B[k * columns + j];
        const bias = Array.from({ length: columns }, () => random() - 0.5);
        const scale = Array.from({ length: rows }, () => random());
        const sum = apply('float', 'add', loadLeaf('float', 0), loadLeaf('float', 1));
        const term = apply('float', 'mul', apply('float', 'pmax', sum, constant('float', 0)), loadLeaf('float', 2));
        const epilogue = { term, operands: [[0, 1] as const, [1, 0] as const] };
        const expected = reference({ ...base, a: [0, 0], b: [0, 0] }, a, b).map((x, at) => Math.max(0, x + bias[at % columns]) * scale[Math.floor(at / columns)]); // prettier-ignore
        const packedA = inPanels(inner, rows, PANEL_ROWS, (k, i) => a(i, k));
        const packedB = inPanels(inner, columns, width, b);
        for (const [aPanels, bPanels] of [
          [false, false],
          [true, false],
          [false, true],
          [true, true],
        ]) {
          // prettier-ignore
          if (aPanels && columns < L.count) continue; // the planner packs nothing for results that narrow
          const spec: MatMulSpec = { ...base, a: aPanels ? [0, 0] : [inner, 1], b: bPanels ? [0, 0] : [columns, 1], epilogue, ...(aPanels ? { aPanels } : {}), ...(bPanels ? { bPanels } : {}) }; // prettier-ignore
          const found = run(L, spec, aPanels ? packedA : A, bPanels ? packedB : B, n, [bias, scale]);
          expectClose(found, expected, close, `panels ${aPanels} ${bPanels}`);
        }
      });
    }

    it('leaves what lies between the rows of a part of a matrix alone', () => {
      const [rows, inner, columns, pitch] = [6, 5, 7, 11];
      const spec: MatMulSpec = { rows, inner, columns, a: [inner, 1], b: [columns, 1], c: [pitch, 1] };
      const ones = new Array<number>(100).fill(1);
      const found = run(L, spec, ones.slice(0, rows * inner), ones.slice(0, inner * columns), rows * pitch);
      found.forEach((x, at) => expect(x).to.equal(at % pitch < columns ? inner : -7));
    });

    it('goes through the rows in blocks when there are many', () => {
      const [rows, inner, columns] = [301, 300, 21];
      const random = repeatable(3);
      const A = Array.from({ length: rows * inner }, () => Math.round(4 * random() - 2));
      const B = Array.from({ length: inner * columns }, () => Math.round(4 * random() - 2));
      const spec: MatMulSpec = { rows, inner, columns, a: [0, 0], b: [0, 0], c: [columns, 1], aPanels: true, bPanels: true }; // prettier-ignore
      const expected = reference(spec, (i, k) => A[i * inner + k], (k, j) => B[k * columns + j]); // prettier-ignore
      const found = run(L, spec, inPanels(inner, rows, PANEL_ROWS, (k, i) => A[i * inner + k]), inPanels(inner, columns, panelColumns(L.bytes), (k, j) => B[k * columns + j]), rows * columns); // prettier-ignore
      expect(found).to.deep.equal(expected);
    });
  });
}

const F = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });

describe('products in programs', () => {
  const steps = (f: (...xs: tf.Tensor[]) => tf.Tensor | tf.Tensor[], specs: readonly Spec[]): string[] =>
    new Planner(simplify(trace((xs) => f(...xs), specs)), 4).plan().steps.map(({ type }) => type);

  it('are one step with their bias and their activation', () => {
    const layer = (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor): tf.Tensor => tf.relu(tf.add(tf.matMul(x, w), b));
    expect(steps(layer, [F(5, 8), F(8, 9), F(9)])).to.deep.equal(['matmul']);
    expect(steps((x, w, b) => layer(layer(x, w, b), w, b), [F(5, 8), F(8, 8), F(8)])).to.deep.equal([
      'matmul',
      'matmul',
    ]);
    // Read twice, they are stored.
    expect(steps((x, w, b) => { const p = tf.matMul(x, w); return [tf.relu(tf.add(p, b)), p]; }, [F(5, 8), F(8, 9), F(9)])).to.deep.equal(['matmul', 'nest']); // prettier-ignore
    expect(steps((x, w) => tf.tanh(tf.matMul(x, w)), [F(5, 8), F(8, 9)])).to.deep.equal(['matmul', 'nest']);
  });

  it('copy a right operand once for all of them, and one that lies well only where it is read often enough', () => {
    const products = (turned: boolean) => (...given: tf.Tensor[]) => given.slice(1).map((x) => tf.matMul(x, given[0], false, turned)); // prettier-ignore
    expect(steps(products(true), [F(16, 8), F(5, 8), F(6, 8)])).to.deep.equal(['nest', 'matmul', 'matmul']);
    const x = F(32, 64);
    expect(steps(products(false), [F(64, 256), x])).to.deep.equal(['matmul']);
    expect(steps(products(false), [F(64, 256), x, x])).to.deep.equal(['nest', 'matmul', 'matmul']);
    // Turned and as it is are two copies, and a product from the left is none of these.
    const both = (w: tf.Tensor, y: tf.Tensor): tf.Tensor[] => [tf.matMul(y, w), tf.matMul(y, w, false, true), tf.matMul(w, y)]; // prettier-ignore
    expect(steps(both, [F(128, 128), F(128, 128)])).to.have.members(['nest', 'nest', 'matmul', 'nest', 'matmul', 'matmul']); // prettier-ignore
  });

  const cases: readonly (readonly [string, (...xs: tf.Tensor[]) => tf.Tensor | tf.Tensor[], readonly Spec[]])[] = [
    [
      'several products of one right operand, in panels',
      (w, ...xs) => xs.flatMap((x) => [tf.matMul(x, w), tf.matMul(x, w, false, true)]),
      [F(128, 128), F(64, 128), F(65, 128), F(4, 128)],
    ],
    ['a few rows by a transposed matrix', (x, w) => tf.matMul(x, w, false, true), [F(5, 37), F(43, 37)]],
    ['a layer', (x, w, b) => tf.relu(tf.add(tf.matMul(x, w), b)), [F(13, 7), F(7, 19), F(19)]],
    ['a residual', (x, w, b) => tf.add(tf.mul(tf.matMul(x, w), 0.5), x).sub(b), [F(13, 7), F(7, 7), F(13, 1)]],
    ['the square of a product', (x, w) => tf.square(tf.matMul(x, w)), [F(5, 7), F(7, 6)]],
    ['two products', (x, w, v) => tf.add(tf.matMul(x, w), tf.matMul(x, v)), [F(5, 7), F(7, 6), F(7, 6)]],
    ['a product plus its transpose', (x, w) => { const p = tf.matMul(x, w); return tf.add(p, tf.transpose(p)); }, [F(6, 7), F(7, 6)]], // prettier-ignore
    ['narrow results', (x, w, b) => tf.relu(tf.add(tf.matMul(x, w), b)), [F(13, 17), F(17, 2), F(2)]],
    ['a narrow result of a transposed matrix', (x, w, b) => tf.relu(tf.add(tf.matMul(x, w, true), b)), [F(17, 13), F(17, 2), F(2)]], // prettier-ignore
    ['a column', (x, w, b) => tf.add(tf.matMul(x, w), b), [F(13, 17), F(17, 1), F(1)]],
    ['a row', (x, w, b) => tf.add(tf.matMul(x, w), b), [F(1, 17), F(17, 21), F(21)]],
    ['batches', (x, w, b) => tf.relu(tf.add(tf.matMul(x, w), b)), [F(3, 5, 7), F(3, 7, 6), F(6)]],
    ['stretched batches', (x, w) => tf.matMul(x, w, false, true), [F(2, 1, 40, 33), F(3, 50, 33)]],
    ['large transposed operands', (x, w, b) => tf.relu(tf.add(tf.matMul(x, w, true, true), b)), [F(260, 150), F(170, 260), F(170)]], // prettier-ignore
    ['large operands', (x, w) => tf.matMul(x, w), [F(190, 230), F(230, 175)]],
    ['batches of large operands', (x, w) => tf.matMul(x, w, false, true), [F(2, 190, 230), F(2, 175, 230)]],
    ['a fused kernel', (x, w, b) => tf.fused.matMul({ a: x, b: w, bias: b, activation: 'relu' }), [F(13, 7), F(7, 19), F(19)]], // prettier-ignore
    ['a fused kernel of transposed operands', (x, w, b) => tf.fused.matMul({ a: x, b: w, transposeA: true, transposeB: true, bias: b, activation: 'leakyrelu', leakyreluAlpha: 0.3 }), [F(7, 13), F(19, 7), F(19)]], // prettier-ignore
  ];
  for (const [what, f, specs] of cases) {
    for (const name of ['nullcline', 'nullcline64'] as const) {
      it(`${what} on ${name}`, function () {
        if (name === 'nullcline' && Float32Array.BYTES_PER_ELEMENT === 8) this.skip();
        const backend = compiledBackend(name);
        const graph = trace((xs) => f(...xs), specs);
        const random = repeatable(5);
        const inputs = specs.map((s) => randomValues(s, random, name === 'nullcline64'));
        const program = wasmExecutor.prepare(graph, backend, name);
        const found = runOn(graph, inputs, name, program);
        program.dispose();
        const expected = runOn(graph, inputs, 'cpu');
        found.forEach((y, i) => {
          expectClose(y, expected[i], { rtol: 1e-4, atol: 2e-4 }, what);
        });
      });
    }
  }

  it('use the relaxed multiply-add only where the engine has it', () => {
    const bytes: number[] = [];
    F32X4.mulAdd(() => undefined, () => undefined, () => undefined)({ simd: (code: number) => bytes.push(code) } as never); // prettier-ignore
    expect(bytes).to.deep.equal(hasRelaxedSimd ? [0x105] : [230, 228]);
  });

  it('copy a weight that several of them would read in leaps only once', () => {
    const [x, w] = [[20, 6], [50, 6]].map((shape): Spec => ({ shape, dtype: 'float32' })); // prettier-ignore
    const through = (y: tf.Tensor, v: tf.Tensor): tf.Tensor => tf.matMul(tf.tanh(tf.matMul(y, v, false, true)), v);
    const graph = simplify(trace(([y, v]) => through(through(through(y, v), v), v), [x, w]));
    const { steps } = new Planner(graph, 4).plan();
    const copies = steps.filter((step) => step.type === 'nest' && step.spec.term.op === 'load');
    const [first] = copies.flatMap((step) => (step.type === 'nest' ? step.views.slice(0, 1) : []));
    expect(new Set(copies.map((step) => (step.type === 'nest' ? step.views[0].buffer : undefined))).size).to.equal(1);
    const readers = steps.filter((step) => step.type === 'matmul' && step.views[2].buffer === first.buffer);
    expect(readers).to.have.length(3);
  });
});
