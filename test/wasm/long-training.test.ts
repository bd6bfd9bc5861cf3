import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import {
  adam,
  chain,
  constant,
  dense,
  disposeTree,
  key,
  mse,
  setup,
  singleTrainStep,
  trainState,
} from '../../src/index.js';
import { disposeTrainState } from '../../src/training/index.js';
import { NullclineBackend } from '../../src/wasm/backend.js';
import { isFloat64 } from '../support/precision.js';

const STEPS = 10_000;
/** The first steps compile the program and fill the caches. */
const SETTLED = 5;

const model = chain(dense(2, 8, 'tanh'), dense(8, 2));

/** The exchange of the two coordinates. */
const grid = Array.from({ length: 20 }, (_, i) => [Math.sin(3.1 * i), Math.cos(1.7 * i)]);

for (const name of isFloat64 ? ['nullcline64'] : ['nullcline', 'nullcline64']) {
  describe(`ten thousand training steps on ${name}`, function () {
    this.timeout(0);
    let previous: string;
    before(async () => {
      previous = tf.getBackend();
      await tf.setBackend(name);
    });
    after(async () => {
      await tf.setBackend(previous);
    });

    it('hold no more memory than five did', () => {
      const backend = tf.backend();
      if (!(backend instanceof NullclineBackend)) throw new Error('not the compiled backend');
      const held = (): unknown => ({
        bytes: backend.heap.bytesInUse,
        size: backend.heap.size,
        buffers: backend.numDataIds(),
        tensors: tf.memory().numTensors,
      });
      const seed = key(1);
      const [ps, st] = setup(seed, model);
      const batch = { x: constant(grid), y: constant(grid.map(([a, b]) => [b, a])) };
      const objective = (m: typeof model, p: typeof ps, s: typeof st, { x, y }: typeof batch) => {
        const [found, next] = m.apply(x, p, s);
        return [mse(found, y), next, {}] as const;
      };
      let state = trainState(model, ps, st, adam(0.01));
      const losses: number[] = [];
      let settled: unknown;
      for (let i = 0; i < STEPS; i++) {
        const { trainState: next, loss } = singleTrainStep(objective, batch, state);
        if (i === 0 || i === STEPS - 1) losses.push(loss.dataSync()[0]);
        loss.dispose();
        disposeTrainState(state);
        state = next;
        if (i === SETTLED) settled = held();
        else if (i > SETTLED && i % 500 === 499) expect(held(), `after ${i + 1} steps`).to.deep.equal(settled);
      }
      expect(losses[1]).to.be.lessThan(1e-4 * losses[0]);
      disposeTrainState(state);
      disposeTree([batch, seed]);
    });
  });
}
