import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  applyRotaryEmbedding,
  chain,
  classTokens,
  compile,
  computeRotaryEmbeddingParams,
  constant,
  embedding,
  grad,
  key,
  layerNorm,
  multiHeadAttention,
  normal,
  parameterLength,
  patchEmbedding,
  positionEmbedding,
  rotaryPositionalEmbedding,
  scaledDotProductAttention,
  setup,
  sinusoidalPositionalEmbedding,
  testMode,
  transformerEncoderBlock,
  type Tensor,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 2e-5, float64: 1e-13 }),
  atol: tolerance({ float32: 2e-6, float64: 1e-14 }),
};

type Rows = number[][];
const rows = (t: Tensor): Rows => t.arraySync() as Rows;

/** Attention of one head, in plain doubles. */
function attend(q: Rows, k: Rows, v: Rows, may: (i: number, j: number) => boolean): { y: Rows; weights: Rows } {
  const weights = q.map((qi, i) => {
    const e = k.map((kj, j) =>
      may(i, j) ? Math.exp(qi.reduce((s, x, n) => s + x * kj[n], 0) / Math.sqrt(qi.length)) : 0,
    );
    const sum = e.reduce((a, b) => a + b);
    return e.map((x) => x / sum);
  });
  return { weights, y: weights.map((w) => v[0].map((_, n) => w.reduce((s, x, j) => s + x * v[j][n], 0))) };
}

const product = (x: Rows, w: Rows): Rows =>
  x.map((xi) => w[0].map((_, j) => xi.reduce((s, a, i) => s + a * w[i][j], 0)));

describe('embedding', () => {
  it('picks rows, and adds up derivatives where it picked', () => {
    const layer = embedding(4, 2);
    const ps = { weight: constant([[1, 2], [3, 4], [5, 6], [7, 8]]) }; // prettier-ignore
    const x = tf.tensor2d([[3, 0], [3, 1]], [2, 2], 'int32'); // prettier-ignore
    const [y] = layer.apply(x, ps, {});
    expect(y.arraySync()).to.deep.equal([[[7, 8], [1, 2]], [[7, 8], [3, 4]]]); // prettier-ignore
    const slope = grad((p: typeof ps) => tf.sum(tf.mul(layer.apply(x, p, {})[0], constant([1, 10]))))(ps);
    expect(slope.weight.arraySync()).to.deep.equal([[1, 10], [1, 10], [0, 0], [2, 20]]); // prettier-ignore
  });

  it('takes a tuple of indices for a table of more axes', () => {
    const layer = embedding([2, 3], 1);
    const ps = { weight: tf.reshape(tf.range(0, 6), [2, 3, 1]) };
    const [y] = layer.apply([tf.tensor1d([0, 1, 1], 'int32'), tf.tensor1d([2, 0, 1], 'int32')], ps, {});
    expect(Array.from(y.dataSync())).to.deep.equal([2, 3, 4]);
  });

  it('says what is wrong', () => {
    const [ps] = setup(key(1), embedding(4, 2));
    expect(() => embedding(4, 2).apply(tf.tensor1d([1.5]), ps, {})).to.throw(
      'Embedding(4 => 2): expected an int32 input, got a float32 tensor [1]',
    );
    expect(() => embedding(0, 2)).to.throw('embedding: each number of inputs must be a positive integer, got 0');
    const pair = embedding([2, 3], 1);
    const own = setup(key(1), pair)[0];
    expect(() => pair.apply([tf.tensor1d([1], 'int32')], own, {})).to.throw(/expected an array of 2 inputs/);
    const uneven = [tf.tensor1d([1], 'int32'), tf.tensor1d([1, 2], 'int32')];
    expect(() => pair.apply(uneven, own, {})).to.throw(/index tensors of one shape, got \[1\] and \[2\]/);
  });
});

