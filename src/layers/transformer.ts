/**
 * What transformers are made of besides attention.
 */
import * as tf from '@tensorflow/tfjs-core';
import { calculateGain, kaimingUniform, uniformInit, zerosInit, type Initialiser } from '../core/initialisers.js';
import type { AnyLayer, Empty, Layer } from '../core/layer.js';
import {
  flag,
  functionOption,
  parseOptions,
  positiveInteger,
  positiveNumber,
  probability,
  z,
} from '../core/options.js';
import { isTensor, type StateTree, type Tensor, type Tree } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { resolveActivation, type Activation } from '../functional/activations.js';
import { affine, AFFINE_OPTIONS, parseAffine, type AffineOptions, type AffineParameters } from './affine.js';
import { multiHeadAttention } from './attention.js';
import { checkInput, checkSize, checkTuple, fail } from './check.js';
import { defineContainer } from './container.js';
import { chain } from './containers.js';
import { dense } from './dense.js';
import { dropout as dropoutLayer } from './dropout.js';
import { layerNorm } from './normalisation.js';
import { parametricLayer } from './parametric.js';

export interface TransformerEncoderBlockOptions {
  /** Features between the two dense layers. Default `4 dim`. */
  readonly hidden?: number;
  /** Between the two dense layers. Default gelu. */
  readonly activation?: Activation;
  /** In training, what attention and dense layers add falls out with this probability. Default 0. */
  readonly dropout?: number;
  /** In training, attention weights fall out with this probability. Default 0. */
  readonly attentionDropoutProbability?: number;
  /** Normalise what enters attention and dense layers, not what leaves the sum. Default true. */
  readonly normFirst?: boolean;
  /** Position i sees the positions 0 to i alone. Default false. */
  readonly isCausal?: boolean;
  /** Biases in the projections of the attention. Default true. */
  readonly useBias?: boolean;
  /** Of the normalisations. Default 1e-5. */
  readonly epsilon?: number;
}

const BLOCK = z.strictObject({
  hidden: positiveInteger.optional(),
  activation: z.custom<Activation>((x) => typeof x === 'string' || typeof x === 'function', { error: 'a name or a function' }).default('gelu'), // prettier-ignore
  dropout: probability.default(0),
  attentionDropoutProbability: probability.default(0),
  normFirst: flag.default(true),
  isCausal: flag.default(false),
  useBias: flag.default(true),
  epsilon: positiveNumber.default(1e-5),
});

/**
 * A block of a transformer's encoder: with the default `normFirst`, `h = x + attention(norm1(x))`, then
 * `y = h + mlp(norm2(h))`; otherwise `h = norm1(x + attention(x))`, `y = norm2(h + mlp(h))`. Vaswani et al. 2017; the former
 * by Xiong et al. 2020.
 *
 * It takes `x [batch, length, dim]`, or `[x, mask]` with a mask for {@link scaledDotProductAttention}. Parameters:
 * `{ norm1, attention, norm2, mlp }`.
 *
 * @param dim Features.
 * @param nheads Heads of the attention.
 */
export function transformerEncoderBlock(
  dim: number,
  nheads: number,
  options?: TransformerEncoderBlockOptions,
): Layer<Tensor | readonly [x: Tensor, mask: Tensor], Tensor, { [name: string]: Tree }, { [name: string]: StateTree }> {
  const where = 'transformerEncoderBlock';
  checkSize(where, 'the number of features', dim);
  const parsed = parseOptions(BLOCK, options, where);
  const {
    hidden = 4 * dim,
    activation,
    dropout,
    attentionDropoutProbability,
    normFirst,
    isCausal,
    useBias,
    epsilon,
  } = parsed;
  resolveActivation(activation, where);
  const children: Record<string, AnyLayer> = {
    norm1: layerNorm(dim, 'identity', { epsilon }),
    attention: multiHeadAttention(dim, { nheads, attentionDropoutProbability, isCausal, useBias }),
    norm2: layerNorm(dim, 'identity', { epsilon }),
    mlp:
      dropout === 0
        ? chain(dense(dim, hidden, activation), dense(hidden, dim))
        : chain(dense(dim, hidden, activation), dropoutLayer(dropout), dense(hidden, dim)),
  };
  if (dropout > 0) {
    children.dropout1 = dropoutLayer(dropout);
    children.dropout2 = dropoutLayer(dropout);
  }
  const summary = [String(dim), `nheads=${nheads}`, ...(normFirst ? [] : ['normFirst=false'])].join(', ');
  return defineContainer({
    name: 'TransformerEncoderBlock',
    summary,
    children,
    body: (call, input) => {
      if (!isTensor(input)) checkTuple(`TransformerEncoderBlock(${summary})`, input, 2);
      const [x, mask] = isTensor(input) ? [input, undefined] : (input as readonly [Tensor, Tensor]);
      const attend = (t: Tensor): Tensor =>
        (call('attention', mask === undefined ? t : [t, t, t, mask]) as readonly [Tensor, Tensor])[0];
      const dense2 = (t: Tensor): Tensor => call('mlp', t) as Tensor;
      const added = (to: Tensor, f: (t: Tensor) => Tensor, i: 1 | 2): Tensor => {
        const norm = (t: Tensor): Tensor => call(`norm${i}`, t) as Tensor;
        const fallen = (t: Tensor): Tensor => (dropout === 0 ? t : (call(`dropout${i}`, t) as Tensor));
        return normFirst ? tf.add(to, fallen(f(norm(to)))) : norm(tf.add(to, fallen(f(to))));
      };
      return added(added(x, attend, 1), dense2, 2);
    },
  });
}

