/**
 * The transposed derivative of an equation's map at one point, in two parts: what depends on the point alone, computed once for all that
 * pull cotangents back there, and the rest.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { derived } from '../../src/graph/derived.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import type { Graph, Spec } from '../../src/graph/graph.js';
import { partition, selectOutputs } from '../../src/graph/partition.js';
import { replay } from '../../src/graph/replay.js';
import { simplify } from '../../src/graph/simplify.js';
import { currentTrace, traceGraph, type Trace } from '../../src/graph/trace.js';
import { fresh, type System } from '../nonlinear/system.js';

/** Graphs and plain data: equal equations have one between them. */
export interface Pullback {
  /** (u, ...operands) -> [f(u), ...residuals]. */
  readonly evaluate: Graph;
  /** What the others need of that evaluation. */
  readonly residuals: readonly Spec[];
  /** Which of the residuals is `f(u)` itself, or -1. */
  readonly image: number;
  /** (w, u, ...operands, ...residuals) -> `(df/du)' w`. */
  readonly toState: Graph;
  /** The same inputs -> `(df/dp)' w` for the operands in `reached`. */
  readonly toOperands: Graph;
  readonly reached: readonly number[];
}

export function pullbackOf(system: System): Pullback {
  return derived(system.graph, 'pullback', () => pullback(system));
}

function pullback({ graph, state, image, operands }: System): Pullback {
  const reached: number[] = [];
  const whole = traceGraph([image, state, ...operands], ([w, u, ...ops]) => {
    const trace = currentTrace() as Trace;
    const own = [u, ...ops].map(fresh);
    const since = trace.nodes.length;
    const [y] = replay(trace, graph, own);
    const wanted = own.flatMap((x, i) => (x.dtype === 'float32' ? [{ x, i }] : []));
    const targets = [{ value: trace.valueOf(y), dy: w }];
    const [du, ...grads] = backpropagate(trace, targets, wanted.map(({ x }) => trace.valueOf(x)), since); // prettier-ignore
    const cotangents: Tensor[] = [];
    grads.forEach((g, j) => {
      if (g === null) return;
      cotangents.push(g);
      reached.push(wanted[j + 1].i - 1);
    });
    return [y, du ?? tf.zeros(u.shape), ...cotangents];
  });
  const simple = simplify(whole);
  const { early, late, residuals } = partition(simple, 1);
  return {
    evaluate: { ...early, inputs: early.inputs.slice(1) },
    residuals: residuals.map(({ shape, dtype }) => ({ shape, dtype })),
    image: early.outputs.indexOf(early.outputs[0], 1) - 1,
    toState: selectOutputs(late, 0, 1),
    toOperands: selectOutputs(late, 1, 1 + reached.length),
    reached,
  };
}

/** In a trace: `f(u)` and what to pull back with. Where `f(u)` is known already, give it, and no more of it is computed than is needed besides. */
export function residualsAt(
  { evaluate, image }: Pullback,
  u: Tensor,
  operands: readonly Tensor[],
  known: Tensor | undefined,
): Tensor[] {
  const [, ...residuals] = replay(currentTrace() as Trace, evaluate, [u, ...operands]);
  if (known !== undefined && image >= 0) residuals[image] = known;
  return residuals;
}
