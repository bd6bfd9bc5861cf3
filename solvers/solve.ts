/**
 * One `solve` for every problem.
 */
import type { Tree } from '../src/core/tree.js';
import type { NonlinearAlgorithm } from './nonlinear/algorithm.js';
import type { NonlinearOptions } from './nonlinear/options.js';
import type { AnyNonlinearProblem } from './nonlinear/problem.js';
import { solveNonlinear, type NonlinearSolution } from './nonlinear/solve.js';
import type { OdeAlgorithm } from './ode/algorithm.js';
import type { OdeOptions } from './ode/options.js';
import type { OdeProblem } from './ode/problem.js';
import { solveOde, solveOdeLater, type Solution } from './ode/solve.js';

/** Solve an ODE problem; see {@link solveOde}. */
export function solve<U extends Tree, P>(
  problem: OdeProblem<U, P>,
  algorithm: OdeAlgorithm,
  options?: OdeOptions,
): Solution<U>;
/** Solve an equation; see {@link solveNonlinear}. */
export function solve<U extends Tree, P>(
  problem: AnyNonlinearProblem<U, P>,
  algorithm: NonlinearAlgorithm,
  options?: NonlinearOptions,
): NonlinearSolution<U>;
export function solve<U extends Tree, P>(
  problem: OdeProblem<U, P> | AnyNonlinearProblem<U, P>,
  algorithm: OdeAlgorithm | NonlinearAlgorithm,
  options: OdeOptions | NonlinearOptions = {},
): Solution<U> | NonlinearSolution<U> {
  const kind: string | undefined = (problem as Partial<typeof problem> | undefined)?.kind;
  if (kind === 'nonlinear' || kind === 'fixedPoint') {
    return solveNonlinear(
      problem as AnyNonlinearProblem<U, P>,
      algorithm as NonlinearAlgorithm,
      options as NonlinearOptions,
    );
  }
  return solveOde(problem as OdeProblem<U, P>, algorithm as OdeAlgorithm, options as OdeOptions);
}

/**
 * {@link solve} as a promise: for backends whose numbers cannot be read at once (WebGPU), where choosing a step size means
 * waiting for the error of the last. Elsewhere it does the same as `solve`. No `tf.tidy` reaches its tensors: dispose of
 * `solution.u` and `solution.statistics` when they are no longer wanted.
 */
export async function solveAsync<U extends Tree, P>(
  problem: OdeProblem<U, P>,
  algorithm: OdeAlgorithm,
  options: OdeOptions = {},
): Promise<Solution<U>> {
  return solveOdeLater(problem, algorithm, options);
}
