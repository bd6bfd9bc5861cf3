/**
 * The equation as a graph: traced once, then recorded again inside every program that needs it, with or without its
 * derivative.
 */
import * as tf from '@tensorflow/tfjs-core';
import { ravel } from '../../src/core/flatten.js';
import {
  flatten,
  formatPath,
  isTensor,
  leavesWithPaths,
  treeMap,
  type Tensor,
  type Tree,
} from '../../src/core/tree.js';
import { describe } from '../../src/core/value.js';
import { derived } from '../../src/graph/derived.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import { formatShape, sameShape, type Graph, type Spec } from '../../src/graph/graph.js';
import { Program } from '../../src/graph/program.js';
import { replay } from '../../src/graph/replay.js';
import { simplify } from '../../src/graph/simplify.js';
import { currentTrace, traceGraph, type Trace } from '../../src/graph/trace.js';
import { hoist, type Hoisted } from './hoist.js';
import type { NonlinearKind } from './problem.js';

/** The map and its derivatives, recorded into whichever trace is active. */
export interface Maps {
  readonly operands: readonly Tensor[];
  /** `f(u, p)`. */
  image(u: Tensor): Tensor;
  /** What must vanish: `f(u, p) - u` for a fixed point, `f(u, p)` for a root. Takes the image where it is there already. */
  residual(u: Tensor, image?: Tensor): Tensor;
  /** The derivative of the residual at `u` in the direction `v`. */
  jvp(u: Tensor, v: Tensor): Tensor;
  /** The transposed derivative of the residual at `u`, applied to `w`. */
  vjp(u: Tensor, w: Tensor): Tensor;
}

/** A loop's program and what is computed once before it. */
export interface LoopPrograms {
  readonly prologue: Program | null;
  readonly loop: Program;
  readonly used: readonly number[];
}

/** An equation whose state is one tensor and whose operands are explicit. */
export class System {
  private readonly programs = new Map<string, LoopPrograms>();
  private readonly kept = new Set<Program>();

  constructor(
    readonly kind: NonlinearKind,
    /** (u, ...operands) -> f(u, p). */
    readonly graph: Graph,
    readonly state: Spec,
    /** Of `f(u, p)`; another shape than the state's only for least squares. */
    readonly image: Spec,
    readonly operands: readonly Spec[],
  ) {}

  /**
   * The program of that name: `build` is traced when it is first asked for. What depends on none of the first
   * `changing` inputs goes into
   * its prologue.
   *
   * @param common What `build` depends on besides the name, the specs and the equation: equal equations then have one graph
   * between them. Null: more than that can say.
   */
  program(
    name: string,
    specs: readonly Spec[],
    build: (own: Tensor[], maps: Maps) => readonly Tensor[],
    changing: number = specs.length,
    common: string | null = null,
  ): LoopPrograms {
    let made = this.programs.get(name);
    if (made === undefined) {
      const make = (): Hoisted => {
        const graph = traceGraph([...specs, ...this.operands], (given) => {
          const operands = given.slice(specs.length);
          return build(given.slice(0, specs.length), this.maps(operands));
        });
        const { prologue, loop, used } = hoist(graph, changing);
        return { prologue: prologue === null ? null : simplify(prologue), loop: simplify(loop), used };
      };
      const shapes = specs.map(({ shape, dtype }) => `${dtype}${formatShape(shape)}`).join();
      const key = `${common} ${this.kind} ${name} ${shapes} ${changing}`;
      const { prologue, loop, used } = common === null ? make() : derived(this.graph, key, make);
      made = { prologue: prologue === null ? null : new Program(prologue, true), loop: new Program(loop, true), used };
      this.programs.set(name, made);
    }
    return made;
  }

