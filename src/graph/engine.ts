/**
 * The parts of tfjs's engine that its types hide and a tracer needs, gathered in one place.
 *
 * tfjs is frozen at 4.22 (its last release is of October 2024), so these fields are as stable as its public ones.
 */
import * as tf from '@tensorflow/tfjs-core';

export type KernelInputs = Readonly<Record<string, tf.TensorInfo | undefined>> | readonly tf.TensorInfo[];
export type Attrs = Readonly<Record<string, unknown>>;

export interface CustomGradCall {
  readonly forwardFunc: (backend: tf.KernelBackend, save: (tensors: tf.Tensor[]) => void) => tf.Tensor | tf.Tensor[];
  readonly backwardsFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => Record<string, () => tf.Tensor>;
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
}

export interface GradientsResult {
  value: tf.Tensor;
  grads: (tf.Tensor | null)[];
}

export interface EngineInternals {
  backendName: string;
  backendInstance: tf.KernelBackend;
  state: {
    gradientDepth: number;
    kernelDepth: number;
    profiling: boolean;
    numTensors: number;
    numBytes: number;
    numDataBuffers: number;
    readonly activeScope: object | null;
    tensorInfo: WeakMap<object, { backend: tf.KernelBackend }>;
  };
  runKernel(name: string, inputs: KernelInputs, attrs?: Attrs): tf.Tensor | tf.Tensor[];
  runKernelFunc(call: CustomGradCall | { kernelName: string; inputs: KernelInputs; attrs?: Attrs }): unknown;
  gradients(f: () => tf.Tensor, xs: tf.Tensor[], dy?: tf.Tensor | null, allowNoGradients?: boolean): GradientsResult;
  makeTensorFromTensorInfo(info: tf.TensorInfo, backend?: tf.KernelBackend): tf.Tensor;
  makeTensor(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): tf.Tensor;
  nextTensorId(): number;
  read(dataId: object): Promise<tf.backend_util.BackendValues>;
  readSync(dataId: object): tf.backend_util.BackendValues;
  trackTensor(tensor: tf.Tensor, backend?: tf.KernelBackend): void;
  disposeTensor(tensor: tf.Tensor): void;
  moveData(backend: tf.KernelBackend, dataId: object): void;
  removeDataId(dataId: object, backend: tf.KernelBackend): void;
  startScope(name?: string): void;
  endScope(result?: unknown): void;
  track(tensor: tf.Tensor): tf.Tensor;
}

export function engineInternals(): EngineInternals {
  return tf.engine() as unknown as EngineInternals;
}

/** Is a `tf.grad` of tfjs recording right now? */
export function tapeIsOn(): boolean {
  const { state } = engineInternals();
  return state.gradientDepth > 0 && state.kernelDepth === 0;
}

/** Run `f` so that tfjs's own tape sees none of it. */
export function withoutTape<T>(f: () => T): T {
  const { state } = engineInternals();
  state.kernelDepth++;
  try {
    return f();
  } finally {
    state.kernelDepth--;
  }
}

/** The active backend, initialised if need be. */
export function activeBackend(): { name: string; backend: tf.KernelBackend } {
  const backend = tf.backend();
  return { name: engineInternals().backendName, backend };
}

/** Run `f`, which must not wait for anything, with another backend active. */
export function withBackend<T>(name: string, f: () => T): T {
  const engine = engineInternals();
  const other = tf.findBackend(name);
  const { backendName, backendInstance } = engine;
  engine.backendName = name;
  engine.backendInstance = other;
  try {
    return f();
  } finally {
    engine.backendName = backendName;
    engine.backendInstance = backendInstance;
  }
}
