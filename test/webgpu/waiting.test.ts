/**
 * Solves that must wait for numbers on WebGPU: steps that adapt and iterations that stop when they have converged, their
 * gradients, and training through them, as on the compiled backend.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile, disposeTree, leaves, valueAndGrad, type Tensor } from '../../src/index.js';
import { bs3, dopri5, odeProblem, solve, solveAsync, tsit5, type OdeOptions } from '../../solvers/index.js';
import { expectClose } from '../support/close.js';
import { CLOSE, read } from '../support/webgpu.js';

/** Lotka and Volterra's equations. */
const field = (u: Tensor, p: Tensor): Tensor => {
  const [x, y] = tf.split(u, 2);
  const [a, b, c, d] = tf.split(p, 4);
  return tf.concat([tf.mul(x, tf.sub(a, tf.mul(b, y))), tf.mul(y, tf.sub(tf.mul(d, x), c))]);
};

const start = (): [Tensor, Tensor] => [tf.tensor1d([1, 1.5]), tf.tensor1d([1.5, 1, 3, 1])];

/** What `f` gives on the compiled backend and on WebGPU; nothing is left on either. */
async function onBoth<T>(f: () => Promise<T>): Promise<[T, T]> {
  const results: T[] = [];
  for (const backend of ['nullcline', 'webgpu']) {
    await tf.setBackend(backend);
    const before = tf.memory().numTensors;
    results.push(await f());
    expect(tf.memory().numTensors - before, `tensors left on ${backend}`).to.equal(0);
  }
  return [results[0], results[1]];
}

const METHODS = { bs3, dopri5, tsit5 };
const FORMS: Readonly<Record<string, OdeOptions>> = {
  'the final state': { reltol: 1e-4, abstol: 1e-5 },
  'saved states': { reltol: 1e-4, abstol: 1e-5, saveAt: [0, 0.25, 0.5, 1.9, 2] },
};

describe('steps that adapt, waited for on WebGPU', () => {
  for (const [name, method] of Object.entries(METHODS)) {
    for (const [what, options] of Object.entries(FORMS)) {
      it(`${name}, ${what}: value and gradient`, async () => {
        const loss = (u0: Tensor, p: Tensor): Tensor =>
          tf.sum(tf.square(solve(odeProblem(field, u0, [0, 2], p), method(), options).u));
        const program = compile(valueAndGrad(loss, { argnums: [0, 1] }));
        const [expected, actual] = await onBoth(async () => {
          const given = start();
          const result = await program.async(...given);
          const values = await read(result);
          disposeTree([given, leaves(result)]);
          return values;
        });
        const scale = Math.max(...expected.map(Math.abs));
        expectClose(actual, expected, { rtol: 1e-4, atol: 1e-5 * scale });
      });
    }
  }

  it('solveAsync says what it took', async () => {
    const [expected, actual] = await onBoth(async () => {
      const [u0, p] = start();
      const { u, t, stats, retcode, statistics } = await solveAsync(odeProblem(field, u0, [0, 2], p), tsit5(), {
        saveAt: [1, 2],
      });
      const values = await read(u);
      disposeTree([u0, p, u, statistics]);
      return { values, t, stats, retcode };
    });
    expect(actual.retcode).to.equal('Success');
    expect(actual.t).to.deep.equal([1, 2]);
    expect(actual.stats).to.deep.equal(expected.stats);
    expectClose(actual.values, expected.values, CLOSE);
  });
});
