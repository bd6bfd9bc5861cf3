/**
 * Operations one by one, outside `compile`: nullcline beside tfjs's cpu backend, at four sizes; at the end, which are slower.
 *
 * A cast to a wider dtype computes nothing on either: cpu hands on the same array under another name; here the numbers are
 * converted when somebody asks for them. zeros, ones and eye are arrays that tfjs makes and hands over: cpu keeps the array itself, and
 * would see it change; here it is copied.
 *
 *   npx tsx bench/eager.ts          NULLCLINE_BENCH_ONLY=add,where npx tsx bench/eager.ts
 */
import * as tf from '@tensorflow/tfjs';
import { registerNullcline } from '../src/wasm/register.js';
import { race, report, Table, type Contestant } from './support/measure.js';

tf.env().set('PROD', true);
registerNullcline();

/** Many short rounds: what else the machine does is then in some of them only. */
const SHORT = { rounds: 45, roundMs: 1, warmMs: 25 };
const LONG = { rounds: 6, roundMs: 1, warmMs: 10 };

const SIZES = (process.env.NULLCLINE_BENCH_SIZES ?? '1,100,10000,1000000').split(',').map(Number);

/** Does a call take less than a millisecond on each? */
async function areShort(contestants: readonly Contestant[]): Promise<boolean> {
  let longest = 0;
  for (const { enter, run } of contestants) {
    await enter?.();
    run();
    const start = performance.now();
    run();
    longest = Math.max(longest, performance.now() - start);
  }
  return longest < 1;
}

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
  readonly row: tf.Tensor1D;
  readonly column: tf.Tensor;
  /** Both in one. */
  readonly pair: tf.Tensor;
  readonly image: tf.Tensor3D;
  readonly filter: tf.Tensor4D;
  /** Of a transposed convolution, and one of a single point. */
  readonly back: tf.Tensor4D;
  readonly mixing: tf.Tensor4D;
  readonly sequence: tf.Tensor2D;
  readonly taps: tf.Tensor3D;
  /** Images of even length; with four times as many channels; four of them. */
  readonly even: tf.Tensor4D;
  readonly deep: tf.Tensor4D;
  readonly blocks: tf.Tensor4D;
  readonly sorted: tf.Tensor1D;
  /** A power of two elements: what tfjs's fft is fast for. */
  readonly wave: tf.Tensor;
  /** Row and column of as many elements of the matrix as it has rows. */
  readonly places: tf.Tensor2D;
}

type Operation = (o: Operands) => tf.Tensor | tf.Tensor[];

type Unary = (x: tf.Tensor) => tf.Tensor;
type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

const of = <F>(take: (f: F) => Operation, functions: Readonly<Record<string, F>>): Record<string, Operation> =>
  Object.fromEntries(Object.entries(functions).map(([name, f]) => [name, take(f)]));

const UNARY: Readonly<Record<string, Unary>> = {
  abs: tf.abs, exp: tf.exp, expm1: tf.expm1, log: tf.log, log1p: tf.log1p, tanh: tf.tanh, sigmoid: tf.sigmoid,
  softplus: tf.softplus, erf: tf.erf, sin: tf.sin, cos: tf.cos, tan: tf.tan, asin: tf.asin, acos: tf.acos, atan: tf.atan,
  sinh: tf.sinh, cosh: tf.cosh, asinh: tf.asinh, acosh: tf.acosh, atanh: tf.atanh, sqrt: tf.sqrt, rsqrt: tf.rsqrt,
  floor: tf.floor, ceil: tf.ceil, round: tf.round, neg: tf.neg, square: tf.square, reciprocal: tf.reciprocal, sign: tf.sign,
  relu: tf.relu, relu6: tf.relu6, elu: tf.elu, selu: tf.selu, leakyRelu: (x) => tf.leakyRelu(x, 0.1), step: tf.step,
  clipByValue: (x) => tf.clipByValue(x, 0.5, 1), isNaN: tf.isNaN, isInf: tf.isInf, isFinite: tf.isFinite,
}; // prettier-ignore

const BINARY: Readonly<Record<string, Binary>> = {
  add: tf.add, sub: tf.sub, mul: tf.mul, div: tf.div, maximum: tf.maximum, minimum: tf.minimum, pow: tf.pow, mod: tf.mod,
  squaredDifference: tf.squaredDifference, atan2: tf.atan2, floorDiv: tf.floorDiv, prelu: tf.prelu, equal: tf.equal,
  notEqual: tf.notEqual, less: tf.less, lessEqual: tf.lessEqual, greater: tf.greater, greaterEqual: tf.greaterEqual,
}; // prettier-ignore

