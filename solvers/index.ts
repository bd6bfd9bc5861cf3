export { bs3, dopri5, euler, heun, midpoint, ralston, rk4, tsit5 } from './ode/algorithms.js';
export { explicitRungeKutta, type ExplicitTableau } from './ode/custom.js';
export type { OdeAlgorithm } from './ode/algorithm.js';
export type { PidController } from './ode/control.js';
export type { OdeOptions } from './ode/options.js';
export { odeProblem, type OdeProblem, type Time } from './ode/problem.js';
export type { Polynomial, Tableau } from './ode/tableau.js';
export { SolveError, type PartialSolution, type Retcode, type SolveStats } from './retcode.js';
export {
  discreteAdjoint,
  type Adjoint,
  type DiscreteAdjoint,
  type DiscreteAdjointOptions,
} from './sensitivity/adjoint.js';
export { readStatistics, type Solution } from './ode/solve.js';
export { solve, solveAsync } from './solve.js';
export type { NonlinearAlgorithm } from './nonlinear/algorithm.js';
export { anderson, type AndersonOptions } from './nonlinear/anderson.js';
export { broyden, type BroydenOptions } from './nonlinear/broyden.js';
export { limitedMemoryBroyden } from './nonlinear/limited-memory-broyden.js';
export { NonlinearSolveError, type NonlinearFailure } from './nonlinear/error.js';
export type { NonlinearOptions } from './nonlinear/options.js';
export { picard } from './nonlinear/picard.js';
export {
  fixedPointProblem,
  nonlinearProblem,
  type FixedPointProblem,
  type NonlinearProblem,
} from './nonlinear/problem.js';
export { reversible } from './nonlinear/reversible.js';
export { readNonlinearStatistics, type NonlinearSolution, type SampleReport } from './nonlinear/solve.js';
export { squarem } from './nonlinear/squarem.js';
export { steadyState, type SteadyStateOptions } from './nonlinear/steady-state.js';
export type { NonlinearRetcode } from './retcode.js';
export {
  implicitAdjoint,
  jacobianFree,
  phantom,
  unrolled,
  type EquilibriumAdjoint,
  type ImplicitAdjoint,
  type ImplicitAdjointOptions,
} from './sensitivity/equilibrium-adjoint.js';
export { bicgstab, cg, gmres, lu, normalCg, qr } from './linear/algorithms.js';
export type { KrylovAlgorithm, KrylovAlgorithmOptions, Preconditioner } from './linear/algorithms.js';
export { linearProblem, type LinearParameters } from './linear/problem.js';
export { bisection, brent, type BracketOptions } from './nonlinear/bracketing.js';
export { dfSane, type DFSaneOptions } from './nonlinear/df-sane.js';
export { klement, type KlementOptions } from './nonlinear/klement.js';
export { levenbergMarquardt, type LevenbergMarquardtOptions } from './nonlinear/levenberg-marquardt.js';
export { backtracking, noLineSearch, type BacktrackingOptions, type LineSearch } from './nonlinear/line-search.js';
export { chord, gaussNewton, newtonRaphson, type ChordOptions, type NewtonOptions } from './nonlinear/newton.js';
export { newtonKrylov, type Forcing, type NewtonKrylovOptions } from './nonlinear/newton-krylov.js';
export { fastShortcut, polyalgorithm, robustMultiNewton } from './nonlinear/polyalgorithm.js';
export { pseudoTransient, type PseudoTransientOptions } from './nonlinear/pseudo-transient.js';
export { trustRegion, type RadiusUpdate, type TrustRegionOptions } from './nonlinear/trust-region.js';
