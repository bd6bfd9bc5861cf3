import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { gruODE, gruODEField, odeRNN } from '../../models/index.js';
import { rk4, SolveError, tsit5 } from '../../solvers/index.js';
import {
  compile,
  constant,
  dense,
  explain,
  grad,
  gruCell,
  key,
  layerToString,
  lstmCell,
  normal,
  parameterLength,
  ravel,
  recurrence,
  rnnCell,
  setup,
  type Tensor,
  type Tree,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { centralDifference } from '../support/differences.js';
import { isFloat64, tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 1e-5, float64: 1e-12 }),
  atol: tolerance({ float32: 1e-6, float64: 1e-13 }),
};
const fixed = { algorithm: rk4(), dt: 0.5 } as const;

const times = (): Tensor => constant([[0, 0.7, 0.9, 2], [1, 1.5, 3, 3.2]]); // prettier-ignore
const x = (): Tensor => normal(key(5), [2, 4, 3]);

describe('odeRNN', () => {
  it('decays between observations as the equation of its field says', () => {
    // dh/dt = -0.8 h, h = exp(-0.8 Δt) h before each step of the cell
    const cell = rnnCell(1, 1);
    const accurate = { reltol: tolerance({ float32: 1e-5, float64: 1e-9 }), abstol: 1e-9 };
    const model = odeRNN(dense(1, 1), cell, { ...accurate, algorithm: tsit5(), returnSequence: true });
    const [{ cell: ps }, st] = setup(key(1), model);
    const field = { weight: constant([[-0.8]]), bias: constant([0]) };
    const input = normal(key(5), [2, 4, 1]);
    const [y] = compile((v: Tensor, t: Tensor) => model.apply([v, t], { field, cell: ps }, st))(input, times());
    const at = times().arraySync() as number[][];
    const [wi, wh, bi, bh] = [ps.weightIh, ps.weightHh, ps.biasIh, ps.biasHh].map((p) => (p as Tensor).dataSync()[0]);
    const expected = (input.arraySync() as number[][][]).map((sample, b) => {
      let h = 0;
      return sample.map(([v], i) => {
        const flowed = h * Math.exp(-0.8 * (i === 0 ? 0 : at[b][i] - at[b][i - 1]));
        h = Math.tanh(wi * v + wh * flowed + bi + bh);
        return h;
      });
    });
    expectClose(y, expected, { rtol: tolerance({ float32: 1e-4, float64: 1e-8 }) });
  });

  it('is a recurrence where no time passes, or where the field is zero', () => {
    const cell = lstmCell(3, 4);
    const model = odeRNN(dense(4, 4), cell, { ...fixed, returnSequence: true });
    const [ps, st] = setup(key(2), model);
    const [plain] = recurrence(cell, { returnSequence: true }).apply(x(), ps.cell, {});
    expectClose(model.apply([x(), constant([1, 1, 1, 1])], ps, st)[0], plain, close);
    const still = { ...ps, field: { weight: tf.zeros([4, 4]), bias: tf.zeros([4]) } };
    expectClose(model.apply([x(), times()], still, st)[0], plain, close);
  });

  it('flows on where nothing was observed', () => {
    const model = odeRNN(dense(2, 2), gruCell(3, 2), fixed);
    const [ps, st] = setup(key(2), model);
    const t = constant([0, 0.5, 1, 1.5]);
    const all = tf.ones([2, 4], 'int32');
    const seen = tf.tensor2d([[1, 0, 0, 1], [1, 0, 0, 1]], [2, 4], 'bool'); // prettier-ignore
    expectClose(model.apply([x(), t, all], ps, st)[0], model.apply([x(), t], ps, st)[0], close);
    // the two between left out: three steps of 0.5 are one step of 1.5 with the same steps of the solver
    const ends = tf.gather(x(), tf.tensor1d([0, 3], 'int32'), 1);
    const few = odeRNN(dense(2, 2), gruCell(3, 2), { algorithm: rk4(), dt: 1 / 3 });
    const masked = odeRNN(dense(2, 2), gruCell(3, 2), { algorithm: rk4(), dt: 1 });
    expectClose(masked.apply([x(), t, seen], ps, st)[0], few.apply([ends, constant([0, 1.5])], ps, st)[0], {
      rtol: tolerance({ float32: 1e-5, float64: 1e-10 }),
      atol: tolerance({ float32: 1e-5, float64: 1e-10 }),
    });
  });

  it('keeps the states of a continuous GRU between -1 and 1, and follows its formula', () => {
    const field = gruODEField(2);
    const [ps] = setup(key(3), field);
    const h = constant([[0.3, -0.9]]);
    const w = ps.weightHh.arraySync() as number[][];
    const b = Array.from(ps.bias.dataSync());
    const sigma = (v: number): number => 1 / (1 + Math.exp(-v));
    const hs = [0.3, -0.9];
    const gate = (from: readonly number[], j: number): number => b[j] + from.reduce((s, v, i) => s + v * w[i][j], 0);
    const r = [0, 1].map((j) => sigma(gate(hs, j)));
    const expected = [0, 1].map((j) => {
      const n = Math.tanh(gate(hs.map((v, i) => v * r[i]), 4 + j)); // prettier-ignore
      return (1 - sigma(gate(hs, 2 + j))) * (n - hs[j]);
    });
    expectClose(field.apply(h, ps, {})[0], expected, close);
    const model = gruODE(3, 8, { reltol: 1e-6, cell: { trainState: true } });
    const [all, st] = setup(key(4), model);
    const [y] = compile((v: Tensor, t: Tensor) => model.apply([v, t], all, st))(x(), tf.mul(times(), 100));
    for (const v of y.dataSync()) expect(Math.abs(v)).to.be.lessThan(1);
    // 8 x 24 + 24 of the field, 3 x 24 + 8 x 24 + 48 of the cell, 8 of its first state
    expect(parameterLength(model)).to.equal(216 + 312 + 8);
    expect(layerToString(model).split('\n')[0]).to.match(/^ODERNN\(/);
  });

  const build = (): { vector: Tensor; loss: (v: Tensor) => Tensor } => {
    const model = odeRNN(dense(2, 2, 'tanh'), lstmCell(1, 2), { ...fixed, returnSequence: true });
    const [ps, st] = setup(key(6), model);
    const irregular = constant([[0, 0.7, 0.9], [1, 1.5, 2.8]]); // prettier-ignore
    const [vector, unravel] = ravel([normal(key(5), [2, 3, 1]), irregular, ps] as Tree[]);
    const weights = normal(key(8), [2, 3, 2]);
    const loss = (v: Tensor): Tensor => {
      const [input, at, own] = unravel(v) as unknown as [Tensor, Tensor, typeof ps];
      return tf.sum(tf.mul(model.apply([input, at], own, st)[0], weights));
    };
    return { vector, loss };
  };

  it('has derivatives for values, times and parameters', () => {
    const { vector, loss } = build();
    const compiled = compile(loss);
    expectClose(
      grad(loss)(vector),
      centralDifference((v) => compiled(v), vector),
      {
        rtol: tolerance({ float32: 2e-2, float64: 1e-7 }),
        atol: tolerance({ float32: 2e-2, float64: 1e-8 }),
      },
    );
  });

  if (isFloat64) {
    it('has second derivatives', () => {
      const { vector, loss } = build();
      const direction = normal(key(9), vector.shape);
      const slope = (v: Tensor): Tensor => tf.sum(tf.mul(grad(loss)(v), direction));
      const compiled = compile(slope);
      const curvature = compile((v: Tensor) => grad(slope)(v))(vector);
      expectClose(
        curvature,
        centralDifference((v) => compiled(v), vector),
        { rtol: 1e-5, atol: 1e-7 },
      );
    });
  }

  it('has adaptive steps and their derivative inside the loop, and frees what it makes', () => {
    const model = gruODE(3, 4, { reltol: 1e-5 });
    const [ps, st] = setup(key(4), model);
    const step = compile((p: typeof ps, v: Tensor, t: Tensor) =>
      grad((q: typeof ps) => tf.mean(tf.square(model.apply([v, t], q, st)[0])))(p),
    );
    const [v, t] = [x(), times()];
    tf.dispose(step(ps, v, t));
    const before = [tf.memory().numTensors, tf.memory().numDataBuffers];
    tf.dispose(step(ps, v, t));
    expect([tf.memory().numTensors, tf.memory().numDataBuffers]).to.deep.equal(before);
    expect(explain(step, ps, v, t)).to.match(/<scan \(4 steps\)>/);
  });

  it('throws where a solve inside the loop fails, and frees what there was', () => {
    const model = gruODE(3, 4, { maxIters: 1, reltol: 1e-5 });
    const [ps, st] = setup(key(4), model);
    const run = compile((v: Tensor, t: Tensor) => model.apply([v, t], ps, st)[0]);
    const [v, t] = [x(), tf.mul(times(), 50)];
    const fail = (): void => {
      expect(() => run(v, t)).to.throw(SolveError, /1 steps? .*|maxIters/);
    };
    fail();
    const before = [tf.memory().numTensors, tf.memory().numDataBuffers];
    fail();
    expect([tf.memory().numTensors, tf.memory().numDataBuffers]).to.deep.equal(before);
  });

  it('says what is wrong', () => {
    expect(() => odeRNN(dense(2, 2), dense(2, 2) as never)).to.throw(
      /the second argument must be an rnnCell, lstmCell or gruCell/,
    );
    expect(() => odeRNN(((h: Tensor) => h) as never, gruCell(3, 2))).to.throw(
      /the first argument must be a layer, got a function/,
    );
    expect(() => gruODE(3, 2, { reltoll: 1 } as object)).to.throw(/did you mean "reltol"/);
    expect(() => gruODE(3, 2, { cell: { useBiases: true } as object })).to.throw(/did you mean "useBias"/);
    const model = gruODE(3, 2);
    const [ps, st] = setup(key(1), model);
    expect(() => model.apply([x(), tf.zeros([5])], ps, st)).to.throw(
      'ODERNN: expected times of shape [4] or [2, 4], got [5]',
    );
    expect(() => model.apply([x(), times(), tf.ones([2, 4])], ps, st)).to.throw(/bool or int32 mask of shape \[2, 4\]/);
    expect(() => model.apply(x() as never, ps, st)).to.throw(/expected \[x, times\] or \[x, times, observed\]/);
  });
});
