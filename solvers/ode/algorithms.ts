/**
 * Constructors of the algorithms that `solve` takes for an ODE problem. An algorithm is a frozen record.
 */
import type { OdeAlgorithm } from './algorithm.js';
import type { Tableau } from './tableau.js';
import { BS3, DOPRI5, EULER, HEUN, MIDPOINT, RALSTON, RK4, TSIT5 } from './tableaus.js';

const explicit = (tableau: Tableau) => (): OdeAlgorithm =>
  Object.freeze({ kind: 'explicitRungeKutta', name: tableau.name, tableau });

/** Euler's method: order 1, fixed steps. For comparison and for very rough fields; nothing else. */
export const euler = explicit(EULER);

/** The explicit midpoint rule: order 2, embedded Euler. */
export const midpoint = explicit(MIDPOINT);

/** Heun's trapezoidal method: order 2, embedded Euler. A cheap choice for training at loose tolerances. */
export const heun = explicit(HEUN);

/** Ralston's method: the order-2 method with the least error bound; embedded Euler. */
export const ralston = explicit(RALSTON);

/** The classical Runge-Kutta method: order 4, fixed steps. */
export const rk4 = explicit(RK4);

/** Bogacki and Shampine's 3(2) pair: good at loose tolerances. */
export const bs3 = explicit(BS3);

/** Dormand and Prince's 5(4) pair: what torchdiffeq calls `dopri5` and SciPy `RK45`. */
export const dopri5 = explicit(DOPRI5);

/** Tsitouras' 5(4) pair: the default for non-stiff problems, a little more accurate per evaluation than {@link dopri5}. */
export const tsit5 = explicit(TSIT5);
