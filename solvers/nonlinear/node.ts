/**
 * The solve of an equation as one node of a graph.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import { floatsFor } from '../../src/core/floats.js';
import type { Tensor } from '../../src/core/tree.js';
import { backpropagate, DifferentiationError } from '../../src/graph/differentiate.js';
import type { Buffer } from '../../src/graph/executor.js';
import { sizeOf, type Spec } from '../../src/graph/graph.js';
import { atOnce, type Gradual, type Primitive, type RunContext, type VjpCall } from '../../src/graph/primitive.js';
import { replay } from '../../src/graph/replay.js';
import { currentTrace, type Trace } from '../../src/graph/trace.js';
import type { Cell, Loop } from '../../src/graph/workspace.js';
import { isSuccessful, NONLINEAR_RETCODES } from '../retcode.js';
import type { PhantomGradient, Unrolled } from '../sensitivity/equilibrium-adjoint.js';
import { implicitDerivative, type ImplicitNode } from '../sensitivity/implicit-solve.js';
import { unrolledDerivative } from '../sensitivity/unrolled.js';
import type { NonlinearAlgorithm, Recorded } from './algorithm.js';
import { failureMessage, NonlinearSolveError } from './error.js';
import type { ParsedNonlinearOptions } from './options.js';
import { bindAll, NEEDS_VALUES, Runner, type Lent, type Outcome } from './run.js';
import type { Session } from './session.js';
import { spectralRadius } from './spectral.js';
import { fresh, type System } from './system.js';

/** The rows of a batch as equations of their own. */
export interface RowSystem {
  readonly system: System;
  /** Which operands run along the batch. */
  readonly along: readonly boolean[];
}

export interface EquilibriumNode {
  readonly system: System;
  /** Null for a joint solve. */
  readonly rows: RowSystem | null;
  readonly algorithm: NonlinearAlgorithm;
  readonly options: ParsedNonlinearOptions;
  /** Told of each finished solve: one outcome, or one for each row. */
  readonly onFinish: (outcomes: readonly Outcome[]) => void;
  /** Told of each linear system that a derivative solved. */
  readonly onAdjoint: (outcome: Outcome) => void;
}

/** The columns of the statistics. */
export const STATISTICS = ['iterations', 'evaluations', 'retcode', 'bestAt'] as const;

const statisticsOf = ({ iterations, evaluations, retcode, bestAt }: Outcome): number[] => [
  iterations,
  evaluations,
  NONLINEAR_RETCODES.indexOf(retcode),
  bestAt,
];

/** Does the solve hand over `f(u)`, too? Its implicit derivative then need not compute it again. */
const givesImage = ({ system, algorithm, options }: EquilibriumNode): boolean =>
  system.kind === 'fixedPoint' && algorithm.keepsImage === true && options.adjoint.kind === 'implicitAdjoint';

/**
 * (u0, ...operands) -> [u, norm of the residual, statistics, trace of residuals if it is kept, f(u) if it is at hand], by rows for an
 * independent batch.
 */
export function equilibriumPrimitive(node: EquilibriumNode): Primitive {
  const { system, rows, algorithm, options } = node;
  const batch = rows === null ? [] : [system.state.shape[0]];
  const runner = new Runner(rows === null ? system : rows.system, algorithm, options);
  const outputs: Spec[] = [
    system.state,
    { shape: batch, dtype: 'float32' },
    { shape: [...batch, STATISTICS.length], dtype: 'int32' },
  ];
  if (options.storeTrace) outputs.push({ shape: [...batch, options.maxIters + 1], dtype: 'float32' });
  if (givesImage(node)) outputs.push(system.state);
  function* forward(inputs: readonly Buffer[], context: RunContext): Gradual<Buffer[]> {
    const { u, image, outcomes } = yield* runner.use(context, (lent) =>
      rows === null ? solveJointly(node, lent, inputs) : solveRows(node, rows, lent, inputs),
    );
    node.onFinish(outcomes);
    const results = [
      u,
      upload(context, outcomes.map(({ residual }) => residual), batch),
      integers(context, outcomes.flatMap(statisticsOf), outputs[2].shape),
    ]; // prettier-ignore
    if (options.storeTrace) {
      const norms = outcomes.flatMap(({ trace }) => padded(trace, options.maxIters + 1));
      results.push(upload(context, norms, outputs[3].shape));
    }
    if (image !== undefined) results.push(image);
    return results;
  }
  return {
    name: `solve (${algorithm.name})`,
    outputs,
    run: (inputs, context) => atOnce(forward(inputs, context), NEEDS_VALUES),
    gradually: forward,
    vjp: (call) => DERIVATIVES[options.adjoint.kind](node, call),
    dispose: () => {
      runner.dispose();
    },
  };
}

