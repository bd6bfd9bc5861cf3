/**
 * A compiled graph: its module, its arena and its constants on the heap of one backend.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { asStored } from '../core/floats.js';
import type { Buffer, Executable } from '../graph/executor.js';
import {
  INPUT,
  makeNode,
  PRIMITIVE,
  sizeOf,
  type ConstantAttrs,
  type Graph,
  type Node,
  type Value,
} from '../graph/graph.js';
import { interpreter, share } from '../graph/interpret.js';
import type { Primitive, RunContext } from '../graph/primitive.js';
import { primitivesOf } from '../graph/structure.js';
import { layOut } from './arena.js';
import { assemble, type Addresses, type Stage } from './assemble.js';
import type { NullclineBackend } from './backend.js';
import { F32X4, F64X2 } from './emit/lanes.js';
import { readsOf } from './lives.js';
import { lower } from './lower.js';
import { HOST_FUNCTIONS } from './math/functions.js';
import { describeProgram, withProgram } from './memory-errors.js';
import { Planner } from './plan.js';
import type { CallStep, Plan } from './steps.js';
import { shareOut, type Donor } from './threads/share-out.js';
import type { TeamProgram } from './threads/team.js';
import { isContiguous, type BufferSlot, type View } from './views.js';

/** A stretch of generated code, or what the host runs between two of them. */
export type Runnable = { readonly run: () => void } | { readonly call: CallStep; readonly execute: Execute };

type Execute = (operands: Buffer[], run: Bindings) => Buffer[];

/** What a program holds on the heap; apart from it, so that it can be freed after the program is gone. */
export interface Held {
  readonly backend: NullclineBackend;
  readonly pointers: number[];
  readonly nodes: Executable[];
  /** What worker threads know of it. */
  readonly shared: TeamProgram[];
}

export function free({ backend, pointers, nodes, shared }: Held): void {
  for (const pointer of pointers.splice(0)) backend.heap.release(pointer);
  for (const node of nodes.splice(0)) node.dispose();
  for (const program of shared.splice(0)) program.dispose();
}

export class CompiledGraph {
  readonly held: Held;
  private readonly memory: WebAssembly.Memory;
  readonly moduleBytes: number;
  readonly arenaBytes: number;
  /** How many kernels several threads compute together. */
  readonly sharedKernels: number;
  readonly plan: Plan;
  readonly stages: readonly Runnable[];
  /** The table of pointers: inputs, captured tensors, outputs. */
  readonly table: number;
  private readonly fixed = new Map<BufferSlot, number>();
  private readonly describe: () => string;
  /** Bytes on the heap. */
  heldBytes = 0;
  private readonly primitives: readonly Primitive[];
  /** The primitives' attributes: they stay when a node is copied. */
  private readonly places: readonly Node['attrs'][];
  private readonly outputs: readonly { shape: number[]; dtype: tf.DataType; length: number; bytes: number }[];

  constructor(
    graph: Graph,
    private readonly backend: NullclineBackend,
    backendName: string,
    mayShare = true,
    donated?: readonly boolean[],
  ) {
    const { heap, precision, team } = backend;
    this.memory = heap.memory;
    this.describe = () => describeProgram(graph);
    this.primitives = primitivesOf(graph);
    this.places = graph.nodes.filter(({ kernel }) => kernel === PRIMITIVE).map(({ attrs }) => attrs);
    let needs = 0;
    const plan = new Planner(lower(graph), precision / 8, mayShare, donated).plan();
    this.plan = plan;
    this.held = { backend, pointers: [], nodes: [], shared: [] };
    this.outputs = graph.outputs.map(({ shape, dtype }) => ({ shape, dtype, length: sizeOf(shape), bytes: byteLength(shape, dtype, precision) })); // prettier-ignore
    try {
      this.table = this.allocate(4 * (plan.inputCount + plan.capturedCount + graph.outputs.length) + 4);
      const arena = layOut(plan.steps);
      this.arenaBytes = arena.bytes;
      needs = arena.bytes;
      const base = arena.bytes === 0 ? 0 : this.allocate(arena.bytes);
      for (const [buffer, offset] of arena.offsets) this.fixed.set(buffer, base + offset);
      const constants = plan.constants.map((v) => this.upload(v));
      const steps = team === undefined ? plan.steps : shareOut(plan.steps, team, precision / 8, donorIn(plan));
      const addresses: Addresses = {
        table: this.table,
        fixed: (buffer) => (buffer.home === 'constant' ? constants[buffer.index] : (this.fixed.get(buffer) ?? 0)),
      };
      const { bytes, stages, jobs } = assemble(steps, precision === 32 ? F32X4 : F64X2, addresses, heap.isShared);
      this.constants = constants;
      this.moduleBytes = bytes.length;
      this.sharedKernels = jobs.length;
      const module = new WebAssembly.Module(bytes);
      const shared = jobs.length === 0 ? undefined : team?.program(module, jobs);
      const parallel = shared?.parallel ?? (() => undefined);
      const instance = new WebAssembly.Instance(module, { host: { memory: heap.memory, ...HOST_FUNCTIONS, parallel } });
      if (shared !== undefined) {
        this.held.shared.push(shared);
        shared.link(instance.exports);
      }
      this.stages = stages.map((stage) => this.runnable(stage, instance.exports, backendName));
    } catch (error) {
      free(this.held);
      throw withProgram(error, this.describe(), `${needs} bytes for its intermediates, and its constants`);
    }
  }

