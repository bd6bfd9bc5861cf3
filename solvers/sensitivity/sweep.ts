/**
 * The discrete adjoint: one backward sweep over the recorded steps.
 */
import type { Buffer } from '../../src/graph/executor.js';
import type { Cell, Loop } from '../../src/graph/workspace.js';
import type { Session } from '../ode/session.js';
import { denseWeights, derivative, evaluate } from '../ode/tableau.js';
import type { TapedPrograms } from '../ode/taped.js';
import { LEADING, TIMES, type SolveNode, type SolveRecord } from './solve-node.js';

/** A value that each step replaces, and the place where the next one goes. */
interface Pair {
  now: Cell;
  next: Cell;
}

/** One backward sweep over the recorded steps, in the session that ran them. */
export class Sweep {
  private readonly session: Session;
  private readonly du: Pair;
  private readonly sums: readonly Pair[];
  /** The cotangent of the slope that a step of a FSAL method hands to the next; {@link pending} where there is one. */
  private readonly dk: Pair;
  private pending = false;
  /** The cotangents of a step's slopes and of its state. */
  private spreading: readonly [Pair, Pair] | undefined;
  /** Sensitivities to t0, t1 and dt. */
  private readonly times = TIMES.map(() => 0);
  private readonly cotangent: Cell;
  private readonly needed: readonly boolean[];
  private readonly time: boolean;
  /** States recomputed for the current stretch between kept ones. */
  private stretch: { first: number; states: Cell[] } = { first: 0, states: [] };

  constructor(
    private readonly node: SolveNode,
    private readonly record: SolveRecord,
    inputs: readonly Buffer[],
    private readonly wanted: readonly boolean[],
  ) {
    const { field } = node;
    const { session, plan } = record;
    const { ws } = session;
    this.session = session;
    session.bind(inputs[0], inputs.slice(LEADING, LEADING + field.operands.length));
    const asked = wanted.slice(LEADING, LEADING + field.operands.length);
    // What tapes were made for serves all derivatives of this solve: their operands are summed together.
    this.needed = record.taped === null ? asked : record.operands;
    this.time = TIMES.some((i) => wanted[i]);
    const given = inputs[LEADING + field.operands.length];
    this.cotangent = session.slot('cotangent', given.shape);
    ws.bind(this.cotangent, given);
    this.du = this.pair('du', field.state.shape);
    this.dk = this.pair('dk', field.state.shape);
    this.sums = field.operands.flatMap(({ shape }, i) => (this.needed[i] ? [this.pair(`sum ${i}`, shape)] : []));
    for (const { now } of this.sums) ws.fill(now, 0);
    ws.fill(this.du.now, 0);
    if (plan.saveAt === null) this.addTo(this.du, this.cotangent);
  }

  private pair(name: string, shape: readonly number[]): Pair {
    return { now: this.session.place(name, shape), next: this.session.place(`next ${name}`, shape) };
  }

  *run(): Loop<Buffer[]> {
    const { session, wanted } = this;
    const { ws } = session;
    const { t, rowsAtStart } = this.record.steps;
    for (let i = t.length - 1; i >= 0; i--) yield* this.stepBack(i);
    this.settleSlope(0);
    for (let row = 0; row < rowsAtStart; row++) this.addRow(row);
    if (t.length === 0 && this.time) yield* this.emptyInterval();
    const results = wanted[0] ? [this.du.now] : [];
    TIMES.forEach((input, which) => {
      if (!wanted[input]) return;
      const cell = session.place(`time ${which}`, []);
      ws.put(cell, this.times[which]);
      results.push(cell);
    });
    const asked = this.needed.flatMap((n, i) => (n ? [wanted[LEADING + i]] : []));
    const sums = this.sums.filter((_, i) => asked[i]).map(({ now }) => now);
    return [...results, ...sums].map((cell) => ws.copy(cell));
  }

