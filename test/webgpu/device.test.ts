/**
 * What goes wrong on WebGPU is said: reading at once, what the device refuses, and a device that is gone.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { backendReport, BackendError, readsSynchronously, useBackend } from '../../src/index.js';
import { watchWebGPU } from '../../src/backend/webgpu.js';

const rejection = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error as Error,
  );

describe('the WebGPU backend', () => {
  before(async () => {
    expect(await useBackend('webgpu')).to.equal('webgpu');
  });

  it('computes, and is read as a promise', async () => {
    const x = tf.tensor<tf.Rank.R2>([1, 2, 3, 4], [2, 2]);
    const y = tf.matMul(x, x);
    expect(await y.array()).to.deep.equal([[7, 10], [15, 22]]); // prettier-ignore
    tf.dispose([x, y]);
  });

  it('says what to do instead of reading at once', () => {
    const x = tf.square(tf.tensor1d([1, 2]));
    expect(() => x.dataSync()).to.throw(BackendError, /"webgpu" cannot be read synchronously here.*await tensor\.data\(\)/); // prettier-ignore
    expect(readsSynchronously()).to.equal(false);
    x.dispose();
  });

  it('throws at the next reading what the device refused, once', async () => {
    // tfjs's Pad of rank 6 is no valid program.
    const x = tf.zeros([2, 1, 1, 1, 1, 2]);
    const padded = tf.pad(x, [[1, 1], [0, 0], [0, 0], [0, 0], [0, 0], [1, 1]]); // prettier-ignore
    const error = await rejection(padded.data());
    expect(error).to.be.instanceOf(BackendError);
    expect(error.message).to.match(/the device reported an error \(.+\); what was computed since/);
    const y = tf.square(tf.tensor1d([3]));
    expect((await y.data())[0]).to.equal(9);
    tf.dispose([x, padded, y]);
  });

  it('reports the device and that it is read asynchronously', async () => {
    const { backends, chosen } = await backendReport();
    const line = backends.find(({ name }) => name === 'webgpu');
    expect(chosen).to.equal('webgpu');
    expect(line).to.include({ usable: true, installed: true, chosen: true, reading: 'asynchronous' });
    expect(line?.device).to.not.equal('');
    expect(tf.getBackend()).to.equal('webgpu');
  });

  it('says at every reading that the device is lost or out of memory', async () => {
    const listeners: ((event: { error: Error }) => void)[] = [];
    let lose: (info: { reason: string; message: string }) => void = () => undefined;
    const fake = {
      device: {
        lost: new Promise((resolve) => (lose = resolve)),
        addEventListener: (_: string, f: (event: { error: Error }) => void) => listeners.push(f),
      },
      read: () => Promise.resolve(Float32Array.of(1)),
      readSync: () => Float32Array.of(1),
    };
    watchWebGPU(fake as unknown as tf.KernelBackend);
    class GPUOutOfMemoryError extends Error {}
    listeners[0]({ error: new GPUOutOfMemoryError('4 GB wanted') });
    expect((await rejection(fake.read())).message).to.match(/out of device memory \(4 GB wanted\)/);
    expect(await fake.read()).to.deep.equal(Float32Array.of(1));
    lose({ reason: 'unknown', message: 'the driver was reset' });
    await Promise.resolve();
    for (let i = 0; i < 2; i++) {
      expect((await rejection(fake.read())).message).to.match(/the device was lost \(unknown: the driver was reset\)/);
    }
  });
});
