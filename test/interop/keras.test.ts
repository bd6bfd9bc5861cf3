/**
 * Keras models converted to layers: the same numbers as `model.predict` on the same backend.
 */
import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  compile,
  disposeTree,
  fromLayersModel,
  grad,
  key,
  layerToString,
  leaves,
  normal,
  parameterLength,
  randint,
  trainMode,
  type Tensor,
  type Tree,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { centralDifference } from '../support/differences.js';
import { isFloat64, tolerance } from '../support/precision.js';

const L = tf.layers;
type KerasLayer = tf.layers.Layer;

/** Weights that hide nothing: no zeros, no ones, variances positive. */
function shake(model: tf.LayersModel): tf.LayersModel {
  const weights = model.getWeights().map((w, i) => {
    const random = normal(key(100 + i), w.shape, { std: 0.5 });
    return model.weights[i].name.includes('variance') ? tf.add(tf.square(random), 0.5) : random;
  });
  model.setWeights(weights);
  return model;
}

const sequential = (inputShape: number[], ...layers: KerasLayer[]): tf.LayersModel => {
  const x = tf.input({ shape: inputShape });
  return shake(tf.model({ inputs: x, outputs: layers.reduce<tf.SymbolicTensor>((y, l) => l.apply(y) as tf.SymbolicTensor, x) })); // prettier-ignore
};

const close = {
  rtol: tolerance({ float32: 1e-6, float64: 1e-12 }),
  atol: tolerance({ float32: 1e-6, float64: 1e-13 }),
};

/** Converted and compiled, against `predict`. */
function agrees(model: tf.LayersModel, x: Tensor | Tensor[]): void {
  const expected = [model.predict(x)].flat();
  const { layer, ps, st } = fromLayersModel(model);
  const [y] = layer.apply(x, ps, st);
  const [yc] = compile((a: Tensor | readonly Tensor[], p: Tree) => layer.apply(a, p, st))(x, ps);
  for (const given of [y, yc]) {
    const got = [given].flat();
    expect(got.map((t) => t.shape)).to.deep.equal(expected.map((t) => t.shape));
    got.forEach((t, i) => {
      expectClose(t, expected[i], close);
    });
  }
  expect(parameterLength(ps)).to.be.at.least(model.trainableWeights.reduce((n, w) => n + w.shape.reduce<number>((a, b) => a * (b ?? 1), 1), 0)); // prettier-ignore
}

