/**
 * The hand-written limit: C for 128-bit vectors compiled to WebAssembly (`limit32.wasm` and `limit64.wasm`), where its
 * directory is given: the first argument of a benchmark, or NULLCLINE_LIMIT. It runs in the same races as everything else.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { limitDirectory, type Contestant } from './measure.js';

interface Exports {
  readonly init: () => void;
  readonly check: () => number;
  readonly run: (kernel: number, batch: number, repetitions: number) => number;
}

/** Its kernels by what they compute; where two do the same, vectorised over hidden units and over the batch. */
const KERNELS: Readonly<Record<string, readonly number[]>> = {
  '2-50-2 forward': [1, 3],
  '2-50-2 gradients': [7, 8],
  '64-256-64 forward': [5],
  '64-256-64 gradients': [6],
};

export class Limit {
  private constructor(private readonly exports: Exports) {}

  static load(bits: 32 | 64): Limit | undefined {
    const directory = limitDirectory();
    const file = directory === undefined ? undefined : join(directory, `limit${bits}.wasm`);
    if (file === undefined || !existsSync(file)) {
      console.log(`the hand-written limit is absent: give the directory of limit${bits}.wasm as the first argument`);
      return undefined;
    }
    const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {});
    const exports = instance.exports as unknown as Exports;
    exports.init();
    if (!(exports.check() < 1e-4)) throw new Error('the limit does not compute what it should');
    return new Limit(exports);
  }

  /** Contestants that compute it at that batch: the fastest of them is the limit. */
  contestants(what: string, batch: number): Contestant[] {
    const { run } = this.exports;
    const kernels = KERNELS[what].slice(0, batch === 1 ? 1 : 2);
    return kernels.map((kernel) => ({ name: 'limit', run: () => run(kernel, batch, 1) }));
  }
}

/** The fastest of the contestants of that name; NaN where there is none. */
export function fastest(name: string, all: readonly Contestant[], times: readonly number[]): number {
  const own = times.filter((_, i) => all[i].name === name);
  return own.length === 0 ? NaN : Math.min(...own);
}
