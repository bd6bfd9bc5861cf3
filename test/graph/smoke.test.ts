import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { describe, it } from 'mocha';
import { grad } from '../../src/graph/transform.js';
import { centralDifference } from '../support/differences.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

describe('second derivatives', () => {
  it('of silu at 0.7 is 0.3912206', () => {
    const silu = (x: tf.Tensor) => tf.sum(tf.mul(x, tf.sigmoid(x)));
    const g2 = (x: tf.Tensor) => grad(grad(silu))(x);
    const s=1/(1+Math.exp(-0.7)); const exact= s*(1-s)*(2+0.7*(1-2*s));
    expectClose(g2(tf.scalar(0.7)), exact, { rtol: tolerance({ float32: 1e-6, float64: 1e-14 }) });
    expectClose(g2(tf.scalar(0.7)), centralDifference((x) => grad(silu)(x), tf.scalar(0.7)), { rtol: tolerance({ float32: 1e-3, float64: 1e-9 }) });
  });
});
