/**
 * Threads that compute the parts of large kernels together: the main thread, which begins each job and takes part in it, and
 * workers on the same memory. All of it is synchronous: a job has ended when `run` returns.
 *
 * Parts are taken one by one, so a worker that has not started yet or sleeps delays nobody: the others take the parts. Only who
 * computes one is waited for. What a part computes does not depend on who that is.
 *
 * A worker that ends (out of memory, say) leaves the others to it: see {@link supervise}. What it had begun is computed again where
 * nothing that the kernel reads was overwritten by it, and is an error where it was. Later jobs go on without it.
 */
import { builtin } from '../../core/host.js';
import { mod } from '../math/functions.js';
import { supervise, type Ending, type EndMessage, type Supervision } from './supervisor.js';
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
/** Milliseconds that a worker may compute before the main thread asks whether anybody still watches it, ... */
const QUIET = 1000;
/** ... and that it waits for an answer, from a thread that has nothing else to do. */
const SILENCE = 60_000;

const MOST_PARTS = WORDS.end - WORDS.done;
const MOST_WORKERS = (WORDS.done - WORDS.workers) / WORDS.each;

export interface Job {
  readonly parts: number;
  /** Nanoseconds of one thread, roughly. */
  readonly cost: number;
  /** Does computing a part again give the same, even after it was left half done? Not where it writes over what it reads. */
  readonly isRepeatable: boolean;
}

interface Member {
  readonly index: number;
  readonly port: MessagePort;
  /** Its words in the shared memory. */
  readonly active: number;
  readonly sleeping: number;
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
  private readonly supervisor: Worker;
  private readonly endings: MessagePort;
  private programs = 0;
  /** Workers that are known to have ended. */
  private ended = 0;
  /** Work since a worker was woken that was done while one slept. */
  private missed = 0;

  /**
   * @param memory - Shared; its first page is the team's.
   * @param size - How many threads, the main one included.
   * @param worth - Nanoseconds of one thread from which on a kernel is worth sharing out.
   * @param warn - Told each time workers are found to have ended.
   * @param silence - Milliseconds to wait for a sign of life.
   */
  constructor(
    memory: WebAssembly.Memory,
    readonly size: number,
    readonly worth: number,
    private readonly warn = (message: string): void => {
      console.warn(message);
    },
    private readonly silence = SILENCE,
  ) {
    const threads = (this.threads = builtin('worker_threads') as WorkerThreads);
    this.control = new Int32Array(memory.buffer, 0, WORDS.end);
    this.control.fill(0);
    // esbuild, and with it tsx, wraps functions in a helper that keeps their names; there is none in a worker.
    const sourceOf = (call: string): string => `const __name = (f) => f; ${call}`;
    const source = sourceOf(`(${work.toString()})(require('node:worker_threads'), ${mod.toString()})`);
    const setups: Setup[] = [];
    for (let index = 0; index < Math.min(size - 1, MOST_WORKERS); index++) {
      const { port1, port2 } = new threads.MessageChannel();
      setups.push({ memory, port: port2, words: WORDS, spins: WORKER_SPINS, index });
      port1.unref();
      const first = WORDS.workers + WORDS.each * index;
      this.members.push({ index, port: port1, active: first + WORDS.active, sleeping: first + WORDS.sleeping });
    }
    const { port1: endings, port2 } = new threads.MessageChannel();
    this.endings = endings;
    endings.unref();
    const workerData: Supervision = { source, setups, words: WORDS, memory, port: port2 };
    const transferList = [port2, ...setups.map(({ port }) => port)];
    this.supervisor = new threads.Worker(sourceOf(`(${supervise.toString()})(require('node:worker_threads'))`), { eval: true, workerData, transferList, execArgv: [], name: 'nullcline' }); // prettier-ignore
    this.supervisor.unref();
    this.supervisor.on('error', (error: Error) => {
      // Its workers end with it.
      this.leave(`their supervisor failed: ${error.message}`);
    });
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
    for (const { port } of this.members.splice(0)) port.close();
    this.endings.close();
    void this.supervisor.terminate();
  }

  /** End one of the workers, even in the middle of a part. */
  endWorker(index: number): void {
    this.supervisor.postMessage({ end: index } satisfies EndMessage);
  }

