import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { grad, valueAndGrad } from '../../src/graph/transform.js';
import { expectClose } from '../support/close.js';
import { isFloat64 } from '../support/precision.js';

type Tensor = tf.Tensor;

const values = (shape: number[], phase: number): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Array.from({ length: n }, (_, i) => Math.sin(2.7 * i + phase)),
    shape,
  );
};

const weighted = (y: Tensor): Tensor => tf.sum(tf.mul(y, values(y.shape, 0.3)));

/** Gradients that need kernels which the wasm backend of tfjs lacks, or computes wrongly. */
const CASES: readonly [what: string, shapes: number[][], f: (...xs: Tensor[]) => Tensor][] = [
  ['a convolutional network', [[2, 6, 6, 1], [3, 3, 1, 2], [2], [18, 3]], (x, w, b, v) => {
    const y = tf.maxPool(tf.relu(tf.add<tf.Tensor4D>(tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same'), b)), 2, 2, 'same');
    return weighted(tf.logSoftmax(tf.matMul(tf.reshape(y, [2, 18]), v)));
  }],
  ['depthwise convolution', [[1, 4, 4, 2], [2, 2, 2, 1]], (x, w) =>
    weighted(tf.square(tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same')))],
  ['transposed convolution', [[1, 2, 2, 2], [3, 3, 1, 2]], (x, w) =>
    weighted(tf.square(tf.conv2dTranspose(x as tf.Tensor4D, w as tf.Tensor4D, [1, 4, 4, 1], 2, 'same')))],
  ['convolution in three dimensions', [[1, 3, 4, 3, 2], [2, 2, 2, 2, 2]], (x, w) =>
    weighted(tf.square(tf.conv3d(x as tf.Tensor5D, w as tf.Tensor5D, 1, 'same')))],
  ['average pooling at a border', [[1, 5, 5, 1]], (x) => weighted(tf.square(tf.avgPool(x as tf.Tensor4D, 2, 2, 'same')))],
  ['embedding', [[5, 3]], (x) => weighted(tf.square(tf.gather(x, tf.tensor1d([3, 1, 3], 'int32'))))],
  ['einsum', [[2, 3], [3, 4]], (a, b) => weighted(tf.square(tf.einsum('ij,jk->ki', a, b)))],
  ['Fourier transform', [[2, 4]], (x) => weighted(tf.square(tf.abs(tf.spectral.rfft(x))))],
  ['batch normalisation', [[4, 3]], (x) => {
    const { mean, variance } = tf.moments(x, 0);
    return weighted(tf.batchNorm(x, mean, variance));
  }],
  ['cumulative product', [[2, 4]], (x) => weighted(tf.cumprod(x, 1))],
  ['resizing', [[1, 3, 4, 2]], (x) => weighted(tf.square(tf.image.resizeBilinear(x as tf.Tensor4D, [5, 7])))],
]; // prettier-ignore

describe('on the wasm backend', function () {
  if (isFloat64) return; // it stores single precision only
  let previous: string;
  before(async () => {
    previous = tf.getBackend();
    // Not at the top: registering it makes tfjs prefer it in every test file of the process.
    await import('@tensorflow/tfjs-backend-wasm');
    await tf.setBackend('wasm');
  });
  after(async () => {
    await tf.setBackend(previous);
  });

  for (const [what, shapes, f] of CASES) {
    it(`${what}: value, gradient and second derivative are those of the cpu backend`, async () => {
      const both = valueAndGrad((xs: Tensor[]) => f(...xs));
      const slope = (xs: Tensor[]): Tensor => tf.addN(grad((ys: Tensor[]) => f(...ys))(xs).map(weighted));
      const onBackend = async (name: string): Promise<number[]> => {
        await tf.setBackend(name);
        const xs = shapes.map((shape, i) => values(shape, i));
        const first = compile(both)(xs);
        const second = compile(grad(slope))(xs);
        const all = [first.value, ...first.grad, ...second].flatMap((t) => Array.from(t.dataSync()));
        tf.dispose([xs, first, second]);
        return all;
      };
      const cpu = await onBackend('cpu');
      const wasm = await onBackend('wasm');
      const scale = Math.max(...cpu.map(Math.abs));
      expectClose(wasm, cpu, { rtol: 1e-4, atol: 1e-5 * scale }, what);
    });
  }

  it('holds nothing on either backend', () => {
    const cpu = tf.findBackend('cpu');
    const held = (): number[] => [tf.memory().numTensors, tf.backend().numDataIds(), cpu.numDataIds()];
    const f = CASES[0][2];
    const xs = CASES[0][1].map((shape, i) => values(shape, i));
    const before = held();
    for (let i = 0; i < 2; i++) tf.dispose(grad((ys: Tensor[]) => f(...ys))(xs));
    tf.dispose(grad((y: Tensor) => tf.sum(tf.abs(tf.spectral.rfft(y))))(xs[2]));
    expect(held()).to.deep.equal(before);
    tf.dispose(xs);
  });
});
