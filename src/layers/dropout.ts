/**
 * Dropout: random zeros in training, nothing in test mode. The key is part of the state, so the layers are pure.
 */
import * as tf from '@tensorflow/tfjs';
import { constant } from '../core/constant.js';
import type { Empty, Layer } from '../core/layer.js';
import { parseOptions, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import { bernoulli, split, type Key } from '../core/random.js';
import type { Tensor } from '../core/tree.js';
import { checkFields, checkInput, describeValue, fail, formatShape } from './check.js';
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
  throw new TypeError(`${where}: the probability must be a number from 0 to 1, got ${describeValue(p)}`);
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
  const axes = typeof dims === 'number' ? [dims] : dims;
  const summary = axes === undefined ? String(p) : `${p}, dims=[${axes.join(', ')}]`;
  const layer = randomLayer('Dropout', summary, (x, key) => {
    const own = axes?.map((axis) => {
      const at = axis < 0 ? axis + x.rank : axis;
      if (at < 0 || at >= x.rank)
        fail(`Dropout(${summary})`, `the input has no axis ${axis}, got shape ${formatShape(x.shape)}`);
      return at;
    });
    if (p === 1) return tf.zerosLike(x);
    const kept = bernoulli(key, 1 - p, own === undefined ? x.shape : x.shape.map((n, i) => (own.includes(i) ? n : 1)));
    return tf.mul(x, tf.mul(tf.cast(kept, 'float32'), constant(1 / (1 - p))));
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
