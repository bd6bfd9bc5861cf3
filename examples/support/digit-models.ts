/**
 * The classifiers of the digit examples, apart from the scripts that train them.
 */
import * as tf from '@tensorflow/tfjs';
import { chain, crossEntropy, dense, flattenLayer, type AnyLayer, type ParametersOf, type StatesOf } from 'nullcline';
import { neuralODE } from 'nullcline/models';
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
