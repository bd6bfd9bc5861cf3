/**
 * Parameters that training leaves alone: they move into the states, and come back for each application.
 */
import { applyInner, type AnyLayer, type Layer } from '../../core/layer.js';
import { defineLayer } from '../../core/print.js';
import { split, type Key } from '../../core/random.js';
import { checkGroups, parsePath, shareParameters, takeOut } from '../../core/surgery.js';
import { isRecord, type StateTree, type Tree } from '../../core/tree.js';
import { describe } from '../../core/value.js';
import { checkFields } from '../check.js';
import { isLayer } from '../container.js';
import { tidy } from '../tidy.js';

/** What a frozen layer keeps in its state. */
export type FrozenStates<S extends StateTree = StateTree> = { frozenParams: Tree; states: S };

export interface FrozenLayer<X, Y, S extends StateTree> extends Layer<X, Y, Tree, FrozenStates<S>> {
  /** The layer as it was. */
  readonly layer: Layer<X, Y, Tree, S>;
}

type Branch = Record<string, unknown>;

/** The parts at their paths, and nothing else. */
function nested(parts: Readonly<Record<string, unknown>>): Branch {
  const root: Branch = {};
  for (const [text, value] of Object.entries(parts)) {
    const path = parsePath(text, 'freeze').map(String);
    let node = root;
    for (const step of path.slice(0, -1)) node = (node[step] ??= {}) as Branch;
    node[path[path.length - 1]] = value;
  }
  return root;
}

/** Two trees that have no tensor in common. */
function merged(a: unknown, b: unknown): unknown {
  if (!isRecord(a) || !isRecord(b)) return b === undefined ? a : b;
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries(Array.from(names, (name) => [name, name in a ? merged(a[name], b[name]) : b[name]]));
}

/** What is at a path; nothing where it leads nowhere, which the layer itself says better. */
const found = (tree: unknown, path: string): unknown =>
  parsePath(path, 'tieParameters').reduce<unknown>((x, step) => (x as Branch | undefined)?.[step], tree);

function apart(ps: unknown, paths: readonly string[] | undefined): { free: Tree; frozen: Tree } {
  if (paths === undefined) return { free: {}, frozen: ps as Tree };
  const { rest, taken } = takeOut('freeze', ps, paths);
  return { free: rest as Tree, frozen: nested(taken) as Tree };
}

function checkPaths(paths: unknown): void {
  if (paths === undefined || (Array.isArray(paths) && paths.length > 0 && paths.every((p) => typeof p === 'string'))) return; // prettier-ignore
  throw new TypeError(`freeze: the paths must be an array of strings such as "layer1.weight", got ${describe(paths)}`);
}

/**
 * A layer whose parameters at these paths are part of its state, so that gradients and optimisers do not see them.
 *
 * Parameters: those that are left. States: `{ frozenParams, states }`, with the layer's own states in `states`.
 *
 * @param paths Fields or whole branches: `['layer1', 'layer3.bias']`. Default: all.
 * @throws TreeError from `initialParameters` for a path that leads nowhere.
 */
export function frozenLayer<X, Y, P extends Tree, S extends StateTree>(
  layer: Layer<X, Y, P, S>,
  paths?: readonly string[],
): FrozenLayer<X, Y, S> {
  if (!isLayer(layer)) throw new TypeError(`frozenLayer: expected a layer, got ${describe(layer)}`);
  checkPaths(paths);
  const summary = paths === undefined ? 'all' : paths.join(', ');
  return defineLayer({
    layer: layer,
    display: Object.freeze({ name: 'FrozenLayer', summary, children: { '': layer as AnyLayer } }),
    initialParameters: (key: Key) => tidy(() => apart(layer.initialParameters(key), paths).free),
    initialStates: (key: Key) =>
      tidy((): FrozenStates<S> => {
        const [forParameters, forStates] = split(key, 2);
        return {
          frozenParams: apart(layer.initialParameters(forParameters), paths).frozen,
          states: layer.initialStates(forStates),
        };
      }),
    apply: (x: X, ps: Tree, st: FrozenStates<S>): [Y, FrozenStates<S>] => {
      checkFields(`FrozenLayer(${summary})`, st, ['frozenParams', 'states'], 'states');
      const [y, states] = applyInner(layer, x, merged(ps, st.frozenParams) as P, st.states);
      return [y, { frozenParams: st.frozenParams, states }];
    },
  });
}

