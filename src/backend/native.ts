/**
 * TensorFlow's own runtime through `@tensorflow/tfjs-node` and `@tensorflow/tfjs-node-gpu` 4.22, the last release of both.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { BackendError, isAbsent, messageOf } from './errors.js';
import { builtin } from '../core/host.js';

export type NativePackage = '@tensorflow/tfjs-node' | '@tensorflow/tfjs-node-gpu';

/** What the binaries of 4.22 were built for (libtensorflow 2.9.1). */
const CUDA = 'CUDA 11.2 and cuDNN 8.1';

/**
 * Node 23 removed functions of `util` that tfjs-node 4.22 calls when it makes tensors; the repair in its repository was never released. The
 * two are put back as they were.
 */
export function restoreUtil(util = (builtin('util') ?? {}) as Record<string, unknown>): void {
  util.isNullOrUndefined ??= (value: unknown): boolean => value == null;
  util.isArray ??= Array.isArray;
}

/** Why the package did not load, and what to do. */
export function nativeFailure(backendName: string, packageName: NativePackage, error: unknown): BackendError {
  const install = `npm install ${packageName}`;
  const start = `backend "${backendName}"`;
  const options = { cause: error };
  if (isAbsent(error, packageName)) {
    return new BackendError(`${start} needs the package ${packageName}, which is not installed. Install it with: ${install}`, options); // prettier-ignore
  }
  const message = messageOf(error);
  if (/libcud|cudnn|libcublas|cuda/i.test(message)) {
    return new BackendError(`${start} did not find the libraries of the GPU (${message}). ${packageName} 4.22 needs ${CUDA}, and no other version; or use backend "tensorflow"`, options); // prettier-ignore
  }
  if (/libtensorflow|tfjs_binding|napi|dlopen/i.test(message)) {
    return new BackendError(
      `${start}: the binaries of ${packageName} are missing or do not fit this Node (${message}). ` +
        `Fetch them with: npm rebuild ${packageName} --build-addon-from-source`,
      options,
    );
  }
  return new BackendError(`${start}: the package ${packageName} could not be loaded (${message}). Install it with: ${install}`, options); // prettier-ignore
}

interface NativeBackend {
  readonly isGPUPackage?: boolean;
  readonly isUsingGpuDevice?: boolean;
  readonly binding?: { readonly TF_Version?: string };
}

/** What the started backend computes on. */
export function nativeDevice(backend: tf.KernelBackend): string {
  const { isUsingGpuDevice, isGPUPackage, binding } = backend as unknown as NativeBackend;
  const version = binding?.TF_Version === undefined ? '' : `, libtensorflow ${binding.TF_Version}`;
  if (isUsingGpuDevice === true) return `CUDA device${version}`;
  return `CPU${version}${isGPUPackage === true ? ` (no GPU was found: it needs ${CUDA})` : ''}`;
}
