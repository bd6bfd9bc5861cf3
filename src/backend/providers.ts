/**
 * The backends there are: a row for each, from which choosing, loading and reporting work.
 */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { BackendError, isAbsent, messageOf } from './errors.js';
import { availableThreads } from '../core/host.js';
import { correctWasmKernels, lendKernels } from './lend.js';
import { nativeDevice, nativeFailure, restoreUtil, type NativePackage } from './native.js';
import { readsSynchronously } from './reading.js';
import { loadWebGPU, watchWebGPU, WEBGPU_PACKAGES, type Import } from './webgpu.js';

/** The names that `useBackend` takes. */
export type BackendName = 'nullcline' | 'cpu' | 'wasm' | 'tensorflow' | 'tensorflow-gpu' | 'webgl' | 'webgpu';

export type { Import };

export type Precision = 'float32' | 'float64';

export interface Provider {
  /** What tfjs calls the backend. */
  readonly tfjsName: string;
  /** What tfjs calls its twin that stores doubles, where it has one. */
  readonly doubles?: string;
  /** The packages that it needs besides this package's own. */
  readonly packages: readonly string[];
  /** Make the backend known to tfjs. Throws a {@link BackendError} that says what is missing. */
  readonly load: (from: Import) => Promise<unknown>;
  /** What is done to the backend once it has started. */
  readonly started?: (backend: tf.KernelBackend) => void;
  /** Compute on so many threads from now on. Absent where the backend does not leave that to the caller. */
  readonly useThreads?: (backend: tf.KernelBackend, threads: number) => void;
  /** What the started backend computes on. */
  readonly device: (backend: tf.KernelBackend, loaded: unknown) => string;
}

const HOST = 'CPU, one thread';

/** What the compiled backend has besides. */
interface Threaded {
  readonly threads: number;
  useThreads(threads: number): void;
}

/** Each import is written out, so that bundlers see it. */
const IMPORTS: Readonly<Record<string, () => Promise<unknown>>> = {
  '@tensorflow/tfjs-backend-wasm': () => import('@tensorflow/tfjs-backend-wasm'),
  '@tensorflow/tfjs-backend-webgl': () => import('@tensorflow/tfjs-backend-webgl'),
  '@tensorflow/tfjs-backend-webgpu': () => import('@tensorflow/tfjs-backend-webgpu'),
  '@tensorflow/tfjs-node': () => import('@tensorflow/tfjs-node'),
  '@tensorflow/tfjs-node-gpu': () => import('@tensorflow/tfjs-node-gpu'),
  webgpu: () => import('webgpu'),
};

/** The optional peers, loaded on demand. */
export const importPeer: Import = (packageName) => IMPORTS[packageName]();

const native = (name: BackendName, packageName: NativePackage): Provider => ({
  tfjsName: 'tensorflow',
  packages: [packageName],
  load: async (from) => {
    restoreUtil();
    try {
      await from(packageName);
    } catch (error) {
      throw nativeFailure(name, packageName, error);
    }
  },
  device: nativeDevice,
});

/** Load the one package that makes a backend known to tfjs. */
async function loadPackage(name: BackendName, packageName: string, from: Import): Promise<void> {
  try {
    await from(packageName);
  } catch (error) {
    const why = isAbsent(error, packageName) ? 'is not installed' : `could not be loaded (${messageOf(error)})`;
    throw new BackendError(
      `backend "${name}" needs the package ${packageName}, which ${why}. Install it with: npm install ${packageName}`,
      { cause: error },
    );
  }
}

/** `@tensorflow/tfjs` brings this one, and may have been loaded already. Elsewhere than in browsers installing it is no help. */
async function loadWebGL(from: Import): Promise<void> {
  const isKnown = (): boolean => tf.engine().backendNames().includes('webgl');
  const elsewhere = 'backend "webgl" runs in browsers only; on this machine "webgpu" uses a GPU';
  if (isKnown()) return;
  try {
    await loadPackage('webgl', '@tensorflow/tfjs-backend-webgl', from);
  } catch (error) {
    throw tf.device_util.isBrowser() ? error : new BackendError(elsewhere, { cause: (error as BackendError).cause });
  }
  if (!isKnown()) throw new BackendError(elsewhere);
}

export const PROVIDERS: Readonly<Record<BackendName, Provider>> = {
  nullcline: {
    tfjsName: 'nullcline',
    doubles: 'nullcline64',
    packages: [],
    load: async () => {
      const { registerNullcline } = await import('../wasm/register.js');
      registerNullcline();
    },
    useThreads: (backend, threads) => {
      (backend as unknown as Threaded).useThreads(Math.min(threads, availableThreads()));
    },
    device: (backend) => {
      const { threads } = backend as unknown as Threaded;
      return `${threads === 1 ? HOST : `CPU, ${threads} threads`}, WebAssembly compiled for each function`;
    },
  },
  cpu: { tfjsName: 'cpu', packages: [], load: () => Promise.resolve(), device: () => `${HOST}, JavaScript` },
  wasm: {
    tfjsName: 'wasm',
    packages: ['@tensorflow/tfjs-backend-wasm'],
    load: (from) => loadPackage('wasm', '@tensorflow/tfjs-backend-wasm', from),
    started: () => {
      correctWasmKernels();
      lendKernels('wasm');
    },
    device: () => `${HOST}, WebAssembly`,
  },
  tensorflow: native('tensorflow', '@tensorflow/tfjs-node'),
  'tensorflow-gpu': native('tensorflow-gpu', '@tensorflow/tfjs-node-gpu'),
  webgl: {
    tfjsName: 'webgl',
    packages: ['@tensorflow/tfjs-backend-webgl'],
    load: loadWebGL,
    device: () => `GPU, WebGL ${tf.env().getNumber('WEBGL_VERSION')}`,
  },
  webgpu: {
    tfjsName: 'webgpu',
    packages: WEBGPU_PACKAGES,
    load: loadWebGPU,
    started: watchWebGPU,
    device: (_, loaded) => String(loaded),
  },
};

/** What `'auto'` tries, in this order: native TensorFlow where installed, else the compiled backend. */
export const AUTOMATIC: readonly BackendName[] = ['tensorflow-gpu', 'tensorflow', 'nullcline', 'cpu'];

/** A backend that runs. */
export interface Started {
  readonly name: BackendName;
  readonly precision: Precision;
  readonly device: string;
  readonly reading: 'synchronous' | 'asynchronous';
}

/** Load a backend and make it the active one; without `threads` it computes on as many as before. */
export async function start(name: BackendName, precision: Precision, from: Import, threads?: number): Promise<Started> {
  const provider = PROVIDERS[name];
  const loaded = await provider.load(from);
  const tfjsName = precision === 'float64' ? (provider.doubles ?? provider.tfjsName) : provider.tfjsName;
  const isUp = await tf.setBackend(tfjsName).catch((error: unknown) => {
    throw new BackendError(`backend "${name}" did not start: ${messageOf(error)}`, { cause: error });
  });
  if (!isUp) throw new BackendError(`backend "${name}" did not start on this machine`);
  await tf.ready();
  const backend = tf.backend();
  provider.started?.(backend);
  try {
    if (threads !== undefined) provider.useThreads?.(backend, threads);
  } catch (error) {
    throw new BackendError(`backend "${name}" did not start ${threads ?? 1} threads: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return {
    name,
    precision,
    device: provider.device(backend, loaded),
    reading: readsSynchronously(backend) ? 'synchronous' : 'asynchronous',
  };
}
