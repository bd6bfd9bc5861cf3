/**
 * A traced function on tfjs's own tape (`tf.grad`, `tf.variableGrads`, a tfjs optimizer): one operation, whose derivative is
 * the differentiated graph.
 *
 * Its floating outputs are handed over as one vector, because `tf.customGrad` knows one output; what the function captured
 * becomes explicit operands, because it differentiates nothing else.
 */
import * as tf from '@tensorflow/tfjs-core';
import { backpropagate } from './differentiate.js';
import { activeBackend, engineInternals, withBackend, withoutTape } from './engine.js';
import { CAPTURED, sizeOf, type Graph, type Spec, type Value } from './graph.js';
import { replay } from './replay.js';
import { currentTrace, traceGraph, type Trace } from './trace.js';

const isFloating = ({ dtype }: { readonly dtype: tf.DataType }): boolean => dtype === 'float32';

/** A run of a graph, as the tape sees it. */
export interface TapedRun {
  readonly graph: Graph;
  readonly inputs: readonly tf.Tensor[];
  readonly captured: readonly tf.Tensor[];
  /** The outputs. */
  readonly compute: () => tf.Tensor[];
  /** Runs {@link adjointGraph}. */
  readonly pullBack: (operands: readonly tf.Tensor[]) => tf.Tensor[];
}

export function runTaped({ graph, inputs, captured, compute, pullBack }: TapedRun): tf.Tensor[] {
  const operands = [...inputs, ...captured];
  const floating = operands.filter(isFloating);
  const { outputs } = graph;
  if (floating.length === 0 || !outputs.some(isFloating)) return withoutTape(compute);
  const rest: tf.Tensor[] = [];
  // The derivative is computed where the value was, in the same precision.
  const { name } = activeBackend();
  const evaluate = tf.customGrad((...args) => {
    const save = args.pop() as unknown as (tensors: tf.Tensor[]) => void;
    const results = compute();
    save(args as tf.Tensor[]); // only now: what a failing run had saved, tfjs would never free
    results.forEach((t) => !isFloating(t) && rest.push(tf.keep(t)));
    const pieces = results.filter(isFloating).map((t) => tf.reshape(t, [-1]));
    const value = pieces.length === 1 ? tf.clone(pieces[0]) : tf.concat(pieces);
    const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]): tf.Tensor[] => {
      let next = 0;
      const given = operands.map((t) => (isFloating(t) ? saved[next++] : t));
      return withBackend(name, () => pullBack([...given, dy]));
    };
    return { value, gradFunc };
  });
  const vector = evaluate(...floating);
  let offset = 0;
  return outputs.map((v) => {
    if (!isFloating(v)) {
      const t = rest.shift() as tf.Tensor;
      t.kept = false;
      return engineInternals().track(t);
    }
    const size = sizeOf(v.shape);
    const piece = tf.slice(vector, [offset], [size]);
    offset += size;
    return tf.reshape(piece, v.shape);
  });
}

/** (inputs, captured, cotangent of the floating outputs as one vector) -> cotangents of the floating inputs and captured. */
export function adjointGraph(graph: Graph): Graph {
  const capturedValues = graph.nodes.filter((n) => n.kernel === CAPTURED).map((n) => n.outputs[0]);
  const operands: Spec[] = [...graph.inputs, ...capturedValues];
  const length = graph.outputs.filter(isFloating).reduce((n, v) => n + sizeOf(v.shape), 0);
  return traceGraph([...operands, { shape: [length], dtype: 'float32' }], (given) => {
    const trace = currentTrace() as Trace;
    const since = trace.nodes.length;
    const xs = given.slice(0, operands.length);
    const dy = given[operands.length];
    const ys = replay(trace, graph, xs.slice(0, graph.inputs.length), xs.slice(graph.inputs.length));
    let offset = 0;
    const targets: { value: Value; dy: tf.Tensor }[] = [];
    for (const y of ys.filter(isFloating)) {
      targets.push({ value: trace.valueOf(y), dy: tf.reshape(tf.slice(dy, [offset], [y.size]), y.shape) });
      offset += y.size;
    }
    const wanted = xs.filter(isFloating);
    const grads = backpropagate(trace, targets, wanted.map((x) => trace.valueOf(x)), since); // prettier-ignore
    return grads.map((g, i) => g ?? tf.zeros(wanted[i].shape));
  });
}
