import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { BackendError, useBackend } from '../../src/backend/index.js';
import { constant } from '../../src/core/constant.js';
import { registerNullcline } from '../../src/wasm/register.js';

const suite = Float32Array.BYTES_PER_ELEMENT === 4 ? describe : describe.skip;

suite("useBackend('nullcline')", () => {
  let active: string;
  before(() => {
    active = tf.getBackend();
  });
  after(async () => {
    await tf.setBackend(active);
  });

  it('computes in the precision asked for', async () => {
    expect(await useBackend('nullcline')).to.equal('nullcline');
    expect(tf.getBackend()).to.equal('nullcline');
    const single = constant(0.1);
    expect(single.dataSync()[0]).to.equal(Math.fround(0.1));
    expect(await useBackend('nullcline', { precision: 'float64' })).to.equal('nullcline');
    expect(tf.getBackend()).to.equal('nullcline64');
    const double = constant(0.1);
    expect(double.dataSync()[0]).to.equal(0.1);
    expect(await useBackend('nullcline', { precision: 'float32' })).to.equal('nullcline');
    expect(tf.getBackend()).to.equal('nullcline');
    expect(tf.mul(double, 1).dataSync()[0], 'a double that moved').to.equal(Math.fround(0.1));
    tf.dispose([single, double]);
  });

  it('does not promise doubles elsewhere', async () => {
    for (const name of ['cpu', 'wasm'] as const) {
      const error = await useBackend(name, { precision: 'float64' }).catch((e: unknown) => e);
      expect(error, name).to.be.instanceOf(BackendError);
      expect((error as Error).message).to.match(/computes in float32; backend "nullcline" stores float64/);
    }
  });

  it('takes back what it hands out', async () => {
    await useBackend('nullcline', { precision: 'float64' });
    const x = constant([[0.5, 2]]);
    const y = tf.tensor(x.dataSync(), x.shape);
    expect(y.dtype).to.equal('float32');
    expect(y.arraySync()).to.deep.equal([[0.5, 2]]);
    tf.dispose([x, y]);
  });

  it('registers once', () => {
    const kernels = tf.getKernelsForBackend('nullcline').length;
    registerNullcline();
    expect(tf.getKernelsForBackend('nullcline').length).to.equal(kernels);
    expect(kernels).to.be.at.least(170); // the cpu backend has 172 of its own
    expect(tf.engine().backendNames().filter((name) => name.startsWith('nullcline'))).to.deep.equal(['nullcline', 'nullcline64']); // prettier-ignore
  });
});
