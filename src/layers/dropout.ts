/**
 * Dropout: random zeros in training, nothing in test mode. The key is part of the state, so the layers are pure.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import type { Empty, Layer } from '../core/layer.js';
import { parseOptions, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import { bernoulli, split, type Key } from '../core/random.js';
import { isTensor, type Tensor } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { checkFields, checkInput, fail } from './check.js';
import { functionLayer, noOpLayer } from './functions.js';
import { tidy } from './tidy.js';

/** Where the next mask comes from, and whether there is one. `testMode(st)` and `trainMode(st)` set `training`. */
export type DropoutState = { key: Key; training: boolean };

/** A layer with the key of its next mask as its state. */
function randomLayer(
  name: string,
  summary: string,
  inTraining: (x: Tensor, key: Key) => Tensor,
): Layer<Tensor, Tensor, Empty, DropoutState> {
  const title = `${name}(${summary})`;
  return defineLayer({
    display: Object.freeze({ name, summary }),
    initialParameters: (): Empty => ({}),
    initialStates: (key: Key): DropoutState => ({ key: tf.clone(key), training: true }),
    apply: (x: Tensor, _ps: Empty, st: DropoutState): [Tensor, DropoutState] => {
      checkInput(title, x);
      checkFields(title, st, ['key', 'training'], 'states');
      if (!st.training) return [x, st];
      return tidy(() => {
        const [now, next] = split(st.key, 2);
        return [inTraining(x, now), { key: next, training: true }];
      });
    },
  });
}

function checkProbability(where: string, p: unknown): void {
  if (typeof p === 'number' && p >= 0 && p <= 1) return;
  throw new TypeError(`${where}: the probability must be a number from 0 to 1, got ${describe(p)}`);
}

export interface DropoutOptions {
  /**
   * The axes along which elements fall independently; along the others they fall together. `[0, 3]` takes whole channels
   * of images `[batch, height, width, channels]`. Default: all.
   */
  readonly dims?: number | readonly number[];
}

const OPTIONS = z.strictObject({ dims: z.union([z.int(), z.array(z.int())]).optional() });

/**
 * In training, each element becomes 0 with probability `p`, and the others are multiplied by `1 / (1 - p)`, so that the
 * mean stays; in test mode, nothing. Srivastava et al. 2014.
 *
 * State: `{ key, training }`; each application in training returns the next key. With `p` 0 it is {@link noOpLayer}.
 *
 * @param p The probability, from 0 to 1; at 1 nothing is left.
 * @throws TypeError for another `p`; `apply` throws a LayerError where the input lacks an axis of `dims`.
 */
export function dropout(p: number, options?: DropoutOptions): Layer<Tensor, Tensor, Empty, DropoutState | Empty> {
  checkProbability('dropout', p);
  const { dims } = parseOptions(OPTIONS, options, 'dropout');
  if (p === 0) return noOpLayer();
  const { summary, drop } = dropping('Dropout', p, dims);
  return randomLayer('Dropout', summary, drop);
}

/** How a dropout layer prints, and what it does to an input with a key. */
function dropping(
  name: string,
  p: number,
  dims: number | readonly number[] | undefined,
): { summary: string; drop: (x: Tensor, key: Key) => Tensor } {
  const axes = typeof dims === 'number' ? [dims] : dims;
  const summary = axes === undefined ? String(p) : `${p}, dims=[${axes.join(', ')}]`;
  const drop = (x: Tensor, key: Key): Tensor => {
    const own = axes?.map((axis) => {
      const at = axis < 0 ? axis + x.rank : axis;
      if (at < 0 || at >= x.rank)
        fail(`${name}(${summary})`, `the input has no axis ${axis}, got shape ${formatShape(x.shape)}`);
      return at;
    });
    if (p === 1) return tf.zerosLike(x);
    const kept = bernoulli(key, 1 - p, own === undefined ? x.shape : x.shape.map((n, i) => (own.includes(i) ? n : 1)));
    return tf.mul(x, tf.mul(tf.cast(kept, 'float32'), constant(1 / (1 - p))));
  };
  return { summary, drop };
}

