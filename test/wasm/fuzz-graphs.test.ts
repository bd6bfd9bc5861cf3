import '../support/backend.js';
import '../../src/index.js';
import * as tf from '@tensorflow/tfjs';
import { bernoulli, normal, type Key } from '../../src/core/random.js';
import { interpreter } from '../../src/graph/interpret.js';
import type { Spec } from '../../src/graph/graph.js';
import { expectClose } from '../support/close.js';
import { isFloat64 } from '../support/precision.js';
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
  switch (Math.floor(random() * 11)) {
    case 8: {
      const border = shape.map((n): [number, number] => [Math.floor(random() * n), Math.floor(random() * n)]);
      return x.size > 60 ? x : tf.mirrorPad(x, border, random() < 0.5 ? 'reflect' : 'symmetric');
    }
    case 9:
      return tf.stridedSlice(x, shape.map((n) => Math.floor((random() * n) / 2)), [...shape], shape.map(() => 1 + Math.floor(random() * 3))); // prettier-ignore
    case 10:
      return tf.stridedSlice(x, shape.map((n) => n - 1), shape.map((n) => -n - 1), shape.map(() => -1 - Math.floor(random() * 2))); // prettier-ignore
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
    () => x.cumsum(over[0], random() < 0.5, random() < 0.5).mul(0.2),
    () => tf.cumprod(x.tanh(), over[0], random() < 0.5, random() < 0.5),
    () => tf.all(x.greater(-1.5), over, keep).cast('float32'),
    () => tf.any(x.greater(1.5), over, keep).cast('float32'),
  ])();
}

/** What a graph is made of: values that are computed, and inputs that are exact on every backend. */
interface Stock {
  readonly values: readonly tf.Tensor[];
  /** Between 0 and 8. */
  readonly integers: readonly tf.Tensor[];
  readonly weights: tf.Tensor;
  readonly key: tf.Tensor;
}

const int = (n: number): tf.Tensor => tf.scalar(n, 'int32');
const run = (kernel: string, inputs: tf.NamedTensorMap, attrs: object): tf.Tensor => tf.engine().runKernel(kernel, inputs, attrs as tf.NamedAttrMap); // prettier-ignore

/** Whole numbers, exact on every backend, whatever is made of them. */
function whole({ integers }: Stock, random: Random): tf.Tensor {
  const x = pick(random, integers);
  const others = integers.filter((other) => compatible(x, other) && x.size * other.size < 5000);
  const y = others.length === 0 ? x : pick(random, others);
  return pick(random, [
    () => x.mod(y),
    () => x.floorDiv(y.sub(int(3))),
    () => x.sub(y).mod(int(5)),
    () => x.minimum(y),
    () => x.mul(int(3)).maximum(y.neg()),
    () => tf.clipByValue(x, 1, 5),
    () => x.less(y).cast('int32'),
    () => tf.where(tf.broadcastTo(x.equal(y), tf.broadcast_util.assertAndGetBroadcastShape(x.shape, y.shape)), x.add(y), y.sub(x)), // prettier-ignore
    () => (x.rank === 0 ? x : tf.cumsum(x, 0, random() < 0.5, random() < 0.5)),
    () => (x.rank === 0 ? x : tf.argMax(x, Math.floor(random() * x.rank))),
    () => (x.rank === 0 ? x : tf.argMin(x, 0)),
    () => (x.rank === 0 ? x : x.max(0)),
    () => (x.rank === 0 ? x : x.sum(x.rank - 1)),
    () => (x.rank === 0 ? x : tf.reverse(x)),
  ])();
}

/** Places come from the integers, made to fit. */
function chosen({ values, integers, weights }: Stock, random: Random): tf.Tensor {
  const x = pick(random, values);
  const places = pick(random, integers);
  if (x.rank === 0 || places.size * x.size > 3000) return x;
  const axis = Math.floor(random() * x.rank);
  const within = (n: number): tf.Tensor => places.mod(int(n));
  const rows = x.shape[0];
  return pick(random, [
    () => tf.gather(x, within(x.shape[axis]) as tf.Tensor1D, axis),
    () => tf.gatherND(x, within(rows).flatten().expandDims(1)),
    () => tf.scatterND(within(7).flatten().expandDims<tf.Tensor2D>(1), weights.slice(0, places.size), [7]).mul(0.2),
    () => tf.tensorScatterUpdate(x, tf.tensor2d([[rows - 1], [0]], [2, 1], 'int32'), tf.stack([x.slice(0, 1).squeeze([0]), x.slice(rows - 1, 1).squeeze([0])])), // prettier-ignore
    () => tf.unsortedSegmentSum(weights.slice(0, places.size).reshape([places.size, 1]).mul<tf.Tensor2D>(x.flatten()), places.flatten(), 5).mul(0.1), // prettier-ignore
    () => tf.oneHot(places, 6, 0.5, -0.25, 'float32'),
  ])();
}

type Image = tf.Tensor4D;

