/**
 * What each layer of Keras becomes here: a table.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import { testMode, type AnyLayer } from '../../core/layer.js';
import type { StateTree, Tensor, Tree } from '../../core/tree.js';
import { elu, leakyRelu, resolveActivation, thresholdRelu, type Activation } from '../../functional/activations.js';
import { compact } from '../../layers/compact.js';
import { chain } from '../../layers/containers.js';
import { conv, convTranspose, depthwiseConv } from '../../layers/convolution.js';
import { defineContainer } from '../../layers/container.js';
import { dense } from '../../layers/dense.js';
import { alphaDropout, dropout } from '../../layers/dropout.js';
import { embedding } from '../../layers/embedding.js';
import { flattenLayer, noOpLayer, reshapeLayer, reverseSequence, wrappedFunction } from '../../layers/functions.js';
import { batchNorm, layerNorm } from '../../layers/normalisation.js';
import { globalMaxPool, globalMeanPool, maxPool, meanPool } from '../../layers/pooling.js';
import { recurrence } from '../../layers/recurrence.js';
import { bidirectionalRNN } from '../../layers/stacked.js';
import { upsample } from '../../layers/upsample.js';
import { convertCell } from './cells.js';
import { cappedRelu } from './functions.js';
import { Source, type Converted, type KerasLayer, type Shape } from './source.js';

type Converter = (source: Source) => Converted;

/** States as they are made, in test mode: a converted model is one that has been trained. */
const converted = (source: Source, layer: AnyLayer, ps: Tree = {}, st?: StateTree): Converted => ({
  layer,
  ps,
  st: testMode(st ?? (layer.initialStates(source.key) as StateTree)),
});

/** One after the other, under their names. */
function inChain(parts: Readonly<Record<string, Converted>>): Converted {
  const each = <T>(pick: (c: Converted) => T): Record<string, T> =>
    Object.fromEntries(Object.entries(parts).map(([name, c]) => [name, pick(c)]));
  return { layer: chain(each((c) => c.layer)), ps: each((c) => c.ps), st: each((c) => c.st) };
}

const stateless =
  (make: (source: Source) => AnyLayer): Converter =>
  (source) =>
    converted(source, make(source));

/** A function of one tensor. */
const unary = (make: (source: Source) => (x: Tensor) => Tensor): Converter =>
  stateless((source) => wrappedFunction(make(source), source.kind));

/** A function of several inputs, which come as an array. */
const merging = (make: (source: Source) => (xs: readonly Tensor[]) => Tensor): Converter =>
  stateless((source) => wrappedFunction(make(source), source.kind));

const folding = (f: (a: Tensor, b: Tensor) => Tensor): Converter => merging(() => (xs) => xs.reduce((a, b) => f(a, b)));

/** `{ weight, bias }`, the weight in another arrangement if need be. */
function affineParameters(source: Source, arrange: (kernel: Tensor) => Tensor = tf.clone): Tree {
  const [kernel, bias] = source.take(source.flag('useBias') ? 2 : 1) as readonly (Tensor | undefined)[];
  return { weight: arrange(kernel as Tensor), ...(bias === undefined ? {} : { bias: tf.clone(bias) }) };
}

/** Steps and padding of a window, as Keras says them. */
function windowOptions(source: Source, size: readonly number[], dilation: readonly number[]) {
  source.needs({ dataFormat: 'channelsLast' });
  const padding = source.oneOf('padding', size.length === 1 ? ['valid', 'same', 'causal'] : ['valid', 'same']);
  const before = (dilation[0] ?? 1) * (size[0] - 1);
  const pad = padding === 'valid' ? 0 : padding === 'same' ? padding : [[before, 0] as const];
  return { stride: source.numbers('strides'), pad };
}

const convolution: Converter = (source) => {
  const size = source.numbers('kernelSize');
  const dilation = source.numbers('dilationRate');
  const ps = affineParameters(source) as { weight: Tensor };
  const inputs = ps.weight.shape[size.length];
  const layer = conv(size, inputs, source.number('filters'), source.activation(), {
    ...windowOptions(source, size, dilation),
    dilation,
    useBias: source.flag('useBias'),
  });
  return converted(source, layer, ps);
};

const transposedConvolution: Converter = (source) => {
  const size = source.numbers('kernelSize');
  const ps = affineParameters(source) as { weight: Tensor };
  const [outputs, inputs] = ps.weight.shape.slice(size.length);
  const { stride, pad } = windowOptions(source, size, []);
  // Keras's 'valid' never gives less than a stride for each element.
  const outputPadding = pad === 'same' ? 0 : stride.map((s, i) => Math.max(s - size[i], 0));
  const layer = convTranspose(size, inputs, outputs, source.activation(), {
    stride,
    pad,
    outputPadding,
    useBias: source.flag('useBias'),
  });
  return converted(source, layer, ps);
};