/**
 * The layer with parameters at these paths moved into the states: what is trained from then on is the rest.
 *
 * Nothing is copied: the tensors are those given.
 *
 * @param paths Fields or whole branches: `['layer1', 'layer3.bias']`. Default: all.
 * @throws TreeError for a path that leads nowhere, naming what it resembles.
 *
 * @example
 * const [frozen, ps1, st1] = freeze(model, ps, st, ['encoder']); // trains the rest
 * const [model2, ps2, st2] = unfreeze(frozen, ps1, st1); // the whole again
 */
export function freeze<X, Y, P extends Tree, S extends StateTree>(
  layer: Layer<X, Y, P, S>,
  ps: P,
  st: S,
  paths?: readonly string[],
): [layer: FrozenLayer<X, Y, S>, ps: Tree, st: FrozenStates<S>] {
  const frozen = frozenLayer(layer, paths);
  const { free, frozen: frozenParams } = apart(ps, paths);
  return [frozen, free, { frozenParams, states: st }];
}

/** The inverse of {@link freeze}: the layer as it was, with all its parameters. @throws TypeError for another layer. */
export function unfreeze<X, Y, S extends StateTree>(
  layer: FrozenLayer<X, Y, S>,
  ps: Tree,
  st: FrozenStates<S>,
): [layer: Layer<X, Y, Tree, S>, ps: Tree, st: S] {
  const given: unknown = layer;
  if (!isLayer(given) || !isLayer((given as Partial<FrozenLayer<X, Y, S>>).layer)) {
    throw new TypeError(`unfreeze: expected a layer that freeze made, got ${describe(given)}`);
  }
  return [layer.layer, merged(ps, st.frozenParams) as Tree, st.states];
}

/**
 * A layer in which parts of the parameters are one and the same: they are there once, in the first place of each group, and
 * their gradients add up.
 *
 * @param groups Paths to branches or tensors of the same structure and shapes: `[['encoder.weight', 'decoder.weight']]`.
 * The parameters have the first of each group only.
 * @throws TypeError for a group of fewer than two paths; TreeError where a path leads nowhere or shapes differ.
 *
 * @example
 * const model = tieParameters(chain(dense(4, 4), dense(4, 4), dense(4, 1)), [['layer1', 'layer2']]);
 * const [ps, st] = setup(key(0), model); // ps.layer1, ps.layer3
 */
export function tieParameters<X, Y, P extends Tree, S extends StateTree>(
  layer: Layer<X, Y, P, S>,
  groups: readonly (readonly string[])[],
): Layer<X, Y, Tree, S> {
  if (!isLayer(layer)) throw new TypeError(`tieParameters: the first argument must be a layer, got ${describe(layer)}`);
  checkGroups('tieParameters', groups);
  const copies = groups.flatMap(([, ...rest]) => rest);
  const whole = (ps: unknown): P => {
    const parts = groups.flatMap(([first, ...rest]) => rest.map((path) => [path, found(ps, first)] as const));
    return merged(ps, nested(Object.fromEntries(parts))) as P;
  };
  return defineLayer({
    display: Object.freeze({
      name: 'TiedParameters',
      summary: groups.map((g) => g.join(' = ')).join(', '),
      children: { '': layer as AnyLayer },
    }),
    initialParameters: (key: Key) =>
      tidy(() => {
        const ps = layer.initialParameters(key);
        shareParameters(ps, groups); // for its errors
        return takeOut('tieParameters', ps, copies).rest as Tree;
      }),
    initialStates: (key: Key) => layer.initialStates(key),
    apply: (x: X, ps: Tree, st: S): [Y, S] => applyInner(layer, x, whole(ps), st),
  });
}
