/**
 * `solve` for equations: `f(u, p) = 0` and `f(u, p) = u`.
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  formatPath,
  isTensor,
  leaves,
  leavesWithPaths,
  mapLeaves,
  type Tensor,
  type Tree,
} from '../../src/core/tree.js';
import { formatShape } from '../../src/graph/graph.js';
import { compile } from '../../src/graph/compile.js';
import type { Primitive } from '../../src/graph/primitive.js';
import { Program } from '../../src/graph/program.js';
import { currentTrace, traceGraph, TraceError, type Trace } from '../../src/graph/trace.js';
import { isSuccessful, NONLINEAR_RETCODES, type NonlinearRetcode } from '../retcode.js';
import { checkNonlinearAlgorithm, type NonlinearAlgorithm } from './algorithm.js';
import { equilibriumPrimitive, type EquilibriumNode, type RowSystem } from './node.js';
import { parseNonlinearOptions, type NonlinearOptions, type ParsedNonlinearOptions } from './options.js';
import type { AnyNonlinearProblem, NonlinearKind } from './problem.js';
import type { Outcome } from './run.js';
import { traceSystem, type TracedSystem } from './system.js';

/** How one equation ended: the only one, or a row of an independent batch. */
export interface SampleReport {
  readonly retcode: NonlinearRetcode;
  readonly iterations: number;
  /** Evaluations of f, alone or with its derivative. */
  readonly evaluations: number;
  /** The norm of the residual of the state returned. */
  readonly residual: number;
}

export interface NonlinearSolution<U> {
  /** The state with the smallest residual that was met, like u0. */
  readonly u: U;
  /** The norm of its residual: a scalar, or `[batch]` for an independent batch. Without derivative. */
  readonly residual: Tensor;
  /**
   * `[iterations, evaluations, retcode, bestAt]` as int32, `[batch, 4]` for an independent batch; see {@link
   * readNonlinearStatistics}.
   */
  readonly statistics: Tensor;
  /** Of the rows together: the first retcode that is not a success, and the sums of what was spent. */
  readonly retcode: NonlinearRetcode;
  readonly iterations: number;
  readonly evaluations: number;
  /** One for each row of an independent batch, else one. */
  readonly samples: readonly SampleReport[];
  /**
   * The norms of all residuals, `[maxIters + 1]` or `[batch, maxIters + 1]`, NaN where there was none; with
   * `storeTrace`.
   */
  readonly trace: Tensor | undefined;
  /** The linear system that the latest derivative of this solution solved: undefined until there is one. */
  readonly adjoint: SampleReport | undefined;
}

/** The rows of a state `[batch, ...]` as equations of their own. */
function traceRows(
  problem: AnyNonlinearProblem<Tree, unknown>,
  parsed: ParsedNonlinearOptions,
  whole: TracedSystem,
): RowSystem {
  const { kind, f, u0, p } = problem;
  if (!isTensor(u0) || u0.shape.length === 0) {
    const given = isTensor(u0) ? 'a scalar' : 'a tree';
    throw new TypeError(`solve: batch 'independent' takes a state of one tensor [batch, ...], got ${given}`);
  }
  const picked = parsed.along === null ? [] : leaves(parsed.along(p as never));
  const batch = u0.shape[0];
  const chosen = new Set<Tensor>(picked);
  for (const { leaf, path } of leavesWithPaths(p)) {
    if (!chosen.has(leaf)) continue;
    if (leaf.shape[0] !== batch) {
      throw new TypeError(`solve: option "along" picks the tensor at ${formatPath(path)} of p, ${formatShape(leaf.shape)}, whose first axis is not the batch of ${batch}`); // prettier-ignore
    }
    chosen.delete(leaf);
  }
  if (chosen.size > 0) throw new TypeError('solve: option "along" must pick tensors of p');
  const rowOf = (x: Tensor): Tensor => tf.slice(x, [0], [1]);
  const all = new Set<Tensor>(picked);
  return tidied(() => {
    const row = mapLeaves(p, (leaf) => (isTensor(leaf) && all.has(leaf) ? rowOf(leaf) : leaf));
    const { system, operands } = traceSystem(kind, f, rowOf(u0), row);
    const parameters = leaves(p);
    if (
      operands.length !== whole.operands.length ||
      operands.some((x, i) => i >= parameters.length && x !== whole.operands[i])
    ) {
      throw new TypeError('solve: f uses other tensors for one row than for the batch');
    }
    return { system, along: operands.map((_, i) => i < parameters.length && all.has(parameters[i])) };
  });
}

