import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  bidirectionalRNN,
  chain,
  compile,
  constant,
  constantInit,
  dense,
  explain,
  grad,
  gruCell,
  key,
  leaves,
  lstmCell,
  normal,
  parameterLength,
  recurrence,
  rnnCell,
  setup,
  stackedRNN,
  statefulRecurrentCell,
  testMode,
  updateState,
  type AnyLayer,
  type CellParameters,
  type Layer,
  type RecurrentCell,
  type StateTree,
  type Tensor,
  type Tree,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 1e-5, float64: 1e-13 }),
  atol: tolerance({ float32: 1e-6, float64: 1e-14 }),
};

type Rows = number[][];
const rows = (t: Tensor): Rows => t.arraySync() as Rows;
const sigma = (x: number): number => 1 / (1 + Math.exp(-x));

/** x W + b, in plain doubles. */
const affine = (x: readonly number[], w: Rows, b: readonly number[]): number[] =>
  b.map((bias, j) => x.reduce((sum, xi, i) => sum + xi * w[i][j], bias));

type Step = (gx: number[], gh: number[], carry: number[][], n: number) => number[][];

/** The cells as their papers write them, gate by gate. */
const STEPS: Readonly<Record<'rnn' | 'lstm' | 'gru', Step>> = {
  rnn: (gx, gh) => [gx.map((a, j) => Math.tanh(a + gh[j]))],
  lstm: (gx, gh, [, c], n) => {
    const gate = (k: number, j: number): number => gx[k * n + j] + gh[k * n + j];
    const memory = c.map((cj, j) => sigma(gate(1, j)) * cj + sigma(gate(0, j)) * Math.tanh(gate(2, j)));
    return [memory.map((m, j) => sigma(gate(3, j)) * Math.tanh(m)), memory];
  },
  gru: (gx, gh, [h], n) => [
    h.map((hj, j) => {
      const r = sigma(gx[j] + gh[j]);
      const z = sigma(gx[n + j] + gh[n + j]);
      return (1 - z) * Math.tanh(gx[2 * n + j] + r * gh[2 * n + j]) + z * hj;
    }),
  ],
};

/** The hidden states of one sequence. */
function reference(kind: keyof typeof STEPS, ps: CellParameters, xs: Rows): Rows {
  const [wi, wh] = [rows(ps.weightIh), rows(ps.weightHh)];
  const [bi, bh] = [ps.biasIh, ps.biasHh].map((b) => Array.from((b as Tensor).dataSync()));
  const n = wh.length;
  let carry = Array.from({ length: kind === 'lstm' ? 2 : 1 }, () => new Array<number>(n).fill(0));
  return xs.map((x) => {
    carry = STEPS[kind](affine(x, wi, bi), affine(carry[0], wh, bh), carry, n);
    return carry[0];
  });
}

const CELLS = { rnn: rnnCell(3, 4), lstm: lstmCell(3, 4), gru: gruCell(3, 4) } as const;

