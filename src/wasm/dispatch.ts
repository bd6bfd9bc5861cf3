/**
 * The way from an operation to its kernel, for our backends.
 *
 * tfjs's engine joins two strings twice to find a kernel and makes closures for tapes, profiles and checks, which together
 * take longer than a small kernel of ours. While nobody looks on, the engine's steps that have an effect are few, and are
 * done here; everything else is the engine's as before.
 */
import * as tf from '@tensorflow/tfjs-core';
import { engineInternals, type Attrs, type KernelInputs } from '../graph/engine.js';
import type { NullclineBackend } from './backend.js';

/** tfjs's own table, so that a kernel which somebody exchanges is found at its next call. */
function registry(): ReadonlyMap<string, tf.KernelConfig> | undefined {
  const { _tfGlobals } = globalThis as { _tfGlobals?: ReadonlyMap<string, unknown> };
  return _tfGlobals?.get('kernelRegistry') as ReadonlyMap<string, tf.KernelConfig> | undefined;
}

/** Let operations on a backend of ours take this way. Calling it again does nothing. */
export function dispatchDirectly(): void {
  const kernels = registry();
  const engine = engineInternals();
  if (kernels === undefined || (engine as Partial<Direct>).isDirect === true) return;
  const usual = engine.runKernel.bind(engine);
  const flags = tf.env();
  const tensorOf = (y: tf.TensorInfo): tf.Tensor =>
    (y as Partial<tf.Tensor>).rank === undefined ? engine.makeTensorFromTensorInfo(y) : (y as unknown as tf.Tensor);

  const direct = (name: string, inputs: KernelInputs, attrs?: Attrs): tf.Tensor | tf.Tensor[] => {
    const { backendInstance: backend, backendName, state } = engine;
    const keys = (backend as Partial<NullclineBackend> | undefined)?.kernelKeys;
    if (keys === undefined || state.profiling || (state.gradientDepth > 0 && state.kernelDepth === 0) || flags.getBool('DEBUG') || flags.getBool('IS_TEST')) return usual(name, inputs, attrs); // prettier-ignore
    let key = keys.get(name);
    if (key === undefined) keys.set(name, (key = `${backendName}_${name}`));
    const kernel = kernels.get(key);
    if (kernel === undefined) return usual(name, inputs, attrs); // which says what is missing
    state.kernelDepth++;
    try {
      const out = kernel.kernelFunc({ inputs: inputs as tf.NamedTensorInfoMap, attrs: attrs as tf.NamedAttrMap, backend }); // prettier-ignore
      return Array.isArray(out) ? out.map(tensorOf) : tensorOf(out);
    } finally {
      state.kernelDepth--;
    }
  };
  Object.assign(engine, { runKernel: direct, isDirect: true } satisfies Direct);
}

interface Direct {
  readonly runKernel: unknown;
  readonly isDirect: true;
}
