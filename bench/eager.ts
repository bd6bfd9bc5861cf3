/**
 * Operations one by one, outside `compile`: nullcline beside tfjs's cpu backend, at four sizes.
 *
 * `cast` from integers to floats cannot be compared: the cpu backend hands on the same array under another name, so that its
 * floats are integers in memory; here they become floats.
 *
 *   npx tsx bench/eager.ts
 */
import * as tf from '@tensorflow/tfjs';
import { registerNullcline } from '../src/wasm/register.js';
import { race, report, Table, type Contestant } from './support/measure.js';

tf.env().set('PROD', true);
registerNullcline();

const SIZES = [1, 100, 10_000, 1_000_000];

/** Operands of about n elements, on the backend that is active. */
interface Operands {
  readonly x: tf.Tensor;
  readonly y: tf.Tensor;
  /** The same elements as a matrix, about square. */
  readonly m: tf.Tensor2D;
  readonly mask: tf.Tensor;
  readonly rows: tf.Tensor1D;
  readonly ints: tf.Tensor;
  readonly one: tf.Tensor;
  readonly row: tf.Tensor;
}

type Operation = (o: Operands) => tf.Tensor;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  add: ({ x, y }) => tf.add(x, y),
  'add scalar': ({ x, one }) => tf.add(x, one),
  'add row': ({ m, row }) => tf.add(m, row),
  mul: ({ x, y }) => tf.mul(x, y),
  maximum: ({ x, y }) => tf.maximum(x, y),
  greater: ({ x, y }) => tf.greater(x, y),
  where: ({ x, y, mask }) => tf.where(mask, x, y),
  tanh: ({ x }) => tf.tanh(x),
  exp: ({ x }) => tf.exp(x),
  relu: ({ x }) => tf.relu(x),
  sqrt: ({ x }) => tf.sqrt(x),
  sum: ({ x }) => tf.sum(x),
  'sum axis 0': ({ m }) => tf.sum(m, 0),
  'sum axis 1': ({ m }) => tf.sum(m, 1),
  mean: ({ x }) => tf.mean(x),
  max: ({ x }) => tf.max(x),
  softmax: ({ m }) => tf.softmax(m),
  transpose: ({ m }) => tf.transpose(m),
  slice: ({ m }) => tf.slice(m, [0, 0], [m.shape[0], (m.shape[1] + 1) >> 1]),
  concat: ({ m }) => tf.concat([m, m], 1),
  pad: ({ m }) => tf.pad(m, [[1, 1], [1, 1]]), // prettier-ignore
  gather: ({ m, rows }) => tf.gather(m, rows),
  cast: ({ ints }) => tf.cast(ints, 'float32'),
  reshape: ({ x, m }) => tf.reshape(x, m.shape),
  tile: ({ m }) => tf.tile(m, [1, 2]),
  matMul: ({ m }) => tf.matMul(m, m),
};

/** Products grow faster than their operands: none of a million elements. */
const LARGEST: Readonly<Record<string, number>> = { matMul: 10_000 };

function operands(n: number): Operands {
  const side = Math.max(1, Math.round(Math.sqrt(n)));
  const x = tf.randomUniform([n], 0.1, 2, 'float32', 1);
  const y = tf.randomUniform([n], 0.1, 2, 'float32', 2);
  return {
    x,
    one: tf.scalar(0.5),
    row: tf.randomUniform([side], 0.1, 2, 'float32', 4),
    y,
    m: tf.randomUniform([side, side], 0.1, 2, 'float32', 3),
    mask: tf.tidy(() => tf.greater(x, y)),
    rows: tf.range(0, side, 1, 'int32'),
    ints: tf.tidy(() => tf.cast(tf.mul(x, 100), 'int32')),
  };
}

/** tfjs is one code for all backends, optimised for what it has seen: it must have seen both before anything is measured. */
for (let round = 0; round < 20; round++) {
  for (const backend of ['nullcline', 'cpu']) {
    await tf.setBackend(backend);
    const given = operands(9);
    for (let k = 0; k < 50; k++) for (const operation of Object.values(OPERATIONS)) operation(given).dispose();
    tf.dispose({ ...given });
  }
}

const only = process.env.NULLCLINE_BENCH_ONLY?.split(',');
const table = new Table('operations one by one, float32: µs on nullcline, and the time of cpu over it', ['operation', ...SIZES.flatMap((n) => [`${n}`, 'cpu/ours'])], 14); // prettier-ignore
const slower: string[] = [];

for (const [name, operation] of Object.entries(OPERATIONS)) {
  if (only !== undefined && !only.includes(name)) continue;
  const figures: number[] = [];
  for (const n of SIZES) {
    if (n > (LARGEST[name] ?? Infinity)) {
      figures.push(NaN, NaN);
      continue;
    }
    const contestants: Contestant[] = [];
    const kept: Operands[] = [];
    for (const backend of ['nullcline', 'cpu']) {
      await tf.setBackend(backend);
      const given = operands(n);
      kept.push(given);
      contestants.push({
        name: backend,
        enter: () => tf.setBackend(backend),
        run: () => {
          operation(given).dispose();
        },
      });
    }
    const [ours, cpu] = await race(contestants, { rounds: 11, roundMs: 4, warmMs: 40 });
    figures.push(ours, cpu / ours);
    if (cpu / ours < 0.95 && name !== 'cast') slower.push(`${name} of ${n}: ${(cpu / ours).toFixed(2)}`);
    report('eager', { operation: name, elements: n, nullcline_us: ours, cpu_us: cpu, ratio: cpu / ours });
    for (const o of kept) tf.dispose({ ...o });
  }
  table.row(name, ...figures);
}
console.log(slower.length === 0 ? 'none is slower than on cpu' : `slower than on cpu: ${slower.join('; ')}`);
