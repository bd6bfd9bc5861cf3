/**
 * One training step of the spiral demo (dopri5, batch 20, 10 times, a 2-50-2 tanh network of y^3): nullcline's compiled
 * step beside the same arithmetic under tfjs's own tape, on each backend, in one process.
 *
 * The peer takes the very steps that nullcline takes (fixed, their number read from the solve), saves by the same dense
 * output and updates by tfjs's RMSProp. It is not asked to choose its steps, which only helps it.
 *
 * `npx tsx bench/spiral-step.ts` prints a table and one JSON line per backend.
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {
  chain,
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
import { dopri5, readStatistics } from '../solvers/index.js';
import { registerNullcline } from '../src/wasm/register.js';
import { denseWeights, evaluate } from '../solvers/ode/tableau.js';
import { disposeTrainState, type TrainState } from '../src/training/index.js';

tf.env().set('PROD', true);
registerNullcline();

const REPEATS = 60;
const times = Array.from({ length: 10 }, (_, i) => (i * 25) / 999);
const END = times[9];
const wide = { initWeight: normalInit(0.1), initBias: zerosInit() };
const field = chain((y: Tensor) => tf.pow(y, 3), dense(2, 50, 'tanh', wide), dense(50, 2, 'identity', wide));

const median = (xs: number[]): number => xs.sort((a, b) => a - b)[xs.length >> 1];

/** Microseconds of one call, the median of several. */
function time(f: () => void): number {
  for (let i = 0; i < 10; i++) f();
  return median(
    Array.from({ length: REPEATS }, () => {
      const start = performance.now();
      f();
      return (performance.now() - start) * 1e3;
    }),
  );
}

/** The peer: `steps` equal steps of dopri5 and its dense output, in plain tfjs operations. */
function plainLoss(weights: tf.Variable[], x: tf.Tensor2D, y: Tensor, steps: number): tf.Scalar {
  const [w1, b1, w2, b2] = weights;
  const f = (u: Tensor): Tensor => tf.add(tf.matMul(tf.tanh(tf.add(tf.matMul<tf.Tensor2D>(tf.pow(u, 3), w1 as never), b1)), w2 as never), b2); // prettier-ignore
  const { tableau } = dopri5();
  const weightsOf = denseWeights(tableau);
  const h = END / steps;
  const saved: Tensor[] = [x];
  let u: Tensor = x;
  let k1 = f(u);
  for (let n = 0; n < steps; n++) {
    const ks = [k1];
    const at = (w: readonly number[]): Tensor => {
      let sum = u;
      w.forEach((a, i) => {
        if (a !== 0) sum = tf.add(sum, tf.mul(a * h, ks[i]));
      });
      return sum;
    };
    let last = u;
    for (let i = 1; i < 7; i++) {
      last = at(tableau.a[i]);
      ks.push(f(last));
    }
    while (saved.length < 10 && times[saved.length] <= (n + 1) * h + 1e-9) {
      const theta = (times[saved.length] - n * h) / h;
      saved.push(at(weightsOf.map((w) => evaluate(w, theta))));
    }
    [u, k1] = [last, ks[6]];
  }
  return tf.mean(tf.abs(tf.sub(tf.stack(saved), y)));
}

interface Data {
  readonly x: Tensor;
  readonly y: Tensor;
}

for (const [reltol, abstol] of [
  [1e-3, 1e-6],
  [1e-5, 1e-7],
] as const) {
  // prettier-ignore
  for (const backend of ['cpu', 'wasm', 'nullcline']) {
    await tf.setBackend(backend);
    const model = neuralODE(field, { tspan: [0, END], saveAt: times, algorithm: dopri5(), reltol, abstol });
    const seed = key(1);
    const [ps, st] = setup(seed, model);
    const data = { x: tf.randomUniform([20, 2], -2, 2, 'float32', 1), y: tf.randomUniform([10, 20, 2], -2, 2, 'float32', 2) };
    const objective = (m: typeof model, p: typeof ps, s: typeof st, { x, y }: Data) => {
      const [found, next] = m.apply(x, p, s);
      return [mae(found, y), next, {}] as const;
    };
    let state: TrainState<typeof model> = trainState(model, ps, st, rmsProp(1e-3, { rho: 0.99 }));
    const ours = time(() => {
      const { trainState: next, loss } = singleTrainStep(objective, data, state);
      disposeTrainState(state);
      loss.dispose();
      state = next;
    });
    const { accepted } = readStatistics(state.states.statistics);

    const [fresh] = setup(seed, model);
    const weights = [fresh.layer2.weight, fresh.layer2.bias, fresh.layer3.weight, fresh.layer3.bias].map((w) => tf.variable(w));
    const optimizer = tf.train.rmsprop(1e-3, 0.99);
    const theirs = time(() => {
      optimizer.minimize(() => plainLoss(weights, data.x as tf.Tensor2D, data.y, accepted), false, weights);
    });
    console.log(
      `${backend.padEnd(5)} reltol ${reltol}: ${accepted} steps; nullcline ${ours.toFixed(0)} µs, plain tfjs ${theirs.toFixed(0)} µs: ${(theirs / ours).toFixed(2)} times`,
    );
    console.log(
      JSON.stringify({ name: 'spiral-step', backend, reltol, abstol, steps: accepted, nullcline_us: ours, tfjs_us: theirs, ratio: theirs / ours }),
    );
    disposeTree([data, weights, seed]);
    disposeTrainState(state);
    optimizer.dispose();
  }
}
