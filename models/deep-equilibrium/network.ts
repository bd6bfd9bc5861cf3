/**
 * Deep equilibrium networks with one state.
 *
 * S. Bai, J. Z. Kolter, V. Koltun, Deep Equilibrium Models, NeurIPS 2019; with a learned start: A. Pal, A. Edelman, C.
 * Rackauckas,
 * Continuous Deep Equilibrium Models: Training Neural ODEs Faster by Integrating Them to Infinity, HPEC 2023.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Empty, Layer } from '../../src/core/layer.js';
import type { StateTree, Tensor, Tree } from '../../src/core/tree.js';
import { equilibriumLayer, firstTensor, type EquilibriumParameters, type EquilibriumState } from './equilibrium.js';
import type { EquilibriumOptions } from './options.js';

function zerosLike(where: string, { shape }: EquilibriumOptions): (x: unknown) => Tensor {
  return (x) => {
    const first = firstTensor(x, where);
    return tf.zeros(shape === undefined ? first.shape : [first.shape[0], ...shape]);
  };
}

/**
 * `z = layer([z, x])`, solved from zeros: returns z.
 *
 * Parameters `{ model, init }`, where `init` is empty. The state holds the layer's own, and `solution`: the residual,
 * the statistics, the
 * Jacobian loss and the spectral radius of the latest solve, as tensors. The layer's state stays the same during a solve (a
 * dropout mask too, so that there is one map whose fixed point is meant) and is renewed once afterwards. In test mode
 * the options in `test` hold.
 *
 * The gradient is that of the equilibrium (`implicitAdjoint()`), unless `adjoint` says otherwise.
 *
 * @param layer Takes the pair `[z, x]` and returns a tensor shaped like z.
 * @throws OptionError, TypeError or RangeError for bad options, at construction; the error of a failed solve with
 * `throwOnFailure`.
 */
export function deepEquilibriumNetwork<X extends Tree, P extends Tree, S extends StateTree>(
  layer: Layer<[Tensor, X], Tensor, P, S>,
  options: EquilibriumOptions = {},
): Layer<X, Tensor, EquilibriumParameters<P, Empty>, EquilibriumState<S, Empty, Tensor>> {
  const where = 'deepEquilibriumNetwork';
  return equilibriumLayer<X, Tensor, P, S, Empty, Empty>({
    name: 'DeepEquilibriumNetwork',
    where,
    layer,
    start: 'zeros',
    zeros: zerosLike(where, options),
    options,
  });
}

/**
 * The same, solved from a start that depends on the input: what the layer `init` makes of x (parameters `init`), or
 * without one, a
 * first application of the model to zeros.
 */
export function skipDeepEquilibriumNetwork<
  X extends Tree,
  P extends Tree,
  S extends StateTree,
  I extends Tree,
  SI extends StateTree,
>(
  layer: Layer<[Tensor, X], Tensor, P, S>,
  init: Layer<X, Tensor, I, SI>,
  options?: EquilibriumOptions,
): Layer<X, Tensor, EquilibriumParameters<P, I>, EquilibriumState<S, SI, Tensor>>;
export function skipDeepEquilibriumNetwork<X extends Tree, P extends Tree, S extends StateTree>(
  layer: Layer<[Tensor, X], Tensor, P, S>,
  init?: null,
  options?: EquilibriumOptions,
): Layer<X, Tensor, EquilibriumParameters<P, Empty>, EquilibriumState<S, Empty, Tensor>>;
export function skipDeepEquilibriumNetwork<
  X extends Tree,
  P extends Tree,
  S extends StateTree,
  I extends Tree,
  SI extends StateTree,
>(
  layer: Layer<[Tensor, X], Tensor, P, S>,
  init: Layer<X, Tensor, I, SI> | null = null,
  options: EquilibriumOptions = {},
): Layer<X, Tensor, EquilibriumParameters<P, I>, EquilibriumState<S, SI, Tensor>> {
  const where = 'skipDeepEquilibriumNetwork';
  return equilibriumLayer<X, Tensor, P, S, I, SI>({
    name: 'SkipDeepEquilibriumNetwork',
    where,
    layer,
    start: init ?? 'evaluation',
    zeros: zerosLike(where, options),
    options,
  });
}
