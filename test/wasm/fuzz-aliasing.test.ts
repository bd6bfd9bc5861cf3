import '../support/backend.js';
import '../../src/index.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import type { Graph, Spec } from '../../src/graph/graph.js';
import { share, type Buffer } from '../../src/graph/executor.js';
import { interpreter } from '../../src/graph/interpret.js';
import { simplify } from '../../src/graph/simplify.js';
import { wasmExecutor } from '../../src/wasm/executor.js';
import { lower } from '../../src/wasm/lower.js';
import { Planner } from '../../src/wasm/plan.js';
import { readsOf, writesOf } from '../../src/wasm/lives.js';
import { expectClose } from '../support/close.js';
import { isFloat64 } from '../support/precision.js';
import { compiledBackend, contextOf, randomValues, repeatable, runOn, trace, type Values } from './compile-support.js';

/** Graphs per run; `NULLCLINE_FUZZ_GRAPHS` asks for more, `NULLCLINE_FUZZ_SEED` for others. */
const GRAPHS = Number(process.env.NULLCLINE_FUZZ_GRAPHS ?? 250);
const SEED = Number(process.env.NULLCLINE_FUZZ_SEED ?? 1);

type Random = () => number;
const pick = <T>(random: Random, xs: readonly T[]): T => xs[Math.floor(random() * xs.length)];

/**
 * One more square matrix made of some: nearly every value could lie where another does, and much is read at other indices than
 * it is written, or again later.
 */
function grow(values: readonly tf.Tensor[], random: Random): tf.Tensor {
  const x = pick(random, values);
  const y = pick(random, values.slice(-4));
  const n = x.shape[0];
  const k = Math.floor(random() * n);
  return pick(random, [
    () => x.add(y).mul(0.5),
    () => x.sub(y).mul(0.5),
    () => x.mul(y).tanh(),
    () => x.square().add(y.square()).mul(0.25),
    () => y.tanh(),
    () => y.sin(),
    () => y.transpose(),
    () => y.add(x.transpose()).mul(0.5),
    () => y.add(y.transpose()).mul(0.5),
    () => tf.reverse(y, 0).add(x).mul(0.5),
    () => y.add(tf.reverse(y, 1)).mul(0.5),
    () => y.sub(y.mean(1, true)),
    () => y.sub(x.mean(0)),
    () => tf.softmax(y).add(y.mul(0.5)),
    () => y.add(y.slice([k, 0], [1, n])).mul(0.5),
    () => tf.concat([y.slice([k, 0], [n - k, n]), x.slice([0, 0], [k, n])], 0),
    () => tf.concat([x.slice([0, k], [n, n - k]), y.slice([0, 0], [n, k])], 1),
    () =>
      tf
        .matMul(x, y)
        .mul(1 / n)
        .add(x),
    () =>
      tf
        .matMul(x, y)
        .mul(1 / n)
        .mul(y.mul(0.5)),
    () => tf.matMul(y, x, false, true).add(x.slice([0, 0], [1, n]).reshape([n])).mul(1 / n), // prettier-ignore
    () => tf.cumsum(y, 0).mul(1 / n).add(y), // prettier-ignore
    () => y.reshape([n * n]).tanh().reshape([n, n]), // prettier-ignore
    () => tf.gather(y, tf.tensor1d([...Array(n).keys()].reverse(), 'int32')).add(y).mul(0.5), // prettier-ignore
    // Continuous where they choose, or rounding would decide.
    () => tf.where(x.greater(y), x.sub(y), y.sub(x).mul(0.5)),
    () => y.greater(x).cast('float32').mul(y.sub(x)).add(x.mul(0.5)), // prettier-ignore
    () => {
      const rest = y.mul(4).sub(y.mul(4).cast('int32').cast('float32'));
      return rest.mul(tf.sub(1, rest.abs())).add(x.mul(0.5));
    },
  ])();
}

/** Several results, of which some are read by others, equal, the same in another shape, or an argument as it is. */
function results(values: readonly tf.Tensor[], random: Random): tf.Tensor[] {
  const own = values.slice(-7).filter(() => random() < 0.6);
  if (random() < 0.2) own.push(pick(random, values));
  if (random() < 0.2) own.push(pick(random, values).reshape([-1]));
  if (random() < 0.2) own.push(pick(random, own.length === 0 ? values : own));
  return [values[values.length - 1], ...own];
}