  private readonly constants: readonly number[];

  /** Has the backend another memory by now? Then this must not run any more. */
  get isStale(): boolean {
    return this.memory !== this.backend.heap.memory;
  }

  private allocate(bytes: number): number {
    const pointer = this.backend.heap.allocate(bytes);
    this.held.pointers.push(pointer);
    this.heldBytes += bytes;
    return pointer;
  }

  private upload({ node, dtype, shape }: Value): number {
    const { heap, precision } = this.backend;
    const { values } = node.attrs as unknown as ConstantAttrs;
    const pointer = this.allocate(byteLength(shape, dtype, precision));
    const stored = asStored(this.backend, values) as ArrayLike<number>;
    if (dtype === 'int32') heap.i32.set(stored, pointer / 4);
    else if (dtype === 'bool') heap.u8.set(stored, pointer);
    else if (precision === 64) heap.f64.set(stored, pointer / 8);
    else heap.f32.set(stored, pointer / 4);
    return pointer;
  }

  private runnable(stage: Stage, exports: Readonly<Record<string, unknown>>, backendName: string): Runnable {
    if ('run' in stage) return { run: exports[stage.run] as () => void };
    const { node: given } = stage.call;
    if (given.kernel === PRIMITIVE) {
      const place = this.places.indexOf(given.attrs);
      return { call: stage.call, execute: (operands, run) => run.primitives[place].run(operands, run.context) };
    }
    const node = interpreter.prepare(alone(given), this.backend, backendName);
    this.held.nodes.push(node);
    return { call: stage.call, execute: (operands, run) => node.run(operands, [], run.context) };
  }

  /**
   * @param primitives - Those to run in the places of the graph's own, in their order.
   * @param donate - The inputs that the program was planned to take may be overwritten, where nobody else holds them.
   */
  run(
    inputs: readonly Buffer[],
    captured: readonly Buffer[],
    context: RunContext,
    primitives: readonly Primitive[] = this.primitives,
    donate = false,
  ): Buffer[] {
    const { backend, outputs, plan } = this;
    const { heap } = backend;
    const { inputCount, capturedCount, shared } = plan;
    const donors = donate ? this.donorsNow(inputs, captured) : undefined;
    const tables = inputCount + capturedCount;
    const pointers = new Array<number>(tables + outputs.length);
    for (let i = 0; i < inputCount; i++) pointers[i] = backend.pointerOf(inputs[i].dataId, inputs[i].dtype);
    for (let i = 0; i < capturedCount; i++)
      pointers[inputCount + i] = backend.pointerOf(captured[i].dataId, captured[i].dtype);
    let allocated = 0;
    try {
      for (; allocated < outputs.length; allocated++) {
        const donor = donors?.[allocated] ?? null;
        if (donor !== null) pointers[tables + allocated] = pointers[donor];
        else pointers[tables + allocated] = shared[allocated] === null ? heap.allocate(outputs[allocated].bytes) : 0;
      }
      const words = heap.i32;
      const at = this.table / 4;
      for (let i = 0; i < pointers.length; i++) words[at + i] = pointers[i];
      this.runStages({ inputs, captured, pointers, context, primitives });
    } catch (error) {
      for (let i = 0; i < allocated; i++) {
        if (shared[i] === null && (donors?.[i] ?? null) === null) heap.release(pointers[tables + i]);
      }
      const bytes = outputs.reduce((n, output) => n + output.bytes, 0);
      throw withProgram(error, this.describe(), `${bytes} bytes for its results besides ${this.arenaBytes}`);
    }
    donors?.forEach((donor) => {
      if (donor !== null) backend.surrender(inputs[donor].dataId);
    });
    const results = new Array<Buffer>(outputs.length);
    for (let i = 0; i < outputs.length; i++) {
      const { shape, dtype, length } = outputs[i];
      const given = shared[i];
      if (given === null) {
        results[i] = backend.adoptResult(pointers[tables + i], shape, length, dtype);
      } else {
        const buffer = given < inputCount ? inputs[given] : captured[given - inputCount];
        results[i] = { ...share(backend, buffer), shape, dtype };
      }
    }
    return results;
  }

