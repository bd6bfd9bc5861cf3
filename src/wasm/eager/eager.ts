/**
 * What the kernels for single operations have in common.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { F32X4, F64X2, type Lanes } from '../emit/lanes.js';

export interface Call {
  readonly backend: NullclineBackend;
  readonly inputs: Readonly<Record<string, tf.TensorInfo | undefined>>;
  readonly attrs: Readonly<Record<string, unknown>>;
}

/** Computes the operation, or says by `undefined` that these operands are not for it. */
export type EagerKernel = (call: Call) => tf.TensorInfo | undefined;
export type ManyKernel = (call: Call) => tf.TensorInfo[] | undefined;

export const lanesOf = ({ precision }: NullclineBackend): Lanes => (precision === 32 ? F32X4 : F64X2);

export const sizeOf = (shape: readonly number[]): number => {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
};

export const sameShape = (a: readonly number[], b: readonly number[]): boolean => {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

/** Code by key, made at its first use, one cache for each memory. */
export class CodeCache<K, V> {
  private readonly byMemory = new WeakMap<WebAssembly.Memory, Map<K, V>>();
  private last: WebAssembly.Memory | undefined;
  private lastMap = new Map<K, V>();

  get({ heap: { memory } }: NullclineBackend, key: K, make: () => V): V {
    if (memory !== this.last) {
      this.last = memory;
      this.lastMap = this.byMemory.get(memory) ?? new Map<K, V>();
      this.byMemory.set(memory, this.lastMap);
    }
    let code = this.lastMap.get(key);
    if (code === undefined) this.lastMap.set(key, (code = make()));
    return code;
  }
}
