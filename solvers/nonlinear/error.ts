/**
 * The failed solve of an equation, in words.
 */
import { formatComponent } from '../component.js';
import type { NonlinearRetcode } from '../retcode.js';

export interface NonlinearFailure {
  readonly retcode: NonlinearRetcode;
  readonly iterations: number;
  readonly evaluations: number;
  /** The norm of the best residual. */
  readonly residual: number;
  /** The best state, flat, and its shape. */
  readonly u: readonly number[];
  readonly shape: readonly number[];
  /** Which row of an independent batch failed first. */
  readonly sample?: number | undefined;
  /** An estimate of the spectral radius of df/du at that state, for a fixed point. */
  readonly spectralRadius?: number | undefined;
}

/** The solve of an equation failed. Its name is that of the error of every other failed solve. */
export class NonlinearSolveError extends Error implements NonlinearFailure {
  override readonly name = 'SolveError';
  readonly retcode: NonlinearRetcode;
  readonly iterations: number;
  readonly evaluations: number;
  readonly residual: number;
  readonly u: readonly number[];
  readonly shape: readonly number[];
  readonly sample: number | undefined;
  readonly spectralRadius: number | undefined;

  constructor(message: string, failure: NonlinearFailure) {
    super(message);
    this.retcode = failure.retcode;
    this.iterations = failure.iterations;
    this.evaluations = failure.evaluations;
    this.residual = failure.residual;
    this.u = failure.u;
    this.shape = failure.shape;
    this.sample = failure.sample;
    this.spectralRadius = failure.spectralRadius;
  }
}

const REASONS: Readonly<Partial<Record<NonlinearRetcode, string>>> = {
  MaxIters: 'it made as many iterations as maxIters allows',
  Unstable: 'the residual grows without bound or is no longer finite',
  Stalled: 'the residual no longer falls',
  InternalLinearSolveFailed: 'a linear system within could not be solved: the Jacobian is singular or nearly so',
  InternalLineSearchFailed: 'no step along the search direction makes the residual smaller',
  ShrinkThresholdExceeded: 'the trust region shrank again and again without a step that makes the residual smaller',
  ConvergenceFailure: 'the method cannot go on',
  InitialFailure: 'the start is not one that the method can use',
};

/** What to try, in view of the spectral radius (NaN where it could not be found). */
function advice(radius: number | undefined, retcode: NonlinearRetcode, algorithm: string): string {
  if (radius === undefined) return '';
  if (!Number.isFinite(radius)) return '. The derivative of f is not finite there: scale f down or start elsewhere';
  const rho = radius.toPrecision(3);
  if (radius >= 1) {
    const other = algorithm === 'picard' ? 'anderson(), damping, or ' : 'more damping, a longer memory, or ';
    return `. The map does not contract there: the spectral radius of df/du is about ${rho}, and plain iteration needs it below 1. Try ${other}newtonKrylov(), or make the map contract (spectralNorm of its weights, Jacobian regularisation)`;
  }
  if (retcode === 'Stalled') {
    return `. The spectral radius of df/du is about ${rho} there: the tolerance is probably below what the precision allows, or f jumps, or the residual has a minimum there that is not zero: start elsewhere`;
  }
  const faster = algorithm === 'picard' ? 'anderson() instead of picard(), or ' : '';
  return `. The spectral radius of df/du is about ${rho} there, so convergence is ${radius > 0.9 ? 'slow' : 'to be expected'}: try ${faster}more iterations (maxIters) or a looser tolerance`;
}

export function failureMessage(
  failure: NonlinearFailure,
  { name, tolerance, norm, reason }: { name: string; tolerance: number; norm: string; reason: string | undefined },
): string {
  const { u, shape, retcode, iterations, evaluations, residual, sample, spectralRadius } = failure;
  const row = sample === undefined ? '' : ` for row ${sample}`;
  const bad = u.findIndex((x) => !Number.isFinite(x));
  const why = reason ?? REASONS[retcode] ?? 'it did not converge';
  const start =
    bad >= 0
      ? `. Component ${formatComponent(bad, shape)} of the state is ${u[bad]}`
      : Number.isFinite(residual)
        ? ''
        : '. f is not finite at the start';
  return (
    `solve (${name}) failed${row}: ${why}${start}. Residual ${residual.toPrecision(3)} (${norm} norm), tolerance ${tolerance.toPrecision(3)}, ` +
    `after ${iterations} iterations and ${evaluations} evaluations (retcode ${retcode})${advice(spectralRadius, retcode, name)}`
  );
}
