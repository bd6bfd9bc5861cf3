/** Runs a traced function compiled on the nullcline backends, and interpreted on the cpu backend. */
import * as tf from '@tensorflow/tfjs';
import { traceGraph } from '../../src/graph/trace.js';
import type { Graph, Spec } from '../../src/graph/graph.js';
import type { Buffer, Executable } from '../../src/graph/executor.js';
import { interpreter } from '../../src/graph/interpret.js';
import type { RunContext } from '../../src/graph/primitive.js';
import { NullclineBackend } from '../../src/wasm/backend.js';
import { wasmExecutor } from '../../src/wasm/executor.js';
import { registerNullcline } from '../../src/wasm/register.js';

export type Values = Float32Array | Float64Array | Int32Array | Uint8Array;
export type Traced = (xs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];

export function trace(f: Traced, specs: readonly Spec[]): Graph {
  return traceGraph(specs, (xs) => [f(xs)].flat());
}

export function compiledBackend(name: 'nullcline' | 'nullcline64'): NullclineBackend {
  registerNullcline();
  return tf.engine().findBackend(name) as NullclineBackend;
}

export function contextOf(backend: tf.KernelBackend, backendName: string): RunContext {
  return { backend, backendName, records: [], onEnd: () => undefined };
}

/** Values of the outputs. Floats come and go as doubles where the backend stores doubles. */
export function runOn(graph: Graph, inputs: readonly Values[], backendName: string, executable?: Executable): Values[] {
  const backend = tf.engine().findBackend(backendName);
  const own = executable ?? (backend instanceof NullclineBackend ? wasmExecutor : interpreter).prepare(graph, backend, backendName); // prettier-ignore
  const captured = graph.nodes.filter(({ kernel }) => kernel === 'Captured');
  if (captured.length > 0) throw new Error('this helper binds no captured tensors');
  const given = graph.inputs.map(({ shape, dtype }, i): Buffer => {
    const values: unknown = inputs[i];
    return { dataId: backend.write(values as Float32Array, shape, dtype), shape, dtype };
  });
  const outputs = own.run(given, [], contextOf(backend, backendName));
  const values = outputs.map(({ dataId }) => (backend.readSync(dataId) as Values).slice());
  for (const { dataId } of [...given, ...outputs]) backend.disposeData(dataId);
  if (executable === undefined) own.dispose();
  return values;
}

/** A small generator of repeatable numbers in [0, 1) (mulberry32). */
export function repeatable(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function randomValues({ shape, dtype }: Spec, random: () => number, doubles: boolean): Values {
  const size = shape.reduce((n, d) => n * d, 1);
  if (dtype === 'bool') return Uint8Array.from({ length: size }, () => (random() < 0.5 ? 1 : 0));
  if (dtype === 'int32') return Int32Array.from({ length: size }, () => Math.floor(random() * 21) - 10);
  const values = Float64Array.from({ length: size }, () => 4 * random() - 2);
  return doubles ? values : Float32Array.from(values);
}
