/**
 * A solve as one node of a larger graph, with the discrete adjoint as its derivative rule.
 *
 * The adjoint is a node of its own. Its derivative is again made of solves: the second derivative is the first derivative
 * of the same steps applied to the tangent field (state and tangent side by side), so any order follows.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '../../src/core/tree.js';
import { backpropagate, DifferentiationError } from '../../src/graph/differentiate.js';
import type { Buffer } from '../../src/graph/executor.js';
import type { Spec } from '../../src/graph/graph.js';
import type { Primitive, RunContext, VjpCall } from '../../src/graph/primitive.js';
import { currentTrace, type Trace } from '../../src/graph/trace.js';
import { Device } from '../ode/device.js';
import { SCALAR, tangentField, type Field } from '../ode/field.js';
import { denseMatrix, integrate, type Integration, type Plan, type Stepping, type Steps } from '../ode/integrate.js';
import { StepPrograms, type Tolerance } from '../ode/programs.js';
import { denseWeights, derivative, evaluate, type Tableau } from '../ode/tableau.js';
import { RETCODES } from '../retcode.js';

/** A solve whose times may be tensors: null where the number is an input of the node. */
export interface SolvePlan extends Omit<Plan, 't0' | 't1' | 'stepping'> {
  readonly t0: number | null;
  readonly t1: number | null;
  /** How to step; `again`: take the steps of the solve whose statistics are the last input. */
  readonly stepping: Stepping | { readonly kind: 'again' };
}

export interface SolveNode {
  readonly field: Field;
  readonly tableau: Tableau;
  readonly tolerance: Tolerance;
  readonly plan: SolvePlan;
  readonly keepEvery: number;
  /** Set when a derivative is recorded: from then on the forward pass keeps its states. */
  readonly adjoint: { wanted: boolean };
  readonly programs: StepPrograms;
  /** Told of each finished integration; throws where a failure is an error. */
  readonly onFinish: (result: Integration) => void;
}

export const makeSolveNode = (node: Omit<SolveNode, 'adjoint' | 'programs'>): SolveNode => ({
  ...node,
  adjoint: { wanted: false },
  programs: new StepPrograms(node.field, node.tableau, node.tolerance),
});

/** What the forward pass leaves for the backward pass. */
interface SolveRecord {
  readonly steps: Steps;
  readonly states: readonly (Buffer | undefined)[];
  readonly plan: Plan;
}

export const STATISTICS = ['steps', 'accepted', 'rejected', 'evaluations', 'retcode'] as const;

/** Inputs before the operands: u0, t0, t1. */
const LEADING = 3;

function resolvePlan(node: SolveNode, inputs: readonly Buffer[], context: RunContext, device: Device): Plan {
  const { plan } = node;
  const t0 = plan.t0 ?? device.scalar(inputs[1]);
  const t1 = plan.t1 ?? device.scalar(inputs[2]);
  for (const [name, t] of [['t0', t0], ['t1', t1]] as const) {
    if (!Number.isFinite(t)) throw new RangeError(`solve: ${name} must be a finite number, got ${t}`);
  } // prettier-ignore
  const outside = plan.saveAt?.find((t) => t < Math.min(t0, t1) || t > Math.max(t0, t1));
  if (outside !== undefined) throw new RangeError(`solve: saveAt ${outside} lies outside the span [${t0}, ${t1}]`);
  if (plan.stepping.kind !== 'again') return { ...plan, t0, t1, stepping: plan.stepping };
  const { steps } = recordOf(context, inputs[LEADING + node.field.operands.length]);
  return { ...plan, t0, t1, stepping: { kind: 'recorded', steps }, maxSteps: Infinity, dtMin: 0 };
}

/** A run of the forward node is known by its statistics: that buffer is handed to whatever builds on the run. */
function recordOf(context: RunContext, statistics: Buffer): SolveRecord {
  const record = context.records.get(statistics.dataId) as SolveRecord | undefined;
  if (record === undefined) throw new Error('the backward pass of a solve ran without its forward pass');
  return record;
}

/**
 * The forward node: (u0, t0, t1, ...operands) -> [saved rows or final state, statistics]. Further inputs only order it
 * after other nodes.
 */
