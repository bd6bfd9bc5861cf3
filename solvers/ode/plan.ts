/**
 * What an integration is asked for, and what it leaves.
 */
import type { Buffer } from '../../src/graph/executor.js';
import type { Cell } from '../../src/graph/workspace.js';
import type { Retcode, SolveStats } from '../retcode.js';
import type { PidController } from './control.js';
import type { TapedPrograms } from './taped.js';

/** How step sizes come about. */
export type Stepping =
  | { readonly kind: 'adaptive'; readonly controller: PidController; readonly dt?: number }
  | { readonly kind: 'fixed'; readonly dt: number }
  /** The steps another solve took. */
  | { readonly kind: 'recorded'; readonly steps: Steps };

export interface Plan {
  readonly t0: number;
  readonly t1: number;
  /** Times to save at, in the order of integration; null for the final state alone. */
  readonly saveAt: readonly number[] | null;
  readonly stepping: Stepping;
  readonly maxIters: number;
  readonly dtMin: number;
}

/** The saved times within one step. */
export interface StepSaves {
  /** Rows of the output, from `first` on, at these fractions of the step: dense output. */
  readonly first: number;
  readonly thetas: readonly number[];
  /** Rows of the output equal to the state at the end of the step. */
  readonly atEnd: number;
}

/** The accepted steps: what a replay or a discrete adjoint needs. */
export interface Steps {
  readonly t: readonly number[];
  readonly h: readonly number[];
  readonly saves: readonly StepSaves[];
  /** Rows of the output equal to the initial state. */
  readonly rowsAtStart: number;
  /** Where the last step ended: t1, unless the solve failed. */
  readonly end: number;
}

export interface Integration {
  /** The saved rows, or the final state. */
  readonly u: Buffer;
  readonly steps: Steps;
  /** The state each step started from; undefined where it was not kept. */
  readonly states: (Cell | undefined)[];
  /** What the derivative of each step needs of its stages; undefined where it was not kept. */
  readonly tapes: (readonly Cell[] | undefined)[];
  readonly stats: SolveStats;
  readonly retcode: Retcode;
  readonly failure?: FailureDetails;
}

export interface FailureDetails {
  readonly t: number;
  readonly h: number;
  readonly error: number;
  readonly state: readonly number[];
  readonly component: number;
  readonly savedRows: number;
  /** False where the right-hand side itself is not finite. */
  readonly slopeFinite: boolean;
}

export interface Keep {
  /** Keep the state of every k-th step; 0 keeps none. */
  readonly every: number;
  /** Keep what the derivative of each step needs of its stages, too, as long as there is room. */
  readonly taped: TapedPrograms | null;
  /** That room, in bytes. */
  readonly tapeBytes: number;
}