const inPlaceIn = (graph: Graph, floatBytes: number): number =>
  new Planner(lower(simplify(graph)), floatBytes).plan().steps.filter((step) => {
    const read = readsOf(step).map(({ buffer }) => buffer);
    return writesOf(step).some((buffer) => read.includes(buffer));
  }).length;

/** A run to which some arguments are donated, of which some are held by somebody else, who finds them as they were. */
function runDonating(
  graph: Graph,
  inputs: readonly Values[],
  random: Random,
  name: 'nullcline' | 'nullcline64',
): Values[] {
  const donated = inputs.map(() => random() < 0.8);
  runDonated(graph, inputs, donated, random, name); // what it compiles may stay for the next equal graph
  const { heap } = compiledBackend(name);
  const before = heap.bytesInUse;
  const values = runDonated(graph, inputs, donated, random, name);
  expect(heap.bytesInUse, 'bytes in use').to.equal(before);
  return values;
}

function runDonated(
  graph: Graph,
  inputs: readonly Values[],
  donated: readonly boolean[],
  random: Random,
  name: 'nullcline' | 'nullcline64',
): Values[] {
  const backend = compiledBackend(name);
  const executable = wasmExecutor.prepare(graph, backend, name, donated);
  const given = graph.inputs.map(({ shape, dtype }, i): Buffer => {
    const values: unknown = inputs[i];
    const dataId = backend.write(values as Float32Array, shape, dtype);
    if (random() < 0.5) backend.pointerOf(dataId); // also one whose numbers have no place yet
    return { dataId, shape, dtype };
  });
  const held = given.map((buffer) => random() < 0.2 && share(backend, buffer));
  const outputs = executable.run(given, [], contextOf(backend, name), true);
  const values = outputs.map(({ dataId }) => (backend.readSync(dataId) as Values).slice());
  held.forEach((buffer, i) => {
    if (buffer === false) return;
    expect(Array.from(backend.readSync(buffer.dataId) as Values)).to.deep.equal(Array.from(inputs[i]));
    backend.disposeData(buffer.dataId);
  });
  for (const { dataId } of [...given, ...outputs]) backend.disposeData(dataId);
  executable.dispose();
  return values;
}

describe('random graphs of values that could share their memory', function () {
  this.timeout(600_000);

  for (const [name, tolerance] of [
    ['nullcline', 3e-4],
    ['nullcline64', 1e-10],
  ] as const) {
    // Where Float32Array holds doubles, the backend of singles does not exist.
    if (isFloat64 && name === 'nullcline') continue;
    // prettier-ignore
    it(`compute the same on ${name} as kernel by kernel, again and again, and leave their arguments alone`, () => {
      const backend = compiledBackend(name);
      let inPlace = 0;
      for (let g = 0; g < GRAPHS; g++) {
        const seed = SEED * 1_000_033 + g;
        const random = repeatable(seed);
        const n = pick(random, [1, 2, 3, 4, 7, 8, 12, 33]);
        const specs = [0, 1, 2].map((): Spec => ({ shape: [n, n], dtype: 'float32' }));
        const traced = trace((xs) => {
          const values = [...xs];
          const nodes = 3 + Math.floor(random() * 16);
          for (let i = 0; i < nodes; i++) values.push(grow(values, random));
          return results(values, random);
        }, specs);
        const graph = random() < 0.5 ? simplify(traced) : traced;
        const inputs = specs.map((s) => randomValues(s, random, name === 'nullcline64'));
        const oneByOne = name === 'nullcline' ? undefined : interpreter.prepare(graph, backend, name);
        const expected = runOn(graph, inputs, name === 'nullcline' ? 'cpu' : name, oneByOne);
        oneByOne?.dispose();
        inPlace += inPlaceIn(graph, name === 'nullcline' ? 4 : 8);
        const executable = wasmExecutor.prepare(graph, backend, name);
        const check = (actual: readonly Values[], which: string): void => {
          actual.forEach((y, i) => {
            expectClose(y, expected[i], { rtol: tolerance, atol: tolerance }, `${which} of seed ${seed}, output ${i}`);
          });
        };
        check(runOn(graph, inputs, name, executable), 'graph');
        check(runOn(graph, inputs, name, executable), 'second run');
        executable.dispose();
        check(runDonating(graph, inputs, random, name), 'donating run');
      }
      // As many as there are graphs, and more: this is what is being tested.
      expect(inPlace).to.be.greaterThan(GRAPHS);
    });
  }
});
