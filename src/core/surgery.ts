/**
 * Parts of trees by path: look, replace, take out, put back. Trees are never changed; what is not on the path is shared.
 */
import { nearest } from './options.js';
import {
  checkSameTree,
  formatPath,
  isRecord,
  isTensor,
  TreeError,
  type Path,
  type StateTree,
  type Tree,
} from './tree.js';

type Digit = `${number}`;

/** The type of one step into a tree; a tree of no particular structure has trees within. */
type Field<T, K extends string> = Tree extends T
  ? Tree
  : StateTree extends T
    ? StateTree
    : K extends keyof T
      ? T[K]
      : T extends readonly (infer E)[]
        ? K extends `[${Digit}]`
          ? E
          : never
        : K extends `${infer Name}[${Digit}]`
          ? Name extends keyof T
            ? T[Name] extends readonly (infer E)[]
              ? E
              : never
            : never
          : string extends keyof T
            ? T[keyof T]
            : never;

/** The type at a path such as `'layer1.weight'`; a path that is only known as a string leads to any tree. */
export type ValueAt<T, P extends string> = string extends P
  ? StateTree
  : P extends `${infer Head}.${infer Rest}`
    ? ValueAt<Field<T, Head>, Rest>
    : Field<T, P>;

/** The path itself, or nothing where it leads nowhere. */
export type PathIn<T, P extends string> = [ValueAt<T, P>] extends [never] ? never : P;

/** Paths in words: `layer1.weight`, `layers[0].bias`. @throws TreeError for a string that is no path. */
export function parsePath(path: string, where: string): Path {
  const given: unknown = path;
  if (typeof given !== 'string' || given === '') {
    throw new TreeError(`${where}: a path must be a string such as "layer1.weight", got ${given === '' ? 'an empty one' : typeof given}`); // prettier-ignore
  }
  return given.split('.').flatMap((part, i) => {
    const match = /^([^[\]]*)((?:\[\d+\])*)$/.exec(part);
    if (match === null || (match[1] === '' && (match[2] === '' || i > 0))) {
      throw new TreeError(`${where}: "${path}" is not a path such as "layer1.weight" or "layers[0].bias"`);
    }
    const indices = Array.from(match[2].matchAll(/\d+/g), ([digits]) => Number(digits));
    return match[1] === '' ? indices : [match[1], ...indices];
  });
}

const fieldsOf = (node: unknown): readonly string[] =>
  Array.isArray(node) ? node.map((_, i) => `[${i}]`) : isRecord(node) ? Object.keys(node) : [];

function missing(where: string, node: unknown, path: Path, step: string | number): never {
  const fields = fieldsOf(node);
  const name = typeof step === 'number' ? `[${step}]` : step;
  const meant = nearest(name, fields);
  const hint = isTensor(node)
    ? `there is a tensor [${node.shape.join(', ')}]`
    : meant === undefined
      ? `there is {${fields.join(', ')}}`
      : `did you mean "${meant}"?`;
  throw new TreeError(`${where}: the tree has no "${name}" at ${formatPath(path)}; ${hint}`);
}

function child(where: string, node: unknown, path: Path, step: string | number): unknown {
  if (Array.isArray(node)) {
    const at = typeof step === 'number' ? step : Number(step);
    return at in node ? (node[at] as unknown) : missing(where, node, path, step);
  }
  if (isRecord(node) && Object.hasOwn(node, step)) return node[step];
  return missing(where, node, path, step);
}

/** `node` with another child. */
function withChild(node: unknown, step: string | number, value: unknown): unknown {
  if (Array.isArray(node)) return node.map((x: unknown, i) => (i === Number(step) ? value : x));
  return { ...(node as object), [step]: value };
}

function change(where: string, node: unknown, path: Path, depth: number, f: (value: unknown) => unknown): unknown {
  if (depth === path.length) return f(node);
  const step = path[depth];
  return withChild(node, step, change(where, child(where, node, path.slice(0, depth), step), path, depth + 1, f));
}

