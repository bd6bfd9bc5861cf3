/**
 * Making the compiled backend known to tfjs, once per engine: both builds of this package share what is registered here.
 */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { storesDoubles } from '../core/floats.js';
import { engineInternals } from '../graph/engine.js';
import { registerExecutor, registerPrecision } from '../graph/program.js';
import { NullclineBackend } from './backend.js';
import { CompiledKernels } from './backend-compiled.js';
import { acceptDoubles } from './backend-doubles.js';
import { corrected, cpuKernel, OWN_KERNELS, ownKernel } from './backend-kernels.js';
import type { Precision } from './backend-values.js';
import { carryDataInfos } from './data-infos.js';
import { dispatchDirectly } from './dispatch.js';
import { eagerKernel } from './eager/index.js';
import { rewritten } from './eager/rewritten.js';
import { wasmExecutor } from './executor.js';

/** What tfjs calls the backend of each precision. */
export const BACKEND_NAMES: Readonly<Record<'float32' | 'float64', string>> = {
  float32: 'nullcline',
  float64: 'nullcline64',
};

/** Register `'nullcline'` and `'nullcline64'` with tfjs. Calling it again does nothing. */
export function registerNullcline(): void {
  const engine = tf.engine();
  if (engine.backendNames().includes(BACKEND_NAMES.float32)) return;
  for (const [precision, name] of Object.entries(BACKEND_NAMES)) {
    const bits: Precision = precision === 'float64' ? 64 : 32;
    // Below every other backend: tfjs itself never chooses it.
    tf.registerBackend(
      name,
      () => {
        carryDataInfos();
        dispatchDirectly();
        return new NullclineBackend(bits);
      },
      0,
    );
    registerKernels(name, new CompiledKernels(wasmExecutor, name));
    registerExecutor(name, wasmExecutor);
    registerPrecision(precision as keyof typeof BACKEND_NAMES, name);
  }
  acceptDoubles();
  roundOnLeaving();
}

function registerKernels(backendName: string, compiled: CompiledKernels): void {
  for (const { kernelName, kernelFunc } of tf.getKernelsForBackend('cpu')) {
    if ((tf.getKernel(kernelName, backendName) as unknown) != null) continue; // the backend was removed and comes again
    const own = Object.hasOwn(OWN_KERNELS, kernelName) ? OWN_KERNELS[kernelName] : undefined;
    tf.registerKernel({
      kernelName,
      backendName,
      kernelFunc: eagerKernel(
        kernelName,
        rewritten(kernelName, own === undefined ? compiled.kernel(kernelName, cpuKernel(corrected(kernelName, kernelFunc))) : ownKernel(own)), // prettier-ignore
      ),
    });
  }
}

/**
 * tfjs moves a tensor by handing what the old backend reads to the new one. Some of them copy its bytes without looking
 * (wasm), so doubles are rounded on the way to a backend that stores single precision.
 */
function roundOnLeaving(): void {
  const engine = engineInternals();
  const move = engine.moveData.bind(engine);
  engine.moveData = (to, dataId) => {
    const from = engine.state.tensorInfo.get(dataId)?.backend;
    if (from === undefined || from === to || !storesDoubles(from) || storesDoubles(to)) {
      move(to, dataId);
      return;
    }
    const source = from as tf.KernelBackend & { readSync: tf.KernelBackend['readSync'] };
    const read = source.readSync.bind(source);
    source.readSync = (id) => {
      const values: unknown = read(id);
      return values instanceof Float64Array ? Float32Array.from(values) : (values as Float32Array);
    };
    try {
      move(to, dataId);
    } finally {
      Reflect.deleteProperty(source, 'readSync');
    }
  };
}