describe('positions', () => {
  it('are sines and cosines of falling frequencies', () => {
    const layer = sinusoidalPositionalEmbedding(6, { minFreq: 0.01, maxFreq: 4 });
    const [y] = layer.apply(constant([0, 1.5, -2]), {}, setup(key(1), layer)[1]);
    const frequencies = [4, 0.2, 0.01]; // equal ratios from 4 to 0.01: √(4 x 0.01) between
    const scale = Math.sqrt(2 / 6);
    const expected = [0, 1.5, -2].map((p) =>
      [Math.sin, Math.cos].flatMap((f) => frequencies.map((w) => scale * f(w * p))),
    );
    expectClose(y, expected, { rtol: 10 * close.rtol, atol: close.atol });
    expectClose(tf.sum(tf.square(y), -1), [1, 1, 1], close);
    const turns = sinusoidalPositionalEmbedding(2, { fullTurns: true, scale: 1 });
    const whole = turns.apply(tf.tensor1d([0, 3], 'int32'), {}, setup(key(1), turns)[1])[0];
    expectClose(whole, [0, 1, 0, 1], { atol: tolerance({ float32: 1e-5, float64: 1e-14 }) });
  });

  it('turn pairs of features by their angle', () => {
    const { cosCache, sinCache } = computeRotaryEmbeddingParams(4, 3);
    const angles = [0, 1, 2].flatMap((p) => [p, p / 100]); // base 10000, dimension 4: rates 1 and 10000^(-1/2)
    expectClose(cosCache, angles.map(Math.cos), close);
    expectClose(sinCache, angles.map(Math.sin), close);
    const x = normal(key(3), [2, 3, 4]);
    const turned = (interleaved: boolean): number[] =>
      rows(x.reshape([6, 4])).flatMap((v, at) => {
        const out = [...v];
        for (const i of [0, 1]) {
          const [a, b] = interleaved ? [2 * i, 2 * i + 1] : [i, i + 2];
          const angle = angles[2 * (at % 3) + i];
          out[a] = v[a] * Math.cos(angle) - v[b] * Math.sin(angle);
          out[b] = v[a] * Math.sin(angle) + v[b] * Math.cos(angle);
        }
        return out;
      });
    for (const interleaved of [false, true]) {
      expectClose(applyRotaryEmbedding(x, { cosCache, sinCache }, { interleaved }), turned(interleaved), close);
    }
    const inputPositions = tf.tensor1d([2, 0, 1], 'int32');
    const moved = applyRotaryEmbedding(tf.gather(x, inputPositions, 1), { cosCache, sinCache }, { inputPositions });
    expectClose(moved, tf.gather(applyRotaryEmbedding(x, { cosCache, sinCache }), inputPositions, 1), close);
  });

  it('make the product of turned vectors depend on their distance alone', () => {
    const params = computeRotaryEmbeddingParams(8, 20, { base: 100 });
    const [q, k] = [normal(key(1), [8]), normal(key(2), [8])].map((v) => tf.tile(v.reshape([1, 1, 8]), [1, 20, 1]));
    const scores = rows(
      tf.squeeze(tf.matMul(applyRotaryEmbedding(q, params), applyRotaryEmbedding(k, params), false, true), [0]),
    );
    for (const distance of [0, 1, 7]) {
      for (const i of [0, 5, 12]) {
        expectClose(scores[i + distance][i], scores[distance][0], { rtol: 50 * close.rtol, atol: 50 * close.atol });
      }
    }
  });

  it('say what is wrong', () => {
    expect(() => sinusoidalPositionalEmbedding(5)).to.throw(
      /the number of dimensions must be a positive even integer, got 5/,
    );
    const layer = rotaryPositionalEmbedding(4, { maxSequenceLength: 3 });
    const [, st] = setup(key(1), layer);
    expect(() => layer.apply(tf.zeros([1, 5, 4]), {}, st)).to.throw(
      'RotaryPositionalEmbedding(4): expected at most 3 positions on axis 1, got shape [1, 5, 4]',
    );
    const params = computeRotaryEmbeddingParams(4, 3);
    expect(() => applyRotaryEmbedding(tf.zeros([1, 2, 6]), params)).to.throw(/expected 4 features in the last axis/);
    expect(() => applyRotaryEmbedding(tf.zeros([2, 4]), params)).to.throw(/features behind the positions on axis 1/);
    const learnt = positionEmbedding(3, 2);
    expect(() => learnt.apply(tf.zeros([1, 4, 2]), setup(key(1), learnt)[0], {})).to.throw(/expected 3 positions/);
  });
});

