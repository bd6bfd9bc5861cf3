/**
 * The loop: propose a step, run it, accept or reject, save, go on. Ordinary TypeScript on host numbers around programs
 * that run on whichever backend is active.
 */
import type { Buffer } from '../../src/graph/executor.js';
import { formatComponent } from '../component.js';
import type { Retcode, SolveStats } from '../retcode.js';
import { decide, firstProbe, initialMemory, startingStep, type PidController } from './control.js';
import type { Device } from './device.js';
import type { StepPrograms } from './programs.js';
import { denseWeights, evaluate } from './tableau.js';

/** How step sizes come about. */
export type Stepping =
  | { readonly kind: 'adaptive'; readonly controller: PidController; readonly dt?: number }
  | { readonly kind: 'fixed'; readonly dt: number }
  /** The steps another solve took. */
  | { readonly kind: 'recorded'; readonly steps: Steps };

export interface Plan {
  readonly t0: number;
  readonly t1: number;
  /** Times to save at, in the order of integration; null for the final state alone. */
  readonly saveAt: readonly number[] | null;
  readonly stepping: Stepping;
  readonly maxSteps: number;
  readonly dtMin: number;
}

/** The saved times within one step. */
export interface StepSaves {
  /** Rows of the output, from `first` on, at these fractions of the step: dense output. */
  readonly first: number;
  readonly thetas: readonly number[];
  /** Rows of the output equal to the state at the end of the step. */
  readonly atEnd: number;
}

/** The accepted steps: what a replay or a discrete adjoint needs. */
export interface Steps {
  readonly t: readonly number[];
  readonly h: readonly number[];
  readonly saves: readonly StepSaves[];
  /** Rows of the output equal to the initial state. */
  readonly rowsAtStart: number;
}

export interface Integration {
  /** The saved rows, or the final state. */
  readonly u: Buffer;
  readonly steps: Steps;
  /** The state each step started from; undefined where it was not kept. */
  readonly states: (Buffer | undefined)[];
  readonly stats: SolveStats;
  readonly retcode: Retcode;
  readonly failure?: FailureDetails;
}

export interface FailureDetails {
  readonly t: number;
  readonly h: number;
  readonly error: number;
  readonly state: readonly number[];
  readonly component: number;
  readonly savedRows: number;
  /** False where the right-hand side itself is not finite. */
  readonly slopeFinite: boolean;
}

export interface Keep {
  /** Keep the state of every k-th step; 0 keeps none. */
  readonly every: number;
}

/** Dense-output weights times h for the fractions `thetas`: row-major [thetas, slopes]. */
export function denseMatrix(programs: StepPrograms, h: number, thetas: readonly number[]): number[] {
  const weights = denseWeights(programs.tableau);
  return thetas.flatMap((theta) => weights.map((w) => h * evaluate(w, theta)));
}

class Integrator {
  private t: number;
  private u: Buffer;
  private slope: Buffer | undefined;
  private readonly pieces: Buffer[] = [];
  private rows = 0;
  private readonly kept: (Buffer | undefined)[] = [];
  private readonly times: number[] = [];
  private readonly sizes: number[] = [];
  private readonly saves: StepSaves[] = [];
  private rowsAtStart = 0;
  private accepted = 0;
  private rejected = 0;
  private evaluations = 0;
  private readonly direction: number;
  private readonly adaptive: boolean;
  /** Dense output of a method that is not FSAL wants the slope at the end of the step as well. */
  private readonly hermiteEnd: boolean;
  private lastError = 0;

  constructor(
    private readonly programs: StepPrograms,
    private readonly device: Device,
    private readonly u0: Buffer,
    private readonly operands: readonly Buffer[],
    private readonly plan: Plan,
    private readonly keep: Keep,
    private readonly checkEachStep: boolean,
  ) {
    this.t = plan.t0;
    this.u = device.share(u0);
    this.direction = plan.t1 < plan.t0 ? -1 : 1;
    this.adaptive = plan.stepping.kind === 'adaptive';
    this.hermiteEnd = programs.denseStages > programs.tableau.c.length;
  }

  run(): Integration {
    try {
      return this.integrate();
    } catch (error) {
      this.device.free(...this.kept, ...this.pieces);
      throw error;
    } finally {
      this.device.free(this.u, this.slope);
    }
  }

