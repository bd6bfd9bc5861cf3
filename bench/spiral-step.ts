/**
 * One training step of torchdiffeq's spiral demo (dopri5, batch 20, 10 times, a 2-50-2 tanh network of y^3, mean absolute
 * error, RMSProp): nullcline's compiled step beside the same arithmetic under tfjs's own tape on its cpu and wasm backends, and under
 * the `jit` of jax-js, in turn in one process.
 *
 * The peers take as many steps as nullcline's solver chose, of equal size, save by the same dense output and update by
 * the same rule. They are not asked to choose their steps, which only helps them; jax-js unrolls them, since it has no loops.
 *
 * Ours, tfjs and jax-js run in races of their own, each beside the hand-written limit (2-50-2 forward at batch 20), and are compared through it: the garbage
 * of one would otherwise be collected in the other's time. diffrax and torchdiffeq were timed on another machine beside the same limit (1.5 µs there);
 * their figures are scaled by what it takes here. Without the limit's directory the times stand as they are.
 *
 *   npx tsx bench/spiral-step.ts [directory of limit32.wasm]
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {
  chain,
  constant,
  dense,
  disposeTree,
  key,
  mae,
  normalInit,
  rmsProp,
  setup,
  singleTrainStep,
  trainState,
  zerosInit,
  type Tensor,
} from '../src/index.js';
import { neuralODE } from '../models/index.js';
import { dopri5, odeProblem, readStatistics, solve, tsit5 } from '../solvers/index.js';
import { denseWeights, evaluate } from '../solvers/ode/tableau.js';
import { disposeTrainState, type TrainState } from '../src/training/index.js';
import { registerNullcline } from '../src/wasm/register.js';
import { loadJax } from './support/jax.js';
import { fastest, Limit } from './support/limit.js';
import { race, report, Table, type Contestant } from './support/measure.js';

tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('nullcline');
const limits = Limit.load(32);

/** Microseconds there: the limit's forward pass at batch 20, and the peers at both tolerances. */
const LIMIT_THERE = 1.5;
const SETTINGS = [
  { reltol: 1e-3, abstol: 1e-6, diffrax: 272, torchdiffeq: 3480, c: 41 },
  { reltol: 1e-7, abstol: 1e-9, diffrax: 584, torchdiffeq: 9350, c: 117 },
] as const;

const RATE = 1e-9; // so small that the problem stays what it is while the clock runs
const RHO = 0.99;
const EPSILON = 1e-8;
const times = Array.from({ length: 10 }, (_, i) => (i * 25) / 999);
const END = times[9];
const wide = { initWeight: normalInit(0.1), initBias: zerosInit() };
const cubed = (y: Tensor): Tensor => tf.mul(y, tf.square(y));
const field = chain(cubed, dense(2, 50, 'tanh', wide), dense(50, 2, 'identity', wide));

/** Twenty pieces of the true spiral. */
function spiral(): { x: number[][]; y: number[][][] } {
  const all = Array.from({ length: 1000 }, (_, i) => (i * 25) / 999);
  const path = tf.tidy(() => {
    const A = constant([[-0.1, 2], [-2, -0.1]]); // prettier-ignore
    const truth = odeProblem((u: Tensor) => tf.matMul(cubed(u), A), constant([[2, 0]]), [0, 25], {});
    return solve(truth, tsit5(), { saveAt: all, reltol: 1e-6, abstol: 1e-8 }).u.dataSync();
  });
  const at = (i: number): number[] => [path[2 * i], path[2 * i + 1]];
  const starts = Array.from({ length: 20 }, (_, i) => (i * 389) % 990);
  return { x: starts.map(at), y: times.map((_, k) => starts.map((s) => at(s + k))) };
}

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
    for (; saved.length < 10 && times[saved.length] <= (n + 1) * h + 1e-9;) {
      const theta = (times[saved.length] - n * h) / h;
      saved.push(plus(denseOf.map((w) => evaluate(w, theta))));
    }
    [u, k1] = [last, ks[6]];
  }
  return saved;
}

interface Runner extends Contestant {
  dispose(): void;
}

async function ours(reltol: number, abstol: number): Promise<Runner & { steps: number }> {
  await tf.setBackend('nullcline');
  const model = neuralODE(field, { tspan: [0, END], saveAt: times, algorithm: dopri5(), reltol, abstol });
  const seed = key(1);
  const [ps, st] = setup(seed, model);
  seed.dispose();
  const batch = { x: constant(data.x), y: constant(data.y) };
  const objective = (m: typeof model, p: typeof ps, s: typeof st, { x, y }: typeof batch) => {
    const [found, next] = m.apply(x, p, s);
    return [mae(found, y), next, {}] as const;
  };
  let state: TrainState<typeof model> = trainState(model, ps, st, rmsProp(RATE, { rho: RHO }));
  const step = (): void => {
    const { trainState: next, loss } = singleTrainStep(objective, batch, state);
    disposeTrainState(state);
    loss.dispose();
    state = next;
  };
  step();
  return {
    name: 'nullcline',
    enter: () => tf.setBackend('nullcline'),
    run: step,
    steps: readStatistics(state.states.statistics).accepted,
    dispose: () => {
      disposeTrainState(state);
      disposeTree(batch);
    },
  };
}

