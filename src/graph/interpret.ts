/**
 * The executor for any tfjs backend: kernel after kernel, each value freed at its last use.
 *
 * Kernels are called directly on buffers, without a `Tensor` around each intermediate: that halves the cost per operation
 * of `engine.runKernel`.
 */
import * as tf from '@tensorflow/tfjs';
import { asStored } from '../core/floats.js';
import { findHostKernel } from '../core/host-kernel.js';
import { scopeNote } from '../core/scope.js';
import { engineInternals } from './engine.js';
import type { Buffer, Executable, Executor } from './executor.js';
import {
  arrangeInputs,
  CAPTURED,
  CONSTANT,
  INPUT,
  PRIMITIVE,
  type ConstantAttrs,
  type Graph,
  type Node,
  type Value,
} from './graph.js';
import type { PrimitiveAttrs, RunContext } from './primitive.js';

export class ExecutionError extends Error {
  override readonly name = 'ExecutionError';
}

type Kernel = (node: Node, inputs: readonly Buffer[], context: RunContext) => Buffer | Buffer[];

interface Step {
  readonly node: Node;
  readonly kernel: Kernel;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Slots whose last use this step is. */
  readonly frees: readonly number[];
}

/** Another reference to the same buffer, to be freed on its own. */
export function share(backend: tf.KernelBackend, buffer: Buffer): Buffer {
  backend.incRef(buffer.dataId);
  return { dataId: buffer.dataId, shape: buffer.shape, dtype: buffer.dtype };
}

export const interpreter: Executor = {
  name: 'interpret',
  prepare: (graph, backend, backendName) => new Interpretation(graph, backend, backendName),
};

class Interpretation implements Executable {
  private readonly steps: Step[] = [];
  private readonly constants: { slot: number; buffer: Buffer }[] = [];
  private readonly inputSlots: number[];
  private readonly capturedSlots: number[] = [];
  private readonly outputSlots: number[];
  /** Slots that the caller or this object owns: never freed within a run. */
  private readonly borrowed = new Set<number>();
  private readonly slotCount: number;

  constructor(
    graph: Graph,
    private readonly backend: tf.KernelBackend,
    backendName: string,
  ) {
    const slots = new Map<Value, number>();
    const slotOf = (v: Value): number => {
      let slot = slots.get(v);
      if (slot === undefined) slots.set(v, (slot = slots.size));
      return slot;
    };
    this.inputSlots = graph.inputs.map(slotOf);
    const lastUse = new Map<number, Node>();
    for (const node of graph.nodes) for (const v of node.inputs) lastUse.set(slotOf(v), node);
    this.outputSlots = graph.outputs.map(slotOf);
    const kept = new Set(this.outputSlots);

    for (const node of graph.nodes) {
      const outputs = node.outputs.map(slotOf);
      if (node.kernel === INPUT || node.kernel === CAPTURED || node.kernel === CONSTANT) {
        this.borrowed.add(outputs[0]);
        if (node.kernel === CAPTURED) this.capturedSlots.push(outputs[0]);
        if (node.kernel === CONSTANT) this.constants.push({ slot: outputs[0], buffer: this.uploadConstant(node) });
      }
    }
    for (const slot of this.inputSlots) this.borrowed.add(slot);
    for (const node of graph.nodes) {
      if (node.kernel === INPUT || node.kernel === CAPTURED || node.kernel === CONSTANT) continue;
      const inputs = node.inputs.map(slotOf);
      const outputs = node.outputs.map(slotOf);
      const frees = [...new Set(inputs)].filter(
        (s) => lastUse.get(s) === node && !kept.has(s) && !this.borrowed.has(s),
      );
      // An output nobody uses is freed at once.
      frees.push(...outputs.filter((s) => !lastUse.has(s) && !kept.has(s)));
      this.steps.push({ node, kernel: findKernel(node, backendName), inputs, outputs, frees });
    }
    this.slotCount = slots.size;
  }

  private uploadConstant(node: Node): Buffer {
    const { values } = node.attrs as unknown as ConstantAttrs;
    const { shape, dtype } = node.outputs[0];
    return { dataId: this.backend.write(asStored(this.backend, values), shape, dtype), shape, dtype };
  }

  run(inputs: readonly Buffer[], captured: readonly Buffer[], context: RunContext): Buffer[] {
    const { backend, borrowed } = this;
    const slots = new Array<Buffer | undefined>(this.slotCount);
    this.inputSlots.forEach((slot, i) => (slots[slot] = inputs[i]));
    this.capturedSlots.forEach((slot, i) => (slots[slot] = captured[i]));
    for (const { slot, buffer } of this.constants) slots[slot] = buffer;
    try {
      for (const step of this.steps) {
        const operands = step.inputs.map((s) => slots[s] as Buffer);
        const result = step.kernel(step.node, operands, context);
        if (Array.isArray(result)) step.outputs.forEach((s, i) => (slots[s] = result[i]));
        else slots[step.outputs[0]] = result;
        for (const s of step.frees) {
          backend.disposeData((slots[s] as Buffer).dataId);
          slots[s] = undefined;
        }
      }
    } catch (error) {
      slots.forEach((buffer, s) => {
        if (buffer !== undefined && !borrowed.has(s)) backend.disposeData(buffer.dataId);
      });
      throw error;
    }
    const given = new Set<number>();
    return this.outputSlots.map((s) => {
      const buffer = slots[s] as Buffer;
      if (borrowed.has(s) || given.has(s)) return share(backend, buffer);
      given.add(s);
      return buffer;
    });
  }
}

function findKernel(node: Node, backendName: string): Kernel {
  const { kernel: name, attrs, scope } = node;
  if (name === PRIMITIVE) {
    const { primitive } = attrs as unknown as PrimitiveAttrs;
    return (_, inputs, context) => primitive.run(inputs, context);
  }
  const config = tf.getKernel(name, backendName) as tf.KernelConfig | undefined;
  if (config != null) return native(config);
  const host = findHostKernel(name);
  if (host !== undefined) return (_, inputs, { backend }) => host.run({ inputs, attrs, backend });
  const onCpu = tf.getKernel(name, 'cpu') as tf.KernelConfig | undefined;
  const cpu = tf.engine().findBackend('cpu') as tf.KernelBackend | null;
  if (onCpu == null || cpu == null) {
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

/** Run a kernel that the active backend lacks on the cpu backend: its inputs are read, its outputs uploaded again. */
const throughCpu =
  (kernel: Kernel, cpu: tf.KernelBackend): Kernel =>
  (node, inputs, context) => {
    const move = (from: tf.KernelBackend, to: tf.KernelBackend, { dataId, shape, dtype }: Buffer): Buffer => ({
      dataId: to.write(from.readSync(dataId), shape, dtype),
      shape,
      dtype,
    });
    const operands = inputs.map((x) => move(context.backend, cpu, x));
    const result = kernel(node, operands, { ...context, backend: cpu, backendName: 'cpu' });
    const outputs = Array.isArray(result) ? result : [result];
    const moved = outputs.map((y) => move(cpu, context.backend, y));
    for (const { dataId } of [...operands, ...outputs]) cpu.disposeData(dataId);
    return moved;
  };
