/**
 * The discrete adjoint: one backward sweep over the recorded steps.
 */
import type { Buffer } from '../../src/graph/executor.js';
import type { Device } from '../ode/device.js';
import { denseMatrix } from '../ode/integrate.js';
import { denseWeights, derivative, evaluate } from '../ode/tableau.js';
import { LEADING, type SolveNode, type SolveRecord } from './solve-node.js';

/** One backward sweep over the recorded steps. */
export class Sweep {
  private du: Buffer;
  private sums: Buffer[];
  private dt0 = 0;
  private dt1 = 0;
  private readonly operands: readonly Buffer[];
  private readonly cotangent: Buffer;
  private readonly needed: readonly boolean[];
  private readonly time: boolean;
  /** States recomputed for the current stretch between kept ones. */
  private stretch: { first: number; states: Buffer[] } = { first: 0, states: [] };

  constructor(
    private readonly node: SolveNode,
    private readonly record: SolveRecord,
    private readonly inputs: readonly Buffer[],
    private readonly wanted: readonly boolean[],
    private readonly device: Device,
  ) {
    const { field } = node;
    this.operands = inputs.slice(LEADING, LEADING + field.operands.length);
    this.cotangent = inputs[LEADING + field.operands.length];
    this.needed = wanted.slice(LEADING, LEADING + field.operands.length);
    this.time = wanted[1] || wanted[2];
    const { saveAt } = record.plan;
    this.du = saveAt === null ? device.share(this.cotangent) : device.filled(0, field.state.shape);
    this.sums = field.operands.filter((_, i) => this.needed[i]).map(({ shape }) => device.filled(0, shape));
  }

  run(): Buffer[] {
    const { device, wanted } = this;
    const { t, rowsAtStart } = this.record.steps;
    try {
      for (let i = t.length - 1; i >= 0; i--) this.stepBack(i);
      for (let row = 0; row < rowsAtStart; row++) this.addRow(row);
      if (t.length === 0 && this.time) this.emptyInterval();
    } catch (error) {
      device.free(this.du, ...this.sums);
      throw error;
    } finally {
      device.free(...this.stretch.states);
    }
    const times = [this.dt0, this.dt1];
    const outputs = [...times.flatMap((dt, i) => (wanted[i + 1] ? [device.upload([dt], [])] : [])), ...this.sums];
    if (wanted[0]) return [this.du, ...outputs];
    device.free(this.du);
    return outputs;
  }

  private stepBack(i: number): void {
    const { device, node, record, time } = this;
    const { steps } = record;
    const [t, h] = [steps.t[i], steps.h[i]];
    const { first, thetas, atEnd } = steps.saves[i];
    for (let row = first + thetas.length; row < first + thetas.length + atEnd; row++) {
      this.addRow(row);
      if (time && i + 1 < steps.t.length) this.shiftEnd(i, row);
    }
    const m = thetas.length;
    const saved =
      m === 0
        ? []
        : [
            device.upload(denseMatrix(node.programs, h, thetas), [m, node.programs.denseStages]),
            device.rows(this.cotangent, first, m),
          ];
    const scalars = [device.upload([t], []), device.upload([h], [])];
    const program = node.programs.pullback(m, this.needed, time);
    const outputs = program.runBuffers([
      ...scalars,
      this.stateAt(i),
      this.du,
      ...saved,
      ...this.operands,
      ...this.sums,
    ]);
    device.free(...scalars, ...saved, this.du, ...this.sums);
    const [du, ...rest] = outputs;
    this.du = du;
    this.sums = rest.splice(0, this.sums.length);
    if (time) this.addTimes(i, rest);
  }

  /** A time saved at the end of a step stays where it is while that end moves with t0: du/dt0 = -f there. */
  private shiftEnd(i: number, row: number): void {
    const { device, record } = this;
    const rows = device.rows(this.cotangent, row, 1);
    this.dt0 -= this.slopeAlong(record.steps.t[i + 1], this.stateAt(i + 1), rows);
    device.free(rows);
  }

  /** f(u, t) . g */
  private slopeAlong(t: number, u: Buffer, g: Buffer): number {
    const { device, node } = this;
    const time = device.upload([t], []);
    const [slope] = node.programs.rhs.runBuffers([time, u, ...this.operands]);
    const f = device.read(slope);
    const cotangent = device.read(g);
    device.free(time, slope);
    return f.reduce((sum, x, i) => sum + x * cotangent[i], 0);
  }

  /** All steps shift with t0 but for the end of the last, which is t1. */
  private addTimes(i: number, rest: Buffer[]): void {
    const { device, node } = this;
    const { steps } = this.record;
    const { thetas } = steps.saves[i];
    let dt = device.scalar(rest[0]);
    let dh = device.scalar(rest[1]);
    if (thetas.length > 0) {
      const dw = device.read(rest[2]);
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
    device.free(...rest);
    this.dt0 += dt;
    if (i === steps.t.length - 1) {
      this.dt0 -= dh;
      this.dt1 += dh;
    }
  }

  /** No step at all: du(t1)/dt1 = f = -du(t1)/dt0. */
  private emptyInterval(): void {
    const { record } = this;
    if (record.plan.saveAt !== null) return; // the saved rows are u0 itself
    this.dt1 = this.slopeAlong(record.plan.t0, this.inputs[0], this.cotangent);
    this.dt0 = -this.dt1;
  }

  private addRow(row: number): void {
    const { device, node } = this;
    const rows = device.rows(this.cotangent, row, 1);
    const dy = device.reshaped(rows, [...node.field.state.shape]);
    const sum = device.add(this.du, dy);
    device.free(rows, dy, this.du);
    this.du = sum;
  }

  private stateAt(i: number): Buffer {
    const { states, steps } = this.record;
    const kept = states[i];
    if (kept !== undefined) return kept;
    const { device, node } = this;
    if (i < this.stretch.first || i >= this.stretch.first + this.stretch.states.length) {
      device.free(...this.stretch.states);
      let first = i;
      while (states[first] === undefined) first--;
      const recomputed = [device.share(states[first] as Buffer)];
      this.stretch = { first, states: recomputed };
      for (let j = first; j < i; j++) {
        const scalars = [device.upload([steps.t[j]], []), device.upload([steps.h[j]], [])];
        const u = recomputed[j - first];
        const [slope] = node.programs.rhs.runBuffers([scalars[0], u, ...this.operands]);
        const [u1, ...slopes] = node.programs.step(false).runBuffers([...scalars, u, slope, ...this.operands]);
        device.free(...scalars, slope, ...slopes);
        recomputed.push(u1);
      }
    }
    return this.stretch.states[i - this.stretch.first];
  }
}