/** `[height, width, inputs, multiplier]` as the kernel of a grouped convolution. */
function depthwiseKernel(kernel: Tensor): Tensor {
  const [height, width, inputs, multiplier] = kernel.shape as [number, number, number, number];
  return tf.reshape(kernel, [height, width, 1, inputs * multiplier]);
}

const depthwise: Converter = (source) => {
  const size = source.numbers('kernelSize');
  const dilation = source.numbers('dilationRate');
  const ps = affineParameters(source, depthwiseKernel) as { weight: Tensor };
  const outputs = ps.weight.shape[3] as number;
  const layer = depthwiseConv(size, outputs / source.number('depthMultiplier'), outputs, source.activation(), {
    ...windowOptions(source, size, dilation),
    dilation,
    useBias: source.flag('useBias'),
  });
  return converted(source, layer, ps);
};

const separable: Converter = (source) => {
  const size = source.numbers('kernelSize');
  const dilation = source.numbers('dilationRate');
  const useBias = source.flag('useBias');
  const [first, second, bias] = source.take(useBias ? 3 : 2) as readonly (Tensor | undefined)[];
  const weight = depthwiseKernel(first as Tensor);
  const [, , inner, outputs] = (second as Tensor).shape as [number, number, number, number];
  const spatial = depthwiseConv(size, (first as Tensor).shape[2] as number, inner, 'identity', {
    ...windowOptions(source, size, dilation),
    dilation,
    useBias: false,
  });
  const pointwise = conv([1, 1], inner, outputs, source.activation(), { useBias });
  const ps = { weight: tf.clone(second as Tensor), ...(bias === undefined ? {} : { bias: tf.clone(bias) }) };
  return inChain({ depthwise: converted(source, spatial, { weight }), pointwise: converted(source, pointwise, ps) });
};

const pooling = (make: typeof maxPool): Converter =>
  stateless((source) => {
    const size = source.numbers('poolSize');
    return make(size, windowOptions(source, size, []));
  });

/** Keras leaves the zeros around the input out of the mean. */
const insideMean: typeof maxPool = (window, options) => meanPool(window, { ...options, countIncludePad: false });

const globalPooling =
  (make: () => AnyLayer): Converter =>
  (source) => {
    source.needs({ dataFormat: 'channelsLast' });
    return inChain({ pool: converted(source, make()), flatten: converted(source, flattenLayer()) });
  };

/** The two parameters of a normalisation, of which Keras may have one alone. */
function scaleAndCentre(source: Source, weights: readonly Tensor[], shape: readonly number[]): Tree {
  const { scale, center } = { scale: source.flag('scale'), center: source.flag('center') };
  if (!scale && !center) return {};
  return {
    scale: scale ? tf.clone(weights[0]) : tf.ones([...shape]),
    bias: center ? tf.clone(weights[scale ? 1 : 0]) : tf.zeros([...shape]),
  };
}

const batchNormalisation: Converter = (source) => {
  const axis = source.number('axis');
  if (axis !== -1 && axis !== source.rank - 1) source.fail(`option "axis": only the last axis has a counterpart, got ${axis}`); // prettier-ignore
  const affine = source.flag('scale') || source.flag('center');
  const own = Number(source.flag('scale')) + Number(source.flag('center'));
  const weights = source.take(own + 2);
  const [mean, variance] = weights.slice(own);
  const [channels] = mean.shape;
  const layer = batchNorm<boolean>(channels, 'identity', {
    affine,
    epsilon: source.number('epsilon'),
    momentum: 1 - source.number('momentum'),
  });
  const st = { runningMean: tf.clone(mean), runningVar: tf.clone(variance), training: false };
  return converted(source, layer, scaleAndCentre(source, weights, [channels]), st);
};

const layerNormalisation: Converter = (source) => {
  const given = source.config.axis;
  const axes = (Array.isArray(given) ? (given as number[]) : [source.number('axis')])
    .map((axis) => (axis < 0 ? axis + source.rank : axis))
    .sort((a, b) => a - b);
  if (axes.some((axis, i) => axis !== source.rank - axes.length + i)) {
    source.fail(`option "axis": only the last axes have a counterpart, got ${JSON.stringify(given)}`);
  }
  const shape = axes.map((axis) => source.inputShapes[0][axis] ?? source.fail(`the size of axis ${axis} is not known`));
  const affine = source.flag('scale') || source.flag('center');
  const weights = source.take(Number(source.flag('scale')) + Number(source.flag('center')));
  const layer = layerNorm<boolean>(shape, 'identity', { affine, epsilon: source.number('epsilon') });
  return converted(source, layer, scaleAndCentre(source, weights, shape));
};

