/**
 * Arguments and results of any structure, as lists of tensors.
 */
import { isTensor, mapLeaves, type Tensor } from '../core/tree.js';
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
  return Object.is(x, -0) ? '-0' : String(x);
}

export function flattenArguments(value: unknown): Flattened {
  const tensors: Tensor[] = [];
  let signature = '';
  const template = mapLeaves(value, (leaf, path) => {
    signature += `${path.join('.')}=`;
    if (isTensor(leaf)) {
      signature += `${leaf.dtype}[${leaf.shape.join()}];`;
      return new Slot(tensors.push(leaf) - 1);
    }
    signature += `${plain(leaf)};`;
    return leaf;
  });
  return {
    tensors,
    signature,
    rebuild: (given) => mapLeaves(template, (leaf) => (leaf instanceof Slot ? given[leaf.index] : leaf)),
  };
}

class Slot {
  constructor(readonly index: number) {}
}

export const specsOf = (tensors: readonly Tensor[]): Spec[] => tensors.map(({ shape, dtype }) => ({ shape, dtype }));
