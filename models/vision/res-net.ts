/**
 * K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, CVPR 2016.
 *
 * As in torchvision, the bottleneck halves the image in its 3 x 3 convolution (the paper: in the first 1 x 1).
 */
import * as tf from '@tensorflow/tfjs-core';
import { kaimingNormal } from '../../src/core/initialisers.js';
import { oneOf, parseOptions, positiveInteger, z } from '../../src/core/options.js';
import type { AnyLayer } from '../../src/core/layer.js';
import type { Tensor } from '../../src/core/tree.js';
import { describe } from '../../src/core/value.js';
import { parallel } from '../../src/layers/containers.js';
import { conv } from '../../src/layers/convolution.js';
import { dense } from '../../src/layers/dense.js';
import { flattenLayer, noOpLayer, wrappedFunction } from '../../src/layers/functions.js';
import { batchNorm } from '../../src/layers/normalisation.js';
import { globalMeanPool, maxPool } from '../../src/layers/pooling.js';
import { relu } from '../../src/functional/activations.js';
import { numbered, sequence, type Network } from './network.js';

/** What is added to the shortcut, and how many times as many channels as `width` it ends with. */
interface Block {
  readonly expansion: number;
  readonly main: (inputs: number, width: number, stride: number) => Network;
}

const convolution = (kernel: number, inputs: number, outputs: number, stride = 1): AnyLayer =>
  conv([kernel, kernel], inputs, outputs, 'identity', {
    stride,
    pad: (kernel - 1) / 2,
    useBias: false,
    initWeight: kaimingNormal(Math.SQRT2, 'fanOut'),
  });

const BASIC: Block = {
  expansion: 1,
  main: (inputs, width, stride) =>
    sequence({
      conv1: convolution(3, inputs, width, stride),
      norm1: batchNorm(width, 'relu'),
      conv2: convolution(3, width, width),
      norm2: batchNorm(width),
    }),
};

const BOTTLENECK: Block = {
  expansion: 4,
  main: (inputs, width, stride) =>
    sequence({
      conv1: convolution(1, inputs, width),
      norm1: batchNorm(width, 'relu'),
      conv2: convolution(3, width, width, stride),
      norm2: batchNorm(width, 'relu'),
      conv3: convolution(1, width, 4 * width),
      norm3: batchNorm(4 * width),
    }),
};

/** Table 1 of the paper. */
const DEPTHS = {
  18: { block: BASIC, repeats: [2, 2, 2, 2] },
  34: { block: BASIC, repeats: [3, 4, 6, 3] },
  50: { block: BOTTLENECK, repeats: [3, 4, 6, 3] },
  101: { block: BOTTLENECK, repeats: [3, 4, 23, 3] },
  152: { block: BOTTLENECK, repeats: [3, 8, 36, 3] },
} as const;

export type ResNetDepth = keyof typeof DEPTHS;

export interface ResNetOptions {
  /** Default 1000. */
  readonly classes?: number;
  /** Of the input. Default 3. */
  readonly channels?: number;
  /**
   * How images enter: `'large'` by a 7 x 7 convolution of stride 2 and pooling, for 224 x 224; `'small'` by a 3 x 3
   * convolution, for 32 x 32. Default `'large'`.
   */
  readonly images?: 'large' | 'small';
}

const OPTIONS = z.strictObject({
  classes: positiveInteger.default(1000),
  channels: positiveInteger.default(3),
  images: oneOf('large', 'small').default('large'),
});

const sum = (main: Tensor, shortcut: Tensor): Tensor => tf.add(main, shortcut);

function residual({ main, expansion }: Block, inputs: number, width: number, stride: number): Network {
  const outputs = expansion * width;
  const shortcut =
    stride === 1 && inputs === outputs
      ? noOpLayer()
      : sequence({ conv: convolution(1, inputs, outputs, stride), norm: batchNorm(outputs) });
  return sequence({ sum: parallel(sum, { main: main(inputs, width, stride), shortcut }), relu: wrappedFunction(relu) });
}

/**
 * ResNet with 18, 34, 50, 101 or 152 layers, for images `[batch, height, width, channels]` of any size, to
 * `[batch, classes]` logits.
 *
 * @param options `classes`, `channels`, `images`.
 */
export function resNet(depth: ResNetDepth, options?: ResNetOptions): Network {
  if (!Object.hasOwn(DEPTHS, depth)) {
    throw new TypeError(`resNet: the depth must be one of ${Object.keys(DEPTHS).join(', ')}, got ${describe(depth)}`);
  }
  const { classes, channels, images } = parseOptions(OPTIONS, options, 'resNet');
  const { block, repeats } = DEPTHS[depth];
  const stem =
    images === 'large'
      ? { conv: convolution(7, channels, 64, 2), norm: batchNorm(64, 'relu'), pool: maxPool([3, 3], { stride: 2, pad: 1 }) } // prettier-ignore
      : { conv: convolution(3, channels, 64), norm: batchNorm(64, 'relu') };
  let inputs = 64;
  const stages = repeats.map((count, i) => {
    const width = 64 * 2 ** i;
    const blocks = Array.from({ length: count }, (_, k) => {
      const from = k === 0 ? inputs : block.expansion * width;
      return residual(block, from, width, k === 0 && i > 0 ? 2 : 1);
    });
    inputs = block.expansion * width;
    return sequence(numbered('block', blocks));
  });
  return sequence({
    stem: sequence(stem),
    ...numbered('stage', stages),
    pool: globalMeanPool(),
    flatten: flattenLayer(),
    classifier: dense(inputs, classes),
  });
}

/** {@link resNet} of 18 layers. */
export const resNet18 = (options?: ResNetOptions): Network => resNet(18, options);
/** {@link resNet} of 34 layers. */
export const resNet34 = (options?: ResNetOptions): Network => resNet(34, options);
/** {@link resNet} of 50 layers. */
export const resNet50 = (options?: ResNetOptions): Network => resNet(50, options);
