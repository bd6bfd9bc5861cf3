/**
 * One row per tf operation and manner of use: the function, and where its arguments lie. The laws they are held to are in
 * ops.test.ts.
 */
import * as tf from '@tensorflow/tfjs';

type Tensor = tf.Tensor;

/** Where the numbers of an argument are taken from; no two are equal, none lies on a kink. */
export interface Argument {
  readonly shape: number[];
  readonly from: number;
  readonly to: number;
}

export interface OpCase {
  readonly name: string;
  readonly args: readonly Argument[];
  readonly f: (...xs: Tensor[]) => Tensor | Tensor[];
  /** Whether central differences are worth taking a second time. Default true. */
  readonly second?: false;
}

const within = (from: number, to: number, ...shape: number[]): Argument => ({ shape, from, to });
const any = (...shape: number[]): Argument => within(-1.5, 1.75, ...shape);
const positive = (...shape: number[]): Argument => within(0.3, 2, ...shape);
const unit = (...shape: number[]): Argument => within(-0.8, 0.8, ...shape);
const aboveOne = (...shape: number[]): Argument => within(1.2, 2.5, ...shape);

const op = (name: string, args: readonly Argument[], f: (...xs: never[]) => Tensor | Tensor[]): OpCase => ({
  name,
  args,
  f: f as OpCase['f'],
});

const unary = (names: string, args: readonly Argument[]): OpCase[] =>
  names.split(' ').map((name) => {
    const f = (tf as unknown as Record<string, (...xs: Tensor[]) => Tensor>)[name];
    return op(name, args, f);
  });

type T1 = tf.Tensor1D;
type T2 = tf.Tensor2D;
type T3 = tf.Tensor3D;
type T4 = tf.Tensor4D;
type T5 = tf.Tensor5D;

const ints = (values: number[], shape: number[] = [values.length]): Tensor => tf.tensor(values, shape, 'int32');
const matrix = (x: Tensor): Tensor => tf.reshape(x, [-1]);

const ELEMENTWISE: OpCase[] = [
  ...unary('abs sin cos tan sinh cosh tanh asinh atan exp expm1 sigmoid softplus square neg relu relu6 elu selu', [any(2, 3)]),
  ...unary('asin acos atanh', [unit(2, 3)]),
  ...unary('log log1p sqrt rsqrt reciprocal', [positive(2, 3)]),
  ...unary('acosh', [aboveOne(2, 3)]),
  ...unary('add sub mul maximum minimum squaredDifference atan2', [any(2, 3), any(2, 3)]),
  ...unary('div', [any(2, 3), positive(2, 3)]),
  ...unary('pow', [positive(2, 3), any(2, 3)]),
  ...unary('mod', [within(3.1, 4.9, 2, 3), within(0.9, 1.4, 2, 3)]),
  op('relu6 beyond 6', [within(4, 8, 5)], (x: Tensor) => tf.mul(tf.relu6(x), x)),
  op('leakyRelu', [any(2, 3)], (x: Tensor) => tf.mul(tf.leakyRelu(x, 0.3), x)),
  op('prelu', [any(2, 3), any(3)], (x: Tensor, a: Tensor) => tf.prelu(x, a)),
  op('clipByValue', [any(2, 4)], (x: Tensor) => tf.mul(tf.clipByValue(x, -0.71, 0.83), x)),
  op('silu', [any(5)], (x: Tensor) => tf.mul(x, tf.sigmoid(x))),
  op('x tanh x', [any(5)], (x: Tensor) => tf.mul(x, tf.tanh(x))),
  op('x exp x', [any(5)], (x: Tensor) => tf.mul(x, tf.exp(x))),
  op('logSigmoid', [any(5)], (x: Tensor) => tf.logSigmoid(x)),
  op('pow with a constant', [positive(4)], (x: Tensor) => tf.pow(x, 3)),
  op('pow of negative numbers', [any(4)], (x: Tensor) => tf.pow(x, tf.scalar(3, 'int32'))),
  op('add, broadcast', [any(2, 3), any(3)], (a: Tensor, b: Tensor) => tf.square(tf.add(a, b))),
  op('sub, broadcast both ways', [any(2, 1, 3), any(4, 1)], (a: Tensor, b: Tensor) => tf.square(tf.sub(a, b))),
  op('mul, broadcast both ways', [any(2, 1), any(1, 3)], (a: Tensor, b: Tensor) => tf.mul(a, b)),
  op('div, broadcast', [any(2, 3), positive(2, 1)], (a: Tensor, b: Tensor) => tf.div(a, b)),
  op('div by a scalar', [any(2, 3), positive()], (a: Tensor, b: Tensor) => tf.div(a, b)),
  op('divNoNan', [any(2, 3), positive(2, 3)], (a: Tensor, b: Tensor) => tf.divNoNan(a, b)),
  op('maximum, broadcast', [any(2, 3), any(3)], (a: Tensor, b: Tensor) => tf.square(tf.maximum(a, b))),
  op('addN', [any(3), any(3), any(3)], (a: Tensor, b: Tensor, c: Tensor) => tf.square(tf.addN([a, b, c]))),
  op('where', [any(2, 3), any(2, 3)], (a: Tensor, b: Tensor) =>
    tf.where(tf.tensor([1, 0, 1, 0, 0, 1], [2, 3], 'bool'), tf.square(a), tf.mul(a, b))),
  op('where on a condition of x', [any(6)], (x: Tensor) => tf.where(tf.greater(x, 0.05), tf.square(x), tf.sin(x))),
  op('where with log off its domain', [any(6)], (x: Tensor) =>
    tf.where(tf.greater(x, 0.05), tf.log(tf.maximum(x, 0.01)), x)),
  op('functions of jumps', [any(5)], (x: Tensor) =>
    tf.mul(x, tf.addN([tf.floor(x), tf.ceil(x), tf.round(x), tf.sign(x), tf.step(x, 0.1)]))),
  op('casts and comparisons', [any(5)], (x: Tensor) =>
    tf.mul(x, tf.cast(tf.logicalOr(tf.logicalNot(tf.less(x, 0.1)), tf.logicalAnd(tf.lessEqual(x, 0.2), tf.notEqual(x, 9))), 'float32'))),
  op('tests of numbers', [any(5)], (x: Tensor) =>
    tf.mul(x, tf.cast(tf.logicalOr(tf.isFinite(x), tf.logicalOr(tf.isNaN(x), tf.isInf(x))), 'float32'))),
  op('onesLike and zerosLike', [any(3)], (x: Tensor) => tf.add(tf.mul(x, tf.onesLike(x)), tf.zerosLike(x))),
  op('floorDiv', [any(3)], (x: Tensor) => tf.mul(x, tf.cast(tf.floorDiv(ints([7, 8, 9]), ints([2, 3, 2])), 'float32'))),
]; // prettier-ignore

