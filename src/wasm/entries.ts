/**
 * The buffers of a backend: numbers in an array or in the heap, and how tfjs finds them by their ids.
 */
import * as tf from '@tensorflow/tfjs-core';
import { storageOf, type Numbers, type Precision, type Storage } from './backend-values.js';
import { DataId } from './data-infos.js';
import type { Heap } from './heap.js';

type Values = tf.backend_util.BackendValues;

/** What a buffer needs of the backend that it belongs to. */
export interface Owner {
  readonly heap: Heap;
  readonly precision: Precision;
  /** The buffer has numbers of its own now. */
  settle(entry: Entry): void;
}

/** Writes the numbers at `from`, converted, to `to`. */
export type Conversion = (to: number, from: number, length: number) => void;

/** One buffer. Its numbers are in `host`, or, once they have been asked for by address, in the heap. */
export interface Entry {
  readonly dtype: tf.DataType;
  readonly length: number;
  refCount: number;
  host: Numbers | Uint8Array[] | null;
  /** 0 while the numbers are not in the heap. */
  pointer: number;
  /** What tfjs's kernels read; a view where the numbers are in the heap. */
  readonly values: Values | undefined;
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };
  /** The buffer whose numbers these are in another dtype, until they have been converted. */
  source: Entry | null;
  convert: Conversion | null;
  /** Buffers that have still to convert what is here: it stays until they have, though this one be freed. */
  borrowers: number;
  isFreed: boolean;
  /** The same numbers for tensors that share this buffer under another dtype. */
  labels: Entry[] | undefined;
}

/**
 * The buffers of a backend by their ids. Every id that this backend gives out is the buffer's entry itself, so that finding
 * it takes no table; only buffers that came from another backend keep the id they had there.
 */
export class EntryStorage extends tf.DataStorage<Entry> {
  private readonly arrived = new WeakMap<object, Entry>();
  private count = 0;

  constructor(
    private readonly owner: Owner & tf.KernelBackend,
    private readonly mover: tf.DataMover,
  ) {
    super(owner, mover);
  }

  override get(dataId: object): Entry {
    if ((dataId as Partial<StoredEntry>).home === this.owner) return dataId as StoredEntry;
    let entry = this.arrived.get(dataId);
    if (entry === undefined) {
      this.mover.moveData(this.owner, dataId);
      entry = this.arrived.get(dataId);
    }
    return entry as Entry;
  }

  override set(dataId: object, entry: Entry): void {
    this.count++;
    if (dataId === entry) (dataId as StoredEntry).home = this.owner;
    else this.arrived.set(dataId, entry);
  }

  override has(dataId: object): boolean {
    return (dataId as Partial<StoredEntry>).home === this.owner || this.arrived.has(dataId);
  }

  override delete(dataId: object): boolean {
    if (!this.has(dataId)) return false;
    this.count--;
    if (!this.arrived.delete(dataId)) (dataId as StoredEntry).home = null;
    return true;
  }

  override numDataIds(): number {
    return this.count;
  }
}

export class StoredEntry extends DataId implements Entry {
  refCount = 1;
  /** The backend whose buffer this is while its id is this object and it has not been freed. */
  home: Owner | null = null;
  private view: Numbers | null = null;
  complexTensorInfos?: { real: tf.TensorInfo; imag: tf.TensorInfo };
  source: Entry | null = null;
  convert: Conversion | null = null;
  borrowers = 0;
  isFreed = false;
  labels: Entry[] | undefined = undefined;

  constructor(
    private readonly backend: Owner,
    readonly dtype: tf.DataType,
    readonly length: number,
    public host: Entry['host'],
    public pointer: number,
  ) {
    super();
  }

  get values(): Values | undefined {
    if (this.pointer === 0) {
      if (this.source !== null) this.convertHere();
      return (this.host as Values | null) ?? undefined;
    }
    const { heap, precision } = this.backend;
    const { buffer } = heap.u8;
    if (this.view?.buffer !== buffer) {
      const storage = storageOf(this.dtype, precision);
      this.view = storage === undefined ? null : new storage.over(buffer, this.pointer, this.length);
    }
    return (this.view ?? undefined) as Float32Array | undefined;
  }

  /** Where a kernel of JavaScript asks, nothing may be allocated in the heap. */
  private convertHere(): void {
    const { make } = storageOf(this.dtype, this.backend.precision) as Storage;
    this.host = new make((this.source as Entry).values as ArrayLike<number>);
    this.backend.settle(this);
  }
}
