/**
 * `solve` for ODE problems.
 */
import * as tf from '@tensorflow/tfjs-core';
import { isTensor, type Tensor, type Tree } from '../../src/core/tree.js';
import { readsAtOnce } from '../../src/graph/buffer-workspace.js';
import { compile } from '../../src/graph/compile.js';
import type { Primitive } from '../../src/graph/primitive.js';
import { Program } from '../../src/graph/program.js';
import { currentTrace, traceGraph, TraceError, type Trace } from '../../src/graph/trace.js';
import { formatComponent, indexOf } from '../component.js';
import { RETCODES, SolveError, type Retcode, type SolveStats } from '../retcode.js';
import { makeSolveNode, type SolvePlan } from '../sensitivity/solve-node.js';
import { solvePrimitive } from '../sensitivity/solve-primitive.js';
import { checkAlgorithm, type OdeAlgorithm } from './algorithm.js';
import { traceField } from './field.js';
import type { Integration } from './plan.js';
import { checkSaveAt, parseOdeOptions, type OdeOptions, type ParsedOdeOptions } from './options.js';
import type { OdeProblem, Time } from './problem.js';

export interface Solution<U> {
  /** The final state; with `saveAt` the saved states, time first: `[time, ...state]`. Shaped like u0 otherwise. */
  readonly u: U;
  /** The times of `u`. */
  readonly t: readonly number[];
  readonly stats: SolveStats;
  readonly retcode: Retcode;
  /** `[steps, accepted, rejected, evaluations, retcode]` as an int32 tensor: what a traced function can return. */
  readonly statistics: tf.Tensor1D;
}

/** `solve` for an ODE problem; the overload for such problems says what it promises. */
export function solveOde<U extends Tree, P>(
  problem: OdeProblem<U, P>,
  algorithm: OdeAlgorithm,
  options: OdeOptions,
): Solution<U> {
  checkProblem(problem);
  checkAlgorithm(algorithm, 'solve: the second argument');
  const parsed = parseOdeOptions(algorithm, options);
  const [t0, t1] = problem.tspan.map(hostTime);
  checkSaveAt(parsed.saveAt, t0, t1);
  const trace = currentTrace();
  return trace === undefined ? solveNow(problem, algorithm, parsed) : solveTraced(problem, algorithm, parsed, trace);
}

function checkProblem(problem: { readonly kind?: string } | undefined): void {
  if (problem?.kind === 'ode') return;
  throw new TypeError('solve: the first argument must be a problem, such as odeProblem(f, u0, [t0, t1], p)');
}

interface Prepared {
  readonly primitive: Primitive;
  readonly inputs: readonly Tensor[];
  /** The tensor of rows (or the final state) in the structure of u0. */
  readonly restore: (rows: Tensor) => unknown;
}

function prepare(
  problem: OdeProblem<Tree, unknown>,
  algorithm: OdeAlgorithm,
  parsed: ParsedOdeOptions,
  onFinish: (result: Integration) => void,
): Prepared {
  const [t0, t1] = problem.tspan.map(hostTime);
  const traced = traceField(problem.f, problem.u0, problem.p);
  const node = makeSolveNode({
    field: traced.field,
    tableau: algorithm.tableau,
    tolerance: parsed,
    keepEvery: parsed.adjoint.keepEvery,
    tapeBytes: parsed.adjoint.tapeBytes,
    plan: planOf(parsed, t0, t1),
    onFinish: (result) => {
      onFinish(result);
      if (parsed.throwOnFailure) throwFailure(result, algorithm, parsed, traced.field.state.shape);
    },
  });
  return {
    primitive: solvePrimitive(node),
    inputs: [traced.u0, ...problem.tspan.map(timeTensor), timeTensor(parsed.dtTensor ?? 0), ...traced.operands],
    restore: parsed.saveAt === null ? traced.unravel : traced.unravelRows,
  };
}

function solveNow<U extends Tree, P>(
  problem: OdeProblem<U, P>,
  algorithm: OdeAlgorithm,
  parsed: ParsedOdeOptions,
): Solution<U> {
  let finished: Integration | undefined;
  const { u, statistics } = tf.tidy(() => {
    const { primitive, inputs, restore } = prepare(problem as never, algorithm, parsed, (result) => {
      finished ??= result; // the backward pass of tfjs's tape runs it again
    });
    const specs = inputs.map(({ shape, dtype }) => ({ shape, dtype }));
    const graph = traceGraph(specs, (xs) => (currentTrace() as Trace).primitive(primitive, xs));
    const program = new Program(graph);
    try {
      const [rows, statistics] = program.run(inputs);
      return { u: restore(rows) as tf.TensorContainer, statistics };
    } finally {
      program.dispose();
    }
  });
  const { stats, retcode } = finished as unknown as Integration;
  const end = problem.tspan[1];
  const t = parsed.saveAt ?? [isTensor(end) ? end.dataSync()[0] : end];
  return { u: u as U, t, stats, retcode, statistics: statistics as tf.Tensor1D };
}

