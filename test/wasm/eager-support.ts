/** Operations one by one on the nullcline backends beside tfjs's cpu backend. */
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { NullclineBackend } from '../../src/wasm/backend.js';
import { expectClose } from '../support/close.js';
import { repeatable } from './compile-support.js';

// In a process whose Float32Array holds doubles the backend of singles does not exist.
export const suite = Float32Array.BYTES_PER_ELEMENT === 4 ? describe : describe.skip;

export type Shape = readonly number[];
export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

/** Multiples of 1/8, which every backend stores and adds exactly. */
export function eighths(shape: Shape, seed: number): tf.Tensor {
  const random = repeatable(seed);
  return tf.tensor(Array.from({ length: sizeOf(shape) }, () => Math.round(32 * random() - 16) / 8), [...shape]); // prettier-ignore
}
export const ints = (shape: Shape, seed: number): tf.Tensor =>
  tf.tidy(() => tf.cast(tf.mul(eighths(shape, seed), 8), 'int32'));
export const bools = (shape: Shape, seed: number): tf.Tensor => tf.tidy(() => tf.greater(eighths(shape, seed), 0));

export type Check = () => tf.Tensor | tf.Tensor[];

interface Outcome {
  readonly shape: number[];
  readonly dtype: tf.DataType;
  readonly values: ArrayLike<number>;
}

async function outcomes(backend: string, f: Check): Promise<Outcome[]> {
  await tf.setBackend(backend);
  return tf.tidy(() => [f()].flat().map((y) => ({ shape: y.shape, dtype: y.dtype, values: Array.from(y.dataSync()) })));
}

/** The same shapes, dtypes and values as on cpu, on each backend of ours; nothing is left in memory. */
export function compares(title: string, checks: Readonly<Record<string, Check>>): void {
  for (const name of ['nullcline', 'nullcline64']) {
    suite(`${title} on ${name}`, () => {
      let previous: string;
      before(() => {
        previous = tf.getBackend();
      });
      after(async () => {
        await tf.setBackend(previous);
      });
      for (const [what, f] of Object.entries(checks)) {
        it(what, async () => {
          const expected = await outcomes('cpu', f);
          const backend = tf.engine().findBackend(name) as NullclineBackend;
          await tf.setBackend(name);
          tf.tidy(() => void f()); // compiled, so that what is counted next is only the operations
          const state = () => ({ ...tf.memory(), heapSize: 0, ids: backend.numDataIds() });
          const start = state();
          const found = await outcomes(name, f);
          expect(state()).to.deep.equal(start);
          expect(found.map(({ shape, dtype }) => ({ shape, dtype }))).to.deep.equal(expected.map(({ shape, dtype }) => ({ shape, dtype }))); // prettier-ignore
          found.forEach(({ values }, i) => {
            expectClose(values, expected[i].values, { rtol: 2e-6, atol: 2e-6 }, `${what}, result ${i}`); // prettier-ignore
          });
        });
      }
    });
  }
}
