/**
 * Conjugate gradients for symmetric definite maps, and on the normal equations for any.
 *
 * M. R. Hestenes, E. Stiefel, Methods of conjugate gradients for solving linear systems, J. Res. NBS 49 (1952). On the normal
 * equations the residuals `b - A x` and `A'(b - A x)` are both carried along (CGLS; A. Bjorck, Numerical Methods for Least Squares
 * Problems, SIAM 1996, section 7.4), so that `A'A` is never formed.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import type { Tensor } from '../../src/core/tree.js';
import type { Cell } from '../../src/graph/workspace.js';
import type { Session, Step } from '../nonlinear/session.js';
import { FAILURES, krylovResult, valuesOf, type CellOperator, type KrylovFailure, type KrylovOptions, type KrylovSolver, type KrylovSolving } from './krylov.js'; // prettier-ignore

const dot = (a: Tensor, b: Tensor): Tensor => tf.sum(tf.mul(a, b));

/** Starts in a row that need not reduce the residual before it gives up. */
const PATIENCE = 2;

/** Quotient of two scalars; 0 where the denominator is 0. */
const ratio = (a: Tensor, b: Tensor): Tensor =>
  tf.where(tf.equal(b, 0), tf.zerosLike(a), tf.div(a, tf.where(tf.equal(b, 0), tf.onesLike(b), b)));

/** One iteration's state of either method. */
interface Recurrence {
  /** From the residual `b - w`, with the direction to follow. */
  begin(A: CellOperator, b: Cell, w: Cell): Generator<Cell, Sizes, number[]>;
  /** One iteration, which moves `x`. */
  advance(A: CellOperator, x: Cell): Generator<Cell, Sizes, number[]>;
  /** Where `A x` may be put. */
  readonly image: Cell;
  readonly applicationsEach: number;
}

interface Sizes {
  /** |b - A x| */
  readonly residual: number;
  /** |A'(b - A x)|, where that is what vanishes at the end. */
  readonly slope: number;
  /** p'Ap, which keeps its sign if A is definite. */
  readonly curvature: number;
}

export const openCg = (session: Session): KrylovSolver => iterate(session, plain(session), 'cg');
export const openNormalCg = (session: Session): KrylovSolver => iterate(session, normal(session), 'normalCg');

const sizesOf = ([rr, slope, curvature]: readonly number[]): Sizes => ({
  residual: Math.sqrt(rr),
  slope: Math.sqrt(slope),
  curvature,
});

function plain(session: Session): Recurrence {
  const { ws } = session;
  const [r, p, q, z] = [session.cell(), session.cell(), session.cell(), session.cell()];
  const [xNext, rNext, pNext] = [session.cell(), session.cell(), session.cell()];
  const [rho, rhoNext, sizes] = [session.cell([]), session.cell([]), session.cell([3])];
  const subtract = session.step('cg start', [r, q], [rNext, sizes], ([b, w]) => {
    const x = tf.sub(b, w);
    return [x, tf.stack([dot(x, x), constant(0), constant(1)])];
  });
  const direct = session.step('cg direct', [r, z], [pNext, rhoNext], ([x, y]) => [tf.clone(y), dot(x, y)]);
  const move = session.step('cg move', [r, p, q, r, rho], [xNext, rNext, sizes], ([x, d, w, res, old]) => {
    const curvature = dot(d, w);
    const alpha = ratio(old, curvature);
    const after = tf.sub(res, tf.mul(alpha, w));
    return [tf.add(x, tf.mul(alpha, d)), after, tf.stack([dot(after, after), constant(0), curvature])];
  });
  const turn = session.step('cg turn', [r, z, p, rho], [pNext, rhoNext], ([res, y, d, old]) => {
    const now = dot(res, y);
    return [tf.add(y, tf.mul(ratio(now, old), d)), now];
  });
  const conditioned = (A: CellOperator): Cell => {
    if (A.precondition === undefined) return r;
    A.precondition(r, z);
    return z;
  };
  const take = (): void => {
    ws.swap(p, pNext);
    ws.swap(rho, rhoNext);
  };
  return {
    image: q,
    applicationsEach: 1,
    *begin(A, b, w) {
      run(subtract, [b, w]);
      ws.swap(r, rNext);
      run(direct, [r, conditioned(A)]);
      take();
      return sizesOf(yield* valuesOf(session, sizes));
    },
    *advance(A, x) {
      A.apply(p, q);
      run(move, [x, p, q, r, rho]);
      const found = sizesOf(yield* valuesOf(session, sizes));
      ws.swap(x, xNext);
      ws.swap(r, rNext);
      run(turn, [r, conditioned(A), p, rho]);
      take();
      return found;
    },
  };
}

