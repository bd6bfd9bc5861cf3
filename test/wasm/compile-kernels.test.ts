import '../support/backend.js';
import '../../src/index.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { interpreter } from '../../src/graph/interpret.js';
import type { Spec } from '../../src/graph/graph.js';
import { expectClose } from '../support/close.js';
import { compiledBackend, contextOf, randomValues, repeatable, runOn, trace, type Traced } from './compile-support.js';

const F = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });
const I = (...shape: number[]): Spec => ({ shape, dtype: 'int32' });
const B = (...shape: number[]): Spec => ({ shape, dtype: 'bool' });

interface Case {
  readonly what: string;
  readonly specs: readonly Spec[];
  readonly f: (...xs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];
}

const cases: Case[] = [];
const add = (what: string, specs: readonly Spec[], f: Case['f']): void => void cases.push({ what, specs, f });

for (const [a, b] of [
  [[5, 7], [7]],
  [
    [5, 7],
    [5, 1],
  ],
  [
    [5, 1],
    [1, 7],
  ],
  [
    [3, 1, 4],
    [2, 1],
  ],
  [[6], []],
  [
    [2, 3, 5],
    [2, 3, 5],
  ],
  [[1], [9]],
]) {
  // prettier-ignore
  add(`arithmetic of [${a.join()}] and [${b.join()}]`, [F(...a), F(...b)], (x, y) => [
    x.add(y), x.sub(y), x.mul(y), x.div(y), x.maximum(y), x.minimum(y), x.squaredDifference(y), x.floorDiv(y),
    x.tanh().mul(y).add(1).sub(y.exp()), x.greater(y), x.lessEqual(y), x.greater(y).cast('float32'),
  ]); // prettier-ignore
}

add('functions', [F(3, 7)], (x) => [
  x.abs(), x.abs().sqrt(), x.square(), x.floor(), x.ceil(), x.round(), x.sign(), x.relu(), x.relu6(), x.elu(), x.selu(),
  x.leakyRelu(0.3), x.step(0.3), x.clipByValue(-0.5, 0.5), x.sin(), x.cos(), x.tan(), x.atan(), x.sinh(), x.cosh(),
  x.asinh(), x.sigmoid(), x.softplus(), x.expm1(), x.abs().log(), x.abs().log1p(), x.abs().rsqrt(), x.reciprocal(),
  x.isNaN(), x.isFinite(), x.isInf(), tf.onesLike(x), tf.zerosLike(x), x.neg(), tf.prelu(x, x), x.log(),
]); // prettier-ignore
add('powers', [F(3, 7), F(3, 7)], (x, y) => [x.abs().pow(y), x.pow(2), x.pow(tf.scalar(3)), tf.atan2(x, y), x.mod(y)]);
add('integers', [I(3, 5), I(5)], (x, y) => [
  x.add(y), x.mul(y), x.sub(y).cast('float32'), x.greater(y), x.sum(), x.sum(0), x.max(1), x.min(), x.prod(1),
  tf.where(x.greater(y), x, y.broadcastTo([3, 5])), x.cast('bool'), x.cast('float32').exp(), x.neg(), x.abs(), x.equal(y),
]); // prettier-ignore
add('booleans', [B(3, 5), B(5)], (x, y) => [
  x.logicalAnd(y), x.logicalOr(y).logicalNot(), x.logicalXor(y), x.any(), x.all(0), x.any(1), x.cast('int32').sum(),
  x.sum(), x.equal(y), x.notEqual(y), x.cast('float32').mean(),
]); // prettier-ignore
add('choices', [F(3, 5), F(3, 5), B(3)], (x, y, m) => [
  tf.where(x.greater(y), x, y), tf.where(m.reshape([3, 1]), x, y), x.greater(0).logicalAnd(y.less(1)),
]); // prettier-ignore

