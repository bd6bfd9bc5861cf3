/**
 * A graph recorded again, as part of the trace that is going on.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { CAPTURED, CONSTANT, INPUT, PRIMITIVE, type CapturedAttrs, type ConstantAttrs, type Graph, type Value } from './graph.js'; // prettier-ignore
import type { PrimitiveAttrs } from './primitive.js';
import type { Trace } from './trace.js';

/** Record a graph again inside `trace`, on other tensors. Without `captured`, its captured tensors stay captured. */
export function replay(
  trace: Trace,
  graph: Graph,
  inputs: readonly tf.Tensor[],
  captured?: readonly tf.Tensor[],
): tf.Tensor[] {
  const tensors = new Map<Value, tf.Tensor>();
  graph.inputs.forEach((v, i) => tensors.set(v, inputs[i]));
  let nextCaptured = 0;
  for (const node of graph.nodes) {
    const [out] = node.outputs;
    if (node.kernel === INPUT) continue;
    if (node.kernel === CAPTURED) {
      tensors.set(out, captured?.[nextCaptured++] ?? (node.attrs as unknown as CapturedAttrs).tensor);
    } else if (node.kernel === CONSTANT) {
      const { values } = node.attrs as unknown as ConstantAttrs;
      tensors.set(out, trace.tensorOf(trace.constant(values, out.shape, out.dtype)));
    } else {
      const operands = node.inputs.map((v) => tensors.get(v) as tf.Tensor);
      if (node.kernel === PRIMITIVE) {
        const { primitive } = node.attrs as unknown as PrimitiveAttrs;
        trace.primitive(primitive, operands).forEach((t, i) => tensors.set(node.outputs[i], t));
      } else {
        const { inputNames } = node;
        const arranged =
          inputNames === null ? operands : Object.fromEntries(inputNames.map((name, i) => [name, operands[i]]));
        const copy = trace.record(node.kernel, arranged, node.attrs);
        copy.outputs.forEach((v, i) => tensors.set(node.outputs[i], trace.tensorOf(v)));
      }
    }
  }
  return graph.outputs.map((v) => tensors.get(v) as tf.Tensor);
}