describe('attention', () => {
  const q = normal(key(1), [3, 4]);
  const k = normal(key(2), [5, 4]);
  const v = normal(key(3), [5, 2]);
  const all = (): boolean => true;

  it('is the mean of values by softmax of products', () => {
    const { y, weights } = attend(rows(q), rows(k), rows(v), all);
    for (const f of [scaledDotProductAttention, compile(scaledDotProductAttention)]) {
      const [got, w] = f(q, k, v);
      expectClose(got, y, close);
      expectClose(w, weights, close);
    }
  });

  it('sees what masks and causality let it see', () => {
    const may = (i: number, j: number): boolean => (i + j) % 3 !== 0;
    const mask = tf.tensor2d(rows(q).map((_, i) => rows(k).map((__, j) => may(i, j))), [3, 5], 'bool'); // prettier-ignore
    expectClose(scaledDotProductAttention(q, k, v, { mask })[0], attend(rows(q), rows(k), rows(v), may).y, close);
    const asNumbers = scaledDotProductAttention(q, k, v, { mask: tf.cast(mask, 'int32') });
    expectClose(asNumbers[0], attend(rows(q), rows(k), rows(v), may).y, close);
    const causal = attend(rows(q), rows(k), rows(v), (i, j) => j <= i);
    expectClose(scaledDotProductAttention(q, k, v, { isCausal: true })[1], causal.weights, close);
    // what is added to the logits: log 2 doubles the weight before it is divided by the sum
    const added = scaledDotProductAttention(q, k, v, { mask: constant([Math.log(2), 0, 0, 0, 0]) })[1];
    const plain = attend(rows(q), rows(k), rows(v), all).weights;
    expectClose(added, plain.map((w) => w.map((x, j) => ((j === 0 ? 2 : 1) * x) / (1 + w[0]))), close); // prettier-ignore
    const nothing = scaledDotProductAttention(q, k, v, { mask: tf.zeros([3, 5], 'bool') })[1];
    expectClose(nothing, new Array<number>(15).fill(0.2), { atol: 1e-6 });
  });

  it('of several heads follows its formula', () => {
    const layer = multiHeadAttention(4, { nheads: 2 });
    const [ps, st] = setup(key(4), layer);
    const x = normal(key(5), [1, 3, 4]);
    const [xs] = x.arraySync() as Rows[];
    const [ws] = [[ps.qProj, ps.kProj, ps.vProj].map((p) => rows(p.weight))];
    const [pq, pk, pv] = ws.map((w) => product(xs, w));
    const head = (m: Rows, h: number): Rows => m.map((r) => r.slice(2 * h, 2 * h + 2));
    const heads = [0, 1].map((h) => attend(head(pq, h), head(pk, h), head(pv, h), all));
    const joined = xs.map((_, i) => heads.flatMap(({ y }) => y[i]));
    const [[y, weights]] = layer.apply(x, ps, st);
    expectClose(y, product(joined, rows(ps.outProj.weight)), close);
    expectClose(weights, heads.map((h) => h.weights).flat(), close);
    expectClose(layer.apply([x, x], ps, st)[0][0], y, close);
    expectClose(layer.apply([x, x, x, tf.ones([3, 3], 'bool')], ps, st)[0][0], y, close);
  });

  it('does not look ahead when it is causal', () => {
    const layer = multiHeadAttention(4, { nheads: 2, isCausal: true });
    const [ps, st] = setup(key(4), layer);
    const early = (x: Tensor): Tensor => tf.sum(layer.apply(x, ps, st)[0][0].slice([0, 0], [1, 2]));
    const slope = grad(early)(normal(key(5), [1, 4, 4]));
    expect(Array.from(slope.slice([0, 2], [1, 2]).dataSync()).every((g) => g === 0)).to.equal(true);
    expect(Array.from(slope.slice([0, 1], [1, 1]).dataSync()).every((g) => g !== 0)).to.equal(true);
  });

  it('drops weights in training alone', () => {
    const layer = multiHeadAttention(4, { attentionDropoutProbability: 0.5 });
    const [ps, st] = setup(key(4), layer);
    const x = normal(key(5), [2, 5, 4]);
    const [[y1], next] = layer.apply(x, ps, st);
    const [[y2]] = layer.apply(x, ps, next);
    expect(Array.from(y1.dataSync())).to.not.deep.equal(Array.from(y2.dataSync()));
    const [[y3]] = layer.apply(x, ps, testMode(st));
    expectClose(y3, multiHeadAttention(4).apply(x, ps, { ...st, attentionDropout: {} })[0][0], close);
  });

  it('says what is wrong', () => {
    expect(() => multiHeadAttention(6, { nheads: 4 })).to.throw(
      'multiHeadAttention: 4 heads cannot share 6 features evenly (qk)',
    );
    expect(() => multiHeadAttention('6' as never)).to.throw(/a number of features or a record of them, got "6"/);
    const layer = multiHeadAttention(4, { nheads: 2 });
    const [ps, st] = setup(key(4), layer);
    expect(() => layer.apply(tf.zeros([2, 3, 5]), ps, st)).to.throw(
      /MultiHeadAttention\(4, nheads=2\): expected an input with 4 features in its last axis, got shape \[2, 3, 5\]/,
    );
    expect(() => layer.apply([tf.zeros([2, 3, 4]), tf.zeros([1, 3, 4])], ps, st)).to.throw(/inputs of one batch/);
    expect(() => layer.apply([q] as never, ps, st)).to.throw(/expected a tensor, \[q, kv\], \[q, k, v\] or/);
    expect(() => scaledDotProductAttention(q, v, v)).to.throw(/expected q \[\.\.\., queries, features\]/);
    expect(() => scaledDotProductAttention(q, k, v, { mask: tf.ones([4, 5], 'bool') })).to.throw(
      /the mask must broadcast to \[3, 5\], got shape \[4, 5\]/,
    );
  });
});

