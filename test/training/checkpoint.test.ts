import '../support/backend.js';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, describe, it } from 'mocha';
import { leaves, TreeError } from '../../src/core/tree.js';
import { adam, optimiserChain, clipNorm } from '../../src/optimisers/index.js';
import {
  CheckpointError,
  loadCheckpoint,
  readSafetensors,
  restoreTrainState,
  saveCheckpoint,
  singleTrainStep,
  trainState,
  writeSafetensors,
} from '../../src/training/index.js';
import { expectClose } from '../support/close.js';
import { isFloat64 } from '../support/precision.js';
import { line, meanSquare, points } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'nullcline-checkpoint-'));
after(() => {
  rmSync(folder, { recursive: true });
});
const at = (name: string): string => join(folder, name);

async function failureOf(f: Promise<unknown>): Promise<Error> {
  try {
    await f;
  } catch (error) {
    return error as Error;
  }
  return expect.fail('no error');
}

const key = (): tf.Tensor1D => tf.tensor1d([0, 0], 'int32');

const content = () => ({
  parameters: { layer1: { weight: tf.tensor2d([[1 / 3, 2], [3, 4]]), 'odd.name%': tf.scalar(7) }, list: [tf.scalar(1), {}, tf.scalar(2)] }, // prettier-ignore
  states: { key: tf.tensor1d([-5, 2 ** 31 - 1], 'int32'), mask: tf.tensor1d([true, false], 'bool'), training: true, rate: 0.5, mode: 'a', none: null, gap: undefined, limit: Infinity }, // prettier-ignore
  optimiserState: [{}, { rate: tf.scalar(0.1) }],
  step: 12,
  metadata: { seed: '3' },
});

