/**
 * A training step of torchdiffeq's spiral demo (dopri5, batch 20, 10 times, a 2-50-2 tanh network of y^3): nullcline's compiled
 * step beside the same arithmetic under tfjs's own tape on its cpu and wasm backends, and under the `jit` of jax-js, in turn in one process.
 *
 * Ours is the mean over the demo's first 200 iterations, from its start weights on its batches: the solver takes more steps as the network learns.
 * The peers take as many steps as ours took on average, of equal size, save by the same dense output and update by
 * the same rule. They are not asked to choose their steps, which only helps them; jax-js unrolls them, since it has no loops.
 *
 * Ours, tfjs and jax-js run in races of their own, each beside the hand-written limit (2-50-2 forward at batch 20), and are compared through it: the garbage
 * of one would otherwise be collected in the other's time. diffrax and torchdiffeq were timed on another machine beside the same limit (1.5 µs there);
 * their figures are scaled by what it takes here. Without the limit's directory the times stand as they are.
 *
 *   npx tsx bench/spiral-step.ts [directory of limit32.wasm and spiral_fixture.json]
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {
  adam,
  chain,
  constant,
  dense,
  mae,
  mse,
  rmsProp,
  singleTrainStep,
  trainState,
  type Tensor,
} from '../src/index.js';
import { neuralODE } from '../models/index.js';
import { dopri5, readStatistics } from '../solvers/index.js';
import { denseWeights, evaluate } from '../solvers/ode/tableau.js';
import { disposeTrainState } from '../src/training/index.js';
import { registerNullcline } from '../src/wasm/register.js';
import { loadJax } from './support/jax.js';
import { fastest, Limit } from './support/limit.js';
import { race, report, Table, type Contestant } from './support/measure.js';
import { cubed, spiral, TIMES } from './support/spiral.js';

tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('nullcline');
const limits = Limit.load(32);

/** Microseconds there: the limit's forward pass at batch 20, and the peers at both tolerances. */
const LIMIT_THERE = 1.5;
/** Losses and optimisers as the demo was run: mean square error and Adam, mean absolute error and RMSProp. */
const SETTINGS = [
  { reltol: 1e-3, abstol: 1e-6, squared: true, diffrax: 272, torchdiffeq: 3480, c: 41 },
  { reltol: 1e-7, abstol: 1e-9, squared: false, diffrax: 584, torchdiffeq: 9350, c: 117 },
] as const;
type Setting = (typeof SETTINGS)[number];

const RATE = 1e-3;
const RHO = 0.99;
const [BETA1, BETA2] = [0.9, 0.999];
const EPSILON = 1e-8;
const END = TIMES[9];
const field = chain(cubed, dense(2, 50, 'tanh'), dense(50, 2));
const data = spiral();
const { tableau } = dopri5();
const denseOf = denseWeights(tableau);

/** Steps of equal size with their dense outputs, in any arithmetic; `combine(u, weights, ks)` is u + sum of weights ks. */
function integrate<T>(
  f: (u: T) => T,
  combine: (u: T, weights: readonly number[], ks: readonly T[]) => T,
  start: T,
  steps: number,
): T[] {
  const h = END / steps;
  const saved = [start];
  let u = start;
  let k1 = f(u);
  for (let n = 0; n < steps; n++) {
    const ks = [k1];
    const plus = (weights: readonly number[]): T => combine(u, weights.map((w) => w * h), ks); // prettier-ignore
    let last = u;
    for (let i = 1; i < 7; i++) {
      last = plus(tableau.a[i]);
      ks.push(f(last));
    }
    for (; saved.length < 10 && TIMES[saved.length] <= (n + 1) * h + 1e-9;) {
      const theta = (TIMES[saved.length] - n * h) / h;
      saved.push(plus(denseOf.map((w) => evaluate(w, theta))));
    }
    [u, k1] = [last, ks[6]];
  }
  return saved;
}

interface Runner extends Contestant {
  dispose(): void;
}

