/**
 * Trees of tensors: the shape of every parameter and state.
 *
 * A tree is a tensor, an array of trees or a record of trees. State trees may also hold plain values (a boolean such as
 * `training`); the functions here pass those through untouched, so that one set of tools serves both.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { describe, isRecord, isTensor } from './value.js';

export { isRecord, isTensor };

export type Tensor = tf.Tensor;

/** Parameters: tensors in arrays and records, nested as deep as the model. */
export type Tree = Tensor | readonly Tree[] | { readonly [name: string]: Tree };

/** A value that may stand beside tensors in a state tree: it is configuration, not data. */
export type Static = boolean | number | string | null | undefined;

/** States: like {@link Tree}, with plain values allowed as leaves. */
export type StateTree = Tensor | Static | readonly StateTree[] | { readonly [name: string]: StateTree };

/** One step into a tree: a field name or an index. */
export type Path = readonly (string | number)[];

export class TreeError extends Error {
  override readonly name = 'TreeError';
}

/** `layer1.weight`, `[0].bias`; the empty path is `(root)`. */
export function formatPath(path: Path): string {
  if (path.length === 0) return '(root)';
  return path.map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? step : `.${step}`)).join('');
}

function mapNode(x: unknown, path: Path, f: (leaf: unknown, path: Path) => unknown): unknown {
  if (Array.isArray(x)) return x.map((child, i) => mapNode(child, [...path, i], f));
  if (isRecord(x)) {
    const out: Record<string, unknown> = {};
    for (const name of Object.keys(x)) out[name] = mapNode(x[name], [...path, name], f);
    return out;
  }
  return f(x, path);
}

/** Every leaf, tensor or not, replaced by `f(leaf, path)`; the structure is kept. */
export function mapLeaves(tree: unknown, f: (leaf: unknown, path: Path) => unknown): unknown {
  return mapNode(tree, [], f);
}

/** Every tensor replaced by `f(tensor, path)`; plain values stay. @throws TypeError where `f` is no function. */
export function treeMap<T>(tree: T, f: (leaf: Tensor, path: Path) => Tensor): T {
  if (typeof f !== 'function') {
    throw new TypeError(`treeMap: the second argument must be a function, got ${describe(f)}; treeMap(tree, f)`);
  }
  return mapNode(tree, [], (leaf, path) => (isTensor(leaf) ? f(leaf, path) : leaf)) as T;
}

/** The tensors of a tree in order, each with its path. Field order is insertion order, as everywhere in JavaScript. */
export function leavesWithPaths(tree: unknown): { leaf: Tensor; path: Path }[] {
  const found: { leaf: Tensor; path: Path }[] = [];
  mapNode(tree, [], (leaf, path) => {
    if (isTensor(leaf)) found.push({ leaf, path });
    return leaf;
  });
  return found;
}

/** The tensors of a tree in order. */
export function leaves(tree: unknown): Tensor[] {
  const found: Tensor[] = [];
  const visit = (x: unknown): void => {
    if (isTensor(x)) found.push(x);
    else if (Array.isArray(x)) x.forEach(visit);
    else if (isRecord(x)) for (const name of Object.keys(x)) visit(x[name]);
  };
  visit(tree);
  return found;
}

/**
 * Combine trees of one structure: `f(leafA, leafB, ...)` at each tensor of the first.
 *
 * @throws TreeError naming the path where a tree differs from the first in structure.
 */
export function treeZip<T>(first: T, others: readonly unknown[], f: (leaves: Tensor[], path: Path) => Tensor): T {
  const visit = (a: unknown, rest: readonly unknown[], path: Path): unknown => {
    const differs = (b: unknown, why: string): never => {
      throw new TreeError(`trees differ at ${formatPath(path)}: ${why}; expected ${describe(a)}, got ${describe(b)}`);
    };
    if (isTensor(a)) {
      return f([a, ...rest.map((b) => (isTensor(b) ? b : differs(b, 'a tensor is missing')))], path);
    }
    if (Array.isArray(a)) {
      for (const b of rest) if (!Array.isArray(b) || b.length !== a.length) differs(b, 'arrays of another length');
      return a.map((child, i) => visit(child, rest.map((b) => (b as unknown[])[i]), [...path, i])); // prettier-ignore
    }
    if (isRecord(a)) {
      const names = Object.keys(a);
      for (const b of rest) {
        if (!isRecord(b)) differs(b, 'a record is missing');
        const given = b as Record<string, unknown>;
        const missing = names.find((name) => !(name in given));
        const extra = Object.keys(given).find((name) => !(name in a));
        if (missing !== undefined) differs(b, `field "${missing}" is missing`);
        if (extra !== undefined) differs(b, `field "${extra}" is not expected`);
      }
      const out: Record<string, unknown> = {};
      for (const name of names) {
        out[name] = visit(a[name], rest.map((b) => (b as Record<string, unknown>)[name]), [...path, name]); // prettier-ignore
      }
      return out;
    }
    for (const b of rest) if (b !== a && (isTensor(b) || Array.isArray(b) || isRecord(b))) differs(b, 'a plain value is missing'); // prettier-ignore
    return a;
  };
  return visit(first, others, []) as T;
}

/** A tree taken apart: its tensors, and the function that puts others of the same number in their place. */
export function flatten<T>(tree: T): { leaves: Tensor[]; unflatten: (leaves: readonly Tensor[]) => T } {
  const found = leaves(tree);
  return {
    leaves: found,
    unflatten: (replacements) => {
      if (replacements.length !== found.length) {
        throw new TreeError(`unflatten: expected ${found.length} tensors, got ${replacements.length}`);
      }
      let i = 0;
      return treeMap(tree, () => replacements[i++]);
    },
  };
}

/**
 * Check that `tree` has the structure and shapes of `like` (parameters of another model are the usual reason).
 *
 * @throws TreeError naming what differs and where.
 */
export function checkSameTree(like: unknown, tree: unknown, what: string): void {
  try {
    treeZip(like, [tree], ([a, b], path) => {
      if (a.shape.length !== b.shape.length || a.shape.some((n, i) => n !== b.shape[i])) {
        throw new TreeError(
          `shapes differ at ${formatPath(path)}: expected [${a.shape.join(', ')}], got [${b.shape.join(', ')}]`,
        );
      }
      return a;
    });
  } catch (error) {
    throw error instanceof TreeError ? new TreeError(`${what}: ${error.message}`) : error;
  }
}

/** Free every tensor of a tree. */
export function disposeTree(tree: unknown): void {
  for (const leaf of new Set(leaves(tree))) leaf.dispose();
}