const REDUCTIONS: Readonly<Record<string, (x: tf.Tensor, axis?: number) => tf.Tensor>> = {
  sum: tf.sum, mean: tf.mean, max: tf.max, min: tf.min, prod: tf.prod, argMax: tf.argMax,
}; // prettier-ignore

const OPERATIONS: Readonly<Record<string, Operation>> = {
  ...of((f) => ({ x }) => f(x), UNARY),
  ...of((f) => ({ x, y }) => f(x, y), BINARY),
  'add scalar': ({ x, one }) => tf.add(x, one),
  'add row': ({ m, row }) => tf.add(m, row),
  'add column': ({ m, column }) => tf.add(m, column),
  'add integers': ({ ints }) => tf.add(ints, ints),
  logicalNot: ({ mask }) => tf.logicalNot(mask),
  logicalAnd: ({ mask }) => tf.logicalAnd(mask, mask),
  logicalOr: ({ mask }) => tf.logicalOr(mask, mask),
  where: ({ x, y, mask }) => tf.where(mask, x, y),
  ...of((f) => ({ x }) => f(x), REDUCTIONS),
  ...of((f) => ({ m }) => f(m, 0), Object.fromEntries(Object.entries(REDUCTIONS).map(([name, f]) => [`${name} axis 0`, f]))),
  ...of((f) => ({ m }) => f(m, 1), Object.fromEntries(Object.entries(REDUCTIONS).map(([name, f]) => [`${name} axis 1`, f]))),
  softmax: ({ m }) => tf.softmax(m),
  clone: ({ x }) => tf.clone(x),
  reshape: ({ x, m }) => tf.reshape(x, m.shape),
  expandDims: ({ x }) => tf.expandDims(x, 0),
  'cast int to float': ({ ints }) => tf.cast(ints, 'float32'),
  'cast bool to float': ({ mask }) => tf.cast(mask, 'float32'),
  'cast float to int': ({ x }) => tf.cast(x, 'int32'),
  'cast float to bool': ({ x }) => tf.cast(x, 'bool'),
  transpose: ({ m }) => tf.transpose(m),
  slice: ({ m }) => tf.slice(m, [0, 0], [m.shape[0], (m.shape[1] + 1) >> 1]),
  stridedSlice: ({ m }) => tf.stridedSlice(m, [0, 0], m.shape, [1, 2]),
  reverse: ({ m }) => tf.reverse(m, 1),
  tile: ({ m }) => tf.tile(m, [1, 2]),
  concat: ({ m }) => tf.concat([m, m], 1),
  'concat axis 0': ({ m }) => tf.concat([m, m], 0),
  stack: ({ x, y }) => tf.stack([x, y]),
  unstack: ({ pair }) => tf.unstack(pair),
  split: ({ m }) => tf.split(m, [1, m.shape[1] - 1], 1),
  pad: ({ m }) => tf.pad(m, [[1, 1], [1, 1]]), // prettier-ignore
  gather: ({ m, rows }) => tf.gather(m, rows),
  zerosLike: ({ x }) => tf.zerosLike(x),
  all: ({ mask }) => tf.all(mask),
  cumsum: ({ m }) => tf.cumsum(m, 1),
  cumprod: ({ m }) => tf.cumprod(m, 0),
  topk: ({ m }) => Object.values(tf.topk(m, Math.min(5, m.shape[1]))),
  oneHot: ({ rows }) => tf.oneHot(rows, 10),
  unsortedSegmentSum: ({ m, rows }) => tf.unsortedSegmentSum(m, rows, m.shape[0]),
  addN: ({ x, y }) => tf.addN([x, y, x]),
  einsum: ({ m }) => tf.einsum('ij,jk->ik', m, m),
  maxPool: ({ image }) => tf.maxPool(image, 2, 2, 'same'),
  conv2d: ({ image, filter }) => tf.conv2d(image, filter, 1, 'same'),
  matMul: ({ m }) => tf.matMul(m, m),
  'matMul transposed': ({ m }) => tf.matMul(m, m, true),
  'fused matMul': ({ m, row }) => tf.fused.matMul({ a: m, b: m, bias: row, activation: 'relu' }),
  dot: ({ m, row }) => tf.dot(m, row),
  outerProduct: ({ row }) => tf.outerProduct(row, row),
  linspace: ({ x }) => tf.linspace(0, 1, x.size),
  range: ({ x }) => tf.range(0, x.size, 1),
  eye: ({ row }) => tf.eye(row.size),
  fill: ({ x }) => tf.fill(x.shape, 0.5),
  zeros: ({ x }) => tf.zeros(x.shape),
  ones: ({ x }) => tf.ones(x.shape),
  onesLike: ({ x }) => tf.onesLike(x),
  scalar: () => tf.scalar(0.5),
  squeeze: ({ row }) => tf.squeeze(row),
  broadcastTo: ({ m, row }) => tf.broadcastTo(row, m.shape),
  meshgrid: ({ row }) => tf.meshgrid(row, row),
  gatherND: ({ m, places }) => tf.gatherND(m, places),
  scatterND: ({ row, places, m }) => tf.scatterND(places, row, m.shape),
  tensorScatterUpdate: ({ row, places, m }) => tf.tensorScatterUpdate(m, places, row),
  'gather axis 1': ({ m, rows }) => tf.gather(m, rows, 1),
  logSumExp: ({ m }) => tf.logSumExp(m, 1),
  logSoftmax: ({ m }) => tf.logSoftmax(m),
  norm: ({ x }) => tf.norm(x),
  'norm axis 1': ({ m }) => tf.norm(m, 'euclidean', 1),
  moments: ({ m }) => Object.values(tf.moments(m, 0)),
  batchNorm: ({ m, row }) => tf.batchNorm(m, row, row, row, row),
  argMin: ({ m }) => tf.argMin(m, 1),
  any: ({ mask }) => tf.any(mask),
  logicalXor: ({ mask }) => tf.logicalXor(mask, mask),
  logSigmoid: ({ x }) => tf.logSigmoid(x),
  bincount: ({ ints }) => tf.bincount(ints as tf.Tensor1D, [], 200),
  denseBincount: ({ ints }) => tf.denseBincount(ints as tf.Tensor1D, [], 200),
  searchSorted: ({ sorted, x }) => tf.searchSorted(sorted, x),
  unique: ({ ints }) => Object.values(tf.unique(ints)),
  mirrorPad: ({ m }) => tf.mirrorPad(m, [[0, 1], [0, 1]], 'symmetric'),
  bandPart: ({ m }) => tf.linalg.bandPart(m, 1, 1),
  complex: ({ x, y }) => tf.complex(x, y),
  fft: ({ wave }) => tf.spectral.fft(wave),
  rfft: ({ row }) => tf.spectral.rfft(row),
  avgPool: ({ image }) => tf.avgPool(image, 2, 2, 'same'),
  conv1d: ({ sequence, taps }) => tf.conv1d(sequence, taps, 1, 'same'),
  depthwiseConv2d: ({ image, filter }) => tf.depthwiseConv2d(image, filter, 1, 'same'),
  separableConv2d: ({ image, filter, mixing }) => tf.separableConv2d(image, filter, mixing, 1, 'same'),
  conv2dTranspose: ({ image, back }) => tf.conv2dTranspose(image, back, [2 * image.shape[0], 2 * image.shape[1], 2], 2, 'same'), // prettier-ignore
  resizeBilinear: ({ image }) => tf.image.resizeBilinear(image, [2 * image.shape[0], 2 * image.shape[1]]),
  resizeNearestNeighbor: ({ image }) => tf.image.resizeNearestNeighbor(image, [2 * image.shape[0], 2 * image.shape[1]]),
  flipLeftRight: ({ image }) => tf.image.flipLeftRight(tf.expandDims<tf.Tensor4D>(image, 0)),
  localResponseNormalization: ({ image }) => tf.localResponseNormalization(image),
  spaceToBatchND: ({ even }) => tf.spaceToBatchND(even, [2, 2], [[0, 0], [0, 0]]),
  batchToSpaceND: ({ blocks }) => tf.batchToSpaceND(blocks, [2, 2], [[0, 0], [0, 0]]),
  depthToSpace: ({ deep }) => tf.depthToSpace(deep, 2),
  meanSquaredError: ({ x, y }) => tf.losses.meanSquaredError(x, y),
  softmaxCrossEntropy: ({ m }) => tf.losses.softmaxCrossEntropy(m, m),
  'grad of square': ({ x }) => tf.grad((v: tf.Tensor) => tf.sum(tf.square(v)))(x),
  'grad of tanh product': ({ m, row }) => tf.grad((v) => tf.sum(tf.tanh(tf.dot(m, v))))(row),
}; // prettier-ignore

