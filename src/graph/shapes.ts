/**
 * What shape and dtype each kernel's outputs have. Rules are given for the common kernels; any other kernel's answer is
 * found by running tfjs's cpu kernel once on zeros, so that every op can be traced.
 */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { findHostKernel } from '../core/host-kernel.js';
import type { Attrs } from './engine.js';
import { sizeOf, type Spec } from './graph.js';
import { sliceOf, stridedSliceOf } from './strided-slice.js';

type Operand = Spec;
type Rule = (inputs: readonly Operand[], attrs: Attrs) => Spec[];

const same: Rule = ([x]) => [x];
const like =
  (dtype: tf.DataType): Rule =>
  ([x]) => [{ shape: x.shape, dtype }];

const broadcast = (a: readonly number[], b: readonly number[]): number[] =>
  tf.broadcast_util.assertAndGetBroadcastShape([...a], [...b]);
const binary: Rule = ([a, b]) => [{ shape: broadcast(a.shape, b.shape), dtype: a.dtype }];
const comparison: Rule = ([a, b]) => [{ shape: broadcast(a.shape, b.shape), dtype: 'bool' }];

const reduction =
  (dtype: (x: tf.DataType) => tf.DataType, axisName = 'axis'): Rule =>
  ([x], attrs) => {
    const axes = tf.util.parseAxisParam(attrs[axisName] as number | number[], [...x.shape]);
    const kept = x.shape.map((n, i) => (axes.includes(i) ? 1 : n));
    const shape = attrs.keepDims === true ? kept : x.shape.filter((_, i) => !axes.includes(i));
    return [{ shape, dtype: dtype(x.dtype) }];
  };
const boolToInt = (d: tf.DataType): tf.DataType => (d === 'bool' ? 'int32' : d);

const cumulative: Rule = ([x]) => [{ shape: x.shape, dtype: boolToInt(x.dtype) }];

const UNARY = (
  'Abs Acos Acosh Asin Asinh Atan Atanh Ceil ClipByValue Cos Cosh Elu Erf Exp Expm1 Floor Identity LeakyRelu ' +
  'Log Log1p Neg OnesLike Reciprocal Relu Relu6 Reverse Round Rsqrt Selu Sigmoid Sign Sin Sinh Softmax Softplus Sqrt Square ' +
  'Step Tan Tanh ZerosLike LRN LogicalNot EluGrad FusedBatchNorm'
).split(' ');
const BINARY = 'Add Sub Multiply RealDiv FloorDiv Maximum Minimum Mod Pow SquaredDifference Atan2 Prelu'.split(' ');
const COMPARISON = 'Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalXor'.split(' ');

interface Conv2DAttrs {
  strides: number | [number, number];
  pad: number | 'valid' | 'same' | tf.backend_util.ExplicitPadding;
  dilations: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  dataFormat: 'NHWC' | 'NCHW';
}

const conv2d =
  (depthwise: boolean): Rule =>
  ([x, filter], attrs) => {
    const a = attrs as unknown as Conv2DAttrs;
    const format = tf.backend_util.convertConv2DDataFormat(a.dataFormat);
    const info = tf.backend_util.computeConv2DInfo(
      x.shape as [number, number, number, number],
      filter.shape as [number, number, number, number],
      a.strides,
      a.dilations,
      a.pad,
      a.dimRoundingMode,
      depthwise,
      format,
    );
    return [{ shape: info.outShape, dtype: x.dtype }];
  };

const pool2d: Rule = ([x], attrs) => {
  const a = attrs as unknown as Conv2DAttrs & { filterSize: number | [number, number] };
  const shape = x.shape as [number, number, number, number];
  const info = tf.backend_util.computePool2DInfo(shape, a.filterSize, a.strides, 1, a.pad, a.dimRoundingMode);
  return [{ shape: info.outShape, dtype: x.dtype }];
};

const matMul: Rule = ([a, b], { transposeA, transposeB }) => {
  if (a.shape.length < 2 || b.shape.length < 2) throw new Error('both operands must have at least two axes');
  const matrix = ({ shape }: Operand, transposed: unknown): readonly number[] =>
    transposed === true ? shape.slice(-2).reverse() : shape.slice(-2);
  const [rows, inner] = matrix(a, transposeA);
  const [given, columns] = matrix(b, transposeB);
  if (inner !== given) throw new Error(`inner dimensions differ: ${inner} and ${given}`);
  return [{ shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), rows, columns], dtype: a.dtype }];
};

const concat: Rule = (xs, { axis }) => {
  const shapes = xs.map(({ shape }) => [...shape]);
  const along = tf.util.parseAxisParam(axis as number, shapes[0])[0];
  tf.backend_util.assertParamsConsistent(shapes, along);
  return [{ shape: tf.backend_util.computeOutShape(shapes, along), dtype: xs[0].dtype }];
};

const slice: Rule = ([x], attrs) => {
  const [, size] = sliceOf(x.shape, attrs);
  return [{ shape: size, dtype: x.dtype }];
};

