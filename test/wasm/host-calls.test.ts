import '../support/backend.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { forRunning } from '../../src/graph/simplify.js';
import {
  adam,
  batchNorm,
  chain,
  compile,
  conv,
  crossEntropy,
  dense,
  dropout,
  embedding,
  flattenLayer,
  key,
  lstmCell,
  maxPool,
  meanPool,
  multiHeadAttention,
  setup,
  valueAndGrad,
  type StateTree,
  type Tensor,
  type Tree,
} from '../../src/index.js';
import { hostCalls } from './compile-cases.js';

type Loss<P, S> = (ps: P, st: S, x: Tensor) => [loss: Tensor, st: unknown];

/** What a whole training step (forward, backward, optimiser, states and their keys) leaves to the host. */
function callsOfStep<P extends Tree, S extends StateTree>(ps: P, st: S, x: Tensor, loss: Loss<P, S>): string[] {
  const rule = adam(1e-3);
  const memory = rule.init(ps);
  const step = compile((params: P, state: S, before: typeof memory, input: Tensor) => {
    const whole = (p: P): Tensor => loss(p, state, input)[0];
    const { value, grad } = valueAndGrad(whole)(params);
    return [value, rule.update(grad, before, params), loss(params, state, input)[1]] as Tree;
  });
  return hostCalls(forRunning(step.programFor(ps, st, memory, x).graph));
}

describe('nothing of a training step is left to the host', () => {
  it('a convolutional network with pooling, batch normalisation and dropout', () => {
    const network = chain(
      conv([3, 3], 3, 8, 'relu', { pad: 'same' }),
      batchNorm(8, 'relu'),
      maxPool([2, 2]),
      conv([3, 3], 8, 12, 'gelu', { stride: 2, pad: 'same' }),
      meanPool([2, 2]),
      flattenLayer(),
      dropout(0.3),
      dense(48, 10),
    );
    const labels = tf.cast(tf.oneHot(tf.tensor1d([1, 7], 'int32'), 10), 'float32');
    const calls = callsOfStep(...setup(key(1), network), tf.zeros([2, 16, 16, 3]), (ps, st, x) => {
      const [y, next] = network.apply(x, ps, st);
      return [crossEntropy(y, labels), next];
    });
    expect(calls).to.deep.equal([]);
  });

  it('an embedding with attention', () => {
    const table = embedding(20, 12);
    const attention = multiHeadAttention(12, { nheads: 3, attentionDropoutProbability: 0.1, isCausal: true });
    const [first, none] = setup(key(1), table);
    const [second, state] = setup(key(2), attention);
    const calls = callsOfStep({ first, second }, state, tf.zeros([2, 7], 'int32'), (ps, st, x) => {
      const [rows] = table.apply(x, ps.first, none);
      const [[y], next] = attention.apply(rows, ps.second, st);
      return [tf.mean(tf.square(y)), next];
    });
    expect(calls).to.deep.equal([]);
  });

  it('three steps of a cell with a long memory', () => {
    const cell = lstmCell(3, 5);
    const calls = callsOfStep(...setup(key(1), cell), tf.zeros([2, 3]), (ps, st, x) => {
      let [[h, carry], next] = cell.apply(x, ps, st);
      for (let i = 0; i < 2; i++) [[h, carry], next] = cell.apply([x, carry], ps, next);
      return [tf.mean(tf.square(h)), next];
    });
    expect(calls).to.deep.equal([]);
  });
});