function normal(session: Session): Recurrence {
  const { ws, system } = session;
  const image = (): Cell => session.cell(system.image.shape);
  const [r, rNext, q] = [image(), image(), image()];
  const [p, s, xNext, pNext] = [session.cell(), session.cell(), session.cell(), session.cell()];
  const [rho, rhoNext, sizes] = [session.cell([]), session.cell([]), session.cell([3])];
  const subtract = session.step('normal cg start', [r, q], [rNext], ([b, w]) => [tf.sub(b, w)]);
  const direct = session.step('normal cg direct', [r, s], [pNext, rhoNext, sizes], ([res, g]) => {
    const gg = dot(g, g);
    return [tf.clone(g), gg, tf.stack([dot(res, res), gg, constant(1)])];
  });
  const move = session.step('normal cg move', [xNext, p, q, r, rho], [xNext, rNext], ([x, d, w, res, old]) => {
    const alpha = ratio(old, dot(w, w));
    return [tf.add(x, tf.mul(alpha, d)), tf.sub(res, tf.mul(alpha, w))];
  });
  const turn = session.step('normal cg turn', [r, s, p, q, rho], [pNext, rhoNext, sizes], ([res, g, d, w, old]) => {
    const now = dot(g, g);
    return [tf.add(g, tf.mul(ratio(now, old), d)), now, tf.stack([dot(res, res), now, dot(w, w)])];
  });
  const pull = (A: CellOperator): void => {
    if (A.transpose === undefined) throw new Error('normalCg needs the transpose of the operator');
    A.transpose(r, s);
  };
  const take = (): void => {
    ws.swap(p, pNext);
    ws.swap(rho, rhoNext);
  };
  return {
    image: q,
    applicationsEach: 2,
    *begin(A, b, w) {
      run(subtract, [b, w]);
      ws.swap(r, rNext);
      pull(A);
      run(direct, [r, s]);
      take();
      return sizesOf(yield* valuesOf(session, sizes));
    },
    *advance(A, x) {
      A.apply(p, q);
      run(move, [x, p, q, r, rho]);
      ws.swap(x, xNext);
      ws.swap(r, rNext);
      pull(A);
      run(turn, [r, s, p, q, rho]);
      take();
      return sizesOf(yield* valuesOf(session, sizes));
    },
  };
}

function iterate(session: Session, recurrence: Recurrence, name: 'cg' | 'normalCg'): KrylovSolver {
  const { ws } = session;
  const { image, applicationsEach } = recurrence;
  function* solve(
    A: CellOperator,
    b: Cell,
    x: Cell,
    { abstol, reltol, maxIters, observe }: KrylovOptions,
  ): KrylovSolving {
    ws.fill(x, 0);
    ws.fill(image, 0);
    const first = yield* recurrence.begin(A, b, image);
    let { residual } = first;
    const target = abstol + reltol * residual;
    const slopeTarget = name === 'normalCg' ? target * (first.slope / (first.residual === 0 ? 1 : first.residual)) : -1;
    let iterations = 0;
    let applications = applicationsEach - 1;
    let fruitless = 0;
    let stopped = observe?.(residual) === false;
    let leastSquares = false;
    let sign = 0;
    const ending = (failure?: KrylovFailure) => krylovResult({ residual, target, iterations, applications }, failure);
    for (;;) {
      if (residual <= target) return ending();
      if (leastSquares) return { ...ending(), leastSquares };
      if (!(residual < Infinity)) return ending(FAILURES.notFinite);
      if (stopped) return ending(FAILURES.stopped);
      if (iterations >= maxIters) return ending(FAILURES.maxIters(maxIters));
      if (fruitless >= PATIENCE) return ending(FAILURES.stagnated);
      const before = residual;
      for (;;) {
        const sizes = yield* recurrence.advance(A, x);
        iterations++;
        applications += applicationsEach;
        // Definite is enough: of a negative definite map the signs cancel.
        sign ||= Math.sign(sizes.curvature);
        if (name === 'cg' && sizes.curvature * sign < 0) {
          residual = sizes.residual;
          return ending(FAILURES.indefinite);
        }
        if (!(sizes.residual < Infinity)) break;
        // Where no x makes the residual vanish, its part that A can reach does.
        leastSquares = sizes.slope <= slopeTarget;
        if (sizes.residual <= target || leastSquares) break;
        stopped = observe?.(sizes.residual) === false;
        if (stopped || iterations >= maxIters) break;
      }
      A.apply(x, image);
      applications += applicationsEach;
      residual = (yield* recurrence.begin(A, b, image)).residual;
      fruitless = residual < 0.5 * before ? 0 : fruitless + 1;
    }
  }
  return { solve };
}

function run(step: Step, inputs: readonly Cell[]): void {
  inputs.forEach((cell, i) => (step.inputs[i] = cell));
  step.run();
}
