import '../../support/backend.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { after, afterEach, before, describe, it } from 'mocha';
import { BackendError, backendReport, useBackend } from '../../../src/backend/index.js';
import { availableThreads } from '../../../src/core/host.js';
import { OptionError } from '../../../src/core/options.js';
import { compile, explain, type Tensor } from '../../../src/index.js';
import { NullclineBackend } from '../../../src/wasm/backend.js';
import { odeProblem, solve, tsit5 } from '../../../solvers/index.js';
import { isFloat64 } from '../../support/precision.js';

const own = (): NullclineBackend => tf.backend() as unknown as NullclineBackend;
const precision = isFloat64 ? 'float64' : 'float32';

describe('threads of the compiled backend', () => {
  let active: string;
  before(() => {
    active = tf.getBackend();
  });
  afterEach(async () => {
    await useBackend('nullcline', { precision });
  });
  after(async () => {
    await tf.setBackend(active);
  });

  it('are as many as asked for, but never more than the machine runs', async () => {
    await useBackend('nullcline', { precision, threads: 2 });
    expect(own().threads).to.equal(Math.min(2, availableThreads()));
    await useBackend('auto', { precision, threads: 1000 });
    expect(own().threads).to.equal(availableThreads());
    const { backends } = await backendReport();
    const device = backends.find(({ chosen }) => chosen)?.device;
    if (!isFloat64 && availableThreads() > 1) expect(device).to.include(`CPU, ${availableThreads()} threads`);
    await useBackend('nullcline', { precision });
    expect(own().threads).to.equal(1);
    expect(own().heap.isShared).to.equal(false);
  });

  it('are refused where they make no sense', async () => {
    for (const threads of [0, -1, 1.5, NaN, Infinity, '2' as never, null as never]) {
      const error = await useBackend('nullcline', { precision, threads }).catch((e: unknown) => e);
      expect(error, String(threads)).to.be.instanceOf(OptionError);
      expect((error as Error).message).to.match(/useBackend: option "threads": expected a positive integer, got /);
    }
    const error = await useBackend('cpu', { threads: 2 }).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(BackendError);
    expect((error as Error).message).to.equal('backend "cpu" has no option threads; backend "nullcline" has');
  });

  it('may end: what was compiled for them goes on, with one warning and the same numbers', async function () {
    if (availableThreads() < 2) this.skip();
    await useBackend('nullcline', { precision, threads: 2 });
    const { warn } = console;
    const warnings: string[] = [];
    console.warn = (message: string) => warnings.push(message);
    try {
      const x = tf.randomUniform([150, 140], -1, 1, 'float32', 5);
      const product = compile((v: Tensor) => tf.tanh(tf.matMul(v, v, true, false)));
      const result = (): Float32Array => tf.tidy(() => product(x).dataSync() as Float32Array);
      const expected = result();
      own().team?.endWorker(0);
      for (const end = performance.now() + 30_000; warnings.length === 0 && performance.now() < end;) {
        expect(result()).to.deep.equal(expected);
      }
      expect(result()).to.deep.equal(expected);
      expect(warnings).to.have.length(1);
      expect(warnings[0]).to.match(/worker thread 1 ended \(.*\); 1 of 2 threads go on/);
      product.dispose();
      x.dispose();
    } finally {
      console.warn = warn;
    }
  });

  it('come and go under tensors, compiled functions and solves that live on', async () => {
    await useBackend('nullcline', { precision });
    const before = tf.memory().numTensors;
    const x = tf.randomUniform([120, 130], -1, 1, 'float32', 3);
    const w = tf.tidy(() => tf.variable(tf.randomUniform([130, 130], -0.1, 0.1, 'float32', 4)));
    const step = compile((v: Tensor) => tf.tanh(tf.matMul(v, w)));
    const problem = odeProblem((u: Tensor) => tf.sub(tf.tanh(tf.matMul(u, w)), u), x, [0, 1]);
    const flow = (): Tensor => solve(problem, tsit5(), { reltol: 1e-3, abstol: 1e-4 }).u;
    const results: (Float32Array | Int32Array | Uint8Array)[][] = [];
    for (const threads of [1, 3, 2, 1, 2]) {
      own().useThreads(threads);
      results.push(tf.tidy(() => [x, step(x), step(step(x)), tf.matMul(x, w), tf.sum(tf.exp(x), 0), flow()].map((y) => y.dataSync()))); // prettier-ignore
    }
    for (const [i, values] of results.entries()) expect(values, `the ${i + 1}th number of threads`).to.deep.equal(results[0]); // prettier-ignore
    const text = explain(step, x);
    expect(text).to.match(/kernels \(\d+ on 2 threads\)/);
    tf.dispose([x, w]);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('give what is read as arrays of its own', () => {
    own().useThreads(2);
    const x = tf.tensor1d([1, 2, 3]);
    const y = tf.exp(x);
    for (const values of [x.dataSync(), y.dataSync(), y.bufferSync().values, tf.unique(x).values.dataSync()]) {
      expect(values.buffer instanceof SharedArrayBuffer).to.equal(false);
    }
    expect(tf.tensor(['a', 'é']).dataSync()).to.deep.equal(['a', 'é']);
  });

  it('compute many small programs as one thread does', () => {
    own().useThreads(2);
    for (let n = 1; n <= 150; n++) {
      const f = compile((x: Tensor) => tf.sum(tf.square(x)));
      const y = tf.tidy(() => f(tf.range(0, n)).dataSync()[0]);
      expect(y).to.equal((n * (n - 1) * (2 * n - 1)) / 6);
    }
  });

  it('go on when memory grows', () => {
    own().useThreads(2);
    const f = compile((x: Tensor) => tf.mul(tf.matMul(x, x), 2));
    tf.tidy(() => {
      const x = tf.ones([200, 200]);
      const held: Tensor[] = [];
      const { size } = own().heap;
      while (own().heap.size < size + (40 << 20)) {
        const y = f(x);
        expect(y.dataSync().every((v) => v === 400)).to.equal(true);
        held.push(y, tf.zeros([256, 1024]));
      }
      expect(held[0].dataSync().every((v) => v === 400)).to.equal(true);
    });
  });
});
