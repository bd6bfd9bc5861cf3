/**
 * The 2-50-2 tanh network on the cube of its input, forward and with its gradients, through the executors without tensors:
 * compiled in both precisions, beside tfjs's cpu backend and, where its files are given, the hand-written limit.
 *
 *   npx tsx bench/mlp.ts [directory of limit_wasm.mjs]
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import 'nullcline';
import type { Buffer, Executor } from '../src/graph/executor.js';
import type { Graph, Spec } from '../src/graph/graph.js';
import { interpreter } from '../src/graph/interpret.js';
import type { RunContext } from '../src/graph/primitive.js';
import { simplify } from '../src/graph/simplify.js';
import { traceGraph } from '../src/graph/trace.js';
import { NullclineBackend } from '../src/wasm/backend.js';
import { wasmExecutor } from '../src/wasm/executor.js';
import { RawProgram } from '../src/wasm/raw.js';
import { registerNullcline } from '../src/wasm/register.js';

const HIDDEN = 50;
const BATCHES = [1, 20, 512];

const spec = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });
const specs = (batch: number): Spec[] => [spec(batch, 2), spec(2, HIDDEN), spec(HIDDEN), spec(HIDDEN, 2), spec(2)];

const network = ([x, w1, b1, w2, b2]: tf.Tensor[]): tf.Tensor =>
  tf.add(tf.matMul(tf.tanh(tf.add(tf.matMul(tf.pow(x, 3), w1), b1)), w2), b2);

const forward = (batch: number): Graph => traceGraph(specs(batch), (xs) => [network(xs)]);

/** The value, and the cotangents of the input and of all parameters for a given one of the output. */
const gradient = (batch: number): Graph =>
  traceGraph([...specs(batch), spec(batch, 2)], ([dy, ...rest]) => {
    const xs = [dy, ...rest].slice(0, 5);
    const cotangent = [dy, ...rest][5];
    return [network(xs), ...tf.grads((...given: tf.Tensor[]) => network(given))(xs, cotangent)];
  });

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Microseconds per call: the median of some rounds of about 10 ms, after the engine has optimised. */
function time(f: () => void): number {
  const start = performance.now();
  let calls = 0;
  while (performance.now() - start < 150) {
    f();
    calls++;
  }
  const reps = Math.max(1, Math.round(calls / 15));
  const rounds = Array.from({ length: 15 }, () => {
    const since = performance.now();
    for (let i = 0; i < reps; i++) f();
    return ((performance.now() - since) / reps) * 1000;
  });
  return median(rounds);
}

function measure(graph: Graph, executor: Executor, backendName: string): number {
  const backend = tf.engine().findBackend(backendName);
  const executable = executor.prepare(graph, backend, backendName);
  const inputs = graph.inputs.map(({ shape, dtype }): Buffer => {
    const values = Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => Math.random() - 0.5);
    return { dataId: backend.write(values, shape, dtype), shape, dtype };
  });
  const context: RunContext = { backend, backendName, records: [], onEnd: () => undefined };
  const us = time(() => {
    for (const { dataId } of executable.run(inputs, [], context)) backend.disposeData(dataId);
  });
  executable.dispose();
  return us;
}

/** On addresses, as a solver calls it. */
function measureRaw(graph: Graph, backendName: string): number {
  const backend = tf.engine().findBackend(backendName);
  if (!(backend instanceof NullclineBackend)) throw new Error(`${backendName} is not a compiled backend`);
  const program = new RawProgram(graph, backend, backendName);
  const allocate = ({ shape }: Spec): number => {
    const n = shape.reduce((x, d) => x * d, 1);
    const pointer = backend.heap.allocate(n * (backend.precision / 8));
    const floats = backend.precision === 64 ? backend.heap.f64 : backend.heap.f32;
    for (let i = 0; i < n; i++) floats[pointer / (backend.precision / 8) + i] = Math.random() - 0.5;
    return pointer;
  };
  const inputs = graph.inputs.map(allocate);
  const outputs = graph.outputs.map(allocate);
  inputs.forEach((pointer, i) => {
    program.bindInput(i, pointer);
  });
  outputs.forEach((pointer, i) => {
    program.bindOutput(i, pointer);
  });
  const us = time(() => {
    program.run();
  });
  program.dispose();
  for (const pointer of [...inputs, ...outputs]) backend.heap.release(pointer);
  return us;
}

interface LimitLine {
  readonly what: string;
  readonly n: string;
  readonly B: number;
  readonly seconds_median: number;
}

function limits(directory: string | undefined, bits: 32 | 64): LimitLine[] {
  if (directory === undefined || !existsSync(join(directory, 'limit_wasm.mjs'))) return [];
  const script = join(directory, 'limit_wasm.mjs');
  const text = execFileSync(process.execPath, [script, join(directory, `limit${bits}.wasm`), String(bits)]).toString();
  return text.trim().split('\n').map((line) => JSON.parse(line) as LimitLine); // prettier-ignore
}

tf.env().set('PROD', true);
await tf.setBackend('cpu');
registerNullcline();

const directory = process.argv[2];
const columns = ['network 2-50-2', 'batch', 'bits', 'buffers', 'raw', 'limit', 'raw/limit', 'tfjs cpu', 'cpu/raw'];
console.log(columns.map((c, i) => (i === 0 ? c.padEnd(20) : c.padStart(10))).join(''));
for (const bits of [32, 64] as const) {
  const lines = limits(directory, bits);
  for (const [what, build, name] of [
    ['forward', forward, 'MLP forward'],
    ['with gradients', gradient, 'MLP forward+vjp(y,params)'],
  ] as const) {
    // prettier-ignore
    for (const batch of BATCHES) {
      const graph = simplify(build(batch));
      const compiled = measure(graph, wasmExecutor, bits === 32 ? 'nullcline' : 'nullcline64');
      const raw = measureRaw(graph, bits === 32 ? 'nullcline' : 'nullcline64');
      const plain = measure(graph, interpreter, 'cpu');
      const known = lines.filter((l) => l.n === '2-50-2' && l.B === batch && l.what.startsWith(`${name},`));
      const limit = known.length === 0 ? NaN : Math.min(...known.map((l) => l.seconds_median)) * 1e6;
      const numbers = [compiled, raw, limit, raw / limit, plain, plain / raw].map((x) => x.toPrecision(3).padStart(10)); // prettier-ignore
      console.log([what.padEnd(20), String(batch).padStart(10), String(bits).padStart(10), ...numbers].join(''));
    }
  }
}
