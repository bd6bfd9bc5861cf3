/**
 * What a worker thread runs. It is started from its source text, so that it needs no file of its own in either build or in
 * a bundle: it refers to nothing outside itself.
 */
import type { MessagePort } from 'node:worker_threads';

/**
 * Where the threads agree on what is to be done: numbers of 32-bit words in the first 16 KiB of the memory, where no block
 * ever lies. What different threads write stands in different cache lines.
 */
export const WORDS = {
  /** Grows by one when a job begins and when it ends: odd while there is one. Workers sleep on it. */
  signal: 16,
  /** The job: the program's number, its job's number, and how many parts that has. */
  program: 17,
  job: 18,
  parts: 19,
  /** Messages that have been sent to each worker. */
  sent: 20,
  /** The next part that nobody has taken. */
  next: 32,
  /** Is the main thread asleep until a worker is no longer active? */
  waiting: 64,
  /** Workers that have ended. */
  ended: 80,
  /** Grows by one when the main thread asks the supervisor for a sign of life, and when that has given one. */
  asked: 88,
  answered: 89,
  /** Parts that threw an error. */
  failed: 96,
  /** From here on `each` words for each worker: may it still take or compute parts of the present job, and does it sleep? */
  workers: 128,
  each: 8,
  active: 0,
  sleeping: 1,
  /** From here on a word for each part: the signal of the job in which it was computed. */
  done: 2048,
  end: 4096,
} as const;

export interface Setup {
  readonly memory: WebAssembly.Memory;
  readonly port: MessagePort;
  readonly words: typeof WORDS;
  /** How often to look for a job before going to sleep. */
  readonly spins: number;
  /** Its number, from 0. */
  readonly index: number;
}

/** A program that the workers are to know from now on, or, without its module, to forget. */
export interface ProgramMessage {
  readonly program: number;
  readonly module?: WebAssembly.Module;
}

export interface Failure {
  readonly part: number;
  readonly error: unknown;
}

type Job = (part: number) => void;

interface Threads {
  readonly workerData: unknown;
  readonly receiveMessageOnPort: (port: MessagePort) => { message: unknown } | undefined;
}

/** Take part in one job after the other, until the thread is ended. */
export function work(threads: Threads, mod: (x: number, y: number) => number): void {
  const { memory, port, words, spins, index } = threads.workerData as Setup;
  const control = new Int32Array(memory.buffer, 0, words.end);
  const active = words.workers + words.each * index + words.active;
  const sleeping = words.workers + words.each * index + words.sleeping;
  // The other functions of the host are in no part that is shared out.
  const { sin, cos, tan, pow } = Math;
  const refuse = (): never => {
    throw new Error('only the main thread computes this');
  };
  const host = { memory, sin, cos, tan, pow, mod, normalQuantile: refuse, outOfRange: refuse, parallel: refuse };
  const modules = new Map<number, WebAssembly.Module>();
  const programs = new Map<number, Readonly<Record<string, unknown>>>();
  let received = 0;
  let seen = 0;
  for (;;) {
    let signal = Atomics.load(control, words.signal);
    for (let looked = 0; signal === seen || (signal & 1) === 0; looked++) {
      if (looked >= spins) {
        // Whoever begins a job after this line sees that somebody sleeps; who did so before has changed the signal.
        Atomics.store(control, sleeping, 1);
        Atomics.wait(control, words.signal, signal);
        Atomics.store(control, sleeping, 0);
        looked = 0;
      }
      signal = Atomics.load(control, words.signal);
    }
    Atomics.store(control, active, 1);
    // From here on no job ends or begins without us; the one seen above may have ended before.
    seen = Atomics.load(control, words.signal);
    if ((seen & 1) === 1) {
      let part = Infinity;
      try {
        for (const sent = Atomics.load(control, words.sent); received !== sent; received = (received + 1) | 0) {
          const { program, module } = threads.receiveMessageOnPort(port)?.message as ProgramMessage;
          if (module === undefined) {
            modules.delete(program);
            programs.delete(program);
          } else {
            modules.set(program, module);
          }
        }
        const program = control[words.program];
        let exports = programs.get(program);
        if (exports === undefined) {
          exports = new WebAssembly.Instance(modules.get(program) as WebAssembly.Module, { host }).exports;
          programs.set(program, exports);
        }
        const run = exports[`job${control[words.job]}`] as Job;
        const parts = control[words.parts];
        while ((part = Atomics.add(control, words.next, 1)) < parts) {
          run(part);
          Atomics.store(control, words.done + part, seen);
        }
      } catch (error) {
        port.postMessage({ part, error } satisfies Failure);
        Atomics.add(control, words.failed, 1);
      }
    }
    Atomics.store(control, active, 0);
    if (Atomics.load(control, words.waiting) === 1) Atomics.notify(control, active);
  }
}
