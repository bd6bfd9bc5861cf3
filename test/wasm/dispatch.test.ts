import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { engineInternals } from '../../src/graph/engine.js';

const name = Float32Array.BYTES_PER_ELEMENT === 4 ? 'nullcline' : 'nullcline64';

describe(`operations on ${name} find their kernels`, () => {
  let previous: string;
  before(async () => {
    previous = tf.getBackend();
    await tf.setBackend(name);
  });
  after(async () => {
    await tf.setBackend(previous);
  });

  const sum = (): number => tf.tidy(() => tf.sum(tf.square(tf.tensor([1, 2, 3]))).dataSync()[0]);

  it('whether or not tfjs profiles or debugs', async () => {
    const { kernels, newTensors, result } = await tf.profile(() => tf.square(tf.tensor([3, 4])));
    expect(kernels.map((kernel) => kernel.name)).to.include('Square');
    expect(newTensors).to.equal(2);
    tf.dispose(result);
    const log = console.log;
    const lines: string[] = [];
    try {
      console.log = (line: string) => void lines.push(line);
      tf.env().set('DEBUG', true);
      expect(sum()).to.equal(14);
      await new Promise((resolve) => setTimeout(resolve, 5)); // tfjs waits for the time that a kernel took
    } finally {
      tf.env().set('DEBUG', false);
      console.log = log;
    }
    expect(
      lines.some((line) => line.includes('Square')),
      'logged',
    ).to.equal(true);
    expect(sum()).to.equal(14);
  });

  it('while tfjs records for a gradient', () => {
    const gradient = tf.tidy(() =>
      tf
        .grad((x) => tf.sum(tf.mul(tf.square(x), x)))(tf.tensor([1, 2]))
        .dataSync(),
    );
    expect(Array.from(gradient)).to.deep.equal([3, 12]);
  });

  it('that somebody has exchanged, at the next call', () => {
    const usual = tf.getKernel('Square', name);
    expect(sum()).to.equal(14);
    tf.unregisterKernel('Square', name);
    expect(() => sum()).to.throw(/'Square' not registered/);
    let calls = 0;
    tf.registerKernel({
      ...usual,
      kernelFunc: (args) => {
        calls++;
        return usual.kernelFunc(args);
      },
    });
    expect(sum()).to.equal(14);
    tf.unregisterKernel('Square', name);
    tf.registerKernel(usual);
    expect(sum()).to.equal(14);
    expect(calls).to.equal(1);
  });

  it('and leave the engine as it was when they fail', () => {
    const { state } = engineInternals();
    const { kernelDepth } = state;
    const { numTensors, numDataBuffers } = tf.memory();
    expect(() => tf.tidy(() => tf.gather(tf.tensor([1, 2]), tf.tensor1d([5], 'int32')))).to.throw(/not in/);
    expect(state.kernelDepth).to.equal(kernelDepth);
    expect(tf.memory()).to.include({ numTensors, numDataBuffers });
  });

  it('in tidy scopes of their own', () => {
    const { numTensors } = tf.memory();
    const y = tf.tidy(() => tf.add(tf.tensor([1]), 1));
    expect(tf.memory().numTensors).to.equal(numTensors + 1);
    y.dispose();
    expect(tf.memory().numTensors).to.equal(numTensors);
  });

  it('of another backend when that is active', async () => {
    await tf.setBackend('cpu');
    const x = tf.tensor([1, 2, 3]);
    expect(engineInternals().state.tensorInfo.get(x.dataId)?.backend).to.equal(tf.backend());
    x.dispose();
    expect(sum()).to.equal(14);
    await tf.setBackend(name);
    expect(sum()).to.equal(14);
  });
});
