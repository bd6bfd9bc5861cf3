/**
 * Weights of PyTorch and Lux: what those libraries compute with them is written out here in plain numbers and loops, from
 * their documented formulas, and the layers that take the weights over must give the same.
 */
import '../support/backend.js';
import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  batchNorm,
  bidirectionalRNN,
  bilinear,
  chain,
  conv,
  convTranspose,
  dense,
  embedding,
  fromStateDict,
  gruCell,
  key,
  layerNorm,
  lstmCell,
  multiHeadAttention,
  normal,
  readStateDict,
  recurrence,
  rnnCell,
  scale,
  setup,
  skipConnection,
  stackedRNN,
  testMode,
  toStateDict,
  writeStateDict,
  type AnyLayer,
  type StateDict,
  type StateDictOptions,
  type StateTree,
  type Tensor,
  type Tree,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 2e-5, float64: 1e-11 }),
  atol: tolerance({ float32: 3e-6, float64: 1e-12 }),
};

let seed = 0;
const random = (...shape: number[]): Tensor => normal(key(++seed), shape, { std: 0.6 });

type Vector = number[];
type Matrix = Vector[];
const matrix = (t: Tensor): Matrix => t.arraySync() as Matrix;
const vector = (t: Tensor): Vector => t.arraySync() as Vector;
const dot = (a: Vector, b: Vector): number => a.reduce((s, x, i) => s + x * b[i], 0);
/** `W x + b`, as both libraries keep their matrices. */
const linear = (w: Matrix, b: Vector | null, x: Vector): Vector => w.map((row, i) => dot(row, x) + (b?.[i] ?? 0));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const chunk = (x: Vector, n: number): Vector[] => Array.from({ length: n }, (_, i) => x.slice((i * x.length) / n, ((i + 1) * x.length) / n)); // prettier-ignore

/** The layer with the weights taken over, in test mode; every tensor it needs is in the dict, and comes back from it. */
function take(dict: StateDict, layer: AnyLayer, options: StateDictOptions): (x: unknown) => unknown {
  const [ps0, st0] = setup(key(99), layer) as [Tree, StateTree];
  const [ps, st] = fromStateDict(dict, layer, ps0, st0, options);
  const back = toStateDict(layer, ps, st, options);
  expect(Object.keys(back).sort()).to.deep.equal(Object.keys(dict).sort());
  for (const [name, tensor] of Object.entries(back)) {
    expect(tensor.shape, name).to.deep.equal(dict[name].shape);
    expectClose(tensor, dict[name], {}, name);
  }
  return (x) => (layer.apply(x, ps, testMode(st)) as [unknown, unknown])[0];
}

const torch = (names: Record<string, string> = {}): StateDictOptions => ({ dialect: 'pytorch', names });

/** One step of a torch cell: weights `[gates * hidden, inputs]`. Formulas: docs of torch.nn.LSTMCell, GRUCell, RNNCell. */
type Step = (x: Vector, carry: Vector[], w: { ih: Matrix; hh: Matrix; bih: Vector; bhh: Vector }) => Vector[];
const STEPS: Record<'lstm' | 'gru' | 'rnn', Step> = {
  lstm: (x, [h, c], w) => {
    const [a, b] = [linear(w.ih, w.bih, x), linear(w.hh, w.bhh, h)];
    const [i, f, g, o] = chunk(a.map((v, k) => v + b[k]), 4); // prettier-ignore
    const next = c.map((v, k) => sigmoid(f[k]) * v + sigmoid(i[k]) * Math.tanh(g[k]));
    return [next.map((v, k) => sigmoid(o[k]) * Math.tanh(v)), next];
  },
  gru: (x, [h], w) => {
    const [ir, iz, inn] = chunk(linear(w.ih, w.bih, x), 3);
    const [hr, hz, hn] = chunk(linear(w.hh, w.bhh, h), 3);
    return [
      h.map((v, k) => {
        const [r, z] = [sigmoid(ir[k] + hr[k]), sigmoid(iz[k] + hz[k])];
        return (1 - z) * Math.tanh(inn[k] + r * hn[k]) + z * v;
      }),
    ];
  },
  rnn: (x, [h], w) => [linear(w.ih, w.bih, x).map((v, k) => Math.tanh(v + linear(w.hh, w.bhh, h)[k]))],
};
const GATES = { lstm: 4, gru: 3, rnn: 1 };

