/**
 * Arguments that the caller gives up: results may take their memory.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../core/tree.js';
import { flattenArguments } from './arguments.js';
import { tapeIsOn } from './engine.js';

const GIVEN_UP =
  'this tensor was donated to a compiled function (donateArgnums, donate), which may have written a result in its place; use what the function returned, or donate a copy';

/** Which tensors of the arguments, as they are flattened, belong to those of these numbers. */
export function donatedFlags(args: readonly unknown[], argnums: readonly number[]): boolean[] {
  const beyond = argnums.find((n) => n >= args.length);
  if (beyond !== undefined) {
    throw new TypeError(`compile: donateArgnums: there is no argument ${beyond}; the function was given ${args.length}, counted from 0`); // prettier-ignore
  }
  return args.flatMap((arg, i) => flattenArguments(arg).tensors.map(() => argnums.includes(i)));
}

/** @throws TypeError for a variable, which has a life of its own. */
export function checkDonated(tensors: readonly Tensor[], donated: readonly boolean[]): void {
  if (!tensors.some((t, i) => donated[i] && t instanceof tf.Variable)) return;
  throw new TypeError('compile: donateArgnums: a donated argument holds a tf.Variable, which is read again; only tensors can be donated'); // prettier-ignore
}

/**
 * Free donated tensors after the run that they were donated to. One that is also an argument that was not donated stays, and
 * so do all under tfjs's own tape, which goes back to them.
 */
export function giveUp(tensors: readonly Tensor[], donated: readonly boolean[]): void {
  if (tapeIsOn()) return;
  const kept = new Set(tensors.filter((_, i) => !donated[i]));
  for (const [i, t] of tensors.entries()) {
    if (!donated[i] || t.isDisposed || kept.has(t)) continue;
    t.dispose();
    (t as unknown as { throwIfDisposed: () => never }).throwIfDisposed = refuse;
    // A buffer that a clone still holds is not gone, and will be freed by whoever holds that.
    if ((t.dataId as DonatedId).backend === undefined) (t.dataId as DonatedId).isDonated = true;
  }
}

/** The id of a buffer that was given up. A backend has nothing but this to tell why a buffer is not there. */
interface DonatedId {
  isDonated?: boolean;
  /** Of ids of the compiled backends, as long as their buffer is there. */
  readonly backend?: unknown;
}

/** Why a buffer that has been freed cannot be used. */
export const freedBuffer = (dataId: object): string =>
  (dataId as DonatedId).isDonated === true ? GIVEN_UP : 'a disposed tensor was used; keep it (tf.keep) as long as it is used'; // prettier-ignore

function refuse(): never {
  throw new Error(GIVEN_UP);
}

/** Why a disposed tensor cannot be used, if that is because it was donated. */
export const donationOf = (tensor: Tensor): string | undefined => (Object.hasOwn(tensor, 'throwIfDisposed') ? GIVEN_UP : undefined); // prettier-ignore