const SINGLE: Readonly<Record<string, { readonly input: number[]; readonly layers: () => KerasLayer[] }>> = {
  dense: { input: [3], layers: () => [L.dense({ units: 4, activation: 'relu' })] },
  'dense over sequences, no bias': { input: [5, 3], layers: () => [L.dense({ units: 2, useBias: false })] },
  conv1d: { input: [7, 2], layers: () => [L.conv1d({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' })] },
  conv2d: { input: [6, 5, 2], layers: () => [L.conv2d({ filters: 3, kernelSize: [3, 2], activation: 'tanh' })] },
  'conv2d, strided, same': { input: [6, 5, 2], layers: () => [L.conv2d({ filters: 3, kernelSize: 3, strides: 2, padding: 'same', useBias: false })] },
  'conv2d, dilated': { input: [7, 7, 2], layers: () => [L.conv2d({ filters: 2, kernelSize: 3, dilationRate: 2, padding: 'same' })] },
  conv3d: { input: [4, 4, 4, 1], layers: () => [L.conv3d({ filters: 2, kernelSize: 2 })] },
  conv2dTranspose: { input: [3, 4, 2], layers: () => [L.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2 })] },
  'conv2dTranspose, same': { input: [3, 4, 2], layers: () => [L.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' })] },
  'conv2dTranspose, stride beyond its kernel': { input: [3, 4, 2], layers: () => [L.conv2dTranspose({ filters: 3, kernelSize: 2, strides: 3 })] },
  depthwiseConv2d: { input: [5, 5, 2], layers: () => [L.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same' })] },
  separableConv2d: { input: [5, 5, 2], layers: () => [L.separableConv2d({ filters: 3, kernelSize: 3, depthMultiplier: 2, activation: 'elu' })] },
  maxPooling1d: { input: [7, 2], layers: () => [L.maxPooling1d({ poolSize: 3, strides: 2, padding: 'same' })] },
  maxPooling2d: { input: [5, 6, 2], layers: () => [L.maxPooling2d({ poolSize: 2, padding: 'same' })] },
  averagePooling1d: { input: [6, 2], layers: () => [L.averagePooling1d({ poolSize: 2 })] },
  'averagePooling2d, same': { input: [5, 5, 2], layers: () => [L.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' })] },
  globalAveragePooling1d: { input: [5, 2], layers: () => [L.globalAveragePooling1d({})] },
  globalAveragePooling2d: { input: [5, 4, 2], layers: () => [L.globalAveragePooling2d({})] },
  globalMaxPooling2d: { input: [5, 4, 2], layers: () => [L.globalMaxPooling2d({})] },
  batchNormalization: { input: [4, 4, 3], layers: () => [L.batchNormalization()] },
  'batchNormalization, scale alone': { input: [3], layers: () => [L.batchNormalization({ center: false })] },
  layerNormalization: { input: [4, 3], layers: () => [L.layerNormalization()] },
  'layerNormalization over two axes': { input: [4, 3], layers: () => [L.layerNormalization({ axis: [1, 2], scale: false })] },
  dropout: { input: [4], layers: () => [L.dropout({ rate: 0.5 }), L.dense({ units: 2 })] },
  'reshape, permute, flatten': { input: [6], layers: () => [L.reshape({ targetShape: [3, 2] }), L.permute({ dims: [2, 1] }), L.flatten()] },
  repeatVector: { input: [3], layers: () => [L.repeatVector({ n: 4 })] },
  zeroPadding2d: { input: [3, 3, 1], layers: () => [L.zeroPadding2d({ padding: [[1, 0], [2, 3]] })] },
  cropping2D: { input: [5, 6, 2], layers: () => [L.cropping2D({ cropping: [[1, 0], [2, 1]] })] },
  upSampling2d: { input: [3, 2, 2], layers: () => [L.upSampling2d({ size: [2, 3] })] },
  'upSampling2d, bilinear': { input: [3, 2, 2], layers: () => [L.upSampling2d({ size: [2, 2], interpolation: 'bilinear' })] },
  rescaling: { input: [3], layers: () => [L.rescaling({ scale: 0.3, offset: -0.1 })] },
  lstm: { input: [5, 3], layers: () => [L.lstm({ units: 4 })] },
  'lstm, sigmoid, sequences': { input: [5, 3], layers: () => [L.lstm({ units: 4, recurrentActivation: 'sigmoid', returnSequences: true })] },
  'lstm, backwards': { input: [5, 3], layers: () => [L.lstm({ units: 4, goBackwards: true, returnSequences: true, activation: 'relu' })] },
  gru: { input: [5, 3], layers: () => [L.gru({ units: 4, returnSequences: true }), L.gru({ units: 2, recurrentActivation: 'sigmoid', useBias: false })] },
  simpleRNN: { input: [5, 3], layers: () => [L.simpleRNN({ units: 4, activation: 'relu' })] },
  'bidirectional lstm': { input: [5, 3], layers: () => [L.bidirectional({ layer: L.lstm({ units: 2, returnSequences: true }), mergeMode: 'concat' })] },
  'bidirectional gru, averaged': { input: [5, 3], layers: () => [L.bidirectional({ layer: L.gru({ units: 2 }), mergeMode: 'ave' })] },
  timeDistributed: { input: [5, 3], layers: () => [L.timeDistributed({ layer: L.dense({ units: 2, activation: 'softmax' }) })] },
  'activation layers': { input: [4], layers: () => [L.dense({ units: 4 }), L.leakyReLU({ alpha: 0.2 }), L.elu(), L.prelu(), L.thresholdedReLU({ theta: 0.1 }), L.reLU({ maxValue: 1.5 }), L.softmax()] },
}; // prettier-ignore

const ACTIVATIONS = ['elu', 'gelu', 'gelu_new', 'hardSigmoid', 'linear', 'logSoftmax', 'mish', 'relu', 'relu6', 'selu', 'sigmoid', 'softmax', 'softplus', 'softsign', 'swish', 'tanh'] as const; // prettier-ignore

describe('fromLayersModel', () => {
  for (const [name, { input, layers }] of Object.entries(SINGLE)) {
    it(`gives the outputs of Keras: ${name}`, () => {
      agrees(sequential(input, ...layers()), normal(key(3), [2, ...input]));
    });
  }

  it('gives the outputs of Keras: every activation', () => {
    const x = normal(key(5), [3, 4], { std: 2 });
    for (const activation of ACTIVATIONS) {
      agrees(sequential([4], L.activation({ activation: activation as 'relu' })), x);
    }
  });

  it('gives the outputs of Keras: an embedding, of floats as of integers', () => {
    const model = shake(tf.sequential({ layers: [L.embedding({ inputDim: 7, outputDim: 3, inputLength: 4 }), L.flatten(), L.dense({ units: 2 })] })); // prettier-ignore
    agrees(model, randint(key(1), [2, 4], 0, 7));
    agrees(model, tf.cast(randint(key(1), [2, 4], 0, 7), 'float32'));
  });

  it('converts an image classifier of conv, norm, pooling and dense layers, as a chain', () => {
    const model = shake(
      tf.sequential({
        layers: [
          L.conv2d({ inputShape: [12, 12, 1], filters: 4, kernelSize: 3, activation: 'relu', name: 'first' }),
          L.batchNormalization(),
          L.maxPooling2d({ poolSize: 2 }),
          L.flatten(),
          L.dropout({ rate: 0.25 }),
          L.dense({ units: 10, activation: 'softmax', name: '1.last' }),
        ],
      }),
    );
    agrees(model, normal(key(2), [3, 12, 12, 1]));
    const { layer, ps } = fromLayersModel(model);
    expect(layerToString(layer).split('\n')[1]).to.match(/first = Conv\(\(3, 3\), 1 => 4, relu\)/);
    expect(Object.keys(ps).at(-1)).to.equal('layer_1_last');
  });

  it('converts a functional graph: branches, a shared layer, a model inside, two inputs and two outputs', () => {
    const [a, b] = [tf.input({ shape: [4] }), tf.input({ shape: [4] })];
    const shared = L.dense({ units: 4, activation: 'tanh' });
    const inner = tf.sequential({ layers: [L.dense({ units: 3, inputShape: [4] }), L.batchNormalization()] });
    const through = (x: tf.SymbolicTensor): tf.SymbolicTensor => shared.apply(x) as tf.SymbolicTensor;
    const [ya, yb] = [through(through(a)), through(b)];
    const sum = L.add().apply([ya, yb, a]) as tf.SymbolicTensor;
    const product = L.multiply().apply([sum, yb]) as tf.SymbolicTensor;
    const rest = [L.average(), L.maximum(), L.minimum()].map((l) => l.apply([product, ya]) as tf.SymbolicTensor);
    const all = L.concatenate().apply([...rest, yb]) as tf.SymbolicTensor;
    const model = shake(tf.model({ inputs: [a, b], outputs: [inner.apply(product) as tf.SymbolicTensor, all] }));
    agrees(model, [normal(key(8), [3, 4]), normal(key(9), [3, 4])]);
  });

  it('pads a causal convolution in front, which tfjs itself does not run', () => {
    const model = sequential([7, 2], L.conv1d({ filters: 3, kernelSize: 3, dilationRate: 2, padding: 'causal' }));
    const { layer, ps, st } = fromLayersModel(model);
    const x = normal(key(3), [2, 7, 2]);
    const [kernel, bias] = model.getWeights();
    const padded = tf.pad(x as tf.Tensor3D, [[0, 0], [4, 0], [0, 0]]); // prettier-ignore
    const expected = tf.add(tf.conv1d(padded, kernel as tf.Tensor3D, 1, 'valid', 'NWC', 2), bias);
    expectClose(layer.apply(x, ps, st)[0], expected, close);
  });

  it('copies: neither frees nor changes the model, and leaks nothing', () => {
    const model = sequential([3], L.dense({ units: 2 }), L.batchNormalization());
    const before = tf.memory().numTensors;
    const { ps, st } = fromLayersModel(model);
    disposeTree([ps, st]);
    expect(tf.memory().numTensors).to.equal(before);
    expect(model.predict(tf.ones([1, 3]))).to.be.instanceOf(tf.Tensor);
  });

  it('gives a layer that trains: dropout from its key, statistics, first and second derivatives', () => {
    const model = sequential([3, 2], L.gru({ units: 3 }), L.dropout({ rate: 0.5 }), L.batchNormalization(), L.dense({ units: 1 })); // prettier-ignore
    const { layer, ps, st } = fromLayersModel(model);
    const x = normal(key(4), [4, 3, 2]);
    const [y1, st1] = layer.apply(x, ps, trainMode(st));
    const [y2] = layer.apply(x, ps, trainMode(st));
    expectClose(y1, y2, {});
    expect(Array.from(leaves(st1)[0].dataSync())).to.not.deep.equal(Array.from(leaves(st)[0].dataSync()));
    if (!isFloat64) return;
    const loss = (v: Tensor): Tensor => tf.sum(tf.square(layer.apply(v, ps, trainMode(st))[0] as Tensor));
    expectClose(grad(loss)(x), centralDifference(compile(loss), x), { rtol: 1e-6, atol: 1e-7 });
    const slope = (v: Tensor): Tensor => tf.sum(tf.mul(grad(loss)(v), normal(key(6), v.shape)));
    expectClose(grad(slope)(x), centralDifference(compile(slope), x), { rtol: 1e-5, atol: 1e-6 });
  });

  it('names the layer that has no counterpart, and the option', () => {
    const fails = (model: tf.LayersModel, message: RegExp): void => {
      expect(() => fromLayersModel(model)).to.throw(message);
    };
    fails(sequential([3], L.gaussianNoise({ stddev: 0.1, name: 'noisy' })), /layer "noisy" \(GaussianNoise\): there is no counterpart/); // prettier-ignore
    fails(sequential([4, 4, 2], L.conv2d({ filters: 1, kernelSize: 2, dataFormat: 'channelsFirst', name: 'c' })), /layer "c" \(Conv2D\): option "dataFormat": only "channelsLast"/); // prettier-ignore
    fails(sequential([4, 3], L.batchNormalization({ axis: 1, name: 'bn' })), /layer "bn" \(BatchNormalization\): option "axis": only the last axis/); // prettier-ignore
    fails(sequential([4, 3], L.lstm({ units: 2, recurrentDropout: 0.1, name: 'r' })), /layer "r" \(LSTM\): option "recurrentDropout": only 0/); // prettier-ignore
    fails(tf.sequential(), /is not built/);
    expect(() => fromLayersModel({} as tf.LayersModel)).to.throw(/expected a tfjs LayersModel/);
    const { layer, ps, st } = fromLayersModel(sequential([2], L.dense({ units: 1 })));
    expect(() => layer.apply(tf.ones([1, 5]), ps, st)).to.throw(/expected an input with 2 features/);
  });
});
