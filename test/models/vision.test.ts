import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  apply,
  batchNorm,
  chain,
  compile,
  grad,
  key,
  layerNorm,
  layerToString,
  leaves,
  normal,
  parameterLength,
  setup,
  stateLength,
  testMode,
  type Key,
  type Tensor,
} from '../../src/index.js';
import { traceGraph } from '../../src/graph/trace.js';
import {
  convBatchNormActivation,
  convMixer,
  convNormActivation,
  leNet5,
  mlp,
  resNet,
  resNet18,
  resNet34,
  resNet50,
  vgg,
  type Network,
} from '../../models/index.js';
import { centralDifference } from '../support/differences.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

/** The shapes of all parameters and of the output, by tracing: nothing of that size is made. */
function outline(model: Network, input: number[]): { parameters: number; output: readonly number[] } {
  const graph = traceGraph(
    [
      { shape: [2], dtype: 'int32' },
      { shape: input, dtype: 'float32' },
    ],
    ([k, x]) => {
      const [ps, st] = setup(k as Key, model);
      return [apply(model, x, ps, testMode(st))[0], ...leaves(ps)];
    },
  );
  const [output, ...parameters] = graph.outputs.map((v) => v.shape);
  return { output, parameters: parameters.reduce((n, shape) => n + shape.reduce((a, b) => a * b, 1), 0) };
}

// torchvision's documentation (pytorch.org/vision/stable/models.html, num_params) for VGG and ResNet; the paper's table 1,
// 51.6 M, and its code for ConvMixer; LeCun et al. 1998 by hand for LeNet-5.
const COUNTS: Readonly<Record<string, [Network, number, number[]]>> = {
  'LeNet-5, padded': [leNet5(), 61_706, [2, 28, 28, 1]],
  'LeNet-5, not padded': [leNet5({ pad: 0 }), 44_426, [2, 28, 28, 1]],
  'VGG-11': [vgg(11), 132_863_336, [1, 224, 224, 3]],
  'VGG-11 with batch norm': [vgg(11, { batchNorm: true }), 132_868_840, [1, 224, 224, 3]],
  'VGG-13': [vgg(13), 133_047_848, [1, 224, 224, 3]],
  'VGG-13 with batch norm': [vgg(13, { batchNorm: true }), 133_053_736, [1, 224, 224, 3]],
  'VGG-16': [vgg(16), 138_357_544, [1, 224, 224, 3]],
  'VGG-16 with batch norm': [vgg(16, { batchNorm: true }), 138_365_992, [1, 224, 224, 3]],
  'VGG-19': [vgg(19), 143_667_240, [1, 224, 224, 3]],
  'VGG-19 with batch norm': [vgg(19, { batchNorm: true }), 143_678_248, [1, 224, 224, 3]],
  'ResNet-18': [resNet18(), 11_689_512, [1, 224, 224, 3]],
  'ResNet-34': [resNet34(), 21_797_672, [1, 224, 224, 3]],
  'ResNet-50': [resNet50(), 25_557_032, [1, 224, 224, 3]],
  'ResNet-101': [resNet(101), 44_549_160, [1, 224, 224, 3]],
  'ResNet-152': [resNet(152), 60_192_808, [1, 224, 224, 3]],
  'ConvMixer-1536/20': [convMixer(1536, 20), 51_625_960, [1, 224, 224, 3]],
};

describe('image models', () => {
  for (const [name, [model, count, input]] of Object.entries(COUNTS)) {
    it(`${name} has ${count.toLocaleString('en')} parameters`, () => {
      expect(parameterLength(model)).to.equal(count);
    });
    if (/LeNet|VGG-11|ResNet-(18|50)/.test(name)) {
      it(`${name} makes logits of images, with that many parameters`, () => {
        const classes = name.startsWith('LeNet') ? 10 : 1000;
        expect(outline(model, input)).to.deep.equal({ parameters: count, output: [input[0], classes] });
      });
    }
  }

  it('take images of other sizes, channels and classes', () => {
    expect(outline(resNet18({ images: 'small', classes: 10, channels: 1 }), [4, 32, 32, 1]).output).to.deep.equal([4, 10]); // prettier-ignore
    expect(outline(convMixer(8, 2, { patch: 4, kernel: 5, classes: 3 }), [2, 32, 20, 3]).output).to.deep.equal([2, 3]);
    expect(outline(leNet5({ classes: 4, channels: 3, pool: 'mean' }), [1, 28, 28, 3]).output).to.deep.equal([1, 4]);
  });

  it('print without being made', () => {
    const before = tf.memory().numTensors;
    const lines = layerToString(resNet18()).split('\n');
    expect(tf.memory().numTensors).to.equal(before);
    expect(lines.at(-2)).to.match(/Total: 11_689_512 parameters,/);
    expect(lines.at(-1)).to.match(/plus 9_620 states\./); // 2 * 4,800 running statistics, and a flag for each of 20 layers
    expect(stateLength(resNet18())).to.equal(9620);
  });

  it('leNet5 computes, and differentiates as central differences say', () => {
    const model = leNet5({ activation: 'tanh', pool: 'mean' });
    const [ps, st] = setup(key(0), model);
    const x = normal(key(1), [2, 28, 28, 1]);
    const { dense3, ...rest } = ps as { dense3: { weight: Tensor; bias: Tensor } };
    const loss = compile((bias: Tensor, images: Tensor): Tensor =>
      tf.sum(tf.square(apply(model, images, { ...rest, dense3: { ...dense3, bias } }, st)[0])),
    );
    const close = {
      rtol: tolerance({ float32: 1e-2, float64: 1e-8 }),
      atol: tolerance({ float32: 1e-2, float64: 1e-8 }),
    };
    expectClose(
      grad((b: Tensor) => loss(b, x))(dense3.bias),
      centralDifference((b) => loss(b, x), dense3.bias),
      close,
    );
    const first = tf.slice(x, [0, 10, 10, 0], [1, 2, 3, 1]);
    const moved = (patch: Tensor): Tensor =>
      tf.add(x, tf.pad(tf.sub(patch, first), [[0, 1], [10, 16], [10, 15], [0, 0]])); // prettier-ignore
    const ofPatch = (patch: Tensor): Tensor => loss(dense3.bias, moved(patch));
    expectClose(grad(ofPatch)(first), centralDifference(ofPatch, first), close);
  });

  it('a residual block adds its input, or its input through a convolution', () => {
    // With scale 0 in the last norm of each block, a block is relu(shortcut).
    const model = resNet18({ images: 'small', classes: 2, channels: 1 });
    const children = model.display?.children ?? {};
    const block = children.stage1.display?.children?.block1 as Network;
    const [ps, st] = setup(key(0), block);
    const { main } = ps.sum as { main: { norm2: { scale: Tensor; bias: Tensor } } };
    const still = { ...ps, sum: { ...(ps.sum as object), main: { ...main, norm2: { scale: tf.zeros([64]), bias: tf.zeros([64]) } } } }; // prettier-ignore
    const x = normal(key(1), [2, 3, 3, 64]);
    expectClose(apply(block, x, still, st)[0], tf.relu(x), {});
  });
});

