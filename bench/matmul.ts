/**
 * Matrix products: nullcline through ordinary tensors beside tfjs's wasm (XNNPACK) and cpu backends, and nullcline on
 * addresses, as compiled functions use it, beside the packed kernel that is the limit of 128-bit vectors.
 *
 * XNNPACK keeps what it has packed of B for as long as that tensor lives, so that here only its first product packs, and the
 * limit is given B packed; nullcline packs in every product.
 *
 *   npx tsx bench/matmul.ts
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import type { Spec } from '../src/graph/graph.js';
import { traceGraph } from '../src/graph/trace.js';
import { registerNullcline } from '../src/wasm/register.js';
import { fastest } from './support/limit.js';
import { race, report, Table, type Contestant } from './support/measure.js';
import { packedProduct } from './support/packed-product.js';
import { rawCall } from './support/raw.js';

tf.env().set('PROD', true);
registerNullcline();

interface Case {
  readonly batch?: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly ta?: boolean;
  readonly tb?: boolean;
}

const transpositions = (n: number): Case[] => [false, true].flatMap((ta) => [false, true].map((tb) => ({ m: n, k: n, n, ta, tb }))); // prettier-ignore
const CASES: Case[] = [
  ...[16, 64, 128, 512].flatMap(transpositions),
  { m: 20, k: 2, n: 50 },
  { m: 20, k: 50, n: 2 },
  { m: 1, k: 64, n: 256 },
  { m: 32, k: 64, n: 256 },
  { m: 128, k: 784, n: 20 },
  { batch: 16, m: 32, k: 32, n: 32 },
];

const shapesOf = ({ batch, m, k, n, ta, tb }: Case): [number[], number[]] => {
  const lead = batch === undefined ? [] : [batch];
  return [
    [...lead, ...(ta === true ? [k, m] : [m, k])],
    [...lead, ...(tb === true ? [n, k] : [k, n])],
  ];
};

async function withTensors(backend: string, given: Case): Promise<Contestant & { dispose(): void }> {
  await tf.setBackend(backend);
  const [a, b] = shapesOf(given).map((shape, i) => tf.randomUniform(shape, -1, 1, 'float32', i + 1));
  return {
    name: backend,
    enter: () => tf.setBackend(backend),
    run: () => {
      tf.matMul(a, b, given.ta, given.tb).dispose();
    },
    dispose: () => {
      tf.dispose([a, b]);
    },
  };
}

for (const bits of [32, 64] as const) {
  const own = bits === 32 ? 'nullcline' : 'nullcline64';
  const table = new Table(`matrix products, float${bits}, µs`, ['product', 'nullcline', 'wasm', 'cpu', 'wasm/ours', 'cpu/ours', 'raw', 'limit', 'of limit', 'GFLOP/s'], 26); // prettier-ignore
  const limit = packedProduct(bits);
  for (const given of CASES) {
    const { batch, m, k, n, ta, tb } = given;
    // tfjs has no doubles, and its cpu backend takes seconds for the largest.
    const backends = bits === 64 ? [own] : m * n * k > 1e7 ? [own, 'wasm'] : [own, 'wasm', 'cpu'];
    const contestants = [];
    for (const backend of backends) contestants.push(await withTensors(backend, given));
    const specs = shapesOf(given).map((shape): Spec => ({ shape, dtype: 'float32' }));
    const raw = rawCall(traceGraph(specs, ([a, b]) => [tf.matMul(a, b, ta, tb)]), own); // prettier-ignore
    const all: Contestant[] = [...contestants, { name: 'raw', run: raw.run }];
    if (batch === undefined && m === n && n === k) {
      limit.load(new Float32Array(m * k).fill(0.5), new Float32Array(k * n).fill(0.25), m, n, k);
      all.push({ name: 'limit', run: () => { limit.run(m, n, k); } }); // prettier-ignore
    }
    const times = await race(all);
    const [ours, wasm, cpu, direct, best] = [own, 'wasm', 'cpu', 'raw', 'limit'].map((name) => fastest(name, all, times)); // prettier-ignore
    const mark = (transposed: boolean | undefined): string => (transposed === true ? 'ᵀ' : '');
    const what = `${batch === undefined ? '' : `${batch} of `}[${m},${k}]${mark(ta)} x [${k},${n}]${mark(tb)}`;
    const speed = (2 * (batch ?? 1) * m * n * k) / direct / 1e3;
    table.row(what, ours, wasm, cpu, wasm / ours, cpu / ours, direct, best, best / direct, speed);
    report('matmul', { bits, product: what, nullcline_us: ours, wasm_us: wasm, cpu_us: cpu, wasm_ratio: wasm / ours, cpu_ratio: cpu / ours, raw_us: direct, limit_us: best, of_limit: best / direct, gflops: speed }); // prettier-ignore
    raw.dispose();
    for (const c of contestants) c.dispose();
  }
}
