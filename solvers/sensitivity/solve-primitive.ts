/**
 * A solve as one node of a larger graph, with the discrete adjoint as its derivative rule.
 *
 * The adjoint is a node of its own. Its derivative is again made of solves: the second derivative is the first derivative
 * of the same steps applied to the tangent field (state and tangent side by side), so any order follows.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { backpropagate, DifferentiationError } from '../../src/graph/differentiate.js';
import type { Buffer } from '../../src/graph/executor.js';
import type { Spec } from '../../src/graph/graph.js';
import { readsAtOnce } from '../../src/graph/buffer-workspace.js';
import { atOnce, type Gradual, type Primitive, type RunContext, type VjpCall } from '../../src/graph/primitive.js';
import { currentTrace, type Trace } from '../../src/graph/trace.js';
import { reading } from '../../src/graph/workspace.js';
import { SCALAR, tangentField } from '../ode/field.js';
import { integrate } from '../ode/integrate.js';
import type { Plan } from '../ode/plan.js';
import { checkSaveAt } from '../ode/options.js';
import type { TapedPrograms } from '../ode/taped.js';
import { RETCODES } from '../retcode.js';
import { LEADING, makeSolveNode, STATISTICS, TIMES, type SolveNode, type SolveRecord } from './solve-node.js';
import { Sweep } from './sweep.js';

function* resolvePlan(node: SolveNode, inputs: readonly Buffer[], context: RunContext): Gradual<Plan> {
  const { plan } = node;
  const t0 = plan.t0 ?? (yield* scalarOf(context, inputs[1]));
  const t1 = plan.t1 ?? (yield* scalarOf(context, inputs[2]));
  const dt = plan.dtGiven ? yield* scalarOf(context, inputs[3]) : undefined;
  if (dt !== undefined && !(dt > 0 && dt < Infinity)) {
    throw new RangeError(`solve: dt must be a positive number, got ${dt}`);
  }
  for (const [name, t] of [['t0', t0], ['t1', t1]] as const) {
    if (!Number.isFinite(t)) throw new RangeError(`solve: ${name} must be a finite number, got ${t}`);
  } // prettier-ignore
  checkSaveAt(plan.saveAt, t0, t1);
  const dtMin = plan.dtMin ?? 16 * Number.EPSILON * Math.max(Math.abs(t0), Math.abs(t1));
  const { stepping } = plan;
  if (stepping.kind !== 'again') {
    return {
      ...plan,
      t0,
      t1,
      dtMin,
      stepping: dt === undefined || stepping.kind === 'recorded' ? stepping : { ...stepping, dt },
    };
  }
  const { steps } = recordOf(context, inputs[LEADING + node.field.operands.length]);
  // Where the other solve stopped early, so does this one.
  return { ...plan, t0, t1: steps.end, stepping: { kind: 'recorded', steps }, maxIters: Infinity, dtMin: 0 };
}

/** A run of the forward node is known by its ticket: that number is handed to whatever builds on the run. */
function recordOf(context: RunContext, ticket: Buffer): SolveRecord {
  // It was uploaded by the forward pass, and no kernel has taken it to a device since.
  const [number] = context.backend.readSync(ticket.dataId) as Int32Array;
  const record = context.records[number] as SolveRecord | undefined;
  if (record === undefined) throw new Error('the backward pass of a solve ran without its forward pass');
  return record;
}

function* scalarOf({ backend }: RunContext, { dataId }: Buffer): Gradual<number> {
  if (readsAtOnce(backend)) return (backend.readSync(dataId) as Float32Array)[0];
  const [value] = yield async () => Array.from((await backend.read(dataId)) as Float32Array);
  return value;
}

function integers({ backend }: RunContext, values: readonly number[], shape: number[]): Buffer {
  return { dataId: backend.write(Int32Array.from(values), shape, 'int32'), shape, dtype: 'int32' };
}

const NEEDS_VALUES =
  'solve: choosing step sizes needs numbers that this backend cannot read at once (its values come as promises). ' +
  'Wait for them: solveAsync(...), compile(f).async(...) or train(...); or take fixed steps (adaptive: false, dt: ...)';

const TIMES_ONCE =
  'a solve has first derivatives in its end times and its dt, by reverse mode; forward mode (jvp) and second derivatives in them are not available';

/** Of a run that nothing builds on. */
const NO_TICKET = -1;

/** The taped form of the steps, where that serves every derivative that is asked for. */
function tapedFor({ adjoint: { wanted }, keepEvery, plan, tapes }: SolveNode): TapedPrograms | null {
  if (wanted === null || wanted.times || keepEvery > 1) return null;
  return tapes.of(plan.stepping.kind === 'adaptive', wanted.operands);
}

/**
 * The forward node: (u0, t0, t1, dt, ...operands) -> [saved rows or final state, statistics, ticket]. Further inputs only order it
 * after other nodes.
 */
export function solvePrimitive(node: SolveNode): Primitive {
  const { field, plan } = node;
  const rows = plan.saveAt === null ? [] : [plan.saveAt.length];
  return {
    name: `solve (${node.tableau.name})`,
    outputs: [
      { shape: [...rows, ...field.state.shape], dtype: 'float32' },
      { shape: [STATISTICS.length], dtype: 'int32' },
      { shape: [], dtype: 'int32' },
    ],
    run: (inputs, context) => atOnce(forward(node, inputs, context, false), NEEDS_VALUES),
    gradually: (inputs, context) => forward(node, inputs, context, true),
    vjp: (call) => solveVjp(node, call),
    dispose: () => {
      node.programs.dispose();
      node.tapes.dispose();
      node.sessions.dispose();
    },
  };
}

