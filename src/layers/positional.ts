/**
 * Where in a sequence something stands, as numbers a network can use.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { normalInit, type Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, functionOption, nonNegativeInteger, parseOptions, positiveInteger, positiveNumber, z } from '../core/options.js'; // prettier-ignore
import { defineLayer } from '../core/print.js';
import { scopeNote } from '../core/scope.js';
import type { Tensor } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { checkFields, checkInput, checkSize, fail } from './check.js';
import { parametricLayer } from './parametric.js';
import { tidy } from './tidy.js';

function checkEven(where: string, what: string, n: unknown): number {
  if (Number.isSafeInteger(n) && (n as number) > 0 && (n as number) % 2 === 0) return n as number;
  throw new TypeError(`${where}: ${what} must be a positive even integer, got ${describe(n)}`);
}

export interface SinusoidalOptions {
  /** The lowest frequency, in radians per unit of position. Default 1e-4. */
  readonly minFreq?: number;
  /** The highest frequency. Default 1. */
  readonly maxFreq?: number;
  /** The factor of all results. Default `√(2 / dims)`, so that a vector has length 1. */
  readonly scale?: number;
  /** Frequencies are in turns per unit, not in radians. Default false. */
  readonly fullTurns?: boolean;
}

const SINUSOIDAL = z.strictObject({
  minFreq: positiveNumber.default(1e-4),
  maxFreq: positiveNumber.default(1),
  scale: positiveNumber.optional(),
  fullTurns: flag.default(false),
});

/**
 * Positions as sines and cosines: `[...]` (float32 or int32) to `[..., dims]`, first
 * `scale sin(σᵢ x)` for `dims / 2` frequencies from `maxFreq` down to `minFreq` in equal ratios, then the cosines of the same.
 * Vaswani et al. 2017, whose frequencies are those of the defaults up to the last ratio.
 *
 * State: `{ sigmas [dims / 2] }`.
 *
 * @param dims The length of a vector; even.
 */
export function sinusoidalPositionalEmbedding(
  dims: number,
  options?: SinusoidalOptions,
): Layer<Tensor, Tensor, Empty, { sigmas: Tensor }> {
  checkEven('sinusoidalPositionalEmbedding', 'the number of dimensions', dims);
  const parsed = parseOptions(SINUSOIDAL, options, 'sinusoidalPositionalEmbedding');
  const { minFreq, maxFreq, fullTurns, scale = Math.sqrt(2 / dims) } = parsed;
  const half = dims / 2;
  const sigmas = Array.from({ length: half }, (_, i) => {
    const fraction = half === 1 ? 0 : i / (half - 1);
    return maxFreq * (minFreq / maxFreq) ** fraction * (fullTurns ? 2 * Math.PI : 1);
  });
  const title = `SinusoidalPositionalEmbedding(${dims})`;
  return defineLayer({
    display: Object.freeze({ name: 'SinusoidalPositionalEmbedding', summary: String(dims) }),
    countParameters: () => 0,
    initialParameters: (): Empty => ({}),
    initialStates: () => ({ sigmas: constant(sigmas) }),
    apply: (x: Tensor, _ps: Empty, st: { sigmas: Tensor }): [Tensor, { sigmas: Tensor }] => {
      checkInput(title, x, { dtype: null });
      checkFields(title, st, ['sigmas'], 'states');
      const y = tidy(() => {
        const angles = tf.mul(tf.expandDims(tf.cast(x, 'float32'), -1), st.sigmas);
        return tf.mul(tf.concat([tf.sin(angles), tf.cos(angles)], -1), constant(scale));
      });
      return [y, st];
    },
  });
}

/** The angles of a rotary embedding, `[positions, dim / 2]`. */
export interface RotaryParameters {
  readonly cosCache: Tensor;
  readonly sinCache: Tensor;
}

const RATES = z.strictObject({ base: positiveNumber.default(10_000) });

