/**
 * Convolution, normalisation, activation: the block that image models are built of.
 */
import { functionOption, flag, objectOption, parseOptions, z } from '../../src/core/options.js';
import type { Activation } from '../../src/functional/activations.js';
import { conv, type ConvOptions } from '../../src/layers/convolution.js';
import { batchNorm } from '../../src/layers/normalisation.js';
import type { NamedParts } from '../../src/layers/types.js';
import type { NormLayer } from './mlp.js';
import { numbered, sequence, type Network } from './network.js';

export interface ConvNormOptions {
  /** Normalises after each convolution, and applies the activation. Default: none. */
  readonly norm?: NormLayer;
  /** Options of each convolution. */
  readonly conv?: ConvOptions;
  /** Let the last convolution have norm and activation, too. Default true. */
  readonly lastActivation?: boolean;
}

const OPTIONS = z.strictObject({
  norm: functionOption<NormLayer>('a function that makes a layer, such as batchNorm').optional(),
  conv: objectOption<ConvOptions>('options of conv').optional(),
  lastActivation: flag.default(true),
});

/**
 * Convolutions one after another, each with norm and activation.
 *
 * Parameters: `{ block1: { conv, norm? }, block2, ... }`.
 *
 * @param channels Channels after each convolution.
 * @param activation Default `'relu'`.
 */
export function convNormActivation(
  kernel: readonly number[],
  inputs: number,
  channels: readonly number[],
  activation: Activation = 'relu',
  options?: ConvNormOptions,
): Network {
  if (!Array.isArray(channels) || channels.length === 0) {
    throw new TypeError(
      `convNormActivation: the channels must be an array of one positive integer or more, got ${JSON.stringify(channels)}`,
    );
  }
  const { norm, conv: convOptions, lastActivation } = parseOptions(OPTIONS, options, 'convNormActivation');
  const blocks = channels.map((outputs: number, i) => {
    const from = i === 0 ? inputs : (channels[i - 1] as number);
    const active = i < channels.length - 1 || lastActivation;
    const parts: NamedParts = {
      conv: conv(kernel, from, outputs, active && norm === undefined ? activation : 'identity', convOptions),
      ...(active && norm !== undefined ? { norm: norm(outputs, activation) } : {}),
    };
    return sequence(parts);
  });
  return sequence(numbered('block', blocks));
}

/** {@link convNormActivation} with {@link batchNorm}. */
export const convBatchNormActivation = (
  kernel: readonly number[],
  inputs: number,
  channels: readonly number[],
  activation: Activation = 'relu',
  options?: Omit<ConvNormOptions, 'norm'>,
): Network => convNormActivation(kernel, inputs, channels, activation, { ...options, norm: batchNorm });
