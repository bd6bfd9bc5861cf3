import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { SOURCES } from '../../src/graph/graph.js';
import { Program } from '../../src/graph/program.js';
import { simplify } from '../../src/graph/simplify.js';
import { traceGraph } from '../../src/graph/trace.js';
import { grad, valueAndGrad } from '../../src/graph/transform.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

type Tensor = tf.Tensor;

/** A small generator with a seed: the same programs at every run. */
function generator(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

/** Each makes [2, 3] out of [2, 3] values, and between them they give every rewriting rule something to bite on. */
const STEPS: readonly ((a: Tensor, b: Tensor, c: number) => Tensor)[] = [
  (a, b) => tf.add(a, b),
  (a, b) => tf.sub(a, b),
  (a, b) => tf.mul(a, b),
  (a, b) => tf.div(a, tf.add(tf.square(b), 1)),
  (a, _, c) => tf.mul(a, c),
  (a, _, c) => tf.mul(c, tf.mul(a, 0.5)),
  (a, _, c) => tf.add(a, c),
  (a) => tf.neg(a),
  (a, b) => tf.add(tf.neg(a), b),
  (a, b) => tf.sub(a, tf.neg(b)),
  (a) => tf.sub(tf.zerosLike(a), a),
  (a) => tf.mul(tf.onesLike(a), a),
  (a) => tf.mul(a, tf.fill([2, 3], -1)),
  (a) => tf.add(a, tf.zeros([2, 3])),
  (a) => tf.tanh(a),
  (a) => tf.pow(tf.tanh(a), 2),
  (a) => tf.pow(a, 1),
  (a) => tf.reshape(tf.reshape(a, [6]), [2, 3]),
  (a) => tf.transpose(tf.transpose(a)),
  (a) => tf.squeeze(tf.transpose(tf.expandDims(a, 1), [0, 2, 1])),
  (a, b) => tf.add(tf.sum(a, 0, true), b),
  (a, b) => tf.mul(tf.tile(tf.mean(a, 1, true), [1, 3]), b),
  (a, b) => tf.maximum(tf.broadcastTo(tf.max(a), [2, 3]), b),
  (a, b) => tf.matMul(tf.matMul(tf.tanh(a), tf.transpose(tf.tanh(b))), a),
  (a, b) => tf.slice(tf.concat([a, b], 1), [0, 3], [2, 3]),
  (a) => tf.concat(tf.split(a, [1, 2], 1), 1),
  (a, b) => tf.unstack(tf.stack([a, b]))[1],
  (a) => tf.clone(tf.reverse(a, 1)),
  (a, b) => tf.where(tf.greater(a, b), a, tf.zerosLike(b)),
  (a) => tf.pad(tf.slice(a, [0, 1], [2, 1]), [[0, 0], [1, 1]]), // prettier-ignore
  (a) => tf.cast(tf.cast(a, 'float32'), 'float32'),
  (a) => tf.reshape(tf.sum(tf.reshape(a, [2, 1, 3]), 1), [2, 3]),
];

function program(seed: number): (x: Tensor, y: Tensor) => Tensor {
  return (x, y) => {
    const next = generator(seed);
    const values = [x, y];
    for (let i = 0; i < 12; i++) {
      const pick = (): Tensor => values[values.length - 1 - next(Math.min(values.length, 4))];
      // Kept near 1, so that long products stay comparable.
      values.push(tf.clipByValue(STEPS[next(STEPS.length)](pick(), pick(), next(5) - 2), -3, 3));
    }
    return values.slice(-3).reduce((a, b) => tf.add(a, b));
  };
}

const inputs = (): [Tensor, Tensor] => [
  tf.tensor2d([0.3, -0.8, 1.1, 0.55, -1.4, 0.9], [2, 3]),
  tf.tensor2d([-0.6, 0.2, 0.75, -1.2, 0.45, 1.3], [2, 3]),
];

const kernelsOf = (f: (...xs: Tensor[]) => readonly Tensor[], ...shapes: number[][]): string[] => {
  const specs = shapes.map((shape) => ({ shape, dtype: 'float32' as const }));
  const graph = simplify(traceGraph(specs, (xs) => f(...xs)));
  return graph.nodes.map(({ kernel }) => kernel).filter((kernel) => !SOURCES.has(kernel));
};

describe('simplification', () => {
  it('keeps the values of two hundred random programs', () => {
    for (let seed = 1; seed <= 200; seed++) {
      tf.tidy(() => {
        const f = program(seed);
        const xs = inputs();
        const close = { rtol: tolerance({ float32: 1e-4, float64: 1e-12 }), atol: tolerance({ float32: 1e-5, float64: 1e-13 }) }; // prettier-ignore
        expectClose(compile(f)(...xs), f(...xs), close, `program ${seed}`);
      });
    }
  });

  it('keeps their gradients, which tfjs finds without it', () => {
    let compared = 0;
    for (let seed = 1; seed <= 100; seed++) {
      tf.tidy(() => {
        const f = program(seed);
        const loss = (x: Tensor): Tensor => tf.sum(f(x, inputs()[1]));
        let truth: Tensor;
        try {
          truth = tf.grad(loss)(inputs()[0]);
        } catch {
          return; // tfjs has no gradient for comparisons or for results that do not depend on x
        }
        compared++;
        const close = { rtol: tolerance({ float32: 1e-3, float64: 1e-10 }), atol: tolerance({ float32: 1e-4, float64: 1e-11 }) }; // prettier-ignore
        expectClose(grad(loss)(inputs()[0]), truth, close, `program ${seed}`);
      });
    }
    expect(compared).to.be.greaterThan(50);
  });

  const REWRITTEN: readonly [what: string, f: (...xs: Tensor[]) => readonly Tensor[], kernels: string[]][] = [
    ['nothing but the input', (x) => [tf.clone(tf.add(tf.mul(x, 1), 0))], []],
    ['dead operations', (x, y) => (tf.exp(y), [tf.neg(x)]), ['Neg']],
    ['equal operations', (x) => [tf.add(tf.exp(x), tf.exp(x))], ['Exp', 'Add']],
    ['scalings', (x) => [tf.mul(3, tf.mul(tf.neg(x), 2))], ['Multiply']],
    ['negations', (x, y) => [tf.add(x, tf.neg(tf.neg(tf.neg(y))))], ['Sub']],
    ['constants', (x) => [tf.add(x, tf.sum(tf.square(tf.fill([4], 3))))], ['Add']],
    ['repetitions', (x, y) => [tf.mul(tf.tile(tf.sum(x, 0, true), [2, 1]), y)], ['Sum', 'Multiply']],
    ['a transposed factor', (x, y) => [tf.matMul(x, tf.transpose(y))], ['BatchMatMul']],
    ['views of views', (x) => [tf.expandDims(tf.reshape(tf.squeeze(tf.expandDims(x, 2)), [3, 2]), 0)], ['Reshape']],
    ['transpositions that move nothing', (x) => [tf.transpose(tf.reshape(x, [1, 6]))], ['Reshape']],
    ['parts of a concatenation', (x, y) => tf.split(tf.concat([x, y], 0), [2, 2], 0), ['SplitV', 'Concat']],
    ['a slice of a concatenation', (x, y) => [tf.slice(tf.concat([x, y], 0), [2, 0], [2, 3])], []],
    ['small powers', (x) => [tf.pow(x, 2)], ['Square']],
    ['sums over nothing', (x) => [tf.sum(tf.reshape(x, [2, 1, 3]), 1)], []],
  ];
  for (const [what, f, kernels] of REWRITTEN) {
    it(`of ${what} leaves ${kernels.length === 0 ? 'nothing' : kernels.join(', ')}`, () => {
      expect(kernelsOf(f, [2, 3], [2, 3]).sort()).to.deep.equal([...kernels].sort());
    });
  }

  it('leaves 16 kernels of the value and gradient of a small network', () => {
    const loss = (w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, x: Tensor): Tensor =>
      tf.sum(tf.square(tf.add(tf.matMul(tf.tanh(tf.add(tf.matMul(x, w1), b1)), w2), b2)));
    const both = (...xs: Tensor[]): Tensor[] => {
      const { value, grad: g } = valueAndGrad(loss, { argnums: [0, 1, 2, 3] })(...(xs as Parameters<typeof loss>));
      return [value, ...(g as Tensor[])];
    };
    const kernels = kernelsOf(both, [2, 50], [50], [50, 2], [2], [20, 2]);
    const counts = Object.fromEntries([...new Set(kernels)].map((k) => [k, kernels.filter((l) => l === k).length]));
    expect(counts).to.deep.equal({
      ...{ BatchMatMul: 2, Add: 2, Tanh: 1, Square: 1, Sum: 1 }, // forward
      ...{ BatchMatMul: 5, Square: 2, Sub: 1, Multiply: 2, Sum: 3 }, // with backward
    });
  });

  it('of a linear function leaves no forward pass in its gradient', () => {
    expect(kernelsOf((x, y) => [grad((z: Tensor) => tf.sum(tf.matMul(z, y)))(x)], [2, 3], [3, 2])).to.deep.equal([
      'BatchMatMul',
    ]);
  });

  it('leaves out what inputs of zeros only would add', () => {
    const specs = [1, 2, 3].map(() => ({ shape: [2, 3], dtype: 'float32' as const }));
    const graph = simplify(
      traceGraph(specs, ([x, y, zero]) => [
        tf.add(tf.mul(x, y), tf.reshape(tf.slice(zero, [0, 0], [2, 3]), [2, 3])),
        tf.sub(tf.tanh(zero), y),
      ]),
    );
    const without = simplify(graph, [graph.inputs[2]]);
    expect(without.inputs).to.deep.equal(graph.inputs.slice(0, 2));
    expect(without.nodes.filter(({ kernel }) => kernel === 'Slice' || kernel === 'Add')).to.have.length(0);
    const [x, y] = [tf.randomUniform([2, 3], -1, 1, 'float32', 1), tf.randomUniform([2, 3], -1, 1, 'float32', 2)];
    const of = (g: typeof graph, ...inputs: Tensor[]): number[][] => new Program(g, true).run(inputs).map((t) => Array.from(t.dataSync())); // prettier-ignore
    expectClose(of(without, x, y), of(graph, x, y, tf.zeros([2, 3])), { rtol: 1e-6 });
  });
});
