import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  apply,
  chain,
  constant,
  conv,
  convTranspose,
  depthwiseConv,
  flipKernel,
  initialParameters,
  key,
  normal,
  setup,
  type Layer,
  type Tensor,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 1e-5, float64: 1e-12 }),
  atol: tolerance({ float32: 1e-5, float64: 1e-12 }),
};

/** A function of places `[batch, z, y, x, channel]` of an image with up to three axes, which is 0 outside. */
function reader(x: Tensor): { shape: number[]; at: (place: readonly number[]) => number } {
  const values = x.dataSync();
  const lifted = [x.shape[0], ...Array.from({ length: 5 - x.rank }, () => 1), ...x.shape.slice(1)];
  const at = (place: readonly number[]): number => {
    let index = 0;
    for (const [i, n] of lifted.entries()) {
      if (place[i] < 0 || place[i] >= n) return 0;
      index = index * n + place[i];
    }
    return values[index];
  };
  return { shape: lifted, at };
}

/** The lists of numbers below `shape`, in order. */
const places = (shape: readonly number[]): number[][] =>
  shape.reduce<number[][]>((all, n) => all.flatMap((p) => Array.from({ length: n }, (_, i) => [...p, i])), [[]]);

interface Case {
  readonly kernel: readonly number[];
  readonly input: readonly number[];
  readonly outputs: number;
  readonly options?: Parameters<typeof convTranspose>[4];
  /** Sizes of the output's axes. */
  readonly sizes: readonly number[];
  /** Zeros in front of each axis. */
  readonly before: readonly number[];
}

const three = (values: number | readonly number[] | undefined, axes: number, fill: number): number[] => {
  const list = typeof values === 'object' ? values : Array.from({ length: axes }, () => values ?? fill);
  return [...Array.from({ length: 3 - axes }, () => fill), ...list];
};

/** The definition, in doubles: the sum over taps and channels of one output element. */
function byDefinition(x: Tensor, weight: Tensor, bias: Tensor, c: Case): number[] {
  const axes = c.kernel.length;
  const { stride, dilation, groups = 1, crossCorrelation = true } = c.options ?? {};
  const [s, d, before] = [three(stride, axes, 1), three(dilation, axes, 1), three(c.before, axes, 0)];
  const window = three(c.kernel, axes, 1);
  const image = reader(x);
  const kernel = weight.dataSync();
  const perGroup = [image.shape[4] / groups, c.outputs / groups];
  const biases = bias.dataSync();
  return places([image.shape[0], ...three(c.sizes, axes, 1), c.outputs]).map(([b, z, y, w, o]) => {
    const group = Math.floor(o / perGroup[1]);
    let sum = biases[o];
    for (const tap of places([...window, perGroup[0]])) {
      const channel = tap[3];
      const from = [z, y, w].map((n, i) => n * s[i] - before[i] + tap[i] * d[i]);
      const used = crossCorrelation ? tap : tap.map((n, i) => (i < 3 ? window[i] - 1 - n : n));
      const flat = used.reduce((index, n, i) => index * [...window, perGroup[0]][i] + n, 0);
      sum += image.at([b, ...from, group * perGroup[0] + channel]) * kernel[flat * c.outputs + o];
    }
    return sum;
  });
}

const CONVOLUTIONS: Readonly<Record<string, Case>> = {
  'one axis': { kernel: [3], input: [2, 7, 2], outputs: 3, sizes: [5], before: [0] },
  'one axis, everything': { kernel: [3], input: [2, 9, 4], outputs: 6, options: { stride: 2, dilation: 2, groups: 2, pad: [[2, 1]] }, sizes: [4], before: [2] },
  images: { kernel: [3, 2], input: [2, 5, 6, 3], outputs: 4, options: { stride: [2, 1], pad: [1, 0] }, sizes: [3, 5], before: [1, 0] },
  'images turned': { kernel: [3, 2], input: [2, 5, 6, 3], outputs: 4, options: { crossCorrelation: false }, sizes: [3, 5], before: [0, 0] },
  'images, same': { kernel: [4, 3], input: [1, 6, 5, 2], outputs: 2, options: { stride: 2, pad: 'same' }, sizes: [3, 3], before: [1, 1] },
  'images, same with dilation': { kernel: [2, 3], input: [1, 6, 5, 2], outputs: 2, options: { dilation: 2, pad: 'same' }, sizes: [6, 5], before: [1, 2] },
  'images, depthwise': { kernel: [2, 2], input: [1, 5, 5, 3], outputs: 6, options: { groups: 3, stride: 2, dilation: 3, pad: 1 }, sizes: [2, 2], before: [1, 1] },
  'images, depthwise and turned': { kernel: [3, 2], input: [2, 4, 4, 2], outputs: 2, options: { groups: 2, crossCorrelation: false }, sizes: [2, 3], before: [0, 0] },
  volumes: { kernel: [2, 3, 2], input: [2, 4, 5, 3, 2], outputs: 3, options: { stride: [1, 2, 1], pad: [0, [1, 0], 1] }, sizes: [3, 2, 4], before: [0, 1, 1] },
  'volumes, everything': { kernel: [2, 2, 2], input: [1, 5, 5, 4, 4], outputs: 4, options: { stride: 2, dilation: 2, groups: 2, pad: 'same', crossCorrelation: false }, sizes: [3, 3, 2], before: [1, 1, 0] },
}; // prettier-ignore

