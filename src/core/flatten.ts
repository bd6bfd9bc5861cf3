/**
 * `ravel`: a tree of tensors as one vector, and back.
 */
import * as tf from '@tensorflow/tfjs-core';
import { scopeNote } from './scope.js';
import { flatten, formatPath, leavesWithPaths, TreeError, type Tensor } from './tree.js';
import { describe } from './value.js';

/** Puts a vector of the right length back into the tree's form. */
export type Unravel<T> = (vector: Tensor) => T;

/**
 * All numbers of a tree in one vector, and the function that puts such a vector back into the tree's form.
 *
 * One concatenation forward and one split back, whatever the number of leaves, so that the derivative of each is the
 * other. A tensor that stands in the tree twice (tied parameters) stands in the vector once: both places get it back,
 * and their gradients add. Plain values of a state tree are kept as they are.
 *
 * @param tree A tree of float32 tensors; without any, the vector is empty.
 * @returns `[vector, unravel]`: the vector has the leaves in order, each row by row.
 * @throws TreeError for a tensor that is not float32, naming its path; `unravel` throws one for a vector that is not
 * float32 or has another length.
 */
export function ravel<T>(tree: T): [tf.Tensor1D, Unravel<T>] {
  const distinct: Tensor[] = [];
  const places: number[] = [];
  const known = new Map<Tensor, number>();
  for (const { leaf, path } of leavesWithPaths(tree)) {
    if (leaf.dtype !== 'float32') {
      throw new TreeError(`ravel: expected float32 tensors, got ${leaf.dtype} at ${formatPath(path)}${scopeNote()}`);
    }
    let place = known.get(leaf);
    if (place === undefined) known.set(leaf, (place = distinct.push(leaf) - 1));
    places.push(place);
  }
  const shapes = distinct.map(({ shape }) => shape);
  const sizes = distinct.map(({ size }) => size);
  const length = sizes.reduce((n, m) => n + m, 0);
  const { unflatten } = flatten(tree);

  const unravel: Unravel<T> = (vector) => {
    if (vector.dtype !== 'float32' || vector.shape.length !== 1 || vector.shape[0] !== length) {
      throw new TreeError(
        `unravel: expected a float32 vector of length ${length}, got ${describe(vector)}${scopeNote()}`,
      );
    }
    return tf.tidy(() => {
      const pieces = distinct.length > 1 ? tf.split(vector, sizes) : [vector];
      const tensors = shapes.map((shape, i) => tf.reshape(pieces[i], shape));
      return unflatten(places.map((place) => tensors[place])) as tf.TensorContainer;
    }) as T;
  };
  return [tf.tidy(() => joined(distinct)), unravel];
}

function joined(tensors: readonly Tensor[]): tf.Tensor1D {
  if (tensors.length === 0) return tf.tensor1d([], 'float32');
  const rows = tensors.map((x) => tf.reshape<tf.Rank.R1>(x, [x.size]));
  return rows.length === 1 ? rows[0] : tf.concat(rows);
}
