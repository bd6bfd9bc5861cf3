import '../support/backend.js';
import '../../src/index.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { gradients } from './compile-gradients.js';
import { B, checkCases, F, I, type Case } from './compile-cases.js';
import { compiledBackend, runOn, trace } from './compile-support.js';

const cases: Case[] = [];
const add = (what: string, specs: Case['specs'], f: Case['f'], given?: Case['given']): void => {
  cases.push({ what, specs, f, ...(given === undefined ? {} : { given }) });
};

const places = (n: number, below: number): number[] => Array.from({ length: n }, (_, i) => (i * 7 + 3) % below);

for (const [shape, indices, axis] of [
  [[9], [4], 0],
  [[5, 7], [6], 0],
  [[5, 7], [6], 1],
  [[5, 7], [2, 3], 0],
  [[3, 4, 33], [5], 1],
  [[3, 4, 5], [], 2],
] as const) {
  const n = indices.reduce((p, d) => p * d, 1);
  const given = { 1: places(n, (shape as readonly number[])[axis]) };
  const gather = (x: tf.Tensor, i: tf.Tensor): tf.Tensor => tf.gather(x, i, axis);
  add(`gather of [${shape.join()}] along ${axis} at [${indices.join()}]`, [F(...shape), I(...indices)], (x, i) => [gather(x, i), gather(x.exp().transpose().transpose(), i).add(1)], given); // prettier-ignore
  add(`gradient of it`, [F(...shape), I(...indices)], (x, i) => gradients((z) => gather(z, i), [x]), given);
}
add('gather in batches', [F(2, 3, 4), I(2, 5)], (x, i) => tf.gather(x, i, 1, 1), { 1: places(10, 3) });
add('gather of integers and booleans', [I(5, 3), B(5, 3), I(4)], (x, y, i) => [tf.gather(x, i), tf.gather(y, i, 0)], { 2: places(4, 5) }); // prettier-ignore
add('an embedding', [F(7, 6), I(3, 4)], (w, i) => gradients((v) => tf.gather(v, i as tf.Tensor2D).tanh(), [w]), { 1: places(12, 7) }); // prettier-ignore
add('gather and scatter at points', [F(4, 5, 3), I(6, 2), F(6, 3)], (x, i, u) => [
  tf.gatherND(x, i), tf.scatterND(i, u, [4, 5, 3]), tf.tensorScatterUpdate(x, i, u),
  ...gradients((z) => tf.gatherND(z, i), [x]), ...gradients((z) => tf.scatterND(i, z, [4, 5, 3]), [u]),
], { 1: [0, 1, 3, 4, 2, 2, 1, 0, 0, 0, 3, 1] }); // prettier-ignore
add('scatter that adds up', [I(5, 1), F(5), I(5)], (i, u, k) => [tf.scatterND(i, u, [4]), tf.scatterND(i, k, [4])], { 0: [1, 3, 1, 0, 1] }); // prettier-ignore
add('sums by segment', [F(6, 5), I(6)], (x, i) => [tf.unsortedSegmentSum(x as tf.Tensor2D, i as tf.Tensor1D, 4), ...gradients((z) => tf.unsortedSegmentSum(z as tf.Tensor2D, i as tf.Tensor1D, 4), [x])], { 1: [0, 3, 1, 1, 0, 3] }); // prettier-ignore
add('segments that do not exist', [F(6, 5), I(6)], (x, i) => tf.unsortedSegmentSum(x as tf.Tensor2D, i as tf.Tensor1D, 3), { 1: [0, 3, -1, 1, 1000000, -2147483648] }); // prettier-ignore
add('one hot', [I(2, 5)], (x) => [tf.oneHot(x, 4), tf.oneHot(x, 4, 2.5, -1), tf.oneHot(x, 4, 3, -1, 'int32'), tf.oneHot(x, 2)], { 0: [0, 1, 2, 3, 4, -1, 7, 3, 2, 0] }); // prettier-ignore
add('extreme places', [F(4, 7, 3), I(4, 7)], (x, y) => [
  tf.argMax(x, 1), tf.argMin(x, 0), tf.argMax(x, -1), tf.argMax(y, 1), tf.argMin(y, 0), tf.argMax(x.reshape([84])), tf.argMin(x.round(), 1), x.argMax(2).add(1),
]); // prettier-ignore
{
  const [q, i] = [NaN, Infinity];
  add(
    'extreme places among NaN and infinities',
    [F(8, 3)],
    (x) => [tf.argMax(x, 1), tf.argMin(x, 1), tf.argMax(x, 0)],
    {
      0: [q, 1, 2, 1, q, 0, q, q, q, -i, -i, -i, -i, q, -i, i, q, i, i, i, 1, -i, q, 3],
    },
  );
}
add('sums so far', [F(4, 7, 3), I(3, 5), F(9)], (x, y, z) => [
  x.cumsum(0), x.cumsum(1), x.cumsum(2), x.cumsum(1, true), x.cumsum(2, false, true), x.cumsum(0, true, true), y.cumsum(1), y.cumsum(0, true),
  z.cumsum(), z.cumsum(0, true), z.cumsum(0, false, true), z.exp().cumsum().log(), x.transpose().cumsum(1),
]); // prettier-ignore
add('products so far', [F(4, 7), I(3, 2)], (x, y) => [tf.cumprod(x, 1), tf.cumprod(x, 0), tf.cumprod(x, 1, true), tf.cumprod(x, 1, true, true), tf.cumprod(y, 0)]); // prettier-ignore
add('gradients of sums so far', [F(4, 7)], (x) => [...gradients((z) => z.cumsum(1).square(), [x]), ...gradients((z) => tf.cumsum(z, 0, true, true).tanh(), [x])]); // prettier-ignore
add('scalars so far', [F(1), F(0, 3), F(3, 0)], (x, y, z) => [x.cumsum(), y.cumsum(0), y.cumsum(1), z.cumsum(0), x.cumsum(0, true)]); // prettier-ignore

