/**
 * One training step of torchdiffeq's spiral demo (adaptive dopri5 at 1e-3 and 1e-6, batch 20, 10 times, a 2-50-2 tanh network of y^3,
 * mean absolute error, RMSProp) on every backend that is usable here, in one run: the README's table of backends.
 *
 *   npm run build && node --import tsx bench/backends.ts
 *
 * Backends that cannot be read at once wait for their step sizes. For WebGPU on a machine without a GPU: eval "$(node scripts/vulkan.js)" first.
 * Backends take turns, block by block; a time is the median of a backend's blocks.
 */
import {
  backendReport,
  chain,
  dense,
  disposeTrainState,
  disposeTree,
  key,
  mae,
  normalInit,
  readsSynchronously,
  rmsProp,
  setup,
  singleTrainStep,
  singleTrainStepAsync,
  trainState,
  useBackend,
  zerosInit,
  type BackendName,
  type Tensor,
  type TrainState,
} from 'nullcline';
import { neuralODE } from 'nullcline/models';
import { dopri5 } from 'nullcline/solvers';
import * as tf from '@tensorflow/tfjs';

interface World {
  readonly name: BackendName;
  readonly precision: 'float32' | 'float64';
  readonly install: string;
  readonly tested: string;
}

/** What the table says of each backend besides its time. */
const WORLDS: readonly World[] = [
  { name: 'nullcline', precision: 'float32', install: 'included', tested: 'CI, whole suite' },
  { name: 'nullcline', precision: 'float64', install: 'included', tested: 'CI, whole suite' },
  { name: 'cpu', precision: 'float32', install: 'included', tested: 'CI, whole suite' },
  { name: 'wasm', precision: 'float32', install: 'npm i @tensorflow/tfjs-backend-wasm', tested: 'CI, whole suite' },
  { name: 'webgpu', precision: 'float32', install: 'npm i webgpu @tensorflow/tfjs-backend-webgpu', tested: 'CI, test/webgpu' },
  { name: 'tensorflow', precision: 'float32', install: 'npm i @tensorflow/tfjs-node', tested: 'adapter in CI; `npm run test:tensorflow`' },
  { name: 'tensorflow-gpu', precision: 'float32', install: 'npm i @tensorflow/tfjs-node-gpu', tested: 'adapter in CI; `npm run test:tensorflow`' },
]; // prettier-ignore

const times = Array.from({ length: 10 }, (_, i) => (i * 25) / 999);
const wide = { initWeight: normalInit(0.1), initBias: zerosInit() };
const cubed = (y: Tensor): Tensor => tf.mul(y, tf.square(y));
const field = chain(cubed, dense(2, 50, 'tanh', wide), dense(50, 2, 'identity', wide));
const model = neuralODE(field, {
  tspan: [0, times[9]],
  saveAt: times,
  algorithm: dopri5(),
  reltol: 1e-3,
  abstol: 1e-6,
});

interface Batch {
  readonly x: Tensor;
  readonly y: Tensor;
}

/** Twenty points of the plane, and where the true spiral's field points from each. */
function spiral(): Batch {
  const points = Array.from({ length: 20 }, (_, i) => [2 * Math.cos(0.31 * i), 2 * Math.sin(0.31 * i)]);
  const after = (t: number): number[][] =>
    points.map(([x, y]) => [x + t * (-0.1 * x ** 3 - 2 * y ** 3), y + t * (2 * x ** 3 - 0.1 * y ** 3)]);
  return { x: tf.tensor2d(points), y: tf.tensor3d(times.map(after)) };
}

type State = TrainState<typeof model>;

const objective = (m: typeof model, ps: State['parameters'], st: State['states'], { x, y }: Batch) => {
  const [found, next] = m.apply(x, ps, st);
  return [mae(found, y), next, {}] as const;
};

/** Training on one backend: `block` makes some steps and returns the milliseconds of one. */
interface Runner {
  readonly world: World;
  readonly reading: 'sync' | 'async';
  readonly device: string;
  block(steps: number): Promise<number>;
  accepted(): Promise<number>;
  dispose(): void;
}

async function open(world: World, device: string): Promise<Runner> {
  const { name, precision } = world;
  const enter = (): Promise<unknown> => useBackend(name, { precision });
  await enter();
  const immediate = readsSynchronously();
  const seed = key(0);
  const [ps, st] = setup(seed, model);
  seed.dispose();
  const batch = spiral();
  // So slow that the problem stays what it is while the clock runs.
  let state: State = trainState(model, ps, st, rmsProp(1e-9, { rho: 0.99 }));
  const one = async (): Promise<void> => {
    const given = { ...batch };
    const made = immediate
      ? singleTrainStep(objective, given, state)
      : await singleTrainStepAsync(objective, given, state);
    disposeTrainState(state);
    made.loss.dispose();
    state = made.trainState;
  };
  return {
    world,
    device,
    reading: immediate ? 'sync' : 'async',
    block: async (steps) => {
      await enter();
      const start = performance.now();
      for (let i = 0; i < steps; i++) await one();
      return (performance.now() - start) / steps;
    },
    accepted: async () => {
      await enter();
      return (await state.states.statistics.data())[1];
    },
    dispose: () => {
      disposeTrainState(state);
      disposeTree({ ...batch });
    },
  };
}

const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[xs.length >> 1];
const format = (ms: number): string => (ms < 1 ? `${(1000 * ms).toPrecision(3)} µs` : `${ms.toPrecision(3)} ms`);

const { backends } = await backendReport();
const runners: Runner[] = [];
const missing = new Map<World, string>();
for (const world of WORLDS) {
  const found = backends.find(({ name }) => name === world.name);
  if (found === undefined) continue;
  if (found.usable) runners.push(await open(world, found.device));
  else missing.set(world, found.reason);
}

const ROUNDS = 9;
const BLOCK_MS = 60;
/** So long, that the engine has optimised what it will. */
const WARM_MS = 500;
const blocks = new Map<Runner, { steps: number; times: number[] }>();
for (const runner of runners) {
  const start = performance.now();
  do await runner.block(5);
  while (performance.now() - start < WARM_MS);
  blocks.set(runner, { steps: Math.max(2, Math.ceil(BLOCK_MS / (await runner.block(3)))), times: [] });
}
for (let round = 0; round < ROUNDS; round++) {
  for (const [runner, { steps, times }] of blocks) {
    await runner.block(1); // the first after a change of backend
    times.push(await runner.block(steps));
  }
}

console.log(
  '| backend | install | precision | reading | a step of the spiral | tested |\n| --- | --- | --- | --- | --- | --- |',
);
for (const world of WORLDS) {
  const { name, install, precision, tested } = world;
  const runner = runners.find((r) => r.world === world);
  const time = runner === undefined ? 'not measured here' : format(median(blocks.get(runner)?.times ?? []));
  const where = runner === undefined || runner.device.startsWith('CPU') ? '' : ` (${runner.device.split(':')[0]})`;
  const reading = runner?.reading ?? (name === 'webgpu' ? 'async' : 'sync');
  const command = install === 'included' ? install : `\`${install}\``;
  console.log(`| \`${name}\` | ${command} | ${precision} | ${reading} | ${time}${where} | ${tested} |`);
}
for (const runner of runners) {
  const { world, device } = runner;
  const ms = median(blocks.get(runner)?.times ?? []);
  console.log(JSON.stringify({ bench: 'backends', backend: world.name, precision: world.precision, device, ms, accepted: await runner.accepted() })); // prettier-ignore
  runner.dispose();
}
for (const [{ name }, reason] of missing) console.error(`${name}: ${reason}`);
process.exit(0);
