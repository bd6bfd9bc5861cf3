/**
 * Kernels that a backend lacks, lent by tfjs's cpu backend: the inputs are read, the outputs uploaded again. Slower than a
 * kernel of its own, and better than an error. Only for backends that can be read synchronously.
 */
import * as tf from '@tensorflow/tfjs-core';

/** A backend without complex numbers cannot hold what these give. */
const COMPLEX: ReadonlySet<string> = new Set(['Complex', 'ComplexAbs', 'FFT', 'IFFT', 'Imag', 'Real', 'RFFT', 'IRFFT']);

type Kernel = tf.KernelConfig['kernelFunc'];
type Call = Parameters<Kernel>[0];

const always = (): boolean => true;
const padsByHand = ({ attrs }: Call): boolean => typeof attrs?.pad !== 'string';
/** wasm's loops over indices end at rank six; the rearrangement of blocks adds their dimensions. */
const beyondSix = ({ inputs, attrs }: Call): boolean =>
  (inputs.x?.shape.length ?? 0) + ((attrs?.blockShape as number[] | undefined)?.length ?? 0) > 6;
const channelsFirst = ({ attrs }: Call): boolean =>
  attrs?.dataFormat === 'channelsFirst' || attrs?.dataFormat === 'NCHW';

const isOfFloats = ({ inputs: { a, b } }: Call): boolean => a?.dtype === 'float32' && b?.dtype === 'float32';
const isOfRankThree = ({ inputs: { a, b } }: Call): boolean => a?.shape.length === 3 && b?.shape.length === 3;

/** The product that XNNPACK makes; any other is a plain loop in blocks. */
const isForXnnpack = ({ inputs: { a, b }, attrs }: Call): boolean =>
  attrs?.transposeA !== true && attrs?.transposeB !== true && [a, b].every((x) => batchOf(x?.shape ?? []) === 1);
const batchOf = (shape: readonly number[]): number => shape.slice(0, -2).reduce((n, d) => n * d, 1);

const BLOCK = 48;
/** The loop adds the bias and applies the activation once for each block of the dimension it sums over. */
const repeatsItsEnd = (call: Call): boolean => {
  const { inputs, attrs } = call;
  const summed = inputs.a?.shape.at(attrs?.transposeA === true ? -2 : -1) ?? 0;
  return summed > BLOCK && !isForXnnpack(call) && (inputs.bias != null || (attrs?.activation ?? 'linear') !== 'linear');
};

const SHAPES = Symbol.for('nullcline.wasm.shapes');

/**
 * XNNPACK's packed weights are kept by the data of the second operand alone: the same data in another shape (a vector as a row and
 * as a column) meets those of the first, and the result is wrong or the backend aborts. Is this call such a one?
 */
const isReshaped = (call: Call): boolean => {
  const { b } = call.inputs;
  if (b == null || !isForXnnpack(call)) return false;
  const engine = tf.engine() as unknown as Record<symbol, WeakMap<object, string> | undefined>;
  const shapes = (engine[SHAPES] ??= new WeakMap<object, string>());
  const shape = b.shape.slice(-2).join();
  const first = shapes.get(b.dataId);
  if (first === undefined) shapes.set(b.dataId, shape);
  return first !== undefined && first !== shape;
};

/** Calls that a kernel of tfjs 4.22's wasm backend answers wrongly, refuses, or spoils the backend's memory with. */
const MISTAKEN: Readonly<Record<string, (call: Call) => boolean>> = {
  // Reads dimensions 1 and 2 of its operands, whatever their rank.
  _FusedMatMul: (call) => !isOfFloats(call) || !isOfRankThree(call) || repeatsItsEnd(call) || isReshaped(call),
  BatchMatMul: (call) => !isOfFloats(call) || isReshaped(call),
  AvgPool: padsByHand,
  // Start their maximum at 0.
  MaxPool: always,
  MaxPool3D: always,
  MaxPoolGrad: always,
  MaxPool3DGrad: always,
  Conv2D: channelsFirst,
  Conv2DBackpropInput: channelsFirst,
  Conv3D: always,
  Conv3DBackpropFilterV2: always,
  Conv3DBackpropInputV2: always,
  BatchToSpaceND: beyondSix,
  SpaceToBatchND: beyondSix,
  PadV2: beyondSix,
  Transpose: beyondSix,
  Transform: ({ attrs }) => attrs?.fillMode === 'reflect',
};

const LENT = Symbol.for('nullcline.lent');

/** Register every kernel of `cpu` that `backendName` lacks. Returns the names of those lent by this call. */
export function lendKernels(backendName: string): string[] {
  const lent: string[] = [];
  for (const { kernelName, kernelFunc } of tf.getKernelsForBackend('cpu')) {
    const own = tf.getKernel(kernelName, backendName) as tf.KernelConfig | undefined | null;
    if (own != null || COMPLEX.has(kernelName)) continue;
    tf.registerKernel({ kernelName, backendName, kernelFunc: throughCpu(kernelFunc) });
    lent.push(kernelName);
  }
  return lent;
}

/** Let `cpu` answer the calls that wasm's own kernels get wrong. */
export function correctWasmKernels(): void {
  for (const [kernelName, isMistaken] of Object.entries(MISTAKEN)) {
    const own = tf.getKernel(kernelName, 'wasm') as tf.KernelConfig | undefined | null;
    const cpu = tf.getKernel(kernelName, 'cpu') as tf.KernelConfig | undefined | null;
    if (own == null || cpu == null || LENT in own) continue;
    const [native, lent] = [own.kernelFunc, throughCpu(cpu.kernelFunc)];
    const kernelFunc: Kernel = (call) => (isMistaken(call) ? lent(call) : native(call));
    tf.unregisterKernel(kernelName, 'wasm');
    tf.registerKernel(Object.assign({ ...own, kernelFunc }, { [LENT]: true }));
  }
}

const throughCpu =
  (kernel: Kernel): Kernel =>
  ({ inputs, attrs, backend: given }) => {
    const backend = given as unknown as tf.KernelBackend;
    const cpu = tf.engine().findBackend('cpu');
    const held: tf.TensorInfo[] = [];
    const download = (x: tf.TensorInfo): tf.TensorInfo => {
      const copy = { dataId: cpu.write(backend.readSync(x.dataId), x.shape, x.dtype), shape: x.shape, dtype: x.dtype };
      held.push(copy);
      return copy;
    };
    const upload = (y: tf.TensorInfo): tf.TensorInfo => ({
      dataId: backend.write(cpu.readSync(y.dataId), y.shape, y.dtype),
      shape: y.shape,
      dtype: y.dtype,
    });
    try {
      const operands = Object.entries(inputs).map(([name, x]) => [name, isInfo(x) ? download(x) : x] as const);
      const named = Array.isArray(inputs) ? operands.map(([, x]) => x) : Object.fromEntries(operands);
      const result = kernel({ inputs: named as tf.NamedTensorInfoMap, backend: cpu, attrs: attrs ?? {} });
      const outputs = Array.isArray(result) ? result : [result];
      held.push(...outputs);
      const uploaded = outputs.map(upload);
      return Array.isArray(result) ? uploaded : uploaded[0];
    } finally {
      for (const { dataId } of held) cpu.disposeData(dataId);
    }
  };

const isInfo = (x: tf.TensorInfo | null | undefined): x is tf.TensorInfo => x !== undefined && x !== null;
