/** Where the data of each step comes from. */
import { isRecord, isTensor } from '../core/tree.js';
import { describe } from '../core/value.js';

/**
 * A tree that every step uses, or a source of batches: an iterable (a generator, a `Set`, an object of your own) or a
 * function of the step's number, which starts at 0 for a new train state. An array is a tree, not a source.
 *
 * Tensors that a source makes for a step are freed after it; `tf.keep` what should live longer. As `for...of` does,
 * training closes the iterator that it stops reading, so that a generator's `finally` runs.
 */
export type Data<D> = D | Iterable<D> | ((step: number) => D);

/** What training draws its batches from. */
export interface Batches<D> {
  /** The batch of a step; undefined when there is none. */
  readonly next: (step: number) => { readonly batch: D } | undefined;
  /** No more batches are wanted. Only the first call does anything. */
  readonly close: () => void;
  /** What to say when already the first step fails. */
  readonly hint?: string;
}

export function batchesOf<D>(data: Data<D>): Batches<D> {
  const close = (): void => undefined;
  if (typeof data === 'function') {
    const make = data as (step: number) => D;
    return { next: (step) => ({ batch: checkBatch(make(step), `the data function returned`, step) }), close };
  }
  if (isSource(data)) return cycle(data);
  const tree = { next: () => ({ batch: data }), close };
  if (!looksLikeBatches(data)) return tree;
  return { ...tree, hint: 'an array is one tree; give a Set, a generator or i => batches[i % n] for a batch per step' };
}

function isSource<D>(data: Data<D>): data is Iterable<D> {
  if (data === null || data === undefined) {
    throw new TypeError(
      `train: the second argument, the data, must be a tree, an iterable or a function, got ${describe(data)}`,
    );
  }
  if (typeof data !== 'object' || Array.isArray(data) || isTensor(data)) return false;
  const iterable = Symbol.iterator in data;
  if (!iterable && Symbol.asyncIterator in data) {
    throw new TypeError(
      'train: the second argument, the data: async iterables are not supported; ' +
        'await the batches first and give a Set, a generator or a function step => batch',
    );
  }
  if (!iterable && !isRecord(data)) {
    const { constructor } = data as { constructor?: { name?: string } };
    throw new TypeError(
      `train: the second argument, the data, must be a tree, an iterable or a function, got a ${constructor?.name ?? 'class instance'}`,
    );
  }
  return iterable;
}

/** `[x, y]` is the usual tree; branches in an array, or many tensors, are more likely meant as batches. */
function looksLikeBatches(data: unknown): boolean {
  return Array.isArray(data) && (data.length > 2 || (data.length > 0 && data.every((x) => !isTensor(x))));
}

/** A batch that is none would only fail deep within the objective. */
function checkBatch<D>(batch: D, who: string, step: number): D {
  const given: unknown = batch;
  if (given === undefined || given === null) throw new TypeError(`${who} ${String(given)} for batch ${step}`);
  if (typeof (given as { then?: unknown }).then === 'function') {
    throw new TypeError(`${who} a promise for batch ${step}; training does not wait for batches`);
  }
  return batch;
}

/** One pass after the other. A source that can be gone through only once ends with it. */
function cycle<D>(source: Iterable<D>): Batches<D> {
  /** The pass under way: one that has ended or thrown has closed itself. */
  let pass: Iterator<D> | undefined;
  const advance = (): IteratorResult<D> => {
    const current = pass ?? source[Symbol.iterator]();
    pass = undefined;
    const next = current.next();
    if (next.done !== true) pass = current;
    return next;
  };
  return {
    next: (step) => {
      const continued = pass !== undefined;
      let next = advance();
      if (next.done === true && continued) next = advance();
      return next.done === true ? undefined : { batch: checkBatch(next.value, 'the data gave', step) };
    },
    close: () => {
      const open = pass;
      pass = undefined;
      open?.return?.();
    },
  };
}
