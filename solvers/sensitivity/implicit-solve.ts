/**
 * The linear system of the implicit function theorem as one node of a graph: `x = M^-1 b` or `x = M'^-1 b`, where `M` is
 * minus the derivative of the residual with respect to the state.
 *
 * Its derivative is made of the same kind of node: with `q = M'^-1 dx` the cotangent of `b` is `q`, and that of what `M`
 * depends on is the derivative of `-q . M x` there. So every order of derivative follows.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { derived } from '../../src/graph/derived.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import type { Spec } from '../../src/graph/graph.js';
import { replay } from '../../src/graph/replay.js';
import type { Buffer } from '../../src/graph/executor.js';
import { atOnce, type Gradual, type Primitive, type RunContext, type VjpCall } from '../../src/graph/primitive.js';
import { currentTrace, traceGraph, type Trace } from '../../src/graph/trace.js';
import { gmres } from '../linear/algorithms.js';
import { reducedRank } from '../linear/reduced-rank.js';
import type { Loop } from '../../src/graph/workspace.js';
import type { NonlinearAlgorithm } from '../nonlinear/algorithm.js';
import { NonlinearSolveError } from '../nonlinear/error.js';
import { bindAll, NEEDS_VALUES, Runner, type Outcome } from '../nonlinear/run.js';
import { fresh, System } from '../nonlinear/system.js';
import { isSuccessful } from '../retcode.js';
import type { ImplicitAdjoint } from './equilibrium-adjoint.js';
import { pullbackOf, residualsAt, type Pullback } from './pullback.js';

/** What is differentiated, and how. */
export interface ImplicitNode {
  readonly system: System;
  readonly adjoint: ImplicitAdjoint;
  /** The relative tolerance where the adjoint names none; null: that of the precision. */
  readonly reltol: number | null;
  /** Told of each linear solve. */
  readonly onFinish: (outcome: Outcome) => void;
}

/** Where the map contracts, hardly more than the products is needed; a system that is too much for that goes to GMRES. */
const QUICK_ITERATIONS = 100;
const RESTART = 60;

/** What is tried, one after the other, until the system is solved. */
function solversFor({ system, adjoint }: ImplicitNode): readonly NonlinearAlgorithm[] {
  if (adjoint.linearSolver !== null) return [adjoint.linearSolver];
  return system.kind === 'fixedPoint' ? [reducedRank(), gmres({ restart: RESTART })] : [gmres({ restart: RESTART })];
}

/** `(df/du)' x` or `(df/du) x`, recorded into the active trace. The point: (u, ...operands of f, ...residuals of the pullback). */
function applied({ toState }: Pullback, x: Tensor, point: readonly Tensor[], transposed: boolean): Tensor {
  const trace = currentTrace() as Trace;
  if (transposed) return replay(trace, toState, [x, ...point])[0];
  // The transpose of the transpose.
  const zero = fresh(tf.zeros(x.shape));
  const since = trace.nodes.length;
  const [pulled] = replay(trace, toState, [zero, ...point]);
  const [pushed] = backpropagate(trace, [{ value: trace.valueOf(pulled), dy: x }], [trace.valueOf(zero)], since);
  return pushed ?? tf.zeros(x.shape);
}

/** The linear system as an equation for x with operands (b, ...point). */
function linearSystem({ system }: ImplicitNode, algorithm: NonlinearAlgorithm, transposed: boolean): System {
  const { state } = system;
  const kind = algorithm.solves.includes('fixedPoint') ? 'fixedPoint' : 'nonlinear';
  const pullback = pullbackOf(system);
  const operands: Spec[] = [state, state, ...system.operands, ...pullback.residuals];
  const graph = derived(system.graph, `linear ${system.kind} ${kind} ${transposed}`, () =>
    traceGraph([state, ...operands], ([x, b, ...point]) => {
      // For a fixed point M = I - df/du, for a root -df/du.
      const y = tf.add(b, applied(pullback, x, point, transposed));
      if (kind === system.kind) return [y];
      return [kind === 'fixedPoint' ? tf.add(y, x) : tf.sub(y, x)];
    }),
  );
  return new System(kind, graph, state, state, operands);
}

