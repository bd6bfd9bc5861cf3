/**
 * The thread that starts the workers and sees them end. The main thread computes or waits, and hears of nothing meanwhile;
 * this one does nothing else, and writes into the shared memory that a worker is no more. A thread that has ended writes nothing
 * any more, so what it left undone can be done again.
 *
 * It is started from its source text, and refers to nothing outside itself.
 */
import type { MessagePort, Worker } from 'node:worker_threads';
import type { Setup, WORDS } from './worker.js';

export interface Supervision {
  /** The source text of a worker. */
  readonly source: string;
  readonly setups: readonly Setup[];
  readonly words: typeof WORDS;
  readonly memory: WebAssembly.Memory;
  /** Where to say of what a worker ended. */
  readonly port: MessagePort;
}

/** What is said there, before the shared memory says that it has ended. */
export interface Ending {
  readonly index: number;
  readonly reason: string;
}

/** To the supervisor: end that worker. */
export interface EndMessage {
  readonly end: number;
}

interface Threads {
  readonly workerData: unknown;
  readonly parentPort: Pick<MessagePort, 'on'> | null;
  readonly Worker: typeof Worker;
}

interface Waiting {
  readonly async: boolean;
  readonly value: unknown;
}

export function supervise(threads: Threads): void {
  const { source, setups, words, memory, port } = threads.workerData as Supervision;
  const control = new Int32Array(memory.buffer, 0, words.end);
  const workers = setups.map((setup) => {
    const { index } = setup;
    // Without the options of this process: its loaders and preloaded files would be loaded there too.
    const worker = new threads.Worker(source, { eval: true, workerData: setup, transferList: [setup.port], execArgv: [], name: `nullcline ${index + 1}` }); // prettier-ignore
    let reason = '';
    worker.on('error', (error: unknown) => {
      reason = error instanceof Error ? error.message : String(error);
    });
    worker.on('exit', (code) => {
      port.postMessage({ index, reason: reason === '' ? `exit code ${code}` : reason } satisfies Ending);
      const active = words.workers + words.each * index + words.active;
      Atomics.store(control, words.workers + words.each * index + words.sleeping, 0);
      Atomics.add(control, words.ended, 1);
      Atomics.store(control, active, 0);
      Atomics.notify(control, active);
    });
    return worker;
  });
  threads.parentPort?.on('message', ({ end }: EndMessage) => {
    void workers[end].terminate();
  });
  // A sign of life for the main thread, when it asks for one.
  const { waitAsync } = Atomics as unknown as { waitAsync: (a: Int32Array, at: number, value: number) => Waiting };
  const answer = async (): Promise<void> => {
    for (;;) {
      const asked = Atomics.load(control, words.asked);
      Atomics.store(control, words.answered, asked);
      await waitAsync(control, words.asked, asked).value;
    }
  };
  void answer();
}