async function plainTfjs(backend: string, steps: number): Promise<Runner> {
  await tf.setBackend(backend);
  const [x, y] = [tf.tensor(data.x), tf.tensor(data.y)];
  const weights = [[2, 50], [50], [50, 2], [2]].map((shape, i) => tf.variable(tf.randomNormal(shape, 0, 0.1, 'float32', i))); // prettier-ignore
  const [w1, b1, w2, b2] = weights;
  const f = (u: Tensor): Tensor => tf.add(tf.matMul(tf.tanh(tf.add(tf.matMul(cubed(u), w1), b1)), w2), b2);
  const combine = (u: Tensor, ws: readonly number[], ks: readonly Tensor[]): Tensor =>
    ws.reduce((sum, w, i) => (w === 0 ? sum : tf.add(sum, tf.mul(w, ks[i]))), u);
  const optimizer = tf.train.rmsprop(RATE, RHO);
  const loss = (): tf.Scalar => tf.mean(tf.abs(tf.sub(tf.stack(integrate(f, combine, x, steps)), y)));
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

/** Weights and squares in, new ones out, the loss read back: as much as the others do. */
async function jaxJs(steps: number): Promise<Runner | undefined> {
  const jax = await loadJax();
  if (jax === undefined) return undefined;
  const { numpy: np, jit, valueAndGrad } = jax;
  type A = ReturnType<typeof np.zeros>;
  const float = { dtype: np.float32 };
  let gaussian = 1;
  const draw = (...shape: number[]): A => {
    const values = Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => Math.sin((gaussian += 1.7)) / 7);
    return np.array(values, float).reshape(shape);
  };
  const combine = (u: A, ws: readonly number[], ks: readonly A[]): A =>
    ws.reduce((sum, w, i) => (w === 0 ? sum : sum.add(ks[i].ref.mul(w))), u.ref);
  const loss = ([w1, b1, w2, b2]: A[], x: A, y: A): A => {
    const f = (u: A): A => {
      const cube = u.ref.mul(u.ref).mul(u.ref);
      return np.matmul(np.tanh(np.matmul(cube, w1.ref).add(b1.ref)), w2.ref).add(b2.ref);
    };
    return np.mean(np.abs(np.stack(integrate(f, combine, x, steps).map((a) => a.ref)).sub(y.ref)));
  };
  const step = jit((weights: A[], squares: A[], x: A, y: A): [A, A[], A[]] => {
    const [value, grads] = valueAndGrad(loss)(weights.map((w) => w.ref), x, y) as unknown as [A, A[]]; // prettier-ignore
    const next = squares.map((s, i) => s.mul(RHO).add(grads[i].ref.mul(grads[i].ref).mul(1 - RHO)));
    const moved = weights.map((w, i) => w.sub(grads[i].mul(RATE).div(np.sqrt(next[i].ref.add(EPSILON)))));
    return [value, moved, next];
  });
  let weights = [draw(2, 50), draw(50), draw(50, 2), draw(2)];
  let squares = weights.map((w) => np.zeros(w.shape));
  const [x, y] = [np.array(data.x, float), np.array(data.y.flat(2), float).reshape([10, 20, 2])];
  return {
    name: 'jax-js',
    run: () => {
      const [value, moved, next] = step(weights, squares, x.ref, y.ref);
      value.dataSync();
      [weights, squares] = [moved, next];
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
  const own = await ours(setting.reltol, setting.abstol);
  const alone = await beside(own);
  const tfjs = await beside(await plainTfjs('cpu', own.steps), await plainTfjs('wasm', own.steps));
  measured.push({ setting, steps: own.steps, alone, tfjs });
}
for (const { setting, steps, alone, tfjs } of measured) {
  const { reltol, abstol, diffrax, torchdiffeq, c } = setting;
  const peer = await jaxJs(steps);
  const jaxs = peer === undefined ? undefined : await beside(peer);
  /** What it would have taken in the race that ours was in. */
  const scaled = (raced: Raced | undefined, name: string): number => ((raced?.times.get(name) ?? NaN) / (raced?.limit ?? NaN)) * alone.limit; // prettier-ignore
  const us = alone.times.get('nullcline') ?? NaN;
  const [cpu, wasm, js] = [scaled(tfjs, 'cpu'), scaled(tfjs, 'wasm'), scaled(jaxs, 'jax-js')];
  const host = alone.limit / LIMIT_THERE;
  const best = Math.min(cpu, wasm);
  table.row(`${reltol} / ${abstol}`, steps, us, cpu, wasm, js, best / us, js / us, diffrax * host, torchdiffeq * host, c * host); // prettier-ignore
  report('spiral-step', { reltol, abstol, steps, nullcline_us: us, tfjs_cpu_us: cpu, tfjs_wasm_us: wasm, jax_js_us: js, tfjs_over_ours: best / us, jax_over_ours: js / us, diffrax_scaled_us: diffrax * host, torchdiffeq_scaled_us: torchdiffeq * host, c_scaled_us: c * host, limit_here_over_there: host }); // prettier-ignore
}
