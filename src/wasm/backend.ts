/**
 * A tfjs backend whose tensors live in one WebAssembly memory, in single or double precision.
 *
 * Results of kernels written in JavaScript stay in the arrays they were computed in until somebody asks where in memory
 * they are: a chain of such kernels copies nothing. While such a kernel runs nothing is allocated, so the views of memory
 * it reads from stay valid.
 */
import * as tf from '@tensorflow/tfjs-core';
import { builtin } from '../core/host.js';
import { asKind, storageOf, type Numbers, type Precision, type Storage } from './backend-values.js';
import { EntryStorage, StoredEntry, type Owner } from './entries.js';
import { Heap } from './heap.js';
import { WORTH } from './threads/share-out.js';
import { Team } from './threads/team.js';
import {
  isUntied,
  letGo,
  settle,
  tie,
  tiesOf,
  type ComplexParts,
  type Conversion,
  type Entry,
  type Values,
} from './ties.js';

export class NullclineBackend extends tf.KernelBackend implements Owner {
  readonly heap = new Heap();
  /** tfjs's cpu kernels read `data.get(id).values`. */
  readonly data: tf.DataStorage<Entry>;
  /** What tfjs registers the kernels of this backend under, by their names. */
  readonly kernelKeys = new Map<string, string>();
  /** Who computes large kernels together; undefined for the main thread alone. */
  team: Team | undefined;
  /** Floats in all tensors, as tfjs counts: once for each tensor that shares them. */
  private floats = 0;
  /** The tile of tfjs's cpu matrix product. */
  readonly blockSize = 48;
  /** Buffers made by the kernel that is running, or null while none is. */
  private made: object[] | null = null;

  constructor(readonly precision: Precision) {
    super();
    this.data = new EntryStorage(this, tf.engine());
  }

  /** How many threads compute large kernels; results do not depend on it. */
  get threads(): number {
    return this.team?.size ?? 1;
  }

