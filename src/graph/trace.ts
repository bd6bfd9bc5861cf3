/**
 * Recording a function of tensors as a graph.
 *
 * While a trace is active, tfjs's engine hands every kernel call to it instead of to a backend, and the active backend is
 * a symbolic one: its tensors have shapes and no values. tfjs's own tape is off meanwhile; a `tf.grad` inside the traced
 * function is answered by differentiating the graph.
 */
import * as tf from '@tensorflow/tfjs-core';
import { currentScope, scopeNote } from '../core/scope.js';
import { donationOf } from './donation.js';
import {
  engineInternals,
  type Attrs,
  type CustomGradCall,
  type EngineInternals,
  type GradientsResult,
  type KernelInputs,
} from './engine.js';
import {
  CAPTURED,
  CONSTANT,
  constantAttrs,
  formatShape,
  INPUT,
  makeNode,
  PRIMITIVE,
  type Graph,
  type Node,
  type Spec,
  type Value,
} from './graph.js';
import { LOWERINGS, type RecordOne } from './lowering.js';
import type { Primitive, VjpCall } from './primitive.js';
import { inferShapes } from './shapes.js';

export class TraceError extends Error {
  override readonly name = 'TraceError';
}

const TRACE = Symbol.for('nullcline.trace');

/** Differentiation, handed in by differentiate.ts so that tracing does not depend on it. */
export type Differentiator = (
  trace: Trace,
  f: () => tf.Tensor,
  xs: tf.Tensor[],
  dy: tf.Tensor | null,
) => GradientsResult;
let differentiator: Differentiator | undefined;
export function useDifferentiator(d: Differentiator): void {
  differentiator = d;
}

/** The innermost active trace, or undefined when operations run at once. */
export function currentTrace(): Trace | undefined {
  const backend = engineInternals().backendInstance as unknown as Partial<Record<symbol, Trace>> | null;
  return backend?.[TRACE];
}

/** The data id of a tensor that stands for a value. */
class ValueId {
  constructor(
    readonly trace: Trace,
    readonly value: Value,
  ) {}
}

export class Trace {
  /** Tensors of this trace that `tf.keep` would have outlive it. */
  private readonly kept: tf.Tensor[] = [];
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  private readonly captures = new Map<tf.Tensor, Value>();
  private readonly backend = new SymbolicBackend(this);

  /** Add an input of the traced function. */
  input(spec: Spec): tf.Tensor {
    const node = this.add(INPUT, [], null, { position: this.inputs.length }, [spec]);
    this.inputs.push(node.outputs[0]);
    return this.tensorOf(node.outputs[0]);
  }

  /** Record one kernel call. */
  record(kernel: string, inputs: KernelInputs, attrs: Attrs = {}): Node {
    const isList = Array.isArray(inputs);
    const entries = Object.entries(inputs as Record<string, tf.Tensor | undefined>).filter(
      (entry): entry is [string, tf.Tensor] => entry[1] != null,
    );
    const names = entries.map(([name]) => name);
    const values = entries.map(([, tensor]) => this.valueOf(tensor));
    const specs = located(kernel, values, () => inferShapes(kernel, values, isList ? null : names, attrs));
    return this.add(kernel, values, isList ? null : names, { ...attrs }, specs);
  }

  /** Record a node again, on other values of the same shapes. */
  again(node: Node, values: readonly Value[]): Node {
    const copy = makeNode(node.kernel, values, node.inputNames, node.attrs, node.outputs, node.scope || currentScope());
    this.nodes.push(copy);
    return copy;
  }

  /** Record a primitive of our own. */
  primitive(primitive: Primitive, inputs: readonly tf.Tensor[]): tf.Tensor[] {
    const values = inputs.map((x) => this.valueOf(x));
    return this.add(PRIMITIVE, values, null, { primitive }, primitive.outputs).outputs.map((v) => this.tensorOf(v));
  }

  constant(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): Value {
    return this.add(CONSTANT, [], null, constantAttrs(values), [{ shape, dtype }]).outputs[0];
  }

  /** The value a tensor stands for here. One from outside this trace becomes a captured input. */
  valueOf(tensor: tf.Tensor): Value {
    const id: unknown = tensor.dataId;
    if (id instanceof ValueId && id.trace === this) return id.value;
    if (tensor.isDisposed) {
      const donation = donationOf(tensor);
      if (donation !== undefined)
        throw new TraceError(`a tensor ${formatShape(tensor.shape)} was used${scopeNote()}: ${donation}`);
      throw new TraceError(
        `a disposed tensor ${formatShape(tensor.shape)} was used${scopeNote()}; a value of another traced function, kept after that function ended, is one such tensor`,
      );
    }
    let captured = this.captures.get(tensor);
    if (captured === undefined) {
      const spec = { shape: tensor.shape, dtype: tensor.dtype };
      captured = this.add(CAPTURED, [], null, { tensor }, [spec]).outputs[0];
      this.captures.set(tensor, captured);
    }
    return captured;
  }