/** Run `f` and free the tensors it made: its result holds none. */
function tidied<T>(f: () => T): T {
  let result: T | undefined;
  tf.tidy(() => {
    result = f();
  });
  return result as T;
}

interface Prepared {
  readonly primitive: Primitive;
  readonly inputs: readonly Tensor[];
  readonly restore: (u: Tensor) => unknown;
  readonly latest: { outcomes: readonly Outcome[] | undefined; adjoint: Outcome | undefined };
}

function prepare(
  problem: AnyNonlinearProblem<Tree, unknown>,
  algorithm: NonlinearAlgorithm,
  parsed: ParsedNonlinearOptions,
): Prepared {
  const traced = traceSystem(problem.kind, problem.f, problem.u0, problem.p);
  const latest: Prepared['latest'] = { outcomes: undefined, adjoint: undefined };
  const node: EquilibriumNode = {
    system: traced.system,
    rows: parsed.batch === 'independent' ? traceRows(problem, parsed, traced) : null,
    algorithm,
    options: parsed,
    onFinish: (outcomes) => {
      latest.outcomes = outcomes;
    },
    onAdjoint: (outcome) => {
      latest.adjoint = outcome;
    },
  };
  return {
    primitive: equilibriumPrimitive(node),
    inputs: [traced.u0, ...traced.operands],
    restore: traced.unravel,
    latest,
  };
}

const reportOf = ({ retcode, iterations, evaluations, residual }: Outcome): SampleReport => ({
  retcode,
  iterations,
  evaluations,
  residual,
});

/** What is known of all rows together. */
function summary(
  samples: readonly SampleReport[],
): Pick<NonlinearSolution<never>, 'retcode' | 'iterations' | 'evaluations'> {
  const worst = samples.find(({ retcode }) => !isSuccessful(retcode)) ?? samples[0];
  return {
    retcode: worst.retcode,
    iterations: samples.reduce((n, s) => n + s.iterations, 0),
    evaluations: samples.reduce((n, s) => n + s.evaluations, 0),
  };
}

/** `solve` for an equation; the overload for equations says what it promises. */
export function solveNonlinear<U extends Tree, P>(
  problem: AnyNonlinearProblem<U, P>,
  algorithm: NonlinearAlgorithm,
  options: NonlinearOptions = {},
): NonlinearSolution<U> {
  checkNonlinearAlgorithm(algorithm, problem.kind, 'solve: the second argument');
  const parsed = parseNonlinearOptions(options);
  checkAdjoint(problem.kind, algorithm, parsed);
  const trace = currentTrace();
  const given = problem as unknown as AnyNonlinearProblem<Tree, unknown>;
  return (trace === undefined ? solveNow(given, algorithm, parsed) : solveTraced(given, algorithm, parsed, trace)) as NonlinearSolution<U>; // prettier-ignore
}

/**
 * The same, waiting for numbers where the backend cannot read them at once (WebGPU). No `tf.tidy` reaches its tensors:
 * dispose of
 * `solution.u`, `residual`, `statistics` and `trace` when they are no longer wanted.
 */
export async function solveNonlinearLater<U extends Tree, P>(
  problem: AnyNonlinearProblem<U, P>,
  algorithm: NonlinearAlgorithm,
  options: NonlinearOptions = {},
): Promise<NonlinearSolution<U>> {
  const box: { adjoint?: () => SampleReport | undefined } = {};
  const run = compile((u0: U, p: P) => {
    const found = solveNonlinear({ ...problem, u0, p }, algorithm, options);
    box.adjoint = () => found.adjoint;
    const { u, residual, statistics, trace } = found;
    return { u, residual, statistics, ...(trace === undefined ? {} : { trace }) };
  });
  const { u0, p } = problem;
  const program = run.programFor(u0, p);
  try {
    const found = await run.async(u0, p);
    const norms = await found.residual.data();
    const samples = readRows(await found.statistics.data()).map((row, i) => ({ ...row, residual: norms[i] }));
    const solution = { trace: undefined, ...found, ...summary(samples), samples };
    return Object.defineProperty(solution, 'adjoint', {
      get: () => box.adjoint?.(),
    }) as unknown as NonlinearSolution<U>;
  } finally {
    program.dispose();
  }
}

