import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, it } from 'mocha';
import { constant } from '../../src/core/constant.js';
import { expectClose } from '../support/close.js';
import { bools, compares, eighths, ints, sizeOf, suite, type Check, type Shape } from './eager-support.js';

/** Some below, some above the size from which an operation gets a program of its own. */
const SHAPES: readonly Shape[] = [
  [1],
  [7],
  [3, 4],
  [1, 5, 1],
  [4, 1, 6],
  [2, 3, 5],
  [2, 3, 4, 5],
  [120, 90],
  [90, 3, 40],
];

/** Every non-empty set of axes. */
const axesOf = (rank: number): number[][] =>
  Array.from({ length: 2 ** rank - 1 }, (_, set) => Array.from({ length: rank }, (__, i) => i).filter((i) => ((set + 1) >> i) & 1)); // prettier-ignore

const names = (shape: Shape): string => `[${shape.join()}]`;
const each = (what: string, f: (shape: Shape) => tf.Tensor[]): Record<string, Check> =>
  Object.fromEntries(SHAPES.map((shape): [string, Check] => [`${what} of ${names(shape)}`, () => f(shape)]));

/** All different, so that the k largest are the same ones for everybody. */
const different = (shape: Shape): tf.Tensor =>
  tf.tensor(
    Array.from({ length: sizeOf(shape) }, (_, i) => ((i * 7919) % 10_007) / 8 - 300),
    [...shape],
  );

compares('choices, scans and sums by segment', {
  ...each('places of extremes', (shape) => {
    const withNaN = tf.div(eighths(shape, 1), tf.abs(eighths(shape, 2)));
    return [eighths(shape, 1), ints(shape, 2), withNaN].flatMap((x) =>
      shape.flatMap((_, axis) => [tf.argMax(x, axis), tf.argMin(x, axis - shape.length)]),
    );
  }),
  ...each('truth', (shape) =>
    axesOf(shape.length).flatMap((axes) => [tf.all(tf.greater(eighths(shape, 1), -1.9), axes), tf.any(tf.greater(eighths(shape, 1), 1.9), axes, true)]), // prettier-ignore
  ),
  ...each('reductions over any axes', (shape) =>
    axesOf(shape.length).flatMap((axes) => [tf.sum(eighths(shape, 1), axes), tf.mean(eighths(shape, 2), axes, true), tf.max(ints(shape, 3), axes), tf.min(eighths(shape, 4), axes)]), // prettier-ignore
  ),
  ...each('running sums and products', (shape) =>
    [eighths(shape, 1), ints(shape, 2), bools(shape, 3)].flatMap((x) =>
      shape.flatMap((_, axis) => [tf.cumsum(x, axis), tf.cumsum(x, axis, true), tf.cumsum(x, axis, false, true), tf.cumsum(x, axis, true, true)]), // prettier-ignore
    ),
  ),
  'running products': () =>
    [0, 1].flatMap((axis) => [false, true].flatMap((exclusive) => [false, true].map((reverse) => tf.cumprod(tf.add(eighths([4, 5], 1), 2.25), axis, exclusive, reverse)))), // prettier-ignore
  ...each('the largest', (shape) => {
    const n = shape[shape.length - 1];
    return [1, Math.min(3, n), n].flatMap((k) =>
      [different(shape), tf.cast(tf.mul(different(shape), 8), 'int32')].flatMap((x) => {
        const { values, indices } = tf.topk(x, k);
        return [values, indices];
      }),
    );
  }),
  'ones at places': () =>
    [3, 40, 3000].flatMap((n) => {
      const at = tf.tensor1d(Array.from({ length: n }, (_, i) => (i % 9) - 2), 'int32');
      return [tf.oneHot(at, 5), tf.oneHot(at, 7, 2, -1, 'float32'), tf.oneHot(at, 5, 1, 0, 'bool'), tf.oneHot(tf.tensor2d([[1, 0]], [1, 2], 'int32'), 2)]; // prettier-ignore
    }),
  'sums by segment': () =>
    [[6], [6, 4], [6, 2, 3], [600, 30]].flatMap((shape) => {
      const ids = tf.tensor1d(Array.from({ length: shape[0] }, (_, i) => ((i * 5) % 7) - 1), 'int32');
      return [tf.unsortedSegmentSum(eighths(shape, 1), ids, 4), tf.unsortedSegmentSum(ints(shape, 2), ids, 8)];
    }),
  'sums of several': () => [
    tf.addN([eighths([3, 5], 1), eighths([3, 5], 2), eighths([3, 5], 3)]),
    tf.addN([eighths([4], 1)]),
    tf.addN([ints([90, 100], 1), ints([90, 100], 2)]),
  ],
  'one value throughout': () =>
    [[], [1], [17], [3, 5], [100, 30]].flatMap((shape) => [tf.zerosLike(eighths(shape, 1)), tf.onesLike(ints(shape, 1)), tf.onesLike(bools(shape, 1)), tf.fill(shape, -2.5), tf.fill(shape, 7, 'int32')]), // prettier-ignore
  'remainders': () => [
    tf.mod(eighths([5, 7], 1), tf.add(eighths([7], 2), 5)),
    tf.mod(ints([5, 7], 1), tf.add(ints([5, 1], 2), 20)),
    tf.bitwiseAnd(ints([33], 1), ints([33], 2)),
  ],
  ...each('parts', (shape) =>
    [eighths(shape, 1), ints(shape, 2), bools(shape, 3)].flatMap((x) =>
      shape.flatMap((n, axis) => [
        ...tf.unstack(x, axis), ...tf.split(x, n, axis), ...tf.split(x, [1, n - 1], axis), tf.stack([x, x, x], axis - shape.length),
      ]),
    ), // prettier-ignore
  ),
}); // prettier-ignore

