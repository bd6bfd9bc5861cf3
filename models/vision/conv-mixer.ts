/**
 * A. Trockman and J. Z. Kolter, Patches are all you need?, TMLR 2023.
 */
import * as tf from '@tensorflow/tfjs-core';
import { parseOptions, positiveInteger, z } from '../../src/core/options.js';
import type { Tensor } from '../../src/core/tree.js';
import { checkSize } from '../../src/layers/check.js';
import { skipConnection } from '../../src/layers/containers.js';
import { conv, depthwiseConv } from '../../src/layers/convolution.js';
import { dense } from '../../src/layers/dense.js';
import { flattenLayer } from '../../src/layers/functions.js';
import { batchNorm } from '../../src/layers/normalisation.js';
import { globalMeanPool } from '../../src/layers/pooling.js';
import { numbered, sequence, type Network } from './network.js';

export interface ConvMixerOptions {
  /** Size of the depthwise kernels. Default 9. */
  readonly kernel?: number;
  /** Size of the patches. Default 7. */
  readonly patch?: number;
  /** Default 1000. */
  readonly classes?: number;
  /** Of the input. Default 3. */
  readonly channels?: number;
}

const OPTIONS = z.strictObject({
  kernel: positiveInteger.default(9),
  patch: positiveInteger.default(7),
  classes: positiveInteger.default(1000),
  channels: positiveInteger.default(3),
});

const sum = (mixed: Tensor, x: Tensor): Tensor => tf.add(mixed, x);

/**
 * Patches mixed by depthwise convolutions over space and pointwise ones over channels, for images
 * `[batch, height, width, channels]` of at least one patch, to `[batch, classes]` logits.
 *
 * @param width Channels inside.
 * @param depth How many blocks.
 * @param options `kernel`, `patch`, `classes`, `channels`.
 */
export function convMixer(width: number, depth: number, options?: ConvMixerOptions): Network {
  checkSize('convMixer', 'the width', width);
  checkSize('convMixer', 'the depth', depth);
  const { kernel, patch, classes, channels } = parseOptions(OPTIONS, options, 'convMixer');
  const space = (): Network =>
    sequence({ conv: depthwiseConv([kernel, kernel], width, width, 'gelu', { pad: 'same' }), norm: batchNorm(width) });
  const block = (): Network =>
    sequence({
      space: skipConnection(space(), sum),
      conv: conv([1, 1], width, width, 'gelu'),
      norm: batchNorm(width),
    });
  return sequence({
    patches: conv([patch, patch], channels, width, 'gelu', { stride: patch }),
    norm: batchNorm(width),
    ...numbered('block', Array.from({ length: depth }, block)),
    pool: globalMeanPool(),
    flatten: flattenLayer(),
    classifier: dense(width, classes),
  });
}