/** A run is all of the demo's iterations. */
async function ours({ reltol, abstol, squared }: Setting): Promise<Runner & { iterations: number; steps: number }> {
  await tf.setBackend('nullcline');
  const model = neuralODE(field, { tspan: [0, END], saveAt: TIMES, algorithm: dopri5(), reltol, abstol });
  const [w1, b1, w2, b2] = data.weights.map((values) => constant(values as number[]));
  const ps = { layer1: {}, layer2: { weight: w1, bias: b1 }, layer3: { weight: w2, bias: b2 } };
  const seed = tf.tensor1d([0, 0], 'int32');
  const st = model.initialStates(seed);
  const batches = data.batches.map(({ x, y }) => ({ x: constant(x), y: constant(y) }));
  const distance = squared ? mse : mae;
  const objective = (m: typeof model, p: typeof ps, s: typeof st, { x, y }: (typeof batches)[number]) => {
    const [found, next] = m.apply(x, p, s);
    return [distance(found, y), next, {}] as const;
  };
  const start = trainState(model, ps as never, st, squared ? adam(RATE) : rmsProp(RATE, { rho: RHO }));
  const run = (look?: (state: typeof start) => void): void => {
    let state = start;
    for (const batch of batches) {
      const { trainState: next, loss } = singleTrainStep(objective as never, batch, state);
      if (state !== start) disposeTrainState(state);
      loss.dispose();
      state = next;
      look?.(state);
    }
    disposeTrainState(state);
  };
  let accepted = 0;
  run(({ states }) => (accepted += readStatistics(states.statistics).accepted));
  return {
    name: 'nullcline',
    enter: () => tf.setBackend('nullcline'),
    run: () => {
      run();
    },
    iterations: batches.length,
    steps: Math.max(1, Math.round(accepted / batches.length)),
    dispose: () => {
      disposeTrainState(start);
      tf.dispose([batches, seed]);
    },
  };
}

async function plainTfjs(backend: string, steps: number, squared: boolean): Promise<Runner> {
  await tf.setBackend(backend);
  const [{ x: starts, y: goals }] = data.batches;
  const [x, y] = [tf.tensor(starts), tf.tensor(goals)];
  const weights = data.weights.map((values) => tf.variable(tf.tensor(values as number[])));
  const [w1, b1, w2, b2] = weights;
  const f = (u: Tensor): Tensor => tf.add(tf.matMul(tf.tanh(tf.add(tf.matMul(cubed(u), w1), b1)), w2), b2);
  const combine = (u: Tensor, ws: readonly number[], ks: readonly Tensor[]): Tensor =>
    ws.reduce((sum, w, i) => (w === 0 ? sum : tf.add(sum, tf.mul(w, ks[i]))), u);
  const optimizer = squared ? tf.train.adam(RATE, BETA1, BETA2) : tf.train.rmsprop(RATE, RHO);
  const distance = squared ? tf.square : tf.abs;
  const loss = (): tf.Scalar => tf.mean(distance(tf.sub(tf.stack(integrate(f, combine, x, steps)), y)));
  return {
    name: backend,
    enter: () => tf.setBackend(backend),
    run: () => {
      optimizer.minimize(loss, false, weights);
    },
    dispose: () => {
      tf.dispose([x, y, ...weights]);
      optimizer.dispose();
    },
  };
}

/**
 * Weights and moments in, new ones out, the loss read back: as much as the others do. Its Adam leaves out the correction of the
 * first iterations.
 */
