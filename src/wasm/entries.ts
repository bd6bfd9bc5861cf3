/**
 * The buffers of a backend: numbers in an array or in the heap, and how tfjs finds them by their ids.
 */
import * as tf from '@tensorflow/tfjs-core';
import { freedBuffer } from '../graph/donation.js';
import { engineInternals } from '../graph/engine.js';
import { storageOf, type Numbers, type Precision, type Storage } from './backend-values.js';
import { DataId } from './data-infos.js';
import type { Heap } from './heap.js';
import { settle, tiesOf, type ComplexParts, type Entry, type Ties, type Values } from './ties.js';

/** What a buffer needs of the backend that it belongs to. */
export interface Owner {
  readonly heap: Heap;
  readonly precision: Precision;
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
      // tfjs would look for it forever where it takes it to be here, and stumble where it knows nothing of it.
      const known = engineInternals().state.tensorInfo.get(dataId);
      if (known === undefined || known.backend === this.owner) throw new Error(freedBuffer(dataId));
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
    if ((dataId as Partial<StoredEntry>).home === this.owner) (dataId as StoredEntry).home = null;
    else if (!this.arrived.delete(dataId)) return false;
    this.count--;
    return true;
  }

  override numDataIds(): number {
    return this.count;
  }
}

/** An entry that is its own id, and what a kernel says of its result. */
export class StoredEntry extends DataId implements Entry, tf.TensorInfo {
  readonly dataId = this;
  refCount = 1;
  /** The backend whose buffer this is while its id is this object and it has not been freed. */
  home: Owner | null = null;
  ties: Ties | undefined = undefined;

  constructor(
    private readonly owner: Owner,
    readonly dtype: tf.DataType,
    readonly shape: number[],
    readonly length: number,
    public host: Entry['host'],
    public pointer: number,
  ) {
    super();
  }

  get complexTensorInfos(): ComplexParts | undefined {
    return this.ties?.complexTensorInfos;
  }

  set complexTensorInfos(parts: ComplexParts | undefined) {
    tiesOf(this).complexTensorInfos = parts;
  }

  get values(): Values | undefined {
    if (this.pointer === 0) {
      if (this.ties?.source !== undefined) this.convertHere(this.ties.source);
      return (this.host as Values | null) ?? undefined;
    }
    const { heap, precision } = this.owner;
    const { buffer } = heap.u8;
    if ((this.host as Numbers | null)?.buffer !== buffer) {
      const storage = storageOf(this.dtype, precision) as Storage;
      this.host = new storage.over(buffer, this.pointer, this.length);
    }
    return this.host as Float32Array;
  }

  /** Where a kernel of JavaScript asks, nothing may be allocated in the heap. */
  private convertHere(source: Entry): void {
    const { make } = storageOf(this.dtype, this.owner.precision) as Storage;
    this.host = new make(source.values as ArrayLike<number>);
    settle(this, this.owner.heap);
  }
}
