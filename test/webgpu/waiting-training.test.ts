/**
 * Training on WebGPU through solves that must wait for numbers: the spiral demo's neural ODE with steps that adapt, and a deep
 * equilibrium network, each as on the compiled backend.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  adam,
  chain,
  compile,
  dense,
  disposeTrainState,
  disposeTree,
  key,
  leavesWithPaths,
  formatPath,
  mae,
  mse,
  normalInit,
  parallel,
  rmsProp,
  setup,
  train,
  trainState,
  valueAndGrad,
  zerosInit,
  type Layer,
  type Optimiser,
  type StateTree,
  type Tensor,
  type TrainState,
  type Tree,
} from '../../src/index.js';
import { deepEquilibriumNetwork, neuralODE } from '../../models/index.js';
import { anderson, bs3, dopri5, implicitAdjoint } from '../../solvers/index.js';
import { expectClose } from '../support/close.js';

type Model = Layer<Tensor, Tensor, Tree, StateTree>;

interface Batch {
  readonly x: Tensor;
  readonly target: Tensor;
}

interface Case {
  readonly model: Model;
  readonly batch: () => Batch;
  readonly loss: (y: Tensor, target: Tensor) => Tensor;
  readonly optimiser: () => Optimiser;
  readonly steps: number;
}

const points = (count: number): number[][] =>
  Array.from({ length: count }, (_, i) => [2 * Math.cos(0.31 * i), 2 * Math.sin(0.31 * i)]);
/** Where the demo's spiral moves a point in a short time. */
const moved = (t: number, [x, y]: number[]): number[] => [
  x + t * (-0.1 * x ** 3 - 2 * y ** 3),
  y + t * (2 * x ** 3 - 0.1 * y ** 3),
];

const wide = { initWeight: normalInit(0.1), initBias: zerosInit() };
const times = Array.from({ length: 10 }, (_, i) => (i * 25) / 999);
const cubed = (y: Tensor): Tensor => tf.pow(y, 3);
const tanhOfSum = (a: Tensor, b: Tensor): Tensor => tf.tanh(tf.add(a, b));
const tolerances = { abstol: 1e-5, reltol: 0, maxIters: 50, throwOnFailure: true, adjoint: implicitAdjoint({ reltol: 1e-5 }) }; // prettier-ignore
const equilibrium = (width: number, features: number): Model =>
  deepEquilibriumNetwork(parallel(tanhOfSum, dense(width, width), dense(features, width)), { shape: [width], ...tolerances }); // prettier-ignore

const SPIRAL: Case = {
  model: neuralODE(chain(cubed, dense(2, 50, 'tanh', wide), dense(50, 2, 'identity', wide)), {
    tspan: [0, times[9]],
    saveAt: times,
    algorithm: dopri5(),
    reltol: 1e-3,
    abstol: 1e-6,
  }),
  batch: () => ({
    x: tf.tensor2d(points(20)),
    target: tf.tensor3d(times.map((t) => points(20).map((at) => moved(t, at)))),
  }),
  loss: mae,
  optimiser: () => rmsProp(1e-3, { rho: 0.99 }),
  steps: 10,
};

const EQUILIBRIUM: Case = {
  model: chain(equilibrium(16, 2), dense(16, 2)),
  batch: () => ({ x: tf.tensor2d(points(20)), target: tf.tensor2d(points(20).map((at) => moved(0.2, at))) }),
  loss: mse,
  optimiser: () => adam(1e-2),
  steps: 10,
};

/** As small as they come, for many steps. */
const LITTLE: Readonly<Record<string, Case>> = {
  'a neural ODE': {
    ...SPIRAL,
    model: neuralODE(dense(2, 2, 'tanh'), { tspan: [0, 0.2], algorithm: bs3(), reltol: 1e-2, abstol: 1e-2, dt: 0.2 }),
    batch: EQUILIBRIUM.batch,
    steps: 500,
  },
  'a deep equilibrium network': {
    ...EQUILIBRIUM,
    model: deepEquilibriumNetwork(parallel(tanhOfSum, dense(2, 2), dense(2, 2)), {
      algorithm: anderson({ memory: 1 }),
      abstol: 3e-2,
      reltol: 0,
      maxIters: 3,
      adjoint: implicitAdjoint({
        linearSolver: anderson({ memory: 1 }),
        reltol: 0.1,
        maxIters: 3,
        onFailure: 'ignore',
      }),
    }),
    steps: 500,
  },
};