  private *stepBack(i: number): Loop<void> {
    const { session, node, record, time } = this;
    const { ws } = session;
    const { steps } = record;
    const [t, h] = [steps.t[i], steps.h[i]];
    const { first, thetas, atEnd } = steps.saves[i];
    for (let row = first + thetas.length; row < first + thetas.length + atEnd; row++) {
      this.addRow(row);
      if (time && i + 1 < steps.t.length) yield* this.shiftEnd(i, row);
    }
    const tape = record.tapes[i];
    if (tape !== undefined) {
      this.alongTape(i, tape);
      return;
    }
    this.settleSlope(i + 1);
    const m = thetas.length;
    const u = this.stateAt(i);
    const saved: Cell[] = [];
    if (m > 0) {
      saved.push(session.weightsFor(m), this.rowsOf(first, m));
      ws.write(saved[0], node.programs.denseMatrix(h, thetas));
    }
    ws.put(session.t, t);
    ws.put(session.h, h);
    const { du, sums } = this;
    const program = node.programs.pullback(m, this.needed, time);
    const times = time ? ['dt', 'dh'].map((name) => session.place(name, [])) : [];
    if (time && m > 0) times.push(session.place(`dW ${m}`, [m, node.programs.denseStages]));
    session.run(
      program,
      [session.t, session.h, u, du.now, ...saved, ...session.operands, ...sums.map(({ now }) => now)],
      [du.next, ...sums.map(({ next }) => next), ...times],
    );
    exchange(du);
    sums.forEach(exchange);
    if (time) yield* this.addTimes(i, times);
  }

  /** Back through a step that kept what its derivative needs. */
  private alongTape(i: number, tape: readonly Cell[]): void {
    const { session, node, record, du, sums, dk } = this;
    const { ws } = session;
    const { t, h, saves } = record.steps;
    const { first, thetas } = saves[i];
    const taped = record.taped as TapedPrograms;
    const m = thetas.length;
    const spread = m > 0 ? this.spread(h[i], first, thetas) : [];
    ws.put(session.t, t[i]);
    ws.put(session.h, h[i]);
    const { fsal } = node.tableau;
    if (!this.pending) ws.fill(dk.now, 0);
    const before = [session.t, session.h, record.states[i] as Cell, ...session.operands];
    const cotangents = [du.now, dk.now, ...spread, ...sums.map(({ now }) => now)];
    const next = [du.next, ...(fsal ? [dk.next] : []), ...sums.map((sum) => sum.next)];
    session.run(m > 0 ? taped.dense : taped.plain, [...before, ...cotangents, ...tape], next);
    exchange(du);
    sums.forEach(exchange);
    if (fsal) exchange(dk);
    this.pending = fsal;
  }

  /** The cotangents of all slopes and of the state that the dense outputs of a step of size h leave. */
  private spread(h: number, row: number, thetas: readonly number[]): readonly Cell[] {
    const { session } = this;
    const { ws } = session;
    const { programs, field } = this.node;
    const [dK, dV] = (this.spreading ??= [
      this.pair('dK', [programs.denseStages, ...field.state.shape]),
      this.pair('dV', field.state.shape),
    ]);
    ws.fill(dK.now, 0);
    ws.fill(dV.now, 0);
    const m = thetas.length;
    const { dense } = programs;
    const count = dense.group(m, ws.compiles);
    const w = session.weightsFor(count);
    const program = dense.spread(count, ws.compiles);
    for (let first = 0; first < m; first += count) {
      ws.write(w, programs.denseMatrix(h, thetas, first, count));
      session.run(program, [w, this.rowsOf(row + first, count), dK.now, dV.now], [dK.next, dV.next]);
      exchange(dK);
      exchange(dV);
    }
    return [dK.now, dV.now];
  }

  /** The cotangent of the first slope of step i, which was f at its start, goes into those of the state and the operands. */
  private settleSlope(i: number): void {
    if (!this.pending) return;
    this.pending = false;
    const { session, node, du, sums, dk } = this;
    const { ws } = session;
    const { t } = this.record.steps;
    ws.put(session.t, t[i]);
    const inputs = [session.t, this.stateAt(i), dk.now, ...session.operands, du.now, ...sums.map(({ now }) => now)];
    const outputs = [du.next, ...sums.map(({ next }) => next)];
    session.run(node.programs.slopePullback(this.needed), inputs, outputs);
    exchange(du);
    sums.forEach(exchange);
  }

  private *read(cell: Cell): Loop<readonly number[]> {
    const { ws } = this.session;
    return ws.immediate ? ws.read(cell) : yield cell;
  }

  private rowsOf(first: number, count: number): Cell {
    const { session } = this;
    const rows = session.slot(`rows ${count}`, [count, ...this.node.field.state.shape]);
    session.ws.part(rows, this.cotangent, first);
    return rows;
  }

  private oneRow(row: number): Cell {
    const { session } = this;
    const cell = session.slot('row', this.node.field.state.shape);
    session.ws.part(cell, this.cotangent, row);
    return cell;
  }

