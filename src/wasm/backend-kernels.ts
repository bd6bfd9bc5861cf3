/**
 * Kernels of the backend that run op by op: a few of its own, and tfjs's cpu kernels on views of its memory.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from './backend.js';
import { withDoubles } from './backend-doubles.js';
import { storageOf } from './backend-values.js';

type Kernel = (args: {
  readonly inputs: Readonly<Record<string, tf.TensorInfo>>;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly backend: NullclineBackend;
}) => tf.TensorInfo;

/** Another reference to the same buffer, perhaps of another shape. */
function shared(backend: NullclineBackend, { dataId, dtype }: tf.TensorInfo, shape: number[]): tf.TensorInfo {
  backend.incRef(dataId);
  return { dataId, shape, dtype };
}

/** The numbers of a buffer as an array of another dtype, as its storage has it. */
function converted(backend: NullclineBackend, x: tf.TensorInfo, dtype: tf.DataType): tf.TensorInfo {
  const values = backend.data.get(x.dataId).values as Float32Array;
  const cast = dtype === 'bool' ? Uint8Array.from(values, (v) => (v !== 0 ? 1 : 0)) : values;
  return backend.makeTensorInfo(x.shape, dtype, cast);
}

const cast: Kernel = ({ inputs: { x }, attrs, backend }) => {
  const dtype = attrs.dtype as tf.DataType;
  if (x.dtype === dtype) return shared(backend, x, x.shape);
  const numeric = storageOf(dtype, backend.precision) !== undefined;
  if (!numeric || x.dtype === 'string') {
    if (dtype !== 'complex64' || x.dtype === 'string') throw new Error(`Cast: ${x.dtype} cannot become ${dtype}`);
    const values = backend.data.get(x.dataId).values as Float32Array;
    const pairs = new Float64Array(2 * values.length);
    for (let i = 0; i < values.length; i++) pairs[2 * i] = values[i];
    return { dataId: backend.write(pairs as unknown as Float32Array, x.shape, dtype), shape: x.shape, dtype };
  }
  const parts = backend.data.get(x.dataId).complexTensorInfos;
  if (parts === undefined) return converted(backend, x, dtype);
  return dtype === 'float32'
    ? backend.makeTensorInfo(x.shape, dtype, backend.data.get(parts.real.dataId).values)
    : converted(backend, { ...parts.real, shape: x.shape }, dtype);
};

/** Kernels that the cpu backend has in a form that suits its untyped storage only. */
export const OWN_KERNELS: Readonly<Record<string, Kernel>> = {
  // The cpu backend shares one array between an integer tensor and its floating copy.
  Cast: cast,
  Identity: ({ inputs: { x }, backend }) => shared(backend, x, x.shape),
};

/** A kernel of our own as tfjs calls it. */
export const ownKernel =
  (kernel: Kernel): tf.KernelFunc =>
  ({ inputs, attrs, backend }) => {
    const own = backend as unknown as NullclineBackend;
    return own.host(() =>
      kernel({ inputs: inputs as Record<string, tf.TensorInfo>, attrs: attrs ?? {}, backend: own }),
    );
  };

/** A kernel of tfjs's cpu backend, on views of our memory and in our precision. */
export const cpuKernel =
  (kernel: tf.KernelFunc): tf.KernelFunc =>
  (args) => {
    const backend = args.backend as unknown as NullclineBackend;
    return backend.host(() => {
      const result = backend.precision === 64 ? withDoubles(() => kernel(args)) : kernel(args);
      return Array.isArray(result) ? result.map((y) => honest(backend, y)) : honest(backend, result);
    });
  };

/** Along an axis counted from the end tfjs's cumulative kernels give a result of undefined shape. */
const CUMULATIVE: ReadonlySet<string> = new Set(['Cumsum', 'Cumprod']);

/** A kernel of tfjs's cpu backend without its mistakes. */
export const corrected = (name: string, kernel: tf.KernelFunc): tf.KernelFunc =>
  CUMULATIVE.has(name)
    ? (args) => {
        const { shape } = (args.inputs as Readonly<Record<string, tf.TensorInfo>>).x;
        const [axis] = tf.util.parseAxisParam((args.attrs as { axis: number }).axis, shape);
        return kernel({ ...args, attrs: { ...args.attrs, axis } });
      }
    : kernel;

/** A result that a kernel labelled with another dtype than its buffer has gets a buffer of its own. */
function honest(backend: NullclineBackend, y: tf.TensorInfo): tf.TensorInfo {
  if (!backend.data.has(y.dataId) || backend.data.get(y.dataId).dtype === y.dtype) return y;
  const copy = converted(backend, y, y.dtype);
  backend.disposeData(y.dataId);
  return copy;
}
