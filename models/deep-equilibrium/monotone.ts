/**
 * A map whose equilibrium exists and is the only one, whatever its parameters.
 *
 * E. Winston, J. Z. Kolter, Monotone Operator Equilibrium Networks, NeurIPS 2020: with `I - W` strongly monotone, `W =
 * (1 - m) I - A'A + B - B'`,
 * and an activation that is a proximal operator (relu, tanh, sigmoid, identity), `z = activation(z W + x U + b)` has
 * exactly one
 * solution.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import type { Layer } from '../../src/core/layer.js';
import { glorotUniform, zerosInit } from '../../src/core/initialisers.js';
import { numberThat, oneOf, parseOptions, positiveNumber, z } from '../../src/core/options.js';
import { defineLayer } from '../../src/core/print.js';
import { split, type Key } from '../../src/core/random.js';
import type { Empty } from '../../src/core/layer.js';
import type { Tensor } from '../../src/core/tree.js';
import { checkInput, checkSize, checkTuple } from '../../src/layers/check.js';
import { tidy } from '../../src/layers/tidy.js';

export interface MonotoneOptions {
  /** m: how far `I - W` is from losing its monotony, above 0. Default 0.1. */
  readonly margin?: number;
  /**
   * The damping of forward-backward splitting, for relu and identity: `activation((1 - step) z + step (z W + x U +
   * b))`, which has the same
   * equilibrium, and contracts where `step < 2 m / |I - W|^2`. Default 1.
   */
  readonly step?: number;
}

export type MonotoneParameters = {
  readonly symmetric: Tensor;
  readonly skew: Tensor;
  readonly weight: Tensor;
  readonly bias: Tensor;
};

const ACTIVATIONS = {
  relu: (x: Tensor) => tf.relu(x),
  tanh: (x: Tensor) => tf.tanh(x),
  sigmoid: (x: Tensor) => tf.sigmoid(x),
  identity: (x: Tensor) => x,
} as const;

/** For these, scaling the argument scales the result: the damped map has the same equilibrium. */
const HOMOGENEOUS: ReadonlySet<string> = new Set(['relu', 'identity']);

const OPTIONS = z.strictObject({
  margin: positiveNumber.default(0.1),
  step: numberThat((x) => x > 0 && x <= 1, 'a number in (0, 1]').default(1),
});

/** `W = (1 - m) I - A'A + B - B'`, `[n, n]`. */
export function monotoneWeight({ symmetric: a, skew: b }: MonotoneParameters, margin: number): tf.Tensor2D {
  return tf.tidy(() => {
    const [n] = a.shape;
    const identity = tf.mul(tf.eye(n), constant(1 - margin));
    const square = tf.matMul(a, a, true);
    return tf.add<tf.Tensor2D>(tf.sub(identity, square), tf.sub(b, tf.transpose(b)));
  });
}

/**
 * The layer `activation(z W + x U + b)` of a pair `[z, x]`, for {@link deepEquilibriumNetwork}: with it the
 * equilibrium exists and is unique.
 * (That is no promise that plain iteration finds it; for relu a small `step` makes it contract.)
 *
 * Parameters: `symmetric [n, n]` (A), `skew [n, n]` (B), `weight [inputs, n]` (U), `bias [n]`.
 *
 * @param inputs, n Features of x and of z.
 */
export function monotoneDense(
  inputs: number,
  n: number,
  activation: keyof typeof ACTIVATIONS = 'relu',
  options: MonotoneOptions = {},
): Layer<[Tensor, Tensor], Tensor, MonotoneParameters, Empty> {
  const { margin, step } = parseOptions(OPTIONS, options, 'monotoneDense');
  parseOptions(
    z.strictObject({ activation: oneOf('relu', 'tanh', 'sigmoid', 'identity') }),
    { activation },
    'monotoneDense',
  );
  checkSize('monotoneDense', 'the number of inputs', inputs);
  checkSize('monotoneDense', 'the number of features', n);
  if (step !== 1 && !HOMOGENEOUS.has(activation)) {
    throw new RangeError(
      `monotoneDense: option "step" other than 1 moves the equilibrium of ${activation}; it goes with relu or identity`,
    );
  }
  const title = `MonotoneDense(${inputs} => ${n})`;
  return defineLayer({
    initialParameters: (key: Key): MonotoneParameters =>
      tidy(() => {
        const keys = split(key, 3);
        return {
          symmetric: glorotUniform(0.5)(keys[0], [n, n]),
          skew: glorotUniform(0.5)(keys[1], [n, n]),
          weight: glorotUniform()(keys[2], [inputs, n]),
          bias: zerosInit()(keys[2], [n]),
        };
      }),
    initialStates: (): Empty => ({}),
    countParameters: () => 2 * n * n + inputs * n + n,
    apply: (pair: [Tensor, Tensor], ps: MonotoneParameters, st: Empty): [Tensor, Empty] => {
      checkTuple(title, pair, 2);
      const [state, x] = pair;
      checkInput(title, state, { features: n });
      checkInput(title, x, { features: inputs });
      const y = tf.tidy(() => {
        const w = monotoneWeight(ps, margin);
        const injected = tf.add(tf.matMul(x as tf.Tensor2D, ps.weight as tf.Tensor2D), ps.bias);
        const full = tf.add(tf.matMul(state as tf.Tensor2D, w), injected);
        const mixed = step === 1 ? full : tf.add(tf.mul(state, constant(1 - step)), tf.mul(full, constant(step)));
        return ACTIVATIONS[activation](mixed);
      });
      return [y, st];
    },
    display: { name: 'MonotoneDense', summary: `${inputs} => ${n}, ${activation}` },
  });
}