const padded = (values: readonly number[], length: number): number[] =>
  Array.from({ length }, (_, i) => (i < values.length ? values[i] : NaN));

function upload({ backend }: RunContext, values: readonly number[], shape: readonly number[]): Buffer {
  const data = floatsFor(backend, values.length);
  data.set(values);
  return { dataId: backend.write(data, [...shape], 'float32'), shape: [...shape], dtype: 'float32' };
}

function integers({ backend }: RunContext, values: readonly number[], shape: readonly number[]): Buffer {
  return { dataId: backend.write(Int32Array.from(values), [...shape], 'int32'), shape: [...shape], dtype: 'int32' };
}

interface Finished {
  readonly u: Buffer;
  readonly image: Buffer | undefined;
  readonly outcomes: readonly Outcome[];
}

function* solveJointly(
  node: EquilibriumNode,
  { session, solve }: Lent,
  [u0, ...operands]: readonly Buffer[],
): Loop<Finished> {
  bindAll(session, u0, operands);
  const { u, image, outcome } = yield* solve();
  yield* checkSuccess(node, session, u, outcome);
  const { ws } = session;
  const copied = givesImage(node) ? withImage(session, u, image, (cell) => ws.copy(cell)) : undefined;
  return { u: ws.copy(u), image: copied, outcomes: [outcome] };
}

/** Row after row, each as if it were alone. */
function* solveRows(
  node: EquilibriumNode,
  { along }: RowSystem,
  { session, solve }: Lent,
  [u0, ...operands]: readonly Buffer[],
): Loop<Finished> {
  const { ws } = session;
  const whole = [u0, ...operands].map((buffer, i) => {
    if (i > 0 && !along[i - 1]) return null;
    const slot = ws.slot(buffer.shape, buffer.dtype);
    ws.bind(slot, buffer);
    return slot;
  });
  operands.forEach((buffer, i) => {
    if (!along[i]) ws.bind(session.operands[i], buffer);
  });
  const slots = [session.u0, ...session.operands];
  const [count, ...rest] = node.system.state.shape;
  const results = ws.rows(count, rest);
  const images = givesImage(node) ? ws.rows(count, rest) : undefined;
  const outcomes: Outcome[] = [];
  try {
    for (let row = 0; row < count; row++) {
      whole.forEach((slot, i) => {
        if (slot !== null) ws.part(slots[i], slot, row);
      });
      const { u, image, outcome } = yield* solve();
      yield* checkSuccess(node, session, u, outcome, row);
      results.set(row, u);
      if (images !== undefined) withImage(session, u, image, (cell) => { images.set(row, cell); }); // prettier-ignore
      outcomes.push(outcome);
    }
    return { u: results.take(), image: images?.take(), outcomes };
  } catch (error) {
    results.discard();
    images?.discard();
    throw error;
  } finally {
    ws.free(whole.flatMap((slot) => (slot === null ? [] : [slot])));
  }
}

/** `f(u)`, evaluated where the algorithm has it no more: the state with the smallest residual was not the last. */
function withImage<T>(session: Session, u: Cell, image: Cell | undefined, use: (image: Cell) => T): T {
  if (image !== undefined) return use(image);
  const cell = session.cell();
  try {
    session.step('image', [u], [cell], ([at], maps) => [maps.image(at)]).run();
    return use(cell);
  } finally {
    session.ws.free([cell]);
  }
}

