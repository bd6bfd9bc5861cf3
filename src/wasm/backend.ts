/**
 * A tfjs backend whose tensors live in one WebAssembly memory, in single or double precision.
 *
 * Results of kernels written in JavaScript stay in the arrays they were computed in until somebody asks where in memory
 * they are: a chain of such kernels copies nothing. While such a kernel runs nothing is allocated, so the views of memory
 * it reads from stay valid.
 */
import * as tf from '@tensorflow/tfjs';
import { asKind, storageOf, type Numbers, type Precision } from './backend-values.js';
import { Heap } from './heap.js';

type Values = tf.backend_util.BackendValues;

/** One buffer. Its numbers are in `host`, or, once they have been asked for by address, in the heap. */
interface Entry {
  readonly dtype: tf.DataType;
  readonly length: number;
  refCount: number;
  host: Numbers | Uint8Array[] | null;
  /** 0 while the numbers are not in the heap. */
  pointer: number;
  /** What tfjs's kernels read; a view where the numbers are in the heap. */
  readonly values: Values | undefined;
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };
}

export class NullclineBackend extends tf.KernelBackend {
  readonly heap = new Heap();
  /** tfjs's cpu kernels read `data.get(id).values`. */
  readonly data: tf.DataStorage<Entry>;
  /** The tile of tfjs's cpu matrix product. */
  readonly blockSize = 48;
  /** Buffers made by the kernel that is running, or null while none is. */
  private made: object[] | null = null;

  constructor(readonly precision: Precision) {
    super();
    this.data = new tf.DataStorage<Entry>(this, tf.engine());
  }

  /** Is a kernel running that holds views of the memory? Then nothing may be allocated there. */
  get hosting(): boolean {
    return this.made !== null;
  }

  /**
   * Run a kernel that computes in JavaScript on views of the memory. If it throws, what it had made is freed.
   */
  host<T>(kernel: () => T): T {
    const outer = this.made;
    const made: object[] = [];
    this.made = made;
    try {
      const result = kernel();
      outer?.push(...made);
      return result;
    } catch (error) {
      for (const dataId of made) if (this.data.has(dataId)) this.disposeData(dataId, true);
      throw error;
    } finally {
      this.made = outer;
    }
  }

  /** Where in the heap the buffer's numbers are. They stay there until it is freed; the heap may grow meanwhile. */
  pointerOf(dataId: object): number {
    const entry = this.entryOf(dataId);
    if (entry.pointer === 0) this.place(entry);
    return entry.pointer;
  }

  /** Make a buffer of a heap block that holds its elements. The backend owns the block from now on. */
  adopt(pointer: number, shape: readonly number[], dtype: tf.DataType): tf.TensorInfo {
    const length = tf.util.sizeFromShape(shape as number[]);
    return { dataId: this.add(this.makeEntry(dtype, length, null, pointer)), shape: [...shape], dtype };
  }

