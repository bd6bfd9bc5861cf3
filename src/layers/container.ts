/**
 * What all containers share: children by name, trees with a field for each child, and states threaded from call to call.
 *
 * A container then says only in which order it calls its children, and on what.
 */
import {
  applyChild,
  applyInner,
  parameterLength,
  type AnyLayer,
  type Layer,
  type LayerDisplay,
} from '../core/layer.js';
import { defineLayer } from '../core/print.js';
import { split, type Key } from '../core/random.js';
import { isRecord, type StateTree, type Tree } from '../core/tree.js';
import { describe } from '../core/value.js';
import { checkFields } from './check.js';
import { wrappedFunction } from './functions.js';
import { tidy } from './tidy.js';
import type { Container } from './types.js';

export type Children = Readonly<Record<string, AnyLayer>>;

/** Calls a child on an input with its parameters and its present state, and keeps its new state for the next call. */
export type CallChild = (name: string, x: unknown) => unknown;

export function isLayer(x: unknown): x is AnyLayer {
  if (typeof x !== 'object' || x === null) return false;
  const layer = x as Partial<AnyLayer>;
  return (
    typeof layer.apply === 'function' &&
    typeof layer.initialParameters === 'function' &&
    typeof layer.initialStates === 'function'
  );
}

/** A layer as it is, a function wrapped. @throws TypeError for anything else. */
export function toLayer(part: unknown, where: string, what: string): AnyLayer {
  if (isLayer(part)) return part;
  if (typeof part === 'function') return wrappedFunction(part as (x: unknown) => unknown);
  throw new TypeError(`${where}: ${what} must be a layer or a function, got ${describe(part)}`);
}

// Numbers as names would change places (JavaScript puts them first), and a path is names joined by dots.
const NAME = /^[^\d.][^.]*$/;

/** Children from the arguments of a constructor: `layer1, layer2, ...` for a list, their own names for one record. */
export function toChildren(args: readonly unknown[], where: string): Children {
  const [first] = args;
  if (args.length === 1 && isRecord(first) && !isLayer(first)) return namedChildren(first, where);
  const list = args.length === 1 && Array.isArray(first) ? (first as readonly unknown[]) : args;
  return Object.fromEntries(list.map((part, i) => [`layer${i + 1}`, toLayer(part, where, `layer ${i + 1}`)]));
}

export function namedChildren(parts: Readonly<Record<string, unknown>>, where: string): Children {
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]) => {
      if (!NAME.test(name)) {
        throw new TypeError(`${where}: a layer cannot be named "${name}": no digit in front, and no dot`);
      }
      return [name, toLayer(part, where, `"${name}"`)];
    }),
  );
}

type Tools = { [K in 'initialParameters' | 'initialStates']: (layer: AnyLayer, key: Key) => unknown };

const MAKE: Tools = {
  initialParameters: (layer, key) => layer.initialParameters(key) as Tree,
  initialStates: (layer, key) => layer.initialStates(key) as StateTree,
};

/** The trees of all children, each from a key of its own. */
export function initialiseAll(children: Children, key: Key, what: keyof Tools): Record<string, never> {
  const entries = Object.entries(children);
  if (entries.length === 0) return {};
  return tidy(() => {
    const keys = split(key, entries.length);
    return Object.fromEntries(entries.map(([name, layer], i) => [name, MAKE[what](layer, keys[i]) as never]));
  });
}

/** How many numbers the parameters of all children hold. */
export const countAll = (children: Children): number =>
  Object.values(children).reduce((n, layer) => n + parameterLength(layer), 0);

/** Run `body` with children at hand; returns its result and the children's new states. */
export function withChildren<Y>(
  children: Children,
  ps: Readonly<Record<string, unknown>>,
  st: Readonly<Record<string, unknown>>,
  body: (call: CallChild) => Y,
): [Y, Record<string, StateTree>] {
  const states: Record<string, StateTree> = {};
  for (const name of Object.keys(children)) states[name] = st[name] as StateTree;
  const y = body((name, x) => {
    const [result, state] = applyChild<unknown, unknown, Tree, StateTree>(
      name,
      children[name] as Layer<unknown, unknown, Tree, StateTree>,
      x,
      ps[name] as Tree,
      states[name],
    );
    states[name] = state;
    return result;
  });
  return [y, states];
}

interface Definition {
  readonly name: string;
  readonly summary?: string;
  readonly children: Children;
  /** The forward pass, by calls of children. */
  readonly body: (call: CallChild, x: unknown) => unknown;
}

/** A container whose type its constructor's signature gives: to be used as it is, for nothing. */
type UntypedContainer<L> = Container<never, never, never, never, L>;

const displayOf = ({ name, summary, children }: Omit<Definition, 'body'>): LayerDisplay =>
  Object.freeze({ name, ...(summary === undefined ? {} : { summary }), children });

/** A container whose parameters and states have a field for each child. */
export function defineContainer(definition: Definition): UntypedContainer<Children> {
  const { name, children, body } = definition;
  const names = Object.keys(children);
  return defineLayer({
    layers: Object.freeze(children),
    display: displayOf(definition),
    rebuild: (others: Children): AnyLayer => defineContainer({ ...definition, children: others }),
    countParameters: () => countAll(children),
    initialParameters: (key: Key) => initialiseAll(children, key, 'initialParameters'),
    initialStates: (key: Key) => initialiseAll(children, key, 'initialStates'),
    apply: (x: unknown, ps: unknown, st: unknown) => {
      checkFields(name, ps, names, 'parameters');
      checkFields(name, st, names, 'states');
      return tidy(() => withChildren(children, ps, st, (call) => body(call, x)));
    },
  }) as unknown as UntypedContainer<Children>;
}

/** A container around one layer whose parameters and states are its own: no field stands between. */
export function defineWrapper(definition: {
  readonly name: string;
  readonly summary?: string;
  readonly layer: AnyLayer;
  readonly body: (call: (x: unknown) => unknown, x: unknown) => unknown;
}): UntypedContainer<AnyLayer> {
  const { layer, body, ...display } = definition;
  return defineLayer({
    layers: layer,
    display: displayOf({ ...display, children: { '': layer } }),
    rebuild: (others: Children): AnyLayer => defineWrapper({ ...definition, layer: others[''] }),
    countParameters: () => parameterLength(layer),
    initialParameters: (key: Key) => layer.initialParameters(key) as Tree,
    initialStates: (key: Key) => layer.initialStates(key) as StateTree,
    apply: (x: unknown, ps: Tree, st: StateTree) =>
      tidy(() => {
        let state = st;
        const y = body((input) => {
          const [result, next] = applyInner(layer, input, ps, state) as [unknown, StateTree];
          state = next;
          return result;
        }, x);
        return [y, state];
      }),
  }) as unknown as UntypedContainer<AnyLayer>;
}
