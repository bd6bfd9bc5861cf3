/**
 * The one interface behind which a graph runs. A solver or a compiled function never asks which executor it got.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Graph } from './graph.js';
import type { Gradual, RunContext } from './primitive.js';
import type { Workspace } from './workspace.js';

/** A buffer of the active backend. Whoever receives one frees it: `backend.disposeData(buffer.dataId)`. */
export type Buffer = tf.TensorInfo;

/** Another reference to the same buffer, to be freed on its own. */
export function share(backend: tf.KernelBackend, buffer: Buffer): Buffer {
  backend.incRef(buffer.dataId);
  return { dataId: buffer.dataId, shape: buffer.shape, dtype: buffer.dtype };
}

export interface Executable {
  /**
   * Run on buffers of this executable's backend. Inputs and captured tensors stay the caller's, in the order of
   * `graph.inputs` and of the graph's captured nodes; the outputs are the caller's to free.
   *
   * @param donate - Donated inputs may be overwritten, and are good for nothing but freeing them then.
   */
  run(inputs: readonly Buffer[], captured: readonly Buffer[], context: RunContext, donate?: boolean): Buffer[];
  /** The same for a run that can wait. Absent where numbers can always be read at once. */
  gradually?(inputs: readonly Buffer[], captured: readonly Buffer[], context: RunContext): Gradual<Buffer[]>;
  /** What it runs, in words. Absent where that is the graph itself, kernel by kernel. */
  describe?(): string;
  /** Free what is held between runs (constants). It is also freed when the executable is garbage collected. */
  dispose(): void;
}

export interface Executor {
  readonly name: string;
  /** @param donated - Inputs that runs with `donate` give up: results may take the place of those that nobody else holds. */
  prepare(graph: Graph, backend: tf.KernelBackend, backendName: string, donated?: readonly boolean[]): Executable;
  /** Storage for a loop that runs small programs thousands of times. */
  workspace(backend: tf.KernelBackend, backendName: string): Workspace;
}