function cellWeights(kind: keyof typeof STEPS, inputs: number, hidden: number, ending = ''): Record<string, Tensor> {
  const wide = GATES[kind] * hidden;
  return {
    [`weight_ih${ending}`]: random(wide, inputs),
    [`weight_hh${ending}`]: random(wide, hidden),
    [`bias_ih${ending}`]: random(wide),
    [`bias_hh${ending}`]: random(wide),
  };
}

/** All outputs of a torch cell along a sequence `[time][features]`. */
function along(kind: keyof typeof STEPS, dict: StateDict, ending: string, xs: Matrix, hidden: number): Matrix {
  const [ih, hh] = ['weight_ih', 'weight_hh'].map((n) => matrix(dict[n + ending]));
  const [bih, bhh] = ['bias_ih', 'bias_hh'].map((n) => vector(dict[n + ending]));
  let carry = [Array.from({ length: hidden }, () => 0), Array.from({ length: hidden }, () => 0)];
  return xs.map((x) => (carry = STEPS[kind](x, carry, { ih, hh, bih, bhh }))[0]);
}

/** Correlation of `[channels][height][width]` with `[out][in / groups][kh][kw]`, zeros around; docs of torch.nn.Conv2d. */
function conv2d(x: number[][][], w: number[][][][], b: Vector, stride: number, pad: number, groups: number): number[][][] {
  const [outputs, each, kh, kw] = [w.length, w[0].length, w[0][0].length, w[0][0][0].length];
  const size = (n: number, k: number): number => Math.floor((n + 2 * pad - k) / stride) + 1;
  return Array.from({ length: outputs }, (_o, o) =>
    Array.from({ length: size(x[0].length, kh) }, (_i, i) =>
      Array.from({ length: size(x[0][0].length, kw) }, (_j, j) => {
        let sum = b[o];
        const first = Math.floor((o * groups) / outputs) * each;
        for (let c = 0; c < each; c++)
          for (let p = 0; p < kh; p++)
            for (let q = 0; q < kw; q++)
              sum += w[o][c][p][q] * (x[first + c][i * stride + p - pad]?.[j * stride + q - pad] ?? 0);
        return sum;
      }),
    ),
  );
} // prettier-ignore

const channelsFirst = (x: Tensor): number[][][] => tf.transpose(tf.squeeze(x, [0]), [2, 0, 1]).arraySync() as number[][][]; // prettier-ignore
const channelsLast = (y: number[][][]): Tensor => tf.expandDims(tf.transpose(tf.tensor3d(y), [1, 2, 0]));