add('numbers at equal distances', [F(5), I(4)], (x, y) => [x.add(tf.range(0, 5)), tf.range(1, 0, -0.2).mul(x), y.add(tf.range(2, 10, 2, 'int32')), tf.linspace(-1, 2, 5).mul(x)]); // prettier-ignore
add('integers', [I(3, 7), I(7), I(3, 7)], (x, y, z) => [
  x.floorDiv(y), x.mod(y), x.div(y), x.floorDiv(z), x.mod(z), tf.clipByValue(x, -3, 4), tf.sign(x), tf.round(x),
  x.maximum(y), x.minimum(z), x.squaredDifference(z), x.less(y).logicalOr(x.equal(z)), x.cast('float32').mod(2.5), x.sub(y).mul(z), x.cast('bool').cast('int32'),
  x.mean(), x.mean(1), x.prod(1), x.max(0), x.min([0, 1]), x.sum(), tf.squaredDifference(x, y),
]); // prettier-ignore
add('integers at the limits', [I(6), I(6)], (x, y) => [x.floorDiv(y), x.mod(y)], { 0: [-(2 ** 31), -(2 ** 31), 2 ** 31 - 1, 2 ** 31 - 1, 7, -7], 1: [-1, 2 ** 31 - 1, -(2 ** 31), -1, 0, 0] }); // prettier-ignore
add('bits', [I(5), I(5)], (x, y) => tf.engine().runKernel('BitwiseAnd', { a: x, b: y }));
add('remainders', [F(4, 6), F(6)], (x, y) => [x.mod(y), x.mod(1), tf.mod(tf.scalar(3.5), y), ...gradients((z) => z.mod(0.7), [x])]); // prettier-ignore
add('booleans in order', [B(3, 5), B(5)], (x, y) => [x.greater(y), x.less(y), x.greaterEqual(y), x.lessEqual(y), x.all(1), x.any(0), x.cast('float32').sum()]); // prettier-ignore
add('every so many elements', [F(7, 9)], (x) => [
  tf.stridedSlice(x, [1, 0], [6, 9], [2, 3]), tf.stridedSlice(x, [6, 8], [0, 1], [-2, -3]), tf.stridedSlice(x, [1], [5], [2]).exp(),
  tf.stridedSlice(x, [2, 1], [3, 8], [1, 1], 0, 0, 0, 0, 1), tf.stridedSlice(x, [0, 0, 3], [0, 7, 4], [1, 1, 1], 0, 0, 0, 1, 4),
  ...gradients((z) => tf.stridedSlice(z, [0, 1], [7, 9], [3, 2]).square(), [x]),
]); // prettier-ignore
add('mirrored borders', [F(4, 5), I(3)], (x, y) => [
  tf.mirrorPad(x, [[2, 3], [1, 4]], 'reflect'), tf.mirrorPad(x, [[2, 4], [5, 0]], 'symmetric'), tf.mirrorPad(y, [[2, 2]], 'reflect'),
  ...gradients((z) => tf.mirrorPad(z, [[1, 2], [3, 3]], 'reflect').square(), [x]),
]); // prettier-ignore
add('local responses', [F(2, 3, 2, 7)], (x) => [
  tf.localResponseNormalization(x as tf.Tensor4D, 2, 1, 0.7, 0.75), tf.localResponseNormalization(x as tf.Tensor4D, 9, 2, 0.3, 0.5),
  ...gradients((z) => tf.localResponseNormalization(z as tf.Tensor4D, 2, 1, 0.7, 0.75).square(), [x]),
  tf.engine().runKernel<tf.Tensor>('LRNGrad', { x, y: tf.localResponseNormalization(x as tf.Tensor4D, 1, 1, 0.7, 0.75), dy: x.sin() }, { depthRadius: 1, bias: 1, alpha: 0.7, beta: 0.75 }),
]); // prettier-ignore
add('blocks of images', [F(2, 4, 6, 4)], (x) => [
  tf.depthToSpace(x as tf.Tensor4D, 2, 'NHWC'), tf.image.flipLeftRight(x as tf.Tensor4D), tf.spaceToBatchND(x, [2, 3], [[0, 0], [3, 0]]), tf.spaceToBatchND(x, [2], [[1, 1]]),
  tf.batchToSpaceND(x, [2], [[1, 2]]), ...gradients((z) => tf.spaceToBatchND(z, [2, 2], [[1, 1], [0, 0]]).square(), [x]),
]); // prettier-ignore
for (const [size, corners, centres] of [
  [[7, 9], false, false],
  [[8, 3], true, false],
  [[8, 10], false, true],
  [[1, 1], true, false],
] as const) {
  add(`resampling to ${size.join(' x ')}, ${corners}, ${centres}`, [F(2, 4, 5, 3)], (x) => [
    tf.image.resizeBilinear(x as tf.Tensor4D, [...size], corners, centres),
    tf.image.resizeNearestNeighbor(x as tf.Tensor4D, [...size], corners, centres),
    ...gradients((z) => tf.image.resizeBilinear(z as tf.Tensor4D, [...size], corners, centres), [x]),
    ...gradients((z) => tf.image.resizeNearestNeighbor(z as tf.Tensor4D, [...size], corners, centres), [x]),
  ]);
}
add('normalisation', [F(2, 3, 4, 5), F(5), F(5), F(5), F(5)], (x, mean, variance, scale, offset) => [
  tf.batchNorm(x as tf.Tensor4D, mean as tf.Tensor1D, tf.square(variance as tf.Tensor1D), offset as tf.Tensor1D, scale as tf.Tensor1D, 0.01),
  tf.batchNorm(x as tf.Tensor4D, mean as tf.Tensor1D, tf.square(variance as tf.Tensor1D)),
  tf.batchNorm(x as tf.Tensor4D, tf.mul<tf.Tensor4D>(x, 0.5), tf.square(x as tf.Tensor4D), x as tf.Tensor4D, tf.add<tf.Tensor4D>(x, 1)),
]); // prettier-ignore
for (const activation of ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu'] as const) {
  const kernel = (name: string, x: tf.Tensor, filter: tf.Tensor, bias: tf.Tensor, strides: number): tf.Tensor =>
    tf
      .engine()
      .runKernel(
        name,
        { x, filter, bias },
        { strides, pad: 'same', dataFormat: 'NHWC', dilations: [1, 1], activation, leakyreluAlpha: 0.3 },
      );
  add(`fused ${activation}`, [F(2, 5, 6, 3), F(3, 3, 3, 4), F(4), F(3, 3, 3, 2), F(6)], (x, w, b, v, c) => [
    kernel('FusedConv2D', x, w, b, 1), kernel('FusedDepthwiseConv2D', x, v, c, 2),
  ]); // prettier-ignore
}

describe('compiled indexing', () => {
  checkCases(cases);

  for (const bad of [-1, 5, 2 ** 31 - 1, -(2 ** 31)]) {
    it(`refuses the index ${bad} of five`, () => {
      for (const name of ['nullcline', 'nullcline64'] as const) {
        const backend = compiledBackend(name);
        const graph = trace(([x, i]) => tf.gather(x, i), [F(5, 3), I(2)]);
        const inputs = [new Float32Array(15), Int32Array.of(0, bad)];
        const before = backend.heap.bytesInUse;
        expect(() => runOn(graph, inputs, name)).to.throw(
          RangeError,
          `GatherV2: the index value ${bad} is not in [0, 4]`,
        );
        expect(backend.heap.bytesInUse).to.be.at.most(before + 256);
        const points = trace(([x, i]) => tf.scatterND(i, x, [5]), [F(2), I(2, 1)]);
        expect(() => runOn(points, [new Float32Array(2), Int32Array.of(0, bad)], name)).to.throw(
          RangeError,
          'ScatterNd',
        );
      }
    });
  }
});