  /**
   * Compute large kernels on that many threads from now on. All memory is copied to one that threads share, or back; programs
   * are compiled anew when they run next.
   *
   * @param worth - Nanoseconds that a kernel takes, roughly, from which on several threads compute it.
   * @throws HeapError where there is no room for the copy, and an error of Node where threads are not to be had.
   */
  useThreads(threads: number, worth = WORTH): void {
    if (threads === this.threads) return;
    if (builtin('worker_threads') === undefined)
      throw new Error('there are no worker threads here: only Node has them');
    this.heap.move(threads > 1);
    this.team?.end();
    this.team = undefined;
    if (threads > 1) this.team = new Team(this.heap.memory, threads, worth);
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

  /**
   * Where in the heap the buffer's numbers are. They stay there until it is freed; the heap may grow meanwhile.
   *
   * `dtype` is that of the tensor. It may be another than the buffer's where both come from tfjs's cpu backend, which
   * labels integers as floats and leaves them as they are.
   */
  pointerOf(dataId: object, dtype?: tf.DataType): number {
    const entry = dataId as StoredEntry;
    if (entry.home !== this) return this.placed(this.labelled(dataId, dtype));
    return entry.pointer === 0 ? this.placed(entry) : entry.pointer;
  }

  /**
   * A buffer of the same numbers in a wider dtype, which are converted when somebody asks for them.
   *
   * @param convert - Writes as many converted numbers, from one address to another.
   */
  widened({ dataId, shape, dtype: from }: tf.TensorInfo, dtype: tf.DataType, convert: Conversion): tf.TensorInfo {
    const source = this.labelled(dataId, from);
    const entry = new StoredEntry(this, dtype, shape.slice(), source.length, null, 0);
    tie(entry, source).convert = convert;
    return this.add(entry);
  }

  /**
   * A buffer of some of the numbers of another, in a row from the one at `offset` on, where they are. The memory of all of them
   * stays until both buffers are freed. Vectors read from it may begin anywhere.
   */
  part({ dataId, dtype }: tf.TensorInfo, offset: number, shape: number[]): tf.TensorInfo {
    const whole = this.labelled(dataId, dtype);
    const pointer = this.placed(whole) + offset * (storageOf(dtype, this.precision) as Storage).bytes;
    const entry = new StoredEntry(this, dtype, shape.slice(), lengthOf(shape), null, pointer);
    tie(entry, whole);
    return this.add(entry);
  }

  /** The two real buffers of a complex one. */
  partsOf(dataId: object): ComplexParts | undefined {
    return this.entryOf(dataId).complexTensorInfos;
  }

  /** A complex buffer of two real ones, which it owns from now on. */
  paired(real: tf.TensorInfo, imag: tf.TensorInfo): tf.TensorInfo {
    const entry = new StoredEntry(this, 'complex64', real.shape.slice(), lengthOf(real.shape), null, 0);
    entry.complexTensorInfos = { real, imag };
    return this.add(entry);
  }

  /** Make a buffer of a heap block that holds its elements. The backend owns the block from now on. */
  adopt(pointer: number, shape: readonly number[], dtype: tf.DataType): tf.TensorInfo {
    return this.adoptResult(pointer, shape.slice(), lengthOf(shape), dtype);
  }

  /** The same with a shape that nobody will change. */
  adoptResult(pointer: number, shape: number[], length: number, dtype: tf.DataType): tf.TensorInfo {
    return this.add(new StoredEntry(this, dtype, shape, length, null, pointer));
  }

  /** All of the memory as elements of a dtype. Anything that is allocated later may make it stale. */
  elements(dtype: tf.DataType): Numbers {
    const { heap } = this;
    if (dtype === 'int32') return heap.i32;
    if (dtype === 'bool') return heap.u8;
    return this.precision === 64 ? heap.f64 : heap.f32;
  }

  /** A block of the heap for as many elements, to be adopted or released. */
  allocateFor(length: number, dtype: tf.DataType): number {
    return this.heap.allocate(length * (dtype === 'float32' ? this.precision / 8 : dtype === 'int32' ? 4 : 1));
  }

  /** Does one tensor hold this buffer, whose numbers are in the heap, and nothing else? */
  isAlone(dataId: object): boolean {
    const entry = this.entryOf(dataId);
    return entry.refCount === 1 && entry.pointer !== 0 && isUntied(entry);
  }

  /** Leave the block of a buffer to the caller, who knows where it is. Nothing can be done with the buffer but freeing it. */
  surrender(dataId: object): void {
    this.entryOf(dataId).pointer = 0;
  }

  override write(values: Values, shape: number[], dtype: tf.DataType): object {
    return this.add(this.entryFor(values, shape, dtype));
  }

  override move(dataId: object, values: Values, shape: number[], dtype: tf.DataType, refCount: number): void {
    const entry = this.entryFor(values, shape, dtype);
    entry.refCount = refCount;
    this.data.set(dataId, entry);
    this.countFloats(entry, refCount);
    this.countParts(entry, -1);
    this.made?.push(dataId);
  }

  /** A buffer of values that a kernel has just computed and nobody else will change. */
  makeTensorInfo(shape: number[], dtype: tf.DataType, values?: Values | string[]): tf.TensorInfo {
    let entry: StoredEntry;
    const storage = storageOf(dtype, this.precision);
    if (storage !== undefined) {
      let numbers = asKind((values ?? []) as ArrayLike<number>, storage);
      // A view of the heap would outlive its block. It begins elsewhere than at 0; asking for the buffer of a small array
      // of its own would make one.
      if (numbers.byteOffset !== 0 && this.heap.isPart(numbers)) numbers = numbers.slice();
      entry = new StoredEntry(this, dtype, shape.slice(), numbers.length, numbers, 0);
    } else {
      const strings = values as Uint8Array[] | string[] | undefined;
      const encoded = (strings ?? []).map((s) => (typeof s === 'string' ? tf.util.encodeString(s) : s));
      entry = new StoredEntry(this, dtype, shape.slice(), lengthOf(shape), encoded, 0);
    }
    return { dataId: this.add(entry), shape, dtype };
  }

  override refCount(dataId: object): number {
    return this.data.has(dataId) ? this.data.get(dataId).refCount : 0;
  }

  override incRef(dataId: object): void {
    const entry = this.data.get(dataId);
    entry.refCount++;
    this.countFloats(entry, 1);
  }

  decRef(dataId: object): void {
    if (!this.data.has(dataId)) return;
    const entry = this.data.get(dataId);
    entry.refCount--;
    this.countFloats(entry, -1);
  }

  override disposeData(dataId: object, force = false): boolean {
    const isOwn = (dataId as Partial<StoredEntry>).home === this;
    if (!isOwn && !this.data.has(dataId)) return true;
    const entry = isOwn ? (dataId as StoredEntry) : this.data.get(dataId);
    entry.refCount--;
    this.countFloats(entry, -1);
    if (!force && entry.refCount > 0) return false;
    this.data.delete(dataId);
    if (entry.refCount > 0) this.countFloats(entry, -entry.refCount);
    this.countParts(entry, 1);
    letGo(entry, this.heap);
    const { ties } = entry;
    if (ties === undefined) return true;
    if (ties.labels !== undefined) for (const other of ties.labels) letGo(other, this.heap);
    if (ties.complexTensorInfos !== undefined) {
      this.disposeData(ties.complexTensorInfos.real.dataId, true);
      this.disposeData(ties.complexTensorInfos.imag.dataId, true);
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

  /**
   * tfjs adds its own counts; ours are the bytes of the heap in use, and all it has. tfjs counts four bytes for every float:
   * what doubles have more is added to what it writes.
   */
  override memory(): { unreliable: boolean; heapBytes: number; heapSize: number } {
    const more = (this.precision / 8 - 4) * this.floats;
    let counted = 0;
    const info = {
      unreliable: false,
      heapBytes: this.heap.bytesInUse,
      heapSize: this.heap.size,
      get numBytes(): number {
        return counted + more;
      },
      set numBytes(bytes: number) {
        counted = bytes;
      },
    };
    return info;
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
    this.team?.end();
    // The memory goes with the last reference to this object.
  }

  private entryOf(dataId: object): Entry {
    if ((dataId as Partial<StoredEntry>).home === this) return dataId as StoredEntry;
    return this.data.get(dataId); // which fetches it where another backend has it
  }

  /** The buffer as one of that dtype. */
  private labelled(dataId: object, dtype: tf.DataType | undefined): Entry {
    const entry = this.entryOf(dataId);
    return dtype === undefined || entry.dtype === dtype ? entry : this.relabelled(entry, dtype);
  }

  /** The numbers of a buffer as those of another dtype, kept as long as it. */
  private relabelled(entry: Entry, dtype: tf.DataType): Entry {
    const known = entry.ties?.labels?.find((other) => other.dtype === dtype);
    if (known !== undefined) return known;
    const storage = storageOf(dtype, this.precision);
    if (storage === undefined) throw new Error(`a ${entry.dtype} buffer cannot be read as ${dtype}`);
    const numbers = asKind(entry.values as ArrayLike<number>, storage);
    const other = new StoredEntry(this, dtype, [entry.length], entry.length, numbers, 0);
    (tiesOf(entry).labels ??= []).push(other);
    return other;
  }

  private countFloats(entry: Entry, tensors: number): void {
    if (entry.dtype === 'float32') this.floats += tensors * entry.length;
  }

  /** The two parts of a complex buffer are no tensors: tfjs counts nothing for them. */
  private countParts(entry: Entry, sign: 1 | -1): void {
    if (entry.dtype === 'complex64') this.floats += sign * 2 * entry.length;
  }

  private add(entry: StoredEntry): StoredEntry {
    this.data.set(entry, entry);
    this.countFloats(entry, 1);
    this.countParts(entry, -1);
    this.made?.push(entry);
    return entry;
  }

  private entryFor(values: Values, given: number[], dtype: tf.DataType): StoredEntry {
    const shape = given.slice(); // the caller's, who may change it
    if (dtype === 'complex64') {
      const pairs = values as Float32Array;
      const entry = new StoredEntry(this, dtype, shape, pairs.length / 2, null, 0);
      const part = (offset: 0 | 1): tf.TensorInfo => {
        const numbers = Float64Array.from({ length: pairs.length / 2 }, (_, i) => pairs[2 * i + offset]);
        return this.makeTensorInfo(shape, 'float32', numbers as unknown as Float32Array);
      };
      entry.complexTensorInfos = { real: part(0), imag: part(1) };
      return entry;
    }
    const storage = storageOf(dtype, this.precision);
    if (storage === undefined)
      return new StoredEntry(this, dtype, shape, values.length, (values as Uint8Array[]).slice(), 0);
    const numbers = values as unknown as ArrayLike<number>;
    // The caller may change its array afterwards: a copy. Within a kernel it must not go to the heap, see above.
    if (this.made !== null) return new StoredEntry(this, dtype, shape, numbers.length, new storage.make(numbers), 0);
    const entry = new StoredEntry(this, dtype, shape, numbers.length, asKind(numbers, storage), 0);
    this.placed(entry);
    return entry;
  }

  /** Where in the heap the numbers are, from now on. */
  private placed(entry: Entry): number {
    if (entry.pointer !== 0) return entry.pointer;
    const storage = storageOf(entry.dtype, this.precision);
    if (storage === undefined) throw new Error(`a ${entry.dtype} tensor has no single place in memory`);
    const source = entry.ties?.source;
    const from = source === undefined ? 0 : this.placed(source);
    const pointer = this.heap.allocate(entry.length * storage.bytes);
    const convert = entry.ties?.convert;
    if (convert === undefined) {
      this.elements(entry.dtype).set(entry.host as Numbers, pointer / storage.bytes);
      entry.pointer = pointer;
    } else {
      convert(pointer, from, entry.length);
      entry.pointer = pointer;
      settle(entry, this.heap);
    }
    entry.host = null;
    return pointer;
  }
}

function lengthOf(shape: readonly number[]): number {
  let n = 1;
  for (let i = 0; i < shape.length; i++) n *= shape[i];
  return n;
}
