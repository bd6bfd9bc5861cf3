/** Where the data of each step comes from. */
import { isRecord, isTensor } from '../core/tree.js';

/**
 * A tree that every step uses, or a source of batches: an iterable (a generator, a `Set`, an object of your own) or a
 * function of the step's number, which starts at 0 for a new train state. An array is a tree, not a source.
 *
 * Tensors that a source makes for a step are freed after it; `tf.keep` what should live longer.
 */
export type Data<D> = D | Iterable<D> | ((step: number) => D);

/** The batch of a step; undefined when there is none. */
export type NextBatch<D> = (step: number) => { readonly batch: D } | undefined;

export function batchesOf<D>(data: Data<D>): NextBatch<D> {
  if (typeof data === 'function') {
    const make = data as (step: number) => D;
    return (step) => ({ batch: make(step) });
  }
  return isSource(data) ? cycle(data) : () => ({ batch: data });
}

function isSource<D>(data: Data<D>): data is Iterable<D> {
  if (typeof data !== 'object' || data === null || Array.isArray(data) || isTensor(data)) return false;
  const iterable = Symbol.iterator in data;
  if (!iterable && !isRecord(data)) {
    throw new TypeError(`train: the data must be a tree, an iterable or a function, got a ${data.constructor.name}`);
  }
  return iterable;
}

/** One pass after the other. A source that can be gone through only once ends with it. */
function cycle<D>(source: Iterable<D>): NextBatch<D> {
  let pass = source[Symbol.iterator]();
  return () => {
    let next = pass.next();
    if (next.done === true) {
      pass = source[Symbol.iterator]();
      next = pass.next();
    }
    return next.done === true ? undefined : { batch: next.value };
  };
}
