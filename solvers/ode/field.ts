/**
 * The right-hand side of an ODE as a graph: traced once, then recorded again inside every program that needs it. So the
 * user's function runs once per solve, and its derivative is that of the very operations which ran.
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  flatten,
  formatPath,
  isTensor,
  leavesWithPaths,
  treeMap,
  type Tensor,
  type Tree,
} from '../../src/core/tree.js';
import { ravel } from '../../src/core/flatten.js';
import { describe } from '../../src/core/value.js';
import { formatShape, sameShape, type Graph, type Spec } from '../../src/graph/graph.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import { Program } from '../../src/graph/program.js';
import { replay } from '../../src/graph/replay.js';
import { currentTrace, type Trace, traceGraph } from '../../src/graph/trace.js';

export interface Field {
  /** (u, t, ...operands) -> du, with `u` one tensor. */
  readonly graph: Graph;
  readonly state: Spec;
  readonly operands: readonly Spec[];
}

export type RightHandSide = (u: never, p: never, t: Tensor) => unknown;

export interface TracedField {
  readonly field: Field;
  /** The initial state as one tensor, and the structure put back around such a tensor (or around several, one per time). */
  readonly u0: Tensor;
  readonly unravel: (u: Tensor) => unknown;
  readonly unravelRows: (u: Tensor) => unknown;
  /** The tensors of `p`, then what the function closed over. */
  readonly operands: readonly Tensor[];
}

const float32: tf.DataType = 'float32';
export const SCALAR: Spec = { shape: [], dtype: float32 };

/** Trace `f` at a state, parameters and time like these. */
export function traceField(f: RightHandSide, u0: unknown, p: unknown): TracedField {
  for (const { leaf, path } of leavesWithPaths(u0)) {
    if (leaf.dtype !== float32) {
      throw new TypeError(`odeProblem: u0 at ${formatPath(path)} must be float32, got ${leaf.dtype}`);
    }
  }
  const single = isTensor(u0);
  const [vector, unravelVector] = single ? [u0, undefined] : ravelUntied(u0 as Tree);
  if (vector.size === 0) throw new TypeError('odeProblem: u0 holds no numbers');
  const unravel = (u: Tensor): unknown => (unravelVector === undefined ? u : unravelVector(u));
  const parameters = flatten(p);
  const state: Spec = { shape: vector.shape, dtype: float32 };
  const graph = traceGraph([state, SCALAR, ...parameters.leaves], ([u, t, ...leaves]) => {
    const du = f(unravel(u) as never, parameters.unflatten(leaves) as never, t);
    return [flatLike(du, u0, single)];
  });
  const program = new Program(graph);
  const operands = [...parameters.leaves, ...program.captured];
  const field = { graph: program.graph, state, operands: operands.map(({ shape, dtype }) => ({ shape, dtype })) };
  const unravelRows = (rows: Tensor): unknown => {
    if (single) return rows;
    const { leaves, unflatten } = flatten(u0);
    const pieces = tf.split(rows, leaves.map((leaf) => leaf.size), 1); // prettier-ignore
    return unflatten(pieces.map((piece, i) => tf.reshape(piece, [rows.shape[0], ...leaves[i].shape])));
  };
  return { field, u0: vector, unravel, unravelRows, operands };
}

/** One tensor that stands twice in a state is two components that start equal: here, unlike in parameters, no tie. */
const ravelUntied = <T extends Tree>(tree: T): ReturnType<typeof ravel<T>> => ravel(treeMap(tree, (x) => tf.clone(x)));

/** The derivative as one tensor shaped like the state, or an error that names what differs. */
function flatLike(du: unknown, u0: unknown, single: boolean): Tensor {
  const given = leavesWithPaths(du);
  const expected = leavesWithPaths(u0);
  if (single ? !isTensor(du) : given.length !== expected.length) {
    throw new TypeError(
      `odeProblem: f must return a derivative of the same structure as u0, ${describe(u0)}, got ${describe(du)}`,
    );
  }
  const byPath = new Map(given.map((got) => [formatPath(got.path), got]));
  const ordered = expected.map(({ leaf, path }) => {
    const got = byPath.get(formatPath(path));
    if (got === undefined) {
      throw new TypeError(
        `odeProblem: f must return a derivative like u0: nothing at ${formatPath(path)}, only ${[...byPath.keys()].join(', ')}`,
      );
    }
    if (!sameShape(got.leaf.shape, leaf.shape) || got.leaf.dtype !== float32) {
      throw new TypeError(
        `odeProblem: f must return a derivative like u0: at ${formatPath(path)} u0 is float32 ${formatShape(leaf.shape)}, f returned ${got.leaf.dtype} ${formatShape(got.leaf.shape)}`,
      );
    }
    return got.leaf;
  });
  return single ? ordered[0] : ravelUntied(ordered)[0];
}

/** Record `f(u, t)` in the active trace. */
export function evaluateField(field: Field, u: Tensor, t: Tensor, operands: readonly Tensor[]): Tensor {
  const parameters = field.graph.inputs.length - 2;
  const [du] = replay(
    currentTrace() as Trace,
    field.graph,
    [u, t, ...operands.slice(0, parameters)],
    operands.slice(parameters),
  );
  return du;
}

/**
 * The field of state and tangent side by side, `(u, v)' = (f, (df/du) v + (df/dp) w)`, with the state `[2, ...]` and the
 * operands followed by their tangents `w` (floating ones only). Second derivatives of a solve are first derivatives of a
 * solve of this field.
 */
export function tangentField(field: Field): Field {
  const floating = field.operands.map((spec) => spec.dtype === float32);
  const tangents = field.operands.filter((_, i) => floating[i]);
  const state: Spec = { shape: [2, ...field.state.shape], dtype: float32 };
  const operands = [...field.operands, ...tangents];
  const graph = traceGraph([state, SCALAR, ...operands], ([both, t, ...given]) => {
    const trace = currentTrace() as Trace;
    const [u, v] = tf.unstack(both);
    const own = given.slice(0, field.operands.length);
    const w = given.slice(field.operands.length);
    const since = trace.nodes.length;
    const du = evaluateField(field, u, t, own);
    // The Jacobian-vector product as the transpose of the transpose.
    const zero = trace.tensorOf(trace.record('Identity', { x: tf.zeros(du.shape) }).outputs[0]);
    const xs = [u, ...own.filter((_, i) => floating[i])];
    const back = trace.nodes.length;
    const pulled = backpropagate(trace, [{ value: trace.valueOf(du), dy: zero }], xs.map((x) => trace.valueOf(x)), since); // prettier-ignore
    const targets = [v, ...w].flatMap((dy, i) => {
      const value = pulled[i];
      return value === null ? [] : [{ value: trace.valueOf(value), dy }];
    });
    const [dv] = backpropagate(trace, targets, [trace.valueOf(zero)], back);
    return [tf.stack([du, dv ?? tf.zeros(du.shape)])];
  });
  // Every operand is an explicit input here: nothing is captured.
  return { graph: new Program(graph).graph, state, operands };
}