  /** A time saved at the end of a step stays where it is while that end moves: du = -f there. */
  private *shiftEnd(i: number, row: number): Loop<void> {
    const slope = yield* this.slopeAlong(this.record.steps.t[i + 1], this.stateAt(i + 1), this.oneRow(row));
    this.move(i + 1, -slope, 0);
  }

  /**
   * Step i begins at t_i and has the size h_i, and these move with t0, t1 and dt: all steps shift with t0 but for the end of the
   * last, which is t1. dt is the first step where steps adapt (the others keep their sizes), and every step where they are fixed.
   */
  private move(i: number, dt: number, dh: number): void {
    const { plan, steps } = this.record;
    const last = steps.t.length - 1;
    const isLast = i === last;
    const [d0, d1, d] = this.times;
    const fixed = plan.stepping.kind === 'fixed';
    // How many dt lie before the step; the last one, which ends at t1, loses as much as it begins later.
    const begin = fixed ? i : Math.min(i, 1);
    const size = isLast ? -begin : fixed || i === 0 ? 1 : 0;
    const direction = plan.t1 < plan.t0 ? -1 : 1;
    this.times[0] = d0 + dt - (isLast ? dh : 0);
    this.times[1] = d1 + (isLast ? dh : 0);
    this.times[2] = d + direction * (begin * dt + size * dh);
  }

  /** f(u, t) . g */
  private *slopeAlong(t: number, u: Cell, g: Cell): Loop<number> {
    const { session, node } = this;
    const { ws } = session;
    const [slope] = session.slopes;
    ws.put(session.t, t);
    session.run(node.programs.rhs, [session.t, u, ...session.operands], [slope]);
    const f = yield* this.read(slope);
    const cotangent = yield* this.read(g);
    return f.reduce((sum, x, i) => sum + x * cotangent[i], 0);
  }

  /** The step's own sensitivities to its begin and its size. */
  private *addTimes(i: number, cells: readonly Cell[]): Loop<void> {
    const { node } = this;
    const { steps } = this.record;
    const { thetas } = steps.saves[i];
    let [dt] = yield* this.read(cells[0]);
    let [dh] = yield* this.read(cells[1]);
    if (thetas.length > 0) {
      const dw = yield* this.read(cells[2]);
      const weights = denseWeights(node.tableau);
      thetas.forEach((theta, row) => {
        weights.forEach((w, s) => {
          // W = h w(theta) with theta = (saved time - t) / h.
          const g = dw[row * weights.length + s];
          dt -= g * derivative(w, theta);
          dh += g * (evaluate(w, theta) - theta * derivative(w, theta));
        });
      });
    }
    this.move(i, dt, dh);
  }

  /** No step at all: du(t1)/dt1 = f = -du(t1)/dt0. */
  private *emptyInterval(): Loop<void> {
    const { record, session } = this;
    if (record.plan.saveAt !== null) return; // the saved rows are u0 itself
    const slope = yield* this.slopeAlong(record.plan.t0, session.u0, this.cotangent);
    this.times[0] -= slope;
    this.times[1] += slope;
  }

  private addRow(row: number): void {
    this.addTo(this.du, this.oneRow(row));
  }

  private addTo(sum: Pair, term: Cell): void {
    const { session, node } = this;
    session.run(node.programs.sum, [sum.now, term], [sum.next]);
    exchange(sum);
  }

  private stateAt(i: number): Cell {
    const { states, steps } = this.record;
    const kept = states[i];
    if (kept !== undefined) return kept;
    const { session, node } = this;
    const { ws, slopes } = session;
    if (i < this.stretch.first || i >= this.stretch.first + this.stretch.states.length) {
      let first = i;
      while (states[first] === undefined) first--;
      const recomputed = [states[first] as Cell];
      this.stretch = { first, states: recomputed };
      const later = slopes.slice(1, node.tableau.c.length);
      for (let j = first; j < i; j++) {
        const u = recomputed[j - first];
        const u1 = session.place(`recomputed ${j - first}`, u.shape);
        ws.put(session.t, steps.t[j]);
        ws.put(session.h, steps.h[j]);
        session.run(node.programs.rhs, [session.t, u, ...session.operands], [slopes[0]]);
        const inputs = [session.t, session.h, u, slopes[0], ...session.operands];
        session.run(node.programs.step(false), inputs, [u1, ...later]);
        recomputed.push(u1);
      }
    }
    return this.stretch.states[i - this.stretch.first];
  }
}

function exchange(pair: Pair): void {
  const { now } = pair;
  pair.now = pair.next;
  pair.next = now;
}
