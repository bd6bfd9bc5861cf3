import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, it } from 'mocha';
import { constant } from '../../src/core/constant.js';
import { bools, compares, eighths, ints, suite, type Check, type Shape } from './eager-support.js';

/** Each a list of shapes of the operands. */
const BROADCASTS: readonly (readonly [Shape, Shape])[] = [
  ...[0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33].map((n): [Shape, Shape] => [[n], [n]]),
  [[], []],
  [[5], []],
  [[], [6]],
  [[1], [9]],
  [[1, 1], [3]],
  ...[1, 2, 3, 4, 5, 9].flatMap((n): [Shape, Shape][] => [
    [[3, n], [n]],
    [[n], [3, n]],
    [
      [3, n],
      [3, 1],
    ],
    [
      [3, 1],
      [1, n],
    ],
    [
      [2, 3, n],
      [3, n],
    ],
    [
      [2, 3, n],
      [2, 1, 1],
    ],
    [
      [2, 1, n],
      [2, 3, n],
    ],
    [
      [2, 1, n],
      [1, 3, 1],
    ],
  ]),
  [
    [2, 3, 4, 5],
    [3, 1, 5],
  ],
];

const FLOAT_BINARY: readonly ((a: tf.Tensor, b: tf.Tensor) => tf.Tensor)[] = [tf.add, tf.sub, tf.mul, tf.maximum, tf.minimum, tf.squaredDifference, tf.greater, tf.lessEqual, tf.equal, tf.notEqual]; // prettier-ignore

const CHECKS: Record<string, Check> = {
  ...Object.fromEntries(
    BROADCASTS.map(([a, b], i): [string, Check] => [
      `arithmetic of [${a.join()}] and [${b.join()}]`,
      () => [
        ...FLOAT_BINARY.map((f) => f(eighths(a, i), eighths(b, i + 50))),
        ...[tf.add, tf.mul, tf.less].map((f: (x: tf.Tensor, y: tf.Tensor) => tf.Tensor) =>
          f(ints(a, i), ints(b, i + 50)),
        ),
        ...[tf.logicalAnd, tf.logicalOr].map((f: (x: tf.Tensor, y: tf.Tensor) => tf.Tensor) =>
          f(bools(a, i), bools(b, i + 50)),
        ),
      ],
    ]),
  ),
  ...Object.fromEntries(
    [1, 2, 3, 4, 5, 31, 32, 100].map((n): [string, Check] => [
      `functions of ${n}`,
      () => {
        const x = eighths([n], n);
        return [
          x.tanh(), x.exp(), x.sigmoid(), x.relu(), x.neg(), x.abs().sqrt(), x.square(), x.floor(), x.sin(), x.softplus(),
          x.clipByValue(-1, 0.5), x.clipByValue(0, 1), x.leakyRelu(0.1), x.leakyRelu(0.25), x.step(0.5), x.cast('int32'),
          x.cast('bool'), ints([n], 3).cast('float32'), ints([n], 3).cast('bool'), bools([n], 4).cast('float32'),
          bools([n], 4).cast('int32'), tf.where(bools([n], 5), x, x.neg()), tf.prelu(x, x), x.isNaN(),
          bools([n], 6).logicalNot(), x.elu(), x.selu(),
        ]; // prettier-ignore
      },
    ]),
  ),
  ...Object.fromEntries(
    [[1], [5], [3, 4], [4, 3], [7, 9], [2, 3, 5], [3, 1, 17], [2, 33], [33, 2], [19, 19], [2, 3, 4, 5]].map(
      (shape): [string, Check] => [
        `reductions of [${shape.join()}]`,
        () => {
          const x = eighths(shape, 9);
          const axes = shape.flatMap((_, i) => [[i], ...(i > 0 ? [[i - 1, i], [0, i]] : [])]); // prettier-ignore
          return [
            x.sum(), x.mean(), x.max(), x.min(), ints(shape, 8).sum(), bools(shape, 8).sum(), tf.softmax(x),
            ...axes.flatMap((axis) => [x.sum(axis), x.max(axis, true), x.mean(axis), x.min(axis), ints(shape, 7).sum(axis), ints(shape, 7).max(axis), ints(shape, 7).mean(axis)]),
            x.div(8).add(1).prod(shape.length - 1), x.cast('bool').any(), x.cast('bool').all(0),
          ]; // prettier-ignore
        },
      ],
    ),
  ),
  ...Object.fromEntries(
    [[1], [5], [3, 4], [17, 33], [40, 18], [2, 3, 5], [3, 20, 17], [2, 3, 4, 5], [2, 2, 3, 2, 3]].map(
      (shape): [string, Check] => [
        `movements of [${shape.join()}]`,
        () => {
          const of = [eighths(shape, 1), ints(shape, 2), bools(shape, 3)];
          const last = shape.length - 1;
          const perms = [shape.map((_, i) => last - i), shape.map((_, i) => (i + 1) % shape.length), shape.map((_, i) => (i === last ? i : last - 1 - i))]; // prettier-ignore
          return of.flatMap((x) => [
            ...perms.map((perm) => tf.transpose(x, perm)),
            tf.slice(x, shape.map((n) => n >> 1), shape.map((n) => n - (n >> 1))),
            tf.slice(x, shape.map(() => 0), shape.map((n, i) => (i === last ? n : (n + 1) >> 1))),
            tf.reverse(x), tf.reverse(x, last), tf.tile(x, shape.map((_, i) => 1 + (i % 3))), tf.tile(x, shape.map(() => 2)),
            tf.concat([x, x, x], last), tf.concat([x, x], 0), tf.stack([x, x]), ...tf.unstack(x, last), tf.reshape(x, [-1]),
            ...(shape.length > 4 ? [] : [tf.pad(x, shape.map((_, i): [number, number] => [i, 2]), x.dtype === 'bool' ? 1 : 3), tf.pad(x, shape.map((): [number, number] => [1, 0]))]),
            ...shape.map((n, axis) => tf.gather(x, tf.tensor1d([n - 1, 0, n >> 1], 'int32'), axis)),
            tf.gather(x, tf.tensor2d([[0, 0]], [1, 2], 'int32')),
          ]); // prettier-ignore
        },
      ],
    ),
  ),
  ...Object.fromEntries(
    [
      [1, 1, 1],
      [1, 7, 9],
      [5, 1, 3],
      [3, 4, 1],
      [4, 4, 8],
      [9, 17, 13],
      [16, 16, 16],
      [20, 2, 50],
      [20, 50, 2],
      [2, 3, 31],
    ].map(([m, k, n]): [string, Check] => [
      `products ${m} ${k} ${n}`,
      () => [
        tf.matMul(eighths([m, k], 1), eighths([k, n], 2)),
        tf.matMul(eighths([k, m], 1), eighths([k, n], 2), true),
        tf.matMul(eighths([m, k], 1), eighths([n, k], 2), false, true),
        tf.matMul(eighths([k, m], 1), eighths([n, k], 2), true, true),
        tf.matMul(eighths([1, m, k], 1), eighths([1, k, n], 2)),
        tf.matMul(eighths([2, m, k], 1), eighths([2, k, n], 2)),
      ],
    ]),
  ),
};

