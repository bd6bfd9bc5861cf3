import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { BackendError, useBackend } from '../../src/backend/index.js';

async function rejection(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error as Error,
  );
}

describe('useBackend', () => {
  let active: string;
  before(() => {
    active = tf.getBackend();
  });
  after(async () => {
    await tf.setBackend(active);
  });

  it('chooses the backend asked for', async () => {
    expect(await useBackend('cpu')).to.equal('cpu');
    expect(tf.getBackend()).to.equal('cpu');
  });

  it('auto takes the compiled backend where nothing native is installed', async () => {
    expect(await useBackend()).to.equal('nullcline');
    expect(tf.getBackend()).to.equal('nullcline');
  });

  it('names the package to install for one that is missing', async () => {
    const error = await rejection(useBackend('tensorflow'));
    expect(error).to.be.instanceOf(BackendError);
    expect(error.message).to.match(/backend "tensorflow" needs the package @tensorflow\/tfjs-node/);
    expect(error.message).to.include('npm install @tensorflow/tfjs-node');
    expect((await rejection(useBackend('tensorflow-gpu'))).message).to.include('@tensorflow/tfjs-node-gpu');
  });

  it('refuses an unknown name and a precision it does not have', async () => {
    expect((await rejection(useBackend('gpu' as never))).message).to.match(/unknown backend "gpu"; known: auto, /);
    expect((await rejection(useBackend({ threads: 2 } as never))).message).to.equal(
      'useBackend: the first argument must be a name, got an object {threads}; useBackend(name, options)',
    );
    expect((await rejection(useBackend('cpu', { precision: 'float64' }))).message).to.match(/float32/);
    expect((await rejection(useBackend('cpu', { precision: 'double' as never }))).message).to.match(
      /precision.*float64/s,
    );
    const misspelt = { precison: 'float64' } as never;
    expect((await rejection(useBackend('nullcline', misspelt))).message).to.match(/did you mean "precision"/);
  });

  it('auto takes the backend that stores doubles where these are asked for', async () => {
    expect(await useBackend('auto', { precision: 'float64' })).to.equal('nullcline');
    expect(tf.backend().floatPrecision()).to.equal(64);
    await tf.setBackend('cpu');
  });
});
