/**
 * BiCGSTAB, preconditioned from the right.
 *
 * H. A. van der Vorst, Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG for the solution of nonsymmetric linear
 * systems, SIAM J. Sci. Stat. Comput. 13 (1992). Started anew from the residual there is when it breaks down or its own residual has
 * drifted from the true one; where that does not help, a few steps of GMRES do.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import type { Cell } from '../../src/graph/workspace.js';
import type { Session, Step } from '../nonlinear/session.js';
import { openGmres } from './gmres.js';
import { FAILURES, krylovResult, valuesOf, type CellOperator, type KrylovFailure, type KrylovOptions, type KrylovSolver, type KrylovSolving } from './krylov.js'; // prettier-ignore

const dot = (a: Tensor, b: Tensor): Tensor => tf.sum(tf.mul(a, b));

/** A start counts as fruitless when it leaves more than this of the residual. */
const FRUITLESS = 0.5;

/** A residual that grew by this has lost its digits. */
const DRIFT = 1e3;

/** Steps of GMRES that help over a breakdown, which an operator that is nearly skew brings about. */
const RESCUE = 10;

export function openBicgstab(session: Session): KrylovSolver {
  const { ws } = session;
  const vector = (): Cell => session.cell();
  const scalar = (): Cell => session.cell([]);
  const [r, shadow, p, v, s, t] = [vector(), vector(), vector(), vector(), vector(), vector()];
  const [xNext, rNext, pNext, ps, ss] = [vector(), vector(), vector(), vector(), vector()];
  const [rho, alpha, rhoNext] = [scalar(), scalar(), scalar()];
  const sizes = session.cell([2]);
  const start = session.step('bicgstab start', [r, v], [rNext, p, shadow, rho, sizes], ([b, w]) => {
    const x = tf.sub(b, w);
    const rr = dot(x, x);
    return [x, tf.clone(x), tf.clone(x), rr, tf.stack([rr, rr])];
  });
  const half = session.step('bicgstab half', [r, shadow, v, rho], [s, alpha], ([x, hat, w, old]) => {
    const a = tf.div(old, dot(hat, w));
    return [tf.sub(x, tf.mul(a, w)), a];
  });
  const full = session.step(
    'bicgstab full',
    [r, ps, ss, s, t, shadow, p, v, rho, alpha],
    [xNext, rNext, pNext, rhoNext, sizes],
    ([x, direction, correction, half, w, hat, q, u, old, a]) => {
      const omega = tf.div(dot(w, half), dot(w, w));
      const after = tf.sub(half, tf.mul(omega, w));
      const now = dot(hat, after);
      const beta = tf.mul(tf.div(now, old), tf.div(a, omega));
      return [
        tf.add(x, tf.add(tf.mul(a, direction), tf.mul(omega, correction))),
        after,
        tf.add(after, tf.mul(beta, tf.sub(q, tf.mul(omega, u)))),
        now,
        tf.stack([dot(after, after), dot(half, half)]),
      ];
    },
  );
  const ahead = session.step('bicgstab ahead', [r, p, alpha], [xNext], ([x, direction, a]) => [
    tf.add(x, tf.mul(a, direction)),
  ]);

  const through = (A: CellOperator, from: Cell, room: Cell): Cell => {
    if (A.precondition === undefined) return from;
    A.precondition(from, room);
    return room;
  };
  let rescuer: { readonly gmres: KrylovSolver; readonly correction: Cell } | undefined;
  const restart = function* (b: Cell, w: Cell): Generator<Cell, number, number[]> {
    set(start, [b, w]);
    start.run();
    ws.swap(r, rNext);
    return Math.sqrt((yield* valuesOf(session, sizes))[0]);
  };

  function* solve(
    A: CellOperator,
    b: Cell,
    x: Cell,
    { abstol, reltol, maxIters, observe }: KrylovOptions,
  ): KrylovSolving {
    ws.fill(x, 0);
    ws.fill(v, 0);
    let residual = yield* restart(b, v);
    const target = abstol + reltol * residual;
    let iterations = 0;
    let applications = 0;
    let fruitless = false;
    let stopped = observe?.(residual) === false;
    const ending = (failure?: KrylovFailure) => krylovResult({ residual, target, iterations, applications }, failure);
    for (;;) {
      if (residual <= target) return ending();
      if (!(residual < Infinity)) return ending(FAILURES.notFinite);
      if (stopped) return ending(FAILURES.stopped);
      if (iterations >= maxIters) return ending(FAILURES.maxIters(maxIters));
      const before = residual;
      if (fruitless) {
        rescuer ??= { gmres: openGmres(session, RESCUE), correction: vector() };
        const { gmres, correction } = rescuer;
        const helped = yield* gmres.solve(A, r, correction, { abstol: target, reltol: 0, maxIters: RESCUE });
        iterations += helped.iterations;
        applications += helped.applications;
        ws.put(alpha, 1);
        set(ahead, [x, correction, alpha]);
        ahead.run();
        ws.swap(x, xNext);
        A.apply(x, v);
        applications++;
        residual = yield* restart(b, v);
        fruitless = false;
        if (residual > FRUITLESS * before) return ending(FAILURES.stagnated);
        continue;
      }
      for (;;) {
        const direction = through(A, p, ps);
        A.apply(direction, v);
        set(half, [r, shadow, v, rho]);
        half.run();
        const correction = through(A, s, ss);
        A.apply(correction, t);
        applications += 2;
        set(full, [x, direction, correction, s, t, shadow, p, v, rho, alpha]);
        full.run();
        const [rr, halfway] = yield* valuesOf(session, sizes);
        iterations++;
        if (!(rr < Infinity)) {
          // Broken down. Where the half step had nothing left, it was the solution (and t was zero).
          if (Math.sqrt(halfway) <= target) {
            set(ahead, [x, direction, alpha]);
            ahead.run();
            ws.swap(x, xNext);
          }
          break;
        }
        ws.swap(x, xNext);
        ws.swap(r, rNext);
        ws.swap(p, pNext);
        ws.swap(rho, rhoNext);
        const estimate = Math.sqrt(rr);
        if (estimate <= target || estimate > DRIFT * before) break;
        stopped = observe?.(estimate) === false;
        if (stopped || iterations >= maxIters) break;
      }
      A.apply(x, v);
      applications++;
      residual = yield* restart(b, v);
      fruitless = !(residual <= target) && !(residual < FRUITLESS * before);
    }
  }
  return { solve };
}

function set(step: Step, inputs: readonly Cell[]): void {
  inputs.forEach((cell, i) => (step.inputs[i] = cell));
}
