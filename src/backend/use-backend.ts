/**
 * Choosing a tfjs backend by name, loading its package on demand.
 */
import * as tf from '@tensorflow/tfjs-core';
import { parseOptions, positiveInteger, z } from '../core/options.js';
import { describe } from '../core/value.js';
import { BackendError, messageOf } from './errors.js';
import { AUTOMATIC, importPeer, PROVIDERS, start, type BackendName, type Import, type Started } from './providers.js';

export interface BackendOptions {
  /** What floating tensors hold; default `'float32'`. Only the backend `'nullcline'` stores `'float64'`. */
  readonly precision?: 'float32' | 'float64';
  /**
   * Threads that compute large kernels of `'nullcline'` together, the calling one included; default 1. Never more than the
   * machine runs at a time, and one outside Node. Results are the same to the last bit whatever the number. The threads end
   * with the process, or when the backend is chosen again without them.
   */
  readonly threads?: number;
}

const OPTIONS = z.strictObject({
  precision: z.enum(['float32', 'float64']).default('float32'),
  threads: positiveInteger.default(1),
});

/** The backend that `useBackend` chose last, and why. */
export interface Choice {
  readonly started: Started;
  readonly why: string;
}

// Shared by the two builds of this package.
const CHOICE = Symbol.for('nullcline.backend.choice');

export const lastChoice = (): Choice | undefined => (tf.engine() as unknown as Record<symbol, Choice | undefined>)[CHOICE]; // prettier-ignore

function chosen(started: Started, why: string): BackendName {
  Object.defineProperty(tf.engine(), CHOICE, { value: { started, why }, configurable: true });
  return started.name;
}

/**
 * Make a backend the active one, loading its package if need be. Returns the name of the backend chosen;
 * {@link backendReport} says why it was chosen and why others were not.
 *
 * | name | needs | reading |
 * |---|---|---|
 * | `'nullcline'` | nothing more | synchronous |
 * | `'cpu'` | nothing more | synchronous |
 * | `'wasm'` | `@tensorflow/tfjs-backend-wasm`; kernels it lacks are lent by `cpu`, complex numbers apart | synchronous |
 * | `'tensorflow'` | `@tensorflow/tfjs-node` | synchronous |
 * | `'tensorflow-gpu'` | `@tensorflow/tfjs-node-gpu`, CUDA 11.2, cuDNN 8.1 | synchronous |
 * | `'webgl'` | `@tensorflow/tfjs-backend-webgl` (part of `@tensorflow/tfjs`), a browser | synchronous |
 * | `'webgpu'` | `webgpu` (outside a browser), `@tensorflow/tfjs-backend-webgpu`, a Vulkan, Metal or D3D12 driver | asynchronous |
 *
 * @param name - `'auto'` (the default) takes native TensorFlow where one of its packages is installed, and the compiled
 *   backend `nullcline` otherwise; of those that store doubles where these are asked for. It never takes `webgpu`, whose values can be awaited only.
 * @param options - `{ precision: 'float64' }` makes `'nullcline'` store and compute doubles; tfjs still calls them `float32`.
 *   `{ threads: 2 }` makes it compute large kernels on two threads; with `'auto'` this counts only if `'nullcline'` is taken.
 * @throws OptionError for an unknown option or precision, or a number of threads that is no positive integer.
 * @throws BackendError naming the package to install, or why the backend did not start.
 */
export function useBackend(name: BackendName | 'auto' = 'auto', options: BackendOptions = {}): Promise<BackendName> {
  return chooseBackend(name, options, importPeer);
}

/** {@link useBackend}, with the optional packages from elsewhere. */
export async function chooseBackend(
  name: BackendName | 'auto',
  options: BackendOptions,
  from: Import,
): Promise<BackendName> {
  if (typeof name !== 'string') {
    throw new BackendError(`useBackend: the first argument must be a name, got ${describe(name)}; useBackend(name, options)`); // prettier-ignore
  }
  if (name !== 'auto' && !Object.hasOwn(PROVIDERS, name)) {
    throw new BackendError(`unknown backend "${name}"; known: auto, ${Object.keys(PROVIDERS).join(', ')}`);
  }
  const { precision, threads } = parseOptions(OPTIONS, options, 'useBackend');
  if (precision === 'float64' && name !== 'auto' && PROVIDERS[name].doubles === undefined) {
    throw new BackendError(`backend "${name}" computes in float32; backend "nullcline" stores float64`);
  }
  if (threads > 1 && name !== 'auto' && PROVIDERS[name].useThreads === undefined) {
    throw new BackendError(`backend "${name}" has no option threads; backend "nullcline" has`);
  }
  // tfjs advertises its native backend on the first use of its own cpu backend; whoever calls this has chosen.
  tf.env().set('PROD', true);
  if (name !== 'auto') return chosen(await start(name, precision, from, threads), 'asked for by name');
  const passed: string[] = [];
  const able = AUTOMATIC.filter((candidate) => precision === 'float32' || PROVIDERS[candidate].doubles !== undefined);
  for (const candidate of able) {
    try {
      const started = await start(candidate, precision, from, threads);
      return chosen(started, `the first that works of those that 'auto' tries: ${able.join(', ')}`);
    } catch (error) {
      passed.push(messageOf(error));
    }
  }
  throw new BackendError(`no backend is available: ${passed.join('; ')}`);
}
