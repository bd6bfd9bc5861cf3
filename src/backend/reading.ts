/**
 * Which backends can hand a value back at once. WebGPU answers by promise only: in a browser tfjs reads it through a
 * canvas all the same, elsewhere it cannot be read synchronously at all.
 */
import * as tf from '@tensorflow/tfjs';
import { BackendError } from './errors.js';

// The two builds of this package share what they know by a property of the backend itself.
const ASYNCHRONOUS = Symbol.for('nullcline.asynchronousReads');

/** Can values on this backend (default: the active one) be read synchronously, by `dataSync` and its like? */
export function readsSynchronously(backend: tf.KernelBackend = tf.backend()): boolean {
  return !(ASYNCHRONOUS in backend);
}

/**
 * Throw unless the active backend can be read synchronously.
 *
 * @param what What needs it, as the beginning of a sentence: "solve with adaptive steps".
 * @param instead What to do on such a backend: "use a fixed-step method".
 * @throws BackendError
 */
export function needsSynchronousReads(what: string, instead: string): void {
  if (readsSynchronously()) return;
  throw new BackendError(
    `${what} reads values synchronously, which backend "${tf.getBackend()}" cannot do here; ${instead}, or choose another backend with useBackend`,
  );
}

interface Readable {
  readonly tensorMap: { get(dataId: object): { readonly values?: tf.backend_util.BackendValues | null } | undefined };
  readSync: (dataId: object) => tf.backend_util.BackendValues;
}

/** Make synchronous reading an error that says what to do; what still lies on the host is read as ever. */
export function refuseSynchronousReads(backend: tf.KernelBackend, name: string): void {
  if (ASYNCHRONOUS in backend) return;
  const readable = backend as unknown as Readable;
  readable.readSync = (dataId) => {
    const values = readable.tensorMap.get(dataId)?.values;
    if (values != null) return values;
    throw new BackendError(
      `backend "${name}" cannot be read synchronously here (dataSync, arraySync, or a method that looks at values as it runs): ` +
        'use await tensor.data() or await tensor.array(), and fixed steps or a fixed number of iterations in a solve',
    );
  };
  Object.defineProperty(backend, ASYNCHRONOUS, { value: true });
}
