/**
 * K. Simonyan and A. Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR 2015.
 */
import { flag, parseOptions, positiveInteger, z } from '../../src/core/options.js';
import { describe } from '../../src/core/value.js';
import { checkSize } from '../../src/layers/check.js';
import { dense } from '../../src/layers/dense.js';
import { dropout } from '../../src/layers/dropout.js';
import { flattenLayer } from '../../src/layers/functions.js';
import { adaptiveMeanPool, maxPool } from '../../src/layers/pooling.js';
import { convBatchNormActivation, convNormActivation } from './conv-norm.js';
import { dropoutRate, sequence, type Network } from './network.js';

/** How many convolutions stand before each halving of the image: table 1 of the paper, columns A, B, D and E. */
const REPEATS = {
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
} as const;

const CHANNELS = [64, 128, 256, 512, 512];

export type VggDepth = keyof typeof REPEATS;

export interface VggOptions {
  /** Normalise after each convolution. Default false. */
  readonly batchNorm?: boolean;
  /** Default 1000. */
  readonly classes?: number;
  /** Of the input. Default 3. */
  readonly channels?: number;
  /** Of the dropout between the dense layers. Default 0.5. */
  readonly dropoutRate?: number;
}

const OPTIONS = z.strictObject({
  batchNorm: flag.default(false),
  classes: positiveInteger.default(1000),
  channels: positiveInteger.default(3),
  dropoutRate: dropoutRate.default(0.5),
});

/**
 * VGG with 11, 13, 16 or 19 layers of weights, for images `[batch, height, width, channels]` of 224 x 224 or more, to
 * `[batch, classes]` logits.
 *
 * @param options `batchNorm`, `classes`, `channels`, `dropoutRate`.
 */
export function vgg(depth: VggDepth, options?: VggOptions): Network {
  if (!Object.hasOwn(REPEATS, depth)) {
    throw new TypeError(`vgg: the depth must be one of ${Object.keys(REPEATS).join(', ')}, got ${describe(depth)}`);
  }
  const { batchNorm, classes, channels, dropoutRate } = parseOptions(OPTIONS, options, 'vgg');
  checkSize('vgg', 'the number of channels', channels);
  const block = batchNorm ? convBatchNormActivation : convNormActivation;
  const stages = REPEATS[depth].flatMap((repeats, i): [string, Network][] => {
    const from = i === 0 ? channels : CHANNELS[i - 1];
    const widths = Array.from({ length: repeats }, () => CHANNELS[i]);
    return [[`stage${i + 1}`, sequence({ convs: block([3, 3], from, widths, 'relu', { conv: { pad: 1 } }), pool: maxPool([2, 2]) })]]; // prettier-ignore
  });
  return sequence({
    features: sequence(Object.fromEntries(stages)),
    pool: adaptiveMeanPool([7, 7]),
    flatten: flattenLayer(),
    classifier: sequence({
      dense1: dense(7 * 7 * 512, 4096, 'relu'),
      dropout1: dropout(dropoutRate),
      dense2: dense(4096, 4096, 'relu'),
      dropout2: dropout(dropoutRate),
      dense3: dense(4096, classes),
    }),
  });
}
