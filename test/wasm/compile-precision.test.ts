import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { compile, constant, grad, OptionError, useBackend } from '../../src/index.js';

describe('compile with a precision of its own', () => {
  it('computes in doubles on whichever backend is active, and hands doubles on', async () => {
    await useBackend('nullcline');
    for (const active of ['cpu', 'nullcline', 'nullcline64']) {
      await tf.setBackend(active);
      const before = tf.memory().numTensors;
      const x = tf.scalar(0.5); // exact in both
      const third = compile((t: tf.Tensor) => tf.div(t, constant(1.5)), { precision: 'float64' });
      const y = third(x);
      expect(y.dataSync()[0], active).to.equal(1 / 3);
      const again = third(y);
      expect(again.dataSync()[0], active).to.equal(1 / 3 / 1.5);
      expect(tf.getBackend()).to.equal(active);
      tf.dispose([x, y, again]);
      expect(tf.memory().numTensors).to.equal(before);
    }
    await tf.setBackend('cpu');
  });

  it('differentiates there, and an operation outside rounds what it takes', async () => {
    await tf.setBackend('nullcline');
    const slope = compile(
      grad((t: tf.Tensor) => tf.exp(t)),
      { precision: 'float64' },
    );
    tf.tidy(() => {
      const y = slope(tf.scalar(1));
      expect(y.dataSync()[0]).to.be.closeTo(Math.E, 1e-15);
      expect(tf.neg(y).dataSync()[0]).to.equal(-Math.fround(Math.E));
    });
    await tf.setBackend('cpu');
  });

  it('is differentiated there by the tape of tfjs, too', async () => {
    await tf.setBackend('cpu');
    const f = compile((t: tf.Tensor) => tf.exp(t), { precision: 'float64' });
    tf.tidy(() => {
      expect(
        tf
          .grad((t) => f(t))(tf.scalar(1))
          .dataSync()[0],
      ).to.be.closeTo(Math.E, 1e-15);
    });
  });

  it('refuses another', () => {
    expect(() => compile((x: tf.Tensor) => x, { precision: 'float16' as never })).to.throw(OptionError, /precision/);
  });
});
