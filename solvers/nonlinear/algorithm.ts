/**
 * What `solve` takes as an algorithm for an equation: a frozen record.
 */
import type { Cell, Loop } from '../../src/graph/workspace.js';
import { describe } from '../../src/core/value.js';
import type { OdeAlgorithm } from '../ode/algorithm.js';
import type { NonlinearRetcode } from '../retcode.js';
import type { NonlinearKind } from './problem.js';
import type { Tensor } from '../../src/core/tree.js';
import type { Session } from './session.js';
import type { Maps } from './system.js';
import type { Watch } from './termination.js';

/** How a solve ended. */
export interface Ending {
  /** The best state found; read before the session is used again. */
  readonly u: Cell;
  readonly retcode: NonlinearRetcode;
  /** `f(u)` of a fixed point, where it is there. */
  readonly image?: Cell;
  /** What went wrong, where the algorithm knows more than the retcode says. */
  readonly reason?: string;
}

/**
 * One solve: cells that cannot be read at once are yielded, and their values come back. Where `ws.immediate` it yields
 * nothing.
 */
export type Solving = Generator<Cell, Ending, number[]>;

/** An iteration as traced operations, linear in states and their images: how `unrolled()` differentiates it. */
export interface Recorded {
  /** How many copies of the state it works on; all begin as the start, and the last is the result. */
  readonly copies: number;
  readonly advance: (state: readonly Tensor[], maps: Maps) => readonly Tensor[];
  /** The state before, from the state after. Without it, the states are kept. */
  readonly retreat?: (state: readonly Tensor[], maps: Maps) => readonly Tensor[];
}

export interface NonlinearAlgorithm {
  readonly kind: 'nonlinearAlgorithm';
  readonly name: string;
  /** The problems it solves. */
  readonly solves: readonly NonlinearKind[];
  /**
   * Make the cells and steps of a session, once. The function returned makes one solve, from `session.u0` and with the
   * operands that are bound then;
   * it is called again and again, each time with a watch that starts anew. It counts evaluations in
   * `watch.evaluations`, and lets the watch judge each residual.
   */
  readonly open: (session: Session, watch: Watch) => () => Solving;
  /** True where a solve that succeeds nearly always ends with `f(u)` at hand, in {@link Ending.image}. */
  readonly keepsImage?: boolean;
  /** Absent where the iterations cannot be recorded. */
  readonly recorded?: Recorded;
}

export const defineAlgorithm = (algorithm: Omit<NonlinearAlgorithm, 'kind'>): NonlinearAlgorithm =>
  Object.freeze({ kind: 'nonlinearAlgorithm', ...algorithm });

/** What was given in the place of an algorithm, and what may help. */
function givenFor(x: unknown, example: string): string {
  if (typeof x === 'function') return `a function (call it: ${example})`;
  const { kind, name } = (x ?? {}) as Partial<OdeAlgorithm>;
  if (kind === 'explicitRungeKutta') return `the ODE method ${name}; steadyState(tsit5()) wraps such a method`;
  return describe(x);
}

/** @throws TypeError when `x` is no algorithm for that kind of problem; `what` is what the caller calls it. */
export function checkNonlinearAlgorithm(
  x: unknown,
  kind: NonlinearKind,
  what: string,
): asserts x is NonlinearAlgorithm {
  const example = kind === 'fixedPoint' ? 'anderson()' : 'newtonRaphson()';
  const given = x as Partial<NonlinearAlgorithm> | null | undefined;
  if (given?.kind !== 'nonlinearAlgorithm') {
    throw new TypeError(
      `${what} must be an algorithm for a ${kind} problem, such as ${example}, got ${givenFor(x, example)}`,
    );
  }
  if (given.solves?.includes(kind) === true) return;
  throw new TypeError(`${what}: ${given.name} does not solve ${kind} problems; take one that does, such as ${example}`);
}

/** A solve as a loop that is handed values it must not change. */
export function* asLoop(solving: Solving): Loop<Ending> {
  let turn = solving.next();
  while (turn.done !== true) turn = solving.next([...(yield turn.value)]);
  return turn.value;
}
