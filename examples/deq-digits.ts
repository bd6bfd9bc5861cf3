/**
 * Digits classified by a deep equilibrium model: one convolution, applied until nothing changes any more, in the place of a stack of
 * them. Its gradient is that of the equilibrium (the implicit function theorem), whatever way the solver went.
 */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  adam,
  compile,
  cosineDecay,
  disposeTrainState,
  key,
  layerToString,
  parameterLength,
  saveCheckpoint,
  setup,
  split,
  testMode,
  train,
  trainState,
  useBackend,
  type Tensor,
} from 'nullcline';
import { spectralRadius } from 'nullcline/models';
import { anderson, picard, readNonlinearStatistics } from 'nullcline/solvers';
import { commandLine, commonOptions, integer, prepare } from './support/cli.js';
import { orExit } from './support/data-error.js';
import { equilibriumClassifier, equilibriumObjective } from './support/digit-models.js';
import { accuracy, asTensors, countOption, dataOption, digitsFor, shuffled } from './support/digits.js';
import { figure, saveFigure, type Point } from './support/figure.js';
import { residualPanel, residuals } from './support/residuals.js';
import { printTable } from './support/table.js';

const BATCH = 64;
const { steps: stepsOption, ...common } = commonOptions({ steps: 1 });
const options = commandLine(
  { name: 'deq-digits', summary: 'classifies digits by a deep equilibrium model with implicit gradients.' },
  {
    data: dataOption("the UCI digits or MNIST's IDX files"),
    digits: countOption(BATCH),
    epochs: integer('passes over the training digits', 12, { min: 1 }),
    steps: { ...stepsOption, about: 'training steps in the place of whole passes', fallback: Infinity },
    ...common,
  },
);
/** Test batches whose residuals are drawn, and the iterations shown. */
const [TRACES, SHOWN] = [6, 40];

const started = performance.now();
const backend = await prepare(options, useBackend);
const [forData, forModel, forBatches, forRadius] = split(key(options.seed), 4);
const digits = await orExit(digitsFor(options, ['optdigits', 'mnist'], 8, forData));
const { train: learning, test } = digits;
/** Digits in each of those batches. */
const TRACED = Math.min(100, test.count);
console.log(`${digits.source}: ${learning.count} to learn, ${test.count} to test. Backend ${backend}. The model:\n`);

const parts = equilibriumClassifier(learning.size);
const { model } = parts;
console.log(`${layerToString(model)}\n`);

const [learningTensors, testTensors] = [asTensors(learning), asTensors(test)];
const { perPass, batch } = shuffled(learningTensors, BATCH, forBatches);
const steps = Math.min(options.steps, options.epochs * perPass);
const [ps, st] = setup(forModel, model);
type Parameters = typeof ps;
type States = typeof st;

const predict = compile((p: Parameters, s: States, x: Tensor) => model.apply(x, p, s)[0]);
const features = compile((p: Parameters, s: States, x: Tensor): Tensor => {
  const [down] = parts.down.apply(x, p.down, s.down);
  return parts.stem.apply(down, p.stem, s.stem)[0];
});
/** What is iterated: z to tanh(W z + x). */
const map = (s: States) => (z: Tensor, { p, x }: { readonly p: Parameters['equilibrium']['model']; readonly x: Tensor }) =>
  parts.cell.apply([z, x], p, s.equilibrium.model)[0]; // prettier-ignore

/** Spectral radius of the map at the equilibrium of a few test digits: how much an error shrinks in one plain iteration. */
async function radiusOf(p: Parameters, s: States): Promise<number> {
  const radius = tf.tidy(() => {
    const x = features(p, testMode(s), tf.slice(testTensors.images, [0, 0, 0, 0], [Math.min(32, test.count), -1, -1, -1])); // prettier-ignore
    const f = map(s);
    const given = { p: p.equilibrium.model, x };
    const z = Array.from({ length: SHOWN }).reduce<Tensor>((at) => f(at, given), tf.zerosLike(x));
    return spectralRadius((at) => f(at, given), z, forRadius, { iterations: 30 });
  });
  const [value] = await radius.data();
  radius.dispose();
  return value;
}

type Pass = Readonly<
  Record<'epoch' | 'steps' | 'loss' | 'test accuracy (%)' | 'iterations' | 'spectral radius', number>
