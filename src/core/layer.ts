/**
 * The layer contract: the whole of it.
 *
 * A layer is a frozen record of configuration with three functions. It holds no parameters and no state; it makes both,
 * explicitly, from a key, and `apply` is a pure function of input, parameters and state that returns the result and the
 * new state. (The contract of LuxCore.jl.)
 */
import * as tf from '@tensorflow/tfjs-core';
import { split, type Key } from './random.js';
import { inScope, located, scopeNote } from './scope.js';
import { leaves, mapLeaves, type StateTree, type Tree } from './tree.js';
import { describe, isRecord, isTensor } from './value.js';

/**
 * @typeParam X - what the layer takes: a tensor, or a tuple or record of tensors
 * @typeParam Y - what it returns
 * @typeParam P - its parameter tree
 * @typeParam S - its state tree
 */
export interface Layer<X, Y, P extends Tree, S extends StateTree> {
  /** Fresh parameters, the same for the same key. */
  initialParameters(key: Key): P;
  /** Fresh states, the same for the same key. */
  initialStates(key: Key): S;
  /** The forward pass. Pure: same inputs, same outputs; the inputs are left as they are. */
  apply(x: X, ps: P, st: S): [Y, S];
  /** How many numbers the parameters hold, where that is known without making them. */
  readonly countParameters?: () => number;
  /** False for a layer that takes one tensor and returns one: no recurrence can carry anything through it. */
  readonly isCell?: false;
  /** How the layer prints; without it, it prints as `Layer()`. */
  readonly display?: LayerDisplay;
  /** The same layer around other children, named as in `display.children`, where that can be made. */
  readonly rebuild?: (children: Readonly<Record<string, AnyLayer>>) => AnyLayer;
}

export interface LayerDisplay {
  /** The name in Lux's spelling: `Dense`. */
  readonly name: string;
  /** What stands between the parentheses: `2 => 3, tanh`. */
  readonly summary?: string;
  /** Child layers in order, by the field of the parameter tree they own. */
  readonly children?: Readonly<Record<string, AnyLayer>>;
}

/** Any layer at all, for code that only passes layers on. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- X, Y, P and S are existential here
export type AnyLayer = Layer<any, any, any, any>;

export type InputOf<L> = L extends Layer<infer X, infer _Y, infer _P, infer _S> ? X : never;
export type OutputOf<L> = L extends Layer<infer _X, infer Y, infer _P, infer _S> ? Y : never;
export type ParametersOf<L> = L extends Layer<infer _X, infer _Y, infer P, infer _S> ? P : never;
export type StatesOf<L> = L extends Layer<infer _X, infer _Y, infer _P, infer S> ? S : never;

/** A layer without parameters or without states has the empty record. */
export type Empty = {};

/** The two arguments are easily swapped, and what a swapped pair breaks is far from here: say so by name. */
function checkKeyAndLayer(where: string, key: unknown, layer: unknown, make: readonly (keyof AnyLayer)[]): void {
  const makes = (x: unknown): boolean =>
    typeof x === 'object' && x !== null && make.every((f) => typeof (x as Partial<AnyLayer>)[f] === 'function');
  if (!isTensor(key)) {
    const what = makes(key) ? 'a layer' : describe(key);
    const swapped = makes(key) && isTensor(layer) ? `; are the arguments swapped? ${where}(key, layer)` : '';
    throw new TypeError(
      `${where}: the first argument must be a key, as key(seed) makes it, got ${what}${swapped}${scopeNote()}`,
    );
  }
  if (makes(layer)) return;
  throw new TypeError(`${where}: the second argument must be a layer, got ${instead(layer)}${scopeNote()}`);
}

/** What was given in the place of a layer. */
const instead = (x: unknown): string =>
  typeof x === 'function' ? 'a function; wrappedFunction makes it a layer' : describe(x);

/**
 * Parameters and states of a layer: the same for the same key.
 *
 * @throws TypeError when the first argument is not a key or the second not a layer.
 */
export function setup<X, Y, P extends Tree, S extends StateTree>(key: Key, layer: Layer<X, Y, P, S>): [P, S] {
  checkKeyAndLayer('setup', key, layer, ['initialParameters', 'initialStates']);
  const [forParameters, forStates] = split(key, 2);
  const result: [P, S] = [layer.initialParameters(forParameters), layer.initialStates(forStates)];
  tf.dispose([forParameters, forStates]);
  return result;
}

/** `layer.apply(x, ps, st)`. */
export function apply<X, Y, P extends Tree, S extends StateTree>(layer: Layer<X, Y, P, S>, x: X, ps: P, st: S): [Y, S] {
  if (typeof (layer as Partial<AnyLayer> | null | undefined)?.apply !== 'function') {
    throw new TypeError(`apply: the first argument must be a layer, got ${instead(layer)}; apply(layer, x, ps, st)`);
  }
  return layer.apply(x, ps, st);
}

/** Takes the place of `layer.apply` for layers inside others; it must call that itself. */
export type Interceptor = (layer: AnyLayer, x: unknown, ps: Tree, st: StateTree) => [unknown, StateTree];

