/**
 * The classifiers of the digit examples, apart from the scripts that train them.
 */
import * as tf from '@tensorflow/tfjs';
import {
  chain,
  compact,
  constant,
  conv,
  crossEntropy,
  dense,
  flattenLayer,
  maxPool,
  normalInit,
  weightNorm,
  type AnyLayer,
  type ParametersOf,
  type StatesOf,
  type Tensor,
} from 'nullcline';
import { deepEquilibriumNetwork, neuralODE } from 'nullcline/models';
import { anderson, implicitAdjoint } from 'nullcline/solvers';
import type { DigitTensors } from './digits.js';

/**
 * Lux.jl's neural ODE for MNIST: pixels to 20 by a tanh layer, a flow of those 20 over [0, 1] whose field is a 20-10-10-20
 * tanh network, solved to 1e-3, and 20 to the ten scores.
 */
export const neuralOdeClassifier = (size: number) =>
  chain({
    flat: flattenLayer(),
    down: dense(size * size, 20, 'tanh'),
    flow: neuralODE(chain(dense(20, 10, 'tanh'), dense(10, 10, 'tanh'), dense(10, 20, 'tanh')), {
      tspan: [0, 1],
      reltol: 1e-3,
      abstol: 1e-3,
    }),
    scores: dense(20, 10),
  });

/** The mean cross-entropy of a classifier with ten scores; the states come back for what the solve said. */
export function classification<M extends AnyLayer>() {
  return (model: M, ps: ParametersOf<M>, st: StatesOf<M>, { images, labels }: DigitTensors) => {
    const [scores, next] = model.apply(images, ps, st) as [tf.Tensor, StatesOf<M>];
    return [crossEntropy(scores, labels, { logits: true }), next, {}] as const;
  };
}

/**
 * A deep equilibrium classifier. A convolution sees the image (images wider than 8 pixels are first brought down, a factor of two at a time); what
 * it finds is fed into every iteration of one more convolution, `z = tanh(W * z + x)`, whose equilibrium is pooled and read out.
 *
 * The kernel W begins small, so that the map contracts, and has its direction and its length apart (`weightNorm`), which keeps its growth slow. The
 * estimate of the Jacobian's size, for the loss, keeps it contracting.
 *
 * @returns The model, and three of its parts for whoever wants to iterate by hand.
 */
export function equilibriumClassifier(size: number, { channels = 24, maxIters = 30 } = {}) {
  const halvings = Math.max(0, Math.round(Math.log2(size / 8)));
  const inner = Array.from({ length: halvings }).reduce<number>((n) => Math.ceil(n / 2), size);
  const cell = compact(
    {
      name: 'Cell',
      summary: 'tanh(around(z) + x)',
      layers: {
        around: weightNorm(
          conv([3, 3], channels, channels, 'identity', { pad: 'same', initWeight: normalInit(0.02), useBias: false }),
        ),
      },
    },
    ([z, x]: readonly [Tensor, Tensor], { layer }) => tf.tanh(tf.add(layer.around(z), x)),
  );
  const halve = (_: unknown, i: number) =>
    conv([3, 3], i === 0 ? 1 : channels, channels, 'relu', { pad: 'same', stride: 2 });
  const down = chain(...Array.from({ length: halvings }, halve));
  const stem = conv([3, 3], halvings === 0 ? 1 : channels, channels, 'identity', { pad: 'same' });
  const model = chain({
    down,
    stem,
    equilibrium: deepEquilibriumNetwork(cell, {
      algorithm: anderson(),
      maxIters,
      jacobianRegularization: 1,
      adjoint: implicitAdjoint({ reltol: 1e-3, onFailure: 'warn' }),
    }),
    pool: maxPool([2, 2]),
    flat: flattenLayer(),
    scores: dense(Math.floor(inner / 2) ** 2 * channels, 10),
  });
  return { model, down, stem, cell };
}

export type EquilibriumClassifier = ReturnType<typeof equilibriumClassifier>['model'];

/** Cross-entropy and a little of the Jacobian's size at the equilibrium, so that the map goes on contracting while it learns. */
export function equilibriumObjective(weight = 0.1) {
  return (
    model: EquilibriumClassifier,
    ps: ParametersOf<EquilibriumClassifier>,
    st: StatesOf<EquilibriumClassifier>,
    { images, labels }: DigitTensors,
  ) => {
    const [scores, next] = model.apply(images, ps, st);
    const { jacobianLoss } = next.equilibrium.solution;
    const loss = tf.add(crossEntropy(scores, labels, { logits: true }), tf.mul(jacobianLoss, constant(weight)));
    return [loss, next, {}] as const;
  };
}
