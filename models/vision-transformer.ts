/**
 * The vision transformer. A. Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021.
 */
import type { AnyLayer, Layer } from '../src/core/layer.js';
import { flag, parseOptions, positiveInteger, positiveNumber, probability, z } from '../src/core/options.js';
import type { StateTree, Tensor, Tree } from '../src/core/tree.js';
import { chain } from '../src/layers/containers.js';
import { dense } from '../src/layers/dense.js';
import { dropout as dropoutLayer } from '../src/layers/dropout.js';
import { selectDim } from '../src/layers/functions.js';
import { layerNorm } from '../src/layers/normalisation.js';
import { positionEmbedding } from '../src/layers/positional.js';
import { classTokens, patchEmbedding, transformerEncoderBlock } from '../src/layers/transformer.js';

interface Size {
  readonly dim: number;
  readonly depth: number;
  readonly nheads: number;
}

/** The sizes of DeiT (Touvron et al. 2021) and of Dosovitskiy et al., table 1. */
const SIZES = {
  tiny: { dim: 192, depth: 12, nheads: 3 },
  small: { dim: 384, depth: 12, nheads: 6 },
  base: { dim: 768, depth: 12, nheads: 12 },
  large: { dim: 1024, depth: 24, nheads: 16 },
  huge: { dim: 1280, depth: 32, nheads: 16 },
} as const satisfies Readonly<Record<string, Size>>;

export type VisionTransformerName = keyof typeof SIZES;

export interface VisionTransformerOptions {
  /** Height and width of the images. Default 224. */
  readonly imageSize?: number;
  /** Height and width of a patch. Default 16. */
  readonly patchSize?: number;
  /** Default 3. */
  readonly channels?: number;
  /** Outputs. Default 1000. */
  readonly classes?: number;
  /** Features of a token. Default: by the size's name. */
  readonly dim?: number;
  /** Blocks. Default: by the size's name. */
  readonly depth?: number;
  /** Heads. Default: by the size's name. */
  readonly nheads?: number;
  /** Hidden features of a block, in multiples of `dim`. Default 4. */
  readonly mlpRatio?: number;
  /** In training, with this probability. Default 0. */
  readonly dropout?: number;
  /** Of the normalisations. Default 1e-6. */
  readonly epsilon?: number;
  /** End with a dense layer to the classes; otherwise the features of the class token are the output. Default true. */
  readonly head?: boolean;
}

const OPTIONS = z.strictObject({
  imageSize: positiveInteger.default(224),
  patchSize: positiveInteger.default(16),
  channels: positiveInteger.default(3),
  classes: positiveInteger.default(1000),
  dim: positiveInteger.optional(),
  depth: positiveInteger.optional(),
  nheads: positiveInteger.optional(),
  mlpRatio: positiveNumber.default(4),
  dropout: probability.default(0),
  epsilon: positiveNumber.default(1e-6),
  head: flag.default(true),
});

/**
 * A vision transformer: images `[batch, height, width, channels]` to `[batch, classes]`.
 *
 * A chain of `patches`, `tokens`, `positions`, (`dropout`,) `blocks`, `norm`, `select` (the class token) and `head`, with the
 * parameter counts of the published models: 86,567,656 for `'base'`.
 *
 * @param size `'tiny'`, `'small'`, `'base'`, `'large'` or `'huge'`; single numbers can be set by options.
 *
 * @example
 * visionTransformer('tiny', { imageSize: 32, patchSize: 4, classes: 10, dim: 64, depth: 4, nheads: 4 });
 */
export function visionTransformer(
  size: VisionTransformerName,
  options?: VisionTransformerOptions,
): Layer<Tensor, Tensor, { [name: string]: Tree }, { [name: string]: StateTree }> {
  if (!Object.hasOwn(SIZES, size)) {
    const names = Object.keys(SIZES).map((name) => `"${name}"`).join(', '); // prettier-ignore
    throw new TypeError(`visionTransformer: the size must be one of ${names}, got ${JSON.stringify(size)}`);
  }
  const parsed = parseOptions(OPTIONS, options, 'visionTransformer');
  const { imageSize, patchSize, channels, classes, mlpRatio, dropout, epsilon, head } = parsed;
  const own = SIZES[size];
  const { dim = own.dim, depth = own.depth, nheads = own.nheads } = parsed;
  const patches = (imageSize / patchSize) ** 2;
  const hidden = Math.round(mlpRatio * dim);
  const blocks = Array.from({ length: depth }, () =>
    transformerEncoderBlock(dim, nheads, { hidden, dropout, epsilon }),
  );
  const parts: Record<string, AnyLayer> = {
    patches: patchEmbedding(imageSize, patchSize, channels, dim),
    tokens: classTokens(dim),
    positions: positionEmbedding(patches + 1, dim),
    ...(dropout > 0 ? { dropout: dropoutLayer(dropout) } : {}),
    blocks: chain(...blocks),
    norm: layerNorm(dim, 'identity', { epsilon }),
    select: selectDim(1, 0),
    ...(head ? { head: dense(dim, classes) } : {}),
  };
  return chain(parts);
}