/** One size for height and width, or both. */
function pair(where: string, what: string, size: unknown): readonly [number, number] {
  const sizes: readonly unknown[] = Array.isArray(size) ? size : [size, size];
  if (sizes.length !== 2) throw new TypeError(`${where}: ${what} must be a number or two, got ${describe(size)}`);
  return [checkSize(where, what, sizes[0]), checkSize(where, what, sizes[1])];
}

/**
 * Cuts images into patches and makes a vector of each: `[batch, height, width, channels]` to
 * `[batch, patches, outputs]`, row by row. Dosovitskiy et al. 2021.
 *
 * Parameters: `weight [patchHeight, patchWidth, channels, outputs]`, `bias [outputs]`: those of the convolution with a stride
 * of its kernel's size that this is.
 *
 * @param imageSize Height and width of the images; multiples of the patch's.
 * @param patchSize Height and width of a patch.
 */
export function patchEmbedding<B extends boolean = true>(
  imageSize: number | readonly [number, number],
  patchSize: number | readonly [number, number],
  channels: number,
  outputs: number,
  options?: AffineOptions<B>,
): Layer<Tensor, Tensor, AffineParameters<B>, Empty> {
  const where = 'patchEmbedding';
  const [height, width] = pair(where, 'the image size', imageSize);
  const [ph, pw] = pair(where, 'the patch size', patchSize);
  checkSize(where, 'the number of channels', channels);
  checkSize(where, 'the number of outputs', outputs);
  if (height % ph !== 0 || width % pw !== 0) {
    throw new TypeError(`${where}: images ${formatShape([height, width])} cannot be cut into patches ${formatShape([ph, pw])}`); // prettier-ignore
  }
  const [rows, columns] = [height / ph, width / pw];
  const inputs = ph * pw * channels;
  return affine<Tensor, B>(resolveActivation('identity', where), parseAffine(AFFINE_OPTIONS, options, where), {
    name: 'PatchEmbedding',
    summary: `(${height}, ${width}) by (${ph}, ${pw}), ${channels} => ${outputs}`,
    weight: [ph, pw, channels, outputs],
    bias: [outputs],
    initWeight: kaimingUniform(calculateGain('identity')),
    initBias: uniformInit(1 / Math.sqrt(inputs)),
    product: (title, x, weight) => {
      checkInput(title, x, { rank: 4, features: channels });
      if (x.shape[1] !== height || x.shape[2] !== width) {
        fail(title, `expected images ${formatShape([height, width])}, got shape ${formatShape(x.shape)}`);
      }
      const batch = x.shape[0];
      const cut = tf.transpose(tf.reshape(x, [batch, rows, ph, columns, pw, channels]), [0, 1, 3, 2, 4, 5]);
      const product = tf.matMul(
        tf.reshape(cut, [batch * rows * columns, inputs]),
        tf.reshape(weight, [inputs, outputs]),
      );
      return tf.reshape(product, [batch, rows * columns, outputs]);
    },
  });
}

const TOKENS = z.strictObject({ initWeight: functionOption<Initialiser>('an initialiser').optional() });

/**
 * Puts a vector that is learnt in front of each sequence, `[batch, length, dim]` to `[batch, length + 1, dim]`: the place
 * where a transformer gathers what it says of the whole. Devlin et al. 2019.
 *
 * Parameters: `tokens [1, dim]`, which start as zeros.
 */
export function classTokens(
  dim: number,
  options?: { readonly initWeight?: Initialiser },
): Layer<Tensor, Tensor, { tokens: Tensor }, Empty> {
  checkSize('classTokens', 'the dimension', dim);
  const { initWeight = zerosInit() } = parseOptions(TOKENS, options, 'classTokens');
  return parametricLayer<Tensor, Tensor, { tokens: Tensor }>({
    name: 'ClassTokens',
    summary: String(dim),
    parameters: { tokens: { shape: [1, dim], init: initWeight } },
    forward: (title, x, { tokens }) => {
      checkInput(title, x, { rank: 3, features: dim });
      return tf.concat([tf.tile(tf.expandDims(tokens), [x.shape[0], 1, 1]), x as tf.Tensor3D], 1);
    },
  });
}
