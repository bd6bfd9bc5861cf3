/**
 * Reference values: docstrings (D) and tests (T) of Lux.jl 1.31, src/helpers/losses.jl and
 * test/misc/helpers/loss_tests.jl, with columns (samples there) as rows here.
 */
import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import * as losses from '../../src/functional/losses.js';
import { compile, constant, grad, valueAndGrad, type NestedNumbers, type Tensor } from '../../src/index.js';
import { centralDifference } from '../support/differences.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

type Loss = (p: Tensor, y: Tensor, options?: Record<string, unknown>) => Tensor;

const softmaxRow = (row: number[]): number[] => {
  const e = row.map(Math.exp);
  const total = e.reduce((a, b) => a + b);
  return e.map((v) => v / total);
};
const LOGITS = [[-7, -6, -5], [-4, -3, -2], [-1, 0, 1], [2, 3, 4], [5, 6, 7]]; // prettier-ignore
const S = LOGITS.map(softmaxRow);
const Y = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]; // prettier-ignore
const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
const LOG_ODDS = [2, -1, Math.PI];

interface Case {
  readonly loss: Loss;
  readonly prediction: NestedNumbers;
  readonly target: NestedNumbers;
  readonly options?: Record<string, unknown>;
  readonly value: number;
  /** Digits given by the source. Default 1e-13, relatively. */
  readonly digits?: number;
}

const loss = (f: unknown): Loss => f as Loss;
const CASES: Readonly<Record<string, Case>> = {
  'binaryCrossEntropy (D)': { loss: loss(losses.binaryCrossEntropy), prediction: LOG_ODDS.map(sigma), target: [1, 0, 1], value: 0.160831984185466 },
  'binaryCrossEntropy of logits (D)': { loss: loss(losses.binaryCrossEntropy), prediction: LOG_ODDS, target: [1, 0, 1], options: { logits: true }, value: 0.160831984185466 },
  'binaryFocal (D, T)': { loss: loss(losses.binaryFocal), prediction: [[0.268941, 0.731059], [0.5, 0.5], [0.268941, 0.731059]], target: [[0, 1], [1, 0], [0, 1]], value: 0.0728675615927385 },
  'crossEntropy (D)': { loss: loss(losses.crossEntropy), prediction: S, target: Y, value: 1.60760596444438 },
  'crossEntropy of logits (D)': { loss: loss(losses.crossEntropy), prediction: LOGITS, target: Y, options: { logits: true }, value: 1.60760596444438 },
  'crossEntropy, smoothed labels (D)': { loss: loss(losses.crossEntropy), prediction: S, target: Y, options: { labelSmoothing: 0.15 }, value: 1.57760596444438 },
  'crossEntropy of logits, smoothed labels (D)': { loss: loss(losses.crossEntropy), prediction: LOGITS, target: Y, options: { logits: true, labelSmoothing: 0.15 }, value: 1.57760596444438 },
  'crossEntropy, sum (D)': { loss: loss(losses.crossEntropy), prediction: S, target: Y, options: { reduction: 'sum' }, value: 5 * 1.60760596444438 },
  'focal (D, T)': { loss: loss(losses.focal), prediction: S, target: Y, value: 1.12775650337069 },
  'focal with gamma 0 is crossEntropy': { loss: loss(losses.focal), prediction: S, target: Y, options: { gamma: 0 }, value: 1.60760596444438 },
  'dice (D)': { loss: loss(losses.dice), prediction: [1.1, 2.1, 3.1], target: [1, 2, 3], value: 0.000992391663909964 },
  'dice (T)': { loss: loss(losses.dice), prediction: [0, 1.4, 0.5, 1.2], target: [1, 0.5, 0.3, 2.4], value: 0.28 },
  'hinge (D)': { loss: loss(losses.hinge), prediction: [0.1, 0.3, 1, 1.5], target: [1, -1, 1, 1], value: 0.55 },
  'squaredHinge (D)': { loss: loss(losses.squaredHinge), prediction: [0.1, 0.3, 1, 1.5], target: [1, -1, 1, 1], value: 0.625 },
  'huber (D)': { loss: loss(losses.huber), prediction: [1.1, 2.1, 3.1], target: [1, 2, 3], value: 0.005 },
  'huber, delta 0.05 (D)': { loss: loss(losses.huber), prediction: [1.1, 2.1, 3.1], target: [1, 2, 3], options: { delta: 0.05 }, value: 0.00375 },
  'huber (T)': { loss: loss(losses.huber), prediction: [0.9, 0.1, 0.1, 0.9], target: [1, 1, 0, 0], value: 0.205 },
  'mae (D)': { loss: loss(losses.mae), prediction: [1.1, 1.9, 3.1], target: [1, 2, 3], value: 0.1 },
  'mse (D)': { loss: loss(losses.mse), prediction: [1.1, 1.9, 3.1], target: [1, 2, 3], value: 0.01 },
  'msle, above (D)': { loss: loss(losses.msle), prediction: [1.1, 2.2, 3.3], target: [1, 2, 3], value: 0.00908403037433, digits: 1e-10 },
  'msle, below (D)': { loss: loss(losses.msle), prediction: [0.9, 1.8, 2.7], target: [1, 2, 3], value: 0.0111008382596831 },
  'msle (T)': { loss: loss(losses.msle), prediction: [345, 332, 789], target: [123, 456, 789], value: 0.388139858591367 },
  'klDivergence (D)': { loss: loss(losses.klDivergence), prediction: [[0.5, 0.5], [0.5, 0.5]], target: [[1, 0], [0, 1]], value: Math.LN2 },
  'klDivergence (T)': { loss: loss(losses.klDivergence), prediction: [[4], [5], [6]], target: [[1], [2], [3]], value: -1.76610578884935 },
  'poisson (D)': { loss: loss(losses.poisson), prediction: [1, 3, 3], target: [1, 2, 3], value: 0.502312852219817 },
  'poisson (T)': { loss: loss(losses.poisson), prediction: [0.4, 0.5, 0.6], target: [0.1, 0.2, 0.3], value: 0.627835398809734 },
  'siameseContrastive (D)': { loss: loss(losses.siameseContrastive), prediction: [0.5, 1.5, 2.5], target: [1, 2, 3], value: -4.83333333333333 },
  'siameseContrastive, margin 2 (D)': { loss: loss(losses.siameseContrastive), prediction: [0.5, 1.5, 2.5], target: [1, 2, 3], options: { margin: 2 }, value: -4 },
  'siameseContrastive (T)': { loss: loss(losses.siameseContrastive), prediction: [0.6, 0.4, 0.1, 0.2, 0.7], target: [1, 0, 0, 1, 1], value: 0.212 },
}; // prettier-ignore