export function solvePrimitive(node: SolveNode): Primitive {
  const { field, plan, adjoint } = node;
  const rows = plan.saveAt === null ? [] : [plan.saveAt.length];
  return {
    name: `solve (${node.tableau.name})`,
    outputs: [
      { shape: [...rows, ...field.state.shape], dtype: 'float32' },
      { shape: [STATISTICS.length], dtype: 'int32' },
    ],
    run: (inputs, context) => {
      const device = new Device(context.backend, context.backendName);
      const resolved = resolvePlan(node, inputs, context, device);
      const operands = inputs.slice(LEADING, LEADING + field.operands.length);
      const keep = { every: adjoint.wanted ? node.keepEvery : 0 };
      const result = integrate(node.programs, device, inputs[0], operands, resolved, keep);
      const free = (): void => {
        device.free(...result.states);
      };
      try {
        node.onFinish(result);
      } catch (error) {
        free();
        device.free(result.u);
        throw error;
      }
      const { steps, accepted, rejected, evaluations } = result.stats;
      const numbers = [steps, accepted, rejected, evaluations, RETCODES.indexOf(result.retcode)];
      const statistics = device.integers(numbers);
      if (adjoint.wanted) {
        const record: SolveRecord = { steps: result.steps, states: result.states, plan: resolved };
        context.records.set(statistics.dataId, record);
        context.onEnd(free);
      }
      return [result.u, statistics];
    },
    vjp: (call) => solveVjp(node, call),
    dispose: () => {
      node.programs.dispose();
    },
  };
}

function solveVjp(node: SolveNode, { inputs, outputs, dys, needed }: VjpCall): (Tensor | null)[] {
  const [dy] = dys;
  if (dy === null) return inputs.map(() => null);
  if (node.plan.stepping.kind === 'again' && (needed[1] || needed[2])) {
    throw new DifferentiationError('the second derivative of a solve with respect to its end times is not available');
  }
  node.adjoint.wanted = true;
  const count = LEADING + node.field.operands.length;
  const wanted = inputs.map((_, i) => i < count && needed[i]);
  const trace = currentTrace() as Trace;
  // The statistics come along so that the forward pass stays alive and comes first.
  const cotangents = trace.primitive(adjointPrimitive(node, wanted), [...inputs.slice(0, count), dy, outputs[1]]);
  let next = 0;
  return inputs.map((_, i) => (wanted[i] ? cotangents[next++] : null));
}

/** The backward node: (u0, t0, t1, ...operands, cotangent, statistics) -> cotangents of the wanted inputs. */
function adjointPrimitive(node: SolveNode, wanted: readonly boolean[]): Primitive {
  const { field } = node;
  const specs: Spec[] = [field.state, SCALAR, SCALAR, ...field.operands];
  const count = specs.length;
  return {
    name: `solve adjoint (${node.tableau.name})`,
    outputs: specs.filter((_, i) => wanted[i]),
    run: (inputs, context) => {
      const device = new Device(context.backend, context.backendName);
      const sweep = new Sweep(node, recordOf(context, inputs[count + 1]), inputs, wanted, device);
      return sweep.run();
    },
    vjp: ({ inputs, dys, needed }) => {
      // Directions w: the adjoint is linear in its cotangent with the transposed Jacobian J, so the cotangent of the
      // cotangent is J w, and those of u0 and the operands are the gradient of (cotangent . J w).
      const seeds = inputs.map(() => null as Tensor | null);
      let next = 0;
      wanted.forEach((w, i) => {
        if (w) seeds[i] = dys[next++];
      });
      if (seeds[1] !== null || seeds[2] !== null) {
        throw new DifferentiationError(
          'the second derivative of a solve with respect to its end times is not available',
        );
      }
      const trace = currentTrace() as Trace;
      const fresh = (x: Tensor): Tensor => trace.tensorOf(trace.record('Identity', { x }).outputs[0]);
      const own = inputs.slice(0, count).map(fresh);
      const cotangent = inputs[count];
      const since = trace.nodes.length;
      const tangents = own.map((x, i) => seeds[i] ?? tf.zeros(x.shape));
      const operandTangents = tangents.slice(LEADING).filter((_, i) => field.operands[i].dtype === 'float32');
      const twofold = makeSolveNode({
        ...node,
        field: tangentField(field),
        plan: { ...node.plan, stepping: { kind: 'again' } },
      });
      const operands = [...own.slice(LEADING), ...operandTangents];
      const start = tf.stack([own[0], tangents[0]]);
      const [both] = trace.primitive(solvePrimitive(twofold), [start, own[1], own[2], ...operands, inputs[count + 1]]);
      const tangent = tf.unstack(both, node.plan.saveAt === null ? 0 : 1)[1];
      const asked = own.map((x, i) => ({ x, i })).filter(({ i }) => needed[i] && i !== 1 && i !== 2);
      const grads = backpropagate(
        trace,
        [{ value: trace.valueOf(tangent), dy: cotangent }],
        asked.map(({ x }) => trace.valueOf(x)),
        since,
      );
      const result = inputs.map(() => null as Tensor | null);
      asked.forEach(({ i }, j) => (result[i] = grads[j]));
      if (needed[count]) result[count] = tangent;
      return result;
    },
  };
}

/** One backward sweep over the recorded steps. */
class Sweep {
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