describe('transformer parts', () => {
  it('cut images as the convolution of that stride would', () => {
    const layer = patchEmbedding(6, [2, 3], 2, 5);
    const [ps] = setup(key(1), layer);
    const x = normal(key(2), [2, 6, 6, 2]);
    const conv = tf.add(tf.conv2d(x as tf.Tensor4D, ps.weight as tf.Tensor4D, [2, 3], 'valid'), ps.bias);
    expectClose(layer.apply(x, ps, {})[0], conv, close);
    expect(() => patchEmbedding(7, 2, 1, 1)).to.throw(/images \[7, 7\] cannot be cut into patches \[2, 2\]/);
    expect(() => layer.apply(tf.zeros([1, 6, 8, 2]), ps, {})).to.throw(
      /expected images \[6, 6\], got shape \[1, 6, 8, 2\]/,
    );
  });

  it('put the class token in front', () => {
    const [y] = classTokens(2).apply(tf.ones([1, 2, 2]), { tokens: constant([[5, 6]]) }, {});
    expect(y.arraySync()).to.deep.equal([[[5, 6], [1, 1], [1, 1]]]); // prettier-ignore
  });

  it('add attention, then dense layers, to what they are given', () => {
    const block = transformerEncoderBlock(4, 2, { hidden: 8, activation: 'tanh' });
    const [ps, st] = setup(key(1), block);
    const own = ps as Record<string, never>;
    const x = normal(key(2), [2, 3, 4]);
    const norm = layerNorm(4);
    const [[a]] = multiHeadAttention(4, { nheads: 2, useBias: true }).apply(
      norm.apply(x, own.norm1, {})[0],
      own.attention,
      st.attention as never,
    );
    const h = tf.add(x, a);
    const mlp = own.mlp as unknown as { layer1: Record<string, Tensor>; layer2: Record<string, Tensor> };
    const affine = (t: Tensor, p: Record<string, Tensor>): Tensor =>
      tf.reshape(tf.add(tf.matMul(tf.reshape(t, [6, -1]), p.weight), p.bias), [2, 3, -1]);
    const expected = tf.add(h, affine(tf.tanh(affine(norm.apply(h, own.norm2, {})[0], mlp.layer1)), mlp.layer2));
    expectClose(block.apply(x, ps, st)[0], expected, { rtol: 10 * close.rtol, atol: 10 * close.atol });
  });

  it('are as many parameters as torch.nn.TransformerEncoderLayer(512, 8) has', () => {
    // 4 x 512 x 513 of attention, 512 x 2048 + 2048 + 2048 x 512 + 512 of dense layers, 2 x 1024 of norms
    expect(parameterLength(transformerEncoderBlock(512, 8, { hidden: 2048 }))).to.equal(3_152_384);
    expect(parameterLength(chain(embedding(10, 4), transformerEncoderBlock(4, 1)))).to.equal(40 + 244);
  });
});
