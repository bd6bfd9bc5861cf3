/**
 * Products that tfjs's wasm backend gets wrong by itself: compared with its cpu backend.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { afterEach, describe, it } from 'mocha';
import { useBackend, type Tensor } from '../../src/index.js';
import { testBackend } from '../support/backend.js';
import { expectClose } from '../support/close.js';
import { isFloat64 } from '../support/precision.js';

const waves = (...shape: number[]): Tensor =>
  tf.tensor(
    Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => Math.sin(1.3 * i + shape.length)),
    shape,
  );

const PRODUCTS: Readonly<Record<string, () => Tensor>> = {
  'one vector as a row, then as a column': () => {
    const v = waves(1, 6);
    return tf.add(tf.sum(tf.matMul(waves(4, 1), v)), tf.matMul(waves(4, 6), tf.reshape(v, [6, 1])));
  },
  'one matrix in two shapes': () => {
    const m = waves(2, 6);
    return tf.add(tf.sum(tf.matMul(waves(4, 2), m)), tf.matMul(waves(4, 3), tf.reshape(m, [3, 4])));
  },
  'one matrix in one shape, twice': () => {
    const m = waves(2, 6);
    return tf.add(tf.matMul(waves(4, 2), m), tf.matMul(waves(4, 2), tf.mul(m, 2)));
  },
  'integers with floats': () => tf.matMul(tf.oneHot(tf.tensor1d([1, 0], 'int32'), 3), waves(3, 4)),
  'a bias after a long sum over a transposed operand': () =>
    tf.fused.matMul({ a: waves(2, 3, 100), b: waves(2, 5, 100), transposeB: true, bias: waves(5) }),
  'an activation after a long sum over a transposed operand': () =>
    tf.fused.matMul({ a: waves(1, 3, 100), b: waves(1, 5, 100), transposeB: true, activation: 'relu' }),
};

describe('products on the wasm backend', () => {
  afterEach(() => tf.setBackend(testBackend));

  for (const [name, product] of Object.entries(PRODUCTS)) {
    it(name, async function () {
      if (isFloat64) this.skip(); // tfjs's wasm backend knows only single precision
      const values: Float32Array[] = [];
      for (const backend of ['cpu', 'wasm'] as const) {
        await useBackend(backend);
        values.push(tf.tidy(() => product().dataSync<'float32'>()));
      }
      expectClose(values[1], values[0], { rtol: 1e-5, atol: 1e-5 }, name);
    });
  }
});