>;
const passes: Pass[] = [];
const recent: { readonly loss: number; readonly iterations: number }[] = [];
const meanOf = (what: 'loss' | 'iterations'): number => recent.reduce((sum, r) => sum + r[what], 0) / recent.length;
const { trainState: trained, losses } = await train(
  equilibriumObjective(),
  batch,
  trainState(model, ps, st, adam(cosineDecay(1e-2, { steps, final: 1e-4 }))),
  {
    steps,
    progress: { label: 'deq-digits' },
    onStep: async ({ step, loss, trainState: { parameters, states } }) => {
      const [{ iterations }] = readNonlinearStatistics(await states.equilibrium.solution.statistics.data());
      recent.push({ loss, iterations });
      if (step % perPass !== 0 && step !== steps) return;
      passes.push({
        epoch: Number((step / perPass).toFixed(2)),
        steps: step,
        loss: meanOf('loss'),
        'test accuracy (%)': 100 * (await accuracy((x) => predict.async(parameters, testMode(states), x), testTensors)),
        iterations: meanOf('iterations'),
        'spectral radius': await radiusOf(parameters, states),
      });
      recent.length = 0;
    },
  },
);

console.log('\nOf each pass: mean loss, test digits named right after it, mean iterations to the equilibrium, and');
console.log('the spectral radius there of the map on 32 test digits:');
printTable(passes);

const SOLVERS = { anderson: anderson(), picard: picard() };
const curves = { anderson: [] as number[][], picard: [] as number[][] };
for (let i = 0; i < Math.min(TRACES, Math.floor(test.count / TRACED)); i++) {
  const x = tf.tidy(() =>
    features(trained.parameters, testMode(trained.states), tf.slice(testTensors.images, [i * TRACED, 0, 0, 0], [TRACED, -1, -1, -1])),
  ); // prettier-ignore
  const start = tf.zerosLike(x);
  const given = { p: trained.parameters.equilibrium.model, x };
  for (const name of ['anderson', 'picard'] as const) {
    const limits = { maxIters: SHOWN, tolerance: 1e-6 };
    curves[name].push(await residuals(map(trained.states), start, given, SOLVERS[name], limits));
  }
  tf.dispose([x, start]);
}
tf.dispose([learningTensors.images, learningTensors.labels, testTensors.images, testTensors.labels]);

const accuracyPoints = passes.map((p): Point => [p.epoch, 100 - p['test accuracy (%)']]);
const svg = figure(
  [
    {
      title: 'Training',
      x: { label: 'step' },
      y: { label: 'loss of a batch', scale: 'log' },
      series: [{ name: 'loss', kind: 'line', points: losses.map((x, i): Point => [i + 1, x]) }],
    },
    {
      title: 'Test digits',
      x: { label: 'epoch' },
      y: { label: 'wrong (%)' },
      series: [
        { name: 'error', kind: 'line', colour: '#d55e00', points: accuracyPoints },
        { name: 'after each pass', kind: 'dots', colour: '#d55e00', points: accuracyPoints },
      ],
    },
    residualPanel(`Residuals of ${curves.anderson.length} test batches`, [
      { name: 'Anderson', curves: curves.anderson },
      { name: 'Picard', curves: curves.picard },
    ]),
  ],
  { title: 'Digits by a deep equilibrium model' },
);
const written = saveFigure(svg, join(options.out, 'deq-digits'));
const checkpoint = join(options.out, 'deq-digits.safetensors');
await saveCheckpoint(checkpoint, trained);
disposeTrainState(trained);
const last = passes[passes.length - 1];
console.log(`\nIn all (mean iterations of the test batches to a residual of 1e-6, at most ${SHOWN}):`);
printTable([
  {
    parameters: parameterLength(model),
    'test accuracy (%)': last['test accuracy (%)'],
    'iterations, Anderson': mean(curves.anderson.map((c) => c.length - 1)),
    'iterations, Picard': mean(curves.picard.map((c) => c.length - 1)),
    seconds: (performance.now() - started) / 1000,
  },
]);
console.log(`\nWritten: ${[...written, checkpoint].join(', ')}`);

function mean(xs: readonly number[]): number {
  return xs.length === 0 ? NaN : xs.reduce((a, b) => a + b, 0) / xs.length;
}
