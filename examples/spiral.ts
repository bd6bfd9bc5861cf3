/**
 * torchdiffeq's spiral demo: a network learns the field of a cubic spiral from short pieces of one trajectory.
 *
 * The truth is y' = y^3 A with A = [[-0.1, 2], [-2, -0.1]] and y(0) = (2, 0), at 1000 times in [0, 25]. The field to learn
 * is a 2-50-2 tanh network of y^3; each step takes 20 pieces of 10 consecutive times and minimises the mean absolute error
 * with RMSProp at 1e-3, as torchdiffeq's `examples/ode_demo.py` does.
 */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  chain,
  compile,
  dense,
  disposeTrainState,
  foldIn,
  key,
  layerToString,
  mae,
  normalInit,
  permutation,
  rmsProp,
  saveCheckpoint,
  setup,
  split,
  train,
  trainState,
  zerosInit,
  useBackend,
  type Tensor,
  type TrainState,
} from 'nullcline';
import { neuralODE } from 'nullcline/models';
import { dopri5, odeProblem, readStatistics, solveAsync } from 'nullcline/solvers';
import { commandLine, commonOptions, prepare } from './support/cli.js';
import { figure, saveFigure, type Point } from './support/figure.js';
import { printTable } from './support/table.js';

const options = commandLine(
  { name: 'spiral', summary: 'learns the field of a cubic spiral, as the demo of torchdiffeq does.' },
  commonOptions({ steps: 500 }),
);

const [SIZE, END, BATCH, PIECE] = [1000, 25, 20, 10];
const times = Array.from({ length: SIZE }, (_, i) => (i * END) / (SIZE - 1));

const started = performance.now();
const backend = await prepare(options, useBackend);

const A = tf.tensor2d([[-0.1, 2], [-2, -0.1]]); // prettier-ignore
const truth = await solveAsync(
  odeProblem((y: Tensor) => tf.matMul(tf.pow<tf.Tensor2D>(y, 3), A), tf.tensor2d([[2, 0]]), [0, END], {}),
  dopri5(),
  { saveAt: times, reltol: 1e-6, abstol: 1e-8 },
);
const path = (await truth.u.array()) as [number, number][][];
const pathTensor = tf.reshape(truth.u, [SIZE, 2]);
const trueStats = truth.stats;
tf.dispose([truth.u, truth.statistics]);
console.log(
  `Backend ${backend}. The true spiral took ${trueStats.accepted} steps and ${trueStats.evaluations} evaluations.\n`,
);

const wide = { initWeight: normalInit(0.1), initBias: zerosInit() };
const field = chain((y: Tensor) => tf.pow(y, 3), dense(2, 50, 'tanh', wide), dense(50, 2, 'identity', wide));
const pieceTimes = times.slice(0, PIECE);
const model = neuralODE(field, {
  tspan: [0, pieceTimes[PIECE - 1]],
  saveAt: pieceTimes,
  algorithm: dopri5(),
  reltol: 1e-5,
  abstol: 1e-7,
});
console.log(`${layerToString(model)}\n`);

interface Batch {
  readonly start: Tensor;
  readonly target: Tensor;
}
type Model = typeof model;
type Trained = TrainState<Model>;

const objective = (m: Model, ps: Trained['parameters'], st: Trained['states'], { start, target }: Batch) => {
  const [y, next] = m.apply(start, ps, st);
  return [mae(y, target), next, { statistics: next.statistics }] as const;
};

const [forModel, forBatches] = split(key(options.seed), 2);
/** Twenty different places on the path, and the ten points that follow each: [20, 2] and [10, 20, 2]. */
const batch = (step: number): Batch =>
  tf.tidy(() => {
    const starts = tf.slice(permutation(foldIn(forBatches, step), SIZE - PIECE), 0, BATCH);
    const target = tf.stack(pieceTimes.map((_, k) => tf.gather(pathTensor, tf.add(starts, tf.scalar(k, 'int32')))));
    return { start: tf.gather(pathTensor, starts), target };
  });

const [ps, st] = setup(forModel, model);
const rows: { step: number; loss: number; evaluations: number }[] = [];
const every = Math.max(1, Math.floor(options.steps / 10));
const { trainState: trained, losses } = await train(
  objective,
  batch,
  trainState(model, ps, st, rmsProp(1e-3, { rho: 0.99 })),
  {
    steps: options.steps,
    progress: { label: 'spiral' },
    onStep: async ({ step, loss, stats }) => {
      if (step === 1 || step % every === 0)
        rows.push({ step, loss, evaluations: readStatistics(await stats.statistics.data()).evaluations });
    },
  },
);
console.log('\nLoss (mean absolute error of a batch) and evaluations of the field in its solve:');
printTable(rows);

/** The whole spiral from the learnt field. */
const whole = neuralODE(field, { tspan: [0, END], saveAt: times, algorithm: dopri5(), reltol: 1e-5, abstol: 1e-7 });
const follow = compile((p: Trained['parameters'], s: Trained['states']) => whole.apply(tf.tensor2d([[2, 0]]), p, s)[0]);
const learnt = await follow.async(trained.parameters, trained.states);
const found = (await learnt.array()) as [number, number][][];
tf.dispose([learnt, pathTensor]);
const error = found.reduce((sum, [[x, y]], i) => sum + Math.abs(x - path[i][0][0]) + Math.abs(y - path[i][0][1]), 0);
console.log(`\nMean absolute error along the whole spiral: ${(error / (2 * SIZE)).toFixed(4)}`);

const points = (rowsOfPoints: readonly (readonly [number, number])[][]): Point[] => rowsOfPoints.map(([p]) => p);
const svg = figure(
  [
    {
      title: 'Spiral',
      x: { label: 'x' },
      y: { label: 'y' },
      series: [
        { name: 'truth', kind: 'dashed', colour: '#000000', points: points(path) },
        { name: 'neural ODE', kind: 'line', colour: '#009e73', points: points(found) },
      ],
    },
    {
      title: 'Training',
      x: { label: 'step' },
      y: { label: 'mean absolute error', scale: 'log' },
      series: [{ name: 'loss', kind: 'line', colour: '#0072b2', points: losses.map((x, i): Point => [i + 1, x]) }],
    },
  ],
  { title: 'Learning a cubic spiral' },
);
const written = saveFigure(svg, join(options.out, 'spiral'));
const checkpoint = join(options.out, 'spiral.safetensors');
await saveCheckpoint(checkpoint, trained);
disposeTrainState(trained);
console.log(`\nWritten: ${[...written, checkpoint].join(', ')}`);
console.log(`${((performance.now() - started) / 1000).toFixed(1)} s`);
