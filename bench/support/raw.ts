/**
 * A graph compiled and called on addresses, as solvers call it: no tensors, no allocation.
 */
import * as tf from '@tensorflow/tfjs';
import type { Graph } from '../../src/graph/graph.js';
import { NullclineBackend } from '../../src/wasm/backend.js';
import { RawProgram } from '../../src/wasm/raw.js';

export interface RawCall {
  readonly run: () => void;
  readonly dispose: () => void;
}

/** Inputs hold small random numbers. */
export function rawCall(graph: Graph, backendName: string): RawCall {
  const backend = tf.engine().findBackend(backendName);
  if (!(backend instanceof NullclineBackend)) throw new Error(`${backendName} is not a compiled backend`);
  const { heap, precision } = backend;
  const program = new RawProgram(graph, backend, backendName);
  const bytes = precision / 8;
  const place = ({ shape }: { readonly shape: readonly number[] }): number => {
    const n = shape.reduce((x, d) => x * d, 1);
    const pointer = heap.allocate(n * bytes);
    const floats = precision === 64 ? heap.f64 : heap.f32;
    for (let i = 0; i < n; i++) floats[pointer / bytes + i] = (Math.random() - 0.5) / 4;
    return pointer;
  };
  const inputs = graph.inputs.map(place);
  const outputs = graph.outputs.map(place);
  inputs.forEach((pointer, i) => {
    program.bindInput(i, pointer);
  });
  outputs.forEach((pointer, i) => {
    program.bindOutput(i, pointer);
  });
  return {
    run: () => {
      program.run();
    },
    dispose: () => {
      program.dispose();
      for (const pointer of [...inputs, ...outputs]) heap.release(pointer);
    },
  };
}