describe('weights of PyTorch', () => {
  it('Linear, in a Sequential whose places have other names', () => {
    const dict = { '0.weight': random(4, 3), '0.bias': random(4), '2.weight': random(2, 4), '2.bias': random(2) };
    const run = take(dict, chain(dense(3, 4, 'relu'), dense(4, 2)), torch({ layer1: '0', layer2: '2' }));
    const x = random(5, 3);
    const expected = matrix(x).map((row) => {
      const h = linear(matrix(dict['0.weight']), vector(dict['0.bias']), row).map((v) => Math.max(v, 0));
      return linear(matrix(dict['2.weight']), vector(dict['2.bias']), h);
    });
    expectClose(run(x) as Tensor, expected, close);
  });

  it('Conv2d: stride, padding, groups', () => {
    const dict = { 'features.conv.weight': random(4, 1, 3, 2), 'features.conv.bias': random(4) };
    const model = chain({
      features: chain({ conv: conv([3, 2], 2, 4, 'identity', { stride: 2, pad: 1, groups: 2 }) }),
    });
    const x = random(1, 6, 5, 2);
    const w = dict['features.conv.weight'].arraySync() as number[][][][];
    const expected = conv2d(channelsFirst(x), w, vector(dict['features.conv.bias']), 2, 1, 2);
    expectClose(take(dict, model, torch())(x) as Tensor, channelsLast(expected), close);
  });

  it('Conv2d into a layer that turns its kernel round', () => {
    const dict = { weight: random(2, 1, 3, 3), bias: random(2) };
    const x = random(1, 5, 5, 1);
    const expected = conv2d(channelsFirst(x), dict.weight.arraySync() as number[][][][], vector(dict.bias), 1, 0, 1);
    const layer = conv([3, 3], 1, 2, 'identity', { crossCorrelation: false });
    expectClose(take(dict, layer, torch())(x) as Tensor, channelsLast(expected), close);
  });

  it('ConvTranspose2d, whose kernel has the inputs first', () => {
    const dict = { weight: random(2, 3, 3, 3), bias: random(3) };
    const x = random(1, 3, 4, 2);
    const w = dict.weight.arraySync() as number[][][][];
    const [h, v] = [channelsFirst(x), vector(dict.bias)];
    // Each input element adds its kernel, stride 2, and a border of 1 is cut off.
    const expected = v.map((b, o) =>
      Array.from({ length: 5 }, (_i, i) => Array.from({ length: 7 }, (_j, j) => {
        let sum = b;
        h.forEach((plane, c) => { plane.forEach((row, p) => { row.forEach((value, q) => {
          sum += value * (w[c][o][i + 1 - 2 * p]?.[j + 1 - 2 * q] ?? 0);
        }); }); });
        return sum;
      })),
    ); // prettier-ignore
    const layer = convTranspose([3, 3], 2, 3, 'identity', { stride: 2, pad: 1 });
    expectClose(take(dict, layer, torch())(x) as Tensor, channelsLast(expected), close);
  });

  it('BatchNorm, with its running statistics in the states and its counter left out', () => {
    const [w, b, mean, variance] = [random(3), random(3), random(3), tf.add(tf.square(random(3)), 0.5)];
    const dict = { weight: w, bias: b, running_mean: mean, running_var: variance };
    const layer = batchNorm(3);
    const [ps, st] = fromStateDict({ ...dict, num_batches_tracked: tf.scalar(7, 'int32') }, layer, ...setup(key(1), layer), torch()); // prettier-ignore
    const x = random(4, 3);
    const expected = matrix(x).map((row) =>
      row.map((v, i) => ((v - vector(mean)[i]) / Math.sqrt(vector(variance)[i] + 1e-5)) * vector(w)[i] + vector(b)[i]),
    );
    expectClose(layer.apply(x, ps, testMode(st))[0], expected, close);
    take(dict, layer, torch());
  });

  it('LayerNorm, Embedding and Bilinear', () => {
    const norm = { weight: random(2, 3), bias: random(2, 3) };
    const x = random(4, 2, 3);
    const expected = (x.arraySync() as Matrix[]).map((sample) => {
      const mean = sample.flat().reduce((s, v) => s + v, 0) / 6;
      const variance = sample.flat().reduce((s, v) => s + (v - mean) ** 2, 0) / 6;
      return sample.map((row, i) => row.map((v, j) => ((v - mean) / Math.sqrt(variance + 1e-5)) * matrix(norm.weight)[i][j] + matrix(norm.bias)[i][j])); // prettier-ignore
    });
    expectClose(take(norm, layerNorm([2, 3]), torch())(x) as Tensor, expected, close);

    const table = { weight: random(5, 2) };
    const rows = [3, 0, 4].map((i) => matrix(table.weight)[i]);
    expectClose(take(table, embedding(5, 2), torch())(tf.tensor1d([3, 0, 4], 'int32')) as Tensor, rows, close);

    const form = { weight: random(4, 2, 3), bias: random(4) };
    const [a, b] = [random(1, 2), random(1, 3)];
    const y = (form.weight.arraySync() as Matrix[]).map((m, k) => dot(vector(tf.squeeze(a)), linear(m, null, vector(tf.squeeze(b)))) + vector(form.bias)[k]); // prettier-ignore
    expectClose(take(form, bilinear([2, 3], 4), torch())([a, b]) as Tensor, y, close);
  });

  for (const kind of ['lstm', 'gru', 'rnn'] as const) {
    const make = { lstm: lstmCell, gru: gruCell, rnn: (i: number, o: number) => rnnCell(i, o) }[kind];
    it(`${kind.toUpperCase()}: a cell, a layer, and two layers in both directions`, () => {
      const xs = random(1, 4, 2);
      const sequence = matrix(tf.squeeze(xs, [0]));

      const cell = cellWeights(kind, 2, 3);
      const [y] = take(cell, make(2, 3), torch())(tf.slice(xs, 0, 1).squeeze([0]).slice(0, 1)) as [Tensor, unknown];
      expectClose(y, along(kind, cell, '', sequence.slice(0, 1), 3), close);

      const one = cellWeights(kind, 2, 3, '_l0');
      const all = take(one, recurrence(make(2, 3) as never, { returnSequence: true }), torch())(xs) as Tensor;
      expectClose(all, along(kind, one, '_l0', sequence, 3), close);

      const endings = ['_l0', '_l0_reverse', '_l1', '_l1_reverse'];
      const two = Object.assign({}, ...endings.map((e, i) => cellWeights(kind, i < 2 ? 2 : 6, 3, e))) as StateDict;
      const both = (level: string, rows: Matrix): Matrix => {
        const forward = along(kind, two, level, rows, 3);
        const backward = along(kind, two, `${level}_reverse`, rows.slice().reverse(), 3).reverse();
        return forward.map((row, i) => [...row, ...backward[i]]);
      };
      const cells = [2, 6].map((n) => [make(n, 3) as AnyLayer, make(n, 3) as AnyLayer] as const);
      const named = Object.fromEntries(Object.entries(two).map(([n, t]) => [`encoder.${n}`, t]));
      const model = chain({ encoder: stackedRNN(cells, { returnSequence: true, dropout: 0.1 }) });
      expectClose(take(named, model, torch())(xs) as Tensor, both('_l1', both('_l0', sequence)), close);
    });
  }

  it('MultiheadAttention, whose three projections are one array', () => {
    const [features, heads] = [4, 2];
    const dict = {
      'in_proj_weight': random(12, 4), 'in_proj_bias': random(12),
      'out_proj.weight': random(4, 4), 'out_proj.bias': random(4),
    }; // prettier-ignore
    const x = random(1, 3, features);
    const rows = matrix(tf.squeeze(x, [0]));
    const projected = rows.map((row) => chunk(linear(matrix(dict.in_proj_weight), vector(dict.in_proj_bias), row), 3));
    const expected = rows.map((_, t) => {
      const together = Array.from({ length: heads }, (_h, h) => {
        const part = (v: Vector): Vector => chunk(v, heads)[h];
        const logits = rows.map(
          (_r, s) => dot(part(projected[t][0]), part(projected[s][1])) / Math.sqrt(features / heads),
        );
        const total = logits.reduce((a, l) => a + Math.exp(l), 0);
        return part(projected[t][2]).map((_v, k) => logits.reduce((a, l, s) => a + (Math.exp(l) / total) * part(projected[s][2])[k], 0)); // prettier-ignore
      }).flat();
      return linear(matrix(dict['out_proj.weight']), vector(dict['out_proj.bias']), together);
    });
    const [y] = take(dict, multiHeadAttention(features, { nheads: heads, useBias: true }), torch())(x) as [Tensor, Tensor]; // prettier-ignore
    expectClose(y, expected, close);
  });

  it('MultiheadAttention with keys and values of other sizes, kept apart', () => {
    const dict = {
      q_proj_weight: random(4, 4), k_proj_weight: random(4, 3), v_proj_weight: random(4, 2), in_proj_bias: random(12),
      'out_proj.weight': random(4, 4), 'out_proj.bias': random(4),
    }; // prettier-ignore
    const layer = multiHeadAttention({ q: 4, k: 3, v: 2, qk: 4, vInner: 4 }, { nheads: 2, useBias: true });
    const x = [random(1, 1, 4), random(1, 1, 3), random(1, 1, 2)];
    const value = linear(matrix(dict.v_proj_weight), vector(dict.in_proj_bias).slice(8), vector(tf.squeeze(x[2])));
    // One key alone: whatever its weight, it is 1.
    const expected = linear(matrix(dict['out_proj.weight']), vector(dict['out_proj.bias']), value);
    expectClose((take(dict, layer, torch())(x) as [Tensor])[0], expected, close);
  });
});

