/**
 * Kernels of our own that run in JavaScript on the host, on any backend: the program reads the inputs, computes and
 * writes the outputs. Being ordinary tfjs kernels, they are traced, freed and replayed like every other operation.
 */
import * as tf from '@tensorflow/tfjs-core';

export interface HostKernelCall {
  readonly inputs: readonly tf.TensorInfo[];
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly backend: tf.KernelBackend;
}

export interface HostKernel {
  readonly name: string;
  /** Shapes and dtypes of the outputs, known before the values are. */
  readonly outputs: (
    inputs: readonly tf.TensorInfo[],
    attrs: Readonly<Record<string, unknown>>,
  ) => { shape: number[]; dtype: tf.DataType }[];
  readonly run: (call: HostKernelCall) => tf.TensorInfo[];
}

// Kernels live in tfjs's own registry, so that the ESM and the CommonJS build of this package share them.
const PROPERTY = Symbol.for('nullcline.hostKernels');

function table(): Map<string, HostKernel> {
  const engine = tf.engine() as unknown as Record<symbol, Map<string, HostKernel> | undefined>;
  engine[PROPERTY] ??= new Map<string, HostKernel>();
  return engine[PROPERTY];
}

export function findHostKernel(name: string): HostKernel | undefined {
  return table().get(name);
}

/** Upload host values as a buffer of the given backend. */
export function upload(
  backend: tf.KernelBackend,
  values: tf.backend_util.BackendValues,
  shape: number[],
  dtype: tf.DataType,
): tf.TensorInfo {
  return { dataId: backend.write(values, shape, dtype), shape, dtype };
}

/** Define a host kernel and return the function that runs it through tfjs (and so through a trace, if one is active). */
export function defineHostKernel(
  kernel: HostKernel,
): (inputs: readonly tf.Tensor[], attrs: Record<string, unknown>) => tf.Tensor[] {
  return (inputs, attrs) => {
    table().set(kernel.name, kernel);
    tf.backend(); // makes tfjs choose its backend, if it has not yet
    if ((tf.getKernel(kernel.name, tf.getBackend()) as unknown) == null) registerHostKernel(kernel, tf.getBackend());
    const named = Object.fromEntries(inputs.map((x, i) => [String(i), x]));
    const result: tf.Tensor | tf.Tensor[] = tf.engine().runKernel(kernel.name, named, attrs as tf.NamedAttrMap);
    return Array.isArray(result) ? result : [result];
  };
}

function registerHostKernel(kernel: HostKernel, backendName: string): void {
  tf.registerKernel({
    kernelName: kernel.name,
    backendName,
    kernelFunc: ({ inputs, attrs, backend }) =>
      kernel.run({
        inputs: Object.values(inputs).filter((x): x is tf.TensorInfo => x !== undefined),
        attrs: attrs ?? {},
        backend: backend as unknown as tf.KernelBackend,
      }),
  });
}