compares('windows, images and broadcasting', {
  'small and large convolutions': () =>
    [[1, 5, 4, 2, 3], [2, 20, 17, 3, 8]].flatMap(([n, h, w, c, d]) => {
      const x = eighths([n, h, w, c], 1) as tf.Tensor4D;
      const filter = tf.div<tf.Tensor4D>(eighths([3, 3, c, d], 2), 8);
      const apart = eighths([3, 3, c, 2], 3) as tf.Tensor4D;
      const back = eighths([n, h, w, d], 4) as tf.Tensor4D;
      return [
        tf.conv2d(x, filter, 1, 'same'), tf.conv2d(x, filter, 2, 'valid'), tf.conv2d(x, filter, 1, 'same', 'NHWC', 2),
        tf.depthwiseConv2d(x, apart, 1, 'same'), tf.conv2dTranspose(back, filter, [n, 2 * h, 2 * w, c], 2, 'same'),
        tf.fused.conv2d({ x, filter, strides: 1, pad: 'same', bias: eighths([d], 5), activation: 'relu' }),
        tf.conv1d(tf.reshape<tf.Rank.R3>(x, [n, h * w, c]), tf.reshape<tf.Rank.R3>(tf.slice(filter, 0, 1), [3, c, d]), 1, 'same'),
        tf.maxPool(x, 2, 2, 'same'), tf.avgPool(x, 3, 1, 'valid'), tf.mirrorPad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], 'reflect'),
      ];
    }),
  'volumes': () => [tf.conv3d(eighths([1, 6, 7, 8, 2], 1) as tf.Tensor5D, eighths([2, 2, 2, 2, 5], 2) as tf.Tensor5D, 1, 'same')],
  'their gradients': () => {
    const x = eighths([2, 12, 11, 3], 1) as tf.Tensor4D;
    const filter = tf.div<tf.Tensor4D>(eighths([3, 3, 3, 6], 2), 8);
    const loss = (a: tf.Tensor, b: tf.Tensor): tf.Scalar =>
      tf.sum(tf.maxPool(tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 1, 'same'), 2, 2, 'same'));
    return tf.grads(loss)([x, filter]);
  },
  'blocks and normalisation': () =>
    [4, 40].flatMap((n) => {
      const x = eighths([2, n, n, 4], 1) as tf.Tensor4D;
      return [
        tf.spaceToBatchND(x, [2, 2], [[0, 0], [2, 0]]), tf.depthToSpace(x, 2), tf.image.resizeBilinear(x, [n + 3, 5]),
        tf.image.resizeNearestNeighbor(x, [3, 2 * n]), tf.batchNorm(x, eighths([4], 2), tf.abs(eighths([4], 3)), eighths([4], 4), eighths([4], 5)),
      ];
    }),
  'four axes, each stretched another way': () => [
    tf.add(eighths([4, 1, 6, 1], 1), eighths([1, 5, 1, 7], 2)),
    tf.mul(eighths([4, 5, 6, 1], 1), eighths([4, 1, 6, 20], 2)),
  ],
}); // prettier-ignore