for (const n of [1, 2, 3, 4, 5, 8, 9, 33, 100]) {
  add(`reductions of [${n}, 7]`, [F(n, 7)], (x) => [
    x.sum(), x.sum(0), x.sum(1), x.square().mean(), x.max(0), x.min(1), x.mean(1, true), x.max(), x.prod(1), x.exp().sum(1),
  ]); // prettier-ignore
}
add('reductions over some axes', [F(3, 5, 9)], (x) => [x.sum([0, 2]), x.sum(1, true), x.sum([1, 2]), x.max([0, 1])]);
add('softmax', [F(3, 5)], (x) => [tf.softmax(x), tf.logSoftmax(x), tf.logSumExp(x, 1)]);

for (const [m, k, n] of [
  [1, 2, 50],
  [1, 50, 2],
  [20, 2, 50],
  [20, 50, 2],
  [5, 1, 3],
  [3, 7, 1],
  [1, 1, 1],
  [7, 8, 9],
  [4, 4, 4],
  [33, 17, 29],
  [2, 50, 2],
  [2, 9, 1],
  [64, 33, 20],
]) {
  // prettier-ignore
  for (const [ta, tb] of [[false, false], [true, false], [false, true], [true, true]]) { // prettier-ignore
    const specs = [ta ? F(k, m) : F(m, k), tb ? F(n, k) : F(k, n)];
    add(`product ${m} ${k} ${n} ${ta} ${tb}`, specs, (x, y) => tf.matMul(x, y, ta, tb));
  }
}
add('a batch of products', [F(3, 4, 5), F(3, 5, 6)], (x, y) => [tf.matMul(x, y), tf.matMul(y, x, true, true)]);
add('products with stretched batches', [F(2, 3, 4, 5), F(5, 6)], (x, y) => tf.matMul(x, y));
add('a product of views', [F(6, 9), F(9, 4)], (x, y) => [
  tf.matMul(x.slice([1, 2], [4, 3]), y.slice([0, 1], [3, 3])), tf.matMul(tf.reverse(x, 1), y), tf.dot(x, y),
]); // prettier-ignore

add('transposition', [F(5, 7)], (x) => [x.transpose(), x.transpose().add(1), x.transpose().reshape([35]), x.transpose().sum(0)]); // prettier-ignore
add('transposition of three axes', [F(2, 3, 4)], (x) => [x.transpose([2, 0, 1]), x.transpose([1, 0, 2]), x.transpose([0, 2, 1]).exp()]); // prettier-ignore
add('slices', [F(5, 7)], (x) => [x.slice([1, 2], [2, 3]), x.slice([1, 2], [2, 3]).exp(), x.slice([1, 2], [2, 3]).sum(0), x.slice([2], [-1])]); // prettier-ignore
// Large enough to go in strips, whole ones and with a rest.
for (const [rows, columns] of [
  [64, 64],
  [70, 61],
  [300, 17],
  [17, 300],
]) {
  const turned = (x: tf.Tensor): tf.Tensor => x.slice([1, 2], [rows - 3, columns - 2]).transpose();
  add(`transposition of ${rows} by ${columns}`, [F(rows, columns), I(rows, columns), B(rows, columns)], (x, y, z) => [x.transpose(), y.transpose(), z.transpose(), turned(x), tf.concat([turned(x), turned(x)], 1)]); // prettier-ignore
}
add('transposition of four large axes', [F(3, 20, 4, 25)], (x) => [[3, 2, 1, 0], [0, 2, 3, 1], [1, 3, 0, 2], [0, 3, 1, 2]].map((perm) => x.transpose(perm))); // prettier-ignore
add('concatenation', [F(5, 7), F(2, 7)], (x, y) => [tf.concat([x, y], 0), tf.concat([x.reshape([7, 5]), y.transpose()], 1), tf.concat([x, x.square()], -1)]); // prettier-ignore
add('stacks', [F(5, 7), F(5, 7)], (x, y) => [tf.stack([x, y]), tf.stack([x, y], 1), tf.stack([x, y], 2), ...tf.unstack(x, 1)]); // prettier-ignore
add('splits', [F(3, 6)], (x) => [...tf.split(x, 3, 1), ...tf.split(x, [1, 2], 0)]);
add('padding and repetition', [F(3, 5)], (x) => [
  tf.pad(x, [[1, 2], [0, 3]], 7), tf.reverse(x, 1), tf.reverse(x), tf.reverse(x).exp(), tf.tile(x, [2, 3]), x.expandDims(1),
  tf.fill([2, 2], 3).add(x.slice([0, 0], [2, 2])),
]); // prettier-ignore
add('integers and booleans that move', [I(3, 5), B(3, 5)], (x, y) => [x.transpose(), y.transpose(), tf.reverse(y), tf.concat([x, x], 1), tf.tile(y, [1, 2])]); // prettier-ignore
add('kernels that the host runs', [F(3, 5)], (x) => [tf.topk(x, 2).values.add(1), tf.topk(x.exp(), 3).indices, tf.topk(x, 1).values.sum()]); // prettier-ignore
add('results that are inputs, constants and each other', [F(3, 5)], (x) => {
  const y = x.exp();
  return [x, y, y, x.reshape([15]), tf.scalar(3), tf.tensor1d([1, 2, 3]), y.reshape([5, 3])];
});
add('nothing', [F(0, 5), F(5, 3)], (x, y) => [x.add(1), x.sum(1), tf.concat([x, y.transpose()], 0)]);
add('the gradient of a small network', [F(20, 2), F(2, 50), F(50), F(50, 2)], (...xs) =>
  tf.grads((x, w, b, v) =>
    tf
      .matMul(tf.tanh(tf.matMul(x.pow(3), w).add(b)), v)
      .square()
      .mean(),
  )(xs),
);

