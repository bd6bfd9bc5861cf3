/**
 * Convolutions. y = conv(x, w) is linear in x and in w, so each of y, dx and dw is a kernel of the other two, and the
 * rules close among themselves at every order:
 *
 *     y = Conv(x, w)    dx = BackpropInput(dy, w)    dw = BackpropFilter(x, dy)
 *
 * tfjs's backprop kernels ignore dilation; a dilated filter is therefore written out with its zeros first.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Attrs } from '../engine.js';
import { activate } from './linear-algebra.js';
import type { Rule, RuleTable } from './rule.js';
import { dilated, kernel, through, thinned, type Inputs, type Tensor } from './tools.js';

interface Family {
  /** Kernel names. */
  readonly forward: string;
  readonly toInput: string;
  readonly toFilter: string;
  /** How many axes the filter slides along; they are its first. */
  readonly axes: number;
}

const FAMILIES: readonly Family[] = [
  { forward: 'Conv2D', toInput: 'Conv2DBackpropInput', toFilter: 'Conv2DBackpropFilter', axes: 2 },
  {
    forward: 'DepthwiseConv2dNative',
    toInput: 'DepthwiseConv2dNativeBackpropInput',
    toFilter: 'DepthwiseConv2dNativeBackpropFilter',
    axes: 2,
  },
  { forward: 'Conv3D', toInput: 'Conv3DBackpropInputV2', toFilter: 'Conv3DBackpropFilterV2', axes: 3 },
];

function rulesOf({ forward, toInput, toFilter, axes }: Family): RuleTable {
  const sliding = Array.from({ length: axes }, (_, i) => i);
  const undilated = { dilations: sliding.map(() => 1) };
  const steps = ({ dilations = 1 }: Attrs): number[] =>
    typeof dilations === 'number' ? sliding.map(() => dilations) : [...(dilations as number[])];
  // The attributes that all three kernels share; a transposed convolution reaches here without dilations.
  const common = ({ strides, pad, dataFormat, dimRoundingMode }: Attrs): Attrs => ({
    strides,
    pad,
    dimRoundingMode,
    ...undilated,
    ...(dataFormat === undefined ? {} : { dataFormat }),
  });
  const conv = (x: Tensor, filter: Tensor, attrs: Attrs): Tensor =>
    kernel(forward, { x, filter }, { dataFormat: axes === 2 ? 'NHWC' : 'NDHWC', ...common(attrs) });
  const pullInput = (dy: Tensor, filter: Tensor, attrs: Attrs, inputShape: number[]): Tensor =>
    kernel(toInput, { dy, filter }, { ...common(attrs), inputShape });
  const pullFilter = (x: Tensor, dy: Tensor, attrs: Attrs, filterShape: number[]): Tensor =>
    kernel(toFilter, { x, dy }, { ...common(attrs), filterShape });

  return {
    [forward]: ({ inputs: { x, filter }, dys: [dy], attrs }) => {
      const written = (): Tensor => dilated(filter, sliding, steps(attrs));
      const writtenShape = filter.shape.map((n, i) => (i < axes ? (n - 1) * steps(attrs)[i] + 1 : n));
      return {
        x: () => pullInput(dy, written(), attrs, x.shape),
        filter: () => thinned(pullFilter(x, dy, attrs, writtenShape), sliding, steps(attrs)),
      };
    },
    [toInput]: ({ inputs: { dy, filter }, dys: [g], attrs }) => ({
      dy: () => conv(g, filter, attrs),
      filter: () => pullFilter(g, dy, attrs, filter.shape),
    }),
    [toFilter]: ({ inputs: { x, dy }, dys: [g], attrs }) => ({
      x: () => pullInput(dy, g, attrs, x.shape),
      dy: () => conv(x, g, attrs),
    }),
  };
}

/** Convolution, bias and activation as three operations. */
const fused = (forward: string): Rule =>
  through((inputs, attrs) => {
    const { x, filter, bias } = inputs as { x: Tensor; filter: Tensor; bias?: Tensor };
    const { strides, pad, dataFormat, dilations, dimRoundingMode } = attrs;
    const y = kernel(forward, { x, filter }, { strides, pad, dataFormat, dilations, dimRoundingMode });
    if (bias === undefined) return activate(y, attrs, inputs);
    const channels = dataFormat === 'NCHW' && bias.rank === 1 ? tf.reshape(bias, [bias.size, 1, 1]) : bias;
    return activate(tf.add(y, channels), attrs, inputs);
  });

/**
 * Greyscale dilation: the maximum over the window of x + filter, where what lies outside the image takes no part.
 * Written as a maximum over shifted slices.
 */
function dilation2d({ x, filter }: Inputs, { strides, pad, dilations }: Attrs): Tensor {
  const info = tf.backend_util.computeDilation2DInfo(
    x.shape as [number, number, number, number],
    filter.shape as [number, number, number],
    strides as [number, number],
    pad as 'valid' | 'same',
    'NHWC',
    dilations as [number, number],
  );
  const { top, bottom, left, right } = info.padInfo;
  const paddings = [[0, 0], [top, bottom], [left, right], [0, 0]]; // prettier-ignore
  const padded = kernel('PadV2', { x }, { paddings, constantValue: Number.NEGATIVE_INFINITY });
  const [batch, height, width, channels] = info.outShape;
  const shifted: Tensor[] = [];
  for (let h = 0; h < info.filterHeight; h++) {
    for (let w = 0; w < info.filterWidth; w++) {
      const begin = [0, h * info.dilationHeight, w * info.dilationWidth, 0];
      const end = [
        batch,
        begin[1] + (height - 1) * info.strideHeight + 1,
        begin[2] + (width - 1) * info.strideWidth + 1,
        channels,
      ];
      const slice = tf.stridedSlice(padded, begin, end, [1, info.strideHeight, info.strideWidth, 1]);
      shifted.push(tf.add(slice, tf.reshape(tf.slice(filter, [h, w, 0], [1, 1, channels]), [channels])));
    }
  }
  return tf.max(tf.stack(shifted), 0);
}

export const CONVOLUTION: RuleTable = {
  ...FAMILIES.map(rulesOf).reduce<RuleTable>((all, rules) => ({ ...all, ...rules }), {}),
  FusedConv2D: fused('Conv2D'),
  FusedDepthwiseConv2D: fused('DepthwiseConv2dNative'),
  Dilation2D: through(dilation2d),
};