const REDUCTIONS: OpCase[] = [
  op('sum', [any(2, 3)], (x: Tensor) => tf.square(tf.sum(x))),
  op('sum over an axis', [any(2, 3, 2)], (x: Tensor) => tf.square(tf.sum(x, 1))),
  op('sum over axes, kept', [any(2, 3, 2)], (x: Tensor) => tf.mul(tf.square(x), tf.sum(x, [0, 2], true))),
  op('mean', [any(2, 3)], (x: Tensor) => tf.square(tf.mean(x))),
  op('mean over an axis', [any(3, 4)], (x: Tensor) => tf.square(tf.mean(x, 0))),
  op('max', [any(3, 4)], (x: Tensor) => tf.square(tf.max(x, 1))),
  op('min, kept', [any(3, 4)], (x: Tensor) => tf.mul(x, tf.min(x, 0, true))),
  op('max over all', [any(3, 4)], (x: Tensor) => tf.square(tf.max(x))),
  op('prod', [any(2, 4)], (x: Tensor) => tf.prod(x, 1)),
  op('prod over two axes', [any(2, 2, 3)], (x: Tensor) => tf.prod(x, [0, 2], true)),
  op('prod with zeros', [any(4)], (x: Tensor) => tf.prod(tf.mul(tf.stack([x, x]), tf.tensor2d([[0, 1, 1, 1], [0, 1, 0, 1]])), 1)),
  op('cumsum', [any(2, 4)], (x: Tensor) => tf.square(tf.cumsum(x, 1))),
  op('cumsum, exclusive and reversed', [any(3, 2)], (x: Tensor) => tf.square(tf.cumsum(x, 0, true, true))),
  op('cumprod', [any(2, 4)], (x: Tensor) => tf.cumprod(x, 1)),
  op('cumprod, exclusive', [any(4, 2)], (x: Tensor) => tf.cumprod(x, 0, true)),
  op('cumprod, reversed, with a zero', [any(4)], (x: Tensor) =>
    tf.cumprod(tf.mul(x, tf.tensor1d([1, 1, 0, 1])), 0, false, true)),
  op('logSumExp', [any(2, 3)], (x: Tensor) => tf.logSumExp(x, 1)),
  op('softmax', [any(2, 4)], (x: Tensor) => tf.softmax(x)),
  op('softmax times its logits', [any(2, 4)], (x: Tensor) => tf.mul(x, tf.softmax(x))),
  op('logSoftmax', [any(2, 4)], (x: Tensor) => tf.logSoftmax(x)),
  op('moments', [any(3, 4)], (x: Tensor) => {
    const { mean, variance } = tf.moments(x, 0);
    return [mean, variance];
  }),
  op('norm', [positive(2, 3)], (x: Tensor) => tf.norm(x)),
  op('norm 1', [any(2, 3)], (x: Tensor) => tf.square(tf.norm(x, 1, 1))),
  op('norm infinity', [any(2, 3)], (x: Tensor) => tf.square(tf.norm(x, Infinity, 1))),
  op('all, any, argMax, argMin', [any(2, 3)], (x: Tensor) => {
    const chosen = tf.add(tf.argMax(x, 1), tf.argMin(x, 1));
    const flags = tf.logicalOr(tf.all(tf.greater(x, -9), 1), tf.any(tf.greater(x, 0), 1));
    return tf.mul(tf.sum(tf.square(x), 1), tf.add(tf.cast(chosen, 'float32'), tf.cast(flags, 'float32')));
  }),
]; // prettier-ignore