describe('compiled kernels', () => {
  for (const { what, specs, f } of cases) {
    const traced: Traced = (xs) => f(...xs);
    it(`${what}, float32`, () => {
      compiledBackend('nullcline');
      const graph = trace(traced, specs);
      const random = repeatable(7);
      const inputs = specs.map((s) => randomValues(s, random, false));
      const expected = runOn(graph, inputs, 'cpu');
      runOn(graph, inputs, 'nullcline').forEach((y, i) => {
        expectClose(y, expected[i], { rtol: 1e-5, atol: 1e-5 }, `${what}, output ${i}`);
      });
    });
    it(`${what}, float64`, () => {
      const backend = compiledBackend('nullcline64');
      const graph = trace(traced, specs);
      const random = repeatable(8);
      const inputs = specs.map((s) => randomValues(s, random, true));
      // The cpu backend's kernels, one by one, storing doubles.
      const oneByOne = interpreter.prepare(graph, backend, 'nullcline64');
      const expected = runOn(graph, inputs, 'nullcline64', oneByOne);
      runOn(graph, inputs, 'nullcline64').forEach((y, i) => {
        expectClose(y, expected[i], { rtol: 1e-12, atol: 1e-12 }, `${what}, output ${i}`);
      });
      oneByOne.dispose();
    });
  }

  it('gives back all memory', () => {
    const backend = compiledBackend('nullcline');
    const graph = trace(([x]) => [tf.topk(tf.matMul(x, x), 2).values, x.add(tf.tensor1d([1, 2, 3]))], [F(3, 3)]);
    const random = repeatable(9);
    const inputs = [randomValues(F(3, 3), random, false)];
    runOn(graph, inputs, 'nullcline');
    const before = { bytes: backend.heap.bytesInUse, ids: backend.numDataIds() };
    for (let i = 0; i < 20; i++) runOn(graph, inputs, 'nullcline');
    expect({ bytes: backend.heap.bytesInUse, ids: backend.numDataIds() }).to.deep.equal(before);
  });

  it('hands an input through as the same memory', () => {
    const backend = compiledBackend('nullcline');
    const graph = trace(([x]) => [x.reshape([9]), x.exp()], [F(3, 3)]);
    expect(runOn(graph, [new Float32Array(9).fill(1)], 'nullcline')[1][0]).to.be.closeTo(Math.E, 1e-6);
    expect(contextOf(backend, 'nullcline').backend).to.equal(backend);
  });
});