  /** A tfjs tensor that stands for the value while this trace is active. tfjs does not count it: thousands come and go with a trace. */
  tensorOf(value: Value): tf.Tensor {
    const engine = engineInternals();
    const dataId = new ValueId(this, value);
    const { shape, dtype } = value;
    const tensor = new tf.Tensor(shape, dtype, dataId, engine.nextTensorId());
    if (engine.state.activeScope !== null) engine.track(tensor);
    return tensor;
  }

  /** A data id of the symbolic backend for `value`. */
  dataId(value: Value): object {
    return new ValueId(this, value);
  }

  /** The value of a tensor is asked for. */
  unread(dataId: object): never {
    throw new TraceError(
      `a traced value was read or branched on: ${this.describe(dataId)} has no value while the function is traced. ` +
        'Compute with tf operations instead (tf.where for a choice), or keep the reading outside the traced function',
    );
  }

  private describe(dataId: object): string {
    if (!(dataId instanceof ValueId) || dataId.trace !== this) return 'a value of another trace';
    const { kernel, scope, attrs } = dataId.value.node;
    const what = kernel === INPUT ? 'an input of the traced function' : `the result of ${kernel}`;
    const where = scopeNote(scope);
    return `${what}${attrs.position === undefined ? '' : ` (number ${attrs.position as number})`}${where}`;
  }

  private add(
    kernel: string,
    inputs: readonly Value[],
    names: readonly string[] | null,
    attrs: Attrs,
    outputs: readonly Spec[],
  ): Node {
    const node = makeNode(kernel, inputs, names, attrs, outputs, currentScope());
    this.nodes.push(node);
    return node;
  }

  /** Make this the active trace while `f` runs; traces nest. */
  activate<T>(f: () => T): T {
    const engine = engineInternals();
    tf.backend(); // initialises the real backend, so that there is one to come back to
    const { backendName, backendInstance } = engine;
    const { gradientDepth } = engine.state;
    const own = engine as unknown as Record<string, unknown>;
    const previous = OVERRIDDEN.map((name) => (Object.hasOwn(own, name) ? own[name] : undefined));
    engine.backendName = 'nullcline-trace';
    engine.backendInstance = this.backend;
    engine.state.gradientDepth = 1; // makes tf.fused.* record plain kernels, whose derivatives are known
    engine.state.kernelDepth++; // and keeps tfjs's tape off
    Object.assign(own, this.overrides());
    engine.startScope('trace');
    try {
      return f();
    } finally {
      engine.endScope();
      OVERRIDDEN.forEach((name, i) => {
        if (previous[i] === undefined) Reflect.deleteProperty(own, name);
        else own[name] = previous[i];
      });
      engine.state.kernelDepth--;
      engine.state.gradientDepth = gradientDepth;
      engine.backendName = backendName;
      engine.backendInstance = backendInstance;
      // What was kept has no value: whoever uses it afterwards is told that it is gone.
      for (const tensor of this.kept.splice(0)) tensor.dispose();
    }
  }

  private overrides(): Record<(typeof OVERRIDDEN)[number], unknown> {
    const recorded = (name: string, inputs: KernelInputs, attrs: Attrs): tf.Tensor | tf.Tensor[] => {
      const outputs = this.record(name, inputs, attrs).outputs.map((v) => this.tensorOf(v));
      return MULTIPLE.has(name) || outputs.length !== 1 ? outputs : outputs[0];
    };
    const runKernel = (name: string, inputs: KernelInputs, attrs: Attrs = {}): tf.Tensor | tf.Tensor[] => {
      const lowering = LOWERINGS.get(name);
      if (lowering === undefined) return recorded(name, inputs, attrs);
      const given = inputs as Readonly<Record<string, tf.Tensor>>;
      const lowered = located(name, Object.values(given), () => lowering(given, attrs, recorded as RecordOne));
      return lowered ?? recorded(name, inputs, attrs);
    };
    const engine = engineInternals();
    const dispose = engine.disposeTensor.bind(engine);
    const [read, readSync] = [engine.read.bind(engine), engine.readSync.bind(engine)];
    const keep = tf.engine().keep.bind(tf.engine());
    return {
      read: async (dataId: object) => (dataId instanceof ValueId ? this.unread(dataId) : read(dataId)),
      readSync: (dataId: object) => (dataId instanceof ValueId ? this.unread(dataId) : readSync(dataId)),
      keep: (tensor: tf.Tensor) => {
        const id: unknown = tensor.dataId;
        if (id instanceof ValueId) id.trace.kept.push(tensor); // which may be a trace around this one
        return keep(tensor);
      },
      // tfjs changes a variable by disposing of what it holds first: too late to refuse afterwards.
      makeVariable: () => {
        throw impure('created');
      },
      disposeTensor: (tensor: tf.Tensor) => {
        if (tensor instanceof tf.Variable) throw impure('assigned or disposed of');
        dispose(tensor);
      },
      runKernel,
      runKernelFunc: (call: Parameters<EngineInternals['runKernelFunc']>[0]) =>
        'kernelName' in call ? runKernel(call.kernelName, call.inputs, call.attrs) : this.customGrad(call),
      gradients: (f: () => tf.Tensor, xs: tf.Tensor[], dy?: tf.Tensor | null) => {
        if (differentiator === undefined) throw new TraceError('differentiation is not loaded');
        return differentiator(this, f, xs, dy ?? null);
      },
    };
  }

