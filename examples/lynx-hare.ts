/**
 * A neural ODE fitted to the Hudson's Bay Company's lynx and hare pelts, 1900 to 1920, beside a Lotka-Volterra model with
 * four parameters, both by the same solver and the same exact gradient.
 *
 * Both are layers: a right-hand side for the logarithms of the pelts, integrated by `neuralODE`, from an initial state that
 * is a parameter too. Training starts with the first seven years and adds three at a time: fitted to all of a cycle at
 * once, a model that is still wrong settles for the mean.
 */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  adam,
  chain,
  compact,
  compile,
  cosineDecay,
  dense,
  disposeTrainState,
  key,
  layerToString,
  mse,
  normalInit,
  parameterLength,
  saveCheckpoint,
  setup,
  train,
  trainState,
  zerosInit,
  type Layer,
  useBackend,
  type Tensor,
  type TrainState,
  type Tree,
} from 'nullcline';
import { neuralODE } from 'nullcline/models';
import { commandLine, commonOptions, integer, prepare } from './support/cli.js';
import { dataFile, readColumns } from './support/csv.js';
import { arrowPlaces, figure, saveFigure, type Panel, type Point, type Series } from './support/figure.js';
import { printTable } from './support/table.js';

const options = commandLine(
  { name: 'lynx-hare', summary: 'fits a neural ODE to the lynx and hare record and draws the fit.' },
  {
    ...commonOptions({ steps: 2400 }),
    restarts: integer('trainings from different seeds, of which the best is kept', 1, { min: 1, max: 100 }),
  },
);

const SPECIES = ['hare', 'lynx'] as const;
type Pair = readonly [hare: number, lynx: number];

const { year, hare, lynx } = readColumns(dataFile('lynx-hare.csv'), ['year', 'hare', 'lynx']);
const logs: Pair[] = year.map((_, i) => [Math.log(hare[i]), Math.log(lynx[i])]);

/** Years of the record that a stage of the training sees, and its share of the steps. */
const STAGES = [
  { years: 7, share: 0.1 },
  { years: 10, share: 0.1 },
  { years: 13, share: 0.1 },
  { years: 16, share: 0.1 },
  { years: 19, share: 0.1 },
  { years: year.length, share: 0.5 },
] as const;

/** A right-hand side for the logarithms of the pelts, shape [1, 2]. */
type Field = Layer<Tensor, Tensor, Tree, {}>;

/** Half way through the range of the record: what the network sees is centred about it. */
const centre = SPECIES.map((_, j) => (Math.max(...logs.map((p) => p[j])) + Math.min(...logs.map((p) => p[j]))) / 2);

/** A network of the logarithms, 2-16-2, small at first so that the first trajectories stay near the data. */
const network: Field = chain(
  (u: Tensor) => tf.sub(u, centre),
  dense(2, 16, 'tanh'),
  dense(16, 2, 'identity', { initWeight: normalInit(0.05), initBias: zerosInit() }),
);

/** Lotka and Volterra: (log h)' = a - b l, (log l)' = d h - c, with a, b, c, d positive as exponentials. */
const lotkaVolterra: Field = compact(
  {
    name: 'LotkaVolterra',
    // Everyone's first guess for this record: growth 0.5 and decline 0.8 a year, and an equilibrium amid the data.
    parameters: () => ({ logRates: tf.tensor1d([0.5, 0.025, 0.8, 0.025].map(Math.log)) }),
  },
  (u: Tensor, { ps }) => {
    const [a, b, c, d] = tf.unstack(tf.exp(ps.logRates));
    const [h, l] = tf.split(tf.exp(u), 2, 1);
    return tf.concat([tf.sub(a, tf.mul(b, l)), tf.sub(tf.mul(d, h), c)], 1);
  },
);