describe('checkpoints', () => {
  it('give back every tensor and every plain value, with and without a tree to compare with', async () => {
    const saved = content();
    await saveCheckpoint(at('all'), saved);
    for (const like of [undefined, content()]) {
      const loaded = await loadCheckpoint(at('all'), like);
      expect(loaded.step).to.equal(12);
      expect(loaded.metadata).to.deep.equal({ seed: '3' });
      const plain = (x: unknown): unknown => JSON.stringify(x, (_, v: unknown) => (v instanceof tf.Tensor ? [v.dtype, v.shape, Array.from(v.dataSync())] : v === undefined ? 'undefined' : v === Infinity ? 'Infinity' : v)); // prettier-ignore
      expect(plain(loaded.parameters)).to.equal(plain(saved.parameters));
      expect(plain(loaded.states)).to.equal(plain(saved.states));
      expect(plain(loaded.optimiserState)).to.equal(plain(saved.optimiserState));
    }
  });

  it('have keys that other programs can use, and the precision of the backend', async () => {
    await saveCheckpoint(at('keys'), content());
    const { tensors, metadata } = readSafetensors(readFileSync(at('keys')));
    expect([...tensors.keys()].sort()).to.deep.equal([
      'optimiserState.1.rate',
      'parameters.layer1.odd%2Ename%25',
      'parameters.layer1.weight',
      'parameters.list.0',
      'parameters.list.2',
      'states.key',
      'states.mask',
    ]);
    expect(tensors.get('parameters.layer1.weight')!.dtype).to.equal(isFloat64 ? 'F64' : 'F32');
    expect(tensors.get('parameters.layer1.weight')!.values[0]).to.equal(isFloat64 ? 1 / 3 : Math.fround(1 / 3));
    expect(tensors.get('states.key')!.dtype).to.equal('I32');
    expect(tensors.get('states.mask')!.dtype).to.equal('BOOL');
    expect(Object.keys(metadata)).to.have.members(['seed', 'nullcline', 'nullcline.crc32']);
  });

  it('restore a train state, which goes on as if never stopped', async () => {
    const optimiser = optimiserChain(clipNorm(1), adam(0.1));
    let ts = trainState(line, line.initialParameters(key()), line.initialStates(key()), optimiser);
    const data = points();
    for (let i = 0; i < 3; i++) ts = singleTrainStep(meanSquare, data, ts).trainState;
    await saveCheckpoint(at('state'), ts);
    const fresh = trainState(line, line.initialParameters(key()), line.initialStates(key()), optimiser);
    const restored = await restoreTrainState(at('state'), fresh);
    expect(restored.step).to.equal(3);
    const [a, b] = [ts, restored].map((from) => singleTrainStep(meanSquare, data, from));
    expectClose(b.loss, a.loss);
    expectClose(b.trainState.parameters.weight, a.trainState.parameters.weight);
    expectClose(b.trainState.states.seen, 16);
  });

  it('of a bare vector is one tensor', async () => {
    await saveCheckpoint(at('vector'), { parameters: tf.tensor1d([1, 2, 3]) });
    const { parameters, step, states } = await loadCheckpoint<tf.Tensor>(at('vector'));
    expectClose(parameters, [1, 2, 3]);
    expect(step).to.equal(0);
    expect(states).to.deep.equal({});
  });

  it('from another program come back by their keys', async () => {
    const f32 = (values: number[], shape = [values.length]) => ({ dtype: 'F32' as const, shape, values });
    const tensors = new Map([
      ['parameters.layers.0.weight', f32([1, 2])],
      ['parameters.layers.1.weight', f32([3])],
      ['parameters.scale', f32([4], [])],
      ['states.mean', f32([5])],
    ]);
    writeFileSync(at('foreign'), writeSafetensors(tensors));
    // Without being asked for, such a file could be one of ours with a damaged description.
    expect((await failureOf(loadCheckpoint(at('foreign')))).message).to.match(/damaged, or of another program/);
    const foreign = { foreign: true };
    const loaded = await loadCheckpoint<{ layers: { weight: tf.Tensor }[]; scale: tf.Tensor }>(
      at('foreign'),
      {},
      foreign,
    );
    expectClose(loaded.parameters.layers[1].weight, [3]);
    expectClose(loaded.parameters.scale, 4);
    const like = {
      // Another order of fields, as another program would have it
      parameters: { scale: tf.scalar(0), layers: [{ weight: tf.zeros([2]) }, { weight: tf.zeros([1]) }] },
      states: { training: true, mean: tf.zeros([1]) },
    };
    const adopted = await loadCheckpoint(at('foreign'), like, foreign);
    expect(Object.keys(adopted.parameters)).to.deep.equal(['scale', 'layers']);
    expect(adopted.states.training).to.equal(true);
    expectClose(adopted.states.mean, 5);
    const other = await failureOf(loadCheckpoint(at('foreign'), { parameters: { scale: tf.scalar(0) } }, foreign));
    expect(other).to.be.instanceOf(TreeError);
    expect(other.message).to.match(/field "layers" is not expected/);
  });

  it('of another model are refused with the place where it differs', async () => {
    await saveCheckpoint(at('other'), content());
    const before = tf.memory().numTensors;
    const cases: [object, RegExp][] = [
      [{ parameters: { layer1: { weight: tf.zeros([2, 3]), 'odd.name%': tf.scalar(0) }, list: [tf.scalar(0), {}, tf.scalar(0)] } }, /other: a checkpoint of another model: parameters: shapes differ at layer1\.weight: expected \[2, 3\], got \[2, 2\]/],
      [{ parameters: { layer2: tf.scalar(0) } }, /parameters: trees differ at \(root\): field "layer2" is missing/],
      [{ states: { ...content().states, key: tf.zeros([2]) } }, /states: dtypes differ at key: expected float32, got int32/],
      [{ optimiserState: [{}] }, /optimiserState: trees differ at \(root\): arrays of another length/],
    ]; // prettier-ignore
    const made = tf.memory().numTensors - before;
    for (const [like, message] of cases) {
      const error = await failureOf(loadCheckpoint(at('other'), like));
      expect(error).to.be.instanceOf(TreeError);
      expect(error.message).to.match(message);
      expect(tf.memory().numTensors - before).to.equal(made);
    }
    await saveCheckpoint(at('bare'), { parameters: {} });
    const error = await failureOf(loadCheckpoint(at('bare'), { optimiserState: { rate: tf.scalar(1) } }));
    expect(error.message).to.match(/it holds no optimiserState/);
  });

  it('whose path is something else are refused, and what stands in its place is named', async () => {
    const swapped = await failureOf(restoreTrainState({ step: 1 } as never, at('whole') as never));
    expect(swapped.message).to.equal(
      'restoreTrainState: the first argument must be the path of a file, got an object {step}',
    );
    const other = await failureOf(restoreTrainState(at('whole'), { step: 1 } as never));
    expect(other.message).to.match(/^restoreTrainState: the second argument must be a train state/);
    expect((await failureOf(loadCheckpoint(''))).message).to.match(/^loadCheckpoint: .* path of a file, got ""/);
    expect((await failureOf(saveCheckpoint(undefined as never, content()))).message).to.match(/got undefined$/);
  });

  it('of what is no content are not written, and the field that was meant is named', async () => {
    const { parameters, states } = content();
    const ts = trainState(line, line.initialParameters(key()), line.initialStates(key()), adam(0.01));
    const expected = '{ parameters, states?, optimiserState?, step?, metadata? } or a train state';
    const cases: readonly [given: unknown, message: string][] = [
      [undefined, 'got undefined'],
      [null, 'got null'],
      [tf.tensor1d([1, 2]), 'got a float32 tensor [2]'],
      [[parameters], 'got an array of 1'],
      [{}, 'got an object {}: field "parameters" is missing'],
      [{ parameters: undefined }, 'got an object {parameters}: field "parameters" is missing'],
      [{ params: parameters }, 'got an object {params}: field "parameters" is missing; unknown field "params"'],
      [{ parameters, state: states }, 'got an object {parameters, state}: unknown field "state"; did you mean "states"?'], // prettier-ignore
      [ts.parameters, 'got an object {weight, bias}: field "parameters" is missing; unknown field "weight"; unknown field "bias"'], // prettier-ignore
    ];
    for (const [given, message] of cases) {
      const error = await failureOf(saveCheckpoint(at('nothing'), given as { parameters: unknown }));
      expect(error).to.be.instanceOf(TypeError);
      expect(error.message).to.equal(`saveCheckpoint: the second argument must be ${expected}, ${message}`);
      expect(readdirSync(folder)).not.to.include('nothing');
    }
    await saveCheckpoint(at('like'), ts);
    const likes: readonly [given: unknown, message: string][] = [
      [null, 'got null'],
      [ts.parameters, 'got an object {weight, bias}: unknown field "weight"; unknown field "bias"'],
      [{ optimizerState: ts.optimiserState }, 'got an object {optimizerState}: unknown field "optimizerState"; did you mean "optimiserState"?'], // prettier-ignore
    ];
    for (const [given, message] of likes) {
      const error = await failureOf(loadCheckpoint(at('like'), given as object));
      expect(error).to.be.instanceOf(TypeError);
      expect(error.message).to.equal(
        `loadCheckpoint: the second argument must be { parameters?, states?, optimiserState? } or a train state, ${message}`,
      );
    }
    // Both a train state and what was loaded do, and any one part.
    const loaded = await loadCheckpoint(at('like'), ts);
    await saveCheckpoint(at('like'), loaded);
    await loadCheckpoint(at('like'), loaded);
    await loadCheckpoint(at('like'), { states: ts.states });
  });

  it('that are damaged are refused by name and defect, at whatever byte they end, and leave nothing', async () => {
    await saveCheckpoint(at('whole'), content());
    const bytes = readFileSync(at('whole'));
    const before = tf.memory().numTensors;
    for (let length = 0; length < bytes.length; length += 37) {
      writeFileSync(at('cut'), bytes.subarray(0, length));
      const error = await failureOf(loadCheckpoint(at('cut')));
      expect(error).to.be.instanceOf(CheckpointError);
      expect((error as CheckpointError).path).to.equal(at('cut'));
      expect(error.message).to.match(/cut: not a safetensors file, or damaged: /);
    }
    // One bit of the last value
    const flipped = Uint8Array.from(bytes);
    flipped[flipped.length - 1] ^= 1;
    writeFileSync(at('flipped'), flipped);
    expect((await failureOf(loadCheckpoint(at('flipped')))).message).to.match(/checksum/);
    expect((await failureOf(loadCheckpoint(at('absent')))).message).to.match(/absent: cannot be read: ENOENT/);
    truncateSync(at('cut'), 0);
    expect((await failureOf(loadCheckpoint(at('cut')))).message).to.match(/0 bytes/);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('with any one bit changed are refused, or load unchanged', async () => {
    const parameters = { weight: tf.tensor2d([[1, 2], [3, 4]]), bias: tf.tensor1d([5, 6]) }; // prettier-ignore
    await saveCheckpoint(at('whole'), { parameters, states: { training: true }, step: 7, metadata: { note: 'x' } });
    const whole = readFileSync(at('whole'));
    const content = ({ parameters: p, states, step }: Awaited<ReturnType<typeof loadCheckpoint>>): string =>
      JSON.stringify([leaves(p).map((t) => [t.shape, Array.from(t.dataSync())]), states, step]);
    const expected = content(await loadCheckpoint(at('whole')));
    for (let i = 0; i < whole.length; i++) {
      const bytes = Uint8Array.from(whole);
      bytes[i] ^= 1;
      writeFileSync(at('bit'), bytes);
      const found = await loadCheckpoint(at('bit')).then(content, (error: unknown) => (error as Error).name);
      expect(found, `byte ${i}`).to.be.oneOf([expected, 'CheckpointError']);
    }
  });

  it('with one bit of any byte flipped are refused as damaged', async () => {
    const key = tf.tensor1d([-5, 7], 'int32');
    const saved = { parameters: { a: tf.tensor1d([1, 2]), b: tf.tensor1d([3, 4]), none: tf.zeros([0, 3]) }, states: { key, training: true, rate: 0.5, mode: 'a' }, step: 12, metadata: { seed: '3' } }; // prettier-ignore
    await saveCheckpoint(at('bits'), saved);
    const bytes = readFileSync(at('bits'));
    const like = { parameters: saved.parameters, states: saved.states };
    const before = tf.memory().numTensors;
    for (let i = 0; i < bytes.length; i++) {
      const flipped = Uint8Array.from(bytes);
      flipped[i] ^= 1;
      writeFileSync(at('bit'), flipped);
      // With `foreign` too: a damaged file of ours is not a foreign one.
      for (const foreign of [false, true]) {
        const error = await failureOf(loadCheckpoint(at('bit'), like, { foreign }));
        expect(error, `byte ${i}`).to.be.instanceOf(CheckpointError);
      }
    }
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('without their description are refused, also for a train state', async () => {
    const ts = trainState(line, line.initialParameters(key()), line.initialStates(key()), adam(0.1));
    await saveCheckpoint(at('stripped'), ts);
    const { tensors } = readSafetensors(readFileSync(at('stripped')));
    writeFileSync(at('stripped'), writeSafetensors(tensors));
    for (const load of [() => loadCheckpoint(at('stripped')), () => restoreTrainState(at('stripped'), ts)]) {
      const error = await failureOf(load());
      expect(error).to.be.instanceOf(CheckpointError);
      expect(error.message).to.match(/the description under "nullcline" is missing/);
    }
  });

  it('changed in a plain value or the step are damaged, not of another model', async () => {
    await saveCheckpoint(at('edited'), content());
    const { tensors, metadata } = readSafetensors(readFileSync(at('edited')));
    for (const [from, to] of [
      ['"step":12', '"step":13'],
      ['["value",0.5]', '["value",0.7]'],
      ['"layer1":', '"layer2":'],
    ]) {
      // prettier-ignore
      const nullcline = metadata.nullcline.replace(from, to);
      expect(nullcline).not.to.equal(metadata.nullcline);
      writeFileSync(at('edited'), writeSafetensors(tensors, { ...metadata, nullcline }));
      const error = await failureOf(loadCheckpoint(at('edited'), content()));
      expect(error).to.be.instanceOf(CheckpointError);
      expect(error.message).to.match(/checksum/);
    }
    // Written anew by another program, in another order, it is the same checkpoint.
    writeFileSync(at('edited'), writeSafetensors(new Map([...tensors].reverse()), Object.fromEntries(Object.entries(metadata).reverse()))); // prettier-ignore
    expect((await loadCheckpoint(at('edited'), content())).step).to.equal(12);
  });

  it('that are no checkpoints of this kind are refused', async () => {
    const f32 = { dtype: 'F32' as const, shape: [1], values: [1] };
    const write = (metadata: Record<string, string>, name = 'parameters.x'): void => {
      writeFileSync(at('kind'), writeSafetensors(new Map([[name, f32]]), metadata));
    };
    const message = async (): Promise<string> => (await failureOf(loadCheckpoint(at('kind')))).message;
    write({}, 'weight');
    expect(await message()).to.match(/no checkpoint: it holds no tensor under "parameters"/);
    write({ nullcline: '{' });
    expect(await message()).to.match(/not JSON/);
    write({ nullcline: '{"version":99}' });
    expect(await message()).to.match(/a checkpoint of format 99; this version reads 2/);
    write({ nullcline: '{"version":2}' });
    expect(await message()).to.match(/damaged/);
    write({ nullcline: '{"version":2,"step":0,"sections":{}}' });
    expect(await message()).to.match(/checksum/);
    const { data } = readSafetensors(readFileSync(at('kind')));
    expect(data.length).to.equal(4);
  });

  it('are written whole or not at all', async () => {
    await saveCheckpoint(at('atomic'), { parameters: tf.tensor1d([1]) });
    const size = statSync(at('atomic')).size;
    const bad: [object, RegExp][] = [
      [{ parameters: { f: () => 1 } }, /parameters\.f is a function/],
      [{ parameters: { z: tf.complex([1], [1]) } }, /parameters\.z: a complex64 tensor/],
      [{ parameters: {}, metadata: { nullcline: 'x' } }, /"nullcline" is taken/],
      [{ parameters: {}, metadata: { n: 1 } }, /metadata "n" must be a string/],
    ];
    for (const [tree, message] of bad) {
      const error = await failureOf(saveCheckpoint(at('atomic'), tree as { parameters: unknown }));
      expect(error).to.be.instanceOf(CheckpointError);
      expect(error.message).to.match(message);
    }
    const lost = await failureOf(saveCheckpoint(join(folder, 'no', 'such', 'folder'), { parameters: {} }));
    expect(lost.message).to.match(/the checkpoint was not written: ENOENT/);
    expect(statSync(at('atomic')).size).to.equal(size);
    expectClose((await loadCheckpoint<tf.Tensor>(at('atomic'))).parameters, [1]);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
  });

  it('leave no tensors behind but those they return', async () => {
    const saved = content();
    const before = tf.memory().numTensors;
    await saveCheckpoint(at('count'), saved);
    expect(tf.memory().numTensors).to.equal(before);
    const loaded = await loadCheckpoint(at('count'), saved);
    const made = leaves([loaded.parameters, loaded.states, loaded.optimiserState]);
    expect(tf.memory().numTensors - before).to.equal(made.length);
  });
});
