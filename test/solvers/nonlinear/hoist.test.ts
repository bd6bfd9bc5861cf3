import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { hoist } from '../../../solvers/nonlinear/hoist.js';
import { Program } from '../../../src/graph/program.js';
import { traceGraph } from '../../../src/graph/trace.js';
import { expectClose } from '../../support/close.js';

const kernels = (graph: { nodes: readonly { kernel: string }[] } | null): string[] =>
  (graph?.nodes ?? []).map(({ kernel }) => kernel).filter((k) => !['Input', 'Constant'].includes(k));

const matrix = { shape: [2, 2], dtype: 'float32' } as const;

describe('hoisting', () => {
  it('computes what does not change once, and gives the same values', () => {
    // tanh(z W + x U + b): the products of x belong before the loop.
    const graph = traceGraph([matrix, matrix, matrix, matrix], ([z, w, x, u]) => [
      tf.tanh(tf.add(tf.matMul(z as tf.Tensor2D, w as tf.Tensor2D), tf.exp(tf.matMul(x as tf.Tensor2D, u as tf.Tensor2D)))),
    ]); // prettier-ignore
    const { prologue, loop, used } = hoist(graph, 1);
    expect(kernels(prologue)).to.include('Exp').and.not.to.include('Tanh');
    expect(kernels(loop)).to.include('Tanh').and.not.to.include('Exp');
    expect(used).to.deep.equal([0]);
    tf.tidy(() => {
      const [z, w, x, u] = [1, 2, 3, 4].map((seed) => tf.randomNormal([2, 2], 0, 1, 'float32', seed));
      const [expected] = new Program(graph).run([z, w, x, u]);
      const ahead = new Program(prologue as NonNullable<typeof prologue>).run([w, x, u]);
      expectClose(new Program(loop).run([z, w, ...ahead])[0], expected, { atol: 1e-6 });
    });
  });

  it('leaves views where they are: what lies under them is not copied', () => {
    const graph = traceGraph([matrix, matrix], ([z, w]) => [tf.add(tf.reshape(z, [4]), tf.reshape(w, [4]))]);
    expect(hoist(graph, 1).prologue).to.equal(null);
  });

  it('takes an output that does not change at all', () => {
    const graph = traceGraph([matrix, matrix], ([z, w]) => [tf.neg(z), tf.exp(w)]);
    const { prologue, loop } = hoist(graph, 1);
    expect(kernels(prologue)).to.deep.equal(['Exp']);
    expect(loop.outputs).to.have.length(2);
    tf.tidy(() => {
      const w = tf.ones([2, 2]);
      const ahead = new Program(prologue as NonNullable<typeof prologue>).run([w]);
      const [, second] = new Program(loop).run([w, ...ahead]);
      expectClose(second, tf.exp(w));
    });
  });

  it('computes everything in the loop where everything changes', () => {
    const graph = traceGraph([matrix, matrix], ([a, b]) => [tf.mul(a, b)]);
    const { prologue, used, loop } = hoist(graph, 2);
    expect(prologue).to.equal(null);
    expect(used).to.deep.equal([]);
    expect(loop.inputs).to.have.length(2);
  });
});
