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

/**
 * Integrate `du/dt = f(u, p, t)` from `u0` over `[t0, t1]`.
 *
 * The last step ends exactly at t1; times in `saveAt` between ends of steps are interpolated. Differentiable in `u0`, `p`,
 * tensors that `f` closes over, end times and a `dt` given as tensors: by `grad` and its relatives, and at first order by
 * tfjs's own `tf.grad`; how is the choice of `options.adjoint`, such as {@link discreteAdjoint}. Inside a traced function
 * (`compile`, `grad`) the solve is one node of the program: `t` (where t1 is a tensor), `stats` and `retcode` are known only
 * when that runs, so reading them is an error, and the tensor `statistics` takes their place ({@link readStatistics}).
 *
 * @param problem - From {@link odeProblem}.
 * @param algorithm - A Runge-Kutta method, such as {@link tsit5}.
 * @param options - {@link OdeOptions}: tolerances (absolute 1e-6, relative 1e-3 by default), where to save, step sizes.
 * @returns A {@link Solution}: the final state, or with `saveAt` the saved ones, time first.
 * @throws SolveError when the integration fails, unless `throwOnFailure` is false.
 * @throws OptionError, TypeError or RangeError for bad options or arguments.
 *
 * @example
 * const problem = odeProblem((u: Tensor, p: Tensor) => tf.mul(p, u), tf.tensor1d([1]), [0, 1], tf.scalar(-2));
 * const { u } = solve(problem, tsit5(), { reltol: 1e-6 }); // exp(-2)
 */
export function solve<U extends Tree, P>(
  problem: OdeProblem<U, P>,
  algorithm: OdeAlgorithm,
  options?: OdeOptions,
): Solution<U>;
/**
 * Solve `f(u, p) = 0`, or `f(u, p) = u` for a fixed point, from the start `u0`.
 *
 * Differentiable in `p` and in tensors that `f` closes over, to any order by default: how is the choice of `options.adjoint`
 * ({@link implicitAdjoint}, {@link jacobianFree}, {@link phantom}, {@link unrolled}; of these `unrolled` alone also with
 * respect to the start). Inside a traced function (`compile`, `grad`) the solve is one node of the program: what it returns
 * as numbers is known only when that runs, so reading it is an error, and the tensors `residual`, `statistics`
 * ({@link readNonlinearStatistics}) and `trace` take its place.
 *
 * @param problem - From {@link nonlinearProblem}, {@link fixedPointProblem} or {@link linearProblem}.
 * @param algorithm - One that solves such problems, such as {@link newtonRaphson} or {@link anderson}.
 * @param options - {@link NonlinearOptions}: tolerances (`eps^(4/5)` of the running precision by default), limits, the batch.
 * @returns A {@link NonlinearSolution}: the state with the smallest residual that was met.
 * @throws NonlinearSolveError when it fails, unless `throwOnFailure` is false.
 * @throws OptionError, TypeError or RangeError for bad options or arguments.
 *
 * @example
 * const root = nonlinearProblem((u: Tensor, p: Tensor) => tf.sub(tf.square(u), p), tf.tensor1d([1]), tf.scalar(2));
 * const { u } = solve(root, newtonRaphson()); // sqrt(2)
 */
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
