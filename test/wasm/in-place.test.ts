import '../support/backend.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import type { Spec } from '../../src/graph/graph.js';
import { simplify } from '../../src/graph/simplify.js';
import { layOut } from '../../src/wasm/arena.js';
import { describePlan } from '../../src/wasm/describe.js';
import { Planner } from '../../src/wasm/plan.js';
import { trace, type Traced } from './compile-support.js';

const float = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });

/** The kernels as `explain` prints them, and the size of the arena. */
function planned(f: Traced, ...specs: Spec[]): { kernels: string[]; arenaBytes: number } {
  const plan = new Planner(simplify(trace(f, specs)), 4).plan();
  const arenaBytes = layOut(plan.steps).bytes;
  const text = describePlan(plan, { arenaBytes, moduleBytes: 0, precision: 32 });
  return { kernels: text.split('\n').slice(1).map((line) => line.slice(5)), arenaBytes }; // prettier-ignore
}

describe('results in the place of an operand', () => {
  it('lie where an operand of the same size is read for the last time, at the same index', () => {
    const f: Traced = ([x, w]) => {
      const h = tf.tanh(tf.matMul(x, w));
      return [tf.matMul(h, w), tf.sum(tf.sin(h))];
    };
    const { kernels, arenaBytes } = planned(f, float(16, 16), float(16, 16));
    expect(kernels[1]).to.equal('t0 = tanh(t0) for [16, 16]');
    expect(arenaBytes).to.equal(16 * 16 * 4);
  });

  it('are outputs from the beginning, where the operand becomes one', () => {
    const { kernels, arenaBytes } = planned(([x, w]) => tf.tanh(tf.matMul(x, w)), float(16, 16), float(16, 16));
    expect(kernels).to.deep.equal(['out0 = in0 (16 x 16) . in1 (16 x 16)', 'out0 = tanh(out0) for [16, 16]']);
    expect(arenaBytes).to.equal(0);
  });

  it('need no copy into an output of another shape', () => {
    const { kernels } = planned(([x]) => tf.reshape(tf.tanh(x), [4, 64]), float(16, 16));
    expect(kernels).to.deep.equal(['out0 = tanh(in0) for [16, 16]']);
  });

  it('also of the loop that a product ends in', () => {
    const f: Traced = ([x, w]) => {
      const h = tf.tanh(tf.matMul(x, w));
      const dy = tf.matMul(h, w);
      return tf.matMul(tf.mul(tf.matMul(w, dy), tf.sub(1, tf.square(h))), w);
    };
    const { kernels, arenaBytes } = planned(f, float(16, 16), float(16, 16));
    expect(kernels[3]).to.equal('t0 = mul(in1 (16 x 16) . t1 (16 x 16), sub(1, mul(t0, t0)))');
    expect(arenaBytes).to.equal(2 * 16 * 16 * 4);
  });

  const apart = (why: string, f: (h: tf.Tensor, x: tf.Tensor) => tf.Tensor[], buffers: number): void => {
    it(`lie elsewhere ${why}`, () => {
      const g: Traced = ([x, w]) => f(tf.matMul(x, w), x).map((y) => tf.matMul(y, w));
      const { kernels, arenaBytes } = planned(g, float(16, 16), float(16, 16));
      for (const [line] of kernels.map((kernel) => /^t\d+ = (?!in).*/.exec(kernel) ?? [''])) {
        if (line === '') continue;
        const [target, ...operands] = line.match(/t\d+/g) ?? [];
        expect(operands, line).not.to.include(target);
      }
      expect(arenaBytes).to.equal(buffers * 16 * 16 * 4);
    });
  };

  apart('if the operand is read again', (h) => [tf.tanh(h), h], 2);
  apart('if it is read turned', (h) => [tf.tanh(tf.transpose(h))], 2);
  apart('if it is read backwards', (h) => [tf.tanh(tf.reverse(h, 0))], 2);
  apart('if it is read turned besides', (h) => [tf.mul(h, tf.transpose(h))], 2);
  apart('if its elements are repeated', (h) => [tf.tanh(tf.add(h, tf.slice(h, [3, 0], [1, 16])))], 2);

  it('keep away from what an argument holds', () => {
    const { kernels } = planned(([x]) => [tf.tanh(x), tf.sin(x)], float(16));
    expect(kernels).to.deep.equal(['out0 = tanh(in0); out1 = sin(in0) for [16]']);
  });

  it('have the size of their operand in bytes', () => {
    const { kernels } = planned(([x, w]) => tf.greater(tf.matMul(x, w), 0), float(16, 16), float(16, 16));
    expect(kernels[1]).to.equal('out0 = gt(t0, 0) for [16, 16]');
  });
});