/** Products grow faster than their operands: none of a million elements. */
const LARGEST: Readonly<Record<string, number>> = {
  matMul: 10_000,
  'matMul transposed': 10_000,
  'fused matMul': 10_000,
  fft: 100, // by halves on cpu with tensors for each: seconds
  tensorScatterUpdate: 10_000, // on cpu it writes into the tensor it is given, and makes no copy
  einsum: 100, // tfjs's cpu backend holds all products at once
  unsortedSegmentSum: 10_000,
};

function operands(n: number): Operands {
  const side = Math.max(1, Math.round(Math.sqrt(n)));
  const half = Math.max(1, side >> 1);
  const power = 2 ** Math.floor(Math.log2(n));
  const x = tf.randomUniform([n], 0.1, 2, 'float32', 1);
  const y = tf.randomUniform([n], 0.1, 2, 'float32', 2);
  return {
    x,
    one: tf.scalar(0.5),
    row: tf.randomUniform([side], 0.1, 2, 'float32', 4),
    image: tf.randomUniform([side, side, 1], 0.1, 2, 'float32', 7),
    filter: tf.randomUniform([3, 3, 1, 4], 0.1, 2, 'float32', 6),
    pair: tf.stack([x, y]),
    column: tf.randomUniform([side, 1], 0.1, 2, 'float32', 5),
    y,
    m: tf.randomUniform([side, side], 0.1, 2, 'float32', 3),
    mask: tf.tidy(() => tf.greater(x, y)),
    rows: tf.range(0, side, 1, 'int32'),
    ints: tf.tidy(() => tf.cast(tf.mul(x, 100), 'int32')),
    back: tf.randomUniform([2, 2, 2, 1], 0.1, 2, 'float32', 8),
    mixing: tf.randomUniform([1, 1, 4, 2], 0.1, 2, 'float32', 9),
    sequence: tf.randomUniform([n, 1], 0.1, 2, 'float32', 10),
    taps: tf.randomUniform([3, 1, 4], 0.1, 2, 'float32', 11),
    even: tf.randomUniform([1, 2 * half, 2 * half, 1], 0.1, 2, 'float32', 12),
    deep: tf.randomUniform([1, half, half, 4], 0.1, 2, 'float32', 13),
    blocks: tf.randomUniform([4, half, half, 1], 0.1, 2, 'float32', 14),
    sorted: tf.linspace(0, 2, side),
    wave: tf.tidy(() => tf.complex(tf.ones([power]), tf.zeros([power]))),
    places: tf.tidy(() => tf.stack([tf.range(0, side, 1, 'int32'), tf.range(0, side, 1, 'int32')], 1)) as tf.Tensor2D,
  };
}

