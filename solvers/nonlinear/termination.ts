/**
 * When to stop: the size of the residual against the tolerances, and the signs that it will not get there.
 */
import * as tf from '@tensorflow/tfjs';
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
  private mark = Infinity;
  private markedAt = 0;
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

  start(): void {
    this.iterations = this.evaluations = this.markedAt = this.bestAt = 0;
    this.best = this.last = this.first = this.mark = Infinity;
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
      this.markedAt = k;
    }
    if (k - this.markedAt >= patience) return this.orNearly('Stalled');
    return k >= maxIters ? 'MaxIters' : null;
  }

  /** A solve that gets no further succeeds after all when it came near enough. */
  orNearly(retcode: NonlinearRetcode): NonlinearRetcode {
    return this.best <= LENIENCE * this.tolerance ? 'StalledSuccess' : retcode;
  }
}
