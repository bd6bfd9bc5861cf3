/**
 * The linear system of the implicit function theorem as one node of a graph: `x = M^-1 b` or `x = M'^-1 b`, where `M` is
 * minus the derivative of the residual with respect to the state.
 *
 * Its derivative is made of the same kind of node: with `q = M'^-1 dx` the cotangent of `b` is `q`, and that of what `M`
 * depends on is the derivative of `-q . M x` there. So every order of derivative follows.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '../../src/core/tree.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import type { Spec } from '../../src/graph/graph.js';
import { replay } from '../../src/graph/program.js';
import type { Buffer } from '../../src/graph/executor.js';
import { atOnce, type Gradual, type Primitive, type RunContext, type VjpCall } from '../../src/graph/primitive.js';
import { currentTrace, traceGraph, type Trace } from '../../src/graph/trace.js';
import { gmres } from '../linear/algorithms.js';
import type { Loop } from '../../src/graph/workspace.js';
import type { NonlinearAlgorithm } from '../nonlinear/algorithm.js';
import { anderson } from '../nonlinear/anderson.js';
import { NonlinearSolveError } from '../nonlinear/error.js';
import { bindAll, NEEDS_VALUES, Runner, type Outcome } from '../nonlinear/run.js';
import { fresh, System } from '../nonlinear/system.js';
import { isSuccessful } from '../retcode.js';
import type { ImplicitAdjoint } from './equilibrium-adjoint.js';

/** What is differentiated, and how. */
export interface ImplicitNode {
  readonly system: System;
  readonly adjoint: ImplicitAdjoint;
  /** The relative tolerance where the adjoint names none; null: that of the precision. */
  readonly reltol: number | null;
  /** Told of each linear solve. */
  readonly onFinish: (outcome: Outcome) => void;
}

/** Anderson's method is GMRES while its memory lasts, and cheaper; a system that is too much for it goes to GMRES itself. */
const QUICK_ITERATIONS = 100;
const RESTART = 60;

/** What is tried, one after the other, until the system is solved. */
function solversFor({ system, adjoint }: ImplicitNode): readonly NonlinearAlgorithm[] {
  if (adjoint.linearSolver !== null) return [adjoint.linearSolver];
  return system.kind === 'fixedPoint' ? [anderson(), gmres({ restart: RESTART })] : [gmres({ restart: RESTART })];
}

/** The linear system as an equation for x with operands (u, b, ...operands of f). */
function linearSystem({ system }: ImplicitNode, algorithm: NonlinearAlgorithm, transposed: boolean): System {
  const { state } = system;
  const kind = algorithm.solves.includes('fixedPoint') ? 'fixedPoint' : 'nonlinear';
  const operands: Spec[] = [state, state, ...system.operands];
  const graph = traceGraph([state, ...operands], ([x, u, b, ...ops]) => {
    const maps = system.maps(ops);
    // The derivative of the residual is -M.
    const minus = transposed ? maps.vjp(u, x) : maps.jvp(u, x);
    const residual = tf.add(b, minus);
    return [kind === 'fixedPoint' ? tf.add(residual, x) : residual];
  });
  return new System(kind, graph, state, state, operands);
}

/** (u, b, ...operands of f) -> x. */
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
      bindAll(session, inputs[1], inputs);
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
  const [u, , ...ops] = inputs;
  const [q] = trace.primitive(implicitSolve(node, !transposed), [u, dx, ...ops]);
  const at = fresh(u);
  const own = ops.map(fresh);
  const since = trace.nodes.length;
  // -M is the derivative of the residual: (transposed) q . (-M' x), else q . (-M x).
  const maps = node.system.maps(own);
  const [x] = outputs;
  const minus = transposed ? maps.vjp(at, x) : maps.jvp(at, x);
  const wanted = [at, ...own];
  const asked = wanted.flatMap((tensor, i) => {
    const position = i === 0 ? 0 : i + 1;
    return needed[position] && tensor.dtype === 'float32' ? [{ tensor, position }] : [];
  });
  const targets = [{ value: trace.valueOf(minus), dy: q }];
  const grads = backpropagate(trace, targets, asked.map(({ tensor }) => trace.valueOf(tensor)), since); // prettier-ignore
  const result = inputs.map((): Tensor | null => null);
  asked.forEach(({ position }, i) => (result[position] = grads[i]));
  if (needed[1]) result[1] = q;
  return result;
}

/** The cotangents of the operands of f, for a cotangent `w` of f at `u`. Null where f does not depend on one. */
export function pullOperands(
  system: System,
  u: Tensor,
  ops: readonly Tensor[],
  w: Tensor,
  needed: readonly boolean[],
): (Tensor | null)[] {
  const trace = currentTrace() as Trace;
  const own = ops.map((x) => fresh(x));
  const since = trace.nodes.length;
  const [y] = replay(trace, system.graph, [u, ...own]);
  const wanted = own.filter((x, i) => needed[i] && x.dtype === 'float32');
  const grads = backpropagate(trace, [{ value: trace.valueOf(y), dy: w }], wanted.map((x) => trace.valueOf(x)), since); // prettier-ignore
  let next = 0;
  return own.map((x, i) => (needed[i] && x.dtype === 'float32' ? grads[next++] : null));
}
