/**
 * Arguments and results of any structure, as lists of tensors.
 */
import { isRecord, isTensor, mapLeaves, type Tensor } from '../core/tree.js';
import type { Spec } from './graph.js';

export interface Flattened {
  readonly tensors: readonly Tensor[];
  /** Equal exactly when structure, shapes, dtypes and the plain values are. */
  readonly signature: string;
  /** The same structure around other tensors. */
  readonly rebuild: (tensors: readonly Tensor[]) => unknown;
}

let nextIdentity = 0;
const identities = new WeakMap<object, number>();

/** A number for a function or object: plain values of this kind are equal when they are the same object. */
function identity(x: object): number {
  let id = identities.get(x);
  if (id === undefined) identities.set(x, (id = nextIdentity++));
  return id;
}

function plain(x: unknown): string {
  if (typeof x === 'function' || (typeof x === 'object' && x !== null)) return `#${identity(x)}`;
  if (typeof x === 'string') return JSON.stringify(x);
  if (typeof x === 'bigint') return `${x}n`;
  return Object.is(x, -0) ? '-0' : String(x);
}

/** Text that is equal for equal structures around equal plain values and tensors of equal shape and dtype. */
function signatureOf(x: unknown): string {
  if (Array.isArray(x)) return `[${x.map(signatureOf).join()}]`;
  if (isRecord(x)) return `{${Object.keys(x).map((name) => `${JSON.stringify(name)}:${signatureOf(x[name])}`).join()}}`; // prettier-ignore
  return isTensor(x) ? `${x.dtype}(${x.shape.join()})` : plain(x);
}

export function flattenArguments(value: unknown): Flattened {
  const tensors: Tensor[] = [];
  const template = mapLeaves(value, (leaf) => (isTensor(leaf) ? new Slot(tensors.push(leaf) - 1) : leaf));
  return {
    tensors,
    signature: signatureOf(value),
    rebuild: (given) => mapLeaves(template, (leaf) => (leaf instanceof Slot ? given[leaf.index] : leaf)),
  };
}

class Slot {
  constructor(readonly index: number) {}
}

export const specsOf = (tensors: readonly Tensor[]): Spec[] => tensors.map(({ shape, dtype }) => ({ shape, dtype }));