  maps(operands: readonly Tensor[]): Maps {
    const image = (u: Tensor): Tensor => replay(currentTrace() as Trace, this.graph, [u, ...operands])[0];
    const residual = (u: Tensor, given: Tensor = image(u)): Tensor =>
      this.kind === 'fixedPoint' ? tf.sub(given, u) : given;
    const pull = (u: Tensor, w: Tensor): Tensor => {
      const trace = currentTrace() as Trace;
      const x = fresh(u);
      const since = trace.nodes.length;
      const y = trace.valueOf(image(x));
      const [du] = backpropagate(trace, [{ value: y, dy: w }], [trace.valueOf(x)], since);
      return du ?? tf.zeros(u.shape);
    };
    return {
      operands,
      image,
      residual,
      vjp: (u, w) => (this.kind === 'fixedPoint' ? tf.sub(pull(u, w), w) : pull(u, w)),
      jvp: (u, v) => {
        // The transpose of the transpose.
        const trace = currentTrace() as Trace;
        const zero = fresh(tf.zeros([...this.image.shape]));
        const since = trace.nodes.length;
        const pulled = trace.valueOf(pull(u, zero));
        const [pushed] = backpropagate(trace, [{ value: pulled, dy: v }], [trace.valueOf(zero)], since);
        const jv = pushed ?? tf.zeros([...this.image.shape]);
        return this.kind === 'fixedPoint' ? tf.sub(jv, v) : jv;
      },
    };
  }

  /**
   * The equation of state and tangent side by side: `(u, v) -> (f(u, p), (df/du) v + (df/dp) w)`, with the state `[2, ...]` and the operands
   * followed by their tangents `w` (floating ones only).
   */
  tangent(): System {
    const { operands } = this;
    const state: Spec = { shape: [2, ...this.state.shape], dtype: 'float32' };
    const isFloating = ({ dtype }: { readonly dtype: string }): boolean => dtype === 'float32';
    const all = [...operands, ...operands.filter(isFloating)];
    const graph = traceGraph([state, ...all], ([both, ...given]) => {
      const trace = currentTrace() as Trace;
      const [u, v] = tf.unstack(both);
      const own = given.slice(0, operands.length);
      const since = trace.nodes.length;
      const [y] = replay(trace, this.graph, [u, ...own]);
      // The Jacobian-vector product as the transpose of the transpose.
      const zero = fresh(tf.zeros(y.shape));
      const back = trace.nodes.length;
      const xs = [u, ...own.filter(isFloating)];
      const pulled = backpropagate(trace, [{ value: trace.valueOf(y), dy: zero }], xs.map((x) => trace.valueOf(x)), since); // prettier-ignore
      const targets = [v, ...given.slice(operands.length)].flatMap((dy, i) => {
        const value = pulled[i];
        return value === null ? [] : [{ value: trace.valueOf(value), dy }];
      });
      const [pushed] = backpropagate(trace, targets, [trace.valueOf(zero)], back);
      return [tf.stack([y, pushed ?? tf.zeros(y.shape)])];
    });
    const image: Spec = { shape: [2, ...this.image.shape], dtype: 'float32' };
    return new System(this.kind, simplify(graph), state, image, all);
  }

  /** Have a program of a user's function freed with those of the equation. */
  keep(program: Program): Program {
    this.kept.add(program);
    return program;
  }

  /** Free what the programs hold between runs. */
  dispose(): void {
    for (const program of this.kept) program.dispose();
    for (const { prologue, loop } of this.programs.values()) {
      prologue?.dispose();
      loop.dispose();
    }
  }
}

/** The same value under a name of its own, so that only what is computed from it from here on is differentiated. */
export function fresh(x: Tensor): Tensor {
  const trace = currentTrace() as Trace;
  return trace.tensorOf(trace.record('Identity', { x }).outputs[0]);
}

export interface TracedSystem {
  readonly system: System;
  /** The start as one tensor, and the structure put back around such a tensor. */
  readonly u0: Tensor;
  readonly unravel: (u: Tensor) => unknown;
  /** The tensors of `p`, then what the function closed over. */
  readonly operands: readonly Tensor[];
}

