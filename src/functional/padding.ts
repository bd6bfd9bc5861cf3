/**
 * Padding: which element of the input stands in each place around it.
 *
 * Every mode but the constant one is a map from places to places, so that the modes are a table.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { scopeNote } from '../core/scope.js';
import { isTensor, type Tensor } from '../core/tree.js';

/** So many elements before and after each axis, `[[before, after], ...]`, one pair for every axis of the tensor. */
export type Paddings = readonly (readonly [before: number, after: number])[];

/** Place `i` (negative before the input) on an axis of `n` elements, as a place within it. */
type Place = (i: number, n: number) => number;

const modulo = (i: number, n: number): number => ((i % n) + n) % n;

const circular: Place = modulo;
const repeat: Place = (i, n) => Math.min(Math.max(i, 0), n - 1);
const symmetric: Place = (i, n) => {
  const j = modulo(i, 2 * n);
  return j < n ? j : 2 * n - 1 - j;
};
const reflect: Place = (i, n) => {
  if (n === 1) return 0;
  const j = modulo(i, 2 * n - 2);
  return j < n ? j : 2 * n - 2 - j;
};

function check(where: string, x: unknown, paddings: Paddings): asserts x is Tensor {
  if (!isTensor(x)) throw new TypeError(`${where}: expected a tensor, got ${typeof x}${scopeNote()}`);
  const given: unknown = paddings;
  const isPair = (p: unknown): boolean => Array.isArray(p) && p.length === 2 && p.every((n) => Number.isSafeInteger(n) && n >= 0); // prettier-ignore
  if (Array.isArray(given) && given.length === x.rank && given.every(isPair)) return;
  throw new TypeError(
    `${where}: expected ${x.rank} pairs [before, after] of non-negative integers for shape [${x.shape.join(', ')}], got ${JSON.stringify(given)}${scopeNote()}`,
  );
}

const padded =
  (where: string, place: Place) =>
  (x: Tensor, paddings: Paddings): Tensor => {
    check(where, x, paddings);
    return tf.tidy(() =>
      paddings.reduce((y: Tensor, [before, after], axis) => {
        if (before === 0 && after === 0) return y;
        const n = x.shape[axis];
        if (n === 0)
          throw new TypeError(`${where}: axis ${axis} is empty, got shape [${x.shape.join(', ')}]${scopeNote()}`);
        const places = Int32Array.from({ length: before + n + after }, (_, i) => place(i - before, n));
        return tf.gather(y, tf.tensor1d(places, 'int32'), axis);
      }, tf.clone(x)),
    );
  };

/**
 * Padding with one number.
 *
 * @param paddings `[[before, after], ...]`, a pair for each axis.
 * @param value Default 0.
 * @throws TypeError for paddings that do not fit.
 */
export function padConstant(x: Tensor, paddings: Paddings, value = 0): Tensor {
  check('padConstant', x, paddings);
  // tf.pad rounds its number to single precision.
  return tf.tidy(() => {
    const pairs = paddings.map(([before, after]): [number, number] => [before, after]);
    if (value === 0) return tf.pad(x, pairs);
    const inside = tf.pad(tf.onesLike(x), pairs);
    return tf.add(tf.pad(x, pairs), tf.mul(tf.sub(constant(1), inside), constant(value)));
  });
}

/** Padding with zeros. See {@link padConstant}. */
export const padZeros = (x: Tensor, paddings: Paddings): Tensor => padConstant(x, paddings);

/** The input again and again, as on a ring: `[1, 2, 3]` to `[3, 1, 2, 3, 1]`. Arguments as in {@link padConstant}. */
export const padCircular = padded('padCircular', circular);

/** The outermost element again and again: `[1, 2, 3]` to `[1, 1, 2, 3, 3]`. Arguments as in {@link padConstant}. */
export const padRepeat = padded('padRepeat', repeat);

/** Mirrored at the outermost element: `[1, 2, 3]` to `[2, 1, 2, 3, 2]`. Arguments as in {@link padConstant}. */
export const padReflect = padded('padReflect', reflect);

/** Mirrored at the border, the outermost element twice: `[1, 2, 3]` to `[1, 1, 2, 3, 3]`. Arguments as in {@link padConstant}. */
export const padSymmetric = padded('padSymmetric', symmetric);
