/**
 * Dense layers one after another.
 */
import { functionOption, flag, parseOptions, z } from '../../src/core/options.js';
import type { AnyLayer } from '../../src/core/layer.js';
import type { Tensor } from '../../src/core/tree.js';
import type { Activation } from '../../src/functional/activations.js';
import { checkSize } from '../../src/layers/check.js';
import { skipConnection } from '../../src/layers/containers.js';
import { dense } from '../../src/layers/dense.js';
import { dropout } from '../../src/layers/dropout.js';
import type { NamedParts } from '../../src/layers/types.js';
import * as tf from '@tensorflow/tfjs-core';
import { dropoutRate, numbered, sequence, type Network } from './network.js';

/** Makes the layer that normalises `channels` features and applies the activation: `batchNorm`, `layerNorm`. */
export type NormLayer = (channels: number, activation: Activation) => AnyLayer;

export interface MlpOptions {
  /** Normalises each hidden layer, and applies its activation: `batchNorm`, `layerNorm`. Default: none. */
  readonly norm?: NormLayer;
  /** Of the dropout after each hidden layer. Default 0: none. */
  readonly dropoutRate?: number;
  /** Add the input to the output; they must have one size. Default false. */
  readonly residual?: boolean;
  /** Let the last layer have norm, activation and dropout, too. Default false. */
  readonly lastActivation?: boolean;
}

const OPTIONS = z.strictObject({
  norm: functionOption<NormLayer>('a function that makes a layer, such as batchNorm').optional(),
  dropoutRate: dropoutRate.default(0),
  residual: flag.default(false),
  lastActivation: flag.default(false),
});

/**
 * A multi-layer perceptron: `dense` for each size, with activation, and where asked norm and dropout, between.
 *
 * Parameters: `{ layer1: { dense, norm? }, layer2, ... }`.
 *
 * @param inputs Features of the input.
 * @param sizes Features after each layer; the last are the output's.
 * @param activation Of all layers but the last. Default `'relu'`.
 * @throws TypeError for bad sizes or options.
 */
export function mlp(
  inputs: number,
  sizes: readonly number[],
  activation: Activation = 'relu',
  options?: MlpOptions,
): Network {
  checkSize('mlp', 'the number of inputs', inputs);
  if (!Array.isArray(sizes) || sizes.length === 0) {
    throw new TypeError(
      `mlp: the sizes must be an array of one positive integer or more, got ${JSON.stringify(sizes)}`,
    );
  }
  for (const size of sizes) checkSize('mlp', 'each size', size);
  const { norm, dropoutRate, residual, lastActivation } = parseOptions(OPTIONS, options, 'mlp');
  const outputs = sizes[sizes.length - 1] as number;
  if (residual && outputs !== inputs) {
    throw new TypeError(`mlp: a residual connection needs as many outputs as inputs, ${inputs}, got ${outputs}`);
  }
  const layers = sizes.map((size: number, i) => {
    const from = i === 0 ? inputs : (sizes[i - 1] as number);
    const hidden = i < sizes.length - 1 || lastActivation;
    const parts: NamedParts = {
      dense: dense(from, size, hidden && norm === undefined ? activation : 'identity'),
      ...(hidden && norm !== undefined ? { norm: norm(size, activation) } : {}),
      ...(hidden && dropoutRate > 0 ? { dropout: dropout(dropoutRate) } : {}),
    };
    return sequence(parts);
  });
  const network = sequence(numbered('layer', layers));
  if (!residual) return network;
  return skipConnection(network, (y: Tensor, x: Tensor): Tensor => tf.add(y, x));
}