CHECKS['fused products'] = () => {
  const [a, b, bias] = [eighths([5, 7], 1) as tf.Tensor2D, eighths([7, 9], 2) as tf.Tensor2D, eighths([9], 3)];
  const activations = ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu'] as const;
  return [
    ...activations.map((activation) => tf.fused.matMul({ a, b, bias, activation, leakyreluAlpha: 0.25 })),
    tf.fused.matMul({ a, b }),
    tf.fused.matMul({ a, b: eighths([9, 7], 4), transposeB: true, bias: eighths([5, 9], 5) }),
  ];
};

compares('kernels for sizes known at run time', CHECKS);

for (const name of ['nullcline', 'nullcline64']) {
  suite(`operands of kernels on ${name}`, () => {
    let previous: string;
    before(() => {
      previous = tf.getBackend();
    });
    after(async () => {
      await tf.setBackend(previous);
    });
    it('refuses what does not fit as tfjs does', async () => {
      await tf.setBackend(name);
      tf.tidy(() => {
        expect(() => tf.gather(eighths([3, 2], 1), tf.tensor1d([0, 3], 'int32'))).to.throw(
          /the index value 3 is not in/,
        );
        expect(() => tf.slice(eighths([3, 2], 1), [2, 0], [2, 1])).to.throw(/begin\[0\]/);
        expect(() => tf.reshape(eighths([3, 2], 1), [4])).to.throw(/reshape|implicit shape|Size/);
        expect(() => tf.add(eighths([3], 1), eighths([2], 2))).to.throw(/broadcast/);
      });
    });
  });
}

suite('tf.memory on nullcline', () => {
  for (const [name, bytes] of [
    ['nullcline', 4],
    ['nullcline64', 8],
  ] as const) {
    // prettier-ignore
    it(`counts ${bytes} bytes for a float on ${name}`, async () => {
      const previous = tf.getBackend();
      await tf.setBackend(name);
      const start = tf.memory();
      const x = tf.zeros([10]);
      const y = tf.reshape(x, [2, 5]);
      const n = tf.zeros([10], 'int32');
      const v = tf.variable(x);
      const more = tf.memory();
      expect(more.numBytes - start.numBytes).to.equal(30 * bytes + 40);
      expect(more.unreliable).to.equal(false);
      expect(more.numDataBuffers - start.numDataBuffers).to.equal(2);
      tf.dispose([x, v]);
      expect(tf.memory().numBytes - start.numBytes).to.equal(10 * bytes + 40);
      tf.dispose([y, n]);
      expect({ ...tf.memory() }).to.deep.equal({ ...start });
      const moved = tf.ones([6]);
      await tf.setBackend('cpu');
      moved.square().dispose();
      await tf.setBackend(name);
      expect(tf.memory().numBytes - start.numBytes).to.equal(24); // its floats are the other backend's singles
      moved.square().dispose();
      expect(tf.memory().numBytes - start.numBytes).to.equal(6 * bytes);
      moved.dispose();
      expect(tf.memory().numBytes).to.equal(start.numBytes);
      await tf.setBackend(previous);
    });
  }

  it('keeps all digits of doubles', async () => {
    const previous = tf.getBackend();
    await tf.setBackend('nullcline64');
    tf.tidy(() => {
      const x = constant([0.1, 0.2, 0.3, 0.7, 1.1]);
      expect(Array.from(tf.sum(x).dataSync())[0]).to.be.closeTo(2.4, 1e-15);
      expect(Array.from(tf.add(x, constant(0.1)).dataSync())[4]).to.equal(1.1 + 0.1);
      expect(Array.from(tf.matMul(tf.reshape(x, [1, 5]), tf.reshape(x, [5, 1])).dataSync())[0]).to.be.closeTo(1.84, 1e-15); // prettier-ignore
      expect(Array.from(tf.transpose(tf.reshape(x, [5, 1])).dataSync())).to.deep.equal([0.1, 0.2, 0.3, 0.7, 1.1]);
    });
    await tf.setBackend(previous);
  });
});
