/**
 * Batch and local response normalisation.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import { engineInternals, type Attrs } from '../engine.js';
import { sameShape } from '../graph.js';
import type { Rule, RuleTable } from './rule.js';
import { through, times, unbroadcast, type Inputs, type Tensor } from './tools.js';

const { mul, add, sub } = tf;

/** Inputs that tfjs leaves out when they are not given. */
type BatchNormInputs = Record<'x' | 'mean' | 'variance', Tensor> & Partial<Record<'scale' | 'offset', Tensor>>;

/** y = (x - mean) / sqrt(variance + epsilon) * scale + offset, mean and variance being inputs like any other. */
const batchNorm: Rule = ({ inputs, dys: [dy], attrs }) => {
  const { x, mean, variance, scale, offset } = inputs as BatchNormInputs;
  const inverse = (): Tensor => tf.rsqrt(add(variance, constant(attrs.varianceEpsilon as number)));
  const slope = (): Tensor => (scale === undefined ? inverse() : mul(inverse(), scale));
  // Sums over all but the channels first, products on the small tensors afterwards.
  const moment = (): Tensor => unbroadcast(mul(dy, sub(x, mean)), mean.shape);
  return {
    x: () => mul(dy, slope()),
    mean: () => tf.neg(unbroadcast(mul(dy, slope()), mean.shape)),
    variance: () => {
      const i = inverse();
      const own = times(mul(i, mul(i, slope())), -0.5);
      return unbroadcast(mul(moment(), own), variance.shape);
    },
    scale: () => {
      if (scale === undefined) return null;
      if (sameShape(scale.shape, mean.shape)) return mul(moment(), inverse());
      return unbroadcast(mul(mul(dy, sub(x, mean)), inverse()), scale.shape);
    },
    offset: () => (offset === undefined ? null : unbroadcast(dy, offset.shape)),
  };
};

interface LrnAttrs {
  readonly depthRadius: number;
  readonly bias: number;
  readonly alpha: number;
  readonly beta: number;
}

/** y = x (bias + alpha s)^-beta, s the sum of squares over the neighbouring channels: a product with a band matrix. */
function lrn(x: Tensor, attrs: Attrs): Tensor {
  const { depthRadius, bias, alpha, beta } = attrs as unknown as LrnAttrs;
  const channels = x.shape[x.rank - 1];
  const band = Array.from({ length: channels * channels }, (_, i) =>
    Math.abs(Math.floor(i / channels) - (i % channels)) <= depthRadius ? alpha : 0,
  );
  const squares = tf.reshape(tf.square(x), [x.size / channels, channels]);
  const sums = tf.reshape(tf.matMul(squares, constant(band, [channels, channels])), x.shape);
  return mul(x, tf.pow(add(sums, constant(bias)), constant(-beta)));
}

/** tfjs's kernel for the cotangent of x: itself the derivative of the expression above. */
function lrnGrad({ x, dy }: Inputs, attrs: Attrs): Tensor {
  const { grads } = engineInternals().gradients(() => lrn(x, attrs), [x], dy);
  return grads[0] ?? tf.zeros(x.shape);
}

export const NORMALISATION: RuleTable = {
  FusedBatchNorm: batchNorm,
  LRN: through(({ x }, attrs) => lrn(x, attrs)),
  LRNGrad: through(lrnGrad),
};
