/**
 * Attention: weighted means of values, the weights by how well keys fit a query. Vaswani et al. 2017.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import type { Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, functionOption, parseOptions, positiveInteger, positiveNumber, probability, tensorOption, z } from '../core/options.js'; // prettier-ignore
import { scopeNote } from '../core/scope.js';
import { isRecord, isTensor, type StateTree, type Tensor } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import type { AffineParameters } from './affine.js';
import { checkInput, checkSize, fail } from './check.js';
import { defineContainer } from './container.js';
import { dense } from './dense.js';
import { dropout as dropoutLayer } from './dropout.js';
import { tidy } from './tidy.js';

export interface ScaledDotProductOptions {
  /**
   * Which key each query may see, broadcast to `[..., queries, keys]`: bool or int32, where not 0 means may; or float32, which
   * is added to the logits. A query that may see nothing takes the mean of all values.
   */
  readonly mask?: Tensor;
  /** Query i sees the keys 0 to i alone. Default false. */
  readonly isCausal?: boolean;
  /** The factor of the logits. Default `1 / √features`. */
  readonly scale?: number;
  /** Applied to the weights before the mean: dropout. Its result is not what is returned as weights. */
  readonly dropout?: (weights: Tensor) => Tensor;
}

const OPTIONS = z.strictObject({
  mask: tensorOption.optional(),
  isCausal: flag.default(false),
  scale: positiveNumber.optional(),
  dropout: functionOption<(weights: Tensor) => Tensor>().optional(),
});

/** So low that a logit added to it is rounded away, but finite: a row of nothing else must not become 0 / 0. */
const FORBIDDEN = -1e30;

const forbid = (allowed: Tensor): Tensor =>
  tf.mul(tf.sub(constant(1), tf.cast(allowed, 'float32')), constant(FORBIDDEN));

/** True where the key is not behind the query, `[queries, keys]`. */
const causal = (queries: number, keys: number): Tensor =>
  tf.lessEqual(tf.range(0, keys, 1, 'int32'), tf.reshape(tf.range(0, queries, 1, 'int32'), [queries, 1]));

/**
 * `softmax(scale q kᵀ + mask) v`, over the last two axes.
 *
 * @param q Queries `[..., queries, features]`.
 * @param k Keys `[..., keys, features]`.
 * @param v Values `[..., keys, valueFeatures]`.
 * @returns The means `[..., queries, valueFeatures]` and the weights `[..., queries, keys]`.
 * @throws TypeError for shapes that do not fit.
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options?: ScaledDotProductOptions,
): [y: Tensor, weights: Tensor] {
  const where = 'scaledDotProductAttention';
  const { mask, isCausal, scale, dropout } = parseOptions(OPTIONS, options, where);
  const [queries, features] = q.shape.slice(-2);
  const keys = k.shape.at(-2) as number;
  const leading = (x: Tensor): string => formatShape(x.shape.slice(0, -2));
  if (
    q.rank < 2 ||
    leading(q) !== leading(k) ||
    leading(q) !== leading(v) ||
    k.shape.at(-1) !== features ||
    v.shape.at(-2) !== keys
  ) {
    throw new TypeError(
      `${where}: expected q [..., queries, features], k [..., keys, features] and v [..., keys, any], got ` +
        `${[q, k, v].map((x) => formatShape(x.shape)).join(', ')}${scopeNote()}`,
    );
  }
  const weights = tidy(() => {
    const factor = scale ?? 1 / Math.sqrt(features);
    let logits = tf.matMul(tf.mul(q, constant(factor)), k, false, true);
    if (mask !== undefined) {
      checkMask(where, mask, logits.shape);
      logits = tf.add(logits, mask.dtype === 'float32' ? mask : forbid(tf.cast(mask, 'bool')));
    }
    if (isCausal) logits = tf.add(logits, forbid(causal(queries, keys)));
    return tf.softmax(logits);
  });
  // Outside that tidy: a dropout layer hands its next state out of here.
  return [tf.matMul(dropout === undefined ? weights : dropout(weights), v), weights];
}

function checkMask(where: string, mask: Tensor, logits: readonly number[]): void {
  const at = logits.length - mask.rank;
  if (at >= 0 && mask.shape.every((n, i) => n === 1 || n === logits[at + i])) return;
  throw new TypeError(
    `${where}: the mask must broadcast to ${formatShape(logits)}, got shape ${formatShape(mask.shape)}${scopeNote()}`,
  );
}

/** Sizes of an attention whose inputs and inner products differ in their numbers of features. */
export interface AttentionSizes {
  /** Features of the queries. */
  readonly q: number;
  /** Features of the keys. Default: those of the queries. */
  readonly k?: number;
  /** Features of the values. Default: those of the keys. */
  readonly v?: number;
  /** Features of queries and keys after their projections, all heads together. Default: those of the queries. */
  readonly qk?: number;
  /** Features of values after their projection. Default: those of queries after theirs. */
  readonly vInner?: number;
  /** Features of the output. Default: those of the queries. */
  readonly out?: number;
}