  /** `tf.customGrad`: its forward operations are recorded, and its result carries the derivative its author wrote. */
  private customGrad({ forwardFunc, backwardsFunc, inputs }: CustomGradCall): tf.Tensor {
    const operands = Object.values(inputs);
    let saved: tf.Tensor[] = [];
    const result = forwardFunc(this.backend, (tensors) => {
      saved = tensors;
    });
    const value = Array.isArray(result) ? result[0] : result;
    const rule: Primitive = {
      name: 'customGrad',
      passesThrough: true,
      outputs: [{ shape: value.shape, dtype: value.dtype }],
      run: ([x], { backend }) => {
        backend.incRef(x.dataId);
        return [x];
      },
      vjp: ({ inputs: given, dys: [dy] }: VjpCall) => {
        const none = [null, ...saved.map(() => null)];
        if (dy === null) return [...none, ...operands.map(() => null)];
        const gradients = backwardsFunc(dy, given.slice(1, 1 + saved.length));
        return [...none, ...operands.map((_, i) => gradients[i]())];
      },
    };
    return this.primitive(rule, [value, ...saved, ...operands])[0];
  }
}

const impure = (what: string): TraceError =>
  new TraceError(
    `a tf.variable was ${what} inside a traced function${scopeNote()}: the function must be pure; return the new value instead`,
  );

/** Errors met while a kernel is recorded name it and the shapes it was given. */
function located<T>(kernel: string, operands: readonly Spec[], f: () => T): T {
  try {
    return f();
  } catch (error) {
    if (error instanceof TraceError) throw error;
    const shapes = operands.map(({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`).join(', ');
    const reason = error instanceof Error ? error.message : String(error);
    throw new TraceError(`${kernel}(${shapes})${scopeNote()}: ${reason}`, { cause: error });
  }
}

const OVERRIDDEN = [
  'runKernel',
  'runKernelFunc',
  'gradients',
  'makeVariable',
  'disposeTensor',
  'read',
  'readSync',
  'keep',
] as const;

/** Kernels whose op takes a list of outputs even when there is one. */
const MULTIPLE: ReadonlySet<string> = new Set(['SplitV', 'Unpack']);

/** Record the function `f` of inputs with the given shapes. Its result, any structure of tensors, is flattened by the caller. */
export function traceGraph(specs: readonly Spec[], f: (inputs: tf.Tensor[]) => readonly tf.Tensor[]): Graph {
  const trace = new Trace();
  const outputs = trace.activate(() => f(specs.map((s) => trace.input(s))).map((t) => trace.valueOf(t)));
  return { nodes: trace.nodes, inputs: trace.inputs, outputs };
}

/** The backend of tensors that have no values yet. */
class SymbolicBackend extends tf.KernelBackend {
  constructor(private readonly trace: Trace) {
    super();
    Object.defineProperty(this, TRACE, { value: trace });
  }

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    // A copy: the caller may fill his array with other numbers afterwards.
    return this.trace.dataId(this.trace.constant(values.slice(), shape, dtype));
  }

  override readSync(dataId: object): never {
    return this.trace.unread(dataId);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- turns the error of readSync into a rejection
  override async read(dataId: object): Promise<never> {
    return this.readSync(dataId);
  }

  override incRef(_dataId: object): void {
    throw impure('assigned');
  }

  override disposeData(): boolean {
    return true;
  }
  override refCount(): number {
    return 1;
  }
  override numDataIds(): number {
    return 0;
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
  override floatPrecision(): 16 | 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override dispose(): void {
    // Nothing is held.
  }
}
