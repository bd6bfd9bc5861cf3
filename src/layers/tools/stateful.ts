/**
 * A layer as a plain function that keeps its parameters and states: a bridge to code that wants `y = m(x)`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { testMode, trainMode, type Layer } from '../../core/layer.js';
import { leaves, treeMap, type StateTree, type Tensor, type Tree } from '../../core/tree.js';
import { describe } from '../../core/value.js';
import { currentTrace } from '../../graph/trace.js';
import { isLayer } from '../container.js';

export interface StatefulLayer<X, Y, P extends Tree, S extends StateTree> {
  /** Applies the layer, with other parameters if they are given, and keeps the new state. */
  (x: X, ps?: P): Y;
  readonly layer: Layer<X, Y, P, S>;
  /** The parameters it applies by default; assign to exchange them. */
  ps: P;
  /** The state after the last call; assign to set it. */
  st: S;
  /** From now on as in {@link testMode}. */
  testMode(): void;
  /** From now on as in {@link trainMode}. */
  trainMode(): void;
  /** Frees the states that it made itself; those it was given, and the parameters, stay the caller's. */
  dispose(): void;
}

/**
 * `m(x)`: a layer with parameters and states inside. The state of each call enters the next.
 *
 * Inside a traced function (`compile`, `grad`, a solver's right-hand side) a call starts from the state at hand and leaves it
 * as it was: a trace has no values that could be kept, and a traced function must be pure.
 *
 * @throws TypeError for anything but a layer.
 *
 * @example
 * const m = statefulLayer(model, ps, testMode(st));
 * const problem = odeProblem((u, p) => m(u, p), u0, [0, 1], ps);
 */
export function statefulLayer<X, Y, P extends Tree, S extends StateTree>(
  layer: Layer<X, Y, P, S>,
  ps: P,
  st: S,
): StatefulLayer<X, Y, P, S> {
  if (!isLayer(layer)) throw new TypeError(`statefulLayer: expected a layer, got ${describe(layer)}`);
  let state = st;
  /** Made here, and not handed out as anybody's. */
  let own = new Set<Tensor>();
  /** The next state with tensors of its own, for an output may be part of it; `outside` are those of the caller. */
  const keep = (next: S, outside: ReadonlySet<Tensor>): void => {
    const before = new Set(leaves(state));
    const copies = new Map<Tensor, Tensor>();
    const kept = new Set<Tensor>();
    const after = treeMap(next, (t) => {
      const copy = before.has(t) ? t : (copies.get(t) ?? tf.keep(tf.clone(t)));
      copies.set(t, copy);
      if (copy !== t || own.has(t)) kept.add(copy);
      return copy;
    });
    for (const [t, copy] of copies) if (copy !== t && !outside.has(t)) t.dispose();
    for (const t of own) if (!kept.has(t)) t.dispose();
    [own, state] = [kept, after];
  };
  const call = (x: X, other?: P): Y => {
    const ps = other ?? self.ps;
    const [y, next] = layer.apply(x, ps, state);
    if (currentTrace() === undefined) keep(next, new Set(leaves([x, y, ps])));
    return y;
  };
  const self = Object.assign(call, {
    layer,
    ps,
    testMode: () => {
      state = testMode(state);
    },
    trainMode: () => {
      state = trainMode(state);
    },
    dispose: () => {
      for (const t of own) t.dispose();
      own = new Set();
    },
  });
  Object.defineProperty(self, 'st', {
    enumerable: true,
    get: () => state,
    set: (next: S) => {
      for (const t of own) if (!leaves(next).includes(t)) t.dispose();
      own = new Set(leaves(next).filter((t) => own.has(t)));
      state = next;
    },
  });
  return self as unknown as StatefulLayer<X, Y, P, S>;
}
