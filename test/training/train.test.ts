import '../support/backend.js';
import { mkdtempSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, describe, it } from 'mocha';
import { leaves } from '../../src/core/tree.js';
import { adam, cosineDecay, descent } from '../../src/optimisers/index.js';
import {
  disposeTrainState,
  loadCheckpoint,
  restoreTrainState,
  singleTrainStep,
  train,
  trainState,
  TrainingError,
  type TrainState,
} from '../../src/training/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';
import { byHand, line, meanSquare, points, type Batch, type Line } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'nullcline-train-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const key = (): tf.Tensor1D => tf.tensor1d([0, 0], 'int32');
const begin = (optimiser = descent(0.1)): TrainState<Line> =>
  trainState(line, line.initialParameters(key()), line.initialStates(key()), optimiser);

async function failureOf(f: () => Promise<unknown>): Promise<TrainingError> {
  try {
    await f();
  } catch (error) {
    expect(error).to.be.instanceOf(TrainingError);
    return error as TrainingError;
  }
  return expect.fail('no error');
}

/** Text written to a stream. */
const recorder = (isTTY: boolean): { text: string; write: (s: string) => boolean; isTTY: boolean } => ({
  text: '',
  isTTY,
  write(s) {
    this.text += s;
    return true;
  },
});

describe('train', () => {
  it('computes the same where losses need not be finite, in the place of the state before', async () => {
    const [a, b] = [begin(adam(0.1)), begin(adam(0.1))];
    const data = points();
    const seen: number[] = [];
    const kept: tf.Tensor[] = [];
    const safe = await train(meanSquare, data, a, { steps: 6 });
    const before = tf.memory().numTensors;
    const end = await train(meanSquare, data, b, {
      steps: 6,
      checkFinite: false,
      checkpoint: join(folder, 'donated.safetensors'),
      checkpointEvery: 2,
      onStep: ({ step, trainState: ts }) => {
        seen.push(step);
        if (step === 3) kept.push(tf.clone(ts.parameters.weight));
      },
    });
    expect(seen).to.deep.equal([1, 2, 3, 4, 5, 6]);
    expect(end.losses).to.deep.equal(safe.losses);
    expectClose(end.trainState.parameters.weight, safe.trainState.parameters.weight, { rtol: 1e-7 });
    expectClose(b.parameters.weight, [0.5, -0.25]);
    // What was kept of the third step is as it was then.
    const third = await train(meanSquare, data, a, { steps: 3 });
    expectClose(kept[0], third.trainState.parameters.weight, { rtol: 1e-7 });
    disposeTrainState(third.trainState);
    kept[0].dispose();
    disposeTrainState(end.trainState);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('gives the state back that a failing step began with, also where each is given up to the next', async () => {
    const ts = begin(adam(0.1));
    const good = await train(meanSquare, points(), ts, { steps: 2 });
    const failing = (step: number): Batch => {
      if (step === 2) throw new Error('no third batch');
      return points();
    };
    const { trainState: reached } = await failureOf(() => train(meanSquare, failing, ts, { steps: 5, checkFinite: false })); // prettier-ignore
    expect(reached.step).to.equal(2);
    expectClose((reached as TrainState<Line>).parameters.weight, good.trainState.parameters.weight, { rtol: 1e-7 });
  });

  it('finds the line that the data lie on', async () => {
    const ts = begin(adam(cosineDecay(0.3, { steps: 400 })));
    const { trainState: end, losses, reason } = await train(meanSquare, points(), ts, { steps: 400 });
    expect(reason).to.equal('steps');
    expect(losses.length).to.equal(400);
    expect(end.step).to.equal(400);
    expectClose(losses[0], byHand([0.5, -0.25], 0.1).loss, { rtol: 1e-6 });
    expectClose(end.parameters.weight, [2, -3], { rtol: 1e-3 });
    expectClose(end.parameters.bias, 0.5, { rtol: 1e-3 });
    expectClose(end.states.seen, 1600);
    expect(ts.step).to.equal(0);
    expectClose(ts.parameters.weight, [0.5, -0.25]);
  });

  for (const readEvery of [1, 7]) {
    it(`leaks nothing over 1,000 steps, reading the loss every ${readEvery}`, async () => {
      const ts = begin(adam(0.01));
      const data = points();
      const backend = tf.backend();
      const before = { tensors: tf.memory().numTensors, buffers: backend.numDataIds() };
      const { trainState: end, losses } = await train(meanSquare, () => points(), ts, { steps: 1000, readEvery });
      expect(losses.length).to.equal(1000);
      disposeTrainState(end);
      expect(tf.memory().numTensors).to.equal(before.tensors);
      // What the compiled step itself holds are its constants.
      expect(backend.numDataIds() - before.buffers).to.be.at.most(20);
      const settled = backend.numDataIds();
      disposeTrainState((await train(meanSquare, data, ts, { steps: 1000, readEvery })).trainState);
      expect(tf.memory().numTensors).to.equal(before.tensors);
      expect(backend.numDataIds()).to.equal(settled);
    });
  }

  it('is the same as steps made one by one', async () => {
    const data = points();
    let ts = begin(adam(0.1));
    const losses: number[] = [];
    const result = await train(meanSquare, data, ts, { steps: 5 });
    for (let i = 0; i < 5; i++) {
      const step = singleTrainStep(meanSquare, data, ts);
      losses.push(step.loss.dataSync()[0]);
      ts = step.trainState;
    }
    expect(result.losses).to.deep.equal(losses);
    expectClose(result.trainState.parameters.weight, ts.parameters.weight);
  });

  it('takes batches from a function of the step, from a generator and from what can be gone through again', async () => {
    const ts = begin(descent(0));
    const [x, y] = points();
    const row = (i: number): Batch => [tf.slice(x, i, 1), tf.slice(y, i, 1)];
    const asked: number[] = [];
    const byStep = await train(meanSquare, (i: number) => (asked.push(i), row(i % 4)), ts, { steps: 6 });
    expect(asked).to.deep.equal([0, 1, 2, 3, 4, 5]);
    function* once(): Generator<Batch> {
      for (let i = 0; i < 4; i++) yield row(i);
    }
    const ended = await train(meanSquare, once(), ts, { steps: 6 });
    expect(ended.reason).to.equal('data ended');
    expect(ended.losses).to.deep.equal(byStep.losses.slice(0, 4));
    const again = await train(meanSquare, { [Symbol.iterator]: once }, ts, { steps: 6 });
    expect(again.losses).to.deep.equal(byStep.losses);
    const more = await train(meanSquare, (i: number) => (asked.push(i), row(i % 4)), ended.trainState, { steps: 1 });
    expect(asked.at(-1)).to.equal(4);
    expect(more.trainState.step).to.equal(5);
  });

  it('onStep sees step, loss, stats and state, and is waited for', async () => {
    const seen: [number, number, number][] = [];
    const ts = begin();
    const { losses } = await train(meanSquare, points(), ts, {
      steps: 3,
      readEvery: 100,
      onStep: async ({ step, loss, stats, trainState: now }) => {
        expect(now.step).to.equal(step);
        await new Promise((resolve) => setTimeout(resolve, 1));
        seen.push([step, loss, stats.largest.dataSync()[0]]);
      },
    });
    expect(seen.map(([step]) => step)).to.deep.equal([1, 2, 3]);
    expect(seen.map(([, loss]) => loss)).to.deep.equal(losses);
    expectClose(seen[0][2], 2.475, { rtol: 1e-6 });
  });

  it('a signal stops it between steps, also one that comes from a timer', async () => {
    const ts = begin(descent(0.01));
    const controller = new AbortController();
    setTimeout(() => {
      controller.abort();
    }, 40);
    const {
      reason,
      losses,
      trainState: end,
    } = await train(meanSquare, points(), ts, { steps: 1e7, signal: controller.signal });
    expect(reason).to.equal('aborted');
    expect(losses.length).to.be.within(1, 1e6);
    expect(end.step).to.equal(losses.length);
    const none = await train(meanSquare, points(), ts, { steps: 5, signal: controller.signal });
    expect(none.losses).to.deep.equal([]);
    // Its own tensors, so that freeing it leaves the state that training began with.
    expect(none.trainState.step).to.equal(0);
    disposeTrainState(none.trainState);
    expect(leaves(ts.parameters).some((t) => t.isDisposed)).to.equal(false);
  });

  for (const readEvery of [1, 3]) {
    it(`a diverging loss keeps the last good state (loss read every ${readEvery})`, async () => {
      const ts = begin(descent(1e8));
      const data = points();
      const error = await failureOf(() => train(meanSquare, data, ts, { steps: 200, readEvery }));
      expect(error.message).to.match(/the loss is (Infinity|NaN) at step \d+/);
      expect(error.losses.every(Number.isFinite)).to.be.true;
      expect(error.losses.length).to.equal(error.step - 1);
      const good = error.trainState as TrainState<Line>;
      expect(error.step - good.step).to.be.within(1, readEvery + 1);
      expect(Number.isFinite(singleTrainStep(meanSquare, data, good).loss.dataSync()[0])).to.be.true;
      before;
    });
  }

  it('frees everything else on failure', async () => {
    const ts = begin(descent(1e8));
    const data = points();
    const before = tf.memory().numTensors;
    for (const readEvery of [1, 4]) {
      const error = await failureOf(() => train(meanSquare, data, ts, { steps: 200, readEvery }));
      if (error.trainState !== ts) disposeTrainState(error.trainState);
      expect(tf.memory().numTensors).to.equal(before);
    }
  });

  it('parameters that break at the very last update are noticed', async () => {
    const ps = { weight: tf.tensor2d([[1e5], [1e5]]), bias: tf.tensor1d([0]) };
    const rate = tolerance({ float32: 3e38, float64: 1e308 });
    const steep = trainState(line, ps, line.initialStates(key()), descent(rate));
    const error = await failureOf(() => train(meanSquare, points(), steep, { steps: 1 }));
    expect(error.message).to.match(/parameters are not finite after step 1/);
    expect(error.trainState).to.equal(steep);
  });

  describe('with parameters that are not finite and losses that are', () => {
    // Errors that are NaN do not count, as where values are missing; the gradient of a step with such a row is NaN all the same.
    const lenient: typeof meanSquare = (model, ps, st, [x, y]) => {
      const [prediction, states] = model.apply(x, ps, st);
      const error = tf.sub(prediction, y);
      const counted = tf.where(tf.isNaN(error), tf.zerosLike(error), error);
      return [tf.mean(tf.square(counted)), states, { largest: tf.max(counted) }];
    };
    /** The fourth step breaks the parameters. */
    const data = (step: number): Batch => {
      const [x, y] = points();
      return [step === 3 ? tf.add(x, tf.tensor2d([[NaN], [0], [0], [0]])) : x, y];
    };
    const isFinite = (ts: TrainState): boolean => leaves(ts.parameters).every((t) => Array.from(t.dataSync()).every(Number.isFinite)); // prettier-ignore

    it('breaks them', async () => {
      const { trainState: end, losses } = await train(lenient, data, begin(), { steps: 7, checkFinite: false });
      expect(isFinite(end)).to.equal(false);
      expect(losses.every(Number.isFinite)).to.equal(true);
    });

    for (const checkFinite of [true, false]) {
      it(`saves none, and names none as good (checkFinite: ${checkFinite})`, async () => {
        const ts = begin();
        const before = tf.memory().numTensors;
        const path = join(folder, `broken-${checkFinite}.safetensors`);
        const saving = { checkpoint: path, checkFinite };
        const onTheWay = await failureOf(() => train(lenient, data, ts, { steps: 9, ...saving, checkpointEvery: 3 }));
        expect(onTheWay.message).to.equal('the parameters are not finite after step 6');
        expect(onTheWay.trainState).to.equal(ts);
        expect(tf.memory().numTensors).to.equal(before);
        const saved = await restoreTrainState(path, ts);
        expect(saved.step).to.equal(3);
        expect(isFinite(saved)).to.equal(true);
        disposeTrainState(saved);
        // At the end, straight after the step that broke them and later; on an abort too.
        for (const steps of [4, 8]) {
          const stop = new AbortController();
          const aborting = { ...saving, signal: stop.signal, onStep: ({ step }: { step: number }) => { if (step === steps) stop.abort(); } }; // prettier-ignore
          for (const options of [
            { ...saving, steps },
            { ...aborting, steps: 20 },
          ]) {
            const error = await failureOf(() => train(lenient, data, ts, options));
            expect(error.message).to.equal(`the parameters are not finite after step ${steps}`);
            expect(error.trainState.step).to.equal(checkFinite && steps === 4 ? 3 : 0);
            expect(isFinite(error.trainState)).to.equal(true);
            expect((await loadCheckpoint(path)).step).to.equal(3);
            if (error.trainState !== ts) disposeTrainState(error.trainState);
          }
        }
      });

      it(`names none as good where a callback fails (checkFinite: ${checkFinite})`, async () => {
        const ts = begin();
        const before = tf.memory().numTensors;
        for (const at of [4, 6]) {
          const onStep = ({ step }: { step: number }): void => {
            if (step === at) throw new Error('enough');
          };
          const error = await failureOf(() => train(lenient, data, ts, { steps: 9, checkFinite, onStep }));
          expect(error.message).to.equal(`training stopped at step ${at}: enough (the parameters are not finite after step ${at})`); // prettier-ignore
          expect(error.trainState.step).to.equal(checkFinite && at === 4 ? 3 : 0);
          expect(isFinite(error.trainState)).to.equal(true);
          if (error.trainState !== ts) disposeTrainState(error.trainState);
          expect(tf.memory().numTensors).to.equal(before);
        }
      });
    }
  });

  it('an error in the data, in a step or in onStep loses nothing', async () => {
    const ts = begin();
    const [x, y] = points();
    const before = tf.memory().numTensors;
    const failures: [string, number, () => Promise<unknown>][] = [
      ['no more', 4, () => train(meanSquare, (i: number): Batch => { if (i === 3) throw new Error('no more'); return [x, y]; }, ts, { steps: 9, readEvery: 2 })],
      ['inner dimensions', 4, () => train(meanSquare, (i: number): Batch => [i === 3 ? tf.zeros([4, 5]) : x, y], ts, { steps: 9 })],
      ['enough', 3, () => train(meanSquare, [x, y] as Batch, ts, { steps: 9, onStep: ({ step }) => { if (step === 3) throw new Error('enough'); } })],
    ]; // prettier-ignore
    for (const [message, step, run] of failures) {
      const error = await failureOf(run);
      expect(error.message).to.match(new RegExp(`training stopped at step ${step}: .*${message}`));
      expect((error.cause as Error).message).to.contain(message);
      expect(error.step).to.equal(step);
      expect(error.trainState.step).to.equal(3);
      expect(error.losses.length).to.equal(3);
      disposeTrainState(error.trainState);
      expect(tf.memory().numTensors).to.equal(before);
    }
  });

  it('saves on the way and at the end, and goes on from there as if never stopped', async () => {
    const path = join(folder, 'run.safetensors');
    const ts = begin(adam(cosineDecay(0.1, { steps: 20 })));
    const data = points();
    const straight = await train(meanSquare, data, ts, { steps: 20 });
    const seen: number[] = [];
    await train(meanSquare, data, ts, {
      steps: 8,
      checkpoint: path,
      checkpointEvery: 3,
      onStep: async () => {
        if (existsSync(path)) seen.push((await loadCheckpoint(path)).step);
      },
    });
    expect(seen).to.deep.equal([3, 3, 3, 6]); // state 3 is proven by step 4 and seen from step 5 on
    const restored = await restoreTrainState(path, ts);
    expect(restored.step).to.equal(8);
    const rest = await train(meanSquare, data, restored, { steps: 12 });
    expect(rest.losses).to.deep.equal(straight.losses.slice(8));
    expectClose(rest.trainState.parameters.weight, straight.trainState.parameters.weight);
  });

  it('reports in lines without a terminal', async () => {
    const stream = recorder(false);
    await train(meanSquare, points(), begin(), { steps: 30, progress: { stream, interval: 1e-6, label: 'line' } });
    const lines = stream.text.trimEnd().split('\n');
    expect(lines[0]).to.match(/^line 1\/30 {2}loss 3\.995 {2}rate 0\.1 {2}[\d.]+ s left$/);
    expect(lines.at(-1)).to.match(/^line 30\/30 {2}loss \S+ {2}rate 0\.1 {2}done after [\d.]+ s$/);
  });

  it('draws a bar in a terminal and gives the cursor back', async () => {
    const stream = Object.assign(recorder(true), {
      columns: 120,
      cursorTo: () => true,
      moveCursor: () => true,
      clearLine: () => true,
    });
    await train(meanSquare, points(), begin(), { steps: 30, progress: { stream, label: 'line' } });
    expect(stream.text).to.match(/line █+ 30\/30 {2}loss \S+ {2}rate 0\.1 {2}done after/);
    expect(stream.text.lastIndexOf('\x1B[?25h')).to.be.greaterThan(stream.text.lastIndexOf('\x1B[?25l'));
  });

  it("the result is the caller's to free even when no step was made", async () => {
    const ts = begin(adam(0.1));
    const before = tf.memory().numTensors;
    const none: Batch[] = [];
    const runs = [
      () => train(meanSquare, points, ts, { steps: 0 }),
      () => train(meanSquare, points, ts, { steps: 5, signal: AbortSignal.abort() }),
      () => train(meanSquare, new Set(none), ts, { steps: 5 }),
    ];
    for (const run of runs) {
      const { trainState: end } = await run();
      expectClose(end.parameters.weight, [0.5, -0.25]);
      disposeTrainState(end);
      expect(tf.memory().numTensors).to.equal(before);
      expectClose(ts.parameters.weight, [0.5, -0.25]);
    }
  });

  it('closes the iterator it reads from at the end, when aborted and on error', async () => {
    let closed = 0;
    function* forever(): Generator<Batch> {
      try {
        for (;;) yield points();
      } finally {
        closed++;
      }
    }
    const ts = begin();
    await train(meanSquare, forever(), ts, { steps: 2 });
    expect(closed).to.equal(1);
    const controller = new AbortController();
    const onStep = (): void => {
      controller.abort();
    };
    await train(meanSquare, { [Symbol.iterator]: forever }, ts, { steps: 9, signal: controller.signal, onStep });
    expect(closed).to.equal(2);
    const enough = (): never => {
      throw new Error('enough');
    };
    await failureOf(() => train(meanSquare, forever(), ts, { steps: 9, onStep: enough }));
    expect(closed).to.equal(3);
    // Its own failure to close is told, unless another error came first.
    const next = (): IteratorResult<Batch> => ({ value: points(), done: false });
    const stuck = (): Iterator<Batch> => ({ next, return: () => { throw new Error('stuck'); } }); // prettier-ignore
    const error = await failureOf(() => train(meanSquare, { [Symbol.iterator]: stuck }, ts, { steps: 2 }));
    expect(error.message).to.match(/stuck/);
    expect(error.trainState.step).to.equal(2);
    const both = await failureOf(() => train(meanSquare, { [Symbol.iterator]: stuck }, ts, { steps: 2, onStep: enough })); // prettier-ignore
    expect(both.message).to.match(/enough/);
  });

  it('names arguments that do not fit', async () => {
    const ts = begin();
    const any = train as (...args: unknown[]) => Promise<unknown>;
    async function* later(): AsyncGenerator<Batch> {
      yield await Promise.resolve(points());
    }
    const [x, y] = points();
    const batches = [[x, y], [x, y], [x, y]]; // prettier-ignore
    const cases: [unknown[], RegExp][] = [
      [[3, points(), ts], /^train: the first argument must be the objective, .* got 3$/],
      [[meanSquare, null, ts], /^train: the second argument, the data, must be .* got null$/],
      [[meanSquare, undefined, ts], /got undefined$/],
      [[meanSquare, new Date(), ts], /the data, must be .* got a Date$/],
      [[meanSquare, later(), ts], /async iterables are not supported; /],
      [[meanSquare, points(), {}], /^train: the third argument must be a train state/],
      [[meanSquare, points(), null], /^train: the third argument must be a train state/],
      [[meanSquare, () => undefined, ts], /step 1: the data function returned undefined for batch 0/],
      [[meanSquare, () => Promise.resolve(points()), ts], /step 1: the data function returned a promise for batch 0/],
      [[meanSquare, new Set([undefined]), ts], /step 1: the data gave undefined for batch 0/],
      [[meanSquare, batches, ts], /step 1: .*\(an array is one tree; give a Set, a generator or i => batches\[i % n\]/s],
    ]; // prettier-ignore
    for (const [args, message] of cases) {
      let error: unknown;
      await any(...args, { steps: 2 }).catch((e: unknown) => (error = e));
      expect(error).to.be.instanceOf(Error);
      expect((error as Error).message).to.match(message);
    }
    const plain = await failureOf(() => any(meanSquare, [x, tf.zeros([3, 7])], ts, { steps: 2 }));
    expect(plain.message).not.to.match(/an array is one tree/);
  });

  it('names options that do not fit', async () => {
    const fail = async (options: object): Promise<string> => {
      try {
        await train(meanSquare, points(), begin(), options as { steps: number });
      } catch (error) {
        return (error as Error).message;
      }
      return 'no error';
    };
    expect(await fail({})).to.match(/train: option "steps": expected a number of steps/);
    expect(await fail({ steps: 3, onStpe: () => 0 })).to.match(/unknown option "onStpe"; did you mean "onStep"/);
    expect(await fail({ steps: 3, progress: 4 })).to.match(/option "progress"/);
    expect(await fail({ steps: 3, checkpointEvery: 1 })).to.match(
      /train: option "checkpointEvery" needs option "checkpoint"/,
    );
  });
});
