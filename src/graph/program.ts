/**
 * A traced and simplified function, ready to run on whichever backend is active.
 *
 * Run on tensors it behaves like any tfjs op: its results belong to the current `tf.tidy`, and tfjs's own tape takes it up
 * (`tape.ts`).
 */
import * as tf from '@tensorflow/tfjs-core';
import { donationOf } from './donation.js';
import { activeBackend, engineInternals, tapeIsOn, withBackend, type EngineInternals } from './engine.js';
import { share, type Buffer, type Executable, type Executor } from './executor.js';
import { CAPTURED, formatShape, PRIMITIVE, sameShape, type CapturedAttrs, type Graph } from './graph.js';
import { interpreter } from './interpret.js';
import { lonely, nested, type Gradual, type PrimitiveAttrs, type RunContext } from './primitive.js';
import { forRunning, simplify } from './simplify.js';
import { adjointGraph, runTaped } from './tape.js';
import type { Workspace } from './workspace.js';

const EXECUTORS = Symbol.for('nullcline.executors');

function executors(): Map<string, Executor> {
  const engine = tf.engine() as unknown as Record<symbol, Map<string, Executor> | undefined>;
  engine[EXECUTORS] ??= new Map<string, Executor>();
  return engine[EXECUTORS];
}

/** Use `executor` for programs that run while the tfjs backend of that name is active. The interpreter serves all others. */
export function registerExecutor(backendName: string, executor: Executor): void {
  executors().set(backendName, executor);
}

export type Precision = 'float32' | 'float64';

const PRECISIONS = Symbol.for('nullcline.precisions');

function precisions(): Map<Precision, string> {
  const engine = tf.engine() as unknown as Record<symbol, Map<Precision, string> | undefined>;
  engine[PRECISIONS] ??= new Map<Precision, string>();
  return engine[PRECISIONS];
}

/** Functions that ask for that precision run on the tfjs backend of that name. */
export function registerPrecision(precision: Precision, backendName: string): void {
  precisions().set(precision, backendName);
}

/** The backend that computes in that precision. */
export function backendOfPrecision(precision: Precision): string {
  const name = precisions().get(precision);
  if (name !== undefined) return name;
  throw new Error(
    `compile: precision '${precision}' is that of the compiled backend, which is not loaded; call await useBackend('nullcline') once`,
  );
}

/** Storage for a loop of programs on the backend of this run. */
export function openWorkspace({ backend, backendName }: RunContext): Workspace {
  return (executors().get(backendName) ?? interpreter).workspace(backend, backendName);
}

const NO_BUFFERS: Buffer[] = [];

interface Prepared {
  readonly executable: Executable;
  /** What runs share when no primitive takes part. */
  readonly context: RunContext;
}

export class Program {
  readonly graph: Graph;
  /** Tensors the function closed over, read afresh at each run. */
  readonly captured: readonly tf.Tensor[];
  /** Inputs that callers give up with each run; set before the first. */
  donated: readonly boolean[] | undefined;
  private readonly hasPrimitives: boolean;
  private readonly prepared = new Map<string, Prepared>();
  /** That of the last run, which the next most likely wants again. */
  private recent: Prepared | undefined;
  private adjoint: Program | undefined;
  /** Whoever held this program has let it go; what it holds from then on is freed after each run. */
  private disposed = false;
  /** Runs that wait for numbers, and whether what is held is to be freed after the last of them. */
  private waiting = 0;
  private isDue = false;

  /** @param isSimple - The graph is what `simplify` made, or a part of that. */
  constructor(graph: Graph, isSimple = false) {
    this.graph = isSimple ? graph : simplify(graph);
    this.hasPrimitives = this.graph.nodes.some(({ kernel }) => kernel === PRIMITIVE);
    this.captured = this.graph.nodes
      .filter((node) => node.kernel === CAPTURED)
      .map((node) => (node.attrs as unknown as CapturedAttrs).tensor);
  }

  /** As the active backend runs it, compiled or prepared at the first call. */
  executable(): Executable {
    return this.prepare().executable;
  }

