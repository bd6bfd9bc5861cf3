/**
 * Matrix products of ordinary tensors: nullcline beside tfjs's wasm (XNNPACK) and cpu backends and, for square float32
 * products, beside the packed kernel that is the limit of 128-bit vectors.
 *
 *   npx tsx bench/matmul.ts
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { registerNullcline } from '../src/wasm/register.js';
import { packedProduct } from './support/packed-product.js';
import { race, report, Table, type Contestant } from './support/measure.js';

tf.env().set('PROD', true);
registerNullcline();

type Case = readonly [batch: number, m: number, k: number, n: number, transposeA?: boolean, transposeB?: boolean];

const transposed = (n: number): Case[] => [[1, n, n, n], [1, n, n, n, true], [1, n, n, n, false, true], [1, n, n, n, true, true]]; // prettier-ignore
const CASES: Case[] = [
  ...[16, 64, 128, 512].flatMap(transposed),
  [1, 20, 2, 50],
  [1, 20, 50, 2],
  [1, 1, 64, 256],
  [1, 32, 64, 256],
  [1, 128, 784, 20],
  [16, 32, 32, 32],
];

const table = new Table('matrix products, float32, µs', ['product', 'nullcline', 'wasm', 'cpu', 'wasm/ours', 'cpu/ours', 'GFLOP/s', 'limit', 'of limit'], 30); // prettier-ignore
const limit = packedProduct(32);

/** `tf.matMul` of fresh operands on one backend; B is a new tensor now and then, for XNNPACK keeps what it packed. */
async function contestant(backend: string, [batch, m, k, n, ta, tb]: Case): Promise<Contestant & { dispose(): void }> {
  await tf.setBackend(backend);
  const lead = batch === 1 ? [] : [batch];
  const a = tf.randomUniform([...lead, ...(ta === true ? [k, m] : [m, k])], -1, 1, 'float32', 1);
  const b = tf.randomUniform([...lead, ...(tb === true ? [n, k] : [k, n])], -1, 1, 'float32', 2);
  return {
    name: backend,
    enter: () => tf.setBackend(backend),
    run: () => {
      tf.matMul(a, b, ta, tb).dispose();
    },
    dispose: () => {
      tf.dispose([a, b]);
    },
  };
}

for (const given of CASES) {
  const [batch, m, k, n, ta, tb] = given;
  const backends = m * n * k > 1e7 ? ['nullcline', 'wasm'] : ['nullcline', 'wasm', 'cpu'];
  const contestants = [];
  for (const backend of backends) contestants.push(await contestant(backend, given));
  const square = batch === 1 && m === n && n === k && ta !== true && tb !== true;
  if (square) limit.load(new Float32Array(m * k).fill(0.5), new Float32Array(k * n).fill(0.25), m, n, k);
  const all: Contestant[] = square ? [...contestants, { name: 'limit', run: () => { limit.run(m, n, k); } }] : contestants; // prettier-ignore
  const times = await race(all);
  const of = (name: string): number => times[all.findIndex((c) => c.name === name)] ?? NaN;
  const [ours, wasm, cpu, best] = ['nullcline', 'wasm', 'cpu', 'limit'].map(of);
  const what = `${batch === 1 ? '' : `${batch} of `}[${m},${k}]${ta === true ? 'ᵀ' : ''} x [${k},${n}]${tb === true ? 'ᵀ' : ''}`;
  const speed = (2 * batch * m * n * k) / ours / 1e3;
  table.row(what, ours, wasm, cpu, wasm / ours, cpu / ours, speed, best, best / ours);
  report('matmul', { batch, m, k, n, transposeA: ta === true, transposeB: tb === true, nullcline_us: ours, wasm_us: wasm, cpu_us: cpu, limit_us: best, wasm_ratio: wasm / ours, cpu_ratio: cpu / ours, of_limit: best / ours }); // prettier-ignore
  for (const c of contestants) c.dispose();
}
