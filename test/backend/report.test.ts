import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { backendReport, BackendError, readsSynchronously, useBackend } from '../../src/backend/index.js';
import { reportFrom } from '../../src/backend/report.js';
import { chooseBackend } from '../../src/backend/use-backend.js';
import { isFloat64 } from '../support/precision.js';

const rejection = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error as Error,
  );

describe('backendReport', () => {
  let active: string;
  before(() => {
    active = tf.getBackend();
  });
  after(async () => {
    await tf.setBackend(active);
  });

  it('lists every backend with its state, and leaves the active one active', async () => {
    await useBackend('nullcline', { precision: 'float64' });
    const tensors = tf.memory().numTensors;
    const { backends, chosen } = await backendReport();
    expect(tf.getBackend()).to.equal('nullcline64');
    expect(tf.memory().numTensors).to.equal(tensors);
    expect(chosen).to.equal('nullcline');
    const names = ['nullcline', 'cpu', 'wasm', 'tensorflow', 'tensorflow-gpu', 'webgl', 'webgpu'];
    expect(backends.map(({ name }) => name)).to.deep.equal(names);
    expect(backends[0]).to.deep.include({
      precision: ['float32', 'float64'],
      usable: true,
      reason: 'asked for by name',
    });
    expect(backends[2]).to.include({ installed: true, usable: true, reading: 'synchronous', reason: '' });
    for (const { usable, device, reason } of backends) expect(usable ? device : reason).to.not.equal('');
  });

  it('prints as a table with reasons below', async () => {
    await useBackend('cpu');
    const text = String(await backendReport());
    expect(text).to.match(/^ {2}backend +installed +usable +precision +reading +device$/m);
    expect(text).to.match(/^\* cpu +yes +yes +float32 +synchronous +CPU, one thread, JavaScript$/m);
    expect(text).to.match(/^tensorflow: backend "tensorflow" needs the package @tensorflow\/tfjs-node, /m);
    expect(
      Math.max(
        ...text
          .split('\n')
          .slice(9)
          .map((line) => line.length),
      ),
    ).to.be.at.most(104);
  });
});

describe('a backend that is not complete', () => {
  afterEach(async () => {
    await tf.setBackend('cpu');
  });

  it('is lent the kernels it lacks: wasm', async function () {
    if (isFloat64) this.skip(); // tfjs's wasm backend knows only single precision
    await useBackend('wasm');
    const before = tf.memory().numTensors;
    const sums = tf.tidy(() => {
      const rows = tf.tensor2d([[1, 2], [3, 4], [5, 6]]); // prettier-ignore
      return Array.from(tf.unsortedSegmentSum(rows, tf.tensor1d([1, 0, 1], 'int32'), 2).dataSync());
    });
    expect(sums).to.deep.equal([3, 4, 6, 8]);
    expect(tf.memory().numTensors).to.equal(before);
    expect(tf.memory().numDataBuffers).to.be.at.most(tf.memory().numTensors);
    expect(readsSynchronously()).to.equal(true);
  });
});

describe("useBackend('webgl')", () => {
  it('says that it needs a browser, and in one names the package to install', async () => {
    const absent = (name: string): Promise<never> =>
      Promise.reject(Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' }));
    const error = await rejection(chooseBackend('webgl', {}, absent));
    expect(error).to.be.instanceOf(BackendError);
    expect(error.message).to.match(/^backend "webgl" runs in browsers only; on this machine "webgpu" uses a GPU$/);
    // What tfjs tells a browser by.
    const host = globalThis as { window?: unknown };
    host.window = { document: {} };
    try {
      expect((await rejection(chooseBackend('webgl', {}, absent))).message).to.equal(
        'backend "webgl" needs the package @tensorflow/tfjs-backend-webgl, which is not installed. Install it with: npm install @tensorflow/tfjs-backend-webgl',
      );
    } finally {
      delete host.window;
    }
    const { backends } = await reportFrom(absent);
    expect(backends.find(({ name }) => name === 'webgl')).to.include({ installed: false, usable: false });
    // The package registers its backend in browsers only.
    expect((await rejection(useBackend('webgl'))).message).to.match(/^backend "webgl" runs in browsers only/);
  });
});

describe("useBackend('webgpu')", () => {
  const absent = (name: string): Promise<never> =>
    Promise.reject(Object.assign(new Error(`Cannot find package '${name}' imported from here`), { code: 'ERR_MODULE_NOT_FOUND' })); // prettier-ignore

  /** npm `webgpu` with a device, or without one. */
  const dawn = (adapter: object | null) => ({
    create: () => ({ requestAdapter: () => Promise.resolve(adapter) }),
    globals: { GPUBufferUsage: { STORAGE: 128 } },
  });

  const taken = (): unknown => (globalThis as { navigator?: { gpu?: unknown } }).navigator?.gpu;

  afterEach(() => {
    const { navigator } = globalThis as { navigator?: object };
    if (navigator !== undefined) Reflect.deleteProperty(navigator, 'gpu');
  });

  it('names both packages to install', async () => {
    const error = await rejection(chooseBackend('webgpu', {}, absent));
    expect(error).to.be.instanceOf(BackendError);
    expect(error.message).to.match(/needs the package webgpu .*npm install webgpu @tensorflow\/tfjs-backend-webgpu$/);
    const half = (name: string): Promise<unknown> => (name === 'webgpu' ? Promise.resolve(dawn({})) : absent(name));
    expect((await rejection(chooseBackend('webgpu', {}, half))).message).to.match(
      /needs the package @tensorflow\/tfjs-backend-webgpu\. Install it with: npm install @tensorflow\/tfjs-backend-webgpu$/,
    );
  });

  it('says so where there is no adapter, and leaves no navigator.gpu behind', async () => {
    const from = (name: string): Promise<unknown> => (name === 'webgpu' ? Promise.resolve(dawn(null)) : absent(name));
    const { message } = await rejection(chooseBackend('webgpu', {}, from));
    expect(message).to.match(/^backend "webgpu" found no GPU adapter: /);
    if (process.platform === 'linux') expect(message).to.match(/libvulkan\.so\.1 .* Mesa 22\.3 is too old/);
    expect(taken()).to.equal(undefined);
    const { backends } = await reportFrom(from);
    expect(backends.find(({ name }) => name === 'webgpu')).to.include({ installed: true, usable: false, reading: 'unknown' }); // prettier-ignore
  });

  it('says that the package came too early, where tfjs did not take the backend', async function () {
    if (tf.engine().backendNames().includes('webgpu')) this.skip();
    const from = (name: string): Promise<unknown> => Promise.resolve(name === 'webgpu' ? dawn({}) : {});
    expect((await rejection(chooseBackend('webgpu', {}, from))).message).to.match(/had been loaded before there was a navigator/); // prettier-ignore
    expect(taken()).to.not.equal(undefined);
  });
});