/** One tensor that stands twice in a state is two unknowns that start equal: here, unlike in parameters, no tie. */
const ravelUntied = <T extends Tree>(tree: T): ReturnType<typeof ravel<T>> => ravel(treeMap(tree, (x) => tf.clone(x)));

/** Trace `f` at a state and parameters like these. */
export function traceSystem(
  kind: NonlinearKind,
  f: (u: never, p: never) => unknown,
  u0: unknown,
  p: unknown,
): TracedSystem {
  const single = isTensor(u0);
  const [vector, unravelVector] = single ? [u0, undefined] : ravelUntied(u0 as Tree);
  const where = kind === 'fixedPoint' ? 'fixedPointProblem' : 'nonlinearProblem';
  if (vector.size === 0) throw new TypeError(`${where}: u0 holds no numbers`);
  const unravel = (u: Tensor): unknown => (unravelVector === undefined ? u : unravelVector(u));
  const parameters = flatten(p);
  const state: Spec = { shape: vector.shape, dtype: 'float32' };
  const graph = traceGraph([state, ...parameters.leaves], ([u, ...leaves]) => {
    const y = f(unravel(u) as never, parameters.unflatten(leaves) as never);
    return [kind === 'fixedPoint' ? likeState(y, u0, single) : asResidual(y, vector)];
  });
  const program = new Program(graph);
  const operands = [...parameters.leaves, ...program.captured];
  const specs = operands.map(({ shape, dtype }) => ({ shape, dtype }));
  // Recorded once more with everything as an explicit input.
  const explicit = traceGraph([state, ...specs], ([u, ...ops]) => {
    const own = ops.slice(0, parameters.leaves.length);
    return replay(currentTrace() as Trace, program.graph, [u, ...own], ops.slice(own.length));
  });
  const [image] = explicit.outputs;
  const system = new System(kind, explicit, state, { shape: image.shape, dtype: 'float32' }, specs);
  return { system, u0: vector, unravel, operands };
}

/** The residual as one tensor: like the state where it has as many numbers, whatever the shape in which they come. */
function asResidual(y: unknown, state: Tensor): Tensor {
  const leaves = leavesWithPaths(y);
  if (leaves.length === 0)
    throw new TypeError(
      `nonlinearProblem: f must return the residual, a tensor or a tree of tensors, got ${describe(y)}`,
    );
  for (const { leaf, path } of leaves) {
    if (leaf.dtype === 'float32') continue;
    throw new TypeError(`nonlinearProblem: f must return float32, got ${leaf.dtype} at ${formatPath(path)}`);
  }
  const residual = isTensor(y) ? y : ravelUntied(y as Tree)[0];
  return residual.size === state.size ? tf.reshape(residual, state.shape) : residual;
}

/** The image as one tensor shaped like the state, or an error that names what differs. */
function likeState(y: unknown, u0: unknown, single: boolean): Tensor {
  const given = leavesWithPaths(y);
  const expected = leavesWithPaths(u0);
  if (single ? !isTensor(y) : given.length !== expected.length) {
    throw new TypeError(
      `fixedPointProblem: f must return a state of the same structure as u0, ${describe(u0)}, got ${describe(y)}`,
    );
  }
  const byPath = new Map(given.map((got) => [formatPath(got.path), got.leaf]));
  const ordered = expected.map(({ leaf, path }) => {
    const got = byPath.get(formatPath(path));
    if (got === undefined) {
      throw new TypeError(`fixedPointProblem: f must return a state like u0: nothing at ${formatPath(path)}, only ${[...byPath.keys()].join(', ')}`); // prettier-ignore
    }
    if (!sameShape(got.shape, leaf.shape) || got.dtype !== 'float32') {
      throw new TypeError(
        `fixedPointProblem: f must return a state like u0: at ${formatPath(path)} u0 is float32 ${formatShape(leaf.shape)}, f returned ${got.dtype} ${formatShape(got.shape)}`,
      );
    }
    return got;
  });
  return single ? ordered[0] : ravelUntied(ordered)[0];
}
