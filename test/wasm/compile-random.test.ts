import '../support/backend.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { interpreter } from '../../src/graph/interpret.js';
import { bernoulli, foldIn, normal, randint, split, truncatedNormal, uniform, type Key } from '../../src/index.js';
import { hostCalls, I } from './compile-cases.js';
import { compiledBackend, runOn, trace } from './compile-support.js';

type Draw = (key: Key, shape: number[]) => tf.Tensor | tf.Tensor[];

const DRAWS: Readonly<Record<string, Draw>> = {
  uniform: (key, shape) => uniform(key, shape),
  'uniform between bounds': (key, shape) => uniform(key, shape, { minval: -1.3, maxval: 2.7 }),
  bernoulli: (key, shape) => [0, 0.2, 0.5, 1, 1 / 3].map((p) => bernoulli(key, p, shape)),
  integers: (key, shape) => [randint(key, shape, -7, 12), randint(key, shape, -(2 ** 31), 2 ** 31)],
  normal: (key, shape) => [normal(key, shape), normal(key, shape, { mean: -2, std: 0.3 })],
  'truncated normal': (key, shape) => [
    truncatedNormal(key, shape),
    truncatedNormal(key, shape, { mean: 1, std: 2, lower: 2, upper: 9 }),
    truncatedNormal(key, shape, { lower: -5, upper: -1 }),
  ],
  keys: (key) => [...split(key, 5), ...split(key, 2), foldIn(key, 2 ** 32 + 5), foldIn(key, 4_000_000_000)],
  'keys of keys': (key, shape) => {
    const [a, b] = split(key);
    return [uniform(foldIn(a, 3), shape), ...split(split(b)[1], 3), normal(b, shape)];
  },
};

describe('compiled random numbers', () => {
  for (const [what, draw] of Object.entries(DRAWS)) {
    for (const name of ['nullcline', 'nullcline64'] as const) {
      it(`${what}: bit for bit those of the host, on ${name}`, () => {
        const backend = compiledBackend(name);
        for (const shape of [[1], [2], [3], [4], [5, 7], [1001], [0]]) {
          const graph = trace(([key]) => draw(key as Key, shape), [I(2)]);
          expect(hostCalls(graph), 'host calls').to.deep.equal([]);
          for (const key of [Int32Array.of(0, 0), Int32Array.of(-1, 12345), Int32Array.of(0x13198a2e, 0x03707344)]) {
            const oneByOne = interpreter.prepare(graph, backend, name);
            const expected = runOn(graph, [key], name, oneByOne);
            oneByOne.dispose();
            runOn(graph, [key], name).forEach((y, i) => {
              expect(Array.from(y), `output ${i} of shape [${shape.join()}]`).to.deep.equal(Array.from(expected[i]));
            });
          }
        }
      });
    }
  }
});
