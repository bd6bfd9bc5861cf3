import '../support/backend.js';
import '../../src/index.js';
import * as tf from '@tensorflow/tfjs';
import { interpreter } from '../../src/graph/interpret.js';
import type { Spec } from '../../src/graph/graph.js';
import { expectClose } from '../support/close.js';
import { compiledBackend, randomValues, repeatable, runOn, trace, type Values } from './compile-support.js';

/** Graphs per run; `NULLCLINE_FUZZ_GRAPHS` asks for more, `NULLCLINE_FUZZ_SEED` for others. */
const GRAPHS = Number(process.env.NULLCLINE_FUZZ_GRAPHS ?? 250);
const SEED = Number(process.env.NULLCLINE_FUZZ_SEED ?? 1);

type Random = () => number;
const pick = <T>(random: Random, xs: readonly T[]): T => xs[Math.floor(random() * xs.length)];

/** Every function keeps its values of moderate size, so that errors do not grow beyond the tolerance. */
const UNARY: readonly ((x: tf.Tensor) => tf.Tensor)[] = [
  (x) => x.tanh(),
  (x) => x.sigmoid(),
  (x) => x.sin(),
  (x) => x.cos(),
  (x) => x.relu(),
  (x) => x.abs().add(0.5).sqrt(),
  (x) => x.softplus(),
  (x) => x.clipByValue(-1, 1),
  (x) => x.neg().minimum(3),
  (x) => x.abs().log1p(),
  (x) => x.tanh().exp(),
  (x) => x.tanh().square(),
];

const BINARY: readonly ((x: tf.Tensor, y: tf.Tensor) => tf.Tensor)[] = [
  (x, y) => x.add(y).mul(0.5),
  (x, y) => x.sub(y).mul(0.5),
  (x, y) => x.tanh().mul(y),
  (x, y) => x.maximum(y),
  (x, y) => x.minimum(y),
  (x, y) => x.div(y.abs().add(1)),
  (x, y) => tf.where(tf.broadcastTo(x.greater(0), tf.broadcast_util.assertAndGetBroadcastShape(x.shape, y.shape)), x.add(y.mul(0)), y.add(x.mul(0))), // prettier-ignore
];

function rearranged(x: tf.Tensor, random: Random): tf.Tensor {
  const { rank, shape } = x;
  if (rank === 0) return x.reshape([1]);
  const axis = Math.floor(random() * rank);
  switch (Math.floor(random() * 8)) {
    case 0:
      return x.transpose(shape.map((_, i) => i).sort(() => random() - 0.5)); // prettier-ignore
    case 1: {
      const begin = shape.map((n) => Math.floor((random() * n) / 2));
      return x.slice(begin, shape.map((n, i) => 1 + Math.floor(random() * (n - begin[i])))); // prettier-ignore
    }
    case 2:
      return tf.concat([x, x.mul(0.5)], axis);
    case 3:
      return tf.reverse(x, axis);
    case 4:
      return x.size > 200 ? x : tf.pad(x, shape.map((_, i): [number, number] => (i === axis ? [1, 2] : [0, 0])), 0.25); // prettier-ignore
    case 5:
      return x.reshape([-1]);
    case 6:
      return x.size > 100 ? x : tf.tile(x, shape.map((_, i) => (i === axis ? 2 : 1))); // prettier-ignore
    default:
      return rank < 4 ? x.expandDims(axis) : x.reshape([shape[0], -1]);
  }
}

function reduced(x: tf.Tensor, random: Random): tf.Tensor {
  if (x.rank === 0) return x;
  const axes = x.shape.flatMap((_, i) => (random() < 0.5 ? [i] : []));
  const over = axes.length === 0 ? [0] : axes;
  const keep = random() < 0.5;
  return pick(random, [
    () => x.mean(over, keep),
    () => x.max(over, keep),
    () => x.min(over, keep),
    () => x.sum(over, keep).mul(0.1),
    () => tf.softmax(x),
    () => x.cumsum(0).mul(0.2),
  ])();
}

function compatible(a: tf.Tensor, b: tf.Tensor): boolean {
  const n = Math.min(a.rank, b.rank);
  for (let i = 1; i <= n; i++) {
    const [p, q] = [a.shape[a.rank - i], b.shape[b.rank - i]];
    if (p !== q && p !== 1 && q !== 1) return false;
  }
  return true;
}

/** One more value made of those there are. */
function grow(values: readonly tf.Tensor[], random: Random): tf.Tensor {
  const x = pick(random, values);
  const kind = random();
  if (kind < 0.3) return pick(random, UNARY)(x);
  if (kind < 0.6) {
    const others = values.filter((y) => compatible(x, y) && x.size * y.size < 20_000);
    return others.length === 0 ? x : pick(random, BINARY)(x, pick(random, others));
  }
  if (kind < 0.75) {
    const others = values.filter((y) => y.rank === 2 && x.rank === 2 && y.shape.some((n) => x.shape.includes(n)));
    if (others.length === 0) return rearranged(x, random);
    const y = pick(random, others);
    const ta = random() < 0.5;
    const tb = random() < 0.5;
    const [rows, inner] = x.shape as [number, number];
    const summed = ta ? rows : inner;
    if (summed !== (y.shape as number[])[tb ? 1 : 0]) return rearranged(x, random);
    return tf.matMul(x, y, ta, tb).mul(1 / summed);
  }
  return kind < 0.9 ? rearranged(x, random) : reduced(x, random);
}

function shapeOf(random: Random): number[] {
  const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 13, 16];
  return Array.from({ length: Math.floor(random() * 4) }, () => pick(random, sizes));
}

describe('random graphs', function () {
  this.timeout(600_000);

  for (const [name, tolerance] of [
    ['nullcline', 3e-4],
    ['nullcline64', 1e-10],
  ] as const) {
    // prettier-ignore
    it(`compute the same on ${name} as kernel by kernel`, () => {
      const backend = compiledBackend(name);
      for (let g = 0; g < GRAPHS; g++) {
        const seed = SEED * 1_000_003 + g;
        const random = repeatable(seed);
        const specs: Spec[] = [0, 1, 2].map(() => ({ shape: shapeOf(random), dtype: 'float32' }));
        const square = pick(random, [3, 4, 6, 9]);
        specs.push({ shape: [square, square], dtype: 'float32' }, { shape: [square, 2], dtype: 'float32' });
        const graph = trace((xs) => {
          const values = [...xs];
          const nodes = 3 + Math.floor(random() * 14);
          for (let i = 0; i < nodes; i++) values.push(grow(values, random));
          return values.slice(-4);
        }, specs);
        const inputs = specs.map((s) => randomValues(s, random, name === 'nullcline64'));
        const oneByOne = name === 'nullcline' ? undefined : interpreter.prepare(graph, backend, name);
        const expected = runOn(graph, inputs, name === 'nullcline' ? 'cpu' : name, oneByOne);
        oneByOne?.dispose();
        let actual: Values[];
        try {
          actual = runOn(graph, inputs, name);
        } catch (error) {
          throw new Error(`graph of seed ${seed}: ${String(error)}`, { cause: error });
        }
        actual.forEach((y, i) => {
          expectClose(y, expected[i], { rtol: tolerance, atol: tolerance }, `graph of seed ${seed}, output ${i}`);
        });
      }
    });
  }
});
