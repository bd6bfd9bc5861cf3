/**
 * The executor for any tfjs backend: kernel after kernel, each value freed at its last use.
 *
 * Kernels are called directly on buffers, without a `Tensor` around each intermediate: that halves the cost per operation
 * of `engine.runKernel`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { asStored } from '../core/floats.js';
import { BufferWorkspace } from './buffer-workspace.js';
import { share, type Buffer, type Executable, type Executor } from './executor.js';
import {
  CAPTURED,
  CONSTANT,
  INPUT,
  PRIMITIVE,
  type ConstantAttrs,
  type Graph,
  type Node,
  type Value,
} from './graph.js';
import { findKernel, type Kernel } from './kernels.js';
import type { Gradual, Primitive, PrimitiveAttrs, RunContext } from './primitive.js';

function primitiveOf({ kernel, attrs }: Node): Primitive | undefined {
  return kernel === PRIMITIVE ? (attrs as unknown as PrimitiveAttrs).primitive : undefined;
}

interface Step {
  readonly node: Node;
  readonly kernel: Kernel;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Slots whose last use this step is. */
  readonly frees: readonly number[];
}

export { share };

export const interpreter: Executor = {
  name: 'interpret',
  prepare: (graph, backend, backendName) => new Interpretation(graph, backend, backendName),
  workspace: (backend, backendName) => new BufferWorkspace(backend, backendName),
};

interface Held {
  readonly backend: tf.KernelBackend;
  readonly buffers: Buffer[];
}

const free = ({ backend, buffers }: Held): void => {
  for (const { dataId } of buffers.splice(0)) backend.disposeData(dataId);
};

/** Constants of programs that are forgotten without having been disposed of. */
const forgotten = new FinalizationRegistry<Held>(free);

class Interpretation implements Executable {
  private readonly steps: Step[] = [];
  private readonly constants: { slot: number; buffer: Buffer }[] = [];
  /** By buffer: a backend that cannot be read synchronously gets a copy all the same. */
  private readonly constantValues = new Map<object, ConstantAttrs['values']>();
  private readonly inputSlots: number[];
  private readonly capturedSlots: number[] = [];
  private readonly outputSlots: number[];
  /** Slots that the caller or this object owns: never freed within a run. */
  private readonly borrowed = new Set<number>();
  private readonly slotCount: number;
  private readonly held: Held;

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
    this.held = { backend, buffers: this.constants.map(({ buffer }) => buffer) };
    forgotten.register(this, this.held, this);
  }

  dispose(): void {
    forgotten.unregister(this);
    free(this.held);
  }

  /** Results that lie in a constant's buffer get one of their own, since the caller and we free ours separately. */
  private copyOf(buffer: Buffer, isShared: boolean): Buffer {
    const { dataId, shape, dtype } = buffer;
    const values = asStored(this.backend, this.constantValues.get(dataId) as Float32Array);
    const copy = { dataId: this.backend.write(values.slice(), shape, dtype), shape, dtype };
    if (!isShared) this.backend.disposeData(dataId);
    return copy;
  }

  private uploadConstant(node: Node): Buffer {
    const { values } = node.attrs as unknown as ConstantAttrs;
    const { shape, dtype } = node.outputs[0];
    const dataId = this.backend.write(asStored(this.backend, values), shape, dtype);
    this.constantValues.set(dataId, values);
    return { dataId, shape, dtype };
  }

  run(inputs: readonly Buffer[], captured: readonly Buffer[], context: RunContext): Buffer[] {
    // Without waiting it never yields.
    return this.execute(inputs, captured, context, false).next().value as Buffer[];
  }

  gradually(inputs: readonly Buffer[], captured: readonly Buffer[], context: RunContext): Gradual<Buffer[]> {
    return this.execute(inputs, captured, context, true);
  }

  private *execute(
    inputs: readonly Buffer[],
    captured: readonly Buffer[],
    context: RunContext,
    canWait: boolean,
  ): Gradual<Buffer[]> {
    const { backend, borrowed } = this;
    const slots = new Array<Buffer | undefined>(this.slotCount);
    this.inputSlots.forEach((slot, i) => (slots[slot] = inputs[i]));
    this.capturedSlots.forEach((slot, i) => (slots[slot] = captured[i]));
    for (const { slot, buffer } of this.constants) slots[slot] = buffer;
    try {
      for (const step of this.steps) {
        const operands = step.inputs.map((s) => slots[s] as Buffer);
        const waiting = canWait ? primitiveOf(step.node) : undefined;
        const result =
          waiting?.gradually === undefined
            ? step.kernel(step.node, operands, context)
            : yield* waiting.gradually(operands, context);
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
      const isShared = borrowed.has(s) || given.has(s);
      given.add(s);
      if (this.constantValues.has(buffer.dataId)) return this.copyOf(buffer, isShared);
      return isShared ? share(backend, buffer) : buffer;
    });
  }
}