const LINEAR_ALGEBRA: OpCase[] = [
  ...[false, true].flatMap((ta) =>
    [false, true].map((tb) =>
      op(`matMul ${ta ? 'a^T' : 'a'} ${tb ? 'b^T' : 'b'}`, [any(...(ta ? [3, 2] : [2, 3])), any(...(tb ? [2, 3] : [3, 2]))], (a: Tensor, b: Tensor) =>
        tf.square(tf.matMul(a, b, ta, tb)),
      ),
    ),
  ),
  op('matMul of batches', [any(2, 2, 3), any(2, 3, 2)], (a: Tensor, b: Tensor) => tf.square(tf.matMul(a, b))),
  op('matMul, one matrix for a batch', [any(2, 2, 3), any(3, 2)], (a: Tensor, b: Tensor) => tf.square(tf.matMul(a, b))),
  op('matMul, a batch for one matrix', [any(1, 2, 3), any(2, 3, 2)], (a: Tensor, b: Tensor) => tf.square(tf.matMul(a, b))),
  op('matMul, broadcast both ways', [any(2, 1, 1, 2), any(1, 3, 2, 1)], (a: Tensor, b: Tensor) =>
    tf.square(tf.matMul(tf.broadcastTo(a, [2, 3, 1, 2]), tf.broadcastTo(b, [2, 3, 2, 1])))),
  op('matMul, transposed and broadcast', [any(2, 3, 2), any(1, 2, 3)], (a: Tensor, b: Tensor) =>
    tf.square(tf.matMul(a, b, true, true))),
  op('dot', [any(4), any(4)], (a: Tensor, b: Tensor) => tf.square(tf.dot(a, b))),
  op('outerProduct', [any(2), any(3)], (a: Tensor, b: Tensor) => tf.outerProduct(a as T1, b as T1)),
  ...['ij,jk->ik', 'ij,jk->ki', 'ij,jk->i', 'ij,jk->ijk', 'ij,jk->kij'].map((equation) =>
    op(`einsum ${equation}`, [any(2, 3), any(3, 2)], (a: Tensor, b: Tensor) => tf.square(tf.einsum(equation, a, b))),
  ),
  op('einsum of batches', [any(2, 2, 3), any(2, 3, 2)], (a: Tensor, b: Tensor) => tf.einsum('bij,bjk->bik', a, b)),
  op('einsum of one operand', [any(2, 3, 2)], (a: Tensor) => tf.square(tf.einsum('abc->ca', a))),
  op('einsum without change', [any(2, 3)], (a: Tensor) => tf.square(tf.einsum('ab->ab', a))),
  op('diag', [any(3)], (x: Tensor) => tf.mul(tf.diag(x), tf.diag(tf.square(x)))),
  op('linalg.bandPart', [any(3, 3)], (x: Tensor) => tf.square(tf.linalg.bandPart(x, 1, 0))),
  op('linalg.gramSchmidt', [any(2, 3)], (x: Tensor) => tf.linalg.gramSchmidt(x as T2)),
  op('linalg.qr', [any(3, 2)], (x: Tensor) => tf.linalg.qr(x)),
  op('cosine of two rows', [positive(2, 3)], (x: Tensor) => tf.div(tf.matMul(x, x, false, true), tf.norm(x))),
  op('fused.matMul', [any(2, 3), any(3, 2), any(2)], (a: Tensor, b: Tensor, bias: Tensor) =>
    tf.square(tf.fused.matMul({ a, b, bias }))),
  ...(['relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu'] as const).map((activation) =>
    op(`fused.matMul ${activation}`, [any(2, 3), any(3, 2), any(2)], (a: Tensor, b: Tensor, bias: Tensor) =>
      tf.square(tf.fused.matMul({ a, b, bias, activation, leakyreluAlpha: 0.3 })),
    ),
  ),
  ...['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu', 'prelu'].map((activation) =>
    op(`kernel _FusedMatMul ${activation}`, [any(2, 3), any(3, 2), any(2), positive(2)], (a: Tensor, b: Tensor, bias: Tensor, w: Tensor) =>
      tf.square(
        tf.engine().runKernel('_FusedMatMul', { a, b, bias, preluActivationWeights: w }, {
          transposeA: false, transposeB: false, activation, leakyreluAlpha: 0.3,
        }) as unknown as Tensor,
      ),
    ),
  ),
]; // prettier-ignore

const conv = (name: string, x: number[], w: number[], f: (x: Tensor, w: Tensor) => Tensor): OpCase =>
  op(name, [any(...x), any(...w)], (a: Tensor, b: Tensor) => tf.square(f(a, b)));