  private prepare(): Prepared {
    const { backendName, backendInstance } = engineInternals();
    const { recent } = this;
    // Null while a backend is being made.
    if (recent !== undefined && recent.context.backend === backendInstance && recent.context.backendName === backendName) return recent; // prettier-ignore
    const { name, backend } = activeBackend();
    let prepared = this.prepared.get(name);
    if (prepared?.context.backend !== backend) {
      prepared?.executable.dispose(); // its backend was removed, and another came by that name
      const executable = (executors().get(name) ?? interpreter).prepare(
        forRunning(this.graph),
        backend,
        name,
        this.donated,
      );
      prepared = { executable, context: lonely(backend, name) };
      this.prepared.set(name, prepared);
    }
    this.recent = prepared;
    return prepared;
  }

  /** Run on buffers: no Tensor is made, nothing is tracked. The caller frees the outputs. */
  runBuffers(
    inputs: readonly Buffer[],
    captured: readonly Buffer[] = this.capturedBuffers(),
    context?: RunContext,
    donate = false,
  ): Buffer[] {
    const { executable, context: shared } = this.prepare();
    // Only what primitives leave behind needs freeing.
    if (context === undefined && this.hasPrimitives)
      return inContext((own) => executable.run(inputs, captured, own, donate));
    return executable.run(inputs, captured, context ?? shared, donate);
  }

  /** Free what is held between runs, as soon as none is waiting for a number; a later run uploads it again. */
  dispose(): void {
    this.disposed = true;
    this.isDue = this.waiting > 0;
    if (this.isDue) return;
    for (const { executable } of this.prepared.values()) executable.dispose();
    this.prepared.clear();
    this.recent = undefined;
    for (const { kernel, attrs } of this.graph.nodes) {
      if (kernel === PRIMITIVE) (attrs as unknown as PrimitiveAttrs).primitive.dispose?.();
    }
    this.adjoint?.dispose();
  }

  /** The captured tensors as buffers of the active backend. */
  capturedBuffers(): Buffer[] {
    if (this.captured.length === 0) return NO_BUFFERS;
    return this.captured.map((t) => bufferOf(t, aCapturedTensor));
  }

  /** Run on tensors. */
  run(inputs: readonly tf.Tensor[], nameOf: Naming = anArgument): tf.Tensor[] {
    this.checkInputs(inputs);
    return this.runMatched(inputs, nameOf);
  }

  /** The same where the caller knows that shapes and dtypes are right. */
  runMatched(inputs: readonly tf.Tensor[], nameOf: Naming = anArgument): tf.Tensor[] {
    if (tapeIsOn()) return this.onTape(inputs, nameOf);
    const engine = engineInternals();
    const { backend } = this.prepare().context;
    // Loops, since this is what every call of a small compiled function spends its time on.
    for (let i = 0; i < inputs.length; i++) bring(inputs[i], nameOf, i, engine, backend);
    const results = this.runBuffers(inputs, undefined, undefined, this.donated !== undefined);
    const tensors = new Array<tf.Tensor>(results.length);
    for (let i = 0; i < results.length; i++) tensors[i] = engine.makeTensorFromTensorInfo(results[i], backend);
    return tensors;
  }

  /**
   * Run on tensors, waiting where numbers cannot be read at once (WebGPU). The results belong to the caller; `tf.tidy` does not
   * reach across the wait, and tfjs's own tape records nothing.
   */
  async runLater(inputs: readonly tf.Tensor[], nameOf: Naming = anArgument): Promise<tf.Tensor[]> {
    this.checkInputs(inputs);
    const executable = this.executable();
    const { context, end } = openContext();
    const { backend } = context;
    // Nobody may free them meanwhile.
    const held = [...inputs.map((t, i) => bufferOf(t, nameOf, i)), ...this.capturedBuffers()];
    const own = held.map((buffer) => share(backend, buffer));
    const [given, captured] = [own.slice(0, inputs.length), own.slice(inputs.length)];
    this.waiting++;
    try {
      const results =
        executable.gradually === undefined
          ? executable.run(given, captured, context)
          : await finish(executable.gradually(given, captured, context), context.backendName);
      return results.map((buffer) => engineInternals().makeTensorFromTensorInfo(buffer, backend));
    } finally {
      end();
      for (const { dataId } of own) backend.disposeData(dataId);
      if (--this.waiting === 0 && this.isDue) this.dispose();
    }
  }