/**
 * The part of a tree at a path, with its type: `getIn(ps, 'layer1.weight')`.
 *
 * @param path Names joined by dots, places in arrays in brackets: `layers[0].bias`.
 * @throws TreeError naming the step that leads nowhere, with the name that it resembles.
 */
export function getIn<T, const P extends string>(tree: T, path: P & PathIn<T, P>): ValueAt<T, P> {
  let node: unknown = tree;
  const steps = parsePath(path, 'getIn');
  steps.forEach((step, i) => (node = child('getIn', node, steps.slice(0, i), step)));
  return node as ValueAt<T, P>;
}

/**
 * The tree with another value at a path. What was there is not disposed of; everything else is shared with the old tree.
 *
 * @throws TreeError where the path leads nowhere.
 */
export function setIn<T, const P extends string>(tree: T, path: P & PathIn<T, P>, value: ValueAt<T, P>): T {
  return change('setIn', tree, parsePath(path, 'setIn'), 0, () => value) as T;
}

/**
 * The tree with the value at a path replaced by a function of it: `mapIn(ps, 'layer1.weight', (w) => tf.mul(w, 2))`.
 *
 * @throws TreeError where the path leads nowhere.
 */
export function mapIn<T, const P extends string>(
  tree: T,
  path: P & PathIn<T, P>,
  f: (value: ValueAt<T, P>) => ValueAt<T, P>,
): T {
  return change('mapIn', tree, parsePath(path, 'mapIn'), 0, (value) => f(value as ValueAt<T, P>)) as T;
}

/** Parts of a record tree taken out: what is left, and what was taken, each with the path to it. */
export function takeOut(
  where: string,
  tree: unknown,
  paths: readonly string[],
): { rest: unknown; taken: Record<string, unknown> } {
  let rest = tree;
  const taken: Record<string, unknown> = {};
  for (const text of paths) {
    const path = parsePath(text, where);
    const last = path[path.length - 1];
    rest = change(where, rest, path.slice(0, -1), 0, (node) => {
      taken[text] = child(where, node, path.slice(0, -1), last);
      if (!isRecord(node)) {
        throw new TreeError(
          `${where}: ${text} is a place in an array, from which nothing can be taken; take the array`,
        );
      }
      return Object.fromEntries(Object.entries(node).filter(([name]) => name !== last));
    });
  }
  return { rest, taken };
}

/** Groups of two paths or more. @throws TypeError */
export function checkGroups(where: string, groups: readonly (readonly string[])[]): void {
  const given: unknown = groups;
  const isGroup = (g: unknown): boolean => Array.isArray(g) && g.length >= 2 && g.every((p) => typeof p === 'string');
  if (Array.isArray(given) && given.every(isGroup)) return;
  throw new TypeError(`${where}: groups must be arrays of two paths or more, such as [["layer1", "layer3"]]`);
}

/** {@link getIn} without its types. */
function valueAt(where: string, tree: unknown, path: string): unknown {
  const steps = parsePath(path, where);
  return steps.reduce<unknown>((node, step, i) => child(where, node, steps.slice(0, i), step), tree);
}

/**
 * The parameters with the same tensors at all paths of a group: those of its first.
 *
 * A gradient still has an entry for each place, so that training moves them apart again; for parameters that stay one, see
 * {@link tieParameters}.
 *
 * @param groups `[['layer1', 'layer3'], ['encoder.weight', 'decoder.weight']]`.
 * @throws TypeError for a group of fewer than two paths; TreeError where a path leads nowhere or structure or shapes differ.
 */
export function shareParameters<P extends Tree>(ps: P, groups: readonly (readonly string[])[]): P {
  const where = 'shareParameters';
  checkGroups(where, groups);
  return groups.reduce<unknown>((tree, [first, ...rest]) => {
    const shared = valueAt(where, tree, first);
    return rest.reduce<unknown>((whole, path) => {
      checkSameTree(shared, valueAt(where, whole, path), `${where}: "${path}" cannot be "${first}"`);
      return change(where, whole, parsePath(path, where), 0, () => shared);
    }, tree);
  }, ps) as P;
}
