/**
 * The executor of the compiled backend. Importing it compiles nothing; `prepare` compiles a graph.
 */
import type * as tf from '@tensorflow/tfjs';
import type { Buffer, Executable, Executor } from '../graph/executor.js';
import type { Graph } from '../graph/graph.js';
import { interpreter } from '../graph/interpret.js';
import type { RunContext } from '../graph/primitive.js';
import type { Workspace } from '../graph/workspace.js';
import { NullclineBackend } from './backend.js';
import { describePlan } from './describe.js';
import { kindOf } from './elementwise.js';
import { CompiledGraph, free, type Held } from './program.js';
import { RawProgram } from './raw.js';
import { RawWorkspace } from './raw-workspace.js';

/** Memory of programs that are forgotten without having been disposed of. */
const forgotten = new FinalizationRegistry<Held[]>((held) => {
  held.forEach(free);
});

export class WasmExecutable implements Executable {
  /** One, and another for each run that begins within a run: a program has one arena. */
  private readonly idle: CompiledGraph[] = [];
  private readonly held: Held[] = [];
  private onAddresses: RawProgram | undefined;

  constructor(
    private readonly graph: Graph,
    private readonly backend: NullclineBackend,
    private readonly backendName: string,
    private readonly donated?: readonly boolean[],
  ) {
    forgotten.register(this, this.held, this);
  }

  private compile(): CompiledGraph {
    const compiled = new CompiledGraph(this.graph, this.backend, this.backendName, true, this.donated);
    this.held.push(compiled.held);
    return compiled;
  }

  /** The same graph for callers that have addresses. */
  get raw(): RawProgram {
    if (this.onAddresses === undefined) {
      this.onAddresses = new RawProgram(this.graph, this.backend, this.backendName);
      this.held.push(this.onAddresses.held);
    }
    return this.onAddresses;
  }

  describe(): string {
    const compiled = this.idle.at(-1) ?? this.compile();
    if (this.idle.length === 0) this.idle.push(compiled);
    const { plan, arenaBytes, moduleBytes } = compiled;
    return describePlan(plan, { arenaBytes, moduleBytes, precision: this.backend.precision });
  }

  run(inputs: readonly Buffer[], captured: readonly Buffer[], context: RunContext, donate = false): Buffer[] {
    const compiled = this.idle.pop() ?? this.compile();
    try {
      return compiled.run(inputs, captured, context, donate);
    } finally {
      this.idle.push(compiled);
    }
  }

  dispose(): void {
    forgotten.unregister(this);
    this.held.splice(0).forEach(free);
    this.idle.length = 0;
    if (this.onAddresses !== undefined) this.onAddresses.dispose();
    this.onAddresses = undefined;
  }
}

/** Compiles graphs for {@link NullclineBackend}; whatever generated code cannot hold (complex numbers, text) is interpreted. */
export const wasmExecutor: Executor = {
  name: 'wasm',
  prepare(graph: Graph, backend: tf.KernelBackend, backendName: string, donated?: readonly boolean[]): Executable {
    const values = graph.nodes.flatMap(({ outputs }) => outputs);
    if (!(backend instanceof NullclineBackend) || values.some(({ dtype }) => kindOf(dtype) === undefined)) {
      return interpreter.prepare(graph, backend, backendName);
    }
    return new WasmExecutable(graph, backend, backendName, donated);
  },
  workspace(backend: tf.KernelBackend, backendName: string): Workspace {
    if (!(backend instanceof NullclineBackend)) return interpreter.workspace(backend, backendName);
    return new RawWorkspace(backend, (executable) =>
      executable instanceof WasmExecutable ? executable.raw : undefined,
    );
  },
};