  private integrate(): Integration {
    const { plan, device } = this;
    const { stepping } = plan;
    this.checkStart();
    this.saveInitial();
    let h = plan.t0 === plan.t1 ? 0 : this.firstStep();
    let memory = initialMemory;
    while (this.t !== plan.t1) {
      const underflow = Math.abs(h) < plan.dtMin && Math.abs(h) < Math.abs(plan.t1 - this.t);
      if (underflow || !Number.isFinite(h)) {
        return this.failed(this.blownUp() || !Number.isFinite(h) ? 'Unstable' : 'DtLessThanMin', h);
      }
      if (this.accepted + this.rejected >= plan.maxSteps) return this.failed('MaxIters', h);
      const { step, next } = this.propose(h);
      const outputs = this.tryStep(step);
      if (stepping.kind === 'adaptive') {
        this.lastError = device.scalar(outputs[0]);
        device.free(outputs.shift());
        const decision = decide(stepping.controller, this.programs.tableau.order, this.lastError, memory);
        memory = decision.memory;
        h = step * decision.factor;
        if (!decision.accepted) {
          this.rejected++;
          device.free(...outputs);
          continue;
        }
      }
      this.accept(step, next, outputs);
      if (this.checkEachStep && this.blownUp()) return this.failed('Unstable', step);
    }
    // Nothing watches a fixed step: look once at the end, and at every step only after a failure.
    if (stepping.kind === 'fixed' && !this.checkEachStep && !device.read(this.u).every(Number.isFinite)) {
      device.free(...this.kept.splice(0), ...this.pieces.splice(0));
      return new Integrator(this.programs, device, this.u0, this.operands, plan, this.keep, true).run();
    }
    return this.finished('Success');
  }

