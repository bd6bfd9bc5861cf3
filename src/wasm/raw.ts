/**
 * A compiled graph on addresses instead of buffers, for loops that call it thousands of times: where its inputs lie and
 * its outputs go is said once, and a run is one call into WebAssembly that allocates nothing.
 */
import type { Graph } from '../graph/graph.js';
import type { NullclineBackend } from './backend.js';
import { CompiledGraph, free } from './program.js';

export class RawProgramError extends Error {
  override readonly name = 'RawProgramError';
}

/** Every output is written; none may overlap an input, for the order of reading and writing is not promised. */
export class RawProgram {
  private readonly compiled: CompiledGraph;
  private readonly execute: () => void;

  /** @throws RawProgramError when the graph holds an operation that the host must run; it is named. */
  constructor(
    graph: Graph,
    private readonly backend: NullclineBackend,
    backendName: string,
  ) {
    this.compiled = new CompiledGraph(graph, backend, backendName, false);
    const stretches: (() => void)[] = [];
    for (const stage of this.compiled.stages) {
      if ('run' in stage) {
        stretches.push(stage.run);
        continue;
      }
      free(this.compiled.held);
      throw new RawProgramError(`${stage.call.node.kernel} has no generated code: this program runs on buffers only`);
    }
    // Without a call of the host there is one stretch, or nothing to do.
    this.execute = stretches.at(0) ?? ((): void => undefined);
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
    this.backend.heap.i32[this.compiled.table / 4 + entry] = pointer;
  }

  /** Compute the outputs. Everything must be bound. */
  run(): void {
    this.execute();
  }

  dispose(): void {
    free(this.compiled.held);
  }
}