/**
 * Cosines and sines of `p base^(-2i / dim)` for the positions p from 0 on and i from 0 to `dim / 2 - 1`.
 * Su et al., "RoFormer", 2021.
 *
 * @param dim Size of a head; even.
 * @param positions How many.
 * @param options `base`: default 10000.
 */
export function computeRotaryEmbeddingParams(
  dim: number,
  positions: number,
  options?: { readonly base?: number },
): RotaryParameters {
  checkEven('computeRotaryEmbeddingParams', 'the dimension', dim);
  checkSize('computeRotaryEmbeddingParams', 'the number of positions', positions);
  const { base } = parseOptions(RATES, options, 'computeRotaryEmbeddingParams');
  const half = dim / 2;
  const table = (f: (x: number) => number): Tensor => {
    const values = new Float64Array(positions * half);
    for (let i = 0; i < half; i++) {
      const rate = base ** (-i / half);
      for (let p = 0; p < positions; p++) values[p * half + i] = f(p * rate);
    }
    return constant(values, [positions, half]);
  };
  return { cosCache: table(Math.cos), sinCache: table(Math.sin) };
}

export interface RotaryOptions {
  /** The axis of positions in x. Default 1: `[batch, position, ..., dim]`. */
  readonly sequenceAxis?: number;
  /** Turn the neighbours 2i and 2i + 1, as the paper has it, instead of i and i + dim / 2. Default false. */
  readonly interleaved?: boolean;
  /** The positions, int32 `[length]`, where they are not 0, 1, 2, ... */
  readonly inputPositions?: Tensor;
}

const APPLY = {
  sequenceAxis: nonNegativeInteger.default(1),
  interleaved: flag.default(false),
};
const ROTARY = z.strictObject({
  ...APPLY,
  inputPositions: z.custom<Tensor>((x) => x instanceof tf.Tensor && x.dtype === 'int32' && x.rank === 1, {
    error: 'an int32 tensor of one axis',
  }).optional(),
}); // prettier-ignore

/**
 * Turns pairs of features by angles that grow with their position: the product of two vectors so turned depends on the
 * distance of their positions alone.
 *
 * @param x `[..., dim]` with positions along `sequenceAxis`.
 * @param params From {@link computeRotaryEmbeddingParams}, for as many positions as x has or more.
 * @throws TypeError for shapes that do not fit.
 */
export function applyRotaryEmbedding(x: Tensor, params: RotaryParameters, options?: RotaryOptions): Tensor {
  const where = 'applyRotaryEmbedding';
  const { sequenceAxis: axis, interleaved, inputPositions } = parseOptions(ROTARY, options, where);
  const { cosCache, sinCache } = params;
  const [positions, half] = cosCache.shape as [number, number];
  const length = x.shape[axis] as number | undefined;
  if (length === undefined || axis >= x.rank - 1) {
    throw new TypeError(`${where}: x must have features behind the positions on axis ${axis}, got shape ${formatShape(x.shape)}${scopeNote()}`); // prettier-ignore
  }
  if (x.shape.at(-1) !== 2 * half) {
    throw new TypeError(`${where}: expected ${2 * half} features in the last axis, got shape ${formatShape(x.shape)}${scopeNote()}`); // prettier-ignore
  }
  if (inputPositions === undefined ? length > positions : inputPositions.shape[0] !== length) {
    const wanted = inputPositions === undefined ? `at most ${positions} positions` : `${inputPositions.size} positions`;
    throw new TypeError(
      `${where}: expected ${wanted} on axis ${axis}, got shape ${formatShape(x.shape)}${scopeNote()}`,
    );
  }
  const shape = x.shape.map((_, i) => (i === axis ? length : i === x.rank - 1 ? half : 1));
  return tidy(() => {
    const [cos, sin] = [cosCache, sinCache].map((table) => {
      const rows =
        inputPositions === undefined ? tf.slice(table, [0, 0], [length, half]) : tf.gather(table, inputPositions);
      return tf.reshape(rows, shape);
    });
    const halves = interleaved ? tf.unstack(tf.reshape(x, [...x.shape.slice(0, -1), half, 2]), -1) : tf.split(x, 2, -1);
    const [a, b] = halves;
    const turned = [tf.sub(tf.mul(a, cos), tf.mul(b, sin)), tf.add(tf.mul(a, sin), tf.mul(b, cos))];
    return interleaved ? tf.reshape(tf.stack(turned, -1), x.shape) : tf.concat(turned, -1);
  });
}

