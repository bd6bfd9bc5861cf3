/**
 * How a solve ended, and the error that says so.
 */

/** SciML's names. */
export const RETCODES = ['Success', 'MaxIters', 'DtLessThanMin', 'Unstable'] as const;
export type Retcode = (typeof RETCODES)[number];

export interface SolveStats {
  /** Steps tried: accepted and rejected. */
  readonly steps: number;
  readonly accepted: number;
  readonly rejected: number;
  /** Evaluations of the right-hand side. */
  readonly evaluations: number;
  /** Evaluations, each with its vector-Jacobian product, that the discrete adjoint of this solve makes. */
  readonly adjointEvaluations: number;
}

/** What had been computed when a solve failed, as plain numbers: it outlives every `tf.tidy`. */
export interface PartialSolution {
  /** The time reached. */
  readonly t: number;
  /** The state there, flat, of shape `shape`. */
  readonly u: readonly number[];
  readonly shape: readonly number[];
  /** The requested times that were reached, and the states there, flat. */
  readonly saved: readonly { readonly t: number; readonly u: readonly number[] }[];
}

export interface Failure {
  readonly retcode: Exclude<Retcode, 'Success'>;
  /** The step size at the end. */
  readonly step: number;
  /** The component with the largest scaled error (or that is not finite), as an index into the state's shape. */
  readonly component: readonly number[];
  readonly stats: SolveStats;
  readonly solution: PartialSolution;
}

export class SolveError extends Error implements Failure {
  override readonly name = 'SolveError';
  readonly retcode: Failure['retcode'];
  readonly time: number;
  readonly step: number;
  readonly component: readonly number[];
  readonly stats: SolveStats;
  readonly solution: PartialSolution;

  constructor(message: string, failure: Failure) {
    super(message);
    this.retcode = failure.retcode;
    this.time = failure.solution.t;
    this.step = failure.step;
    this.component = failure.component;
    this.stats = failure.stats;
    this.solution = failure.solution;
  }
}

/** How the solve of an equation may end; SciML's names. */
export const NONLINEAR_RETCODES = [
  'Success',
  'StalledSuccess',
  'MaxIters',
  'Unstable',
  'Stalled',
  'InternalLinearSolveFailed',
  'InternalLineSearchFailed',
  'ShrinkThresholdExceeded',
  'ConvergenceFailure',
  'ExactSolutionLeft',
  'ExactSolutionRight',
  'FloatingPointLimit',
  'InitialFailure',
] as const;
export type NonlinearRetcode = (typeof NONLINEAR_RETCODES)[number];

const SUCCESSES: ReadonlySet<string> = new Set([
  'Success',
  'StalledSuccess',
  'ExactSolutionLeft',
  'ExactSolutionRight',
  'FloatingPointLimit',
]);

/** Does the solve count as successful? (SciML's `successful_retcode`.) */
export const isSuccessful = (retcode: NonlinearRetcode | Retcode): boolean => SUCCESSES.has(retcode);
