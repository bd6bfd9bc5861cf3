/**
 * Choosing a tfjs backend by name, loading its package on demand.
 */
import * as tf from '@tensorflow/tfjs';

export type BackendName = 'nullcline' | 'cpu' | 'wasm' | 'tensorflow' | 'tensorflow-gpu' | 'webgpu';

export interface BackendOptions {
  /** What floating tensors hold; default `'float32'`. Only the backend `'nullcline'` stores `'float64'`. */
  readonly precision?: 'float32' | 'float64';
}

export class BackendError extends Error {
  override readonly name = 'BackendError';
}

interface Provider {
  /** What tfjs calls the backend. */
  readonly tfjsName: string;
  /** What tfjs calls its twin that stores doubles, where it has one. */
  readonly doubles?: string;
  /** The package that registers it; null where tfjs itself does. */
  readonly package: string | null;
  readonly load: () => Promise<unknown>;
}

/** In order of preference for `'auto'`. */
const PROVIDERS: Readonly<Record<BackendName, Provider>> = {
  'tensorflow-gpu': provider('tensorflow', '@tensorflow/tfjs-node-gpu', () => import('@tensorflow/tfjs-node-gpu')),
  tensorflow: provider('tensorflow', '@tensorflow/tfjs-node', () => import('@tensorflow/tfjs-node')),
  nullcline: {
    ...provider('nullcline', null, async () => {
      const { registerNullcline } = await import('../wasm/register.js');
      registerNullcline();
    }),
    doubles: 'nullcline64',
  },
  cpu: provider('cpu', null, () => Promise.resolve()),
  wasm: provider('wasm', '@tensorflow/tfjs-backend-wasm', () => import('@tensorflow/tfjs-backend-wasm')),
};

function provider(tfjsName: string, name: string | null, load: () => Promise<unknown>): Provider {
  return { tfjsName, package: name, load };
}

/** What `'auto'` tries: native TensorFlow where installed, else the compiled backend. */
const AUTOMATIC: readonly BackendName[] = ['tensorflow-gpu', 'tensorflow', 'nullcline', 'cpu'];

const messageOf = (error: unknown): string => (error instanceof Error ? error.message.split('\n')[0] : String(error));

async function start(name: BackendName, precision: 'float32' | 'float64' = 'float32'): Promise<void> {
  const { load, doubles, package: needed } = PROVIDERS[name];
  const tfjsName = precision === 'float64' && doubles !== undefined ? doubles : PROVIDERS[name].tfjsName;
  try {
    await load();
  } catch (error) {
    throw new BackendError(
      `backend "${name}" needs the package ${needed ?? '@tensorflow/tfjs'}, which could not be loaded (${messageOf(error)}). Install it with: npm install ${needed ?? '@tensorflow/tfjs'}`,
      { cause: error },
    );
  }
  const started = await tf.setBackend(tfjsName).catch((error: unknown) => {
    throw new BackendError(`backend "${name}" did not start: ${messageOf(error)}`, { cause: error });
  });
  if (!started) throw new BackendError(`backend "${name}" did not start on this machine`);
  await tf.ready();
}

/**
 * Make a backend the active one, loading its package if need be. Returns the name of the backend chosen.
 *
 * @param name - `'auto'` takes native TensorFlow where one of its packages is installed, and the compiled backend `nullcline` otherwise.
 * @param options - `{ precision: 'float64' }` makes `'nullcline'` store and compute doubles; tfjs still calls them `float32`.
 * @throws BackendError naming the package to install, or why the backend did not start.
 */
export async function useBackend(
  name: BackendName | 'auto' = 'auto',
  options: BackendOptions = {},
): Promise<BackendName> {
  if (name !== 'auto' && !Object.hasOwn(PROVIDERS, name)) {
    throw new BackendError(`unknown backend "${name}"; known: auto, ${Object.keys(PROVIDERS).join(', ')}`);
  }
  if (options.precision === 'float64' && (name === 'auto' || PROVIDERS[name].doubles === undefined)) {
    throw new BackendError(`backend "${name}" computes in float32; backend "nullcline" stores float64`);
  }
  // tfjs advertises its native backend on the first use of its own cpu backend; whoever calls this has chosen.
  tf.env().set('PROD', true);
  if (name !== 'auto') {
    await start(name, options.precision);
    return name;
  }
  for (const candidate of AUTOMATIC) {
    try {
      await start(candidate);
      return candidate;
    } catch (error) {
      if (candidate === AUTOMATIC[AUTOMATIC.length - 1]) throw error;
    }
  }
  throw new BackendError('no backend is available');
}