  /** The donors of this run: those whose memory nobody else holds, neither another tensor nor another argument. */
  private donorsNow(inputs: readonly Buffer[], captured: readonly Buffer[]): readonly (number | null)[] | undefined {
    const { donors } = this.plan;
    if (donors.every((donor) => donor === null)) return undefined;
    const times = new Map<object, number>();
    for (const { dataId } of inputs) times.set(dataId, (times.get(dataId) ?? 0) + 1);
    for (const { dataId } of captured) times.set(dataId, (times.get(dataId) ?? 0) + 1);
    return donors.map((donor) => {
      if (donor === null) return null;
      const { dataId } = inputs[donor];
      return times.get(dataId) === 1 && this.backend.isAlone(dataId) ? donor : null;
    });
  }

  /** Run on what the table says already. */
  runBound(context: RunContext): void {
    const { inputCount, capturedCount } = this.plan;
    const at = this.table / 4;
    const pointers = Array.from(
      this.backend.heap.i32.subarray(at, at + inputCount + capturedCount + this.outputs.length),
      (pointer) => pointer >>> 0, // beyond 2 GiB an address is a negative integer
    );
    this.runStages({ inputs: [], captured: [], pointers, context, primitives: this.primitives });
  }

  private runStages(run: Bindings): void {
    for (const stage of this.stages) {
      if ('run' in stage) stage.run();
      else this.call(stage.call, stage.execute, run);
    }
  }

  private addressOf({ buffer, offset }: View, pointers: readonly number[]): number {
    const size = buffer.kind === 'float' ? this.backend.precision / 8 : buffer.kind === 'int' ? 4 : 1;
    const base =
      buffer.home === 'table'
        ? pointers[buffer.index]
        : buffer.home === 'constant'
          ? this.constants[buffer.index]
          : (this.fixed.get(buffer) ?? 0);
    return base + offset * size;
  }

  /** Run one node of the graph on buffers of its own. */
  private call({ node, inputs: views, outputs }: CallStep, execute: Execute, run: Bindings): void {
    const { backend } = this;
    const { heap, precision } = backend;
    const made: Buffer[] = [];
    try {
      const operands = node.inputs.map(({ shape, dtype }, i): Buffer => {
        const view = views[i];
        const given = view.buffer.home === 'table' ? bound(run, view.buffer.index) : undefined;
        if (given !== undefined && isWhole(view, given)) return { dataId: given.dataId, shape, dtype };
        const bytes = byteLength(shape, dtype, precision);
        const pointer = heap.allocate(bytes);
        const from = this.addressOf(view, run.pointers);
        heap.u8.copyWithin(pointer, from, from + bytes);
        const buffer = backend.adopt(pointer, shape, dtype);
        made.push(buffer);
        return buffer;
      });
      const results = execute(operands, run);
      made.push(...results);
      results.forEach(({ dataId }, i) => {
        const from = backend.pointerOf(dataId);
        const to = this.addressOf({ buffer: outputs[i], offset: 0, shape: [], strides: [] }, run.pointers);
        const { shape, dtype } = node.outputs[i];
        if (outputs[i].home === 'table' || this.fixed.has(outputs[i])) {
          heap.u8.copyWithin(to, from, from + byteLength(shape, dtype, precision));
        }
      });
    } finally {
      for (const { dataId } of made) backend.disposeData(dataId);
    }
  }
}

interface Bindings {
  readonly inputs: readonly Buffer[];
  readonly captured: readonly Buffer[];
  readonly pointers: readonly number[];
  readonly context: RunContext;
  readonly primitives: readonly Primitive[];
}

/** The argument in whose place a result may be written. */
function donorIn({ steps, donors, inputCount, capturedCount }: Plan): Donor {
  const inputs = new Map<number, BufferSlot>();
  for (const step of steps) {
    for (const { buffer } of readsOf(step)) if (buffer.home === 'table') inputs.set(buffer.index, buffer);
  }
  return ({ home, index }) => {
    const donor = home === 'table' ? donors[index - inputCount - capturedCount] : null;
    return donor == null ? undefined : inputs.get(donor);
  };
}

/** Is the view all of the buffer, in order? */
const isWhole = (view: View, buffer: Buffer): boolean =>
  view.offset === 0 && isContiguous(view) && sizeOf(view.shape) === sizeOf(buffer.shape);

/** The buffer behind an entry of the table, unless it is an output. */
function bound({ inputs, captured }: Bindings, index: number): Buffer | undefined {
  return inputs[index] ?? captured[index - inputs.length];
}

function byteLength(shape: readonly number[], dtype: tf.DataType, precision: number): number {
  const size = dtype === 'float32' ? precision / 8 : dtype === 'int32' ? 4 : 1;
  return shape.reduce((n, d) => n * d, size);
}

/** A graph of that node alone, whose inputs are the node's. */
function alone(node: Node): Graph {
  const sources = node.inputs.map((v, position) => makeNode(INPUT, [], null, { position }, [v], node.scope));
  const inputs = sources.map(({ outputs }) => outputs[0]);
  const copy = makeNode(node.kernel, inputs, node.inputNames, node.attrs, node.outputs, node.scope);
  return { nodes: [...sources, copy], inputs, outputs: copy.outputs };
}