  private send(message: ProgramMessage): void {
    for (const { port } of this.members) port.postMessage(message);
    Atomics.add(this.control, WORDS.sent, 1);
  }

  private run(program: number, job: number, description: Job, run: (part: number) => void): void {
    const { parts, cost, isRepeatable } = description;
    if (this.members.length === 0 || parts > MOST_PARTS) {
      // Workers that have been ended may still be about to end: there must be nothing for them to take.
      for (let part = 0; part < parts; part++) run(part);
      return;
    }
    const { control } = this;
    control[WORDS.program] = program;
    control[WORDS.job] = job;
    control[WORDS.parts] = parts;
    control[WORDS.next] = 0;
    const signal = Atomics.add(control, WORDS.signal, 1) + 1;
    if (this.somebodySleeps() && (this.missed += cost) >= WAKE * this.worth) {
      this.missed = 0;
      Atomics.notify(control, WORDS.signal, parts - 1);
    }
    let part = 0;
    let failure: Failure | undefined;
    try {
      while ((part = Atomics.add(control, WORDS.next, 1)) < parts) {
        run(part);
        control[WORDS.done + part] = signal;
      }
    } catch (error) {
      failure = { part, error };
    }
    // A worker that comes later sees that there is nothing to do; those that came before are waited for.
    Atomics.add(control, WORDS.signal, 1);
    for (const member of this.members) this.wait(member);
    const hasEnded = Atomics.load(control, WORDS.ended) !== this.ended;
    const reasons = hasEnded ? this.bury() : '';
    if (control[WORDS.failed] > 0) failure = this.firstFailure(failure);
    if (failure !== undefined) throw failure.error;
    if (!hasEnded) return;
    for (let left = 0; left < parts; left++) {
      if (control[WORDS.done + left] === signal) continue;
      if (!isRepeatable) {
        throw new Error(`${reasons} in the middle of a kernel that writes over its operands (program ${program}, job ${job}, part ${left} of ${parts}): its results are lost. Call it again; arguments that were donated to it are lost, too`); // prettier-ignore
      }
      run(left);
    }
  }

  private somebodySleeps(): boolean {
    for (const { sleeping } of this.members) if (Atomics.load(this.control, sleeping) === 1) return true;
    return false;
  }

  /** Until the worker is not computing, or has ended. */
  private wait({ active, index }: Member): void {
    const { control } = this;
    for (let looked = 0; looked < MAIN_SPINS; looked++) {
      if (Atomics.load(control, active) === 0) return;
    }
    Atomics.store(control, WORDS.waiting, 1);
    let silentSince = Infinity;
    while (Atomics.load(control, active) === 1) {
      if (Atomics.wait(control, active, 1, QUIET) !== 'timed-out') continue;
      // It may well be computing. What must not be is that nobody would tell of its end.
      const now = performance.now();
      if (Atomics.load(control, WORDS.asked) === Atomics.load(control, WORDS.answered)) {
        Atomics.add(control, WORDS.asked, 1);
        Atomics.notify(control, WORDS.asked);
        silentSince = now;
      } else if (now - silentSince > this.silence) {
        const message = `worker thread ${index + 1} and its supervisor give no sign of life (program ${control[WORDS.program]}, job ${control[WORDS.job]})`; // prettier-ignore
        this.leave(message);
        throw new Error(message);
      }
    }
    Atomics.store(control, WORDS.waiting, 0);
  }

  /** Part with the workers that have ended, and say so. */
  private bury(): string {
    const texts: string[] = [];
    for (;;) {
      const received = this.threads.receiveMessageOnPort(this.endings) as { message: Ending } | undefined;
      if (received === undefined) break;
      const { index, reason } = received.message;
      this.ended++;
      texts.push(`worker thread ${index + 1} ended (${reason})`);
      const at = this.members.findIndex((member) => member.index === index);
      if (at >= 0) this.members.splice(at, 1)[0].port.close();
    }
    const text = texts.join('; ');
    this.warn(`nullcline: ${text}; ${this.members.length + 1} of ${this.size} threads go on`);
    return text;
  }

  /** Go on without any worker. */
  private leave(reason: string): void {
    if (this.members.length === 0) return;
    this.end();
    this.warn(`nullcline: ${reason}; one thread goes on`);
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
