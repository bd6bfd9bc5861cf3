/**
 * Digits classified by a neural ODE: Lux.jl's MNIST model. An image becomes 20 numbers, these flow for one unit of time in a field
 * that is learnt, and where they arrive says which digit it was.
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
import { readStatistics } from 'nullcline/solvers';
import { commandLine, commonOptions, integer, prepare } from './support/cli.js';
import { classification, neuralOdeClassifier } from './support/digit-models.js';
import { accuracy, asTensors, countOption, dataOption, digitsFor, shuffled } from './support/digits.js';
import { orExit } from './support/data-error.js';
import { figure, saveFigure, type Point } from './support/figure.js';
import { printTable } from './support/table.js';

const BATCH = 64;
const { steps: stepsOption, ...common } = commonOptions({ steps: 1 });
const options = commandLine(
  { name: 'neural-ode-digits', summary: 'classifies digits by a neural ODE, as the MNIST example of Lux.jl does.' },
  {
    data: dataOption("MNIST's IDX files or the UCI digits"),
    digits: countOption(BATCH),
    epochs: integer('passes over the training digits', 5, { min: 1 }),
    steps: { ...stepsOption, about: 'training steps in the place of whole passes', fallback: Infinity },
    ...common,
  },
);

const started = performance.now();
const backend = await prepare(options, useBackend);
const [forData, forModel, forBatches] = split(key(options.seed), 3);
const digits = await orExit(digitsFor(options, ['mnist', 'optdigits'], 28, forData));
const { train: learning, test } = digits;
console.log(`${digits.source}: ${learning.count} to learn, ${test.count} to test. Backend ${backend}. The model:\n`);

const model = neuralOdeClassifier(learning.size);
console.log(`${layerToString(model)}\n${parameterLength(model)} parameters\n`);

const [learningTensors, testTensors] = [asTensors(learning), asTensors(test)];
const { perPass, batch } = shuffled(learningTensors, BATCH, forBatches);
const steps = Math.min(options.steps, options.epochs * perPass);
const [ps, st] = setup(forModel, model);
const predict = compile((p: typeof ps, s: typeof st, x: Tensor) => model.apply(x, p, s)[0]);

/** The share of test digits that are named right. */
const score = (p: typeof ps, s: typeof st): Promise<number> =>
  accuracy((x) => predict.async(p, testMode(s), x), testTensors);

type Pass = Readonly<Record<'epoch' | 'steps' | 'loss' | 'test accuracy (%)' | 'evaluations', number>>;
const passes: Pass[] = [];
const recent: number[] = [];
const { trainState: trained, losses } = await train(
  classification<typeof model>(),
  batch,
  trainState(model, ps, st, adam(cosineDecay(1e-2, { steps, final: 1e-4 }))),
  {
    steps,
    progress: { label: 'neural-ode-digits' },
    onStep: async ({ step, loss, trainState: { parameters, states } }) => {
      recent.push(loss);
      if (step % perPass !== 0 && step !== steps) return;
      const mean = recent.reduce((a, b) => a + b, 0) / recent.length;
      recent.length = 0;
      passes.push({
        epoch: Number((step / perPass).toFixed(2)),
        steps: step,
        loss: mean,
        'test accuracy (%)': 100 * (await score(parameters, states)),
        evaluations: readStatistics(await states.flow.statistics.data()).evaluations,
      });
    },
  },
);
tf.dispose([learningTensors.images, learningTensors.labels, testTensors.images, testTensors.labels]);

console.log('\nMean loss of a pass, test digits named right after it, and evaluations of the field in the last solve:');
printTable(passes);

const svg = figure(
  [
    {
      title: 'Training',
      x: { label: 'step' },
      y: { label: 'cross-entropy of a batch', scale: 'log' },
      series: [{ name: 'loss', kind: 'line', points: losses.map((x, i): Point => [i + 1, x]) }],
    },
    {
      title: 'Test digits',
      x: { label: 'epoch' },
      y: { label: 'wrong (%)' },
      series: [
        {
          name: 'error',
          kind: 'line',
          colour: '#d55e00',
          points: passes.map((p): Point => [p.epoch, 100 - p['test accuracy (%)']]),
        },
        {
          name: 'after each pass',
          kind: 'dots',
          colour: '#d55e00',
          points: passes.map((p): Point => [p.epoch, 100 - p['test accuracy (%)']]),
        },
      ],
    },
  ],
  { title: `Digits by a neural ODE` },
);
const written = saveFigure(svg, join(options.out, 'neural-ode-digits'));
const checkpoint = join(options.out, 'neural-ode-digits.safetensors');
await saveCheckpoint(checkpoint, trained);
disposeTrainState(trained);
console.log(`\nWritten: ${[...written, checkpoint].join(', ')}`);
console.log(`${((performance.now() - started) / 1000).toFixed(1)} s`);