/** tfjs is one code for all backends, optimised for what it has seen: it must have seen both before anything is measured. */
for (let round = 0; round < 20; round++) {
  for (const backend of ['nullcline', 'cpu']) {
    await tf.setBackend(backend);
    const given = operands(9);
    for (let k = 0; k < 50; k++) for (const operation of Object.values(OPERATIONS)) tf.dispose(operation(given));
    tf.dispose({ ...given });
  }
}

const only = process.env.NULLCLINE_BENCH_ONLY?.split(',');
const table = new Table('operations one by one, float32: µs on nullcline, and the time of cpu over it', ['operation', ...SIZES.flatMap((n) => [`${n}`, 'cpu/ours'])], 20); // prettier-ignore
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
          tf.dispose(operation(given));
        },
      });
    }
    const [ours, cpu] = await race(contestants, (await areShort(contestants)) ? SHORT : LONG);
    figures.push(ours, cpu / ours);
    if (cpu / ours < 1) slower.push(`${name} of ${n}: ${(cpu / ours).toFixed(2)}`);
    report('eager', { operation: name, elements: n, nullcline_us: ours, cpu_us: cpu, ratio: cpu / ours });
    for (const o of kept) tf.dispose({ ...o });
  }
  table.row(name, ...figures);
}
console.log(slower.length === 0 ? 'none is slower than on cpu' : `slower than on cpu: ${slower.join('; ')}`);
