/**
 * The initial value problem `du/dt = f(u, p, t)`, `u(t0) = u0`.
 */
import { isTensor, leavesWithPaths, formatPath, type Tensor, type Tree } from '../../src/core/tree.js';
import { describe } from '../../src/core/value.js';

/** A time: a number, or a scalar tensor when its derivative is wanted. */
export type Time = number | Tensor;

export interface OdeProblem<U extends Tree, P> {
  readonly kind: 'ode';
  readonly f: (u: U, p: P, t: Tensor) => U;
  readonly u0: U;
  readonly tspan: readonly [Time, Time];
  readonly p: P;
}

function checkTime(name: string, t: unknown): void {
  if (typeof t === 'number' && Number.isFinite(t)) return;
  if (isTensor(t) && t.size === 1 && t.dtype === 'float32') return;
  const given = describe(t);
  throw new TypeError(`odeProblem: tspan ${name} must be a finite number or a float32 scalar tensor, got ${given}`);
}

/**
 * @param f - The right-hand side, a pure function of the state, the parameters and the time (a scalar tensor).
 * @param u0 - The initial state: a float32 tensor or a tree of such.
 * @param tspan - Start and end; the end may come first, then the integration runs backwards in time.
 * @param p - Parameters: any tree of tensors (plain values in it are passed through). Default: none.
 * @throws TypeError for a wrong kind of argument. (A state that is not finite is found by `solve`.)
 */
export function odeProblem<U extends Tree>(
  f: (u: U, p: undefined, t: Tensor) => U,
  u0: U,
  tspan: readonly [Time, Time],
): OdeProblem<U, undefined>;
export function odeProblem<U extends Tree, P>(
  f: (u: U, p: P, t: Tensor) => U,
  u0: U,
  tspan: readonly [Time, Time],
  p: P,
): OdeProblem<U, P>;
export function odeProblem<U extends Tree, P>(
  f: (u: U, p: P, t: Tensor) => U,
  u0: U,
  tspan: readonly [Time, Time],
  p?: P,
): OdeProblem<U, P | undefined> {
  if (typeof f !== 'function') throw new TypeError(`odeProblem: f must be a function (u, p, t) => du, got ${typeof f}`);
  const leaves = leavesWithPaths(u0);
  if (leaves.length === 0)
    throw new TypeError(`odeProblem: u0 must be a tensor or a tree of tensors, got ${describe(u0)}`);
  for (const { leaf, path } of leaves) {
    if (leaf.dtype === 'float32') continue;
    throw new TypeError(`odeProblem: u0 at ${formatPath(path)} must be float32, got ${leaf.dtype}`);
  }
  const span: unknown = tspan; // the types do not bind callers from JavaScript
  if (!Array.isArray(span) || span.length !== 2)
    throw new TypeError(`odeProblem: tspan must be [t0, t1], got ${describe(span)}`);
  checkTime('t0', tspan[0]);
  checkTime('t1', tspan[1]);
  return Object.freeze({ kind: 'ode', f: f as OdeProblem<U, P | undefined>['f'], u0, tspan, p });
}
