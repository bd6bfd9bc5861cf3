/**
 * Compiled programs by what they compute: a graph equal to one that was compiled before runs the same code.
 *
 * A function that is traced anew at each call (a solve outside `compile`, a gradient, a closure made in a loop) gives an
 * equal graph each time. Its program is kept when the last that used it lets it go, as long as there is room for it.
 */
import type { Graph } from '../graph/graph.js';
import { formOf, structureOf } from '../graph/structure.js';
import type { NullclineBackend } from './backend.js';
import { CompiledGraph, free } from './program.js';
import { RawProgram } from './raw.js';

/** Programs that nobody uses are kept while they take no more bytes than these, all together and each alone. */
const KEPT = { bytes: 2 ** 25, each: 2 ** 23 } as const;

/** Bytes outside the heap (plan, code, graph) for each character of a graph's text, roughly. */
const BYTES_PER_CHARACTER = 32;

/** The code of one graph, and of all that are equal to it. */
export class SharedProgram {
  users = 0;
  /** One, and another for each run that begins within a run: each has one arena. */
  readonly idle: CompiledGraph[] = [];
  private readonly compiled: CompiledGraph[] = [];
  private onAddresses: RawProgram | undefined;

  constructor(
    private readonly graph: Graph,
    private readonly backend: NullclineBackend,
    private readonly backendName: string,
    /** Null: no other graph finds this one. */
    readonly key: string | null,
    /** Which inputs are given up. */
    private readonly donated?: readonly boolean[],
  ) {}

  /** One that is idle and linked to the present memory, or another. It is given back to `idle`. */
  take(): CompiledGraph {
    for (let compiled = this.idle.pop(); compiled !== undefined; compiled = this.idle.pop()) {
      if (!compiled.isStale) return compiled;
      this.compiled.splice(this.compiled.indexOf(compiled), 1);
      free(compiled.held);
    }
    return this.compile();
  }

  compile(): CompiledGraph {
    const compiled = new CompiledGraph(this.graph, this.backend, this.backendName, true, this.donated);
    this.compiled.push(compiled);
    return compiled;
  }

  /** The same for callers that have addresses. */
  get raw(): RawProgram {
    if (this.onAddresses?.disposed === true) {
      this.onAddresses.dispose();
      this.onAddresses = undefined;
    }
    return (this.onAddresses ??= new RawProgram(this.graph, this.backend, this.backendName));
  }

  /** On the heap, and about what it takes outside. */
  get bytes(): number {
    const outside = BYTES_PER_CHARACTER * (this.key?.length ?? 0);
    return this.compiled.reduce((n, { heldBytes }) => n + heldBytes, outside + (this.onAddresses?.heldBytes ?? 0));
  }

  free(): void {
    this.idle.length = 0;
    for (const { held } of this.compiled.splice(0)) free(held);
    this.onAddresses?.dispose();
    this.onAddresses = undefined;
  }
}

/** The programs of one backend. */
export class SharedPrograms {
  private readonly known = new Map<string, SharedProgram>();
  /** Those without users, the one used longest ago first. */
  private readonly unused = new Set<SharedProgram>();
  private unusedBytes = 0;
  /** How often a graph found its program, and how often there was none. */
  readonly stats = { hits: 0, misses: 0 };

  constructor(
    private readonly backend: NullclineBackend,
    private readonly backendName: string,
    private readonly kept: Readonly<Record<'bytes' | 'each', number>> = KEPT,
  ) {}

  /** The program for that graph (which of its inputs are `donated`), until it is {@link release}d as often. */
  acquire(graph: Graph, donated?: readonly boolean[]): SharedProgram {
    const structure = structureOf(graph);
    const key = structure === null ? null : `${donated?.map(Number).join('') ?? ''}${structure}`;
    const known = key === null ? undefined : this.known.get(key);
    if (known !== undefined) {
      this.stats.hits++;
      if (known.users++ === 0 && this.unused.delete(known)) this.unusedBytes -= known.bytes;
      return known;
    }
    this.stats.misses++;
    const made = new SharedProgram(formOf(graph), this.backend, this.backendName, key, donated);
    if (key !== null) this.known.set(key, made);
    made.users++;
    return made;
  }

  release(program: SharedProgram): void {
    if (--program.users > 0) return;
    this.unused.add(program);
    this.unusedBytes += program.bytes;
    if (program.key === null || program.bytes > this.kept.each) this.forget(program);
    for (const oldest of this.unused) {
      if (this.unusedBytes <= this.kept.bytes) break;
      this.forget(oldest);
    }
  }

  private forget(program: SharedProgram): void {
    this.unused.delete(program);
    this.unusedBytes -= program.bytes;
    if (program.key !== null) this.known.delete(program.key);
    program.free();
  }
}

const ofBackend = new WeakMap<NullclineBackend, SharedPrograms>();

export function sharedPrograms(backend: NullclineBackend, backendName: string): SharedPrograms {
  let programs = ofBackend.get(backend);
  if (programs === undefined) ofBackend.set(backend, (programs = new SharedPrograms(backend, backendName)));
  return programs;
}
