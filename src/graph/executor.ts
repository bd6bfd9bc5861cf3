/**
 * The one interface behind which a graph runs. A solver or a compiled function never asks which executor it got.
 */
import type * as tf from '@tensorflow/tfjs';
import type { Graph } from './graph.js';
import type { RunContext } from './primitive.js';

/** A buffer of the active backend. Whoever receives one frees it: `backend.disposeData(buffer.dataId)`. */
export type Buffer = tf.TensorInfo;

export interface Executable {
  /**
   * Run on buffers of this executable's backend. Inputs and captured tensors stay the caller's, in the order of
   * `graph.inputs` and of the graph's captured nodes; the outputs are the caller's to free.
   */
  run(inputs: readonly Buffer[], captured: readonly Buffer[], context: RunContext): Buffer[];
}

export interface Executor {
  readonly name: string;
  prepare(graph: Graph, backend: tf.KernelBackend, backendName: string): Executable;
}
