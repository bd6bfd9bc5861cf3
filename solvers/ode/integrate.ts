/**
 * The loop: propose a step, run it, accept or reject, save, go on. Ordinary TypeScript on host numbers around programs
 * that run on whichever backend is active.
 *
 * It is a generator, so that one loop serves backends whose numbers can be read at once and those (WebGPU) where one has
 * to wait: there it yields the cell that it must know and goes on with its values.
 */
import type { Cell, Loop, Rows, Workspace } from '../../src/graph/workspace.js';
import { formatComponent } from '../component.js';
import type { Retcode, SolveStats } from '../retcode.js';
import { decide, initialMemory, startingStep } from './control.js';
import type { Integration, Keep, Plan, StepSaves } from './plan.js';
import type { StepPrograms } from './programs.js';
import type { Session } from './session.js';

class Integrator {
  private t: number;
  private u: Cell;
  /** Where the next state goes. */
  private spare: Cell;
  /** Is the slope at the present state known? */
  private started = false;
  private readonly rows: Rows | null;
  private saved = 0;
  private readonly kept: (Cell | undefined)[] = [];
  private readonly tapes: (readonly Cell[] | undefined)[] = [];
  /** Where the tape of the next step goes, if it has one. */
  private tape: readonly Cell[] | undefined;
  private tapeRoom: number;
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
  private readonly stages: number;
  private readonly programs: StepPrograms;
  private readonly ws: Workspace;
  private readonly inputs: Cell[];
  private lastError = 0;

  constructor(
    private readonly session: Session,
    private readonly plan: Plan,
    private readonly keep: Keep,
    /** May values be asked for where they are not needed to go on? */
    private readonly watch: boolean,
    private readonly checkEachStep: boolean,
  ) {
    const { ws, programs } = session;
    this.ws = ws;
    this.programs = programs;
    this.t = plan.t0;
    this.u = session.u0;
    this.spare = session.state();
    this.direction = plan.t1 < plan.t0 ? -1 : 1;
    this.adaptive = plan.stepping.kind === 'adaptive';
    this.stages = programs.tableau.c.length;
    this.hermiteEnd = programs.denseStages > this.stages;
    this.rows = plan.saveAt === null ? null : ws.rows(plan.saveAt.length, programs.field.state.shape);
    this.inputs = [session.t, session.h, this.u, session.slopes[0], ...session.operands];
    this.tapeRoom = keep.taped === null ? 0 : Math.floor(keep.tapeBytes / (keep.taped.residualBytes + 1));
    this.outputs = [];
    this.prepareOutputs();
  }

  private outputs: Cell[];

  /** Where the next step writes. */
  private prepareOutputs(): void {
    const { session, keep, stages } = this;
    this.tape = keep.taped !== null && this.tapeRoom-- > 0 ? session.tape(keep.taped.residuals) : undefined;
    // A taped step computes its first slope itself, unless the last step has.
    const first = this.tape === undefined || this.programs.tableau.fsal ? 1 : 0;
    this.outputs = [
      ...(this.adaptive ? [session.error] : []),
      this.spare,
      ...session.slopes.slice(first, stages),
      ...(this.tape ?? []),
    ];
  }

  *run(): Loop<Integration> {
    try {
      return yield* this.integrate();
    } catch (error) {
      this.rows?.discard();
      throw error;
    }
  }

  private *read(cell: Cell): Loop<readonly number[]> {
    return this.ws.immediate ? this.ws.read(cell) : yield cell;
  }

  private *integrate(): Loop<Integration> {
    const { plan, ws, session } = this;
    const { stepping } = plan;
    // Where the first step is to be found, its sizes tell whether the start is sound.
    const seeks = stepping.kind === 'adaptive' && stepping.dt === undefined && plan.t0 !== plan.t1;
    if (this.watch && !seeks) yield* this.checkStart();
    this.saveInitial();
    let h = plan.t0 === plan.t1 ? 0 : yield* this.firstStep();
    let memory = initialMemory;
    while (this.t !== plan.t1) {
      const underflow = Math.abs(h) < plan.dtMin && Math.abs(h) < Math.abs(plan.t1 - this.t);
      if (underflow || !Number.isFinite(h)) {
        const unstable = !Number.isFinite(h) || (yield* this.blownUp());
        return yield* this.failed(unstable ? 'Unstable' : 'DtLessThanMin', h);
      }
      if (this.accepted + this.rejected >= plan.maxIters) return yield* this.failed('MaxIters', h);
      const step = this.propose(h);
      this.tryStep(step);
      if (stepping.kind === 'adaptive') {
        this.lastError = ws.immediate ? ws.scalar(session.error) : (yield session.error)[0];
        const decision = decide(stepping.controller, this.programs.tableau.order, this.lastError, memory);
        memory = decision.memory;
        h = step * decision.factor;
        if (!decision.accepted) {
          this.rejected++;
          continue;
        }
      }
      this.accept(step);
      if (this.checkEachStep && (yield* this.blownUp())) return yield* this.failed('Unstable', step);
    }
    // Nothing watches a fixed step: look once at the end, and at every step only after a failure.
    if (this.watch && stepping.kind === 'fixed' && !this.checkEachStep) {
      if (!(yield* this.read(this.u)).every(Number.isFinite)) {
        this.rows?.discard();
        return yield* new Integrator(session, plan, this.keep, true, true).run();
      }
    }
    return this.finished('Success');
  }