describe('weights of Lux', () => {
  const lux: StateDictOptions = { dialect: 'lux' };

  it('names: layer_1, forward_rnn, running_mean; wrappers without a field', () => {
    const model = chain(skipConnection(dense(2, 2), tf.add), batchNorm(2), bidirectionalRNN(gruCell(2, 2)));
    const names = Object.keys(toStateDict(model, ...(setup(key(1), model) as [Tree, StateTree]), lux));
    expect(names).to.include.members(['layer_1.weight', 'layer_2.running_mean', 'layer_2.scale', 'layer_3.forward_rnn.weight_ih', 'layer_3.backward_rnn.bias_hh']); // prettier-ignore
  });

  it('Dense, Scale of two axes, Embedding and LayerNorm', () => {
    const d = { weight: random(3, 2), bias: random(3) };
    const x = random(2);
    expectClose(take(d, dense(2, 3), lux)(x) as Tensor, linear(matrix(d.weight), vector(d.bias), vector(x)), close);
    // Lux's x[j, i, batch] is x[batch, i, j] here.
    const s = { weight: random(3, 2), bias: random(3, 2) };
    const y = random(1, 2, 3);
    const scaled = matrix(tf.squeeze(y, [0])).map((row, i) => row.map((v, j) => v * matrix(s.weight)[j][i] + matrix(s.bias)[j][i])); // prettier-ignore
    expectClose(take(s, scale([2, 3]), lux)(y) as Tensor, scaled, close);
    const e = { weight: random(2, 4) };
    expectClose(take(e, embedding(4, 2), lux)(tf.tensor1d([3], 'int32')) as Tensor, matrix(e.weight).map((row) => row[3]), close); // prettier-ignore
    const n = { scale: random(3, 1), bias: random(3, 1) };
    const z = vector(random(3));
    const [mean, variance] = [z[0] + z[1] + z[2], z.reduce((a, v) => a + v * v, 0)].map((a) => a / 3);
    const normal = z.map((v, i) => ((v - mean) / Math.sqrt(variance - mean ** 2 + 1e-5)) * matrix(n.scale)[i][0] + matrix(n.bias)[i][0]); // prettier-ignore
    expectClose(take(n, layerNorm(3), lux)(tf.tensor2d([z])) as Tensor, normal, { ...close, atol: 1e-5 });
  });

  it('Conv: true convolution over width and height', () => {
    // Lux on x[w, h, c, n] with kernel[i, j, c, o]: y[w, h, o] = sum of kernel[i, j, c, o] x[w + K - 1 - i, h + L - 1 - j, c].
    const dict = { weight: random(3, 2, 2, 2), bias: random(2) };
    const x = random(1, 4, 5, 2);
    const [w, planes, b] = [dict.weight.arraySync() as number[][][][], channelsFirst(x), vector(dict.bias)];
    const expected = b.map((bias, o) =>
      Array.from({ length: 3 }, (_h, h) => Array.from({ length: 3 }, (_v, v) => {
        let sum = bias;
        for (let i = 0; i < 3; i++) for (let j = 0; j < 2; j++) for (let c = 0; c < 2; c++) sum += w[i][j][c][o] * planes[c][h + 1 - j][v + 2 - i];
        return sum;
      })),
    ); // prettier-ignore
    for (const crossCorrelation of [true, false]) {
      const layer = conv([2, 3], 2, 2, 'identity', { crossCorrelation });
      expectClose(take(dict, layer, lux)(x) as Tensor, channelsLast(expected), close);
    }
  });

  it('LSTMCell with its trained first state', () => {
    const dict = { ...cellWeights('lstm', 2, 3), hidden_state: random(3), memory: random(3) };
    const [ih, hh, bih, bhh] = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].map((n) => (dict as StateDict)[n]);
    const x = random(2);
    const start = [vector(dict.hidden_state), vector(dict.memory)];
    const [h] = STEPS.lstm(vector(x), start, { ih: matrix(ih), hh: matrix(hh), bih: vector(bih), bhh: vector(bhh) });
    const layer = lstmCell(2, 3, { trainState: true, trainMemory: true });
    expectClose((take(dict, layer, lux)(x) as [Tensor])[0], h, close);
  });
});