const fromAttr =
  (name: string): Rule =>
  ([x], attrs) => [{ shape: attrs[name] as number[], dtype: x.dtype }];

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...UNARY.map((k): [string, Rule] => [k, same]),
  ...BINARY.map((k): [string, Rule] => [k, binary]),
  ...COMPARISON.map((k): [string, Rule] => [k, comparison]),
  ['IsNan', like('bool')],
  ['IsInf', like('bool')],
  ['IsFinite', like('bool')],
  ['Cast', ([x], { dtype }) => [{ shape: x.shape, dtype: dtype as tf.DataType }]],
  ['Sum', reduction(boolToInt)],
  ['Prod', reduction(boolToInt)],
  ['Cumsum', cumulative],
  ['Cumprod', cumulative],
  ['Mean', reduction(() => 'float32')],
  ['Max', reduction((d) => d, 'reductionIndices')],
  ['Min', reduction((d) => d)],
  ['All', reduction((d) => d)],
  ['Any', reduction((d) => d)],
  ['Fill', (_, a) => [{ shape: a.shape as number[], dtype: (a.dtype as tf.DataType | undefined) ?? tf.util.inferDtype(a.value as number) }]], // prettier-ignore
  ['Select', ([, x]) => [x]],
  ['Transpose', ([x], { perm }) => [{ shape: (perm as number[]).map((i) => x.shape[i]), dtype: x.dtype }]],
  ['Conv2D', conv2d(false)],
  ['DepthwiseConv2dNative', conv2d(true)],
  ['Conv2DBackpropFilter', fromAttr('filterShape')],
  ['Conv2DBackpropInput', fromAttr('inputShape')],
  ['DepthwiseConv2dNativeBackpropFilter', fromAttr('filterShape')],
  ['DepthwiseConv2dNativeBackpropInput', fromAttr('inputShape')],
  ['MaxPool', pool2d],
  ['AvgPool', pool2d],
  ['MaxPoolGrad', ([, x]) => [x]],
  ['AvgPoolGrad', ([, x]) => [x]],
  ['Pack', (xs, { axis }) => {
    const shape = [...xs[0].shape];
    const at = axis as number;
    shape.splice(at < 0 ? at + shape.length + 1 : at, 0, xs.length);
    return [{ shape, dtype: xs[0].dtype }];
  }], // prettier-ignore
  ['Concat', concat],
  ['Slice', slice],
  ['StridedSlice', ([x], attrs) => [{ shape: stridedSliceOf(x.shape, attrs).finalShape, dtype: x.dtype }]],
  ['PadV2', ([x], { paddings }) => [{ shape: (paddings as number[][]).map(([lo, hi], i) => lo + x.shape[i] + hi), dtype: x.dtype }]], // prettier-ignore
  ['Tile', ([x], { reps }) => [{ shape: (reps as number[]).map((r, i) => r * x.shape[i]), dtype: x.dtype }]],
  ['ExpandDims', ([x], { dim }) => {
    const shape = [...x.shape];
    const axis = dim as number;
    shape.splice(axis < 0 ? axis + shape.length + 1 : axis, 0, 1);
    return [{ shape, dtype: x.dtype }];
  }], // prettier-ignore
  ['Complex', like('complex64')],
  ['Real', like('float32')],
  ['Imag', like('float32')],
  ['ComplexAbs', like('float32')],
  ['FFT', same],
  ['IFFT', same],
  ['AddN', ([x]) => [x]],
  ['BatchMatMul', matMul],
  ['_FusedMatMul', matMul],
  ['Reshape', ([x], { shape }) => {
    const given = tf.util.inferFromImplicitShape(shape as number[], sizeOf(x.shape));
    if (sizeOf(given) !== sizeOf(x.shape)) {
      throw new Error(`new shape [${given.join(', ')}] has ${sizeOf(given)} elements, the tensor has ${sizeOf(x.shape)}`);
    }
    return [{ shape: given, dtype: x.dtype }];
  }], // prettier-ignore
]);

/** Kernels whose output shape depends on values: no graph of fixed shapes can hold them. */
const DYNAMIC: ReadonlySet<string> = new Set(
  (
    'Where Unique NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 SparseFillEmptyRows SparseReshape ' +
    'SparseSegmentMean SparseSegmentSum RaggedGather RaggedRange RaggedTensorToTensor StringSplit StringNGrams'
  ).split(' '),
);

export function inferShapes(
  kernel: string,
  inputs: readonly Operand[],
  names: readonly string[] | null,
  attrs: Attrs,
): Spec[] {
  const rule = RULES.get(kernel);
  if (rule !== undefined) return rule(inputs, attrs);
  const own = findHostKernel(kernel);
  if (own !== undefined) return own.outputs(inputs.map((x) => ({ ...x, shape: [...x.shape], dataId: {} })), attrs); // prettier-ignore
  if (DYNAMIC.has(kernel)) {
    throw new Error('the shape of its result depends on values, which a traced function does not have; run it outside');
  }
  return shapesByRunning(kernel, inputs, names, attrs);
}

function shapesByRunning(
  kernel: string,
  inputs: readonly Operand[],
  names: readonly string[] | null,
  attrs: Attrs,
): Spec[] {
  const config = tf.getKernel(kernel, 'cpu') as tf.KernelConfig | undefined;
  const backend = tf.engine().findBackend('cpu') as tf.KernelBackend | null;
  if (config == null || backend == null) {
    throw new Error(`no shape rule, and the cpu backend has no kernel of this name to ask`);
  }
  const zeros = inputs.map(({ shape, dtype }) => {
    const values = dtype === 'string' ? [] : tf.util.makeZerosTypedArray(sizeOf(shape), dtype as 'float32');
    return { dataId: backend.write(values, [...shape], dtype), shape: [...shape], dtype };
  });
  const arranged =
    names === null ? zeros : Object.fromEntries(names.map((name, i) => [name, zeros[i]] as [string, tf.TensorInfo]));
  const result = config.kernelFunc({
    inputs: arranged as tf.NamedTensorInfoMap,
    attrs: attrs as tf.NamedAttrMap,
    backend,
  });
  const outputs = Array.isArray(result) ? result : [result];
  const specs = outputs.map(({ shape, dtype }) => ({ shape: [...shape], dtype }));
  for (const { dataId } of [...zeros, ...outputs]) backend.disposeData(dataId);
  return specs;
}
