/**
 * A compiled graph on addresses instead of buffers, for loops that call it thousands of times: a run without an operation
 * of the host is one call into WebAssembly that allocates nothing.
 */
import type { Graph } from '../graph/graph.js';
import { lonely, type RunContext } from '../graph/primitive.js';
import type { NullclineBackend } from './backend.js';
import { CompiledGraph, free, type Held } from './program.js';

/** Every output is written; none may overlap an input, for the order of reading and writing is not promised. */
export class RawProgram {
  private readonly compiled: CompiledGraph;
  /** The one function to call, where nothing is left to the host. */
  private readonly whole: (() => void) | undefined;
  /** Where the table of pointers begins, in words: inputs, captured tensors, outputs. */
  readonly table: number;

  constructor(
    graph: Graph,
    private readonly backend: NullclineBackend,
    private readonly backendName: string,
  ) {
    this.compiled = new CompiledGraph(graph, backend, backendName, false);
    const { stages, table } = this.compiled;
    this.table = table / 4;
    const [first] = stages;
    this.whole = stages.length === 0 ? () => undefined : stages.length === 1 && 'run' in first ? first.run : undefined;
  }

  get capturedCount(): number {
    return this.compiled.plan.capturedCount;
  }

  bindInput(index: number, pointer: number): void {
    this.bind(index, pointer);
  }

  bindCaptured(index: number, pointer: number): void {
    this.bind(this.compiled.plan.inputCount + index, pointer);
  }

  bindOutput(index: number, pointer: number): void {
    const { inputCount, capturedCount } = this.compiled.plan;
    this.bind(inputCount + capturedCount + index, pointer);
  }

  private bind(entry: number, pointer: number): void {
    this.backend.heap.i32[this.table + entry] = pointer;
  }

  /** Compute the outputs. Everything must be bound. The context serves operations of the host, if there are any. */
  run(context?: RunContext): void {
    if (this.whole !== undefined) this.whole();
    else this.compiled.runBound(context ?? lonely(this.backend, this.backendName));
  }

  get held(): Held {
    return this.compiled.held;
  }

  get heldBytes(): number {
    return this.compiled.heldBytes;
  }

  private gone = false;

  /** It must not run any more. */
  get disposed(): boolean {
    return this.gone || this.compiled.isStale;
  }

  dispose(): void {
    this.gone = true;
    free(this.held);
  }
}