/** Windows over a value seen as an image. */
function windowed({ values, weights, key }: Stock, random: Random): tf.Tensor {
  const x = pick(random, values);
  if (x.size > 600) return x;
  if (random() < 0.15) return normal(key as Key, x.shape).mul(x);
  if (x.rank < 2) return x.mul(bernoulli(key as Key, 0.6, x.shape).cast('float32'));
  const shape = x.rank === 2 ? [1, ...x.shape, 1] : x.rank === 3 ? [1, ...x.shape] : [...x.shape];
  const image = x.reshape<Image>(shape);
  const [, height, width, channels] = image.shape;
  const window = [1, 2, 3].filter((n) => n <= height && n <= width);
  const size: [number, number] = [pick(random, window), pick(random, window)];
  const strides: [number, number] = [pick(random, [1, 2]), pick(random, [1, 2, 3])];
  const pad = pick(random, ['same', 'valid'] as const);
  const outputs = pick(random, [1, 2, 3, 5]);
  const count = size[0] * size[1] * channels * outputs;
  const average = (y: tf.Tensor): tf.Tensor => y.mul(1 / (size[0] * size[1] * channels));
  // Not from the beginning: what is a part of another tensor lies at an offset.
  const filter = (last: number): Image => {
    const length = size[0] * size[1] * channels * last;
    return weights.slice(length % 56, length).reshape<Image>([...size, channels, last]);
  };
  const attrs = { strides, pad, dataFormat: 'NHWC', dimRoundingMode: undefined };
  return pick(random, [
    () => tf.maxPool(image, size, strides, pad),
    () => tf.avgPool(image, size, strides, pad),
    () => run('AvgPoolGrad', { dy: tf.avgPool(image, size, strides, pad), input: image }, { filterSize: size, strides, pad }), // prettier-ignore
    () => (count > 200 ? x : average(tf.conv2d(image, filter(outputs), strides, pad))),
    () => (count > 200 ? x : average(run('Conv2DBackpropInput', { dy: tf.conv2d(image, filter(outputs), strides, pad), filter: filter(outputs) }, { ...attrs, inputShape: image.shape }).mul(0.3))), // prettier-ignore
    () => (count > 200 ? x : run('Conv2DBackpropFilter', { x: image, dy: average(tf.conv2d(image, filter(outputs), strides, pad)) }, { ...attrs, filterShape: [...size, channels, outputs] }).mul(0.05)), // prettier-ignore
    () => (count > 200 ? x : average(tf.depthwiseConv2d(image, filter(outputs), strides, pad))),
    () => tf.image.resizeBilinear(image, [1 + Math.floor(random() * 6), 1 + Math.floor(random() * 6)], false, random() < 0.5), // prettier-ignore
    () => tf.image.resizeNearestNeighbor(image, [1 + Math.floor(random() * 6), 1 + Math.floor(random() * 6)], random() < 0.5), // prettier-ignore
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
function grow(stock: Stock, random: Random): tf.Tensor {
  const { values } = stock;
  const x = pick(random, values);
  const kind = 1.25 * random();
  if (kind >= 1.15) return windowed(stock, random);
  if (kind >= 1.05) return chosen(stock, random);
  if (kind >= 1) return whole(stock, random).cast('float32').mul(0.2);
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
    // Where Float32Array holds doubles, the backend of singles does not exist.
    if (isFloat64 && name === 'nullcline') continue;
    // prettier-ignore
    it(`compute the same on ${name} as kernel by kernel`, () => {
      const backend = compiledBackend(name);
      for (let g = 0; g < GRAPHS; g++) {
        const seed = SEED * 1_000_003 + g;
        const random = repeatable(seed);
        const specs: Spec[] = [0, 1, 2].map(() => ({ shape: shapeOf(random), dtype: 'float32' }));
        const square = pick(random, [3, 4, 6, 9]);
        specs.push({ shape: [square, square], dtype: 'float32' }, { shape: [square, 2], dtype: 'float32' });
        const floats = specs.length;
        specs.push({ shape: shapeOf(random).slice(0, 2), dtype: 'int32' }, { shape: [pick(random, [1, 3, 8])], dtype: 'int32' }); // prettier-ignore
        specs.push({ shape: [256], dtype: 'float32' }, { shape: [2], dtype: 'int32' });
        const graph = trace((xs) => {
          const values = xs.slice(0, floats);
          const integers = xs.slice(floats, floats + 2);
          const [weights, key] = xs.slice(-2);
          const nodes = 3 + Math.floor(random() * 14);
          for (let i = 0; i < nodes; i++) values.push(grow({ values, integers, weights, key }, random));
          return values.slice(-4);
        }, specs);
        const inputs = specs.map((s, i) => {
          const own = randomValues(s, random, name === 'nullcline64');
          return i >= floats && s.dtype === 'int32' && i < specs.length - 1 ? own.map((n) => Math.abs(n) % 9) : own;
        });
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