const CONVOLUTIONS: OpCase[] = [
  conv('conv1d', [1, 5, 2], [3, 2, 2], (x, w) => tf.conv1d(x as T3, w as T3, 1, 'same')),
  conv('conv2d valid', [1, 4, 4, 2], [2, 3, 2, 2], (x, w) => tf.conv2d(x as T4, w as T4, 1, 'valid')),
  conv('conv2d same, strides', [1, 5, 4, 1], [3, 2, 1, 2], (x, w) => tf.conv2d(x as T4, w as T4, [2, 1], 'same')),
  conv('conv2d padded by hand', [1, 3, 3, 1], [2, 2, 1, 2], (x, w) =>
    tf.conv2d(x as T4, w as T4, 1, [[0, 0], [1, 0], [0, 2], [0, 0]])),
  conv('conv2d dilated', [1, 6, 5, 1], [2, 2, 1, 2], (x, w) => tf.conv2d(x as T4, w as T4, 1, 'valid', 'NHWC', [3, 2])),
  conv('conv2d dilated, same', [1, 4, 4, 1], [3, 2, 1, 1], (x, w) => tf.conv2d(x as T4, w as T4, 1, 'same', 'NHWC', 2)),
  conv('conv2d channels first', [1, 2, 4, 4], [2, 2, 2, 1], (x, w) => tf.conv2d(x as T4, w as T4, 1, 'valid', 'NCHW')),
  conv('conv2dTranspose', [1, 2, 3, 2], [3, 2, 1, 2], (x, w) =>
    tf.conv2dTranspose(x as T4, w as T4, [1, 4, 6, 1], 2, 'same')),
  conv('depthwiseConv2d', [1, 4, 4, 2], [2, 3, 2, 2], (x, w) => tf.depthwiseConv2d(x as T4, w as T4, 1, 'same')),
  conv('depthwiseConv2d strided', [1, 5, 5, 1], [3, 3, 1, 2], (x, w) => tf.depthwiseConv2d(x as T4, w as T4, 2, 'same')),
  conv('depthwiseConv2d dilated', [1, 5, 5, 2], [2, 2, 2, 1], (x, w) =>
    tf.depthwiseConv2d(x as T4, w as T4, 1, 'valid', 'NHWC', 2)),
  op('separableConv2d', [any(1, 4, 4, 2), any(2, 2, 2, 1), any(1, 1, 2, 2)], (x: Tensor, d: Tensor, p: Tensor) =>
    tf.separableConv2d(x as T4, d as T4, p as T4, 1, 'same')),
  conv('conv3d', [1, 3, 3, 3, 1], [2, 2, 2, 1, 2], (x, w) => tf.conv3d(x as T5, w as T5, 1, 'valid')),
  conv('conv3d same, strides', [1, 3, 4, 3, 1], [2, 3, 2, 1, 1], (x, w) => tf.conv3d(x as T5, w as T5, [1, 2, 1], 'same')),
  conv('conv3d dilated', [1, 3, 4, 3, 1], [2, 2, 2, 1, 1], (x, w) =>
    tf.conv3d(x as T5, w as T5, 1, 'valid', 'NDHWC', [2, 3, 1])),
  conv('conv3dTranspose', [1, 2, 2, 2, 1], [2, 2, 2, 1, 1], (x, w) =>
    tf.conv3dTranspose(x as T5, w as T5, [1, 4, 4, 4, 1], 2, 'same')),
  op('fused.conv2d', [any(1, 3, 3, 1), any(2, 2, 1, 2), any(2)], (x: Tensor, filter: Tensor, bias: Tensor) =>
    tf.square(tf.fused.conv2d({ x: x as T4, filter: filter as T4, bias, strides: 1, pad: 'valid' }))),
  op('fused.conv2d relu', [any(1, 3, 3, 1), any(2, 2, 1, 2), any(2)], (x: Tensor, filter: Tensor, bias: Tensor) =>
    tf.square(tf.fused.conv2d({ x: x as T4, filter: filter as T4, bias, strides: 1, pad: 'same', activation: 'relu' }))),
  op('fused.depthwiseConv2d', [any(1, 3, 3, 2), any(2, 2, 2, 1), any(2)], (x: Tensor, filter: Tensor, bias: Tensor) =>
    tf.square(tf.fused.depthwiseConv2d({ x: x as T4, filter: filter as T4, bias, strides: 1, pad: 'valid' }))),
  op('dilation2d', [any(1, 4, 4, 1), any(2, 2, 1)], (x: Tensor, w: Tensor) =>
    tf.square(tf.dilation2d(x as T4, w as T3, 1, 'same'))),
  op('dilation2d dilated', [any(1, 5, 4, 2), any(2, 2, 2)], (x: Tensor, w: Tensor) =>
    tf.square(tf.dilation2d(x as T4, w as T3, 1, 'valid', [2, 1]))),
]; // prettier-ignore

const pool = (name: string, shape: number[], f: (x: Tensor) => Tensor): OpCase =>
  op(name, [any(...shape)], (x: Tensor) => tf.square(f(x)));