function solveTraced<U extends Tree, P>(
  problem: OdeProblem<U, P>,
  algorithm: OdeAlgorithm,
  parsed: ParsedOdeOptions,
  trace: Trace,
): Solution<U> {
  const { primitive, inputs, restore } = prepare(problem as never, algorithm, parsed, () => undefined);
  const [rows, statistics] = trace.primitive(primitive, inputs);
  const t = parsed.saveAt ?? problem.tspan.slice(1).map(hostTime);
  const unknown = (what: string): never => {
    throw new TraceError(`solution.${what} is known only when the program runs; use solution.statistics, a tensor`);
  };
  const solution = { u: restore(rows) as U, statistics: statistics as tf.Tensor1D };
  // Not enumerable, so that a traced function can return the whole solution: what is known then comes back.
  return Object.defineProperties(solution, {
    t: { get: () => (t[0] === null ? unknown('t') : t) },
    stats: { get: () => unknown('stats') },
    retcode: { get: () => unknown('retcode') },
  }) as Solution<U>;
}

/**
 * The same, waiting for numbers where the backend cannot read them at once. Its tensors are the caller's to dispose of.
 */
export async function solveOdeLater<U extends Tree, P>(
  problem: OdeProblem<U, P>,
  algorithm: OdeAlgorithm,
  options: OdeOptions,
): Promise<Solution<U>> {
  checkProblem(problem);
  const { u0, p, tspan } = problem;
  const run = compile((u0: Tree, p: unknown, tspan: readonly [Time, Time]) => {
    const given = { ...problem, u0, p, tspan } as unknown as OdeProblem<Tree, unknown>;
    const { u, statistics } = solveOde(given, algorithm, options);
    return { u, statistics };
  });
  const program = run.programFor(u0, p, tspan);
  try {
    const { u, statistics } = await run.async(u0, p, tspan);
    const [steps, accepted, rejected, evaluations, code] = await statistics.data();
    const adjointEvaluations = accepted * algorithm.tableau.c.length;
    const stats = { steps, accepted, rejected, evaluations, adjointEvaluations };
    const [, end] = tspan;
    const { saveAt } = parseOdeOptions(algorithm, options);
    const t = saveAt ?? [isTensor(end) ? (await end.data())[0] : end];
    return { u: u as U, t, stats, retcode: RETCODES[code], statistics };
  } finally {
    program.dispose();
  }
}

/** The number of a time, or null where it is a tensor and read when the program runs. */
const hostTime = (t: Time): number | null => (isTensor(t) ? null : t);

const timeTensor = (t: Time): Tensor => (isTensor(t) ? tf.reshape(t, []) : tf.scalar(t));

function planOf(parsed: ParsedOdeOptions, t0: number | null, t1: number | null): SolvePlan {
  const { saveAt, stepping, maxIters, dtMin, dtTensor } = parsed;
  return { t0, t1, saveAt, stepping, maxIters, dtMin, dtGiven: dtTensor !== null };
}

const REASONS: Readonly<Record<Exclude<Retcode, 'Success'>, (o: ParsedOdeOptions) => string>> = {
  MaxIters: ({ maxIters }) =>
    `it took maxIters = ${maxIters} steps. Loosen the tolerances, raise maxIters, or shorten the span; a stiff problem needs an implicit method`,
  DtLessThanMin: () =>
    'the step became smaller than time can resolve. The problem is stiff, singular or discontinuous here, or the tolerances are below what the precision allows',
  Unstable: () => 'the solution grows without bound or is no longer finite',
};

function throwFailure(
  { failure, retcode, stats, u }: Integration,
  algorithm: OdeAlgorithm,
  parsed: ParsedOdeOptions,
  shape: readonly number[],
): void {
  if (failure === undefined || retcode === 'Success') return;
  const component = indexOf(failure.component, shape);
  const size = shape.reduce((n, d) => n * d, 1);
  const { saveAt } = parsed;
  const rows =
    saveAt === null || failure.savedRows === 0 || !readsAtOnce(tf.backend()) ? null : Array.from(readRows(u));
  const saved = rows === null ? [] : (saveAt ?? []).slice(0, failure.savedRows).map((t, i) => ({ t, u: rows.slice(i * size, (i + 1) * size) })); // prettier-ignore
  throw new SolveError(
    `solve (${algorithm.name}) failed at t = ${failure.t}: ${failure.slopeFinite ? REASONS[retcode](parsed) : 'the right-hand side is not finite there'}. Step ${failure.h}, ` +
      `component at fault ${formatComponent(failure.component, shape)} = ${failure.state[failure.component]}, scaled error ${failure.error}, ` +
      `after ${stats.accepted} accepted and ${stats.rejected} rejected steps (retcode ${retcode})`,
    {
      retcode,
      step: failure.h,
      component,
      stats,
      solution: { t: failure.t, u: failure.state, shape, saved },
    },
  );
}

function readRows({ dataId }: tf.TensorInfo): ArrayLike<number> {
  return tf.backend().readSync(dataId) as Float32Array;
}

/**
 * The statistics of a solve as a record of numbers.
 *
 * @param statistics - The tensor; or what it holds, where that has to be waited for (WebGPU): `await statistics.data()`.
 */
export function readStatistics(
  statistics: Tensor | ArrayLike<number>,
): Omit<SolveStats, 'adjointEvaluations'> & { retcode: Retcode } {
  const [steps, accepted, rejected, evaluations, code] = Array.from(isTensor(statistics) ? statistics.dataSync() : statistics); // prettier-ignore
  return { steps, accepted, rejected, evaluations, retcode: RETCODES[code] };
}
