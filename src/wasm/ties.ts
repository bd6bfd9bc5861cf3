/**
 * What ties a buffer to others: some that are complex are two, some have their numbers in another. Memory goes when the last that
 * needs it is gone.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Numbers } from './backend-values.js';
import type { Heap } from './heap.js';

export type Values = tf.backend_util.BackendValues;

/** Writes the numbers at `from`, converted, to `to`. */
export type Conversion = (to: number, from: number, length: number) => void;

/** What ties a buffer to others. Most have no such thing. */
export interface Ties {
  complexTensorInfos: ComplexParts | undefined;
  /** The buffer where these numbers are: among its own, or in another dtype until they have been converted. */
  source: Entry | undefined;
  /** Undefined where the numbers lie in the source and stay there. */
  convert: Conversion | undefined;
  /** Buffers whose numbers are here: they stay until those are gone or have converted them, though this one be freed. */
  borrowers: number;
  isFreed: boolean;
  /** The same numbers for tensors that share this buffer under another dtype. */
  labels: Entry[] | undefined;
}

export interface ComplexParts {
  real: tf.TensorInfo;
  imag: tf.TensorInfo;
}

/** One buffer. Its numbers are in `host`, or, once they have been asked for by address, in the heap. */
export interface Entry {
  readonly dtype: tf.DataType;
  readonly length: number;
  refCount: number;
  /** A view of the heap, where the numbers are there and somebody asked for `values`. */
  host: Numbers | Uint8Array[] | null;
  /** 0 while the numbers are not in the heap. */
  pointer: number;
  /** What tfjs's kernels read; a view where the numbers are in the heap. */
  readonly values: Values | undefined;
  /** tfjs's kernels read and set it. */
  complexTensorInfos: ComplexParts | undefined;
  ties: Ties | undefined;
}

/** The ties of a buffer, from now on. */
export const tiesOf = (entry: Entry): Ties =>
  (entry.ties ??= { complexTensorInfos: undefined, source: undefined, convert: undefined, borrowers: 0, isFreed: false, labels: undefined }); // prettier-ignore

/** The numbers of `entry` are in `source`, which stays as long as they are needed there. */
export function tie(entry: Entry, source: Entry): Ties {
  tiesOf(source).borrowers++;
  const ties = tiesOf(entry);
  ties.source = source;
  return ties;
}

/** A buffer that needs its source no more. */
export function settle(entry: Entry, heap: Heap): void {
  const ties = entry.ties as Ties;
  const source = ties.source as Entry;
  ties.source = undefined;
  ties.convert = undefined;
  const own = source.ties as Ties;
  if (--own.borrowers === 0 && own.isFreed) empty(source, heap);
}

/** Nobody has the buffer any more; others may have their numbers there. */
export function letGo(entry: Entry, heap: Heap): void {
  const { ties } = entry;
  if (ties !== undefined && ties.borrowers > 0) ties.isFreed = true;
  else empty(entry, heap);
}

/** Give back what holds the numbers: a tensor that was disposed of may live on, and its id is this entry. */
function empty(entry: Entry, heap: Heap): void {
  const { pointer, ties } = entry;
  entry.pointer = 0;
  entry.host = null;
  if (ties?.source !== undefined) settle(entry, heap);
  else if (pointer !== 0) heap.release(pointer);
}

/** Does nobody else need what is here, nor this what is elsewhere? */
export const isUntied = ({ ties }: Entry): boolean =>
  ties === undefined || (ties.borrowers === 0 && ties.source === undefined && ties.labels === undefined);
