import * as tf from '@tensorflow/tfjs';
import { adam, chain, clipNorm, optimiserChain, compact, compile, conv, cosineDecay, binaryCrossEntropy, foldIn, key, normalInit, kaimingNormal, permutation, setup, split, testMode, train, trainState, useBackend, parameterLength, disposeTrainState, type Tensor } from 'nullcline';
import { deepEquilibriumNetwork } from 'nullcline/models';
import { anderson, picard, implicitAdjoint, phantom, unrolled, readNonlinearStatistics } from 'nullcline/solvers';
import { drawMazes, type Maze } from './support/maze.js';
await useBackend('nullcline');
const env = (n: string, d: number) => Number(process.env[n] ?? d);
const C = env('C', 16), H = env('H', 32), B = env('B', 32), R = env('R', 3e-3), ITERS = env('ITERS', 50), W = env('W', 0.05);
const ADJ = process.env.ADJ ?? 'implicit';
const adjoint = ADJ === 'implicit' ? implicitAdjoint({ reltol: 1e-2, maxIters: env('AI', 40), onFailure: 'ignore' }) : ADJ === 'unrolled' ? unrolled() : phantom({ steps: env('PS', 8) });


const V = process.env.V ?? 'A', P = process.env.P ?? 'softplus', W0 = env('W0', -3), B0 = env('B0', -1);
const pos = (v: Tensor) => P === 'softplus' ? tf.softplus(v) : P === 'square' ? tf.square(v) : tf.abs(v);
const cells: any = {
  A: () => compact({ name: 'Cell', parameters: (k: any) => tf.tidy(() => { const [a, b] = split(k, 2); return { w1: normalInit(1)(a, [3, 3, C, C]).add(W0), w2: normalInit(1)(b, [1, 1, C, C]).add(W0) } as any; }), layers: { two: conv([1, 1], C, C, 'identity') } },
    ([z, x]: [Tensor, Tensor], { ps, layer }: any) => { const h = tf.relu(tf.add(tf.conv2d(z as any, pos(ps.w1) as any, 1, 'same'), x)); return tf.tanh(tf.relu(tf.add(tf.conv2d(h as any, pos(ps.w2) as any, 1, 'same'), layer.two(x)))); }),
  S: () => compact({ name: 'Cell', parameters: (k: any) => tf.tidy(() => { const [a, b] = split(k, 2); return { w1: normalInit(1)(a, [3, 3, C, C]).add(W0), w2: normalInit(1)(b, [1, 1, C, C]).add(W0) } as any; }), layers: { two: conv([1, 1], C, C, 'identity') } },
    ([z, x]: [Tensor, Tensor], { ps, layer }: any) => { const h = tf.relu(tf.add(tf.conv2d(z as any, pos(ps.w1) as any, 1, 'same'), x)); return tf.sigmoid(tf.add(tf.add(tf.conv2d(h as any, pos(ps.w2) as any, 1, 'same'), layer.two(x)), B0)); }),
  B: () => compact({ name: 'Cell', parameters: (k: any) => ({ w1: normalInit(1)(k, [3, 3, C, C]).add(W0) }) as any },
    ([z, x]: [Tensor, Tensor], { ps }: any) => tf.sigmoid(tf.add(tf.add(tf.conv2d(z as any, pos(ps.w1) as any, 1, 'same'), x), B0))),
};
const cell = cells[V]();
const build = (iters: number) => chain({ stem: conv([3, 3], 6, C, 'identity', { pad: 'same' }), deq: deepEquilibriumNetwork(cell as any, { algorithm: picard(), maxIters: iters, abstol: 1e-3, reltol: 1e-3, adjoint: adjoint as any } as any) as any, head: conv([1, 1], C, 1, 'identity') }) as any;
function encode(ms: Maze[]) {
  const n = ms[0].size, x = new Float32Array(ms.length * n * n * 6), y = new Float32Array(ms.length * n * n);
  ms.forEach((m, i) => { for (let c = 0; c < n * n; c++) { const at = (i * n * n + c) * 6; for (let d = 0; d < 4; d++) x[at + d] = m.open[4 * c + d]; } x[(i * n * n + m.start) * 6 + 4] = 1; x[(i * n * n + m.goal) * 6 + 5] = 1; for (const c of m.path) y[i * n * n + c] = 1; });
  return { x: tf.tensor4d(x, [ms.length, n, n, 6]), y: tf.tensor4d(y, [ms.length, n, n, 1]) };
}

const stages = (process.env.S ?? '3:100:12,5:200:24,7:200:36,9:200:50').split(',').map((t) => t.split(':').map(Number));
const [kd, km, kb] = split(key(0), 3);
let [ps, st] = setup(km, build(10)) as any;
console.log(parameterLength(build(10)));
const total = stages.reduce((a, s) => a + s[1], 0);
let optimiser: any = optimiserChain(clipNorm(1), adam(R));
const objective = (m: any, p: any, s: any, { x, y }: any) => { const [l, n] = m.apply(x, p, s); return [binaryCrossEntropy(l, y, { logits: true }), n, {}] as const; };
const t0 = performance.now();
async function evaluate(ps: any, st: any, n: number, iters: number, count = 200) {
  const ms = await drawMazes(foldIn(kd, 1000 + n), count, n); const { x, y } = encode(ms);
  const model = build(iters); const f = compile((p: any, s: any, x: Tensor) => { const [l, nst] = model.apply(x, p, s); return [l, nst.deq.solution.statistics]; });
  let solved = 0, it = 0;
  for (let i = 0; i < count; i += 50) { const [l, stat] = f(ps, testMode(st), tf.slice(x, [i, 0, 0, 0], [50, -1, -1, -1])) as any;
    solved += tf.tidy(() => tf.sum(tf.cast(tf.all(tf.equal(tf.greater(l, 0), tf.greater(tf.slice(y, [i, 0, 0, 0], [50, -1, -1, -1]), 0.5)).reshape([50, -1]), 1), 'int32')).dataSync()[0]); it = Math.max(it, stat.dataSync()[0]); }
  return `${n}: ${(100 * solved / count).toFixed(1)}% (${it} its of ${iters})`;
}
for (const [size, steps, iters] of stages) {
  const pool = encode(await drawMazes(foldIn(kd, size), Math.min(8000, steps * B), size));
  const count = pool.x.shape[0], per = Math.floor(count / B);
  const model = build(iters);
  let last: any[] = [];
  const r = await train(objective as any, (step: number) => { const at = (step % per) * B; return { x: tf.slice(pool.x, [at, 0, 0, 0], [B, -1, -1, -1]), y: tf.slice(pool.y, [at, 0, 0, 0], [B, -1, -1, -1]) }; }, trainState(model, ps, st, optimiser), { steps, onStep: ({ step, loss, trainState: ts }: any) => { if (step % Math.ceil(steps / 4) === 0) console.log(size, step, loss.toFixed(4), JSON.stringify(readNonlinearStatistics(ts.states.deq.solution.statistics)[0]), ((performance.now() - t0) / 1000).toFixed(1)); } } as any);
  ps = r.trainState.parameters; st = r.trainState.states as any;
  console.log('  ', await evaluate(ps, st, size, iters), await evaluate(ps, st, Math.ceil(size * 1.5), iters * 2));
}
