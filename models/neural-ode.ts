/**
 * A layer whose forward pass is the solution of an ODE with another layer as its right-hand side.
 *
 * R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, Neural Ordinary Differential Equations, NeurIPS 2018.
 */
import * as tf from '@tensorflow/tfjs-core';
import { applyChild, type Layer } from '../src/core/layer.js';
import { defineLayer } from '../src/core/print.js';
import { isRecord, leaves, type StateTree, type Tensor, type Tree } from '../src/core/tree.js';
import { describe } from '../src/core/value.js';
import { checkAlgorithm, type OdeAlgorithm } from '../solvers/ode/algorithm.js';
import { tsit5 } from '../solvers/ode/algorithms.js';
import { checkSaveAt, parseOdeOptions, type OdeOptions } from '../solvers/ode/options.js';
import { odeProblem } from '../solvers/ode/problem.js';
import { solve } from '../solvers/solve.js';

export interface NeuralOdeOptions extends OdeOptions {
  /** Start and end of the integration. */
  readonly tspan: readonly [number, number];
  /** Default {@link tsit5}. */
  readonly algorithm?: OdeAlgorithm;
  /** The inner layer takes `[u, t]`, with `t` a scalar tensor, instead of `u` alone. Default false. */
  readonly timeDependent?: boolean;
}

/** Those that are not the solver's. */
const OWN_OPTIONS = ['tspan', 'algorithm', 'timeDependent'] as const satisfies readonly (keyof NeuralOdeOptions)[];

export interface NeuralOdeState<S extends StateTree> {
  readonly model: S;
  /** `[steps, accepted, rejected, evaluations, retcode]` of the latest solve (int32); see `readStatistics`. */
  readonly statistics: tf.Tensor1D;
  readonly [name: string]: StateTree;
}

/**
 * `du/dt = layer(u)`, `u(t0) = x`: returns the state at the end of `tspan`, or with `saveAt` the states at those times,
 * time first: `[time, ...x.shape]`.
 *
 * Its parameters are those of the inner layer. The inner layer's state stays the same during a solve (a dropout mask too,
 * so that the right-hand side is a function) and is renewed once afterwards.
 *
 * Called outside `compile` or a gradient, each call traces the right-hand side anew; a training step should be compiled.
 *
 * @throws OptionError, TypeError or RangeError for bad options, at construction; SolveError when an integration fails.
 */
export function neuralODE<U extends Tree, P extends Tree, S extends StateTree>(
  layer: Layer<[U, Tensor], U, P, S>,
  options: NeuralOdeOptions & { readonly timeDependent: true },
): Layer<U, U, P, NeuralOdeState<S>>;
export function neuralODE<U extends Tree, P extends Tree, S extends StateTree>(
  layer: Layer<U, U, P, S>,
  options: NeuralOdeOptions & { readonly timeDependent?: false },
): Layer<U, U, P, NeuralOdeState<S>>;
export function neuralODE<U extends Tree, P extends Tree, S extends StateTree>(
  layer: Layer<U | [U, Tensor], U, P, S>,
  options: NeuralOdeOptions,
): Layer<U, U, P, NeuralOdeState<S>> {
  if (typeof (layer as Partial<typeof layer> | undefined)?.initialParameters !== 'function') {
    throw new TypeError('neuralODE: the first argument must be a layer');
  }
  if (!isRecord(options)) throw new TypeError('neuralODE: the second argument must be a record of options with tspan');
  const { tspan, algorithm = tsit5(), timeDependent = false, ...solverOptions } = options;
  if (typeof timeDependent !== 'boolean') {
    throw new TypeError(`neuralODE: timeDependent must be true or false, got ${describe(timeDependent)}`);
  }
  checkAlgorithm(algorithm, 'neuralODE: algorithm');
  const span: unknown = tspan; // the types do not bind callers from JavaScript
  if (!Array.isArray(span) || span.length !== 2 || !span.every((t) => Number.isFinite(t))) {
    throw new TypeError(`neuralODE: tspan must be two finite numbers [t0, t1], got ${JSON.stringify(tspan)}`);
  }
  const { saveAt } = parseOdeOptions(algorithm, options, 'neuralODE', OWN_OPTIONS);
  checkSaveAt(saveAt, tspan[0], tspan[1]);
  const rightHandSide = (u: U, p: P, t: Tensor, st: S): [U, S] =>
    applyChild('model', layer, timeDependent ? [u, t] : u, p, st);

  return defineLayer({
    initialParameters: (key) => layer.initialParameters(key),
    initialStates: (key) => ({ model: layer.initialStates(key), statistics: tf.zeros([5], 'int32') }),
    apply: (x: U, ps: P, st: NeuralOdeState<S>): [U, NeuralOdeState<S>] => {
      const problem = odeProblem((u: U, p: P, t: Tensor) => rightHandSide(u, p, t, st.model)[0], x, tspan, ps);
      const { u, statistics } = solve(problem, algorithm, solverOptions);
      return [u, { model: renewed(x, ps, st.model), statistics }];
    },
    display: {
      name: 'NeuralODE',
      summary: `[${tspan.join(', ')}], ${algorithm.name}${solverOptions.saveAt === undefined ? '' : `, saveAt=${solverOptions.saveAt.length} times`}`,
      children: { model: layer },
    },
  });

  /** The inner state after one evaluation; within a traced function only what changes it is computed. */
  function renewed(x: U, ps: P, st: S): S {
    if (leaves(st).length === 0) return st;
    return tf.tidy(() => {
      const [, next] = rightHandSide(x, ps, tf.scalar(tspan[0]), st);
      return next as tf.TensorContainer;
    }) as S;
  }
}
