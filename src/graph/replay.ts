/**
 * A graph recorded again, as part of the trace that is going on.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { CAPTURED, INPUT, sameShape, type CapturedAttrs, type Graph, type Value } from './graph.js';
import type { Trace } from './trace.js';

/**
 * Record a graph again inside `trace`, on other tensors of the same shapes. Without `captured`, its captured tensors stay captured.
 *
 * Nodes are copied as they are, past tfjs: what its operations check and infer holds already.
 */
export function replay(
  trace: Trace,
  graph: Graph,
  inputs: readonly tf.Tensor[],
  captured?: readonly tf.Tensor[],
): tf.Tensor[] {
  const values = new Map<Value, Value>();
  graph.inputs.forEach((v, i) => {
    const given = trace.valueOf(inputs[i]);
    if (!sameShape(given.shape, v.shape) || given.dtype !== v.dtype) {
      throw new Error(`replay: input ${i} is ${v.dtype} [${v.shape.join(', ')}], got ${given.dtype} [${given.shape.join(', ')}]`); // prettier-ignore
    }
    values.set(v, given);
  });
  let nextCaptured = 0;
  for (const node of graph.nodes) {
    if (node.kernel === INPUT) continue;
    if (node.kernel === CAPTURED) {
      const own = (node.attrs as unknown as CapturedAttrs).tensor;
      values.set(node.outputs[0], trace.valueOf(captured?.[nextCaptured++] ?? own));
    } else {
      const copy = trace.again(node, node.inputs.map((v) => values.get(v) as Value)); // prettier-ignore
      copy.outputs.forEach((v, i) => values.set(node.outputs[i], v));
    }
  }
  return graph.outputs.map((v) => trace.tensorOf(values.get(v) as Value));
}
