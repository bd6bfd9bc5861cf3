/**
 * What the Krylov methods have in common: they solve `A x = b` on cells, knowing A only by what it does to a vector.
 */
import type { Cell } from '../../src/graph/workspace.js';
import type { Session } from '../nonlinear/session.js';
import type { NonlinearRetcode } from '../retcode.js';

/** A linear map between cells of a session. No cell may be both read and written. */
export interface CellOperator {
  /** `y <- A x` */
  apply(x: Cell, y: Cell): void;
  /** `x <- A' y`; only normalCg asks for it. */
  transpose?(y: Cell, x: Cell): void;
  /** `z <- M^-1 r`, where M resembles A and is easier to invert. */
  precondition?(r: Cell, z: Cell): void;
}

export interface KrylovOptions {
  /** Solved when `|b - A x|_2 <= abstol + reltol |b|_2`. */
  readonly abstol: number;
  readonly reltol: number;
  readonly maxIters: number;
  /** Told the Euclidean norm of the residual at the start and after each iteration; false stops there. */
  readonly observe?: (norm: number) => boolean;
}

export interface KrylovResult {
  readonly converged: boolean;
  /** The Euclidean norm of `b - A x`, computed anew from the x returned (a method's own estimate drifts). */
  readonly residual: number;
  readonly target: number;
  readonly iterations: number;
  /** How often A (or its transpose) was applied. */
  readonly applications: number;
  /** No x makes the residual vanish; this one makes it least. */
  readonly leastSquares?: true;
  /** Why it stopped short; absent when it converged. */
  readonly failure?: KrylovFailure;
}

export type KrylovSolving = Generator<Cell, KrylovResult, number[]>;

/** A method with its cells: opened once per session, run again and again. */
export interface KrylovSolver {
  /**
   * Start from `x = 0` and leave the solution in `x`.
   *
   * @param x A cell with storage of its own, like `b` (like the state where A is not square); whatever it holds is lost.
   */
  solve(A: CellOperator, b: Cell, x: Cell, options: KrylovOptions): KrylovSolving;
}

export type OpenKrylov = (session: Session) => KrylovSolver;

/** The values of a cell, at once where that is possible. */
export function* valuesOf({ ws }: Session, cell: Cell): Generator<Cell, number[], number[]> {
  return ws.immediate ? ws.read(cell) : yield cell;
}

/** Ways in which an iteration ends that did not converge. */
export const FAILURES = {
  maxIters: (n: number): KrylovFailure => ({
    retcode: 'MaxIters',
    reason: `${n} iterations of the linear solver were not enough; raise maxIters, or give a preconditioner`,
  }),
  notFinite: { retcode: 'Unstable', reason: 'the linear operator gave values that are not finite' },
  singular: { retcode: 'InternalLinearSolveFailed', reason: 'the linear operator is singular' },
  stagnated: {
    retcode: 'Stalled',
    reason:
      'the residual of the linear solver no longer falls: the operator is singular or nearly so, or the tolerance is below what the precision allows',
  },
  indefinite: {
    retcode: 'ConvergenceFailure',
    reason: 'the linear operator is not definite, as cg() needs it; take gmres(), bicgstab() or normalCg()',
  },
  stopped: { retcode: 'ConvergenceFailure', reason: 'the linear solver was stopped' },
} as const;

export interface KrylovFailure {
  readonly retcode: Exclude<NonlinearRetcode, 'Success'>;
  readonly reason: string;
}

/** The result of a run that ended with `failure`, or that converged. */
export function krylovResult(
  counts: Omit<KrylovResult, 'converged' | 'failure'>,
  failure?: KrylovFailure,
): KrylovResult {
  return failure === undefined ? { ...counts, converged: true } : { ...counts, converged: false, failure };
}
