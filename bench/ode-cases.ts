/**
 * Neural ODEs of four sizes (dy/dt = MLP(y), dopri5, tolerances 1e-6, t from 0 to 1), forward and with the gradient of all
 * parameters, and a training step of the shape that the MNIST examples have: nullcline through its public functions.
 *
 * diffrax (jax 0.10 under jit, one thread, float32) was timed on another machine, beside the same hand-written limit as runs
 * here: its figures are scaled by what the limit takes here and took there.
 *
 *   npx tsx bench/ode-cases.ts [directory of limit32.wasm]
 */
import * as tf from '@tensorflow/tfjs';
import { neuralODE } from '../models/index.js';
import { dopri5, odeProblem, solve, tsit5 } from '../solvers/index.js';
import {
  adam,
  apply,
  chain,
  compile,
  crossEntropy,
  dense,
  disposeTree,
  kaimingUniform,
  key,
  setup,
  singleTrainStep,
  trainState,
  valueAndGrad,
  type Tensor,
} from '../src/index.js';
import { disposeTrainState, type TrainState } from '../src/training/index.js';
import { registerNullcline } from '../src/wasm/register.js';
import { fastest, Limit } from './support/limit.js';
import { race, report, Table, type Contestant } from './support/measure.js';

tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('nullcline');

/** Microseconds of diffrax there: forward, and with the gradient. */
const CASES = [
  { d: 2, h: 50, batch: 1, diffrax: [18, 80] },
  { d: 2, h: 50, batch: 32, diffrax: [73, 261] },
  { d: 64, h: 256, batch: 1, diffrax: [231, 1139] },
  { d: 64, h: 256, batch: 32, diffrax: [525, 2750] },
] as const;
const DIFFRAX_MNIST = 1364;

/** Microseconds of the limit there, by network and batch. */
const LIMIT_THERE: readonly (readonly [network: string, batch: number, us: number])[] = [
  ['2-50-2 forward', 1, 0.08],
  ['2-50-2 forward', 20, 1.5],
  ['2-50-2 forward', 512, 37],
];

/** Weights and biases of a dense layer as PyTorch and Equinox draw them, uniform within 1 / sqrt(inputs); the published figures name no others. */
const likePeers = { initWeight: kaimingUniform(1 / Math.sqrt(3)) }; // biases are drawn so by default

const limits = Limit.load(32);

/** How much longer the limit takes here and now; in the races of the cases, so that it is the same minute. */
const limitRuns: Contestant[] = LIMIT_THERE.flatMap(([what, batch]) => (limits?.contestants(what, batch) ?? []).map((c) => ({ ...c, name: `${what} ${batch}` }))); // prettier-ignore

function slowdown(all: readonly Contestant[], times: readonly number[]): number {
  const ratios = LIMIT_THERE.map(([what, batch, us]) => fastest(`${what} ${batch}`, all, times) / us);
  return Math.exp(ratios.reduce((sum, r) => sum + Math.log(r), 0) / ratios.length);
}

const table = new Table('neural ODEs, float32, µs', ['case', 'nullcline', 'diffrax', 'scaled', 'scaled/ours', 'host'], 36); // prettier-ignore

function tell(
  what: string,
  ours: number,
  diffrax: number,
  host: number,
  figures: Record<string, number | boolean>,
): void {
  // prettier-ignore
  const scaled = diffrax * host;
  table.row(what, ours, diffrax, scaled, scaled / ours, host);
  report('ode-case', { case: what, ...figures, nullcline_us: ours, diffrax_there_us: diffrax, diffrax_scaled_us: scaled, ratio: scaled / ours, limit_here_over_there: host }); // prettier-ignore
}

for (const { d, h, batch, diffrax } of CASES) {
  const model = chain(dense(d, h, 'tanh', likePeers), dense(h, d, 'identity', likePeers));
  const [ps, st] = setup(key(1), model);
  const y0 = tf.randomUniform([batch, d], -1, 1, 'float32', 3);
  const field = (u: Tensor, p: typeof ps): Tensor => apply(model, u, p, st)[0];
  const options = { reltol: 1e-6, abstol: 1e-6 };
  const final = (p: typeof ps, u0: Tensor): Tensor => solve(odeProblem(field, u0, [0, 1], p), dopri5(), options).u;
  const forward = compile(final);
  const both = compile(valueAndGrad((p: typeof ps, u0: Tensor) => tf.sum<tf.Scalar>(tf.square(final(p, u0)))));
  const all: Contestant[] = [
    { name: 'forward', run: () => { forward(ps, y0).dispose(); } },
    { name: 'gradient', run: () => { disposeTree(both(ps, y0)); } },
    ...limitRuns,
  ]; // prettier-ignore
  const times = await race(all, { rounds: 15, roundMs: 3, warmMs: 500 });
  const host = slowdown(all, times);
  const what = `MLP ${d}-${h}-${d}, batch ${batch}`;
  tell(`${what}: forward`, times[0], diffrax[0], host, { d, h, batch, gradients: false });
  tell(`${what}: with gradients`, times[1], diffrax[1], host, { d, h, batch, gradients: true });
  disposeTree([ps, y0]);
}

{
  const batch = 128;
  const field = chain(
    ...[
      [20, 10],
      [10, 10],
      [10, 20],
    ].map(([n, m]) => dense(n, m, 'tanh', likePeers)),
  );
  const ode = neuralODE(field, { tspan: [0, 1], algorithm: tsit5(), reltol: 1e-3, abstol: 1e-3 });
  const model = chain(dense(784, 20, 'tanh', likePeers), ode, dense(20, 10, 'identity', likePeers));
  const [ps, st] = setup(key(1), model);
  const labels = tf.tidy(() => tf.cast(tf.floor(tf.randomUniform([batch], 0, 10, 'float32', 5)), 'int32'));
  const data = { x: tf.randomUniform([batch, 784], 0, 1, 'float32', 4), y: tf.tidy(() => tf.oneHot(labels, 10).toFloat()) }; // prettier-ignore
  const objective = (m: typeof model, p: typeof ps, s: typeof st, { x, y }: typeof data) => {
    const [found, next] = m.apply(x, p, s);
    return [crossEntropy(found, y, { logits: true }), next, {}] as const;
  };
  let state: TrainState<typeof model> = trainState(model, ps, st, adam(1e-3));
  const step = (): void => {
    const { trainState: next, loss } = singleTrainStep(objective, data, state);
    disposeTrainState(state);
    loss.dispose();
    state = next;
  };
  const all: Contestant[] = [{ name: 'step', run: step }, ...limitRuns];
  const times = await race(all, { rounds: 15, roundMs: 5, warmMs: 500 });
  tell('MNIST-shaped training step, batch 128', times[0], DIFFRAX_MNIST, slowdown(all, times), { batch });
  disposeTrainState(state);
  disposeTree([data, labels]);
}