  private checkInputs(inputs: readonly tf.Tensor[]): void {
    this.graph.inputs.forEach((expected, i) => {
      const given = inputs[i] as tf.Tensor | undefined;
      if (given === undefined || !sameShape(given.shape, expected.shape) || given.dtype !== expected.dtype) {
        const got = given === undefined ? 'nothing' : `${given.dtype} ${formatShape(given.shape)}`;
        throw new TypeError(`input ${i}: expected ${expected.dtype} ${formatShape(expected.shape)}, got ${got}`);
      }
    });
  }

  private onTape(inputs: readonly tf.Tensor[], nameOf: Naming): tf.Tensor[] {
    return runTaped({
      graph: this.graph,
      inputs,
      captured: this.captured,
      compute: () => this.runBuffers(inputs.map((t, i) => bufferOf(t, nameOf, i))).map(tensorOf),
      pullBack: (operands) => this.pullBack(operands),
    });
  }

  /** (inputs, captured, cotangent of the outputs as one vector) -> cotangents of the floating inputs and captured. */
  private pullBack(operands: readonly tf.Tensor[]): tf.Tensor[] {
    this.adjoint ??= new Program(adjointGraph(this.graph));
    try {
      return this.adjoint.run(operands);
    } finally {
      // The tape of tfjs outlives a program that ran only once.
      if (this.disposed) this.adjoint.dispose();
    }
  }
}

/** What a message calls the tensor of that index: asked only when there is one. */
export type Naming = (index: number) => string;
const anArgument: Naming = () => 'an argument';
const aCapturedTensor: Naming = () => 'a captured tensor';

/** See that a tensor's buffer is on the backend; that of another backend is moved there, as tfjs does. */
function bring(
  tensor: tf.Tensor,
  nameOf: Naming,
  index: number,
  engine: EngineInternals,
  backend: tf.KernelBackend,
): void {
  if (tensor.isDisposed) {
    const what = `${nameOf(index)} ${formatShape(tensor.shape)}`;
    const donation = donationOf(tensor);
    if (donation !== undefined) throw new Error(`${what}: ${donation}`);
    throw new Error(`${what} has been disposed; keep it (tf.keep) as long as it is used`);
  }
  // Ids of the compiled backends say themselves where they are.
  if ((tensor.dataId as { readonly backend?: tf.KernelBackend }).backend === backend) return;
  const info = engine.state.tensorInfo.get(tensor.dataId);
  if (info !== undefined && info.backend !== backend) engine.moveData(backend, tensor.dataId);
}

/** A tensor's buffer on the active backend. */
function bufferOf(tensor: tf.Tensor, nameOf: Naming, index = 0): Buffer {
  bring(tensor, nameOf, index, engineInternals(), activeBackend().backend);
  return { dataId: tensor.dataId, shape: tensor.shape, dtype: tensor.dtype };
}

/** Hand a buffer over to tfjs, which then frees it. */
function tensorOf(buffer: Buffer): tf.Tensor {
  return engineInternals().makeTensorFromTensorInfo(buffer, activeBackend().backend);
}

/** A context for one run, and how to free what was left in it afterwards. */
function openContext(): { readonly context: RunContext; readonly end: () => void } {
  const { name, backend } = activeBackend();
  return nested({ backend, backendName: name, records: [] });
}

/** Give `f` a context for one run. */
export function inContext<T>(f: (context: RunContext) => T): T {
  const { context, end } = openContext();
  try {
    return f(context);
  } finally {
    end();
  }
}

/**
 * Drive a computation to its end, waiting for each number it asks for. It goes on with its own backend active: while it waited,
 * another may have been chosen.
 */
async function finish<T>(computation: Gradual<T>, backendName: string): Promise<T> {
  let turn = computation.next();
  while (turn.done !== true) {
    const { value: reading } = turn;
    let go: () => typeof turn;
    try {
      const values = await reading();
      go = () => computation.next(values);
    } catch (error) {
      go = () => computation.throw(error); // so that it frees what it holds
    }
    turn = withBackend(backendName, go);
  }
  return turn.value;
}
