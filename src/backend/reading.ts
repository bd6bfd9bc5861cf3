/**
 * Which backends can hand a value back at once, and what the others say instead. WebGPU answers by promise only.
 */
import * as tf from '@tensorflow/tfjs-core';
import { readsAtOnce } from '../graph/buffer-workspace.js';
import { BackendError } from './errors.js';

/** Can values on this backend (default: the active one) be read synchronously, by `dataSync` and its like? */
export function readsSynchronously(backend: tf.KernelBackend = tf.backend()): boolean {
  return readsAtOnce(backend);
}

interface Readable {
  readonly tensorMap: { get(dataId: object): { readonly values?: tf.backend_util.BackendValues | null } | undefined };
  readSync: (dataId: object) => tf.backend_util.BackendValues;
}

/** Make synchronous reading an error that says what to do; what still lies on the host is read as ever. */
export function refuseSynchronousReads(backend: tf.KernelBackend, name: string): void {
  const readable = backend as unknown as Readable;
  readable.readSync = (dataId) => {
    const values = readable.tensorMap.get(dataId)?.values;
    if (values != null) return values;
    throw new BackendError(
      `backend "${name}" cannot be read synchronously here (dataSync, arraySync, or a method that looks at values as it runs): ` +
        'use await tensor.data() or await tensor.array(), and wait for solves (solveAsync, compile(f).async) or take fixed steps',
    );
  };
}