describe('state dicts', () => {
  it('go through a safetensors file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'state-dict-'));
    try {
      const model = chain(dense(3, 2), batchNorm(2));
      const dict = toStateDict(model, ...setup(key(4), model), torch());
      await writeStateDict(join(folder, 'model.safetensors'), dict);
      const read = await readStateDict(join(folder, 'model.safetensors'));
      expect(Object.keys(read).sort()).to.deep.equal(Object.keys(dict).sort());
      for (const [name, t] of Object.entries(read)) expectClose(t, dict[name], { rtol: 1e-7 }, name);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('say what does not fit', () => {
    const model = chain(dense(3, 2), dense(2, 1));
    const [ps, st] = setup(key(1), model);
    const dict = toStateDict(model, ps, st, torch());
    const { 'layer1.weight': weight, ...rest } = dict;
    expect(() => fromStateDict(rest, model, ps, st, torch())).to.throw(/there is no "layer1.weight", which layer1.weight should come from; is it "layer2.weight"/); // prettier-ignore
    expect(() => fromStateDict({ ...dict, more: weight }, model, ps, st, torch())).to.throw(/nothing in the model takes "more"/); // prettier-ignore
    expect(() => fromStateDict({ ...dict, 'layer1.weight': tf.zeros([3, 2]) }, model, ps, st, torch())).to.throw(/"layer1.weight" \[3, 2\] becomes \[2, 3\], but layer1.weight is \[3, 2\]/); // prettier-ignore
    const other = chain(dense(2, 2), scale(2));
    expect(() => toStateDict(other, ...setup(key(1), other), torch())).to.throw(/layer layer2 \(Scale\) has parameters that have no counterpart/); // prettier-ignore
    expect(() => fromStateDict(dict, model, ps, st, { dialect: 'keras' } as never)).to.throw(/option "dialect"/);
    const same = { layer1: 'a', layer2: 'a' };
    expect(() => toStateDict(model, ps, st, torch(same))).to.throw(/two weights would both be named "a.weight"/);
  });

  it('leave what they were given alone, and leak nothing', () => {
    const model = chain(conv([2, 2], 1, 2), batchNorm(2));
    const [ps, st] = setup(key(1), model);
    const before = tf.memory().numTensors;
    const dict = toStateDict(model, ps, st, torch());
    expect(tf.memory().numTensors - before).to.equal(Object.keys(dict).length);
    const [taken, states] = fromStateDict(dict, model, ps, st, torch());
    expect(tf.memory().numTensors - before).to.equal(12);
    expectClose(taken.layer1.weight, ps.layer1.weight, {});
    expect(states.layer2.training).to.equal(true);
  });
});
