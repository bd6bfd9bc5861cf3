/**
 * Which function computes a node on which backend.
 */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { findHostKernel } from '../core/host-kernel.js';
import { scopeNote } from '../core/scope.js';
import { engineInternals } from './engine.js';
import { share, type Buffer } from './executor.js';
import { arrangeInputs, PRIMITIVE, type Node } from './graph.js';
import type { PrimitiveAttrs, RunContext } from './primitive.js';

export class ExecutionError extends Error {
  override readonly name = 'ExecutionError';
}

export type Kernel = (node: Node, inputs: readonly Buffer[], context: RunContext) => Buffer | Buffer[];

/** Kernels that a backend has and computes wrongly; the cpu backend's are used. */
const MISTAKEN: Readonly<Record<string, ReadonlySet<string> | undefined>> = {
  // The pooling ones take 0 for the maximum of a window of negative numbers.
  wasm: new Set(['Conv3DBackpropInputV2', 'MaxPool3D', 'MaxPoolGrad', 'MaxPool3DGrad']),
};

/** Kernels that write their result into their first input. */
const OVERWRITING: ReadonlySet<string> = new Set(['TensorScatterUpdate']);

const kernelOf = (name: string, backendName: string): tf.KernelConfig | undefined => tf.getKernel(name, backendName);

const isComplex = ({ dtype }: { dtype: tf.DataType }): boolean => dtype === 'complex64';

/** Can the backend hold the node's values? One without a kernel to make complex numbers has no other for them either. */
const holds = (node: Node, backendName: string): boolean =>
  kernelOf('Complex', backendName) !== undefined || ![...node.inputs, ...node.outputs].some(isComplex);

export function findKernel(node: Node, backendName: string): Kernel {
  const { kernel: name, attrs, scope } = node;
  if (name === PRIMITIVE) {
    const { primitive } = attrs as unknown as PrimitiveAttrs;
    return (_, inputs, context) => primitive.run(inputs, context);
  }
  const config = kernelOf(name, backendName);
  if (config !== undefined && MISTAKEN[backendName]?.has(name) !== true && holds(node, backendName)) {
    return OVERWRITING.has(name) ? onCopy(native(config)) : native(config);
  }
  const host = findHostKernel(name);
  if (host !== undefined) return (_, inputs, { backend }) => host.run({ inputs, attrs, backend });
  const onCpu = kernelOf(name, 'cpu');
  const cpu = tf.engine().findBackend('cpu') as tf.KernelBackend | null;
  if (onCpu === undefined || cpu === null) {
    throw new ExecutionError(`backend "${backendName}" has no kernel for op "${name}"${scopeNote(scope)}, nor has cpu`);
  }
  return throughCpu(native(onCpu), cpu);
}

const native =
  ({ kernelFunc }: tf.KernelConfig): Kernel =>
  (node, inputs, { backend }) => {
    const result = kernelFunc({
      inputs: arrangeInputs(node, inputs) as tf.NamedTensorInfoMap,
      attrs: node.attrs as tf.NamedAttrMap,
      backend,
    });
    return Array.isArray(result) ? result.map((y) => untracked(backend, y)) : untracked(backend, result);
  };

/** A few kernels of the cpu backend (Abs) return a Tensor that the engine already counts: take its buffer alone. */
function untracked(backend: tf.KernelBackend, result: Buffer): Buffer {
  if (!('rank' in result)) return result;
  const buffer = share(backend, result);
  (result as tf.Tensor).dispose();
  engineInternals().removeDataId(buffer.dataId, backend);
  return buffer;
}

/** Hand the kernel another buffer than the one it would spoil. */
const onCopy =
  (kernel: Kernel): Kernel =>
  (node, [x, ...others], context) => {
    const { backend } = context;
    const values = (backend.readSync(x.dataId) as Float32Array).slice();
    const copy = { dataId: backend.write(values, x.shape, x.dtype), shape: x.shape, dtype: x.dtype };
    try {
      return kernel(node, [copy, ...others], context);
    } finally {
      backend.disposeData(copy.dataId);
    }
  };

/** The cpu backend keeps a complex tensor as two real ones; others get it as reals with its parts side by side. */
function toCpu(from: tf.KernelBackend, cpu: tf.KernelBackend, x: Buffer): Buffer {
  const { dataId, shape, dtype } = x;
  const values = from.readSync(dataId);
  if (!isComplex(x)) return { dataId: cpu.write(values, shape, dtype), shape, dtype };
  const { real, imag } = tf.backend_util.splitRealAndImagArrays(values as Float32Array);
  const parts = [real, imag].map((part): Buffer => ({ dataId: cpu.write(part, shape, 'float32'), shape, dtype: 'float32' })); // prettier-ignore
  const inputs = { real: parts[0], imag: parts[1] };
  const complex = kernelOf('Complex', 'cpu')?.kernelFunc({ inputs, attrs: {}, backend: cpu });
  for (const part of parts) cpu.disposeData(part.dataId);
  return complex as Buffer;
}

function fromCpu(cpu: tf.KernelBackend, to: tf.KernelBackend, y: Buffer): Buffer {
  const { dataId, shape, dtype } = y;
  const values = cpu.readSync(dataId);
  if (!isComplex(y)) return { dataId: to.write(values, shape, dtype), shape, dtype };
  return { dataId: to.write(values, [...shape, 2], 'float32'), shape, dtype };
}

/** Run a kernel that the active backend lacks on the cpu backend: its inputs are read, its outputs uploaded again. */
const throughCpu =
  (kernel: Kernel, cpu: tf.KernelBackend): Kernel =>
  (node, inputs, context) => {
    const held = inputs.map((x) => toCpu(context.backend, cpu, x));
    try {
      const result = kernel(node, held, { ...context, backend: cpu, backendName: 'cpu' });
      const outputs = Array.isArray(result) ? result : [result];
      held.push(...outputs);
      return outputs.map((y) => fromCpu(cpu, context.backend, y));
    } finally {
      for (const { dataId } of held) cpu.disposeData(dataId);
    }
  };