function* checkSuccess(
  node: EquilibriumNode,
  session: Session,
  u: Cell,
  outcome: Outcome,
  sample?: number,
): Loop<void> {
  const { algorithm, options } = node;
  const { retcode, iterations, evaluations, residual, tolerance, reason } = outcome;
  if (isSuccessful(retcode) || !options.throwOnFailure) return;
  const { shape } = u;
  const known = sample === undefined ? {} : { sample };
  const radius = node.system.kind === 'fixedPoint' ? { spectralRadius: yield* spectralRadius(session, u) } : {};
  const values = [...(session.ws.immediate ? session.ws.read(u) : yield u)];
  const failure = { retcode, iterations, evaluations, residual, u: values, shape, ...known, ...radius };
  const words = { name: algorithm.name, tolerance, norm: options.norm, reason };
  throw new NonlinearSolveError(failureMessage(failure, words), failure);
}

type Derivative = (node: EquilibriumNode, call: VjpCall) => (Tensor | null)[];

/** One rule for each kind of adjoint. The start has no influence on a solution but through an unrolled iteration. */
const DERIVATIVES: Readonly<Record<ParsedNonlinearOptions['adjoint']['kind'], Derivative>> = {
  implicitAdjoint: (node, { inputs, outputs, dys }) => {
    const { system, options, onAdjoint } = node;
    const [u] = outputs;
    const image = givesImage(node) ? outputs[outputs.length - 1] : undefined;
    // The image of a solution is that solution: so it is as a function of the parameters, too.
    const given = [dys[0], image === undefined ? null : dys[dys.length - 1]].filter((dy) => dy !== null);
    if (given.length === 0) return inputs.map(() => null);
    if (sizeOf(system.image.shape) !== sizeOf(system.state.shape)) {
      throw new DifferentiationError(
        'the implicit derivative needs as many equations as unknowns; a least-squares solution has none here',
      );
    }
    const adjoint = options.adjoint as ImplicitNode['adjoint'];
    const reltol = options.reltol === 0 ? null : options.reltol;
    const implicit = { system, adjoint, reltol, onFinish: onAdjoint };
    return implicitDerivative(
      implicit,
      u,
      image,
      inputs.slice(1),
      given.reduce((a, b) => tf.add(a, b)),
    );
  },
  phantom: (node, { inputs, outputs: [u], dys: [dy], needed }) => {
    if (dy === null) return inputs.map(() => null);
    const { steps, damping } = node.options.adjoint as PhantomGradient;
    const trace = currentTrace() as Trace;
    const own = inputs.slice(1).map((x) => fresh(x));
    const since = trace.nodes.length;
    let x = u;
    for (let k = 0; k < steps; k++) {
      const [y] = replay(trace, node.system.graph, [x, ...own]);
      x = damping === 1 ? y : tf.add(x, tf.mul(tf.sub(y, x), constant(damping)));
    }
    const asked = own.map((tensor, i) => ({ tensor, i })).filter(({ tensor, i }) => needed[i + 1] && tensor.dtype === 'float32'); // prettier-ignore
    const grads = backpropagate(trace, [{ value: trace.valueOf(x), dy }], asked.map(({ tensor }) => trace.valueOf(tensor)), since); // prettier-ignore
    const result = inputs.map((): Tensor | null => null);
    asked.forEach(({ i }, j) => (result[i + 1] = grads[j]));
    return result;
  },
  unrolled: ({ system, rows, algorithm, options }, { inputs, outputs, dys: [dy], needed }) => {
    if (dy === null) return inputs.map(() => null);
    const { keepEvery } = options.adjoint as Unrolled;
    const recorded = algorithm.recorded as Recorded;
    const iterations = { system, recorded, keepEvery, rows: rows === null ? null : 0 };
    return unrolledDerivative(iterations, inputs, dy, outputs[2], needed);
  },
};