describe('losses', () => {
  for (const [name, { loss: f, prediction, target, options, value, digits = 1e-13 }] of Object.entries(CASES)) {
    const make = (): [Tensor, Tensor] => [constant(prediction), constant(target)];

    it(`${name} is ${value}`, () => {
      const [p, y] = make();
      expectClose(f(p, y, options), value, { rtol: tolerance({ float32: 1e-4, float64: digits }), atol: 1e-12 });
    });

    it(`${name}: derivatives are those of central differences`, () => {
      const [given, y] = make();
      const p = tf.add(given, constant(0.0123)); // off the kinks at which some of these cases lie
      const of = (x: Tensor): Tensor => f(x, y, options);
      const direction = tf.cos(tf.range(0, p.size)).reshape(p.shape);
      const slope = (x: Tensor): Tensor => tf.sum(tf.mul(grad(of)(x), direction));
      const close = {
        rtol: tolerance({ float32: 5e-2, float64: 1e-6 }),
        atol: tolerance({ float32: 5e-2, float64: 1e-8 }),
      };
      const h = tolerance({ float32: 1e-2, float64: 1e-5 });
      if (Math.abs(value) < 100) expectClose(grad(of)(p), centralDifference(of, p, h), close);
      if (h < 1e-3) expectClose(grad(slope)(p), centralDifference(slope, p, h), { rtol: 1e-5, atol: 1e-6 });
    });
  }

  it('hinge and squaredHinge have the derivatives that Lux.jl has wrong, -y and -2 y (1 - xy), at x = 0.3', () => {
    for (const y of [1, -1]) {
      const at = (f: Loss): Tensor => grad((x: Tensor) => f(x, constant([y])))(constant([0.3]));
      expectClose(at(loss(losses.hinge)), -y, { rtol: 1e-6 });
      expectClose(at(loss(losses.squaredHinge)), -2 * y * (1 - 0.3 * y), { rtol: 1e-6 });
    }
    expectClose(grad((x: Tensor) => losses.hinge(x, constant([1])))(constant([1.5])), 0);
  });

  it('class labels do as well as one-hot rows', () => {
    const labels = tf.tensor1d([0, 1, 2, 1, 0], 'int32');
    for (const f of [losses.crossEntropy, losses.focal, losses.klDivergence].map(loss)) {
      expectClose(f(constant(S), labels), f(constant(S), constant(Y)), { rtol: 1e-6 });
    }
  });

  for (const name of ['crossEntropy', 'focal', 'klDivergence'] as const) {
    it(`${name}: a label that is no class is an error, NaN in a traced function`, () => {
      const f = loss(losses[name]);
      const p = constant(S.slice(0, 4));
      const good = tf.tensor1d([0, 1, 2, 1], 'int32');
      const of = (labels: number[]): Tensor => tf.tensor1d(labels, 'int32');
      expect(() => f(p, of([1, 2, 3, 1]))).to.throw(RangeError, `${name}: label 3 of sample 2 is not in [0, 2]`);
      expect(() => f(p, of([-1, 2, 1, 1]))).to.throw(RangeError, `${name}: label -1 of sample 0 is not in [0, 2]`);
      const nested = tf.tensor2d([[0, 1], [2, 5]], [2, 2], 'int32'); // prettier-ignore
      expect(() => f(tf.reshape(p, [2, 2, 3]), nested)).to.throw(
        RangeError,
        `${name}: label 5 of sample [1, 1] is not in`,
      );
      const compiled = compile((a: Tensor, y: Tensor) => f(a, y));
      const slope = compile((a: Tensor, y: Tensor) => grad((q: Tensor) => f(q, y))(a));
      expectClose(compiled(p, good), f(p, good), { rtol: 1e-5 });
      expectClose(slope(p, good), grad((q: Tensor) => f(q, constant(Y.slice(0, 4))))(p), { rtol: 1e-5 });
      expect(compiled(p, of([1, 2, 3, 1])).dataSync()[0]).to.be.NaN;
      expect(compiled(p, of([1, 2, -1, 1])).dataSync()[0]).to.be.NaN;
      expect(compiled(tf.reshape(p, [2, 2, 3]), nested).dataSync()[0]).to.be.NaN;
      // Only the row of the wrong label.
      const rows = Array.from(slope(p, of([1, 2, 3, 1])).dataSync(), Number.isFinite);
      expect(rows.slice(0, 6).concat(rows.slice(9))).not.to.include(false);
      expect(rows.slice(6, 9)).to.include(false);
      const before = tf.memory().numTensors;
      f(p, good).dispose();
      expect(tf.memory().numTensors).to.equal(before);
    });
  }

  it('of logits are finite, with finite derivatives, where probabilities would be 0 or 1', () => {
    const of = valueAndGrad((x: Tensor) => losses.binaryCrossEntropy(x, constant([0, 1, 1]), { logits: true }));
    const { value, grad: slope } = of(constant([300, -300, 300]));
    expectClose(value, 200, { rtol: 1e-6 });
    expectClose(slope, [1 / 3, -1 / 3, 0], { rtol: 1e-6, atol: 1e-30 });
    const classes = valueAndGrad((x: Tensor) => losses.crossEntropy(x, constant([[0, 1]]), { logits: true }));
    const result = classes(constant([[500, -500]]));
    expectClose(result.value, 1000, { rtol: 1e-6 });
    expectClose(result.grad, [1, -1], { rtol: 1e-6 });
  });

  it('of probabilities 0 and 1 are finite', () => {
    const of = valueAndGrad((x: Tensor) => losses.binaryCrossEntropy(x, constant([1, 0, 1])));
    const { value, grad: slope } = of(constant([1, 0, 0]));
    expect(Number.isFinite(value.dataSync()[0])).to.equal(true);
    expect(Array.from(slope.dataSync()).every(Number.isFinite)).to.equal(true);
  });

  it('are the same compiled, and free what they make', () => {
    for (const [name, { loss: f, prediction, target, options }] of Object.entries(CASES)) {
      const [p, y] = [constant(prediction), constant(target)];
      const before = tf.memory().numTensors;
      const value = f(p, y, options);
      expect(tf.memory().numTensors - before, name).to.equal(1);
      expectClose(compile((a: Tensor, b: Tensor) => f(a, b, options))(p, y), value, { rtol: 1e-5 }, name);
    }
  });

  it('can be made of a term', () => {
    const quartic = losses.genericLoss((p, y) => tf.square(tf.square(tf.sub(p, y))), 'quartic');
    const [p, y] = [constant([1, 2, 4]), tf.tensor1d([1, 1, 2], 'int32')];
    expectClose(quartic(p, y), 17 / 3, { rtol: 1e-6 });
    expectClose(quartic(p, y, { reduction: 'sum' }), 17, { rtol: 1e-6 });
    expectClose(grad((q: Tensor) => quartic(q, y, { reduction: 'sum' }))(p), [0, 4, 32], { rtol: 1e-6 });
    expect(() => quartic(p, tf.zeros([2]))).to.throw('quartic: prediction and target must have the same shape');
    expect(() => losses.genericLoss(3 as never)).to.throw('genericLoss: expected a function, got 3');
  });

  it('say what does not fit', () => {
    const [p, y] = [tf.zeros([3, 2]), tf.zeros([3])];
    expect(() => losses.mse(p, y)).to.throw(
      'mse: prediction and target must have the same shape, got a float32 tensor [3, 2] and a float32 tensor [3]',
    );
    expect(() => losses.mse(tf.zeros([3], 'int32'), y)).to.throw(
      'mse: the prediction must be float32, got an int32 tensor [3]',
    );
    expect(() => losses.crossEntropy(p, y)).to.throw(
      'crossEntropy: prediction and target must have the same shape or int32 labels [3], got a float32 tensor [3, 2] and a float32 tensor [3]',
    );
    expect(() => losses.mse(p, 3 as unknown as Tensor)).to.throw('mse: expected two tensors');
    expect(() => losses.huber(p, p, { dleta: 3 } as object)).to.throw('unknown option "dleta"; did you mean "delta"?');
    expect(() => losses.huber(p, p, { delta: -1 })).to.throw(/huber: option "delta".*-1/);
    expect(() => losses.crossEntropy(p, p, { reduction: 'max' as 'sum' })).to.throw(/"mean" or "sum"/);
  });
});