const POOLS: OpCase[] = [
  pool('maxPool', [1, 4, 4, 2], (x) => tf.maxPool(x as T4, 2, 2, 'valid')),
  pool('maxPool same, overlapping', [1, 5, 4, 1], (x) => tf.maxPool(x as T4, 3, 2, 'same')),
  pool('maxPool padded', [1, 4, 4, 1], (x) => tf.maxPool(x as T4, [2, 3], 1, 1)),
  pool('maxPoolWithArgmax', [1, 4, 4, 2], (x) => tf.maxPoolWithArgmax(x as T4, 2, 2, 'valid').result),
  pool('avgPool', [1, 4, 4, 2], (x) => tf.avgPool(x as T4, 2, 2, 'valid')),
  pool('avgPool same, odd', [1, 5, 3, 1], (x) => tf.avgPool(x as T4, 2, 2, 'same')),
  pool('avgPool same, overlapping', [2, 3, 3, 2], (x) => tf.avgPool(x as T4, 3, 1, 'same')),
  pool('avgPool padded', [1, 4, 4, 1], (x) => tf.avgPool(x as T4, [3, 2], 2, 1)),
  pool('maxPool3d', [1, 3, 4, 3, 1], (x) => tf.maxPool3d(x as T5, 2, 1, 'same')),
  pool('maxPool3d valid', [1, 4, 4, 4, 1], (x) => tf.maxPool3d(x as T5, 2, 2, 'valid')),
  pool('avgPool3d', [1, 4, 2, 4, 1], (x) => tf.avgPool3d(x as T5, 2, 2, 'valid')),
  pool('avgPool3d same, odd', [1, 3, 3, 3, 1], (x) => tf.avgPool3d(x as T5, 2, 2, 'same')),
  pool('pool dilated', [1, 6, 6, 1], (x) => tf.pool(x as T4, 2, 'avg', 'same', 2, 1)),
];

const NORMALISATIONS: OpCase[] = [
  op('batchNorm', [any(3, 2), any(2), positive(2), any(2), any(2)], (x: Tensor, m: Tensor, v: Tensor, o: Tensor, s: Tensor) =>
    tf.square(tf.batchNorm(x, m as T1, v as T1, o as T1, s as T1))),
  op('batchNorm, no scale, no offset', [any(1, 2, 2, 2), any(2), positive(2)], (x: Tensor, m: Tensor, v: Tensor) =>
    tf.square(tf.batchNorm(x, m as T1, v as T1))),
  op('batchNorm of whole arrays', [any(2, 3), any(2, 3), positive(2, 3), any(2, 3), any(2, 3)], (x: Tensor, m: Tensor, v: Tensor, o: Tensor, s: Tensor) =>
    tf.square(tf.batchNorm(x, m as T1, v as T1, o as T1, s as T1, 0.01))),
  op('batchNorm of its own moments', [any(4, 2)], (x: Tensor) => {
    const { mean, variance } = tf.moments(x, 0);
    return tf.square(tf.batchNorm(x, mean as T1, variance as T1));
  }),
  op('localResponseNormalization', [any(1, 2, 2, 4)], (x: Tensor) => tf.localResponseNormalization(x as T4, 1, 1, 0.7, 0.5)),
  op('kernel LRNGrad', [any(1, 1, 2, 3), any(1, 1, 2, 3)], (x: Tensor, dy: Tensor) => {
    const attrs = { depthRadius: 1, bias: 1, alpha: 0.7, beta: 0.5 };
    const y = tf.localResponseNormalization(x as T4, 1, 1, 0.7, 0.5);
    return tf.square(tf.engine().runKernel('LRNGrad', { x, y, dy }, attrs) as unknown as Tensor);
  }),
]; // prettier-ignore

const INDEXING: OpCase[] = [
  op('gather', [any(4, 2)], (x: Tensor) => tf.square(tf.gather(x, ints([2, 0, 2])))),
  op('gather along an axis', [any(2, 4, 2)], (x: Tensor) => tf.square(tf.gather(x, ints([3, 1, 3, 0], [2, 2]), 1))),
  op('gather along the last axis', [any(2, 4)], (x: Tensor) => tf.square(tf.gather(x, ints([3, 1, 3]), -1))),
  op('gather with batches', [any(2, 3, 2)], (x: Tensor) =>
    tf.square(tf.gather(x, ints([2, 0, 1, 1], [2, 2]), 1, 1))),
  op('gather with batches along a later axis', [any(2, 2, 3)], (x: Tensor) =>
    tf.square(tf.gather(x, ints([2, 0, 1, 1], [2, 2]), 2, 1))),
  op('gatherND', [any(2, 3, 2)], (x: Tensor) => tf.square(tf.gatherND(x, ints([0, 1, 1, 2, 0, 1], [3, 2])))),
  op('scatterND', [any(3, 2)], (x: Tensor) => tf.square(tf.scatterND(ints([3, 0, 3], [3, 1]), x, [4, 2]))),
  op('tensorScatterUpdate', [any(4, 2), any(2, 2)], (x: Tensor, u: Tensor) =>
    tf.square(tf.tensorScatterUpdate(x, ints([3, 1], [2, 1]), u))),
  op('sparseToDense', [any(2), any()], (v: Tensor, d: Tensor) =>
    tf.square(tf.sparseToDense(ints([1, 3]), v, [5], d as tf.Scalar))),
  op('unsortedSegmentSum', [any(4, 2)], (x: Tensor) => tf.square(tf.unsortedSegmentSum(x, ints([1, 0, 1, -1]) as T1, 3))),
  op('topk', [any(2, 4)], (x: Tensor) => tf.square(tf.topk(x, 2).values)),
  op('bincount', [any(4)], (w: Tensor) => tf.square(tf.bincount(ints([1, 0, 1, 9]) as T1, w as T1, 3))),
  op('denseBincount', [any(2, 3)], (w: Tensor) => tf.square(tf.denseBincount(ints([1, 0, 1, 2, 7, 2], [2, 3]) as T2, w as T2, 3))),
  op('oneHot', [any(3, 2)], (x: Tensor) => tf.mul(tf.square(x), tf.cast(tf.oneHot(ints([1, 0, 1]), 2), 'float32'))),
  op('booleans of integers', [any(3)], (x: Tensor) =>
    tf.mul(tf.square(x), tf.cast(tf.add(tf.searchSorted(tf.tensor1d([1, 3, 5]), tf.tensor1d([0, 4, 6])), tf.range(0, 3, 1, 'int32')), 'float32'))),
  op('integers and draws', [any(3)], (x: Tensor) => {
    const bits = tf.bitwiseAnd(ints([5, 6, 7]), ints([3, 3, 3]));
    const drawn = tf.multinomial(tf.tensor1d([0, 0]), 3, 7);
    return tf.mul(tf.square(x), tf.cast(tf.add(bits, tf.mul(drawn, 0)), 'float32'));
  }),
  op('linspace', [any(3)], (x: Tensor) => tf.mul(tf.square(x), tf.linspace(0, 1, 3))),
]; // prettier-ignore

