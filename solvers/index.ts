export { bs3, dopri5, euler, heun, midpoint, ralston, rk4, tsit5 } from './ode/algorithms.js';
export type { OdeAlgorithm } from './ode/algorithm.js';
export type { PidController } from './ode/control.js';
export type { OdeOptions } from './ode/options.js';
export { odeProblem, type OdeProblem, type Time } from './ode/problem.js';
export type { Polynomial, Tableau } from './ode/tableau.js';
export { SolveError, type PartialSolution, type Retcode, type SolveStats } from './retcode.js';
export { discreteAdjoint, type Adjoint, type DiscreteAdjoint } from './sensitivity/adjoint.js';
export { readStatistics, solve, type Solution } from './solve.js';