export interface MultiHeadAttentionOptions {
  /** How many heads; they share the features evenly. Default 1. */
  readonly nheads?: number;
  /** Query i sees the keys 0 to i alone. Default false. */
  readonly isCausal?: boolean;
  /** In training, weights fall out with this probability. Default 0. */
  readonly attentionDropoutProbability?: number;
  /** Biases in all four projections. Default false. */
  readonly useBias?: boolean;
  /** How the weights of the projections start. Default: as in {@link dense}. */
  readonly initWeight?: Initialiser;
  /** How their biases start. Default: as in {@link dense}. */
  readonly initBias?: Initialiser;
}

const ATTENTION = z.strictObject({
  nheads: positiveInteger.default(1),
  isCausal: flag.default(false),
  attentionDropoutProbability: probability.default(0),
  useBias: flag.default(false),
  initWeight: functionOption<Initialiser>('an initialiser').optional(),
  initBias: functionOption<Initialiser>('an initialiser').optional(),
});

/** One tensor for all three roles; queries and what they look at; or each, and perhaps a mask. */
export type AttentionInput =
  | Tensor
  | readonly [q: Tensor, kv: Tensor]
  | readonly [q: Tensor, k: Tensor, v: Tensor]
  | readonly [q: Tensor, k: Tensor, v: Tensor, mask: Tensor];

type Projection = AffineParameters<boolean>;
export type AttentionParameters = {
  qProj: Projection;
  kProj: Projection;
  vProj: Projection;
  attentionDropout: Empty;
  outProj: Projection;
};
export type AttentionState = {
  qProj: Empty;
  kProj: Empty;
  vProj: Empty;
  attentionDropout: StateTree;
  outProj: Empty;
};

/**
 * Attention in several heads at once: queries, keys and values are projected, cut into heads, attended to, put together
 * and projected again. Vaswani et al. 2017.
 *
 * Inputs are `[batch, length, features]`: one tensor, `[q, kv]`, `[q, k, v]` or `[q, k, v, mask]` (see
 * {@link scaledDotProductAttention}; the mask is broadcast to `[batch, heads, queries, keys]`). The output is
 * `[y [batch, queries, out], weights [batch, heads, queries, keys]]`.
 *
 * Parameters: `{ qProj, kProj, vProj, attentionDropout, outProj }`, each projection a dense layer.
 *
 * @param sizes Features of everything, or each number by itself.
 * @throws TypeError for bad sizes or options and for features that the heads cannot share; `apply` throws a LayerError for
 * inputs that do not fit.
 */
