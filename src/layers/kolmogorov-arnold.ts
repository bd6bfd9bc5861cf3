/**
 * Layers whose edges are functions. Z. Liu et al., KAN: Kolmogorov-Arnold Networks, 2024.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { glorotUniform, type Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, functionOption, oneOf, OptionError, parseOptions, z } from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { describe } from '../core/value.js';
import { resolveActivation, type Activation } from '../functional/activations.js';
import { checkInput, checkSize } from './check.js';
import { parametricLayer } from './parametric.js';

/** A bump around 0, of the distance from its centre in units of the distance between centres. */
const BUMPS = {
  // The cardinal cubic B-spline (Schoenberg 1946); with truncated powers it has no cases.
  spline: (u: Tensor) => {
    const far = tf.relu(tf.sub(constant(2), tf.abs(u)));
    const near = tf.relu(tf.sub(constant(1), tf.abs(u)));
    const cube = (x: Tensor): Tensor => tf.mul(x, tf.square(x));
    return tf.sub(tf.mul(cube(far), constant(1 / 6)), tf.mul(cube(near), constant(2 / 3)));
  },
  rbf: (u: Tensor) => tf.exp(tf.neg(tf.square(u))),
  rswaf: (u: Tensor) => tf.sub(constant(1), tf.square(tf.tanh(u))),
  iqf: (u: Tensor) => tf.reciprocal(tf.add(constant(1), tf.square(u))),
} as const satisfies Readonly<Record<string, (u: Tensor) => Tensor>>;

export type KolmogorovArnoldBasis = keyof typeof BUMPS;

export interface KolmogorovArnoldOptions {
  /** The bumps: cubic B-splines, `exp(-u²)`, `1 - tanh²(u)` or `1 / (1 + u²)`. Default `'spline'`. */
  readonly basis?: KolmogorovArnoldBasis;
  /** Where the first and the last bump have their centres. Default `[-1, 1]`. */
  readonly gridLims?: readonly [number, number];
  /** Brings the inputs into the grid. Default softsign. */
  readonly normalizer?: Activation;
  /** Add `activation(x) @ weight`, which has a derivative everywhere. Default true. */
  readonly useBaseActivation?: boolean;
  /** That activation. Default swish. */
  readonly baseActivation?: Activation;
  /** How the coefficients start. Default {@link glorotUniform}. */
  readonly initCoefficients?: Initialiser;
  /** How the weight starts. Default {@link glorotUniform}. */
  readonly initWeight?: Initialiser;
}

const activation = z.custom<Activation>((x) => typeof x === 'string' || typeof x === 'function', {
  error: 'a name or a function',
});
const initialiser = functionOption<Initialiser>('an initialiser').optional();
const OPTIONS = z.strictObject({
  basis: oneOf('spline', 'rbf', 'rswaf', 'iqf').default('spline'),
  gridLims: z
    .custom<readonly [number, number]>((x) => Array.isArray(x) && x.length === 2 && x.every(Number.isFinite), {
      error: 'two finite numbers',
    })
    .default([-1, 1]),
  normalizer: activation.default('softsign'),
  useBaseActivation: flag.default(true),
  baseActivation: activation.default('swish'),
  initCoefficients: initialiser,
  initWeight: initialiser,
});

/** The parameters of {@link kolmogorovArnold}. */
export type KolmogorovArnoldParameters = { coefficients: Tensor } | { coefficients: Tensor; weight: Tensor };

/**
 * Each output is a sum of functions of one input each: `yₒ = Σᵢ φₒᵢ(xᵢ)`, with
 * `φₒᵢ(x) = Σₖ coefficientsᵢₖₒ B((s(x) - gₖ) / h) + weightᵢₒ a(x)` for bumps B on a grid g with steps h, a normaliser s and a
 * base activation a. `[..., inputs]` to `[..., outputs]`.
 *
 * Parameters: `coefficients [inputs * gridLength, outputs]` (the bumps of one input side by side), `weight [inputs, outputs]`.
 *
 * @param gridLength How many bumps there are for each input; 2 or more.
 */
export function kolmogorovArnold(
  inputs: number,
  outputs: number,
  gridLength: number,
  options?: KolmogorovArnoldOptions,
): Layer<Tensor, Tensor, KolmogorovArnoldParameters, Empty> {
  const where = 'kolmogorovArnold';
  checkSize(where, 'the number of inputs', inputs);
  checkSize(where, 'the number of outputs', outputs);
  if (!Number.isSafeInteger(gridLength) || gridLength < 2) {
    throw new TypeError(`${where}: the length of the grid must be an integer from 2 on, got ${describe(gridLength)}`);
  }
  const parsed = parseOptions(OPTIONS, options, where);
  const {
    basis,
    gridLims,
    useBaseActivation,
    initCoefficients = glorotUniform(),
    initWeight = glorotUniform(),
  } = parsed;
  const [least, greatest] = gridLims;
  if (least >= greatest) {
    throw new OptionError(where, [`option "gridLims": expected two increasing numbers, got [${gridLims.join(', ')}]`]);
  }
  const normalizer = resolveActivation(parsed.normalizer, where);
  const base = resolveActivation(parsed.baseActivation, where);
  const h = (greatest - least) / (gridLength - 1);
  const centres = Array.from({ length: gridLength }, (_, k) => (least + k * h) / h);
  return parametricLayer<Tensor, Tensor, { coefficients: Tensor; weight: Tensor }>({
    name: 'KolmogorovArnold',
    summary: `${inputs} => ${outputs}, ${gridLength}, ${basis}${useBaseActivation ? '' : ', useBaseActivation=false'}`,
    parameters: {
      coefficients: { shape: [inputs * gridLength, outputs], init: initCoefficients },
      ...(useBaseActivation ? { weight: { shape: [inputs, outputs], init: initWeight } } : {}),
    } as never,
    forward: (title, x, { coefficients, weight }: { coefficients: Tensor; weight?: Tensor }) => {
      checkInput(title, x, { features: inputs });
      const rows = x.size / inputs;
      const flat = tf.reshape(x, [rows, inputs]);
      const scaled = tf.mul(normalizer.apply(flat), constant(1 / h));
      const bumps = BUMPS[basis](tf.sub(tf.expandDims(scaled, 2), constant(centres)));
      const ofBumps = tf.matMul(tf.reshape(bumps, [rows, inputs * gridLength]), coefficients);
      const y = weight === undefined ? ofBumps : tf.add(ofBumps, tf.matMul(base.apply(flat), weight));
      return tf.reshape(y, [...x.shape.slice(0, -1), outputs]);
    },
  });
}
