/**
 * GMRES with restarts.
 *
 * Y. Saad, M. H. Schultz, GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear systems, SIAM J. Sci.
 * Stat. Comput. 7 (1986). Orthogonalised by classical Gram-Schmidt done twice, which is as good as Householder's and is four products
 * with one matrix; preconditioned from the right, so that the residual is the true one.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { constant } from '../../src/core/constant.js';
import { computesInDoubles } from '../nonlinear/precision.js';
import { sizeOf } from '../../src/graph/graph.js';
import type { Cell } from '../../src/graph/workspace.js';
import { dotProduct } from './dense.js';
import type { Session, Step } from '../nonlinear/session.js';
import { FAILURES, krylovResult, valuesOf, type CellOperator, type KrylovFailure, type KrylovOptions, type KrylovSolver, type KrylovSolving } from './krylov.js'; // prettier-ignore

/** A program serves bases of up to its width; short solves should not pay for long ones. */
const NARROWEST = 8;

/** No number below this is divided by. */
const TINY = 1e-30;

/** What of `w` is left after orthogonalisation counts as nothing below this fraction. */
const BREAKDOWN = { float32: 1e-6, float64: 1e-14 } as const;

/** A cycle must reduce the residual at least to this fraction. */
const PROGRESS = 0.999;

export function openGmres(session: Session, restart: number): KrylovSolver {
  return new Gmres(session, restart);
}

class Gmres implements KrylovSolver {
  private readonly basis: Cell[] = [];
  private readonly zero: Cell;
  private readonly w: Cell;
  private readonly z: Cell;
  private readonly next: Cell;
  private readonly norm: Cell;
  private readonly start: Step;
  private readonly sum: Step;
  private readonly arnoldi = new Map<number, { readonly step: Step; readonly column: Cell }>();
  private readonly combine = new Map<number, { readonly step: Step; readonly weights: Cell }>();
  private readonly breakdown: number;
  private readonly restart: number;

  constructor(
    private readonly session: Session,
    restart: number,
  ) {
    const { state } = session.system;
    this.restart = Math.min(restart, sizeOf(state.shape));
    this.breakdown = computesInDoubles(session.ws.backend) ? BREAKDOWN.float64 : BREAKDOWN.float32;
    [this.zero, this.w, this.z, this.next] = [session.cell(), session.cell(), session.cell(), session.cell()];
    this.norm = session.cell([]);
    this.start = session.step('gmres start', [this.zero, this.w], [this.vector(0), this.norm], ([b, w]) =>
      normalised(tf.sub(b, w)),
    );
    this.sum = session.step('gmres sum', [this.zero, this.z], [this.next], ([x, z]) => [tf.add(x, z)]);
  }

  private vector(i: number): Cell {
    return (this.basis[i] ??= this.session.cell());
  }

  /** The least width that holds n vectors. */
  private width(n: number): number {
    let width = NARROWEST;
    while (width < n) width *= 2;
    return Math.min(width, this.restart);
  }

  private fillBasis(step: Step, from: number, width: number, count: number): void {
    for (let i = 0; i < width; i++) step.inputs[from + i] = i < count ? this.vector(i) : this.zero;
  }

  /** Orthogonalise `w` against the first n vectors: the next vector, and the coefficients followed by the norm of what is left. */
  private orthogonalise(n: number): Cell {
    const width = this.width(n);
    let made = this.arnoldi.get(width);
    if (made === undefined) {
      const column = this.session.cell([width + 1]);
      const vectors = Array.from({ length: width }, () => this.zero);
      const step = this.session.step(
        `gmres arnoldi ${width}`,
        [this.w, ...vectors],
        [this.next, column],
        ([w, ...vs]) => {
          const V = stackRows(vs);
          const x = tf.reshape(w, [-1, 1]);
          const h1 = tf.matMul(V, x);
          const x1 = tf.sub(x, tf.matMul(V, h1, true));
          const h2 = tf.matMul(V, x1);
          const [q, norm] = normalised(tf.sub(x1, tf.matMul(V, h2, true)));
          return [tf.reshape(q, w.shape), tf.concat([tf.reshape(tf.add(h1, h2), [-1]), tf.reshape(norm, [1])])];
        },
      );
      this.arnoldi.set(width, (made = { step, column }));
    }
    const { step, column } = made;
    this.fillBasis(step, 1, width, n);
    step.outputs[0] = this.vector(n);
    step.run();
    return column;
  }

  /** `x <- x + M^-1 sum_i y_i v_i` */
  private update(A: CellOperator, x: Cell, y: readonly number[]): void {
    const { session } = this;
    const width = this.width(y.length);
    let made = this.combine.get(width);
    if (made === undefined) {
      const weights = session.cell([width]);
      const vectors = Array.from({ length: width }, () => this.zero);
      const step = session.step(
        `gmres combine ${width}`,
        [this.zero, weights, ...vectors],
        [this.next],
        ([from, c, ...vs]) => [
          tf.add(from, tf.reshape(tf.matMul(stackRows(vs), tf.reshape(c, [-1, 1]), true), from.shape)),
        ],
      );
      this.combine.set(width, (made = { step, weights }));
    }
    const { step, weights } = made;
    session.ws.write(
      weights,
      Array.from({ length: width }, (_, i) => y[i] ?? 0),
    );
    this.fillBasis(step, 2, width, y.length);
    step.inputs[0] = A.precondition === undefined ? x : this.zero;
    step.outputs[0] = this.next;
    step.run();
    if (A.precondition !== undefined) {
      A.precondition(this.next, this.z);
      this.sum.inputs[0] = x;
      this.sum.run();
    }
    session.ws.swap(x, this.next);
  }