export function multiHeadAttention(
  sizes: number | AttentionSizes,
  options?: MultiHeadAttentionOptions,
): Layer<AttentionInput, [y: Tensor, weights: Tensor], AttentionParameters, AttentionState> {
  const where = 'multiHeadAttention';
  const { nheads, isCausal, attentionDropoutProbability, useBias, ...inits } = parseOptions(ATTENTION, options, where);
  const given: unknown = sizes;
  if (typeof given !== 'number' && !isRecord(given)) {
    throw new TypeError(`${where}: the first argument must be a number of features or a record of them, got ${describe(given)}`); // prettier-ignore
  }
  const { q, k = q, v = k, qk = q, vInner = qk, out = q } = typeof sizes === 'number' ? { q: sizes } : sizes;
  for (const [name, n] of Object.entries({ q, k, v, qk, vInner, out })) checkSize(where, `the size "${name}"`, n);
  for (const [name, n] of Object.entries({ qk, vInner })) {
    if (n % nheads !== 0) {
      throw new TypeError(`${where}: ${nheads} heads cannot share ${n} features evenly (${name})`);
    }
  }
  const initialisers = Object.fromEntries(Object.entries(inits).filter(([, init]) => (init as unknown) !== undefined));
  const projection = (from: number, to: number): Layer<Tensor, Tensor, Projection, Empty> =>
    dense<boolean>(from, to, 'identity', { useBias, ...initialisers });
  const words = [
    q === k && k === v && v === qk && qk === vInner && vInner === out ? String(q) : `(${q}, ${k}, ${v}) => ${out}`,
    `nheads=${nheads}`,
    ...(isCausal ? ['isCausal=true'] : []),
  ];
  const title = `MultiHeadAttention(${words.join(', ')})`;

  /** `[batch, length, heads * n]` to `[batch, heads, length, n]`. */
  const heads = (x: Tensor): Tensor => {
    const [batch, length, all] = x.shape as [number, number, number];
    return tf.transpose(tf.reshape(x, [batch, length, nheads, all / nheads]), [0, 2, 1, 3]);
  };
  return defineContainer({
    name: 'MultiHeadAttention',
    summary: words.join(', '),
    children: {
      qProj: projection(q, qk),
      kProj: projection(k, qk),
      vProj: projection(v, vInner),
      attentionDropout: dropoutLayer(attentionDropoutProbability),
      outProj: projection(vInner, out),
    },
    body: (call, x) => {
      const [queries, keys, values, mask] = roles(title, x);
      for (const [input, features] of [[queries, q], [keys, k], [values, v]] as const) checkInput(title, input, { rank: 3, features }); // prettier-ignore
      const [batch, length] = keys.shape;
      if (queries.shape[0] !== batch || values.shape[0] !== batch || values.shape[1] !== length) {
        const got = [queries, keys, values].map((t) => formatShape(t.shape)).join(', ');
        fail(title, `expected inputs of one batch, with as many values as keys, got ${got}`);
      }
      const project = (name: string, input: Tensor): Tensor => heads(call(name, input) as Tensor);
      const [y, weights] = scaledDotProductAttention(
        project('qProj', queries),
        project('kProj', keys),
        project('vProj', values),
        {
          isCausal,
          dropout: (w) => call('attentionDropout', w) as Tensor,
          ...(mask === undefined ? {} : { mask }),
        },
      );
      const together = tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [batch, queries.shape[1] as number, vInner]);
      return [call('outProj', together), weights];
    },
  });
}

/** Queries, keys, values and mask of an input. */
function roles(title: string, x: unknown): readonly [Tensor, Tensor, Tensor, Tensor | undefined] {
  if (isTensor(x)) return [x, x, x, undefined];
  if (!Array.isArray(x) || x.length < 2 || x.length > 4 || !x.every(isTensor)) {
    fail(title, `expected a tensor, [q, kv], [q, k, v] or [q, k, v, mask], got ${describe(x)}`);
  }
  const [q, k, v = k, mask] = x as readonly (Tensor | undefined)[];
  return [q as Tensor, k as Tensor, v as Tensor, mask];
}
