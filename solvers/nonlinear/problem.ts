/**
 * Equations to solve: `f(u, p) = 0` and `f(u, p) = u`.
 */
import { formatPath, leavesWithPaths, type Tree } from '../../src/core/tree.js';
import { describe } from '../../src/core/value.js';

export type NonlinearKind = 'nonlinear' | 'fixedPoint';

export interface NonlinearProblem<U extends Tree, P> {
  readonly kind: 'nonlinear';
  readonly f: (u: U, p: P) => Tree;
  readonly u0: U;
  readonly p: P;
}

export interface FixedPointProblem<U extends Tree, P> {
  readonly kind: 'fixedPoint';
  readonly f: (u: U, p: P) => U;
  readonly u0: U;
  readonly p: P;
}

/** Either of the two, for code that treats both. */
export type AnyNonlinearProblem<U extends Tree, P> = NonlinearProblem<U, P> | FixedPointProblem<U, P>;

function check(where: string, f: unknown, u0: unknown, shape: string): void {
  if (typeof f !== 'function') throw new TypeError(`${where}: f must be a function ${shape}, got ${typeof f}`);
  const leaves = leavesWithPaths(u0);
  if (leaves.length === 0)
    throw new TypeError(`${where}: u0 must be a tensor or a tree of tensors, got ${describe(u0)}`);
  for (const { leaf, path } of leaves) {
    if (leaf.dtype === 'float32') continue;
    throw new TypeError(`${where}: u0 at ${formatPath(path)} must be float32, got ${leaf.dtype}`);
  }
}

/**
 * The equation `f(u, p) = 0`.
 *
 * @param f - A pure function of the state and the parameters; its result, the residual, is a tensor or a tree of
 * tensors, and
 * as large as the state unless it is meant for least squares.
 * @param u0 - Where to start: a float32 tensor or a tree of such.
 * @param p - Parameters: any tree of tensors (plain values in it are passed through). Default: none.
 * @throws TypeError for a wrong kind of argument.
 */
export function nonlinearProblem<U extends Tree>(
  f: (u: U, p: undefined) => Tree,
  u0: U,
): NonlinearProblem<U, undefined>;
export function nonlinearProblem<U extends Tree, P>(f: (u: U, p: P) => Tree, u0: U, p: P): NonlinearProblem<U, P>;
export function nonlinearProblem<U extends Tree, P>(
  f: (u: U, p: P) => Tree,
  u0: U,
  p?: P,
): NonlinearProblem<U, P | undefined> {
  check('nonlinearProblem', f, u0, '(u, p) => residual');
  return Object.freeze({ kind: 'nonlinear', f: f as NonlinearProblem<U, P | undefined>['f'], u0, p });
}

/**
 * The equation `f(u, p) = u`.
 *
 * @param f - A pure function of the state and the parameters that returns the next state: the same structure and shapes.
 * @param u0 - Where to start: a float32 tensor or a tree of such.
 * @param p - Parameters: any tree of tensors (plain values in it are passed through). Default: none.
 * @throws TypeError for a wrong kind of argument.
 */
export function fixedPointProblem<U extends Tree>(f: (u: U, p: undefined) => U, u0: U): FixedPointProblem<U, undefined>;
export function fixedPointProblem<U extends Tree, P>(f: (u: U, p: P) => U, u0: U, p: P): FixedPointProblem<U, P>;
export function fixedPointProblem<U extends Tree, P>(
  f: (u: U, p: P) => U,
  u0: U,
  p?: P,
): FixedPointProblem<U, P | undefined> {
  check('fixedPointProblem', f, u0, '(u, p) => u');
  return Object.freeze({ kind: 'fixedPoint', f: f as FixedPointProblem<U, P | undefined>['f'], u0, p });
}
