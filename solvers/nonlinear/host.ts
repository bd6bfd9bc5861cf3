/**
 * An equation seen from the host: states and residuals are plain numbers. For methods that factor a dense Jacobian, which costs far
 * more than carrying a vector over.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import { formatShape, sizeOf } from '../../src/graph/graph.js';
import { currentTrace, type Trace } from '../../src/graph/trace.js';
import type { Cell } from '../../src/graph/workspace.js';
import { dotProduct, type Dense } from '../linear/dense.js';
import { valuesOf } from '../linear/krylov.js';
import type { NonlinearRetcode } from '../retcode.js';
import type { Ending } from './algorithm.js';
import { Linearised } from './linearised.js';
import type { Session, Step } from './session.js';
import { fresh } from './system.js';
import type { Watch } from './termination.js';

export type Reading<T> = Generator<Cell, T, number[]>;

export class HostEquation {
  /** Unknowns. */
  readonly n: number;
  /** Equations. */
  readonly m: number;
  private readonly u: Cell;
  private readonly r: Cell;
  private readonly imageSize: Cell;
  private readonly evaluate: Step;
  private readonly linearised: Linearised;
  private best: readonly number[] = [];
  private size = 0;
  private judged = 0;
  private bend: { readonly direction: Cell; readonly result: Cell; readonly step: Step } | undefined;
  private at: readonly number[] = [];

  constructor(
    private readonly session: Session,
    private readonly watch: Watch,
  ) {
    const { state, image } = session.system;
    this.n = sizeOf(state.shape);
    this.m = sizeOf(image.shape);
    this.u = session.cell();
    this.r = session.cell(image.shape);
    this.imageSize = session.cell([]);
    const { norm } = watch.termination;
    this.evaluate = session.step(`host residual ${norm}`, [this.u], [this.r, this.imageSize], ([u], maps) => {
      const y = maps.image(u);
      const r = maps.residual(u, y);
      return [r, watch.measure(r, y)[1]];
    });
    this.linearised = new Linearised(session, this.u);
  }

  /** @throws TypeError when there are not as many equations as unknowns. */
  checkSquare(name: string): void {
    const { state, image } = this.session.system;
    if (this.m === this.n) return;
    throw new TypeError(
      `${name}: f must return as many equations as the state has unknowns: the state is ${formatShape(state.shape)}, the residual ${formatShape(image.shape)}. For least squares take gaussNewton() or levenbergMarquardt(); with batch 'independent' say by "along" which tensors of p run along the batch`,
    );
  }

  /** Where to start. */
  *start(): Reading<number[]> {
    return yield* valuesOf(this.session, this.session.u0);
  }

  /** The residual at `u`. */
  *residual(u: readonly number[]): Reading<number[]> {
    const { session, watch } = this;
    session.ws.write(this.u, u);
    this.at = u;
    this.evaluate.run();
    this.linearised.settle();
    watch.evaluations++;
    this.size = session.system.kind === 'fixedPoint' ? (yield* valuesOf(session, this.imageSize))[0] : 0;
    return yield* valuesOf(session, this.r);
  }

  /** The Jacobian where the residual was computed last. */
  *jacobian(): Reading<Dense> {
    this.watch.evaluations += this.n;
    return yield* this.linearised.dense();
  }

  /** Take derivatives at `u` again, after a trial elsewhere. */
  moveTo(u: readonly number[]): void {
    this.session.ws.write(this.u, u);
    this.at = u;
    this.linearised.settle();
  }

  /** The second derivative of the residual at the point where it was computed last (or {@link moveTo} went), along `v` twice. */
  *curvature(v: readonly number[]): Reading<number[]> {
    const { session, watch } = this;
    if (this.bend === undefined) {
      const direction = session.cell();
      const result = session.cell(session.system.image.shape);
      const step = session.step('host curvature', [this.u, direction], [result], ([u, d], maps) => [
        pushforward((x) => maps.jvp(x, d), u, d),
      ]);
      this.bend = { direction, result, step };
    }
    const { direction, result, step } = this.bend;
    session.ws.write(direction, v);
    step.run();
    watch.evaluations++;
    return yield* valuesOf(session, result);
  }

  /** Let the watch judge the residual that was computed last. */
  judge(r: readonly number[]): NonlinearRetcode | null {
    const measured = this.watch.termination.norm === 'max' ? largest(r) : dotProduct(r, r);
    this.judged = this.size;
    const retcode = this.watch.judge(measured, this.size);
    if (this.watch.improved || this.best.length === 0) this.best = this.at;
    return retcode;
  }

  /** The same, for a trial that was refused: the iterate stays, with this residual. */
  judgeAgain(r: readonly number[]): NonlinearRetcode | null {
    const { watch } = this;
    const measured = watch.termination.norm === 'max' ? largest(r) : dotProduct(r, r);
    return watch.judge(measured, this.judged);
  }

  /** Forget the best state of an earlier solve. */
  reset(): void {
    this.best = [];
  }

  /** End with the best state that was judged. */
  end(retcode: NonlinearRetcode, reason?: string): Ending {
    this.session.ws.write(this.u, this.best);
    return reason === undefined ? { u: this.u, retcode } : { u: this.u, retcode, reason };
  }

  /** End at a point where no step makes `|f|` smaller to first order: the aim where there are more equations than unknowns. */
  endAtMinimum(): Ending {
    return this.m > this.n
      ? this.end('StalledSuccess')
      : this.end('Stalled', 'it came to a local minimum of |f| that is no root; start elsewhere');
  }
}

/** In a program: the derivative of `f` at `u` in the direction `v`, as the transpose of the transpose. */
function pushforward(f: (u: Tensor) => Tensor, u: Tensor, v: Tensor): Tensor {
  const trace = currentTrace() as Trace;
  const x = fresh(u);
  const since = trace.nodes.length;
  const y = f(x);
  const zero = fresh(tf.zeros(y.shape));
  const back = trace.nodes.length;
  const [pulled] = backpropagate(trace, [{ value: trace.valueOf(y), dy: zero }], [trace.valueOf(x)], since, back);
  if (pulled === null) return tf.zeros(y.shape);
  const [pushed] = backpropagate(trace, [{ value: trace.valueOf(pulled), dy: v }], [trace.valueOf(zero)], back);
  return pushed ?? tf.zeros(y.shape);
}

/** The largest magnitude; NaN if there is one. */
export function largest(x: readonly number[]): number {
  let max = 0;
  for (const a of x) if (!(Math.abs(a) <= max)) max = Math.abs(a);
  return max;
}
