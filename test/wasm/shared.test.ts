import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import type { Graph, Spec } from '../../src/graph/graph.js';
import { grad } from '../../src/graph/transform.js';
import { SharedPrograms, sharedPrograms } from '../../src/wasm/shared.js';
import { expectClose } from '../support/close.js';
import { isFloat64, tolerance } from '../support/precision.js';
import { compiledBackend, contextOf, trace } from './compile-support.js';

type Tensor = tf.Tensor;
const vector = (n: number): Spec => ({ shape: [n], dtype: 'float32' });
const close = { rtol: tolerance({ float32: 1e-6, float64: 1e-14 }) };
const name = isFloat64 ? 'nullcline64' : 'nullcline';

describe(`programs of equal graphs on ${name}`, () => {
  let previous: string;
  before(async () => {
    compiledBackend(name);
    previous = tf.getBackend();
    await tf.setBackend(name);
  });
  after(async () => {
    await tf.setBackend(previous);
  });

  /** How many programs `f` compiles, and how many it finds. */
  const counted = (f: () => void): { hits: number; misses: number } => {
    const { stats } = sharedPrograms(compiledBackend(name), name);
    const { hits, misses } = stats;
    f();
    return { hits: stats.hits - hits, misses: stats.misses - misses };
  };

  /** A function made anew at each call, run once. */
  const affine = (held: Tensor, factor: number, x: Tensor): number[] =>
    tf.tidy(() => Array.from(compile((v: Tensor) => tf.add(tf.mul(tf.exp(v), factor), held))(x).dataSync()));
  const expected = (held: number[], factor: number, x: number[]): number[] => x.map((v, i) => Math.exp(v) * factor + held[i]); // prettier-ignore

  it('is found again; a closure over other tensors computes with these', () => {
    const x = tf.tensor1d([0.25, -0.5]);
    const [a, b] = [tf.tensor1d([1, 2]), tf.tensor1d([-3, 5])];
    affine(a, 0.375, x);
    let results: number[] = [];
    expect(counted(() => (results = affine(b, 0.375, x)))).to.deep.equal({ hits: 1, misses: 0 });
    expectClose(results, expected([-3, 5], 0.375, [0.25, -0.5]), close);
    expect(counted(() => (results = affine(b, 0.625, x)))).to.deep.equal({ hits: 0, misses: 1 });
    expectClose(results, expected([-3, 5], 0.625, [0.25, -0.5]), close);
    const [longer, c] = [tf.tensor1d([0, 0, 1]), tf.tensor1d([1, 1, 1])];
    expect(counted(() => (results = affine(c, 0.375, longer)))).to.deep.equal({ hits: 0, misses: 1 });
    expectClose(results, expected([1, 1, 1], 0.375, [0, 0, 1]), close);
    tf.dispose([x, a, b, longer, c]);
  });

  it('serves gradients that are traced at each call', () => {
    const x = tf.tensor1d([0.25, -0.5]);
    const slope = (scale: Tensor): number[] =>
      tf.tidy(() => Array.from(grad((v: Tensor) => tf.sum(tf.mul(tf.square(v), scale)))(x).dataSync()));
    const [a, b] = [tf.tensor1d([1.5, 2.5]), tf.tensor1d([10, 20])];
    expectClose(slope(a), [0.75, -2.5]);
    let second: number[] = [];
    expect(counted(() => (second = slope(b)))).to.deep.equal({ hits: 1, misses: 0 });
    expectClose(second, [5, -20]);
    tf.dispose([x, a, b]);
  });

  it('may be in use by several functions at the same time', () => {
    const [a, b, x] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4]), tf.tensor1d([10, 20])];
    const made = [a, b].map((held) => compile((v: Tensor) => tf.sub(tf.mul(v, held), 0.0625)));
    for (let turn = 0; turn < 2; turn++) {
      tf.tidy(() => {
        expectClose(made[0](x), [9.9375, 39.9375]);
        expectClose(made[1](x), [29.9375, 79.9375]);
      });
    }
    made[0].programFor(x).dispose();
    tf.tidy(() => {
      expectClose(made[1](x), [29.9375, 79.9375]);
      expectClose(made[0](x), [9.9375, 39.9375]);
    });
    tf.dispose([a, b, x]);
  });

  describe('when nobody uses them', () => {
    const graph = (c: number, n = 16): Graph => trace(([x]) => tf.cumsum(tf.tanh(tf.mul(x, c))), [vector(n)]);
    const run = (programs: SharedPrograms, g: Graph): { users: number } => {
      const backend = compiledBackend(name);
      const program = programs.acquire(g);
      const compiled = program.idle.pop() ?? program.compile();
      const [{ shape }] = g.inputs;
      const x = { dataId: backend.write(new Float32Array(shape[0]), [...shape], 'float32'), shape: [...shape], dtype: 'float32' as const }; // prettier-ignore
      const results = compiled.run([x], [], contextOf(backend, name));
      for (const { dataId } of [x, ...results]) backend.disposeData(dataId);
      program.idle.push(compiled);
      programs.release(program);
      return program;
    };

    it('are kept while there is room, those used last the longest', () => {
      const backend = compiledBackend(name);
      const before = backend.heap.bytesInUse;
      const one = new SharedPrograms(backend, name);
      run(one, graph(1));
      const { bytes } = one.acquire(graph(1));
      const programs = new SharedPrograms(backend, name, { bytes: 2.5 * bytes, each: bytes });
      for (const c of [1, 2, 1, 3]) run(programs, graph(c));
      expect(programs.stats).to.deep.equal({ hits: 1, misses: 3 });
      run(programs, graph(1)); // still there
      run(programs, graph(2)); // the oldest had to go
      expect(programs.stats).to.deep.equal({ hits: 2, misses: 4 });
      expect(backend.heap.bytesInUse - before).to.be.at.most(4 * bytes);
    });

    it('are freed at once where they are large', () => {
      const backend = compiledBackend(name);
      const programs = new SharedPrograms(backend, name, { bytes: 2 ** 20, each: 2 ** 16 });
      run(programs, graph(1));
      const before = backend.heap.bytesInUse;
      run(programs, graph(1, 2 ** 16));
      expect(backend.heap.bytesInUse).to.equal(before);
      run(programs, graph(1)); // the others stay
      expect(programs.stats).to.deep.equal({ hits: 1, misses: 2 });
    });

    it('are not found again where constants are too large to compare', () => {
      const programs = new SharedPrograms(compiledBackend(name), name);
      const large = (): Graph =>
        trace(([x]) => tf.mul(x, tf.tensor1d(Array.from({ length: 4096 }, (_, i) => i))), [vector(4096)]);
      run(programs, large());
      run(programs, large());
      expect(programs.stats).to.deep.equal({ hits: 0, misses: 2 });
    });
  });
});
