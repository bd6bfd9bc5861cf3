/**
 * Host numbers to buffers of the active backend and back, and the few kernels a solver's loop needs by itself.
 */
import * as tf from '@tensorflow/tfjs';
import type { Buffer } from '../../src/graph/executor.js';
import { sizeOf } from '../../src/graph/graph.js';
import { share } from '../../src/graph/interpret.js';

export class Device {
  /** Does the backend store doubles? Then host numbers keep all their digits. */
  private readonly double: boolean;

  constructor(
    readonly backend: tf.KernelBackend,
    private readonly backendName: string,
  ) {
    this.double = (backend.floatPrecision() as number) === 64;
  }

  upload(values: readonly number[], shape: number[]): Buffer {
    const data = this.double ? Float64Array.from(values) : Float32Array.from(values);
    return { dataId: this.backend.write(data as unknown as Float32Array, shape, 'float32'), shape, dtype: 'float32' };
  }

  integers(values: readonly number[], shape: number[]): Buffer {
    return { dataId: this.backend.write(Int32Array.from(values), shape, 'int32'), shape, dtype: 'int32' };
  }

  filled(value: number, shape: readonly number[]): Buffer {
    return this.upload(new Array<number>(sizeOf(shape)).fill(value), [...shape]);
  }

  read(buffer: Buffer): number[] {
    return Array.from(this.backend.readSync(buffer.dataId) as Float32Array);
  }

  scalar(buffer: Buffer): number {
    return (this.backend.readSync(buffer.dataId) as Float32Array)[0];
  }

  free(...buffers: readonly (Buffer | undefined)[]): void {
    for (const buffer of buffers) if (buffer !== undefined) this.backend.disposeData(buffer.dataId);
  }

  /** One tfjs kernel, at once. */
  private kernel(name: string, inputs: Record<string, Buffer> | Buffer[], attrs: Record<string, unknown> = {}): Buffer {
    const { kernelFunc } = tf.getKernel(name, this.backendName);
    return kernelFunc({
      inputs: inputs as tf.NamedTensorInfoMap,
      attrs: attrs as tf.NamedAttrMap,
      backend: this.backend,
    }) as Buffer;
  }

  add(a: Buffer, b: Buffer): Buffer {
    return this.kernel('Add', { a, b });
  }

  /** `count` rows from `start` on. */
  rows(x: Buffer, start: number, count: number): Buffer {
    const begin = x.shape.map((_, i) => (i === 0 ? start : 0));
    return this.kernel('Slice', { x }, { begin, size: [count, ...x.shape.slice(1)] });
  }

  /** Rows one after another. The pieces are freed. */
  stackRows(pieces: Buffer[]): Buffer {
    if (pieces.length === 1) return pieces[0];
    const all = this.kernel('Concat', pieces, { axis: 0 });
    this.free(...pieces);
    return all;
  }

  /** The same numbers in another shape, as another reference. */
  reshaped(buffer: Buffer, shape: number[]): Buffer {
    return { ...this.share(buffer), shape };
  }

  /** Another reference to the same buffer. */
  share(buffer: Buffer): Buffer {
    return share(this.backend, buffer);
  }
}
