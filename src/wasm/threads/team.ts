/**
 * Threads that compute the parts of large kernels together: the main thread, which begins each job and takes part in it, and
 * workers on the same memory. All of it is synchronous: a job has ended when `run` returns.
 *
 * Parts are taken one by one, so a worker that has not started yet or sleeps delays nobody: the others take the parts. Only who
 * computes one is waited for. What a part computes does not depend on who that is.
 */
import { builtin } from '../../core/host.js';
import { mod } from '../math/functions.js';
import { work, WORDS, type Failure, type ProgramMessage, type Setup } from './worker.js';

type WorkerThreads = typeof import('node:worker_threads');
type Worker = import('node:worker_threads').Worker;
type MessagePort = import('node:worker_threads').MessagePort;

/** How often a worker looks for a job before it sleeps: for about 50 µs. */
const WORKER_SPINS = 20_000;
/**
 * Waking a sleeping worker takes the main thread about 10 µs: it is done once so many times the work has been met asleep that makes
 * a job worth sharing. Small jobs that come rarely leave the workers asleep, and many that follow each other find them awake.
 */
const WAKE = 20;
/** How often the main thread looks whether the last parts are done before it sleeps. */
const MAIN_SPINS = 20_000;

export interface Job {
  readonly parts: number;
  /** Nanoseconds of one thread, roughly. */
  readonly cost: number;
}

interface Member {
  readonly worker: Worker;
  readonly port: MessagePort;
}

/** The jobs of one program. */
export interface TeamProgram {
  /** What generated code calls: compute all parts of a job. */
  readonly parallel: (job: number) => void;
  /** The main thread's own instance of the module. */
  link(exports: Readonly<Record<string, unknown>>): void;
  dispose(): void;
}

export class Team {
  private readonly members: Member[] = [];
  private readonly control: Int32Array;
  private readonly threads: WorkerThreads;
  private programs = 0;
  private broken: Error | undefined;
  /** Work since a worker was woken that was done while one slept. */
  private missed = 0;

  /**
   * @param memory - Shared; its first page is the team's.
   * @param size - How many threads, the main one included.
   * @param worth - Nanoseconds of one thread from which on a kernel is worth sharing out.
   */
  constructor(
    memory: WebAssembly.Memory,
    readonly size: number,
    readonly worth: number,
  ) {
    const threads = (this.threads = builtin('worker_threads') as WorkerThreads);
    this.control = new Int32Array(memory.buffer, 0, 128);
    this.control.fill(0);
    // esbuild, and with it tsx, wraps functions in a helper that keeps their names; there is none in the worker.
    const source = `const __name = (f) => f; (${work.toString()})(require('node:worker_threads'), ${mod.toString()})`;
    for (let i = 1; i < size; i++) {
      const { port1, port2 } = new threads.MessageChannel();
      const setup: Setup = { memory, port: port2, words: WORDS, spins: WORKER_SPINS };
      // Without the options of this process: its loaders and preloaded files would be loaded there too.
      const worker = new threads.Worker(source, { eval: true, workerData: setup, transferList: [port2], execArgv: [], name: `nullcline ${i}` }); // prettier-ignore
      worker.unref();
      port1.unref();
      worker.on('error', (error: Error) => {
        this.broken = error;
      });
      this.members.push({ worker, port: port1 });
    }
  }

  /** Make a program known to all whose module exports the jobs as `job0`, `job1`, ... */
  program(module: WebAssembly.Module, jobs: readonly Job[]): TeamProgram {
    const program = this.programs++;
    this.send({ program, module });
    const runs: ((part: number) => void)[] = [];
    return {
      parallel: (job) => {
        this.run(program, job, jobs[job], runs[job]);
      },
      link: (exports) => {
        jobs.forEach((_, job) => runs.push(exports[`job${job}`] as (part: number) => void));
      },
      dispose: () => {
        this.send({ program });
      },
    };
  }

  /** End the workers; jobs that begin afterwards are the main thread's alone. */
  end(): void {
    for (const { worker, port } of this.members.splice(0)) {
      void worker.terminate();
      port.close();
    }
  }

  private send(message: ProgramMessage): void {
    for (const { port } of this.members) port.postMessage(message);
    Atomics.add(this.control, WORDS.sent, 1);
  }

  private run(program: number, job: number, { parts, cost }: Job, run: (part: number) => void): void {
    if (this.broken !== undefined) {
      throw new Error(`a worker thread has ended: ${this.broken.message}`, { cause: this.broken });
    }
    if (this.members.length === 0) {
      // Workers that have been ended may still be about to end: there must be nothing for them to take.
      for (let part = 0; part < parts; part++) run(part);
      return;
    }
    const { control } = this;
    control[WORDS.program] = program;
    control[WORDS.job] = job;
    control[WORDS.parts] = parts;
    control[WORDS.next] = 0;
    Atomics.add(control, WORDS.signal, 1);
    if (Atomics.load(control, WORDS.sleeping) > 0 && (this.missed += cost) >= WAKE * this.worth) {
      this.missed = 0;
      Atomics.notify(control, WORDS.signal, parts - 1);
    }
    let part = 0;
    let failure: Failure | undefined;
    try {
      while ((part = Atomics.add(control, WORDS.next, 1)) < parts) run(part);
    } catch (error) {
      failure = { part, error };
    }
    // A worker that comes later sees that there is nothing to do; those that came before are waited for.
    Atomics.add(control, WORDS.signal, 1);
    this.wait();
    if (control[WORDS.failed] > 0) failure = this.firstFailure(failure);
    if (failure !== undefined) throw failure.error;
  }

  private wait(): void {
    const { control } = this;
    for (let looked = 0; looked < MAIN_SPINS; looked++) {
      if (Atomics.load(control, WORDS.active) === 0) return;
    }
    Atomics.store(control, WORDS.waiting, 1);
    for (;;) {
      const active = Atomics.load(control, WORDS.active);
      if (active === 0) break;
      Atomics.wait(control, WORDS.active, active);
    }
    Atomics.store(control, WORDS.waiting, 0);
  }

  /** The error of the first part, as one thread would have met it. */
  private firstFailure(own: Failure | undefined): Failure | undefined {
    this.control[WORDS.failed] = 0;
    let first = own;
    for (const { port } of this.members) {
      for (;;) {
        const received = this.threads.receiveMessageOnPort(port) as { message: Failure } | undefined;
        if (received === undefined) break;
        const { message } = received;
        if (first === undefined || message.part < first.part) first = message;
      }
    }
    return first;
  }
}
