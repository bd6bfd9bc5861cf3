/**
 * When to stop: the size of the residual against the tolerances, and the signs that it will not get there.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { sizeOf } from '../../src/graph/graph.js';
import type { NonlinearRetcode } from '../retcode.js';
import type { System } from './system.js';

export type ResidualNorm = 'rms' | 'l2' | 'max';

export interface Termination {
  readonly norm: ResidualNorm;
  readonly abstol: number;
  readonly reltol: number;
  readonly maxIters: number;
  /** Iterations without progress before a solve counts as stalled. */
  readonly patience: number;
  /** A residual that many times the first counts as divergence; null for the default of the kind of problem. */
  readonly divergence: number | null;
  readonly storeTrace: boolean;
}

/** A plain iteration that got that far from where it began does not come back. */
const DIVERGENCE = 1e8;

/** Progress means that the best residual falls at least to this fraction of what it was. */
const PROGRESS = 0.999;

/**
 * A residual that is smaller than {@link LAG} iterations before for {@link RUN} iterations on end, or larger, is on its way, be it upwards: near a
 * saddle-node bifurcation, where two solutions have just vanished, an iteration passes a bottleneck, in which the residual is small, and takes
 * hundreds of iterations to come out on the far side, where the solution is (S. Strogatz, Nonlinear Dynamics and Chaos, 1994, section
 * 4.3). A residual that only scatters goes on like that once in 2^RUN iterations. An even lag is blind to alternation.
 */
const [LAG, RUN] = [10, 15];

/**
 * A solve that gets no further succeeds after all when its best residual is within this factor of the tolerance
 * (SciML's value).
 */
const LENIENCE = 3;

/**
 * Judges the residuals of one solve after another.
 *
 * A solve has converged when `|r| <= abstol + reltol s`, where for a fixed point `s = |f(u)|` and for a root `s` is the
 * residual at the start.
 */
export class Watch {
  /** Residuals judged, less one: the first is that of the start. */
  iterations = 0;
  /** Evaluations of f, alone or with a derivative; the algorithm counts them. */
  evaluations = 0;
  /** The norm of the best residual so far, and the scale that belongs to it. */
  best = Infinity;
  scale = 0;
  /** The iteration whose state is the best. */
  bestAt = 0;
  /** Was the residual judged last the best so far? */
  improved = false;
  /** The norm judged last. */
  last = Infinity;
  first = Infinity;
  trace: number[] = [];
  /** The iteration in which the best residual last fell by more than a thousandth, to the mark. */
  fellAt = 0;
  private mark = Infinity;
  /** The iteration in which the residual was last on its way. */
  private movedAt = 0;
  /** The last residuals, and for how many iterations on end they have been larger, or (negative) smaller, than {@link LAG} before. */
  private readonly recent = new Float64Array(LAG);
  private run = 0;
  private readonly relativeToImage: boolean;
  private readonly divergence: number;
  private readonly weight: number;
  private readonly imageWeight: number;

  constructor(
    readonly termination: Termination,
    { kind, state, image }: System,
  ) {
    this.relativeToImage = kind === 'fixedPoint';
    this.divergence = termination.divergence ?? (this.relativeToImage ? DIVERGENCE : Infinity);
    const mean = termination.norm === 'rms';
    this.weight = mean ? 1 / sizeOf(image.shape) : 1;
    this.imageWeight = mean ? 1 / sizeOf(state.shape) : 1;
  }

  /**
   * In a program: `[size of the residual, size of the image]` as scalars, what {@link judge} takes. The sum of
   * squares, or the largest magnitude.
   */
  measure(residual: Tensor, image: Tensor): [Tensor, Tensor] {
    const size = (x: Tensor): Tensor => (this.termination.norm === 'max' ? tf.max(tf.abs(x)) : tf.sum(tf.square(x)));
    return [size(residual), this.relativeToImage ? size(image) : size(residual)];
  }

  /** The norm that a measured size stands for. */
  norm(measured: number, weight: number = this.weight): number {
    return this.termination.norm === 'max' ? measured : Math.sqrt(measured * weight);
  }

  /** What the norm of a residual must meet where the image has that measured size. */
  toleranceAt(image: number): number {
    const { abstol, reltol } = this.termination;
    return abstol + reltol * (this.relativeToImage ? this.norm(image, this.imageWeight) : this.first);
  }

  start(): void {
    this.iterations = this.evaluations = this.fellAt = this.movedAt = this.run = this.bestAt = 0;
    this.best = this.last = this.first = this.mark = Infinity;
    this.recent.fill(0);
    this.scale = 0;
    this.improved = false;
    this.trace = [];
  }

  /** The tolerance that the best residual had to meet. */
  get tolerance(): number {
    return this.termination.abstol + this.termination.reltol * this.scale;
  }

  /** Report what another watch saw. */
  adopt({ best, scale, bestAt, first, last, trace }: Watch): void {
    Object.assign(this, { best, scale, bestAt, first, last, trace });
  }

  /** Count iterations whose residuals are known only as Euclidean norms of `size` numbers, and which need no judgement. */
  pass(norms: readonly number[], size: number): void {
    this.iterations += norms.length;
    if (!this.termination.storeTrace) return;
    const weight = this.termination.norm === 'rms' ? Math.sqrt(1 / size) : 1;
    for (const norm of norms) this.trace.push(norm * weight);
  }

  /**
   * Look at the residual of another iterate: how the solve ends with it, or null to go on.
   *
   * @param residual, image As {@link measure} computed them.
   */
  judge(residual: number, image: number): NonlinearRetcode | null {
    const { abstol, reltol, maxIters, patience, storeTrace } = this.termination;
    const norm = this.norm(residual);
    const k = this.first === Infinity ? 0 : ++this.iterations;
    if (k === 0) this.first = norm;
    const scale = this.relativeToImage ? this.norm(image, this.imageWeight) : this.first;
    this.last = norm;
    if (storeTrace) this.trace.push(norm);
    this.improved = norm < this.best || k === 0;
    if (this.improved) {
      this.best = norm;
      this.scale = scale;
      this.bestAt = k;
    }
    if (!(norm < Infinity)) {
      return this.orNearly('Unstable');
    }
    if (norm <= abstol + reltol * scale) return 'Success';
    if (norm > this.divergence * this.first) return 'Unstable';
    if (this.best < PROGRESS * this.mark) {
      this.mark = this.best;
      this.fellAt = k;
    }
    const way = Math.sign(norm - this.recent[k % LAG]);
    this.run = way * this.run > 0 ? this.run + way : way;
    this.recent[k % LAG] = norm;
    if (this.fellAt === k || Math.abs(this.run) >= RUN) this.movedAt = k;
    if (k - this.movedAt >= patience) return this.orNearly('Stalled');
    return k >= maxIters ? 'MaxIters' : null;
  }

  /** The algorithm goes on in another way, which stalls or not on its own account: patience begins anew. */
  renewPatience(): void {
    this.movedAt = this.iterations;
  }

  /** A solve that gets no further succeeds after all when it came near enough. */
  orNearly(retcode: NonlinearRetcode): NonlinearRetcode {
    return this.best <= LENIENCE * this.tolerance ? 'StalledSuccess' : retcode;
  }
}
