/**
 * Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document recognition, 1998.
 */
import { oneOf, parseOptions, positiveInteger, z } from '../../src/core/options.js';
import { resolveActivation, type Activation } from '../../src/functional/activations.js';
import { conv } from '../../src/layers/convolution.js';
import { dense } from '../../src/layers/dense.js';
import { flattenLayer } from '../../src/layers/functions.js';
import { maxPool, meanPool } from '../../src/layers/pooling.js';
import { sequence, type Network } from './network.js';

export interface LeNetOptions {
  /** Default 10. */
  readonly classes?: number;
  /** Of the input. Default 1. */
  readonly channels?: number;
  /**
   * Zeros around images of 28 x 28: 2 gives the 32 x 32 of the paper, and 61,706 parameters; 0 is what many tutorials do,
   * with 44,426. Default 2.
   */
  readonly pad?: 0 | 2;
  /** Default `'relu'`; the paper's is a scaled `'tanh'`. */
  readonly activation?: Activation;
  /** Default `'max'`; the paper's is nearest to `'mean'`. */
  readonly pool?: 'max' | 'mean';
}

const OPTIONS = z.strictObject({
  classes: positiveInteger.default(10),
  channels: positiveInteger.default(1),
  pad: z.union([z.literal(0), z.literal(2)]).default(2),
  activation: z.custom<Activation>().default('relu'),
  pool: oneOf('max', 'mean').default('max'),
});

const POOL = { max: maxPool, mean: meanPool };

/** LeNet-5 for images `[batch, 28, 28, channels]`, to `[batch, classes]` logits. */
export function leNet5(options?: LeNetOptions): Network {
  const { classes, channels, pad, activation, pool } = parseOptions(OPTIONS, options, 'leNet5');
  resolveActivation(activation, 'leNet5');
  const last = pad === 2 ? 5 : 4;
  return sequence({
    conv1: conv([5, 5], channels, 6, activation, { pad }),
    pool1: POOL[pool]([2, 2]),
    conv2: conv([5, 5], 6, 16, activation),
    pool2: POOL[pool]([2, 2]),
    flatten: flattenLayer(),
    dense1: dense(16 * last * last, 120, activation),
    dense2: dense(120, 84, activation),
    dense3: dense(84, classes),
  });
}