/** (b, u, ...operands of f, ...residuals of its pullback at u) -> x. */
export function implicitSolve(node: ImplicitNode, transposed: boolean): Primitive {
  const { system, adjoint } = node;
  const algorithms = solversFor(node);
  const runners: Runner[] = [];
  const make = (algorithm: NonlinearAlgorithm, isLast: boolean): Runner =>
    new Runner(linearSystem(node, algorithm, transposed), algorithm, {
      norm: 'rms',
      abstol: adjoint.abstol,
      reltol: adjoint.reltol ?? node.reltol,
      maxIters: isLast ? adjoint.maxIters : Math.min(adjoint.maxIters, QUICK_ITERATIONS),
      patience: isLast ? 100 : 20,
      divergence: isLast ? Infinity : 1e4,
      storeTrace: false,
    });
  function* attempt(i: number, inputs: readonly Buffer[], context: RunContext): Gradual<Buffer> {
    const isLast = i === algorithms.length - 1;
    const runner = (runners[i] ??= make(algorithms[i], isLast));
    const solved = yield* runner.use(context, function* ({ session, solve }): Loop<Buffer | undefined> {
      bindAll(session, inputs[0], inputs);
      const { u, outcome } = yield* solve();
      const success = isSuccessful(outcome.retcode);
      if (!success && !isLast) return undefined;
      node.onFinish(outcome);
      if (!success) report(outcome, runner, transposed, adjoint.onFailure);
      return session.ws.copy(u);
    });
    return solved ?? (yield* attempt(i + 1, inputs, context));
  }
  function* run(inputs: readonly Buffer[], context: RunContext): Gradual<Buffer[]> {
    return [yield* attempt(0, inputs, context)];
  }
  return {
    name: transposed ? 'implicit adjoint' : 'implicit derivative',
    outputs: [system.state],
    run: (inputs, context) => atOnce(run(inputs, context), NEEDS_VALUES),
    gradually: run,
    vjp: (call) => derivative(node, transposed, call),
    dispose: () => {
      for (const runner of runners.splice(0)) runner.dispose();
    },
  };
}

function report(outcome: Outcome, { algorithm }: Runner, transposed: boolean, how: ImplicitAdjoint['onFailure']): void {
  if (how === 'ignore') return;
  const { retcode, iterations, evaluations, residual, tolerance, reason } = outcome;
  const message =
    `the linear system of the implicit ${transposed ? 'adjoint' : 'derivative'} was not solved (${algorithm.name}): residual ${residual.toPrecision(3)}, tolerance ` +
    `${tolerance.toPrecision(3)}, after ${iterations} iterations (retcode ${retcode})${reason === undefined ? '' : `: ${reason}`}. ` +
    'I - df/du (df/du at a root) is singular or badly conditioned at the solution, or the tolerance is too small: try another linearSolver, a larger reltol or ' +
    'maxIters of implicitAdjoint(), or phantom() or jacobianFree(), which solve nothing';
  if (how === 'warn') console.warn(message);
  else throw new NonlinearSolveError(message, { retcode, iterations, evaluations, residual, u: [], shape: [] });
}

function derivative(node: ImplicitNode, transposed: boolean, call: VjpCall): (Tensor | null)[] {
  const { inputs, outputs, dys, needed } = call;
  const [dx] = dys;
  if (dx === null) return inputs.map(() => null);
  const trace = currentTrace() as Trace;
  const [, ...point] = inputs;
  const [q] = trace.primitive(implicitSolve(node, !transposed), [dx, ...point]);
  const own = point.map((x) => fresh(x));
  const since = trace.nodes.length;
  // What M depends on acts through df/du alone: (transposed) q . ((df/du)' x), else q . ((df/du) x).
  const [x] = outputs;
  const minus = applied(pullbackOf(node.system), x, own, transposed);
  const asked = own.flatMap((tensor, i) => (needed[i + 1] && tensor.dtype === 'float32' ? [{ tensor, i }] : []));
  const targets = [{ value: trace.valueOf(minus), dy: q }];
  const grads = backpropagate(trace, targets, asked.map(({ tensor }) => trace.valueOf(tensor)), since); // prettier-ignore
  const result = inputs.map((): Tensor | null => null);
  asked.forEach(({ i }, j) => (result[i + 1] = grads[j]));
  if (needed[0]) result[0] = q;
  return result;
}

/** The cotangents of (u0, ...operands) for a cotangent of the solution. `image` is `f(u)`, where it is known. */
export function implicitDerivative(
  node: ImplicitNode,
  u: Tensor,
  image: Tensor | undefined,
  operands: readonly Tensor[],
  dy: Tensor,
): (Tensor | null)[] {
  const trace = currentTrace() as Trace;
  const pullback = pullbackOf(node.system);
  const point = [u, ...operands, ...residualsAt(pullback, u, operands, image)];
  const [w] = trace.primitive(implicitSolve(node, true), [dy, ...point]);
  const result: (Tensor | null)[] = [null, ...operands.map(() => null)];
  const cotangents = replay(trace, pullback.toOperands, [w, ...point]);
  pullback.reached.forEach((i, j) => (result[i + 1] = cotangents[j]));
  return result;
}