/** The trajectory from an initial state that is trained too, saved at the given times after 1900: [time, 1, 2]. */
const trajectory = (field: Field, saveAt: readonly number[]) =>
  compact(
    {
      name: 'Trajectory',
      parameters: () => ({ u0: tf.tensor2d([[...logs[0]]]) }),
      layers: {
        flow: neuralODE(field, {
          tspan: [0, saveAt[saveAt.length - 1]],
          saveAt,
          reltol: 1e-4,
          abstol: 1e-5,
          maxIters: 500,
        }),
      },
    },
    (_: Tensor, { ps, layer }) => layer.flow(ps.u0),
  );

type Trajectory = ReturnType<typeof trajectory>;
type Trained = TrainState<Trajectory>;

const yearly = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

interface Data {
  readonly target: Tensor;
  readonly unused: Tensor;
}

/** The mean square of the error of the logarithms. */
const objective = (model: Trajectory, ps: Trained['parameters'], st: Trained['states'], { target, unused }: Data) => {
  const [u, next] = model.apply(unused, ps, st);
  return [mse(u, target), next, {}] as const;
};

interface Fit {
  readonly state: Trained;
  readonly losses: readonly number[];
}

async function fit(name: string, field: Field, steps: number, rate: number, seed: number): Promise<Fit> {
  const losses: number[] = [];
  let state: Trained | undefined;
  for (const { years, share } of STAGES) {
    const count = Math.max(1, Math.round(steps * share));
    const model = trajectory(field, yearly(years));
    const [fresh, st] = setup(key(seed), model);
    const start = trainState(
      model,
      state?.parameters ?? fresh,
      st,
      adam(cosineDecay(rate, { steps: count, final: rate / 100 })),
    );
    const data: Data = { target: tf.tensor3d(logs.slice(0, years).map((pair) => [[...pair]])), unused: tf.scalar(0) };
    const result = await train(objective, data, start, {
      steps: count,
      progress: { label: `${name}, ${years} years` },
    });
    losses.push(...result.losses);
    tf.dispose([data.target, data.unused]);
    if (state !== undefined) disposeTrainState(state);
    state = result.trainState;
  }
  return { state: state as Trained, losses };
}

/** Logarithms along the fitted trajectory at the given times. */
async function predict(field: Field, { state }: Fit, times: readonly number[]): Promise<Pair[]> {
  const model = trajectory(field, times);
  const follow = compile((p: Trained['parameters'], s: Trained['states']) => model.apply(tf.scalar(0), p, s)[0]);
  const u = await follow.async(state.parameters, state.states);
  const rows = (await u.array()) as [number, number][][];
  u.dispose();
  return rows.map(([pair]) => pair);
}

const rootMeanSquare = (xs: readonly number[]): number => Math.sqrt(xs.reduce((s, x) => s + x * x, 0) / xs.length);

/** Root-mean-square error of the logarithms, for each species. */
async function errors(field: Field, fitted: Fit): Promise<Pair> {
  const found = await predict(field, fitted, yearly(year.length));
  const of = (j: 0 | 1): number => rootMeanSquare(found.map((pair, i) => pair[j] - logs[i][j]));
  return [of(0), of(1)];
}

const started = performance.now();
const backend = await prepare(options, useBackend);
console.log(`Pelts of ${year.length} years on backend ${backend}. The model:\n`);
console.log(`${layerToString(trajectory(network, yearly(year.length)))}\n`);

let best: { fitted: Fit; error: Pair } | undefined;
for (let restart = 0; restart < options.restarts; restart++) {
  const fitted = await fit('neural ODE', network, options.steps, 0.02, options.seed + restart);
  const error = await errors(network, fitted);
  if (best === undefined || rootMeanSquare(error) < rootMeanSquare(best.error)) best = { fitted, error };
}
const neural = best as NonNullable<typeof best>;
const classicalFit = await fit('Lotka-Volterra', lotkaVolterra, Math.ceil(options.steps / 3), 0.02, options.seed);
const classical = { fitted: classicalFit, error: await errors(lotkaVolterra, classicalFit) };

console.log('\nLoss (mean square error of log pelts over the years seen so far):');
const { losses } = neural.fitted;
printTable(
  Array.from({ length: 11 }, (_, i) => Math.min(losses.length - 1, Math.round((i * (losses.length - 1)) / 10)))
    .filter((step, i, all) => all.indexOf(step) === i)
    .map((step) => ({ step: step + 1, loss: losses[step] })),
);

