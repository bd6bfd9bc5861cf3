/**
 * The executor of the compiled backend. Importing it compiles nothing; `prepare` compiles a graph.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Buffer, Executable, Executor } from '../graph/executor.js';
import type { Graph } from '../graph/graph.js';
import { interpreter } from '../graph/interpret.js';
import type { Primitive, RunContext } from '../graph/primitive.js';
import { primitivesOf } from '../graph/structure.js';
import type { Workspace } from '../graph/workspace.js';
import { NullclineBackend } from './backend.js';
import { describePlan } from './describe.js';
import { kindOf } from './elementwise.js';
import { RawProgram } from './raw.js';
import { RawWorkspace } from './raw-workspace.js';
import { sharedPrograms, type SharedProgram, type SharedPrograms } from './shared.js';

/** What an executable uses; apart from it, so that it can be let go after the executable is gone. */
interface Lease {
  readonly programs: SharedPrograms;
  shared: SharedProgram | undefined;
  /** On addresses with primitives of its own, whose runs may lie within each other: not shared. */
  own: RawProgram | undefined;
}

function end(lease: Lease): void {
  if (lease.shared !== undefined) lease.programs.release(lease.shared);
  lease.own?.dispose();
  lease.shared = lease.own = undefined;
}

/** Programs that are forgotten without having been disposed of. */
const forgotten = new FinalizationRegistry<Lease>(end);

export class WasmExecutable implements Executable {
  private readonly lease: Lease;
  private readonly primitives: readonly Primitive[];

  constructor(
    private readonly graph: Graph,
    private readonly backend: NullclineBackend,
    private readonly backendName: string,
    private readonly donated?: readonly boolean[],
  ) {
    this.primitives = primitivesOf(graph);
    this.lease = { programs: sharedPrograms(backend, backendName), shared: undefined, own: undefined };
    forgotten.register(this, this.lease);
  }

  private get shared(): SharedProgram {
    return (this.lease.shared ??= this.lease.programs.acquire(this.graph, this.donated));
  }

  /** The same graph for callers that have addresses. */
  get raw(): RawProgram {
    if (this.primitives.length === 0) return this.shared.raw;
    const { lease } = this;
    if (lease.own?.disposed === true) {
      lease.own.dispose();
      lease.own = undefined;
    }
    return (lease.own ??= new RawProgram(this.graph, this.backend, this.backendName));
  }

  describe(): string {
    const compiled = this.shared.take();
    this.shared.idle.push(compiled);
    const { plan, arenaBytes, moduleBytes, sharedKernels } = compiled;
    const { precision, threads } = this.backend;
    return describePlan(plan, { arenaBytes, moduleBytes, precision, threads, sharedKernels });
  }

  run(inputs: readonly Buffer[], captured: readonly Buffer[], context: RunContext, donate = false): Buffer[] {
    const { shared } = this;
    const compiled = shared.take();
    try {
      return compiled.run(inputs, captured, context, this.primitives, donate);
    } finally {
      shared.idle.push(compiled);
    }
  }

  dispose(): void {
    end(this.lease);
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