let interceptor: Interceptor | undefined;

/** Run `f`; whatever it applies by {@link applyChild} or {@link applyInner} goes through `intercept`. */
export function withInterceptor<T>(intercept: Interceptor, f: () => T): T {
  const outer = interceptor;
  interceptor = intercept;
  try {
    return f();
  } finally {
    interceptor = outer;
  }
}

/** Apply a child under its name, so that errors and traced operations know where they are. */
export function applyChild<X, Y, P extends Tree, S extends StateTree>(
  name: string,
  layer: Layer<X, Y, P, S>,
  x: X,
  ps: P,
  st: S,
): [Y, S] {
  return inScope(name, () => located(() => applyInner(layer, x, ps, st)));
}

/** Apply the one layer of a wrapper, which is where the wrapper is. */
export function applyInner<X, Y, P extends Tree, S extends StateTree>(
  layer: Layer<X, Y, P, S>,
  x: X,
  ps: P,
  st: S,
): [Y, S] {
  const result: unknown = interceptor === undefined ? layer.apply(x, ps, st) : interceptor(layer, x, ps, st);
  if (Array.isArray(result) && result.length === 2) return result as [Y, S];
  throw new TypeError(`${layer.display?.name ?? 'Layer'}: apply must return [y, states], got ${describe(result)}`);
}

/** Parameters alone, from a key of their own: what `setup` makes first. */
export function initialParameters<P extends Tree>(key: Key, layer: { initialParameters(key: Key): P }): P {
  checkKeyAndLayer('initialParameters', key, layer, ['initialParameters']);
  return layer.initialParameters(key);
}

/** States alone. */
export function initialStates<S extends StateTree>(key: Key, layer: { initialStates(key: Key): S }): S {
  checkKeyAndLayer('initialStates', key, layer, ['initialStates']);
  return layer.initialStates(key);
}

function isLayer(x: unknown): x is AnyLayer {
  return typeof (x as Partial<AnyLayer> | null)?.initialParameters === 'function';
}

const elements = (tree: unknown): number => leaves(tree).reduce((n, leaf) => n + leaf.size, 0);

/**
 * How many numbers the parameters of a layer, or of a parameter tree, hold.
 *
 * The layers of this package know from their shapes; the parameters of a layer without `countParameters` are made for
 * the purpose and freed again.
 */
export function parameterLength(layerOrParameters: AnyLayer | Tree): number {
  if (!isLayer(layerOrParameters)) return elements(layerOrParameters);
  const { countParameters } = layerOrParameters;
  if (countParameters !== undefined) return countParameters();
  return tf.tidy(() => elements(layerOrParameters.initialParameters(tf.tensor1d([0, 0], 'int32'))));
}

/** How many values the states of a layer, or of a state tree, hold; a plain value counts one. */
export function stateLength(layerOrStates: AnyLayer | StateTree): number {
  const count = (tree: unknown): number => {
    let n = 0;
    mapLeaves(tree, (leaf) => {
      n += isTensor(leaf) ? leaf.size : 1;
      return leaf;
    });
    return n;
  };
  if (!isLayer(layerOrStates)) return count(layerOrStates);
  return tf.tidy(() => count(layerOrStates.initialStates(tf.tensor1d([0, 0], 'int32'))));
}

/**
 * The state tree with every field called `name`, at any depth, replaced by `value`.
 *
 * @throws TypeError when no field has that name.
 */
export function updateState<S>(st: S, name: string, value: StateTree): S {
  const found: StateTree[] = [];
  const names = new Set<string>();
  const visit = (x: unknown): unknown => {
    if (Array.isArray(x)) return x.map(visit);
    if (!isRecord(x)) return x;
    return Object.fromEntries(
      Object.entries(x).map(([field, child]) => {
        names.add(field);
        if (field !== name) return [field, visit(child)];
        found.push(value);
        return [field, value];
      }),
    );
  };
  const updated = visit(st) as S;
  if (found.length === 0)
    throw new TypeError(`updateState: no field "${name}" in the state, which has {${[...names].join(', ')}}`);
  return updated;
}

function setTraining<S>(st: S, training: boolean): S {
  const given = (isRecord(st) ? st : {}) as Partial<AnyLayer & { optimiserState: unknown }>;
  if (typeof given.apply === 'function' || given.optimiserState !== undefined) {
    const what = given.apply === undefined ? 'a train state; give its states' : 'a layer';
    throw new TypeError(`${training ? 'trainMode' : 'testMode'}: the argument must be the states of a layer, as setup(key, layer) makes, got ${what}`); // prettier-ignore
  }
  const visit = (x: unknown): unknown => {
    if (Array.isArray(x)) return x.map(visit);
    if (!isRecord(x)) return x;
    return Object.fromEntries(Object.entries(x).map(([f, c]) => [f, f === 'training' ? training : visit(c)]));
  };
  return visit(st) as S;
}

/** The states with every `training` field false: dropout passes through, batch norm uses its running statistics. */
export const testMode = <S>(st: S): S => setTraining(st, false);

/** The states with every `training` field true. */
export const trainMode = <S>(st: S): S => setTraining(st, true);