  private *checkStart(): Loop<void> {
    const { shape } = this.u;
    const u0 = yield* this.read(this.u);
    for (let i = 0; i < u0.length; i++) {
      if (!Number.isFinite(u0[i])) {
        throw new RangeError(`solve: u0 must be finite, but component ${formatComponent(i, shape)} is ${u0[i]}`);
      }
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
    while (this.saved < saveAt.length && saveAt[this.saved] === t0) this.rows?.set(this.saved++, this.u);
    this.rowsAtStart = this.saved;
  }

  /** The slope at a state, into a cell. */
  private evaluate(t: number, u: Cell, slope: Cell): void {
    const { ws, session } = this;
    this.evaluations++;
    ws.put(session.t, t);
    session.run(this.programs.rhs, [session.t, u, ...session.operands], [slope]);
  }

  private *firstStep(): Loop<number> {
    const { plan, programs, ws, session } = this;
    if (plan.stepping.kind === 'recorded') return plan.stepping.steps.h[0];
    if (plan.stepping.dt !== undefined) return plan.stepping.dt * this.direction;
    ws.put(session.t, this.t);
    ws.put(session.h, this.direction);
    const inputs = [session.t, session.h, this.u, ...session.operands];
    session.run(programs.start, inputs, [session.slopes[0], session.start]);
    this.evaluations += 2;
    this.started = true;
    const [d0, d1, h0, change] = yield* this.read(session.start);
    if (this.watch && !Number.isFinite(d0)) yield* this.checkStart();
    const h = startingStep(h0, d0, d1, change / h0, programs.errorTerm);
    // Not a number where the slope is not finite: the loop then says what is wrong.
    return Math.max(Math.min(h, Math.abs(plan.t1 - plan.t0)), plan.dtMin) * this.direction;
  }

  /** Where the step that {@link propose} returned ends. */
  private next = 0;

  /** The next step. It ends at `t + h`, but exactly at t1 when that is reached or only rounding remains. */
  private propose(h: number): number {
    const { t1, t0, stepping } = this.plan;
    if (stepping.kind === 'recorded') {
      const { t, h: sizes } = stepping.steps;
      const i = this.accepted;
      this.next = i + 1 < t.length ? t[i + 1] : t1;
      return sizes[i];
    }
    // A fixed step counts from t0, so that rounding does not add up.
    const next = stepping.kind === 'fixed' ? t0 + (this.accepted + 1) * h : this.t + h;
    const rounding = 100 * Number.EPSILON * Math.max(Math.abs(t1), Math.abs(t0));
    this.next = (t1 - next) * this.direction <= rounding ? t1 : next;
    return this.next - this.t;
  }

  /** One step of size h into the spare state, the later slopes and the error. */
  private tryStep(h: number): void {
    const { ws, programs, session, inputs, outputs, tape, keep } = this;
    const inside = tape !== undefined && !programs.tableau.fsal;
    if (!this.started && !inside) this.evaluate(this.t, this.u, session.slopes[0]);
    if (!this.started && inside) this.evaluations++;
    this.started = true;
    this.evaluations += this.stages - 1;
    ws.put(session.t, this.t);
    ws.put(session.h, h);
    inputs[2] = this.u;
    // Unread where the step computes its first slope itself; but a place that holds something.
    inputs[3] = inside ? this.u : session.slopes[0];
    const step = tape === undefined || keep.taped === null ? programs.step(this.adaptive) : keep.taped.step;
    session.run(step, inputs, outputs);
  }

  private accept(h: number): void {
    const { keep, programs, session, ws, next } = this;
    const { slopes } = session;
    const { fsal } = programs.tableau;
    const u1 = this.spare;
    const saves = this.savesWithin(h, next);
    const m = saves.thetas.length;
    // Where the method is not FSAL the slope at the end lies after those of the stages.
    const last = fsal ? this.stages - 1 : this.stages;
    let known = fsal;
    if (m > 0) {
      if (this.hermiteEnd && !known) {
        this.evaluate(next, u1, slopes[last]);
        known = true;
      }
      const ks = slopes.slice(0, programs.denseStages);
      const { dense } = programs;
      const count = dense.group(m, ws.compiles);
      const w = session.weightsFor(count);
      const program = dense.interpolate(count, ws.compiles);
      for (let first = 0; first < m; first += count) {
        ws.write(w, programs.denseMatrix(h, saves.thetas, first, count));
        session.run(program, [w, this.u, ...ks], [(this.rows as Rows).at(this.saved + first, count)]);
      }
    }
    this.saved += m;
    for (let i = 0; i < saves.atEnd; i++) this.rows?.set(this.saved++, u1);
    const keepThis = keep.every > 0 && this.accepted % keep.every === 0;
    this.kept.push(keepThis ? this.u : undefined);
    this.times.push(this.t);
    this.sizes.push(h);
    this.saves.push(saves);
    this.accepted++;
    // The initial state is the caller's: never written.
    this.spare = keepThis || this.u === session.u0 ? session.state() : this.u;
    this.u = u1;
    this.tapes.push(this.tape);
    this.prepareOutputs();
    if (known) ws.swap(slopes[0], slopes[last]);
    this.started = known;
    this.t = next;
  }

  private savesWithin(h: number, next: number): StepSaves {
    const { saveAt } = this.plan;
    const first = this.saved;
    if (saveAt === null) return { first, thetas: NO_TIMES, atEnd: 0 };
    const thetas: number[] = [];
    let i = first;
    for (; i < saveAt.length && (saveAt[i] - next) * this.direction < 0; i++) thetas.push((saveAt[i] - this.t) / h);
    let atEnd = 0;
    for (; i < saveAt.length && saveAt[i] === next; i++) atEnd++;
    return { first, thetas, atEnd };
  }

  /** The component that keeps a step of size h from being accepted, found by trying it once more. */
  private *culprit(h: number, state: readonly number[], slope: readonly number[]): Loop<number> {
    if (!slope.every(Number.isFinite)) return slope.findIndex((x) => !Number.isFinite(x));
    if (!this.adaptive || !state.every(Number.isFinite) || !Number.isFinite(h)) return largest(state);
    const { ws, programs, session } = this;
    this.tryStep(h);
    const errors = ws.cell(this.u.shape);
    const slopes = session.slopes.slice(0, this.stages);
    session.run(programs.componentErrors, [session.h, this.u, this.spare, ...slopes], [errors]);
    const found = largest(yield* this.read(errors));
    ws.free([errors]);
    return found;
  }

  private *blownUp(): Loop<boolean> {
    const state = yield* this.read(this.u);
    const size = state.reduce((m, x) => Math.max(m, Number.isNaN(x) ? Infinity : Math.abs(x)), 0);
    return !Number.isFinite(size) || !(this.lastError < Infinity) || size > 1e8;
  }

  private get stats(): SolveStats {
    const { accepted, rejected, evaluations } = this;
    return { steps: accepted + rejected, accepted, rejected, evaluations, adjointEvaluations: accepted * this.stages };
  }

  private *failed(retcode: Retcode, h: number): Loop<Integration> {
    const { stats } = this;
    const state = yield* this.read(this.u);
    const slope = this.started ? yield* this.read(this.session.slopes[0]) : [];
    const failure = {
      t: this.t,
      h,
      error: this.lastError,
      state,
      component: yield* this.culprit(h, state, slope),
      savedRows: this.saved,
      slopeFinite: slope.every(Number.isFinite),
    };
    return { ...this.finished(retcode), stats, failure };
  }

  private finished(retcode: Retcode): Integration {
    const u = this.rows === null ? this.ws.copy(this.u) : this.rows.take();
    const steps = { t: this.times, h: this.sizes, saves: this.saves, rowsAtStart: this.rowsAtStart, end: this.t };
    return { u, steps, states: this.kept, tapes: this.tapes, stats: this.stats, retcode };
  }
}

const NO_TIMES: readonly number[] = [];

/** Index of the largest magnitude; the first that is not finite, if any. */
function largest(values: readonly number[]): number {
  let worst = 0;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) return i;
    if (Math.abs(values[i]) > Math.abs(values[worst])) worst = i;
  }
  return worst;
}

/**
 * Integrate from the state that the session is bound to. The caller frees the returned buffer; the states are the session's.
 *
 * @param watch - May values be asked for that the steps themselves do not need: to check the start and the end?
 */
export function integrate(session: Session, plan: Plan, keep: Keep, watch: boolean): Loop<Integration> {
  return new Integrator(session, plan, keep, watch, false).run();
}