const embeddings: Converter = (source) => {
  source.needs({ maskZero: false });
  const [weight] = source.take(1);
  const [inputs, outputs] = weight.shape;
  const toIndices = wrappedFunction((x: Tensor) => tf.cast(x, 'int32'), 'toIndices');
  return inChain({
    toIndices: converted(source, toIndices),
    embedding: converted(source, embedding(inputs, outputs), { weight: tf.clone(weight) }),
  });
};

const recurrent: Converter = (source) => {
  const { cell, ps } = convertCell(source);
  const [returnSequence, reverse] = [source.flag('returnSequences'), source.flag('goBackwards')];
  const along = converted(source, recurrence(cell, { returnSequence, reverse }), ps);
  // Keras leaves the outputs of a sequence that it went through backwards in that order.
  return returnSequence && reverse ? inChain({ rnn: along, reversed: converted(source, reverseSequence(1)) }) : along;
};

const MERGES: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  sum: (a, b) => tf.add(a, b),
  mul: (a, b) => tf.mul(a, b),
  ave: (a, b) => tf.mul(tf.add(a, b), constant(0.5)),
};

const bidirectional: Converter = (source) => {
  const { forwardLayer, backwardLayer } = source.layer as unknown as Record<string, KerasLayer>;
  const [forward, backward] = [forwardLayer, backwardLayer].map((one) => {
    const inner = new Source(one, source.inputShapes, source.key, source.convert);
    return { ...convertCell(inner), inner };
  });
  if (forward.inner.flag('goBackwards')) source.fail('a first layer that goes backwards has no counterpart');
  const mode = source.config.mergeMode as string | null;
  const options = { returnSequence: forward.inner.flag('returnSequences') };
  const layer: AnyLayer =
    mode === null
      ? bidirectionalRNN(forward.cell, backward.cell, { ...options, mergeMode: null })
      : bidirectionalRNN(forward.cell, backward.cell, { ...options, mergeMode: MERGES[mode] ?? 'concat' });
  return converted(source, layer, { forwardRnn: forward.ps, backwardRnn: backward.ps });
};

/** Time and batch become one axis for the layer inside. */
const timeDistributed: Converter = (source) => {
  const { layer: wrapped } = source.layer as unknown as { layer: KerasLayer };
  const [[batch, , ...rest]] = source.inputShapes;
  const inner = source.convert(wrapped, [[batch, ...rest]]);
  const layer: AnyLayer = defineContainer({
    name: 'TimeDistributed',
    children: { layer: inner.layer },
    body: (call, x) => {
      const [samples, steps, ...features] = (x as Tensor).shape as [number, number, ...number[]];
      const y = call('layer', tf.reshape(x as Tensor, [samples * steps, ...features])) as Tensor;
      return tf.reshape(y, [samples, steps, ...y.shape.slice(1)]);
    },
  });
  return { layer, ps: { layer: inner.ps }, st: { layer: inner.st } };
};

const parametricRelu: Converter = (source) => {
  const [alpha] = source.take(1);
  const layer = compact({ name: 'PReLU', parameters: () => ({ alpha: tf.zeros(alpha.shape) }) }, (x, { ps }) =>
    tf.add(tf.relu(x), tf.mul(ps.alpha, tf.minimum(x, constant(0)))),
  );
  return converted(source, layer, { alpha: tf.clone(alpha) });
};

/** Pairs before and after the two axes of images. */
const around = (source: Source, option: string): [number, number][] => {
  source.needs({ dataFormat: 'channelsLast' });
  return source.pairs(option);
};

const cropped = ([[top, bottom], [left, right]]: [number, number][]) => (x: Tensor): Tensor => {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  return tf.slice(x, [0, top, left, 0], [batch, height - top - bottom, width - left - right, channels]);
}; // prettier-ignore

const upsampling: Converter = (source) => {
  source.needs({ dataFormat: 'channelsLast' });
  const size = source.numbers('size');
  if (source.oneOf('interpolation', ['nearest', 'bilinear']) === 'nearest') {
    return converted(source, upsample('nearest', { scale: size }));
  }
  // With corners where no mode of `upsample` has them.
  return unary(() => (x) => {
    const [height, width] = x.shape.slice(1, 3);
    return tf.image.resizeBilinear(x as tf.Tensor4D, [height * size[0], width * size[1]]);
  })(source);
};

