/**
 * Training on WebGPU as on the compiled backend: the spiral demo's network through four steps of the classical
 * Runge-Kutta method. Losses and gradients agree, nothing is left behind by five hundred steps.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  chain,
  compile,
  dense,
  disposeTrainState,
  disposeTree,
  key,
  mae,
  normalInit,
  rmsProp,
  setup,
  train,
  trainState,
  valueAndGrad,
  zerosInit,
  type Tensor,
  type TrainState,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { expectSame } from '../support/webgpu.js';

const wide = { initWeight: normalInit(0.1), initBias: zerosInit() };
const model = chain((y: Tensor) => tf.pow(y, 3), dense(2, 50, 'tanh', wide), dense(50, 2, 'identity', wide));
type Trained = TrainState<typeof model>;

interface Batch {
  readonly start: Tensor;
  readonly target: Tensor;
}

/** Twenty points of the plane, and where the true spiral's field (torchdiffeq's demo) moves them in a short time. */
const batch = (): Batch => {
  const points = Array.from({ length: 20 }, (_, i) => [2 * Math.cos(0.31 * i), 2 * Math.sin(0.31 * i)]);
  const moved = points.map(([x, y]) => [x + 0.2 * (-0.1 * x ** 3 - 2 * y ** 3), y + 0.2 * (2 * x ** 3 - 0.1 * y ** 3)]);
  return { start: tf.tensor2d(points), target: tf.tensor2d(moved) };
};

const TIME = 0.2;

/** The mean absolute error after so many steps of the method. */
const after =
  (steps: number) =>
  (m: typeof model, ps: Trained['parameters'], st: Trained['states'], { start, target }: Batch) => {
    const h = TIME / steps;
    const field = (y: Tensor): Tensor => m.apply(y, ps, st)[0];
    let y: Tensor = start;
    for (let i = 0; i < steps; i++) {
      const k1 = field(y);
      const k2 = field(tf.add(y, tf.mul(h / 2, k1)));
      const k3 = field(tf.add(y, tf.mul(h / 2, k2)));
      const k4 = field(tf.add(y, tf.mul(h, k3)));
      y = tf.add(y, tf.mul(h / 6, tf.addN([k1, tf.mul(2, k2), tf.mul(2, k3), k4])));
    }
    return [mae(y, target), st, {}] as const;
  };

const objective = after(4);

const begin = (): Trained => {
  const seed = key(0);
  const [ps, st] = setup(seed, model);
  seed.dispose();
  return trainState(model, ps, st, rmsProp(1e-3, { rho: 0.99 }));
};

describe('training on WebGPU', () => {
  it('has the gradients of the compiled backend to 1e-4', async () => {
    const gradient = compile(
      valueAndGrad(
        (ps: Trained['parameters'], data: Batch, st: Trained['states']) => objective(model, ps, st, data)[0],
      ),
    );
    await expectSame(
      () => ({ ts: begin(), data: batch() }),
      ({ ts, data }) => gradient(ts.parameters, data, ts.states),
      'gradient',
      { rtol: 1e-4, atol: 1e-6 },
    );
  });

  it('reaches the losses of the compiled backend', async () => {
    const losses: number[][] = [];
    for (const backend of ['nullcline', 'webgpu']) {
      await tf.setBackend(backend);
      const [start, data] = [begin(), batch()];
      const result = await train(after(1), { ...data }, start, { steps: 40, readEvery: 10 });
      losses.push([...result.losses]);
      disposeTrainState(result.trainState);
      disposeTrainState(start);
      disposeTree({ ...data });
    }
    const [expected, actual] = losses;
    expect(expected[39]).to.be.lessThan(0.8 * expected[0]);
    expectClose(actual, expected, { rtol: 1e-3 }, 'loss');
  });

  it('keeps the number of tensors and of bytes on the device over 500 steps, reading every tenth', async () => {
    await tf.setBackend('webgpu');
    const start = begin();
    const counts: { tensors: number; bytes: number }[] = [];
    const data = (step: number): Batch => {
      if (step % 100 === 50) {
        const { numTensors, numBytesInGPU } = tf.memory() as tf.MemoryInfo & { numBytesInGPU: number };
        counts.push({ tensors: numTensors, bytes: numBytesInGPU });
      }
      return batch();
    };
    const { trainState: end } = await train(after(1), data, start, { steps: 500, readEvery: 10 });
    expect(counts).to.have.lengthOf(5);
    expect(new Set(counts.map(({ tensors }) => tensors)).size, JSON.stringify(counts)).to.equal(1);
    expect(new Set(counts.map(({ bytes }) => bytes)).size, JSON.stringify(counts)).to.equal(1);
    disposeTrainState(end);
    disposeTrainState(start);
  });
});