for (const name of ['nullcline', 'nullcline64']) {
  suite(`what tfjs's cpu backend computes wrongly, on ${name}`, () => {
    let previous: string;
    before(async () => {
      previous = tf.getBackend();
      await tf.setBackend(name);
    });
    after(async () => {
      await tf.setBackend(previous);
    });

    it('einsum sums over a label that only one operand has', () => {
      const start = tf.memory().numTensors;
      tf.tidy(() => {
        const [x, y, z] = [eighths([2, 3], 1), eighths([3, 4], 2), eighths([2, 5], 3)];
        const close = (found: tf.Tensor, expected: tf.Tensor): void => {
          expect(found.shape).to.deep.equal(expected.shape);
          expectClose(found.dataSync(), expected.dataSync(), { atol: 1e-6 });
        };
        close(tf.einsum('ij,jk->k', x, y), tf.sum(tf.matMul(x as tf.Tensor2D, y as tf.Tensor2D), 0));
        close(tf.einsum('ij,jk->ik', x, y), tf.matMul(x, y));
        close(tf.einsum('ij,ik->jk', x, z), tf.matMul(x, z, true));
        close(tf.einsum('ij->ji', x), tf.transpose(x));
      });
      expect(tf.memory().numTensors).to.equal(start);
    });

    it('products stretch batch axes anywhere', () => {
      tf.tidy(() => {
        const [x, y] = [eighths([2, 1, 3, 4], 1), eighths([1, 5, 4, 2], 2)];
        const found = tf.matMul(x, y);
        expect(found.shape).to.deep.equal([2, 5, 3, 2]);
        const values = found.dataSync();
        const [a, b] = [x.dataSync(), y.dataSync()];
        for (let i = 0; i < 2; i++) for (let j = 0; j < 5; j++) for (let r = 0; r < 3; r++) for (let c = 0; c < 2; c++) {
          let sum = 0;
          for (let k = 0; k < 4; k++) sum += a[(i * 3 + r) * 4 + k] * b[(j * 4 + k) * 2 + c];
          expect(values[((i * 5 + j) * 3 + r) * 2 + c]).to.equal(sum);
        }
      });
    }); // prettier-ignore
  });
}

suite('the largest elements', () => {
  for (const name of ['nullcline', 'nullcline64']) {
    it(`come in order, equal ones by place and NaN last, on ${name}`, async () => {
      const previous = tf.getBackend();
      await tf.setBackend(name);
      tf.tidy(() => {
        const row = [2, NaN, 5, 5, -1, Infinity, 2, NaN, 5];
        for (const copies of [1, 12]) {
          const x = tf.tensor(Array.from({ length: copies }, () => row).flat());
          const n = copies * row.length;
          const { values, indices } = tf.topk(x, n);
          const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => {
            const rank = (v: number): number => (Number.isNaN(v) ? -Infinity : v);
            const [a, b] = [rank(row[i % 9]), rank(row[j % 9])];
            return a === b ? i - j : b > a ? 1 : -1;
          });
          expect(Array.from(indices.dataSync())).to.deep.equal(order);
          expect(Array.from(values.dataSync())).to.deep.equal(order.map((i) => row[i % 9]));
        }
        const digits = tf.topk(constant([0.1, 0.3, 0.2]), 2).values.dataSync();
        expect(Array.from(digits)).to.deep.equal(name === 'nullcline' ? [0.3, 0.2].map(Math.fround) : [0.3, 0.2]);
      });
      await tf.setBackend(previous);
    });
  }
});