const softmaxOver = (source: Source): ((x: Tensor) => Tensor) => {
  const axis = source.number('axis');
  return (x) => tf.softmax(x, axis);
};

function activationLayer(activation: Activation): AnyLayer {
  const { name, apply } = resolveActivation(activation, 'fromLayersModel');
  return wrappedFunction(apply, name);
}

/** Layers by their Keras class. */
export const CONVERTERS: Readonly<Record<string, Converter | undefined>> = {
  Dense: (source) => {
    const ps = affineParameters(source) as { weight: Tensor };
    const [inputs, outputs] = ps.weight.shape;
    return converted(source, dense(inputs, outputs, source.activation(), { useBias: source.flag('useBias') }), ps);
  },
  Conv1D: convolution,
  Conv2D: convolution,
  Conv3D: convolution,
  Conv2DTranspose: transposedConvolution,
  Conv3DTranspose: transposedConvolution,
  DepthwiseConv2D: depthwise,
  SeparableConv2D: separable,
  MaxPooling1D: pooling(maxPool),
  MaxPooling2D: pooling(maxPool),
  MaxPooling3D: pooling(maxPool),
  AveragePooling1D: pooling(insideMean),
  AveragePooling2D: pooling(insideMean),
  AveragePooling3D: pooling(insideMean),
  GlobalMaxPooling1D: globalPooling(globalMaxPool),
  GlobalMaxPooling2D: globalPooling(globalMaxPool),
  GlobalAveragePooling1D: globalPooling(globalMeanPool),
  GlobalAveragePooling2D: globalPooling(globalMeanPool),
  BatchNormalization: batchNormalisation,
  LayerNormalization: layerNormalisation,
  Embedding: embeddings,
  SimpleRNN: recurrent,
  LSTM: recurrent,
  GRU: recurrent,
  Bidirectional: bidirectional,
  TimeDistributed: timeDistributed,
  Dropout: stateless((source) => {
    source.needs({ noiseShape: null });
    return dropout(source.number('rate'));
  }),
  SpatialDropout1D: stateless((source) => dropout(source.number('rate'), { dims: [0, 2] })),
  AlphaDropout: stateless((source) => alphaDropout(source.number('rate'))),
  Flatten: stateless(() => flattenLayer()),
  Reshape: stateless((source) => reshapeLayer((source.config.targetShape as Shape).map((n) => n ?? -1))),
  Permute: unary((source) => {
    const axes = [0, ...source.numbers('dims')];
    return (x) => tf.transpose(x, axes);
  }),
  RepeatVector: unary((source) => {
    const n = source.number('n');
    return (x) => tf.tile(tf.expandDims(x, 1), [1, n, 1]);
  }),
  ZeroPadding2D: unary((source) => {
    const paddings: [number, number][] = [[0, 0], ...around(source, 'padding'), [0, 0]];
    return (x) => tf.pad(x, paddings);
  }),
  Cropping2D: unary((source) => cropped(around(source, 'cropping'))),
  UpSampling2D: upsampling,
  Rescaling: unary((source) => {
    const [scale, offset] = [source.number('scale'), source.number('offset')];
    return (x) => tf.add(tf.mul(x, constant(scale)), constant(offset));
  }),
  Activation: (source) => {
    const activation = source.activation();
    return converted(source, activation === 'identity' ? noOpLayer() : activationLayer(activation));
  },
  ReLU: unary((source) => cappedRelu((source.config.maxValue as number | null | undefined) ?? null)),
  LeakyReLU: unary((source) => {
    const slope = source.number('alpha');
    return (x) => leakyRelu(x, slope);
  }),
  ELU: unary((source) => {
    const alpha = source.number('alpha');
    return (x) => elu(x, alpha);
  }),
  PReLU: parametricRelu,
  ThresholdedReLU: unary((source) => {
    const threshold = source.number('theta');
    return (x) => thresholdRelu(x, threshold);
  }),
  Softmax: unary(softmaxOver),
  Add: folding(tf.add),
  Multiply: folding(tf.mul),
  Maximum: folding(tf.maximum),
  Minimum: folding(tf.minimum),
  Average: merging(
    () => (xs) =>
      tf.mul(
        xs.reduce((a, b) => tf.add(a, b)),
        constant(1 / xs.length),
      ),
  ),
  Concatenate: merging((source) => {
    const axis = source.number('axis');
    return (xs) => tf.concat([...xs], axis);
  }),
};
