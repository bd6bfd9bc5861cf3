/** What happens while a run waits for its numbers: other runs, other backends, and programs that are let go. */
import { testBackend } from '../../support/backend.js';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { compile, constant, grad, type Tensor } from '../../../src/index.js';
import { odeProblem, solve, tsit5 } from '../../../solvers/index.js';
import { expectClose } from '../../support/close.js';
import { isFloat64, tolerance } from '../../support/precision.js';

const close = { rtol: tolerance({ float32: 1e-4, float64: 1e-6 }) };
const field = (u: Tensor, rate: Tensor, t: Tensor): Tensor => tf.mul(tf.mul(u, rate), tf.cos(t));
/** d/drate of u0 exp(rate sin 2), summed: u0 sin 2 exp(rate sin 2). */
const slope = (u0: Tensor, rate: Tensor): Tensor =>
  grad((r: Tensor) => tf.sum(solve(odeProblem(field, u0, [0, 2], r), tsit5(), { reltol: 1e-7, abstol: 1e-9 }).u))(rate);
const exact = (u0: number[], rate: number): number =>
  u0.reduce((sum, x) => sum + x * Math.sin(2) * Math.exp(rate * Math.sin(2)), 0);

describe('while a run waits for numbers', () => {
  const marks = ['device', 'queue'] as const;
  beforeEach(function () {
    if (testBackend !== 'cpu') this.skip();
    for (const mark of marks) Object.defineProperty(tf.backend(), mark, { value: {}, configurable: true });
  });
  afterEach(async () => {
    await tf.setBackend(testBackend);
    for (const mark of marks) Reflect.deleteProperty(tf.backend(), mark);
  });

  it('the same function may run again', async () => {
    const run = compile(slope);
    const u0 = constant([1, 2]);
    const rates = [0.3, 0.5, 0.7];
    const results = await Promise.all(rates.map((rate) => run.async(u0, constant(rate))));
    for (const [i, g] of results.entries()) expectClose(await g.data(), [exact([1, 2], rates[i])], close);
    expect(run.stats.traces).to.equal(1);
    tf.dispose([u0, ...results]);
  });

  it('its program may be forgotten: it is freed afterwards', async () => {
    const run = compile(slope, { maxSignatures: 1 });
    const backend = tf.backend();
    const starts = [[1, 2], [1, 2, 3], [1]].map((x) => constant(x)); // prettier-ignore
    const rate = constant(0.5);
    const before = backend.numDataIds();
    const results = await Promise.all(starts.map((u0) => run.async(u0, rate)));
    const sums = [[1, 2], [1, 2, 3], [1]].map((x) => exact(x, 0.5)); // prettier-ignore
    for (const [i, g] of results.entries()) expectClose(await g.data(), [sums[i]], close);
    run.programFor(starts[2], rate).dispose();
    tf.dispose(results);
    expect(backend.numDataIds()).to.equal(before);
    tf.dispose([rate, ...starts]);
  });

  it('another backend may become active', async () => {
    const run = compile(slope);
    const [u0, rate] = [constant([1, 2]), constant(0.5)];
    const running = run.async(u0, rate);
    await tf.setBackend(isFloat64 ? 'nullcline64' : 'nullcline');
    const g = await running;
    expect(tf.getBackend()).to.match(/^nullcline/);
    await tf.setBackend(testBackend);
    expectClose(await g.data(), [exact([1, 2], 0.5)], close);
    tf.dispose([u0, rate, g]);
  });
});