  override write(values: Values, shape: number[], dtype: tf.DataType): object {
    const dataId = {};
    this.store(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(dataId: object, values: Values, shape: number[], dtype: tf.DataType, refCount: number): void {
    this.store(dataId, values, shape, dtype, refCount);
  }

  /** A buffer of values that a kernel has just computed and nobody else will change. */
  makeTensorInfo(shape: number[], dtype: tf.DataType, values?: Values | string[]): tf.TensorInfo {
    let entry: Entry;
    const storage = storageOf(dtype, this.precision);
    if (storage !== undefined) {
      let numbers = asKind((values ?? []) as ArrayLike<number>, storage);
      // A view of the heap would outlive its block.
      if (numbers.buffer === this.heap.u8.buffer) numbers = numbers.slice();
      entry = this.makeEntry(dtype, numbers.length, numbers, 0);
    } else {
      const strings = values as Uint8Array[] | string[] | undefined;
      const encoded = (strings ?? []).map((s) => (typeof s === 'string' ? tf.util.encodeString(s) : s));
      entry = this.makeEntry(dtype, tf.util.sizeFromShape(shape), encoded, 0);
    }
    return { dataId: this.add(entry), shape, dtype };
  }

  override refCount(dataId: object): number {
    return this.data.has(dataId) ? this.data.get(dataId).refCount : 0;
  }

  override incRef(dataId: object): void {
    this.data.get(dataId).refCount++;
  }

  decRef(dataId: object): void {
    if (this.data.has(dataId)) this.data.get(dataId).refCount--;
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!this.data.has(dataId)) return true;
    const entry = this.data.get(dataId);
    entry.refCount--;
    if (!force && entry.refCount > 0) return false;
    this.data.delete(dataId);
    if (entry.pointer !== 0) this.heap.release(entry.pointer);
    if (entry.complexTensorInfos !== undefined) {
      this.disposeData(entry.complexTensorInfos.real.dataId, true);
      this.disposeData(entry.complexTensorInfos.imag.dataId, true);
    }
    return true;
  }

  disposeIntermediateTensorInfo({ dataId }: tf.TensorInfo): void {
    this.disposeData(dataId);
  }

  /** A copy of the values: an array that was read does not change with the tensor, nor the tensor with it. */
  override readSync(dataId: object): Values {
    const entry = this.data.get(dataId);
    const parts = entry.complexTensorInfos;
    if (parts === undefined) return (entry.values ?? []).slice();
    const real = this.data.get(parts.real.dataId).values as Numbers;
    const imag = this.data.get(parts.imag.dataId).values as Numbers;
    const merged = real instanceof Float64Array ? new Float64Array(2 * real.length) : new Float32Array(2 * real.length);
    for (let i = 0; i < real.length; i++) {
      merged[2 * i] = real[i];
      merged[2 * i + 1] = imag[i];
    }
    return merged as Float32Array;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- turns what readSync throws into a rejection
  override async read(dataId: object): Promise<Values> {
    return this.readSync(dataId);
  }

  bufferSync({ dataId, shape, dtype }: tf.TensorInfo): tf.TensorBuffer<tf.Rank> {
    const values: unknown = this.readSync(dataId);
    const decoded = dtype === 'string' ? (values as Uint8Array[]).map((s) => tf.util.decodeString(s)) : values;
    return tf.buffer(shape, dtype, decoded as Float32Array) as tf.TensorBuffer<tf.Rank>;
  }

  /** A tensor that tfjs tracks, of values that a kernel has just computed. */
  makeOutput(values: Values, shape: number[], dtype: tf.DataType): tf.Tensor {
    return tf.engine().makeTensorFromTensorInfo(this.makeTensorInfo(shape, dtype, values), this);
  }

  where(condition: tf.Tensor): tf.Tensor2D {
    return tf.kernel_impls.whereImpl(condition.shape, this.readSync(condition.dataId) as Uint8Array);
  }

  override numDataIds(): number {
    return this.data.numDataIds();
  }

  /** tfjs adds its own counts; ours are the bytes of the heap in use, and all it has. */
  override memory(): { unreliable: boolean; heapBytes: number; heapSize: number } {
    return { unreliable: false, heapBytes: this.heap.bytesInUse, heapSize: this.heap.size };
  }

  // tfjs's types know only 16 and 32.
  override floatPrecision(): 16 | 32 {
    return this.precision as 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- turns what f throws into a rejection
  override async time(f: () => void): Promise<tf.BackendTimingInfo> {
    const start = tf.util.now();
    f();
    return { kernelMs: tf.util.now() - start };
  }

  override dispose(): void {
    // The memory goes with the last reference to this object.
  }

  private entryOf(dataId: object): Entry {
    const engine = tf.engine() as unknown as { state: { tensorInfo: WeakMap<object, unknown> } };
    if (!this.data.has(dataId) && !engine.state.tensorInfo.has(dataId)) {
      throw new Error('this buffer has been freed, or is of another backend');
    }
    return this.data.get(dataId); // which fetches it where another backend has it
  }

  private add(entry: Entry): object {
    const dataId = {};
    this.data.set(dataId, entry);
    this.made?.push(dataId);
    return dataId;
  }

  private store(dataId: object, values: Values, shape: number[], dtype: tf.DataType, refCount: number): void {
    const entry = this.entryFor(values, shape, dtype);
    entry.refCount = refCount;
    this.data.set(dataId, entry);
    this.made?.push(dataId);
  }

  private entryFor(values: Values, shape: number[], dtype: tf.DataType): Entry {
    if (dtype === 'complex64') {
      const pairs = values as Float32Array;
      const entry = this.makeEntry(dtype, pairs.length / 2, null, 0);
      const part = (offset: 0 | 1): tf.TensorInfo => {
        const numbers = Float64Array.from({ length: pairs.length / 2 }, (_, i) => pairs[2 * i + offset]);
        return this.makeTensorInfo(shape, 'float32', numbers as unknown as Float32Array);
      };
      entry.complexTensorInfos = { real: part(0), imag: part(1) };
      return entry;
    }
    const storage = storageOf(dtype, this.precision);
    if (storage === undefined) return this.makeEntry(dtype, values.length, (values as Uint8Array[]).slice(), 0);
    const numbers = values as unknown as ArrayLike<number>;
    // The caller may change its array afterwards: a copy. Within a kernel it must not go to the heap, see above.
    if (this.made !== null) return this.makeEntry(dtype, numbers.length, new storage.make(numbers), 0);
    const entry = this.makeEntry(dtype, numbers.length, asKind(numbers, storage), 0);
    this.place(entry);
    return entry;
  }

  private place(entry: Entry): void {
    const storage = storageOf(entry.dtype, this.precision);
    if (storage === undefined) throw new Error(`a ${entry.dtype} tensor has no single place in memory`);
    const pointer = this.heap.allocate(entry.length * storage.bytes);
    const view = new storage.over(this.heap.u8.buffer, pointer, entry.length);
    view.set(entry.host as Numbers);
    entry.pointer = pointer;
    entry.host = null;
  }

  private makeEntry(dtype: tf.DataType, length: number, host: Entry['host'], pointer: number): Entry {
    return new StoredEntry(this, dtype, length, host, pointer);
  }
}

class StoredEntry implements Entry {
  refCount = 1;
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };

  constructor(
    private readonly backend: NullclineBackend,
    readonly dtype: tf.DataType,
    readonly length: number,
    public host: Entry['host'],
    public pointer: number,
  ) {}

  get values(): Values | undefined {
    if (this.pointer === 0) return (this.host as Values | null) ?? undefined;
    const { heap, precision } = this.backend;
    const storage = storageOf(this.dtype, precision);
    return storage && (new storage.over(heap.u8.buffer, this.pointer, this.length) as Float32Array);
  }
}
