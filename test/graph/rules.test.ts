import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findRule } from '../../src/graph/rules/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

/** The cotangent of the kernel's one input. */
function cotangent(kernel: string, name: string, x: tf.Tensor, y: tf.Tensor, dy: tf.Tensor, attrs = {}): tf.Tensor {
  return findRule(kernel)!({ inputs: { [name]: x }, outputs: [y], dys: [dy], attrs })[name]!()!;
}

describe('derivative rules', () => {
  it('there is one for every kernel that tfjs has a rule for, so that tfjs-core without its gradients will do', () => {
    const kernels = Object.values(tf).filter((name) => typeof name === 'string' && /^_?[A-Z]/.test(name)) as string[];
    const known = [...new Set(kernels)].filter((name) => (tf.getGradient(name) as unknown) != null);
    expect(known).to.have.length.above(90);
    expect(known.filter((name) => findRule(name) === undefined)).to.deep.equal([]);
  });

  // Kernels of native backends only: no operation on this one leads to them.
  it('log-softmax: central differences', () => {
    tf.tidy(() => {
      const at = [0.3, -1.2, 0.7, 2.1, 0.4, -0.6];
      const weights = tf.tensor2d([0.5, -1, 2, 1.5, 0.25, -0.75], [2, 3]);
      const loss = (values: number[]): number =>
        tf.sum(tf.mul(weights, tf.logSoftmax(tf.tensor2d(values, [2, 3])))).dataSync()[0];
      const h = tolerance({ float32: 1e-2, float64: 1e-5 });
      const expected = at.map((_, i) => {
        const [up, down] = [h, -h].map((by) => loss(at.map((v, j) => (i === j ? v + by : v))));
        return (up - down) / (2 * h);
      });
      const x = tf.tensor2d(at, [2, 3]);
      const found = cotangent('LogSoftmax', 'logits', x, tf.logSoftmax(x), weights, { axis: -1 });
      const close = tolerance({ float32: 2e-3, float64: 1e-9 });
      expectClose(found.dataSync(), expected, { rtol: close, atol: close });
    });
  });

  it('broadcast-to: what was copied is summed', () => {
    tf.tidy(() => {
      const dy = tf.tensor3d([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [2, 2, 3]);
      const found = cotangent('BroadcastTo', 'x', tf.zeros([2, 1]), dy, dy, { shape: [2, 2, 3] });
      expect(found.shape).to.deep.equal([2, 1]);
      expect(Array.from(found.dataSync())).to.deep.equal([1 + 2 + 3 + 7 + 8 + 9, 4 + 5 + 6 + 10 + 11 + 12]);
    });
  });
});