const ARRANGEMENTS: OpCase[] = [
  op('reshape', [any(2, 3)], (x: Tensor) => tf.square(tf.reshape(x, [3, 2]))),
  op('expandDims and squeeze', [any(2, 3)], (x: Tensor) => tf.square(tf.squeeze(tf.expandDims(x, 1)))),
  op('transpose', [any(2, 3, 2)], (x: Tensor) => tf.square(tf.transpose(x, [2, 0, 1]))),
  op('reverse', [any(2, 3)], (x: Tensor) => tf.mul(x, tf.reverse(x, 1))),
  op('concat', [any(2, 3), any(2, 2)], (a: Tensor, b: Tensor) => tf.square(tf.concat([a, b], 1))),
  op('concat of one tensor twice', [any(2, 2)], (a: Tensor) => tf.square(tf.concat([a, a], 0))),
  op('stack', [any(2, 3), any(2, 3)], (a: Tensor, b: Tensor) => tf.square(tf.stack([a, b], 1))),
  op('stack on the last axis', [any(2, 3), any(2, 3)], (a: Tensor, b: Tensor) => tf.square(tf.stack([a, b], -1))),
  op('unstack', [any(3, 2)], (x: Tensor) => {
    const [a, b, c] = tf.unstack(x);
    return tf.mul(a, tf.sub(b, tf.square(c)));
  }),
  op('unstack, one used', [any(3, 2)], (x: Tensor) => tf.square(tf.unstack(x, 1)[1])),
  op('split', [any(2, 4)], (x: Tensor) => {
    const [a, b] = tf.split(x, [1, 3], 1);
    return tf.mul(a, b);
  }),
  op('slice', [any(3, 4)], (x: Tensor) => tf.square(tf.slice(x, [1, 0], [2, 3]))),
  op('stridedSlice', [any(3, 5)], (x: Tensor) => tf.square(tf.stridedSlice(x, [0, 1], [3, 5], [2, 2]))),
  op('stridedSlice backwards', [any(3, 5)], (x: Tensor) => tf.square(tf.stridedSlice(x, [2, 4], [0, 0], [-1, -3]))),
  op('stridedSlice with masks', [any(3, 5, 2)], (x: Tensor) =>
    tf.square(tf.stridedSlice(x, [1, 0, 1], [2, 0, 2], [1, 1, 1], 2, 2, 0, 0, 1))),
  op('stridedSlice with a new axis and an ellipsis', [any(3, 5)], (x: Tensor) =>
    tf.square(tf.stridedSlice(x, [0, 0, 1], [0, 0, 4], [1, 1, 2], 0, 0, 2, 1, 0))),
  op('pad', [any(2, 3)], (x: Tensor) => tf.square(tf.pad(x, [[1, 0], [0, 2]], 0.5))),
  op('mirrorPad reflect', [any(3, 4)], (x: Tensor) => tf.square(tf.mirrorPad(x, [[2, 1], [1, 3]], 'reflect'))),
  op('mirrorPad symmetric', [any(2, 3)], (x: Tensor) => tf.square(tf.mirrorPad(x, [[2, 1], [0, 3]], 'symmetric'))),
  op('tile', [any(2, 3)], (x: Tensor) => tf.square(tf.tile(x, [2, 3]))),
  op('broadcastTo', [any(1, 3)], (x: Tensor) => tf.mul(tf.broadcastTo(x, [2, 4, 3]), tf.square(x))),
  op('broadcastArgs', [any(3)], (x: Tensor) =>
    tf.mul(tf.square(x), tf.cast(tf.broadcastArgs(ints([2, 1, 3]), ints([4, 3])), 'float32'))),
  op('spaceToBatchND', [any(1, 4, 4, 1)], (x: Tensor) => tf.square(tf.spaceToBatchND(x, [2, 2], [[0, 0], [2, 0]]))),
  op('batchToSpaceND', [any(4, 2, 2, 1)], (x: Tensor) => tf.square(tf.batchToSpaceND(x, [2, 2], [[0, 0], [1, 0]]))),
  op('depthToSpace', [any(1, 2, 2, 4)], (x: Tensor) => tf.square(tf.depthToSpace(x as T4, 2))),
  op('meshgrid', [any(2), any(3)], (a: Tensor, b: Tensor) => {
    const [x, y] = tf.meshgrid(a, b);
    return tf.mul(x, tf.square(y));
  }),
  op('clone', [any(3)], (x: Tensor) => tf.mul(tf.clone(x), x)),
  op('flattened', [any(2, 2)], (x: Tensor) => tf.square(matrix(x))),
]; // prettier-ignore

