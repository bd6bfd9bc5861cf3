/**
 * A model taken apart layer by layer, and put together again.
 */
import type { AnyLayer } from '../../core/layer.js';
import { formatPath, isRecord, type Path, type StateTree, type Tree } from '../../core/tree.js';
import { describe } from '../../core/value.js';
import { LayerError } from '../check.js';
import { isLayer } from '../container.js';

/** A layer with its own parts of the trees. */
export type LayerWithTrees = readonly [layer: AnyLayer, ps: Tree, st: StateTree];

/** What becomes of a layer; `path` is `layer2.layer1`, or the empty string for the whole model. */
export type LayerMapper = (layer: AnyLayer, ps: Tree, st: StateTree, path: string) => LayerWithTrees;

/**
 * `f` at each layer that has no layers inside, with its own parameters and states; returns the model of what it returns.
 *
 * Containers are made anew around layers that were replaced. Trees are shared where nothing changed.
 *
 * @param f `(layer, ps, st, path) => [layer, ps, st]`.
 * @throws LayerError naming a container that cannot be made around other layers: one of your own without `rebuild`.
 *
 * @example
 * // every dropout out of a model
 * layerMap((l, p, s) => (l.display?.name === 'Dropout' ? [noOpLayer(), {}, {}] : [l, p, s]), model, ps, st);
 */
export function layerMap<P extends Tree, S extends StateTree>(
  f: LayerMapper,
  layer: AnyLayer,
  ps: P,
  st: S,
): [layer: AnyLayer, ps: P, st: S] {
  const given: unknown = f;
  if (typeof given !== 'function') throw new TypeError(`layerMap: the first argument must be a function, got ${describe(given)}`); // prettier-ignore
  if (!isLayer(layer)) throw new TypeError(`layerMap: the second argument must be a layer, got ${describe(layer)}`);
  return visit(f, layer, ps, st, []) as [AnyLayer, P, S];
}

/** Layers inside by name. A wrapper that cannot be rebuilt may keep its layer's trees in another form: it is one layer. */
export function childrenOf({ display, rebuild }: AnyLayer): [name: string, layer: AnyLayer][] {
  const children = Object.entries<AnyLayer>(display?.children ?? {});
  return rebuild === undefined && children.some(([name]) => name === '') ? [] : children;
}

const fieldOf = (tree: unknown, name: string): unknown => (isRecord(tree) ? tree[name] : undefined);

function visit(f: LayerMapper, layer: AnyLayer, ps: Tree, st: StateTree, path: Path): LayerWithTrees {
  const children = childrenOf(layer);
  if (children.length === 0) {
    const result: unknown = f(layer, ps, st, path.length === 0 ? '' : formatPath(path));
    if (Array.isArray(result) && result.length === 3 && isLayer(result[0])) return result as unknown as LayerWithTrees;
    throw new TypeError(`layerMap: the function must return [layer, ps, st] at ${formatPath(path)}, got ${describe(result)}`); // prettier-ignore
  }
  let [parameters, states] = [ps, st];
  const mapped = children.map(([name, inner]): [string, AnyLayer] => {
    // The only layer of a wrapper has the wrapper's own trees.
    const own = name === '';
    const [p, s] = own ? [parameters, states] : [fieldOf(parameters, name), fieldOf(states, name)];
    const [next, nextP, nextS] = visit(f, inner, p as Tree, s as StateTree, own ? path : [...path, name]);
    if (own) [parameters, states] = [nextP, nextS];
    else {
      if (nextP !== p) parameters = { ...(parameters as Record<string, Tree>), [name]: nextP };
      if (nextS !== s) states = { ...(states as Record<string, StateTree>), [name]: nextS };
    }
    return [name, next];
  });
  if (mapped.every(([, next], i) => next === children[i][1])) return [layer, parameters, states];
  if (layer.rebuild === undefined) {
    throw new LayerError(
      `layerMap: ${layer.display?.name ?? 'Layer'} at ${formatPath(path)} cannot be made around other layers: it has no "rebuild"`,
    );
  }
  return [layer.rebuild(Object.fromEntries(mapped)), parameters, states];
}
