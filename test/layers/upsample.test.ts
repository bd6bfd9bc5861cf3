import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { apply, constant, pixelShuffle, upsample, type Stateless, type Tensor } from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 1e-6, float64: 1e-14 }),
  atol: tolerance({ float32: 1e-6, float64: 1e-14 }),
};

const run = (layer: Stateless, x: Tensor): Tensor => apply(layer, x, {}, {})[0];
const row = (...values: number[]): Tensor => constant(values, [1, values.length, 1]);

describe('upsample', () => {
  it('repeats the nearest element', () => {
    expectClose(run(upsample('nearest', { scale: 2 }), row(1, 2, 3)), [1, 1, 2, 2, 3, 3], close);
    expectClose(run(upsample('nearest', { size: 5 }), row(1, 2, 3)), [1, 1, 2, 2, 3], close);
    expectClose(run(upsample('nearest', { size: 2 }), row(1, 2, 3, 4)), [1, 3], close);
    const image = constant([1, 2, 3, 4], [1, 2, 2, 1]);
    expectClose(run(upsample('nearest', { scale: [1, 2] }), image), [1, 1, 2, 2, 3, 3, 4, 4], close);
  });

  it('interpolates between the centres of elements', () => {
    // Output centres at 1/4, 3/4, ... of an element: (o + 1/2) / 2 - 1/2 = -1/4, 1/4, 3/4, 5/4, 7/4, 9/4.
    expectClose(run(upsample('linear', { scale: 2 }), row(1, 2, 4)), [1, 1.25, 1.75, 2.5, 3.5, 4], close);
    // Rows at 0, 1/4, 3/4, 1 of (1, 2) to (3, 4), and the same for columns.
    const image = constant([1, 2, 3, 4], [1, 2, 2, 1]);
    const [a, b, c, d] = [0, 0.25, 0.75, 1];
    const expected = [a, b, c, d].flatMap((i) => [a, b, c, d].map((j) => 1 + 2 * i + j));
    expectClose(run(upsample('bilinear', { scale: 2 }), image), expected, close);
  });

  it('aligns the corners when asked', () => {
    expectClose(run(upsample('linear', { size: 5, alignCorners: true }), row(0, 2, 8)), [0, 1, 2, 5, 8], close);
    expectClose(run(upsample('linear', { size: 1, alignCorners: true }), row(3, 2, 8)), [3], close);
    const image = constant([1, 2, 3, 4], [1, 2, 2, 1]);
    const expected = [0, 0.5, 1].flatMap((i) => [0, 0.5, 1].map((j) => 1 + 2 * i + j));
    expectClose(run(upsample('bilinear', { size: 3, alignCorners: true }), image), expected, close);
  });

  it('is exact for what is linear in three axes, corners aligned', () => {
    const linear = (n: number): Tensor => {
      const at = Array.from({ length: n }, (_, i) => i / (n - 1));
      return constant(
        at.flatMap((x) => at.flatMap((y) => at.map((z) => 1 + x - 2 * y + 3 * z))),
        [1, n, n, n, 1],
      );
    };
    const y = run(upsample('trilinear', { size: 4, alignCorners: true }), linear(2));
    expectClose(y, linear(4), { atol: tolerance({ float32: 1e-5, float64: 1e-13 }) });
  });

  const errors: Readonly<Record<string, [() => unknown, RegExp]>> = {
    'an unknown mode': [() => upsample('cubic' as 'linear', { scale: 2 }), /^upsample: the mode must be one of "nearest", "linear", "bilinear", "trilinear", got "cubic"$/],
    'neither scale nor size': [() => upsample('nearest', {}), /^upsample: give either "scale" or "size", got neither$/],
    'both scale and size': [() => upsample('nearest', { scale: 2, size: 4 }), /got both$/],
    'aligned corners of the nearest': [() => upsample('nearest', { scale: 2, alignCorners: true }), /mode "nearest" has no corners to align$/],
    'a negative scale': [() => upsample('linear', { scale: -1 }), /^upsample: option "scale": expected .*positive number.*, got -1$/],
    'sizes of another number of axes': [() => upsample('bilinear', { size: [2] }), /^upsample: size must be a number or 2 numbers, one for each axis, got \[2\]$/],
    'a factor of 0': [() => pixelShuffle(0), /^pixelShuffle: the factor must be a positive integer, got 0$/],
  }; // prettier-ignore
  for (const [name, [make, message]] of Object.entries(errors)) {
    it(`refuses ${name}`, () => {
      expect(make).to.throw(TypeError, message);
    });
  }

  it('names an input that does not fit', () => {
    expect(() => run(upsample('bilinear', { scale: 2 }), tf.zeros([1, 2, 1]))).to.throw(
      'Upsample(bilinear, scale=2): expected an input with 4 axes, got shape [1, 2, 1]',
    );
    expect(() => run(upsample('linear', { scale: 0.1 }), tf.zeros([1, 2, 1]))).to.throw('nothing is left');
  });
});

describe('pixelShuffle', () => {
  it('puts channel (c r + i) r + j at row i and column j of channel c', () => {
    const [height, width, r, channels] = [2, 3, 2, 2];
    const x = tf.reshape(tf.range(0, height * width * channels * r * r), [1, height, width, channels * r * r]);
    const y = run(pixelShuffle(r), x);
    expect(y.shape).to.deep.equal([1, height * r, width * r, channels]);
    const [from, to] = [x.dataSync(), y.dataSync()];
    for (let h = 0; h < height * r; h++) {
      for (let w = 0; w < width * r; w++) {
        for (let c = 0; c < channels; c++) {
          const source = (Math.floor(h / r) * width + Math.floor(w / r)) * channels * r * r;
          expect(to[(h * width * r + w) * channels + c]).to.equal(from[source + (c * r + (h % r)) * r + (w % r)]);
        }
      }
    }
  });

  it('gives the shape of Lux.jl, and works along one and three axes', () => {
    // Lux.jl, test/core_layers/conv_tests.jl: (3, 4, 27, 3) with factor 3, features before batch there.
    expect(run(pixelShuffle(3), tf.zeros([3, 4, 3, 27])).shape).to.deep.equal([3, 12, 9, 3]);
    expectClose(run(pixelShuffle(3), constant([1, 2, 3, 4, 5, 6], [1, 2, 3])), [1, 2, 3, 4, 5, 6], close);
    const volume = run(pixelShuffle(2), constant([0, 1, 2, 3, 4, 5, 6, 7], [1, 1, 1, 1, 8]));
    expect(volume.shape).to.deep.equal([1, 2, 2, 2, 1]);
    expectClose(volume, [0, 1, 2, 3, 4, 5, 6, 7], close);
  });

  it('names channels that do not divide', () => {
    expect(() => run(pixelShuffle(2), tf.zeros([1, 2, 2, 6]))).to.throw(
      'PixelShuffle(2): expected a multiple of 4 channels in the last axis, got shape [1, 2, 2, 6]',
    );
  });
});