const objective =
  ({ loss }: Case) =>
  (m: Model, ps: Tree, st: StateTree, { x, target }: Batch) => {
    const [y, next] = m.apply(x, ps, st);
    return [loss(y, target), next, {}] as const;
  };

function begin({ model, optimiser }: Case): TrainState<Model> {
  const seed = key(0);
  const [ps, st] = setup(seed, model);
  seed.dispose();
  return trainState(model, ps, st, optimiser());
}

/** What `f` gives on the compiled backend and on WebGPU; nothing is left on either. */
async function onBoth<T>(f: () => Promise<T>): Promise<[T, T]> {
  const results: T[] = [];
  for (const backend of ['nullcline', 'webgpu']) {
    await tf.setBackend(backend);
    const before = tf.memory().numTensors;
    results.push(await f());
    expect(tf.memory().numTensors - before, `tensors left on ${backend}`).to.equal(0);
  }
  return [results[0], results[1]];
}

const CASES = { "the spiral demo's neural ODE": SPIRAL, 'a deep equilibrium network': EQUILIBRIUM };

for (const [name, given] of Object.entries(CASES)) {
  describe(`${name} on WebGPU, waiting`, () => {
    it('has the gradients of the compiled backend to 1e-4, one by one', async () => {
      const lossOf = (ps: Tree, st: StateTree, data: Batch): Tensor => objective(given)(given.model, ps, st, data)[0];
      const gradient = compile(valueAndGrad(lossOf));
      const [expected, actual] = await onBoth(async () => {
        const [ts, data] = [begin(given), given.batch()];
        const { value, grad } = await gradient.async(ts.parameters, ts.states, data);
        const found: [string, number[]][] = [['loss', Array.from(await value.data())]];
        for (const { leaf, path } of leavesWithPaths(grad)) {
          found.push([formatPath(path), Array.from(await leaf.data())]);
        }
        disposeTrainState(ts);
        disposeTree([{ ...data }, value, grad]);
        return found;
      });
      expect(actual.map(([path]) => path)).to.deep.equal(expected.map(([path]) => path));
      expected.forEach(([path, values], i) => {
        const scale = Math.max(...values.map(Math.abs));
        expect(scale, path).to.be.greaterThan(0);
        expectClose(actual[i][1], values, { rtol: 1e-4, atol: 1e-4 * scale }, path);
      });
    });

    it('trains to the losses of the compiled backend', async () => {
      const [expected, actual] = await onBoth(async () => {
        const [start, data] = [begin(given), given.batch()];
        const { losses, trainState: end } = await train(objective(given), { ...data }, start, { steps: given.steps, readEvery: 10 }); // prettier-ignore
        disposeTrainState(end);
        disposeTrainState(start);
        disposeTree({ ...data });
        return losses;
      });
      expect(expected[given.steps - 1]).to.be.lessThan(0.9 * expected[0]);
      expectClose(actual, expected, { rtol: 1e-4 }, 'loss');
    });
  });
}

describe('500 steps on WebGPU, each of which waits', () => {
  for (const [name, given] of Object.entries(LITTLE)) {
    it(`${name}: as many tensors, buffers and bytes on the device after them as before`, async function () {
      this.timeout(0);
      await tf.setBackend('webgpu');
      const start = begin(given);
      const counts: string[] = [];
      const bytes: number[] = [];
      const data = (step: number): Batch => {
        if (step % 100 === 50) {
          const { numTensors, numDataBuffers, numBytesInGPU } = tf.memory() as tf.MemoryInfo & { numBytesInGPU: number }; // prettier-ignore
          counts.push(`${numTensors} tensors, ${numDataBuffers} buffers`);
          bytes.push(numBytesInGPU);
        }
        return given.batch();
      };
      const { trainState: end, losses } = await train(objective(given), data, start, { steps: given.steps, readEvery: 10 }); // prettier-ignore
      expect(losses[given.steps - 1]).to.be.lessThan(losses[0]);
      expect(counts).to.have.lengthOf(5);
      expect(new Set(counts).size, counts.join('; ')).to.equal(1);
      // What a solve left on the host because nothing asked for it on the device does not count: fewer is possible.
      expect(Math.max(...bytes), bytes.join(', ')).to.equal(bytes[0]);
      disposeTrainState(end);
      disposeTrainState(start);
    });
  }
});
