/**
 * A tree as tensors by key plus a JSON description of everything else: which parts are lists and which records, empty
 * ones, and the plain values (booleans, numbers, strings) of state trees.
 */
import { isRecord, isTensor, type Path, type Tensor } from '../core/tree.js';

/** One node of a tree in JSON. The tag keeps records, lists, values and tensors apart whatever their content. */
export type Structure =
  | readonly ['tensor', string]
  | readonly ['list', readonly Structure[]]
  | readonly ['record', Readonly<Record<string, Structure>>]
  | readonly ['value', boolean | number | string | null]
  /** A number that JSON cannot write: NaN, an infinity, -0. */
  | readonly ['number', string]
  | readonly ['undefined'];

/** `parameters.layer1.weight`; a dot within a name is escaped, so that no two leaves have the same key. */
export const keyOf = (section: string, path: Path): string =>
  [section, ...path.map((step) => String(step).replaceAll('%', '%25').replaceAll('.', '%2E'))].join('.');

const stepsOf = (key: string): string[] =>
  key.split('.').map((step) => step.replaceAll('%2E', '.').replaceAll('%25', '%'));

/** Take a tree apart; each tensor is handed to `store` with its key. */
export function describeTree(section: string, tree: unknown, store: (key: string, tensor: Tensor) => void): Structure {
  const visit = (x: unknown, path: Path): Structure => {
    if (isTensor(x)) {
      const key = keyOf(section, path);
      store(key, x);
      return ['tensor', key];
    }
    if (Array.isArray(x)) return ['list', x.map((child, i) => visit(child, [...path, i]))];
    if (isRecord(x)) {
      const fields = Object.entries(x).map(([name, child]): [string, Structure] => [
        name,
        visit(child, [...path, name]),
      ]);
      return ['record', Object.fromEntries(fields)];
    }
    if (x === undefined) return ['undefined'];
    if (typeof x === 'number' && (!Number.isFinite(x) || Object.is(x, -0))) {
      return ['number', Object.is(x, -0) ? '-0' : String(x)];
    }
    if (x === null || typeof x === 'boolean' || typeof x === 'number' || typeof x === 'string') return ['value', x];
    throw new TypeError(
      `${keyOf(section, path)} is a ${typeof x}; only tensors, booleans, numbers and strings can be saved`,
    );
  };
  return visit(tree, []);
}

const isText = (x: unknown): x is string => typeof x === 'string';

/** Put a tree together from its description; `load` gives the tensor of a key. */
export function rebuildTree(structure: unknown, load: (key: string) => Tensor): unknown {
  const [tag, content] = Array.isArray(structure) ? (structure as readonly unknown[]) : [];
  if (tag === 'tensor' && isText(content)) return load(content);
  if (tag === 'list' && Array.isArray(content)) return content.map((child) => rebuildTree(child, load));
  if (tag === 'record' && isRecord(content)) {
    return Object.fromEntries(Object.entries(content).map(([name, child]) => [name, rebuildTree(child, load)]));
  }
  if (tag === 'value') return content;
  if (tag === 'number') return Number(content);
  if (tag === 'undefined') return undefined;
  throw new TypeError(`the description of its structure is damaged at ${JSON.stringify(structure).slice(0, 80)}`);
}

/**
 * The description of a tree of which only the keys are known, as in a file from elsewhere: names 0, 1, 2, ... make a list,
 * anything else a record. Undefined when no key belongs to the section.
 */
export function structureFromKeys(section: string, keys: Iterable<string>): Structure | undefined {
  interface Branch {
    key?: string;
    readonly children: Map<string, Branch>;
  }
  const root: Branch = { children: new Map() };
  let found = false;
  for (const key of keys) {
    const [first, ...steps] = stepsOf(key);
    if (first !== section) continue;
    found = true;
    let branch = root;
    for (const step of steps) {
      let child = branch.children.get(step);
      if (child === undefined) branch.children.set(step, (child = { children: new Map() }));
      branch = child;
    }
    branch.key = key;
  }
  if (!found) return undefined;
  const visit = ({ key, children }: Branch): Structure => {
    if (key !== undefined) {
      if (children.size > 0) throw new TypeError(`"${key}" is both a tensor and the beginning of other names`);
      return ['tensor', key];
    }
    const entries = [...children].map(([name, child]): [string, Structure] => [name, visit(child)]);
    const isList = entries.every((_, i) => children.has(String(i)));
    if (!isList) return ['record', Object.fromEntries(entries)];
    return ['list', entries.sort(([a], [b]) => Number(a) - Number(b)).map(([, child]) => child)];
  };
  return visit(root);
}