/**
 * The mask is a function of `maskKey`, so that it can be kept whatever the input's shape is. `updateMask` asks for a new
 * one at the next application: `updateState(st, 'updateMask', true)`.
 */
export type VariationalDropoutState = {
  key: Key;
  maskKey: Key;
  /** A bool scalar, or a plain boolean that stands for one. */
  updateMask: Tensor | boolean;
  training: boolean;
};

/**
 * {@link dropout} whose mask stays the same from one application to the next, as over the steps of a sequence, until the
 * state asks for a new one. Gal and Ghahramani, NeurIPS 2016.
 *
 * State: `{ key, maskKey, updateMask, training }`. The first application in training draws a mask and sets `updateMask`
 * to false; `updateState(st, 'updateMask', true)` makes the next one draw again. (Lux.jl keeps the mask itself, which fixes
 * the input's shape; here its key is kept.)
 *
 * @param p The probability, from 0 to 1. With 0 it is {@link noOpLayer}.
 */
export function variationalHiddenDropout(
  p: number,
  options?: DropoutOptions,
): Layer<Tensor, Tensor, Empty, VariationalDropoutState | Empty> {
  const where = 'variationalHiddenDropout';
  const name = 'VariationalHiddenDropout';
  checkProbability(where, p);
  const { dims } = parseOptions(OPTIONS, options, where);
  if (p === 0) return noOpLayer();
  const { summary, drop } = dropping(name, p, dims);
  const title = `${name}(${summary})`;
  const layer: Layer<Tensor, Tensor, Empty, VariationalDropoutState> = defineLayer({
    display: Object.freeze({ name, summary }),
    initialParameters: (): Empty => ({}),
    initialStates: (key: Key): VariationalDropoutState => ({
      key: tf.clone(key),
      maskKey: tf.clone(key),
      updateMask: tf.scalar(true, 'bool'),
      training: true,
    }),
    apply: (x: Tensor, _ps: Empty, st: VariationalDropoutState): [Tensor, VariationalDropoutState] => {
      checkInput(title, x);
      checkFields(title, st, ['key', 'maskKey', 'updateMask', 'training'], 'states');
      if (!st.training) return [x, st];
      return tidy(() => {
        const [fresh, next] = split(st.key, 2);
        const renew = tf.cast(isTensor(st.updateMask) ? st.updateMask : tf.scalar(st.updateMask, 'bool'), 'bool');
        const choose = (a: Key, b: Key): Key => tf.where(renew, a, b);
        const maskKey = choose(fresh, st.maskKey);
        const after = { key: choose(next, st.key), maskKey, updateMask: tf.scalar(false, 'bool'), training: true };
        return [drop(x, maskKey), after];
      });
    },
  });
  return layer;
}

/** selu's limit for large negative inputs, `-λ α`. */
const SATURATION = -1.7580993408473766;

/**
 * Dropout for {@link selu} networks: what falls takes selu's lowest value, and the result is shifted and scaled so that
 * mean 0 and variance 1 stay. Klambauer, Unterthiner, Mayr and Hochreiter 2017.
 *
 * State as for {@link dropout}. With `p` 0 it is {@link noOpLayer}; with `p` 1 everything is 0.
 */
export function alphaDropout(p: number): Layer<Tensor, Tensor, Empty, DropoutState | Empty> {
  checkProbability('alphaDropout', p);
  if (p === 0) return noOpLayer();
  if (p === 1) return functionLayer('AlphaDropout', '1', (x: Tensor) => tf.zerosLike(x));
  const a = 1 / Math.sqrt((1 - p) * (1 + p * SATURATION ** 2));
  const b = -a * p * SATURATION;
  const layer = randomLayer('AlphaDropout', String(p), (x, key) => {
    const kept = bernoulli(key, 1 - p, x.shape);
    return tf.where(kept, tf.add(tf.mul(x, constant(a)), constant(b)), constant(a * SATURATION + b));
  });
  return layer;
}
