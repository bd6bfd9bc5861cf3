/**
 * Paths through mazes by a deep equilibrium network, whose depth is what a maze needs: trained on small mazes, it solves larger ones by
 * iterating longer.
 *
 * The mazes are drawn here: spanning trees of a grid, with one path between any two cells. A maze counts as solved when every cell is
 * told right: on the path from start to goal or not. Training begins with mazes a good deal smaller, on which iterations are few.
 */
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  adam,
  clipNorm,
  compile,
  cosineDecay,
  disposeTrainState,
  foldIn,
  key,
  layerToString,
  optimiserChain,
  parameterLength,
  saveCheckpoint,
  setup,
  split,
  testMode,
  train,
  trainState,
  useBackend,
  type TrainState,
} from 'nullcline';
import { readNonlinearStatistics } from 'nullcline/solvers';
import { commandLine, commonOptions, integer, prepare } from './support/cli.js';
import { figure, saveFigure, type Panel, type Point } from './support/figure.js';
import {
  encodeMazes,
  mazeNetwork,
  mazeObjective,
  solved,
  type MazeModel,
  type MazeTensors,
} from './support/maze-network.js';
import { drawMazes, type Maze } from './support/maze.js';
import { mazePanel } from './support/maze-picture.js';
import { printTable } from './support/table.js';

const options = commandLine(
  { name: 'deq-maze', summary: 'trains a deep equilibrium network on small mazes and tests it on larger ones.' },
  {
    ...commonOptions({ steps: 900 }),
    size: integer('cells along each side of the mazes to train on', 9, { min: 3, max: 24 }),
    mazes: integer('held-out mazes of each size to test on', 200, { min: 1 }),
  },
);
const BATCH = 32;
/** Mazes that are tested at once. */
const TESTED = 100;
/** Part of the full size, and of the steps, of each stage of the training. */
const STAGES = [
  { scale: 0.45, share: 0.5, rate: 1e-2 },
  { scale: 0.7, share: 0.25, rate: 5e-3 },
  { scale: 1, share: 0.25, rate: 3e-3 },
] as const;

type Trained = TrainState<MazeModel>;

const started = performance.now();
const seconds = (): number => (performance.now() - started) / 1000;
const backend = await prepare(options, useBackend);
const [forModel, forTraining, forTests] = split(key(options.seed), 3);
const scaled = (scale: number): number => Math.max(2, Math.ceil(options.size * scale));
console.log(
  `Mazes drawn here, of ${options.size} by ${options.size} cells to train on. Backend ${backend}. The model:\n`,
);
console.log(`${layerToString(mazeNetwork(options.size).model)}\n`);

/** Some of the mazes. */
const some = ({ mazes, paths }: MazeTensors, from: number, count: number): MazeTensors => ({
  mazes: tf.slice(mazes, [from, 0, 0, 0], [count, -1, -1, -1]),
  paths: tf.slice(paths, [from, 0, 0, 0], [count, -1, -1, -1]),
});

interface Stage {
  readonly size: number;
  readonly steps: number;
  readonly loss: number;
  readonly iterations: number;
  readonly seconds: number;
}

const losses: number[] = [];
const stages: Stage[] = [];
async function learn(): Promise<Trained> {
  let [ps, st] = setup(forModel, mazeNetwork(options.size).model);
  let before: Trained | undefined;
  for (const [i, { scale, share, rate }] of STAGES.entries()) {
    const size = scaled(scale);
    const steps = Math.max(1, Math.round(options.steps * share));
    const pool = Math.min(4096, steps * BATCH);
    const data = encodeMazes(await drawMazes(foldIn(forTraining, i), pool, size));
    const optimiser = optimiserChain(clipNorm(1), adam(cosineDecay(rate, { steps, final: rate / 30 })));
    let iterations = 0;
    const result = await train(
      mazeObjective,
      (step: number) => some(data, (step * BATCH) % (pool - BATCH + 1), BATCH),
      trainState(mazeNetwork(size).model, ps, st, optimiser),
      {
        steps,
        progress: { label: `mazes of ${size} by ${size}` },
        onStep: async ({ trainState: { states } }) => {
          const [last] = readNonlinearStatistics(await states.equilibrium.solution.statistics.data());
          iterations = Math.max(iterations, last.iterations);
        },
      },
    );
    tf.dispose([data.mazes, data.paths]);
    losses.push(...result.losses);
    const tail = result.losses.slice(-20);
    const loss = tail.reduce((a, b) => a + b, 0) / tail.length;
    stages.push({ size, steps, loss, iterations, seconds: seconds() });
    if (before !== undefined) disposeTrainState(before);
    before = result.trainState;
    ({ parameters: ps, states: st } = before);
  }
  return before as Trained;
}

interface Test {
  readonly size: number;
  readonly mazes: readonly Maze[];
  readonly longest: number;
  /** The share solved by the model, its solver stopping where nothing changes any more. */
  readonly share: number;
  /** Iterations of the solver, of the batch that needed most. */
  readonly iterations: number;
  /** The share solved after 0, 1, 2, ... iterations. */
  readonly after: readonly number[];
  /** For the first maze, the cells that are told to be on the path after 0, 1, 2, ... iterations. */
  readonly marked: readonly (readonly number[])[];
}