describe('recurrent layers', () => {
  for (const kind of ['rnn', 'lstm', 'gru'] as const) {
    const cell = CELLS[kind];
    const x = normal(key(5), [2, 6, 3]);
    const [ps, st] = setup(key(2), cell as typeof CELLS.rnn);

    it(`${kind} follows its formulas, step by step and along a sequence`, () => {
      const expected = rows(x).map((sample) => reference(kind, ps, sample as unknown as Rows));
      const whole = recurrence(cell as typeof CELLS.rnn, { returnSequence: true, returnCarry: true });
      const [[ys, carry]] = whole.apply(x, ps, st);
      expectClose(ys, expected.flat(2), close);
      expectClose(carry[0], expected.map((s) => s[5]).flat(), close);
      const [first, ...rest] = tf.unstack(x, 1);
      let [[y, c]] = (cell as typeof CELLS.rnn).apply(first, ps, st);
      expectClose(y, expected.map((s) => s[0]).flat(), close);
      rest.forEach((row, t) => {
        [[y, c]] = (cell as typeof CELLS.rnn).apply([row, c], ps, st);
        expectClose(y, expected.map((s) => s[t + 1]).flat(), close);
      });
      const last = compile((v: Tensor) => recurrence(cell as typeof CELLS.rnn).apply(v, ps, st)[0]);
      expectClose(last(x), expected.map((s) => s[5]).flat(), close);
    });
  }

  it('has the parameters of Lux and PyTorch: gates i, f, g, o and r, z, n', () => {
    const shapes = (cell: typeof CELLS.rnn): unknown =>
      Object.fromEntries(Object.entries(setup(key(1), cell)[0]).map(([name, t]) => [name, t.shape]));
    expect(shapes(CELLS.rnn)).to.deep.equal({ weightIh: [3, 4], weightHh: [4, 4], biasIh: [4], biasHh: [4] });
    expect(shapes(CELLS.lstm as unknown as typeof CELLS.rnn)).to.deep.equal({ weightIh: [3, 16], weightHh: [4, 16], biasIh: [16], biasHh: [16] }); // prettier-ignore
    expect(shapes(CELLS.gru)).to.deep.equal({ weightIh: [3, 12], weightHh: [4, 12], biasIh: [12], biasHh: [12] });
    // The example of Lux's SimpleRNN tutorial, and its encoder and decoder.
    expect(parameterLength(lstmCell(1, 32))).to.equal(4480);
    expect(2 * parameterLength(lstmCell(1, 32)) + parameterLength(dense(32, 1))).to.equal(8993);
    // torch.nn.LSTM(10, 20, num_layers=2) and GRU(10, 20, num_layers=2, bidirectional=True), counted from their shapes
    expect(parameterLength(stackedRNN([lstmCell(10, 20), lstmCell(20, 20)]))).to.equal(2560 + 3360);
    const gru = stackedRNN([[gruCell(10, 20), gruCell(10, 20)], [gruCell(40, 20), gruCell(40, 20)]]); // prettier-ignore
    expect(parameterLength(gru)).to.equal(2 * 1920 + 2 * 3720);
  });

  it('starts each gate by itself, within 1 / √outputs by default', () => {
    const [ps] = setup(key(3), lstmCell(5, 16));
    for (const p of leaves(ps)) expect(Math.max(...tf.abs(p).dataSync())).to.be.within(0.2, 0.25);
    const forget = [0, 1, 0, 0].map((b) => constantInit(b));
    const [own] = setup(key(3), lstmCell(2, 2, { initBias: forget, trainState: true, initState: constantInit(3) }));
    expectClose(own.biasIh as Tensor, [0, 0, 1, 1, 0, 0, 0, 0]);
    expectClose(own.hiddenState as Tensor, [3, 3]);
  });

  it('draws a first carry from the key in its state', () => {
    const cell = rnnCell(2, 3, 'tanh', { initState: (k, shape) => normal(k, shape) });
    const [ps, st] = setup(key(1), cell);
    const x = tf.zeros([4, 2]);
    const [[y1], next] = cell.apply(x, ps, st);
    const [[y2]] = cell.apply(x, ps, next);
    expect(Array.from(y1.dataSync())).to.not.deep.equal(Array.from(y2.dataSync()));
    expect(cell.apply(x, ps, testMode(st))[1]).to.deep.equal(testMode(st));
  });

  it('goes along either axis, from either end, with or without a batch', () => {
    const cell = gruCell(3, 4);
    const [ps, st] = setup(key(2), cell);
    const x = normal(key(6), [2, 5, 3]);
    const [all] = recurrence(cell, { returnSequence: true }).apply(x, ps, st);
    const timeFirst = tf.transpose(x, [1, 0, 2]);
    const [turned] = recurrence(cell, { returnSequence: true, timeAxis: 0 }).apply(timeFirst, ps, st);
    expectClose(tf.transpose(turned, [1, 0, 2]), all, close);
    const [back] = recurrence(cell, { returnSequence: true, reverse: true }).apply(x, ps, st);
    const [again] = recurrence(cell, { returnSequence: true }).apply(tf.reverse(x, 1), ps, st);
    expectClose(tf.reverse(again, 1), back, close);
    const [one] = recurrence(cell, { returnSequence: true }).apply(x.slice([1], [1]).squeeze([0]), ps, st);
    expectClose(one, all.slice([1], [1]), close);
  });

  it('goes on from a carry: two halves are the whole', () => {
    const cell = lstmCell(3, 4);
    const [ps, st] = setup(key(2), cell);
    const x = normal(key(6), [2, 6, 3]);
    const run = recurrence(cell, { returnSequence: true, returnCarry: true });
    const [[whole, end]] = run.apply(x, ps, st);
    const [[a, carry]] = run.apply(x.slice([0, 0], [2, 2]), ps, st);
    const [[b, last]] = run.apply([x.slice([0, 2], [2, 4]), carry], ps, st);
    expectClose(tf.concat([a, b], 1), whole, close);
    expectClose(last[1], end[1], close);
    const model = statefulRecurrentCell(cell);
    let state = model.initialStates(key(0));
    tf.unstack(x, 1).forEach((row, t) => {
      const [y, next] = model.apply(row, { cell: ps }, state);
      expectClose(y, whole.slice([0, t], [2, 1]), close);
      state = next;
    });
    const begun = updateState(state, 'carry', null);
    expectClose(model.apply(tf.unstack(x, 1)[0], { cell: ps }, begun)[0], whole.slice([0, 0], [2, 1]), close);
  });

  it('reads in both directions', () => {
    const model = bidirectionalRNN(rnnCell(3, 2));
    const [ps, st] = setup(key(4), model);
    const x = normal(key(6), [2, 5, 3]);
    const [y] = model.apply(x, ps, st);
    const one = recurrence(rnnCell(3, 2), { returnSequence: true });
    const [forward] = one.apply(x, ps.forwardRnn, {});
    const [backward] = one.apply(tf.reverse(x, 1), ps.backwardRnn, {});
    expectClose(y, tf.concat([forward, tf.reverse(backward, 1)], -1), close);
    const sum = bidirectionalRNN(rnnCell(3, 2), null, { mergeMode: (a, b) => tf.add(a, b) });
    expectClose(sum.apply(x, ps, st)[0], tf.add(forward, tf.reverse(backward, 1)), close);
  });

  it('drops out between stacked layers in training alone', () => {
    const model = stackedRNN([rnnCell(3, 8), rnnCell(8, 2)], { dropout: 0.5 });
    const [ps, st] = setup(key(4), model);
    const x = normal(key(6), [2, 5, 3]);
    const [y1, next] = model.apply(x, ps, st);
    const [y2] = model.apply(x, ps, next);
    expect(Array.from(y1.dataSync())).to.not.deep.equal(Array.from(y2.dataSync()));
    const plain = chain({
      layer1: recurrence(rnnCell(3, 8), { returnSequence: true }),
      layer2: recurrence(rnnCell(8, 2)),
    });
    const [tested] = model.apply(x, ps, testMode(st));
    expectClose(
      tested,
      plain.apply(x, { layer1: ps.layer1, layer2: ps.layer2 } as never, { layer1: {}, layer2: {} })[0],
      close,
    );
  });

  it('traces its step once, whatever the length of the sequence', () => {
    const model = recurrence(lstmCell(3, 4));
    const [ps, st] = setup(key(2), model);
    const lines = (steps: number): number => {
      const slope = compile((x: Tensor) => grad((v: Tensor) => tf.sum(model.apply(v, ps, st)[0]))(x));
      return explain(slope, normal(key(1), [2, steps, 3])).split('\n').length;
    };
    expect(lines(5)).to.equal(lines(50));
  });

  it('passes derivatives back through all steps', () => {
    // the derivative of a linear recurrence h' = a h + x, which has a closed form: d(last)/d(x_t) = a^(T - 1 - t)
    const cell = rnnCell(1, 1, 'identity', { useBias: false });
    const ps = { weightIh: constant([[1]]), weightHh: constant([[0.9]]) };
    const slope = grad((x: Tensor) => tf.sum(recurrence(cell).apply(x, ps as never, {})[0]))(tf.ones([1, 30, 1]));
    expectClose(slope, Array.from({ length: 30 }, (_, t) => 0.9 ** (29 - t)), close); // prettier-ignore
  });

  it('says what is wrong', () => {
    const cell = lstmCell(3, 4);
    const [ps, st] = setup(key(2), cell);
    const x = tf.zeros([2, 3]);
    expect(() => lstmCell(0, 4)).to.throw('lstmCell: the number of inputs must be a positive integer, got 0');
    expect(() => gruCell(3, 4, { initWeight: [constantInit(1)] })).to.throw(
      'gruCell: option "initWeight": expected 3 initialisers, one for each gate, got 1',
    );
    expect(() => gruCell(3, 4, { trainMemory: true } as object)).to.throw(/unknown option "trainMemory"/);
    expect(() => rnnCell(3, 4, 'tnah' as 'tanh')).to.throw(/did you mean "tanh"/);
    expect(() => cell.apply([x, [tf.zeros([2, 4])]] as never, ps, st)).to.throw(
      'LSTMCell(3 => 4): the carry must be [hidden state, memory] of shape [2, 4], got [a float32 tensor [2, 4]]',
    );
    expect(() => cell.apply(tf.zeros([2, 5]), ps, st)).to.throw(
      /LSTMCell\(3 => 4\): expected an input with 3 features/,
    );
    const model = chain(dense(3, 5), recurrence(cell));
    const [own, states] = setup(key(2), model);
    expect(() => model.apply(tf.zeros([2, 7, 3]), own, states)).to.throw(
      /LSTMCell\(3 => 4\): expected an input with 3 features in its last axis, got shape \[2, 7, 5\] \(in layer layer2\)/,
    );
    expect(() => recurrence(cell).apply(tf.zeros([2, 0, 3]), ps, st)).to.throw(/expected a step or more on axis 1/);
    expect(() => recurrence(cell, { timeAxis: 2 as 1 })).to.throw(/option "timeAxis": expected 0 or 1, got 2/);
    expect(() => recurrence('lstm' as never)).to.throw(
      'recurrence: the first argument must be a recurrent cell, got "lstm"',
    );
    expect(() => stackedRNN([] as never)).to.throw(/must be an array of cells, got \[\]/);
    expect(() => bidirectionalRNN(cell, null, { mergeMode: 'sum' as 'concat' })).to.throw(
      /"concat", null or a function/,
    );
  });

  it('names the cell, the shape it expected and the one it got, wherever the cell stands', () => {
    for (const [cell, title] of [
      [rnnCell(3, 4), 'RNNCell(3 => 4, tanh)'],
      [lstmCell(3, 4), 'LSTMCell(3 => 4)'],
      [gruCell(3, 4), 'GRUCell(3 => 4)'],
    ] as const) {
      const alone = cell as RecurrentCell<readonly Tensor[], Tree, StateTree>;
      const [ps, st] = setup(key(2), alone);
      expect(() => alone.apply(tf.zeros([2, 5]), ps, st)).to.throw(
        `${title}: expected an input with 3 features in its last axis, got shape [2, 5]`,
      );
      const models: [layer: AnyLayer, wrong: number[], path: string, says: string][] = [
        [recurrence(alone), [2, 7, 5], 'layer1', '3 features in its last axis, got shape [2, 7, 5]'],
        [recurrence(alone, { timeAxis: 0 }), [7, 2, 5], 'layer1', '3 features in its last axis, got shape [7, 2, 5]'],
        [recurrence(alone), [2, 7, 3, 3], 'layer1', '1 to 3 axes, got shape [2, 7, 3, 3]'],
        [statefulRecurrentCell(alone), [2, 5], 'layer1.cell', '3 features in its last axis, got shape [2, 5]'],
        [stackedRNN([alone]), [2, 7, 5], 'layer1.layer1', '3 features in its last axis, got shape [2, 7, 5]'],
      ];
      for (const [layer, wrong, path, says] of models) {
        const model = chain(layer);
        const [own, states] = setup(key(2), model);
        expect(() => model.apply(tf.zeros(wrong), own, states)).to.throw(
          `${title}: expected an input with ${says} (in layer ${path})`,
        );
      }
    }
  });

  it('refuses a layer that is no cell: by name where that is known, otherwise when it returns no carry', () => {
    const refused = 'must be a recurrent cell, got the layer Dense(2 => 2), which returns no carry; a cell is a layer from x or [x, carry] to [y, carry]'; // prettier-ignore
    const none = dense(2, 2) as never;
    expect(() => recurrence(none)).to.throw(`recurrence: the first argument ${refused}`);
    expect(() => statefulRecurrentCell(none)).to.throw(`statefulRecurrentCell: the first argument ${refused}`);
    expect(() => stackedRNN([lstmCell(2, 2), none])).to.throw(`stackedRNN: cell 2 ${refused}`);
    expect(() => bidirectionalRNN(lstmCell(2, 2), none)).to.throw(`bidirectionalRNN: the second argument ${refused}`);
    expect(() => recurrence(recurrence(lstmCell(2, 2)) as never)).to.throw(
      /got the layer Recurrence, which returns no/,
    );
    const hidden = chain(dense(2, 2));
    for (const [layer, x, path] of [
      [recurrence(hidden as never), tf.zeros([3, 4, 2]), 'layer1'],
      [statefulRecurrentCell(hidden as never), tf.zeros([3, 2]), 'layer1'],
    ] as const) {
      const model = chain(layer as Layer<Tensor, Tensor, Tree, StateTree>);
      const [ps, st] = setup(key(1), model);
      expect(() => model.apply(x, ps, st)).to.throw(
        `Chain: a recurrent cell must return [y, carry], got a float32 tensor [3, 2] (in layer ${path})`,
      );
    }
  });
});
