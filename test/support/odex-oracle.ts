/**
 * The solution of an ODE by odex (Hairer's extrapolation code in double precision): another family of methods, and so an
 * independent witness.
 */
import { Solver } from 'odex';

export function odexSolve(
  f: (t: number, u: number[]) => number[],
  u0: readonly number[],
  [t0, t1]: readonly [number, number],
  tolerance = 1e-12,
): number[] {
  const solver = new Solver(u0.length);
  solver.absoluteTolerance = solver.relativeTolerance = tolerance;
  solver.maxSteps = 100_000;
  const { y, outcome } = solver.solve(f, t0, [...u0], t1);
  if (outcome !== 0) throw new Error(`odex did not converge (outcome ${String(outcome)})`);
  return y;
}