const BOXES = within(0.15, 0.62, 2, 4);
const TRANSFORMS = (): Tensor => tf.tensor2d([[0.9, 0.13, 0.21, -0.17, 1.1, 0.37, 0.011, 0.023]]);

const IMAGES: OpCase[] = [
  ...[false, true].flatMap((align) =>
    [false, true].flatMap((half) =>
      align && half
        ? []
        : [
            op(`resizeBilinear${align ? ', corners aligned' : ''}${half ? ', half pixels' : ''}`, [any(1, 3, 4, 2)], (x: Tensor) =>
              tf.square(tf.image.resizeBilinear(x as T4, [5, 3], align, half))),
            op(`resizeNearestNeighbor${align ? ', corners aligned' : ''}${half ? ', half pixels' : ''}`, [any(1, 3, 4, 1)], (x: Tensor) =>
              tf.square(tf.image.resizeNearestNeighbor(x as T4, [5, 3], align, half))),
          ],
    ),
  ),
  op('kernel ResizeBilinearGrad', [any(1, 4, 5, 1)], (dy: Tensor) =>
    tf.square(tf.engine().runKernel('ResizeBilinearGrad', { images: tf.zeros([1, 3, 3, 1]), dy }, { alignCorners: true }) as unknown as Tensor)),
  op('kernel ResizeNearestNeighborGrad', [any(1, 4, 6, 1)], (dy: Tensor) =>
    tf.square(tf.engine().runKernel('ResizeNearestNeighborGrad', { images: tf.zeros([1, 2, 3, 1]), dy }, { alignCorners: false }) as unknown as Tensor)),
  op('cropAndResize', [any(2, 4, 4, 1), BOXES], (x: Tensor, boxes: Tensor) =>
    tf.square(tf.image.cropAndResize(x as T4, boxes as T2, ints([1, 0]) as T1, [3, 2]))),
  op('cropAndResize nearest', [any(2, 4, 4, 1)], (x: Tensor) =>
    tf.square(tf.image.cropAndResize(x as T4, tf.tensor2d([[0.1, 0.2, 0.8, 1.2], [0, 0, 1, 1]]), ints([1, 0]) as T1, [3, 1], 'nearest', 0.4))),
  ...(['constant', 'reflect', 'wrap', 'nearest'] as const).map((mode) =>
    op(`transform, ${mode}`, [any(1, 3, 4, 2)], (x: Tensor) =>
      tf.square(tf.image.transform(x as T4, TRANSFORMS() as T2, 'bilinear', mode, 0.3)))),
  op('transform, nearest pixel', [any(1, 3, 4, 1)], (x: Tensor) =>
    tf.square(tf.image.transform(x as T4, TRANSFORMS() as T2, 'nearest', 'constant', 0.3, [4, 4]))),
  op('transform, of its matrix', [any(1, 4, 4, 1), unit(8)], (x: Tensor, t: Tensor) =>
    tf.image.transform(x as T4, tf.add<T2>(TRANSFORMS(), tf.mul(tf.reshape(t, [1, 8]), 0.01)))),
  op('flipLeftRight', [any(1, 2, 3, 1)], (x: Tensor) => tf.mul(x, tf.image.flipLeftRight(x as T4))),
  op('rotateWithOffset', [any(1, 4, 4, 2)], (x: Tensor) => tf.square(tf.image.rotateWithOffset(x as T4, 0.6, 0.2))),
  op('grayscaleToRGB', [any(2, 2, 1)], (x: Tensor) => tf.square(tf.image.grayscaleToRGB(x as T3))),
]; // prettier-ignore

const SPECTRAL: OpCase[] = [
  op('complex, real, imag', [any(4), any(4)], (a: Tensor, b: Tensor) => {
    const z = tf.complex(a, b);
    return [tf.mul(tf.real(z), tf.imag(z)), tf.square(tf.real(z))];
  }),
  op('complex product', [any(3), any(3)], (a: Tensor, b: Tensor) => tf.mul(tf.complex(a, b), tf.complex(b, a))),
  op('complex sum and difference', [any(3), any(3)], (a: Tensor, b: Tensor) => {
    const z = tf.complex(a, b);
    return tf.mul(tf.add(z, tf.complex(b, b)), tf.sub(z, tf.complex(a, a)));
  }),
  op('complex absolute value', [any(3), any(3)], (a: Tensor, b: Tensor) => tf.square(tf.abs(tf.complex(a, b)))),
  op('spectral.fft', [any(2, 4), any(2, 4)], (a: Tensor, b: Tensor) => {
    const y = tf.spectral.fft(tf.complex(a, b));
    return tf.mul(y, y);
  }),
  op('spectral.ifft', [any(3), any(3)], (a: Tensor, b: Tensor) => {
    const y = tf.spectral.ifft(tf.complex(a, b));
    return tf.mul(y, y);
  }),
  op('spectral.rfft', [any(2, 4)], (x: Tensor) => tf.square(tf.abs(tf.spectral.rfft(x)))),
  op('spectral.irfft', [any(3), any(3)], (a: Tensor, b: Tensor) => tf.square(tf.spectral.irfft(tf.complex(a, b)))),
  op('signal.frame', [any(8)], (x: Tensor) => tf.square(tf.abs(tf.spectral.rfft(tf.signal.frame(x as T1, 4, 2))))),
];