async function jaxJs(steps: number, squared: boolean): Promise<Runner | undefined> {
  const jax = await loadJax();
  if (jax === undefined) return undefined;
  const { numpy: np, jit, valueAndGrad } = jax;
  type A = ReturnType<typeof np.zeros>;
  const float = { dtype: np.float32 };
  const combine = (u: A, ws: readonly number[], ks: readonly A[]): A =>
    ws.reduce((sum, w, i) => (w === 0 ? sum : sum.add(ks[i].ref.mul(w))), u.ref);
  const loss = ([w1, b1, w2, b2]: A[], x: A, y: A): A => {
    const f = (u: A): A => {
      const cube = u.ref.mul(u.ref).mul(u.ref);
      return np.matmul(np.tanh(np.matmul(cube, w1.ref).add(b1.ref)), w2.ref).add(b2.ref);
    };
    const off = np.stack(integrate(f, combine, x, steps).map((a) => a.ref)).sub(y.ref);
    return np.mean(squared ? np.square(off) : np.abs(off));
  };
  const decay = squared ? BETA2 : RHO;
  const step = jit((weights: A[], means: A[], squares: A[], x: A, y: A): [A, A[], A[], A[]] => {
    const [value, grads] = valueAndGrad(loss)(weights.map((w) => w.ref), x, y) as unknown as [A, A[]]; // prettier-ignore
    const nextSquares = squares.map((s, i) => s.mul(decay).add(np.square(grads[i].ref).mul(1 - decay)));
    const nextMeans = squared ? means.map((m, i) => m.mul(BETA1).add(grads[i].ref.mul(1 - BETA1))) : means;
    const towards = squared ? nextMeans.map((m) => m.ref) : grads.map((g) => g.ref);
    const scale = nextSquares.map((s) => np.sqrt(s.ref.add(EPSILON)));
    const moved = weights.map((w, i) => w.sub(towards[i].mul(RATE).div(scale[i])));
    for (const g of grads) g.dispose();
    return [value, moved, nextMeans, nextSquares];
  });
  const arrays = data.weights.map((values) => np.array(values as number[], float));
  let state = [arrays, arrays.map((w) => np.zeros(w.shape)), arrays.map((w) => np.zeros(w.shape))];
  const [{ x: starts, y: goals }] = data.batches;
  const [x, y] = [np.array(starts, float), np.array(goals, float)];
  return {
    name: 'jax-js',
    run: () => {
      const [value, ...next] = step(state[0], state[1], state[2], x.ref, y.ref);
      value.dataSync();
      state = next;
    },
    dispose: () => undefined,
  };
}

const table = new Table('spiral training step, float32, µs', ['tolerances', 'steps', 'nullcline', 'cpu', 'wasm', 'jax-js', 'tfjs/ours', 'jax/ours', 'diffrax', 'torch', 'C'], 14); // prettier-ignore

interface Raced {
  readonly times: ReadonlyMap<string, number>;
  readonly limit: number;
}

/** Microseconds of each, and of the limit beside them; 1.5, which is what it took there, where it is not given. */
async function beside(...runners: readonly Runner[]): Promise<Raced> {
  const all: Contestant[] = [...runners, ...(limits?.contestants('2-50-2 forward', 20) ?? [])];
  const medians = await race(all, { rounds: 15, roundMs: 10, warmMs: 300 });
  const limit = fastest('limit', all, medians);
  for (const runner of runners) runner.dispose();
  const times = new Map(runners.map(({ name }, i) => [name, medians[i]]));
  return { times, limit: Number.isFinite(limit) ? limit : LIMIT_THERE };
}

// jax-js last: what it has once loaded stays in the process.
const measured = [];
for (const setting of SETTINGS) {
  const own = await ours(setting);
  const { steps, iterations } = own;
  const alone = await beside(own);
  const us = (alone.times.get('nullcline') ?? NaN) / iterations;
  const tfjs = await beside(
    await plainTfjs('cpu', steps, setting.squared),
    await plainTfjs('wasm', steps, setting.squared),
  );
  measured.push({ setting, steps, us, alone, tfjs });
}
for (const { setting, steps, us, alone, tfjs } of measured) {
  const { reltol, abstol, squared, diffrax, torchdiffeq, c } = setting;
  const peer = await jaxJs(steps, squared);
  const jaxs = peer === undefined ? undefined : await beside(peer);
  /** What it would have taken in the race that ours was in. */
  const scaled = (raced: Raced | undefined, name: string): number => ((raced?.times.get(name) ?? NaN) / (raced?.limit ?? NaN)) * alone.limit; // prettier-ignore
  const [cpu, wasm, js] = [scaled(tfjs, 'cpu'), scaled(tfjs, 'wasm'), scaled(jaxs, 'jax-js')];
  const host = alone.limit / LIMIT_THERE;
  const best = Math.min(cpu, wasm);
  table.row(`${reltol} / ${abstol}`, steps, us, cpu, wasm, js, best / us, js / us, diffrax * host, torchdiffeq * host, c * host); // prettier-ignore
  report('spiral-step', { reltol, abstol, steps, nullcline_us: us, tfjs_cpu_us: cpu, tfjs_wasm_us: wasm, jax_js_us: js, tfjs_over_ours: best / us, jax_over_ours: js / us, diffrax_scaled_us: diffrax * host, torchdiffeq_scaled_us: torchdiffeq * host, c_scaled_us: c * host, limit_here_over_there: host }); // prettier-ignore
}
