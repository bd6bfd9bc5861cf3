/**
 * One `solve` for every problem.
 */
import type { Tree } from '../src/core/tree.js';
import type { NonlinearAlgorithm } from './nonlinear/algorithm.js';
import type { NonlinearOptions } from './nonlinear/options.js';
import type { AnyNonlinearProblem } from './nonlinear/problem.js';
import { solveNonlinear, solveNonlinearLater, type NonlinearSolution } from './nonlinear/solve.js';
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
  if (isEquation(problem)) {
    return solveNonlinear(problem, algorithm as NonlinearAlgorithm, options as NonlinearOptions);
  }
  return solveOde(problem, algorithm as OdeAlgorithm, options as OdeOptions);
}

/**
 * {@link solve} as a promise: for backends whose numbers cannot be read at once (WebGPU), where choosing a step size, or
 * stopping when an iteration has converged, means waiting for a number. Elsewhere it does the same as `solve`. No `tf.tidy` reaches
 * its tensors: dispose of those of the solution (`u`, `statistics`, `residual`, `trace`) when they are no longer wanted.
 */
export async function solveAsync<U extends Tree, P>(
  problem: OdeProblem<U, P>,
  algorithm: OdeAlgorithm,
  options?: OdeOptions,
): Promise<Solution<U>>;
export async function solveAsync<U extends Tree, P>(
  problem: AnyNonlinearProblem<U, P>,
  algorithm: NonlinearAlgorithm,
  options?: NonlinearOptions,
): Promise<NonlinearSolution<U>>;
export async function solveAsync<U extends Tree, P>(
  problem: OdeProblem<U, P> | AnyNonlinearProblem<U, P>,
  algorithm: OdeAlgorithm | NonlinearAlgorithm,
  options: OdeOptions | NonlinearOptions = {},
): Promise<Solution<U> | NonlinearSolution<U>> {
  if (isEquation(problem)) {
    return solveNonlinearLater(problem, algorithm as NonlinearAlgorithm, options as NonlinearOptions);
  }
  return solveOdeLater(problem, algorithm as OdeAlgorithm, options as OdeOptions);
}

function isEquation<U extends Tree, P>(
  problem: OdeProblem<U, P> | AnyNonlinearProblem<U, P>,
): problem is AnyNonlinearProblem<U, P> {
  const kind: string | undefined = (problem as Partial<typeof problem> | undefined)?.kind;
  return kind === 'nonlinear' || kind === 'fixedPoint';
}