/** Twice as many iterations as the solver needed, so that the picture shows what going on does. */
async function test({ parameters, states }: Trained, size: number, index: number): Promise<Test> {
  const mazes = await drawMazes(foldIn(forTests, index), options.mazes, size);
  const { model, stem, cell, read, channels } = mazeNetwork(size);
  type P = typeof parameters;
  type S = typeof states;
  const solve = compile((p: P, s: S, x: tf.Tensor) => {
    const [logits, next] = model.apply(x, p, s);
    return { logits, statistics: next.equilibrium.solution.statistics };
  });
  const look = compile((p: P, s: S, x: tf.Tensor) => stem.apply(x, p.stem, s.stem)[0]);
  const iterate = compile((p: P, s: S, z: tf.Tensor, given: { readonly seen: tf.Tensor; readonly maze: tf.Tensor }) =>
    cell.apply([z, given], p.equilibrium.model, s.equilibrium.model)[0]); // prettier-ignore
  const tell = compile((p: P, s: S, z: tf.Tensor, seen: tf.Tensor) => read.apply([z, seen], p.read, s.read)[0]);

  const tensors = encodeMazes(mazes);
  const testing = testMode(states);
  const batches: { right: number; iterations: number }[] = [];
  const counts: number[][] = [];
  const marked: number[][] = [];
  for (let from = 0; from < mazes.length; from += TESTED) {
    const batch = some(tensors, from, Math.min(TESTED, mazes.length - from));
    const { logits, statistics } = await solve.async(parameters, testing, batch.mazes);
    const right = solved(logits, batch.paths);
    const [{ iterations }] = readNonlinearStatistics(await statistics.data());
    batches.push({ right: (await right.data())[0], iterations });
    tf.dispose([logits, statistics, right]);

    const seen = look(parameters, testing, batch.mazes);
    const given = { seen, maze: batch.mazes };
    let z: tf.Tensor = tf.zeros([...seen.shape.slice(0, 3), 4 * channels]);
    const after: number[] = [];
    for (let k = 0; k <= 2 * Math.max(...batches.map((b) => b.iterations)); k++) {
      const told = tell(parameters, testing, z, seen);
      const hits = solved(told, batch.paths);
      after.push((await hits.data())[0]);
      if (from === 0) {
        const first = tf.slice(told, [0, 0, 0, 0], [1, -1, -1, -1]);
        const logits = await first.data();
        first.dispose();
        marked.push(Array.from(logits.keys()).filter((c) => logits[c] > 0));
      }
      const next = iterate(parameters, testing, z, given);
      tf.dispose([told, hits, z]);
      z = next;
    }
    counts.push(after);
    tf.dispose([z, seen, batch.mazes, batch.paths]);
  }
  tf.dispose([tensors.mazes, tensors.paths]);
  // A batch that settled earlier stays as it ended.
  const length = Math.max(...counts.map((c) => c.length));
  const after = Array.from({ length }, (_, k) =>
    counts.reduce((sum, c) => sum + c[Math.min(k, c.length - 1)], 0) / mazes.length); // prettier-ignore
  return {
    size,
    mazes,
    longest: Math.max(...mazes.map(({ path }) => path.length)),
    share: batches.reduce((sum, b) => sum + b.right, 0) / mazes.length,
    iterations: Math.max(...batches.map((b) => b.iterations)),
    after,
    marked,
  };
}

const trained = await learn();
console.log(
  '\nTraining, in stages (loss: mean of the last 20 steps; iterations: most in one solve; seconds since the start):',
);
printTable(stages.map((stage) => ({ ...stage })));

const tests: Test[] = [];
for (const [i, scale] of [1, 1.5, 2].entries()) tests.push(await test(trained, scaled(scale), i));

console.log(`\nHeld-out mazes with every cell right (%), ${options.mazes} of each size, by iterations:`);
const shown = [5, 10, 20, 40, 60, 80, 120, 160, 240, 320].filter((k) => k < Math.max(...tests.map((t) => t.after.length))); // prettier-ignore
const percent = (share: number): number => Math.round(1000 * share) / 10;
printTable(
  shown.map((k) => ({
    iterations: k,
    ...Object.fromEntries(
      tests.map(({ size, after }) => [`${size} x ${size}`, percent(after[Math.min(k, after.length - 1)])]),
    ),
  })),
);
console.log('\nIterated until nothing changes any more:');
printTable(
  tests.map(({ size, longest, iterations, share }) => ({
    size: `${size} x ${size}`,
    'longest path': longest,
    iterations,
    'solved (%)': percent(share),
  })),
);
console.log(`\n${parameterLength(mazeNetwork(options.size).model)} parameters, the same for every size.`);

const [, larger] = tests;
const early = Math.min(larger.marked.length - 1, Math.round(larger.mazes[0].path.length / 4));
const curves: Panel = {
  title: 'Mazes solved',
  x: { label: 'iterations' },
  y: { label: 'every cell right (%)', domain: [0, 104] },
  series: tests.map(({ size, after }, i) => ({
    name: `${size} x ${size}${i === 0 ? ' (as trained)' : ''}`,
    kind: 'line',
    points: after.map((share, k): Point => [k, 100 * share]),
  })),
};
const svg = figure(
  [
    curves,
    {
      title: 'Training',
      x: { label: 'step' },
      y: { label: 'cross-entropy of a cell', scale: 'log' },
      series: [{ name: 'loss', kind: 'line', points: losses.map((x, i): Point => [i + 1, x]) }],
    },
    mazePanel(early === 1 ? 'After 1 iteration' : `After ${early} iterations`, larger.mazes[0], larger.marked[early]),
    mazePanel('At the equilibrium', larger.mazes[0], larger.marked[larger.marked.length - 1]),
  ],
  { title: 'Paths through mazes by a deep equilibrium network', columns: 2, width: 440, height: 450 },
);
const written = saveFigure(svg, join(options.out, 'deq-maze'));
const checkpoint = join(options.out, 'deq-maze.safetensors');
await saveCheckpoint(checkpoint, trained);
disposeTrainState(trained);
console.log(`\nWritten: ${[...written, checkpoint].join(', ')}`);
console.log(`${seconds().toFixed(1)} s`);
