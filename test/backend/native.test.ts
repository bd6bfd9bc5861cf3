/**
 * The adapters of `@tensorflow/tfjs-node` and its GPU twin, against a stand-in with the surface that their loading shows:
 * a backend `tensorflow` registered at import, `isGPUPackage`, `isUsingGpuDevice` and the version of libtensorflow.
 * `npm run test:tensorflow` runs the suite on the real ones where they are installed.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { BackendError } from '../../src/backend/index.js';
import { restoreUtil } from '../../src/backend/native.js';
import { reportFrom } from '../../src/backend/report.js';
import { chooseBackend } from '../../src/backend/use-backend.js';

const rejection = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error as Error,
  );

const absent = (name: string): Promise<never> =>
  Promise.reject(Object.assign(new Error(`Cannot find package '${name}' imported from here`), { code: 'ERR_MODULE_NOT_FOUND' })); // prettier-ignore

const remove = (): void => {
  if (tf.engine().backendNames().includes('tensorflow')) tf.removeBackend('tensorflow');
};

/** Registers itself as tfjs-node does: tfjs's cpu backend under another name, with the fields of the native one. */
function standIn(fields: { isGPUPackage: boolean; isUsingGpuDevice: boolean }) {
  return (): Promise<unknown> => {
    const cpu = tf.findBackendFactory('cpu')() as tf.KernelBackend;
    const backend = Object.assign(cpu, fields, { binding: { TF_Version: '2.9.1' } });
    remove();
    tf.registerBackend('tensorflow', () => backend, 0);
    if (tf.getKernelsForBackend('tensorflow').length === 0) tf.copyRegisteredKernels('cpu', 'tensorflow');
    return Promise.resolve({});
  };
}

const only =
  (name: string, load: () => Promise<unknown>) =>
  (wanted: string): Promise<unknown> =>
    wanted === name ? load() : absent(wanted);

const GPU = '@tensorflow/tfjs-node-gpu';
const CPU = '@tensorflow/tfjs-node';

describe('TensorFlow through tfjs-node', () => {
  let active: string;
  before(() => {
    active = tf.getBackend();
  });
  afterEach(async () => {
    await tf.setBackend(active);
    remove();
  });
  after(() => {
    for (const { kernelName } of tf.getKernelsForBackend('tensorflow')) tf.unregisterKernel(kernelName, 'tensorflow');
  });

  it('is chosen by auto where it is installed, and computes', async () => {
    const from = only(CPU, standIn({ isGPUPackage: false, isUsingGpuDevice: false }));
    expect(await chooseBackend('auto', {}, from)).to.equal('tensorflow');
    expect(tf.getBackend()).to.equal('tensorflow');
    const x = tf.tensor1d([1, 2, 3]);
    const y = tf.square(x);
    expect(Array.from(y.dataSync())).to.deep.equal([1, 4, 9]);
    tf.dispose([x, y]);
    const report = await reportFrom(from);
    expect(report.chosen).to.equal('tensorflow');
    const line = report.backends.find(({ name }) => name === 'tensorflow');
    expect(line).to.include({ usable: true, chosen: true, reading: 'synchronous', device: 'CPU, libtensorflow 2.9.1' });
    expect(line?.reason).to.match(/^the first that works of those that 'auto' tries: tensorflow-gpu, tensorflow, /);
    expect(String(report)).to.match(/^\* tensorflow +yes +yes +float32 +synchronous +CPU, libtensorflow 2\.9\.1$/m);
  });

  it('prefers the GPU package, and says when that found no GPU', async () => {
    const there = only(GPU, standIn({ isGPUPackage: true, isUsingGpuDevice: true }));
    expect(await chooseBackend('auto', {}, there)).to.equal('tensorflow-gpu');
    const line = async (from: (name: string) => Promise<unknown>) =>
      (await reportFrom(from)).backends.find(({ name }) => name === 'tensorflow-gpu');
    expect((await line(there))?.device).to.equal('CUDA device, libtensorflow 2.9.1');
    const without = only(GPU, standIn({ isGPUPackage: true, isUsingGpuDevice: false }));
    await tf.setBackend('cpu');
    expect((await line(without))?.device).to.match(/^CPU, .* \(no GPU was found: it needs CUDA 11\.2 and cuDNN 8\.1\)/);
  });

  it('puts back what Node 23 removed from util before it loads the package', async () => {
    const util: Record<string, unknown> = {};
    restoreUtil(util);
    const { isNullOrUndefined, isArray } = util as Record<string, (x: unknown) => boolean>;
    expect([null, undefined, 0, ''].map(isNullOrUndefined)).to.deep.equal([true, true, false, false]);
    expect(isArray([])).to.equal(true);
    const own = (): boolean => true;
    const kept: Record<string, unknown> = { isArray: own };
    restoreUtil(kept);
    expect(kept.isArray).to.equal(own);
    let seen: unknown;
    const from = only(CPU, () => {
      seen = (process.getBuiltinModule('util') as unknown as Record<string, unknown>).isNullOrUndefined;
      return absent('something else');
    });
    await rejection(chooseBackend('tensorflow', {}, from));
    expect(seen).to.be.a('function');
  });

  it('names the cause when the package is there and does not load', async () => {
    const failing = (message: string) => chooseBackend('tensorflow-gpu', {}, only(GPU, () => Promise.reject(new Error(message)))); // prettier-ignore
    const cuda = await rejection(failing('libcudart.so.11.0: cannot open shared object file'));
    expect(cuda).to.be.instanceOf(BackendError);
    expect(cuda.message).to.match(/libraries of the GPU \(libcudart.*needs CUDA 11\.2 and cuDNN 8\.1.*"tensorflow"/);
    const binary = await rejection(
      failing('The Node.js native addon module (tfjs_binding.node) can not be found at path'),
    );
    expect(binary.message).to.match(
      /binaries .* missing or do not fit this Node.*npm rebuild @tensorflow\/tfjs-node-gpu/,
    );
    const other = await rejection(failing('out of ideas'));
    expect(other.message).to.match(/could not be loaded \(out of ideas\)\. Install it with: npm install/);
    const missing = await rejection(chooseBackend('tensorflow', {}, absent));
    expect(missing.message).to.match(/which is not installed\. Install it with: npm install @tensorflow\/tfjs-node$/);
  });
});
