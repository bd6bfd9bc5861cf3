import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  apply,
  batchNorm,
  chain,
  constant,
  conv,
  dense,
  groupNorm,
  initialParameters,
  instanceNorm,
  key,
  layerNorm,
  normal,
  parameterLength,
  rmsNorm,
  setup,
  spectralNorm,
  stateLength,
  testMode,
  updateState,
  variationalHiddenDropout,
  weightNorm,
  zerosInit,
  type RunningStates,
  type Tensor,
  type VariationalDropoutState,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { isFloat64, tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 1e-5, float64: 1e-12 }),
  atol: tolerance({ float32: 1e-5, float64: 1e-12 }),
};

const values = (x: Tensor): number[] => Array.from(x.dataSync());

/** `(x - mean) / √(variance + epsilon)` of each group of numbers, in doubles; `group` names the one of a place. */
function standardised(x: Tensor, group: (place: number[]) => string, epsilon = 1e-5): number[] {
  const numbers = values(x);
  const strides = x.shape.map((_, i) => x.shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const names = numbers.map((_, k) => group(strides.map((s, i) => Math.floor(k / s) % x.shape[i])));
  const groups = new Map<string, number[]>();
  names.forEach((name, k) => groups.set(name, [...(groups.get(name) ?? []), numbers[k]]));
  return numbers.map((v, k) => {
    const all = groups.get(names[k]) ?? [];
    const mean = all.reduce((a, b) => a + b, 0) / all.length;
    const variance = all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length;
    return (v - mean) / Math.sqrt(variance + epsilon);
  });
}

describe('batchNorm', () => {
  // Lux.jl, test/core_layers/normalize_tests.jl: x = [1 3 5; 2 4 6], features first there.
  const x = (): Tensor => constant([[1, 2], [3, 4], [5, 6]]); // prettier-ignore

  it('reproduces the numbers of Lux.jl', () => {
    const layer = batchNorm(2);
    const [ps, st] = setup(key(0), layer);
    expect([parameterLength(layer), stateLength(layer)]).to.deep.equal([4, 5]);
    const [y, next] = apply(layer, x(), ps, st);
    const edge = tolerance({ float32: 1e-5, float64: 1e-5 });
    expectClose(y, [-1.22474, -1.22474, 0, 0, 1.22474, 1.22474], { atol: edge });
    expectClose(next.runningMean, [0.3, 0.4], close);
    expectClose(next.runningVar, [1.3, 1.3], close); // 0.9 + 0.1 * 4, and 4 is the unbiased variance
    const [tested, same] = apply(layer, x(), ps, testMode(next));
    expectClose(values(tested).slice(0, 1), [(1 - 0.3) / Math.sqrt(1.3 + 1e-5)], close);
    expectClose(same.runningMean, next.runningMean, {});
  });

  it('normalises each channel over batch and space', () => {
    const layer = batchNorm(3, 'identity', { epsilon: 0.01 });
    const images = normal(key(1), [2, 4, 3, 3]);
    const [ps, st] = setup(key(0), layer);
    const scaled = { scale: constant([1, 2, -1]), bias: constant([0, 0.5, 1]) };
    const plain = standardised(images, (place) => String(place[3]), 0.01);
    expectClose(apply(layer, images, ps, st)[0], plain, close);
    expectClose(apply(layer, images, scaled, st)[0], plain.map((v, k) => v * [1, 2, -1][k % 3] + [0, 0.5, 1][k % 3]), close); // prettier-ignore
  });

  it('uses the statistics of the batch in test mode, too, when it keeps none', () => {
    const layer = batchNorm(2, 'identity', { trackStats: false, affine: false });
    const [ps, st] = setup(key(0), layer);
    expectClose(apply(layer, x(), ps, testMode(st))[0], apply(layer, x(), ps, st)[0], {});
    expect(() => apply(layer, tf.zeros([1, 2]), ps, testMode(st))).to.not.throw();
  });

  it('names a batch of one in training, and where it stands', () => {
    const model = chain({ norm: batchNorm(2) });
    const [ps, st] = setup(key(0), model);
    expect(() => apply(model, tf.zeros([1, 2]), ps, st)).to.throw(
      'BatchNorm(2): a batch of one cannot be normalised in training, got shape [1, 2]; use testMode(st), a larger ' +
        'batch, or groupNorm, instanceNorm or layerNorm (in layer norm)',
    );
    expect(() => apply(model, tf.zeros([1, 2]), ps, testMode(st))).to.not.throw();
  });

  it('reaches test mode deep inside a model', () => {
    const model = chain(dense(2, 2), chain(chain(batchNorm(2)), dense(2, 1)));
    const [ps, st] = setup(key(0), model);
    const one = constant([[1, 2]]);
    expect(() => apply(model, one, ps, st)).to.throw('(in layer layer2.layer1.layer1)');
    expect(apply(model, one, ps, testMode(st))[0].shape).to.deep.equal([1, 1]);
  });
});

describe('layers that normalise by the input alone', () => {
  const x = (): Tensor => normal(key(4), [2, 3, 2, 6]);

  it('groupNorm: each sample, over groups of channels', () => {
    const layer = groupNorm(6, 3);
    const [ps, st] = setup(key(0), layer);
    expectClose(
      apply(layer, x(), ps, st)[0],
      standardised(x(), ([b, , , c]) => `${b} ${c >> 1}`),
      close,
    );
  });

  it('instanceNorm: each sample and channel', () => {
    const layer = instanceNorm(6);
    expectClose(
      apply(layer, x(), {}, {})[0],
      standardised(x(), ([b, , , c]) => `${b} ${c}`),
      close,
    );
  });

  it('instanceNorm averages the statistics of samples when it tracks', () => {
    const layer = instanceNorm(1, 'identity', { trackStats: true });
    const [ps, st] = setup(key(0), layer);
    // Means 2 and 6, unbiased variances 2 and 8.
    const [, next] = apply(layer, constant([1, 3, 4, 8], [2, 2, 1]), ps, st);
    expectClose(next.runningMean, [0.4], close);
    expectClose(next.runningVar, [0.9 + 0.1 * 5], close);
    const [y] = apply(layer, constant([1, 3], [1, 2, 1]), ps, testMode(next));
    expectClose(y, [0.6 / Math.sqrt(1.40001), 2.6 / Math.sqrt(1.40001)], close);
    expect(() => apply(layer, tf.zeros([2, 1, 1]), ps, next)).to.throw('more than one element for each channel');
  });

  it('layerNorm: the last axes of each sample, or those it is told', () => {
    const one = layerNorm(6);
    expectClose(apply(one, x(), setup(key(0), one)[0], {})[0], standardised(x(), ([b, h, w]) => `${b} ${h} ${w}`), close); // prettier-ignore
    const two = layerNorm([2, 6]);
    expectClose(
      apply(two, x(), setup(key(0), two)[0], {})[0],
      standardised(x(), ([b, h]) => `${b} ${h}`),
      close,
    );
    const all = layerNorm(6, 'identity', { dims: [0, 1, 2, 3] });
    expectClose(
      apply(all, x(), setup(key(0), all)[0], {})[0],
      standardised(x(), () => ''),
      close,
    );
  });

  it('rmsNorm: by the root of the mean square', () => {
    const layer = rmsNorm(2, { epsilon: 1e-6 });
    const [y] = apply(layer, constant([[3, 4]]), { scale: constant([1, 2]) }, {});
    const spread = Math.sqrt(12.5 + 1e-6);
    expectClose(y, [3 / spread, 8 / spread], close);
  });
});

describe('counts of models in the documentation of Lux.jl', () => {
  it('are the same here', () => {
    // docs/src/tutorials of Lux.jl: MNIST with batch norm; its LeNet-5 has 128 features where the paper has 120.
    const normed = chain(dense(784, 64, 'relu'), batchNorm(64), dense(64, 10), batchNorm(10));
    expect([parameterLength(normed), stateLength(normed)]).to.deep.equal([51_038, 150]);
    const small = chain(dense(2, 3), batchNorm(3), dense(3, 2));
    expect([parameterLength(small), stateLength(small)]).to.deep.equal([23, 7]);
    const layers = [conv([5, 5], 1, 6), conv([5, 5], 6, 16), dense(256, 128), dense(128, 84), dense(84, 10)];
    const counts = layers.map((layer) => parameterLength(layer));
    expect(counts).to.deep.equal([156, 2416, 32_896, 10_836, 850]);
    expect(counts.reduce((a, b) => a + b)).to.equal(47_154);
  });
});

describe('weightNorm', () => {
  it('starts with the weights of the layer itself, with a length for each output', () => {
    const inner = dense(3, 2);
    const ps = initialParameters(key(7), weightNorm(inner));
    expect(ps.normalized.weightG.shape).to.deep.equal([1, 2]);
    expect(Object.keys(ps.unnormalized)).to.deep.equal(['bias']);
    const x = normal(key(8), [4, 3]);
    const plain = apply(inner, x, initialParameters(key(7), inner), {})[0];
    expectClose(apply(weightNorm(inner), x, ps, {})[0], plain, close);
  });

  it('is g v / |v|', () => {
    const layer = weightNorm(dense(2, 2, 'identity', { useBias: false }));
    const ps = { normalized: { weightG: constant([[2, 5]]), weightV: constant([[3, 0], [4, -7]]) }, unnormalized: {} }; // prettier-ignore
    expectClose(apply(layer, constant([[1, 10]]), ps, {})[0], [2 * (0.6 + 8), -50], close);
  });

  it('names zeros, missing parameters and lengths that do not fit', () => {
    expect(() => initialParameters(key(0), weightNorm(conv([2], 1, 1, 'tanh', { initBias: zerosInit() }), ['bias']))).to.throw(
      'WeightNorm([bias]): parameter "bias" starts with zeros alone, which have no direction; give it another initialiser',
    ); // prettier-ignore
    expect(() => initialParameters(key(0), weightNorm(dense(1, 1), ['kernel']))).to.throw(
      'the parameters have no field "kernel" with a tensor: the layer\'s are {weight, bias}',
    );
    expect(() => weightNorm(dense(1, 1), [])).to.throw('weightNorm: expected an array of names of parameters');
    expect(() => weightNorm({} as ReturnType<typeof dense>)).to.throw('weightNorm: the first argument must be a layer');
  });
});

describe('spectralNorm', () => {
  it('approaches a weight of largest singular value 1', () => {
    const layer = spectralNorm(dense(3, 2, 'identity', { useBias: false }), 'weight', { iterations: 60 });
    const [, st] = setup(key(0), layer);
    // W = 5 a bᵀ + 2 c dᵀ with unit vectors: singular values 5 and 2.
    const weight = constant([[0, 5], [0, 0], [2, 0]]); // prettier-ignore
    const [y, next] = apply(layer, tf.eye(3), { weight }, st);
    expectClose(y, [0, 1, 0, 0, 0.4, 0], close);
    expectClose(values(next.u).map(Math.abs), [0, 1], { atol: tolerance({ float32: 1e-5, float64: 1e-12 }) });
    const tested = testMode(next);
    expectClose(apply(layer, tf.eye(3), { weight }, tested)[1].u, next.u, {});
  });

  it('goes on from its state', () => {
    const layer = spectralNorm(dense(4, 3));
    const [ps, start] = setup(key(5), layer);
    let st = start;
    const rounds = isFloat64 ? 400 : 100;
    for (let i = 0; i < rounds; i++) st = apply(layer, tf.zeros([1, 4]), ps, st)[1];
    const [y] = apply(layer, tf.eye(4), { ...ps, bias: tf.zeros([3]) }, st);
    // The largest eigenvalue of YᵀY, by the trace of a high power of it.
    let power = tf.matMul(y, y, true);
    for (let i = 0; i < 8; i++) power = tf.matMul(power, power);
    const largest = tf.sum(tf.mul(power, tf.eye(3))).dataSync()[0] ** (1 / 256);
    expectClose(largest, 1, { rtol: tolerance({ float32: 1e-4, float64: 1e-6 }) });
  });
});

describe('variationalHiddenDropout', () => {
  it('keeps its mask until it is told to draw another', () => {
    const layer = variationalHiddenDropout(0.5);
    const [, st] = setup(key(3), layer);
    const x = tf.ones([4, 8]);
    const [first, st1] = apply(layer, x, {}, st);
    const [second, st2] = apply(layer, x, {}, st1);
    expect(values(second)).to.deep.equal(values(first));
    const [third, st3] = apply(layer, x, {}, updateState(st2, 'updateMask', true));
    expect(values(third)).to.not.deep.equal(values(first));
    expect(values(apply(layer, x, {}, st3)[0])).to.deep.equal(values(third));
    expect(new Set(values(first))).to.deep.equal(new Set([0, 2]));
    expect((st3 as VariationalDropoutState).updateMask).to.be.instanceOf(tf.Tensor);
    expect(values(apply(layer, x, {}, testMode(st3))[0])).to.deep.equal(values(x));
  });
});

describe('normalising layers refuse', () => {
  const errors: Readonly<Record<string, [() => unknown, RegExp]>> = {
    'no channels': [() => batchNorm(0), /^batchNorm: the number of channels must be a positive integer, got 0$/],
    'a momentum above 1': [() => batchNorm(2, 'tanh', { momentum: 2 }), /^batchNorm: option "momentum": expected a number from 0 to 1, got 2$/],
    'an epsilon of 0': [() => layerNorm(2, 'tanh', { epsilon: 0 }), /^layerNorm: option "epsilon": expected a positive number, got 0$/],
    'an unknown option': [() => batchNorm(2, 'tanh', { momentun: 0.1 } as object), /unknown option "momentun"; did you mean "momentum"\?/],
    'groups that do not divide': [() => groupNorm(4, 3), /^groupNorm: 3 groups must divide the channels, got 4$/],
    'an empty shape': [() => layerNorm([]), /^layerNorm: the shape needs one size or more, got \[\]$/],
    'a bias of rmsNorm': [() => rmsNorm(2, { initBias: zerosInit() } as object), /^rmsNorm: unknown option "initBias"/],
    'a power iteration of no rounds': [() => spectralNorm(dense(1, 1), 'weight', { iterations: 0 }), /^spectralNorm: option "iterations": expected a positive integer, got 0$/],
    'a mask probability above 1': [() => variationalHiddenDropout(2), /^variationalHiddenDropout: the probability must be a number from 0 to 1, got 2$/],
  }; // prettier-ignore
  for (const [name, [make, message]] of Object.entries(errors)) {
    it(name, () => {
      expect(make).to.throw(TypeError, message);
    });
  }

  it('inputs and states that do not fit', () => {
    const layer = batchNorm(2);
    const [ps, st] = setup(key(0), layer);
    expect(() => apply(layer, tf.zeros([3, 4]), ps, st)).to.throw(
      'BatchNorm(2): expected an input with 2 features in its last axis, got shape [3, 4]',
    );
    const other: RunningStates = { ...st, runningMean: tf.zeros([3]) };
    expect(() => apply(layer, tf.zeros([3, 2]), ps, other)).to.throw(
      'state "runningMean" must have shape [2], got [3]',
    );
    const norm = layerNorm([2, 3], 'identity', { dims: 5 });
    const parameters = initialParameters(key(0), norm);
    expect(() => apply(norm, tf.zeros([2, 2, 3]), parameters, {})).to.throw(
      'the input has no axis 5, got shape [2, 2, 3]',
    );
    expect(() => apply(norm, tf.zeros([2, 3, 2]), parameters, {})).to.throw(
      'LayerNorm(2, 3, dims=[5]): expected an input whose shape ends with [2, 3], got shape [2, 3, 2]',
    ); // prettier-ignore
  });
});