  /** The first vector and the norm of the residual `b - w`. */
  private *begin(b: Cell, w: Cell): Generator<Cell, number, number[]> {
    this.start.inputs[0] = b;
    this.start.inputs[1] = w;
    this.start.outputs[0] = this.vector(0);
    this.start.run();
    return (yield* valuesOf(this.session, this.norm))[0];
  }

  *solve(A: CellOperator, b: Cell, x: Cell, { abstol, reltol, maxIters, observe }: KrylovOptions): KrylovSolving {
    const { session, w, z } = this;
    session.ws.fill(x, 0);
    session.ws.fill(this.zero, 0);
    let residual = yield* this.begin(b, this.zero);
    const target = abstol + reltol * residual;
    let iterations = 0;
    let applications = 0;
    let stopped = observe?.(residual) === false;
    const ending = (failure?: KrylovFailure) => krylovResult({ residual, target, iterations, applications }, failure);
    for (;;) {
      if (residual <= target) return ending();
      if (!(residual < Infinity)) return ending(FAILURES.notFinite);
      if (stopped) return ending(FAILURES.stopped);
      if (iterations >= maxIters) return ending(FAILURES.maxIters(maxIters));
      const before = residual;
      const fit = new LeastSquares(residual);
      while (fit.columns < this.restart) {
        const v = this.vector(fit.columns);
        if (A.precondition === undefined) A.apply(v, w);
        else {
          A.precondition(v, z);
          A.apply(z, w);
        }
        applications++;
        const n = fit.columns + 1;
        const column = yield* valuesOf(session, this.orthogonalise(n));
        const left = column[column.length - 1];
        const finite = fit.add(column.slice(0, n), left);
        iterations++;
        if (!finite) {
          residual = NaN;
          return ending(FAILURES.notFinite);
        }
        if (fit.residual <= target || left <= this.breakdown * fit.scale) break;
        stopped = observe?.(fit.residual) === false;
        if (stopped || iterations >= maxIters) break;
      }
      const y = fit.solve(this.breakdown);
      if (y === null) return ending(FAILURES.singular);
      this.update(A, x, y);
      A.apply(x, w);
      applications++;
      residual = yield* this.begin(b, w);
      if (residual > target && residual > PROGRESS * before && !stopped && iterations < maxIters) {
        return ending(FAILURES.stagnated);
      }
    }
  }
}

/** `[x / |x|, |x|]` */
function normalised(x: Tensor): [Tensor, Tensor] {
  const norm = tf.sqrt(tf.sum(tf.square(x)));
  return [tf.mul(x, tf.div(constant(1), tf.maximum(norm, constant(TINY)))), norm];
}

const stackRows = (vs: readonly Tensor[]): tf.Tensor2D => tf.concat2d(vs.map((v) => tf.reshape<tf.Rank.R2>(v, [1, v.size])), 0); // prettier-ignore

/** min |beta e1 - H y| for a growing Hessenberg matrix H, by Givens rotations. */
class LeastSquares {
  /** The columns of the triangular factor. */
  private readonly R: number[][] = [];
  private readonly cos: number[] = [];
  private readonly sin: number[] = [];
  private readonly g: number[];
  /** The norm of the column added last. */
  scale = 0;

  constructor(beta: number) {
    this.g = [beta];
  }

  get columns(): number {
    return this.R.length;
  }

  get residual(): number {
    return Math.abs(this.g[this.R.length]);
  }

  /** @returns false when a number is not finite. */
  add(h: number[], left: number): boolean {
    const { R, cos, sin, g } = this;
    const k = R.length;
    this.scale = Math.sqrt(left * left + dotProduct(h, h));
    if (!(this.scale < Infinity)) return false;
    for (let i = 0; i < k; i++) {
      const a = cos[i] * h[i] + sin[i] * h[i + 1];
      h[i + 1] = cos[i] * h[i + 1] - sin[i] * h[i];
      h[i] = a;
    }
    const length = Math.sqrt(h[k] * h[k] + left * left);
    cos.push(length === 0 ? 1 : h[k] / length);
    sin.push(length === 0 ? 0 : left / length);
    h[k] = length;
    R.push(h);
    g.push(-sin[k] * g[k]);
    g[k] *= cos[k];
    return true;
  }

  /** The coefficients; null when the triangle is singular. */
  solve(eps: number): number[] | null {
    const { R, g } = this;
    const largest = R.reduce((m, column, i) => Math.max(m, Math.abs(column[i])), 0);
    let n = R.length;
    // A last column that adds nothing is left out.
    if (n > 1 && Math.abs(R[n - 1][n - 1]) <= eps * largest) n--;
    const y = g.slice(0, n);
    for (let i = n - 1; i >= 0; i--) {
      for (let j = i + 1; j < n; j++) y[i] -= R[j][i] * y[j];
      if (!(Math.abs(R[i][i]) > eps * largest)) return null;
      y[i] /= R[i][i];
    }
    return y;
  }
}