export interface RotaryLayerOptions extends Omit<RotaryOptions, 'inputPositions'> {
  /** How many positions the tables hold. Default 4096. */
  readonly maxSequenceLength?: number;
  /** Default 10000. */
  readonly base?: number;
}

const ROTARY_LAYER = z.strictObject({
  ...APPLY,
  maxSequenceLength: positiveInteger.default(4096),
  base: positiveNumber.default(10_000),
});

/**
 * {@link applyRotaryEmbedding} as a layer, for the queries and keys of an attention: `[batch, position, ..., dim]`.
 *
 * State: `{ cosCache, sinCache }`, both `[maxSequenceLength, dim / 2]`.
 *
 * @param dim Size of a head; even.
 */
export function rotaryPositionalEmbedding(
  dim: number,
  options?: RotaryLayerOptions,
): Layer<Tensor, Tensor, Empty, { cosCache: Tensor; sinCache: Tensor }> {
  checkEven('rotaryPositionalEmbedding', 'the dimension', dim);
  const { maxSequenceLength, base, ...how } = parseOptions(ROTARY_LAYER, options, 'rotaryPositionalEmbedding');
  const title = `RotaryPositionalEmbedding(${dim})`;
  type State = { cosCache: Tensor; sinCache: Tensor };
  return defineLayer({
    display: Object.freeze({ name: 'RotaryPositionalEmbedding', summary: String(dim) }),
    countParameters: () => 0,
    initialParameters: (): Empty => ({}),
    initialStates: (): State => ({ ...computeRotaryEmbeddingParams(dim, maxSequenceLength, { base }) }),
    apply: (x: Tensor, _ps: Empty, st: State): [Tensor, State] => {
      checkInput(title, x, { features: dim, rank: [how.sequenceAxis + 2, Infinity] });
      checkFields(title, st, ['cosCache', 'sinCache'], 'states');
      const length = x.shape[how.sequenceAxis];
      if (length > maxSequenceLength) {
        fail(
          title,
          `expected at most ${maxSequenceLength} positions on axis ${how.sequenceAxis}, got shape ${formatShape(x.shape)}`,
        );
      }
      return [applyRotaryEmbedding(x, st, how), st];
    },
  });
}

const LEARNED = z.strictObject({ initWeight: functionOption<Initialiser>('an initialiser').optional() });

/**
 * Adds a vector of its own to each position: `[..., positions, dim]` to the same shape.
 *
 * Parameters: `vectors [positions, dim]`, which start normal with standard deviation 0.02 (Dosovitskiy et al. 2021).
 */
export function positionEmbedding(
  positions: number,
  dim: number,
  options?: { readonly initWeight?: Initialiser },
): Layer<Tensor, Tensor, { vectors: Tensor }, Empty> {
  checkSize('positionEmbedding', 'the number of positions', positions);
  checkSize('positionEmbedding', 'the dimension', dim);
  const { initWeight = normalInit(0.02) } = parseOptions(LEARNED, options, 'positionEmbedding');
  return parametricLayer<Tensor, Tensor, { vectors: Tensor }>({
    name: 'PositionEmbedding',
    summary: `${positions}, ${dim}`,
    parameters: { vectors: { shape: [positions, dim], init: initWeight } },
    forward: (title, x, { vectors }) => {
      checkInput(title, x, { features: dim, rank: [2, Infinity] });
      if (x.shape.at(-2) !== positions) {
        fail(title, `expected ${positions} positions in the last axis but one, got shape ${formatShape(x.shape)}`);
      }
      return tf.add(x, vectors);
    },
  });
}