/** A layer with random parameters, bias and all. */
function drawn(layer: Layer<Tensor, Tensor, { weight: Tensor; bias: Tensor }, {}>): { weight: Tensor; bias: Tensor } {
  const { weight, bias } = initialParameters(key(1), layer);
  return { weight, bias: normal(key(2), bias.shape) };
}

describe('conv', () => {
  for (const [name, c] of Object.entries(CONVOLUTIONS)) {
    it(`is the sum of its definition: ${name}`, () => {
      const layer = conv(c.kernel, c.input[c.input.length - 1], c.outputs, 'identity', c.options as { useBias?: true });
      const ps = drawn(layer);
      const x = normal(key(3), c.input);
      const [y] = apply(layer, x, ps, {});
      expect(y.shape).to.deep.equal([c.input[0], ...c.sizes, c.outputs]);
      expectClose(y, byDefinition(x, ps.weight, ps.bias, c), close);
    });
  }

  it('reproduces the border values of Lux.jl: ones, padded by (0, 1, 1, 2)', () => {
    // Lux.jl, test/core_layers/conv_tests.jl, "Asymmetric Padding".
    const layer = conv([3, 3], 1, 1, 'identity', { pad: [0, 1, 1, 2], useBias: false });
    const [y] = apply(layer, tf.ones([1, 28, 28, 1]), { weight: tf.ones([3, 3, 1, 1]) }, {});
    expect(y.shape).to.deep.equal([1, 27, 29, 1]);
    const at = (i: number, j: number): number => y.dataSync()[i * 29 + j];
    expect([at(0, 0), at(0, 1), at(26, 0), at(0, 28), at(26, 1), at(26, 28)]).to.deep.equal([6, 9, 4, 3, 6, 2]);
  });

  it('answers an impulse with its kernel when it convolves, with the kernel turned round when it correlates', () => {
    const weight = constant([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3, 1, 1]);
    const impulse = constant([0, 0, 0, 0, 1, 0, 0, 0, 0], [1, 3, 3, 1]);
    const answer = (crossCorrelation: boolean): number[] =>
      Array.from(
        apply(
          conv([3, 3], 1, 1, 'identity', { crossCorrelation, pad: 1, useBias: false }),
          impulse,
          { weight },
          {},
        )[0].dataSync(),
      );
    expect(answer(false)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(answer(true)).to.deep.equal([9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it('takes the kernels of Lux.jl when flipKernel has turned them round', () => {
    const [x, weight] = [normal(key(1), [2, 5, 4, 2]), normal(key(2), [3, 2, 2, 3])];
    const layer = (crossCorrelation: boolean): ReturnType<typeof conv<false>> =>
      conv([3, 2], 2, 3, 'identity', { crossCorrelation, useBias: false });
    const convolved = apply(layer(false), x, { weight }, {})[0];
    expectClose(apply(layer(true), x, { weight: flipKernel(weight) }, {})[0], convolved, {});
    expect(() => flipKernel(tf.zeros([2, 3]))).to.throw(
      'flipKernel: expected a kernel [...window, inputs, outputs] with 3 axes or more, got [2, 3]',
    );
  });

  it('starts within the bounds of its fan', () => {
    const { weight, bias } = initialParameters(key(5), conv([3, 3], 8, 64, 'tanh', { groups: 4 }));
    expect(weight.shape).to.deep.equal([3, 3, 2, 64]);
    const bound = ((5 / 3) * Math.sqrt(3)) / Math.sqrt(18);
    const widest = tf.max(tf.abs(weight)).dataSync()[0];
    expect(widest).to.be.within(0.97 * bound, bound);
    expect(tf.max(tf.abs(bias)).dataSync()[0]).to.be.within(0.8 / Math.sqrt(18), 1 / Math.sqrt(18));
  });

  const errors: Readonly<Record<string, [() => unknown, RegExp]>> = {
    'a kernel that is a number': [() => conv(3 as unknown as number[], 1, 1), /^conv: the kernel must be an array of one to three positive integers, one for each axis, got 3$/],
    'a kernel of four axes': [() => conv([1, 1, 1, 1], 1, 1), /got \[1, 1, 1, 1\]$/],
    'no output channels': [() => conv([3], 1, 0), /^conv: the number of output channels must be a positive integer, got 0$/],
    'a stride of 0': [() => conv([3], 1, 1, 'tanh', { stride: 0 }), /^conv: option "stride": expected a positive integer, or one for each axis, got 0$/],
    'too many strides': [() => conv([3], 1, 1, 'tanh', { stride: [1, 2] }), /^conv: stride must be a number or 1 numbers, one for each axis, got \[1, 2\]$/],
    'padding of another length': [() => conv([3, 3], 1, 1, 'tanh', { pad: [1, 2, 3] }), /^conv: pad must be "same", a number, or 2 numbers or pairs, one for each axis, got \[1, 2, 3\]$/],
    'an unknown word for padding': [() => conv([3], 1, 1, 'tanh', { pad: 'valid' as 'same' }), /option "pad": expected "same", a non-negative integer, or for each axis/],
    'groups that do not divide the input': [() => conv([3], 3, 4, 'tanh', { groups: 2 }), /^conv: 2 groups must divide the input channels, got 3$/],
    'groups that do not divide the output': [() => depthwiseConv([3], 3, 4), /^depthwiseConv: 3 groups must divide the output channels, got 4$/],
    'groups of a depthwise convolution': [() => depthwiseConv([3], 4, 4, 'tanh', { groups: 2 } as object), /^depthwiseConv: unknown option "groups"/],
    "another library's option": [() => conv([3], 1, 1, 'tanh', { padding: 1 } as object), /^conv: unknown option "padding"; did you mean "pad"\?$/],
    'an unknown option': [() => conv([3], 1, 1, 'tanh', { group: 1 } as object), /unknown option "group"; did you mean "groups"\?/],
    'an unknown activation': [() => conv([3], 1, 1, 'tahn' as 'tanh'), /^conv: unknown activation "tahn"/],
    'an output padding as large as the stride': [() => convTranspose([3], 1, 1, 'tanh', { stride: 2, outputPadding: 2 }), /^convTranspose: outputPadding must be less than the stride 2, got 2$/],
    'an output padding with same': [() => convTranspose([3], 1, 1, 'tanh', { stride: 2, outputPadding: 1, pad: 'same' }), /^convTranspose: pad "same" leaves no room for outputPadding, got 1$/],
  }; // prettier-ignore
  for (const [name, [make, message]] of Object.entries(errors)) {
    it(`refuses ${name}`, () => {
      expect(make).to.throw(TypeError, message);
    });
  }

  it('says where, what it wanted and what it got', () => {
    const model = chain({ stem: conv([3, 3], 3, 2) });
    const [ps, st] = setup(key(0), model);
    expect(() => apply(model, tf.zeros([4, 8, 3]), ps, st)).to.throw(
      'Conv((3, 3), 3 => 2): expected an input with 4 axes, got shape [4, 8, 3] (in layer stem)',
    );
    expect(() => apply(model, tf.zeros([4, 8, 8, 1]), ps, st)).to.throw(
      'expected an input with 3 features in its last axis, got shape [4, 8, 8, 1] (in layer stem)',
    );
    expect(() => apply(model, tf.zeros([4, 8, 2, 3]), ps, st)).to.throw(
      'a window that reaches over 3 does not fit axis 2 of size 2, got shape [4, 8, 2, 3] (in layer stem)',
    );
    const cropped = convTranspose([2], 1, 1, 'identity', { pad: 2 });
    expect(() => apply(cropped, tf.zeros([1, 3, 1]), setup(key(0), cropped)[0], {})).to.throw(
      'nothing is left of the output when its padding is cut off, got shape [1, 3, 1]',
    );
  });
});

/** Every input element adds its kernel to the output, in doubles. */
function transposedByDefinition(x: Tensor, weight: Tensor, c: Case): number[] {
  const axes = c.kernel.length;
  const { stride, dilation, groups = 1, crossCorrelation = true } = c.options ?? {};
  const [s, d, before] = [three(stride, axes, 1), three(dilation, axes, 1), three(c.before, axes, 0)];
  const [window, sizes] = [three(c.kernel, axes, 1), three(c.sizes, axes, 1)];
  const image = reader(x);
  const kernel = weight.dataSync();
  const inputs = image.shape[4];
  const perGroup = [inputs / groups, c.outputs / groups];
  const shape = [image.shape[0], ...sizes, c.outputs];
  const out = new Array<number>(shape.reduce((n, m) => n * m, 1)).fill(0);
  for (const place of places(image.shape)) {
    const group = Math.floor(place[4] / perGroup[0]);
    for (const tap of places([...window, perGroup[1]])) {
      const to = [0, 1, 2].map((i) => place[i + 1] * s[i] + tap[i] * d[i] - before[i]);
      if (to.some((n, i) => n < 0 || n >= sizes[i])) continue;
      const used = crossCorrelation ? tap : tap.map((n, i) => (i < 3 ? window[i] - 1 - n : n));
      const flat = used.reduce((index, n, i) => index * [...window, perGroup[1]][i] + n, 0) * inputs + place[4];
      const index = [place[0], ...to, group * perGroup[1] + tap[3]].reduce((i, n, k) => i * shape[k] + n, 0);
      out[index] += image.at(place) * kernel[flat];
    }
  }
  return out;
}

const TRANSPOSED: Readonly<Record<string, Case>> = {
  'one axis': { kernel: [3], input: [2, 4, 2], outputs: 3, options: { stride: 2 }, sizes: [9], before: [0] },
  'one axis, everything': { kernel: [3], input: [2, 4, 4], outputs: 2, options: { stride: 3, dilation: 2, groups: 2, pad: [[2, 1]], outputPadding: 2 }, sizes: [13], before: [2] },
  images: { kernel: [3, 2], input: [2, 3, 4, 3], outputs: 2, options: { stride: [2, 1], pad: 1, outputPadding: [1, 0] }, sizes: [6, 3], before: [1, 1] },
  'images turned': { kernel: [3, 2], input: [1, 3, 2, 2], outputs: 2, options: { crossCorrelation: false, stride: 2 }, sizes: [7, 4], before: [0, 0] },
  'images, same': { kernel: [3, 4], input: [1, 3, 2, 2], outputs: 2, options: { stride: [2, 3], pad: 'same' }, sizes: [6, 6], before: [0, 0] },
  'images, same with a small kernel': { kernel: [2, 1], input: [1, 3, 2, 1], outputs: 1, options: { stride: 3, pad: 'same' }, sizes: [9, 6], before: [0, 0] },
  volumes: { kernel: [2, 3, 2], input: [1, 2, 3, 2, 2], outputs: 2, options: { stride: [2, 1, 2], pad: [0, 1, [1, 0]], outputPadding: [1, 0, 0] }, sizes: [5, 3, 3], before: [0, 1, 1] },
  'volumes, everything': { kernel: [2, 2, 2], input: [1, 2, 2, 2, 4], outputs: 4, options: { stride: 2, dilation: 2, groups: 2, outputPadding: 1, crossCorrelation: false }, sizes: [6, 6, 6], before: [0, 0, 0] },
}; // prettier-ignore

describe('convTranspose', () => {
  for (const [name, c] of Object.entries(TRANSPOSED)) {
    it(`adds a kernel for each input: ${name}`, () => {
      const layer = convTranspose(c.kernel, c.input[c.input.length - 1], c.outputs, 'identity', { ...c.options, useBias: false }); // prettier-ignore
      const ps = initialParameters(key(1), layer);
      const x = normal(key(3), c.input);
      const [y] = apply(layer, x, ps, {});
      expect(y.shape).to.deep.equal([c.input[0], ...c.sizes, c.outputs]);
      expectClose(y, transposedByDefinition(x, ps.weight, c), close);
    });
  }

  it('is the transpose: <conv(x), y> = <x, convTranspose(y)>', () => {
    const options = { stride: 2, pad: [[1, 0], 1] as const, useBias: false as const, groups: 2 };
    const forward = conv([3, 3], 4, 2, 'identity', options);
    const back = convTranspose([3, 3], 2, 4, 'identity', options);
    const weight = normal(key(1), [3, 3, 2, 2]);
    const x = normal(key(2), [2, 6, 5, 4]);
    const [image] = apply(forward, x, { weight }, {});
    const y = normal(key(3), image.shape);
    const [pulled] = apply(back, y, { weight }, {});
    expect(pulled.shape).to.deep.equal(x.shape);
    const product = (a: Tensor, b: Tensor): Tensor => tf.sum(tf.mul(a, b));
    expectClose(product(image, y), product(x, pulled), {
      rtol: tolerance({ float32: 1e-4, float64: 1e-12 }),
      atol: tolerance({ float32: 1e-4, float64: 1e-12 }),
    });
  });
});