  private checkStart(): void {
    const u0 = this.device.read(this.u);
    const { shape } = this.u;
    const bad = u0.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) {
      throw new RangeError(`solve: u0 must be finite, but component ${formatComponent(bad, shape)} is ${u0[bad]}`);
    }
    const zero = this.adaptive && this.programs.tolerance.abstol === 0 ? u0.indexOf(0) : -1;
    if (zero >= 0) {
      throw new RangeError(
        `solve: abstol is 0 and so is component ${formatComponent(zero, shape)} of u0, whose error then has no scale; give a positive abstol`,
      );
    }
  }

  private saveInitial(): void {
    const { saveAt, t0 } = this.plan;
    if (saveAt === null) return;
    this.rows = this.rowsAtStart = saveAt.filter((t) => t === t0).length;
    for (let i = 0; i < this.rows; i++) this.pieces.push(this.row(this.u));
  }

  private row(u: Buffer): Buffer {
    return this.device.reshaped(u, [1, ...u.shape]);
  }

  private evaluate(t: number, u: Buffer): Buffer {
    this.evaluations++;
    const time = this.device.upload([t], []);
    try {
      return this.programs.rhs.runBuffers([time, u, ...this.operands])[0];
    } finally {
      this.device.free(time);
    }
  }

  private firstStep(): number {
    const { plan, programs, device } = this;
    if (plan.stepping.kind === 'recorded') return plan.stepping.steps.h[0];
    if (plan.stepping.dt !== undefined) return plan.stepping.dt * this.direction;
    this.slope = this.evaluate(this.t, this.u);
    const [sizes] = programs.sizes.runBuffers([this.u, this.slope]);
    const [d0, d1] = device.read(sizes);
    const h0 = firstProbe(d0, d1);
    const scalars = [device.upload([this.t], []), device.upload([h0 * this.direction], [])];
    const [change] = programs.probe.runBuffers([...scalars, this.u, this.slope, ...this.operands]);
    this.evaluations++;
    const d2 = device.scalar(change) / h0;
    device.free(sizes, change, ...scalars);
    const h = startingStep(h0, d1, d2, programs.tableau.order);
    // Not a number where the slope is not finite: the loop then says what is wrong.
    return Math.max(h, plan.dtMin) * this.direction;
  }

  /** The next step. It ends at `t + h`, but exactly at t1 when that is reached or only rounding remains. */
  private propose(h: number): { step: number; next: number } {
    const { t1, t0, stepping } = this.plan;
    if (stepping.kind === 'recorded') {
      const { t, h: sizes } = stepping.steps;
      const i = this.accepted;
      return { step: sizes[i], next: i + 1 < t.length ? t[i + 1] : t1 };
    }
    // A fixed step counts from t0, so that rounding does not add up.
    const next = stepping.kind === 'fixed' ? t0 + (this.accepted + 1) * h : this.t + h;
    const rounding = 100 * Number.EPSILON * Math.max(Math.abs(t1), Math.abs(t0));
    const end = (t1 - next) * this.direction <= rounding ? t1 : next;
    return { step: end - this.t, next: end };
  }

  private tryStep(h: number): Buffer[] {
    const { device, programs } = this;
    this.slope ??= this.evaluate(this.t, this.u);
    const scalars = [device.upload([this.t], []), device.upload([h], [])];
    try {
      this.evaluations += programs.tableau.c.length - 1;
      return programs.step(this.adaptive).runBuffers([...scalars, this.u, this.slope, ...this.operands]);
    } finally {
      device.free(...scalars);
    }
  }

  private accept(h: number, next: number, [u1, ...later]: Buffer[]): void {
    const { device, keep, programs } = this;
    const slopes = [this.slope as Buffer, ...later];
    const last = programs.tableau.fsal ? slopes[slopes.length - 1] : undefined;
    const saves = this.savesWithin(h, next);
    let ahead = last === undefined ? undefined : device.share(last);
    if (saves.thetas.length > 0) {
      if (this.hermiteEnd) ahead ??= this.evaluate(next, u1);
      const ks = this.hermiteEnd ? [...slopes, ahead as Buffer] : slopes;
      const m = saves.thetas.length;
      const w = device.upload(denseMatrix(programs, h, saves.thetas), [m, programs.denseStages]);
      this.pieces.push(...programs.interpolate(m).runBuffers([w, this.u, ...ks]));
      device.free(w);
    }
    for (let i = 0; i < saves.atEnd; i++) this.pieces.push(this.row(u1));
    this.rows += saves.thetas.length + saves.atEnd;
    const keepThis = keep.every > 0 && this.accepted % keep.every === 0;
    this.kept.push(keepThis ? device.share(this.u) : undefined);
    this.times.push(this.t);
    this.sizes.push(h);
    this.saves.push(saves);
    this.accepted++;
    device.free(this.u, ...slopes);
    this.u = u1;
    this.slope = ahead;
    this.t = next;
  }

  private savesWithin(h: number, next: number): StepSaves {
    const { saveAt } = this.plan;
    const first = this.rows;
    if (saveAt === null) return { first, thetas: [], atEnd: 0 };
    const thetas: number[] = [];
    let i = first;
    for (; i < saveAt.length && (saveAt[i] - next) * this.direction < 0; i++) thetas.push((saveAt[i] - this.t) / h);
    let atEnd = 0;
    for (; i < saveAt.length && saveAt[i] === next; i++) atEnd++;
    return { first, thetas, atEnd };
  }

  /** The component that keeps a step of size h from being accepted, found by trying it once more. */
  private culprit(h: number): number {
    const state = this.device.read(this.u);
    const slope = this.slope === undefined ? [] : this.device.read(this.slope);
    if (!slope.every(Number.isFinite)) return slope.findIndex((x) => !Number.isFinite(x));
    if (!this.adaptive || !state.every(Number.isFinite) || !Number.isFinite(h)) return largest(state);
    const { device, programs } = this;
    const [norm, u1, ...later] = this.tryStep(h);
    const size = device.upload([h], []);
    const [errors] = programs.componentErrors.runBuffers([size, this.u, u1, this.slope as Buffer, ...later]);
    const component = largest(device.read(errors));
    device.free(norm, u1, ...later, size, errors);
    return component;
  }

  private blownUp(): boolean {
    const size = this.device.read(this.u).reduce((m, x) => Math.max(m, Number.isNaN(x) ? Infinity : Math.abs(x)), 0);
    return !Number.isFinite(size) || !(this.lastError < Infinity) || size > 1e8;
  }

  private get stats(): SolveStats {
    const { accepted, rejected, evaluations } = this;
    const adjointEvaluations = accepted * this.programs.tableau.c.length;
    return { steps: accepted + rejected, accepted, rejected, evaluations, adjointEvaluations };
  }

  private failed(retcode: Retcode, h: number): Integration {
    const { stats } = this;
    const failure = {
      t: this.t,
      h,
      error: this.lastError,
      state: this.device.read(this.u),
      component: this.culprit(h),
      savedRows: this.rows,
      slopeFinite: this.slope === undefined || this.device.read(this.slope).every(Number.isFinite),
    };
    const { saveAt } = this.plan;
    if (saveAt !== null && this.rows < saveAt.length) {
      this.pieces.push(this.device.filled(NaN, [saveAt.length - this.rows, ...this.u.shape]));
    }
    return { ...this.finished(retcode), stats, failure };
  }

  private finished(retcode: Retcode): Integration {
    const { device, plan, kept } = this;
    const u = plan.saveAt === null ? device.share(this.u) : device.stackRows(this.pieces.splice(0));
    const steps = { t: this.times, h: this.sizes, saves: this.saves, rowsAtStart: this.rowsAtStart };
    return { u, steps, states: kept, stats: this.stats, retcode };
  }
}

/** Index of the largest magnitude; the first that is not finite, if any. */
function largest(values: readonly number[]): number {
  let worst = 0;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) return i;
    if (Math.abs(values[i]) > Math.abs(values[worst])) worst = i;
  }
  return worst;
}

/** Integrate from u0. The caller frees the returned buffers. */
export function integrate(
  programs: StepPrograms,
  device: Device,
  u0: Buffer,
  operands: readonly Buffer[],
  plan: Plan,
  keep: Keep,
): Integration {
  return new Integrator(programs, device, u0, operands, plan, keep, false).run();
}