function* forward(
  node: SolveNode,
  inputs: readonly Buffer[],
  context: RunContext,
  canWait: boolean,
): Gradual<Buffer[]> {
  const { field, adjoint } = node;
  const resolved = yield* resolvePlan(node, inputs, context);
  const operands = inputs.slice(LEADING, LEADING + field.operands.length);
  const session = node.sessions.acquire(context);
  const { ws } = session;
  const release = (): void => {
    node.sessions.release(session);
  };
  let remembered = false;
  try {
    session.bind(inputs[0], operands);
    const taped = tapedFor(node);
    const keep = { every: adjoint.wanted === null ? 0 : node.keepEvery, taped, tapeBytes: node.tapeBytes };
    const result = yield* reading(ws, integrate(session, resolved, keep, ws.immediate || canWait));
    try {
      node.onFinish(result);
    } catch (error) {
      context.backend.disposeData(result.u.dataId);
      throw error;
    }
    const { stats } = result;
    const { accepted, rejected, evaluations } = stats;
    const numbers = [stats.steps, accepted, rejected, evaluations, RETCODES.indexOf(result.retcode)];
    let ticket = NO_TICKET;
    if (adjoint.wanted !== null) {
      const { steps, states, tapes } = result;
      const record: SolveRecord = { steps, states, tapes, taped, operands: adjoint.wanted.operands, plan: resolved, session }; // prettier-ignore
      ticket = context.records.push(record) - 1;
      context.onEnd(release);
      remembered = true;
    }
    return [result.u, integers(context, numbers, [numbers.length]), integers(context, [ticket], [])];
  } finally {
    if (!remembered) release();
  }
}

function* backward(
  node: SolveNode,
  wanted: readonly boolean[],
  inputs: readonly Buffer[],
  context: RunContext,
): Gradual<Buffer[]> {
  const ticket = inputs[LEADING + node.field.operands.length + 1];
  const record = recordOf(context, ticket);
  const sweep = new Sweep(node, record, inputs, wanted);
  return yield* reading(record.session.ws, sweep.run());
}

function solveVjp(node: SolveNode, { inputs, outputs, dys, needed }: VjpCall): (Tensor | null)[] {
  const [dy] = dys;
  if (dy === null) return inputs.map(() => null);
  if (node.plan.stepping.kind === 'again' && TIMES.some((i) => needed[i])) {
    throw new DifferentiationError(TIMES_ONCE);
  }
  const count = LEADING + node.field.operands.length;
  const wanted = inputs.map((_, i) => i < count && needed[i]);
  const before = node.adjoint.wanted;
  node.adjoint.wanted = {
    operands: wanted.slice(LEADING, count).map((w, i) => w || before?.operands[i] === true),
    times: TIMES.some((i) => wanted[i]) || before?.times === true,
  };
  const trace = currentTrace() as Trace;
  // The ticket also keeps the forward pass alive, and first.
  const cotangents = trace.primitive(adjointPrimitive(node, wanted), [...inputs.slice(0, count), dy, outputs[2]]);
  let next = 0;
  return inputs.map((_, i) => (wanted[i] ? cotangents[next++] : null));
}

/** The backward node: (u0, t0, t1, dt, ...operands, cotangent, ticket) -> cotangents of the wanted inputs. */
function adjointPrimitive(node: SolveNode, wanted: readonly boolean[]): Primitive {
  const { field } = node;
  const specs: Spec[] = [field.state, ...TIMES.map(() => SCALAR), ...field.operands];
  const count = specs.length;
  return {
    name: `solve adjoint (${node.tableau.name})`,
    outputs: specs.filter((_, i) => wanted[i]),
    run: (inputs, context) => atOnce(backward(node, wanted, inputs, context), NEEDS_VALUES),
    gradually: (inputs, context) => backward(node, wanted, inputs, context),
    vjp: ({ inputs, dys, needed }) => {
      // Directions w: the adjoint is linear in its cotangent with the transposed Jacobian J, so the cotangent of the
      // cotangent is J w, and those of u0 and the operands are the gradient of (cotangent . J w).
      const seeds = inputs.map(() => null as Tensor | null);
      let next = 0;
      wanted.forEach((w, i) => {
        if (w) seeds[i] = dys[next++];
      });
      if (TIMES.some((i) => seeds[i] !== null)) {
        throw new DifferentiationError(TIMES_ONCE);
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
        plan: { ...node.plan, stepping: { kind: 'again' }, dtGiven: false },
      });
      const operands = [...own.slice(LEADING), ...operandTangents];
      const start = tf.stack([own[0], tangents[0]]);
      const [both] = trace.primitive(solvePrimitive(twofold), [
        start,
        ...TIMES.map((i) => own[i]),
        ...operands,
        inputs[count + 1],
      ]);
      const tangent = tf.unstack(both, node.plan.saveAt === null ? 0 : 1)[1];
      const asked = own
        .map((x, i) => ({ x, i }))
        .filter(({ i }) => needed[i] && !(TIMES as readonly number[]).includes(i));
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