function checkAdjoint(kind: NonlinearKind, algorithm: NonlinearAlgorithm, { adjoint }: ParsedNonlinearOptions): void {
  if (adjoint.kind === 'phantom' && kind !== 'fixedPoint') {
    throw new TypeError('solve: phantom() and jacobianFree() are for fixed points; a root takes implicitAdjoint()');
  }
  if (adjoint.kind !== 'unrolled') return;
  if (algorithm.recorded === undefined) {
    throw new TypeError(
      `solve: unrolled() needs iterations that can be recorded, which ${algorithm.name}() has not; take picard() or reversible(), or implicitAdjoint()`,
    );
  }
}

/** The outputs of a solve that a solution shows: another is there for its derivative. */
const shown = (outputs: readonly Tensor[], { storeTrace }: ParsedNonlinearOptions): readonly Tensor[] =>
  outputs.slice(0, storeTrace ? 4 : 3);

function solveNow(
  problem: AnyNonlinearProblem<Tree, unknown>,
  algorithm: NonlinearAlgorithm,
  parsed: ParsedNonlinearOptions,
): NonlinearSolution<unknown> {
  let latest: Prepared['latest'] | undefined;
  const tensors = tf.tidy(() => {
    const prepared = prepare(problem, algorithm, parsed);
    latest = prepared.latest;
    const { primitive, inputs, restore } = prepared;
    const specs = inputs.map(({ shape, dtype }) => ({ shape, dtype }));
    const program = new Program(traceGraph(specs, (xs) => shown((currentTrace() as Trace).primitive(primitive, xs), parsed))); // prettier-ignore
    try {
      const [u, residual, statistics, trace] = program.run(inputs) as (Tensor | undefined)[];
      return { u: restore(u as Tensor) as tf.TensorContainer, residual, statistics, trace };
    } finally {
      program.dispose();
    }
  }) as unknown as Pick<NonlinearSolution<unknown>, 'u' | 'residual' | 'statistics' | 'trace'>;
  const known = latest as Prepared['latest'];
  const samples = (known.outcomes ?? []).map(reportOf);
  return withAdjoint({ ...tensors, ...summary(samples), samples }, known);
}

function solveTraced(
  problem: AnyNonlinearProblem<Tree, unknown>,
  algorithm: NonlinearAlgorithm,
  parsed: ParsedNonlinearOptions,
  active: Trace,
): NonlinearSolution<unknown> {
  const { primitive, inputs, restore, latest } = prepare(problem, algorithm, parsed);
  const [u, residual, statistics, trace] = shown(active.primitive(primitive, inputs), parsed) as (Tensor | undefined)[];
  const unknown = (what: string): never => {
    throw new TraceError(`solution.${what} is known only when the program runs; use the tensors solution.statistics and solution.residual`); // prettier-ignore
  };
  const solution = { u: restore(u as Tensor), residual, statistics, ...(trace === undefined ? {} : { trace }) };
  // Not enumerable, so that a traced function can return the whole solution.
  for (const what of ['retcode', 'iterations', 'evaluations', 'samples'] as const) {
    Object.defineProperty(solution, what, { get: () => unknown(what) });
  }
  return withAdjoint(solution as unknown as NonlinearSolution<unknown>, latest);
}

function withAdjoint<S extends object>(
  solution: S,
  latest: Prepared['latest'],
): S & { readonly adjoint: SampleReport | undefined } {
  return Object.defineProperty(solution, 'adjoint', {
    get: () => (latest.adjoint === undefined ? undefined : reportOf(latest.adjoint)),
  }) as S & { readonly adjoint: SampleReport | undefined };
}

/**
 * The statistics of a solution, `[4]` or `[batch, 4]`, as one record for each row.
 *
 * @param statistics - The tensor; or what it holds, where that has to be waited for (WebGPU): `await statistics.data()`.
 */
export function readNonlinearStatistics(statistics: Tensor | ArrayLike<number>): Omit<SampleReport, 'residual'>[] {
  return readRows(isTensor(statistics) ? statistics.dataSync() : statistics);
}

function readRows(values: ArrayLike<number>): Omit<SampleReport, 'residual'>[] {
  return Array.from({ length: values.length / 4 }, (_, i) => ({
    iterations: values[4 * i],
    evaluations: values[4 * i + 1],
    retcode: NONLINEAR_RETCODES[values[4 * i + 2]],
  }));
}