describe('building blocks', () => {
  it('mlp: dense, norm, activation, dropout for each hidden layer', () => {
    const model = mlp(3, [4, 2], 'tanh', { norm: batchNorm, dropoutRate: 0.25 });
    const text = layerToString(model);
    expect(text).to.match(/Dense\(3 => 4\)[^]*BatchNorm\(4, tanh\)[^]*Dropout\(0.25\)[^]*Dense\(4 => 2\)/);
    expect(text.match(/BatchNorm|Dropout/g)).to.have.length(2);
    expect(parameterLength(model)).to.equal(16 + 8 + 10);
    const plain = mlp(3, [4, 3], 'tanh', { residual: true });
    const [ps, st] = setup(key(0), plain);
    const zero = { layer1: ps.layer1, layer2: { dense: { weight: tf.zeros([4, 3]), bias: tf.zeros([3]) } } };
    const x = normal(key(1), [2, 3]);
    expectClose(apply(plain, x, zero, st)[0], x, {});
  });

  it('mlp with the last layer like the others', () => {
    const text = layerToString(mlp(2, [3], 'relu', { norm: layerNorm, lastActivation: true }));
    expect(text).to.match(/Dense\(2 => 3\)[^]*LayerNorm\(3, relu\)/);
    expect(layerToString(mlp(2, [3], 'relu'))).to.match(/Dense\(2 => 3\)/);
  });

  it('convNormActivation and convBatchNormActivation', () => {
    const plain = convNormActivation([3, 3], 1, [2, 3], 'tanh', { lastActivation: false, conv: { pad: 1 } });
    expect(layerToString(plain)).to.match(/1 => 2, tanh, pad=1[^]*2 => 3, pad=1/);
    expect(parameterLength(plain)).to.equal(20 + 57);
    const normed = convBatchNormActivation([1], 2, [2]);
    expect(layerToString(normed)).to.match(/Conv\(\(1,\), 2 => 2\)[^]*BatchNorm\(2, relu\)/);
    const [ps, st] = setup(key(0), chain(plain, normed as never) as unknown as Network);
    expect([Object.keys(ps), Object.keys(st)]).to.deep.equal([['layer1', 'layer2'], ['layer1', 'layer2']]); // prettier-ignore
  });

  const errors: Readonly<Record<string, [() => unknown, RegExp]>> = {
    'a depth that VGG has not': [() => vgg(12 as 11), /^vgg: the depth must be one of 11, 13, 16, 19, got 12$/],
    'a depth that ResNet has not': [() => resNet(20 as 18), /^resNet: the depth must be one of 18, 34, 50, 101, 152, got 20$/],
    'no sizes': [() => mlp(2, []), /^mlp: the sizes must be an array of one positive integer or more, got \[\]$/],
    'a residual connection of other sizes': [() => mlp(2, [3], 'tanh', { residual: true }), /^mlp: a residual connection needs as many outputs as inputs, 2, got 3$/],
    'a dropout of everything': [() => vgg(11, { dropoutRate: 1 }), /^vgg: option "dropoutRate": expected a number from 0 to 1, without 1, got 1$/],
    'an unknown option': [() => leNet5({ class: 3 } as object), /^leNet5: unknown option "class"; did you mean "classes"\?$/],
    'an unknown activation': [() => leNet5({ activation: 'rely' as 'relu' }), /^leNet5: unknown activation "rely"/],
    'padding that LeNet has not': [() => leNet5({ pad: 1 as 2 }), /^leNet5: option "pad"/],
    'no channels': [() => convNormActivation([3], 1, []), /^convNormActivation: the channels must be an array/],
    'no width': [() => convMixer(0, 1), /^convMixer: the width must be a positive integer, got 0$/],
    'an unknown size of images': [() => resNet(18, { images: 'tiny' as 'small' }), /^resNet: option "images": expected "large" or "small", got "tiny"$/],
  }; // prettier-ignore
  for (const [name, [make, message]] of Object.entries(errors)) {
    it(`refuse ${name}`, () => {
      expect(make).to.throw(TypeError, message);
    });
  }
});