const fitted = await predict(network, neural.fitted, yearly(year.length));
console.log('\nPelts in thousands:');
printTable(
  year.map((y, i) => ({ year: y, hare: hare[i], 'hare (fit)': Math.exp(fitted[i][0]), lynx: lynx[i], 'lynx (fit)': Math.exp(fitted[i][1]) })), // prettier-ignore
);

console.log('\nRoot-mean-square error of log pelts:');
const row = (model: string, parameters: number, error: Pair) => ({ model, parameters, hare: error[0], lynx: error[1] });
printTable([
  row('neural ODE', parameterLength(network), neural.error),
  row('Lotka-Volterra', parameterLength(lotkaVolterra), classical.error),
]);

const fine = Array.from({ length: 201 }, (_, i) => i / 10);
const curves = {
  network: await predict(network, neural.fitted, fine),
  classical: await predict(lotkaVolterra, classicalFit, fine),
};
const COLOUR = { hare: '#0072b2', lynx: '#d55e00' };
const overTime = SPECIES.flatMap((name, j): Series[] => [
  { name: `${name}, record`, kind: 'dots', colour: COLOUR[name], points: year.map((y, i): Point => [y, [hare, lynx][j][i]]) },
  { name: `${name}, neural ODE`, kind: 'line', colour: COLOUR[name], points: fine.map((t, i): Point => [1900 + t, Math.exp(curves.network[i][j])]) },
  { name: `${name}, Lotka-Volterra`, kind: 'dashed', colour: COLOUR[name], points: fine.map((t, i): Point => [1900 + t, Math.exp(curves.classical[i][j])]) },
]); // prettier-ignore
const asPoint = (pair: Pair): Point => [Math.exp(pair[0]), Math.exp(pair[1])];
const { parameters, states } = neural.fitted.state;
/** What the network says of the change of the pelts at these points. */
async function slopes(points: readonly Point[]): Promise<Point[]> {
  const du = tf.tidy(() => {
    const u = tf.tensor2d(points.map(([h, l]) => [Math.log(h), Math.log(l)]));
    return network.apply(u, parameters.flow, states.flow.model)[0];
  });
  const rows = (await du.array()) as [number, number][];
  du.dispose();
  return rows.map(([dh, dl], i) => [points[i][0] * dh, points[i][1] * dl]);
}
const portrait: Panel = {
  title: 'Phase portrait',
  x: { label: 'hare (thousands)' },
  y: { label: 'lynx (thousands)' },
  series: [
    { name: 'neural ODE', kind: 'line', colour: '#009e73', points: curves.network.map(asPoint) },
    { name: 'record', kind: 'dots', colour: '#000000', points: logs.map(asPoint) },
  ],
};
const svg = figure(
  [
    { title: 'Pelts', x: { label: 'year', format: 'd' }, y: { label: 'thousands' }, series: overTime },
    { ...portrait, arrows: await slopes(arrowPlaces(portrait)) },
    {
      title: 'Training',
      x: { label: 'step' },
      y: { label: 'mean square error of log pelts', scale: 'log' },
      series: [
        { name: 'neural ODE', kind: 'line', colour: '#009e73', points: losses.map((x, i): Point => [i + 1, x]) },
        { name: 'Lotka-Volterra', kind: 'dashed', colour: '#666666', points: classicalFit.losses.map((x, i): Point => [i + 1, x]) }, // prettier-ignore
      ],
    },
  ],
  { title: 'Lynx and hare, Hudson’s Bay Company, 1900 to 1920', width: 520 },
);
const written = saveFigure(svg, join(options.out, 'lynx-hare'));
const checkpoint = join(options.out, 'lynx-hare.safetensors');
await saveCheckpoint(checkpoint, neural.fitted.state);
console.log(`\nWritten: ${[...written, checkpoint].join(', ')}`);
console.log(`${((performance.now() - started) / 1000).toFixed(1)} s`);
