/**
 * Large kernels on several threads beside one, on addresses: the least time of many runs in turn in one process, since whatever
 * else the machine runs takes whole cores away from the threads.
 *
 *   npx tsx bench/threads.ts [threads, default 2]
 */
import * as tf from '@tensorflow/tfjs';
import type { Graph } from '../src/graph/graph.js';
import { simplify } from '../src/graph/simplify.js';
import { traceGraph } from '../src/graph/trace.js';
import {
  apply,
  chain,
  conv,
  dense,
  key,
  ravel,
  setup,
  valueAndGrad,
  type AnyLayer,
  type StateTree,
  type Tensor,
  type Tree,
} from '../src/index.js';
import { NullclineBackend } from '../src/wasm/backend.js';
import { registerNullcline } from '../src/wasm/register.js';
import { report, Table } from './support/measure.js';
import { rawCall, type RawCall } from './support/raw.js';

tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('cpu');

const THREADS = Number(process.argv[2] ?? 2);
const backends = [1, THREADS].map((threads): string => {
  const name = `threads ${threads}`;
  tf.registerBackend(name, () => new NullclineBackend(32), 0);
  (tf.engine().findBackend(name) as unknown as NullclineBackend).useThreads(threads);
  return name;
});

const product = (n: number): Graph => {
  const spec = { shape: [n, n], dtype: 'float32' } as const;
  return traceGraph([spec, spec], ([a, b]) => [tf.matMul(a, b)]);
};

/** A layer forward, or a step of gradient descent on the mean of its squares. */
function network(layer: AnyLayer, input: number[], trains: boolean): Graph {
  const [ps, st] = setup(key(1), layer) as [Tree, StateTree];
  const [vector, unravel] = ravel(ps);
  const y = (p: Tensor, x: Tensor): Tensor => apply(layer, x, unravel(p as tf.Tensor1D), st)[0] as Tensor;
  const step = (p: Tensor, x: Tensor): Tensor[] => {
    const { value, grad } = valueAndGrad((q: Tensor) => tf.mean(tf.square(y(q, x))))(p);
    return [value, tf.sub(p, tf.mul(grad, 1e-3))];
  };
  const given = [vector, { shape: input, dtype: 'float32' }] as const;
  const specs = given.map(({ shape, dtype }) => ({ shape, dtype }));
  return simplify(traceGraph(specs, ([p, x]) => (trains ? step(p, x) : [y(p, x)])));
}

const wide = chain(dense(512, 512, 'tanh'), dense(512, 512, 'tanh'), dense(512, 512));
const mlp = chain(dense(64, 256, 'tanh'), dense(256, 64));
const image = conv([3, 3], 64, 64, 'relu', { pad: 'same' });

const CASES: Readonly<Record<string, () => Graph>> = {
  'product 128': () => product(128),
  'product 512': () => product(512),
  'product 1024': () => product(1024),
  'conv 3x3, 64 channels, 64x64': () => network(image, [1, 64, 64, 64], false),
  'conv 3x3, 64 channels, 64x64, step': () => network(image, [1, 64, 64, 64], true),
  'dense 512 x 3, batch 128': () => network(wide, [128, 512], false),
  'dense 512 x 3, batch 128, step': () => network(wide, [128, 512], true),
  '64-256-64, batch 32': () => network(mlp, [32, 64], false),
  '64-256-64, batch 32, step': () => network(mlp, [32, 64], true),
  '64-256-64, batch 512': () => network(mlp, [512, 64], false),
  '64-256-64, batch 512, step': () => network(mlp, [512, 64], true),
  'tanh of a million': () => traceGraph([{ shape: [1000, 1000], dtype: 'float32' }], ([x]) => [tf.tanh(x)]),
  'sum of a million, by column': () => traceGraph([{ shape: [1000, 1000], dtype: 'float32' }], ([x]) => [tf.sum(x, 0)]),
  '2-50-2, batch 20, step': () => network(chain(dense(2, 50, 'tanh'), dense(50, 2)), [20, 2], true),
};

/** The least microseconds of each, all in turn for so many milliseconds. */
function least(calls: readonly RawCall[], ms: number): number[] {
  const times = calls.map(() => Infinity);
  const start = performance.now();
  for (let round = 0; round < 5 || performance.now() - start < ms; round++) {
    calls.forEach(({ run }, i) => {
      // Several at once, as solvers and training call them: the first wakes the workers.
      const begin = performance.now();
      for (let k = 0; k < 4 || performance.now() - begin < 2; k++) {
        const since = performance.now();
        run();
        times[i] = Math.min(times[i], (performance.now() - since) * 1000);
      }
    });
  }
  return times;
}

const only = process.env.ONLY ?? '';
const table = new Table(`${THREADS} threads, float32, least µs`, ['case', 'one', `${THREADS} threads`, 'times faster'], 38); // prettier-ignore
for (const [name, graphOf] of Object.entries(CASES)) {
  if (!name.includes(only)) continue;
  const graph = graphOf();
  const calls = backends.map((backend) => rawCall(graph, backend));
  const [one, several] = least(calls, Number(process.env.MS ?? 3000));
  table.row(name, one, several, one / several);
  report('threads', { case: name, threads: THREADS, one_us: one, threads_us: several, ratio: one / several });
  for (const call of calls) call.dispose();
}