const LOSSES: OpCase[] = [
  op('losses.meanSquaredError', [any(3, 2), any(3, 2)], (a: Tensor, b: Tensor) => tf.losses.meanSquaredError(a, b)),
  op('losses.absoluteDifference', [any(3, 2), any(3, 2)], (a: Tensor, b: Tensor) => tf.square(tf.losses.absoluteDifference(a, b))),
  op('losses.huberLoss', [any(3, 2), any(3, 2)], (a: Tensor, b: Tensor) => tf.square(tf.losses.huberLoss(a, b))),
  op('losses.hingeLoss', [unit(3, 2)], (x: Tensor) => tf.square(tf.losses.hingeLoss(tf.tensor2d([[1, 0], [0, 1], [1, 1]]), x))),
  op('losses.logLoss', [within(0.1, 0.9, 3, 2)], (x: Tensor) => tf.losses.logLoss(tf.tensor2d([[1, 0], [0, 1], [1, 1]]), x)),
  op('losses.cosineDistance', [any(3, 2), any(3, 2)], (a: Tensor, b: Tensor) => tf.losses.cosineDistance(a, b, 1)),
  op('losses.sigmoidCrossEntropy', [any(3, 2)], (x: Tensor) =>
    tf.losses.sigmoidCrossEntropy(tf.tensor2d([[1, 0], [0, 1], [1, 1]]), x)),
  op('losses.softmaxCrossEntropy', [any(2, 3)], (x: Tensor) =>
    tf.losses.softmaxCrossEntropy(tf.tensor2d([[0, 1, 0], [1, 0, 0]]), x)),
  op('losses.computeWeightedLoss', [any(4), positive(4)], (x: Tensor, w: Tensor) => tf.losses.computeWeightedLoss(tf.square(x), w)),
]; // prettier-ignore

const NETWORKS: OpCase[] = [
  op('dense tanh network', [any(3, 2), any(2, 4), any(4), any(4, 1)], (x: Tensor, w: Tensor, b: Tensor, v: Tensor) =>
    tf.square(tf.matMul(tf.tanh(tf.add(tf.matMul(x, w), b)), v))),
  op('attention', [any(2, 3), any(2, 3), any(2, 2)], (q: Tensor, k: Tensor, v: Tensor) =>
    tf.matMul(tf.softmax(tf.matMul(q, k, false, true)), v)),
  op('basicLSTMCell', [any(1, 2), any(1, 3), any(1, 3), any(5, 12), any(12)], (x: Tensor, c: Tensor, h: Tensor, w: Tensor, b: Tensor) =>
    tf.basicLSTMCell(tf.scalar(1), w as T2, b as T1, x as T2, c as T2, h as T2)),
  op('layer norm', [any(2, 4), any(4)], (x: Tensor, g: Tensor) => {
    const { mean, variance } = tf.moments(x, -1, true);
    return tf.mul(g, tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 0.01))));
  }),
]; // prettier-ignore

export const CASES: readonly OpCase[] = [
  ...ELEMENTWISE,
  ...REDUCTIONS,
  ...LINEAR_ALGEBRA,
  ...CONVOLUTIONS,
  ...POOLS,
  ...NORMALISATIONS,
  ...INDEXING,
  ...ARRANGEMENTS,
  ...IMAGES,
  ...SPECTRAL,
  ...LOSSES,
  ...NETWORKS,
];

/** Kernels of the cpu backend that no case reaches, each with its reason. */
export const NOT_TRACED: Readonly<Record<string, string>> = {
  Dilation2DBackpropFilter: 'the rule of dilation2d is written in operations that can be differentiated again',
  Dilation2DBackpropInput: 'the rule of dilation2d is written in operations that can be differentiated again',
  Einsum: 'is recorded as a matrix product',
  Erf: 'tfjs approximates it to 1.5e-7 only: its derivatives are compared with the closed form below',
  Draw: 'needs a canvas',
  StaticRegexReplace: 'strings',
  StringNGrams: 'strings',
  StringSplit: 'strings',
  StringToHashBucketFast: 'strings',
  NonMaxSuppressionV3: 'the number of results depends on values',
  NonMaxSuppressionV4: 'the number of results depends on values',
  NonMaxSuppressionV5: 'the number of results depends on values',
  RaggedGather: 'the size of the result depends on values',
  RaggedRange: 'the size of the result depends on values',
  RaggedTensorToTensor: 'the size of the result depends on values',
  SparseFillEmptyRows: 'the size of the result depends on values',
  SparseReshape: 'the rank of the result depends on values',
  SparseSegmentMean: 'the number of segments depends on values',
  SparseSegmentSum: 'the number of segments depends on values',
  Unique: 'the number of results depends on values',
};
