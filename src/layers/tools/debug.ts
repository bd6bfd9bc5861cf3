/**
 * Debug mode: a NaN or an error names the layer it comes from, and on which way.
 */
import { withInterceptor, type AnyLayer, type Layer } from '../../core/layer.js';
import { oneOf, parseOptions, z } from '../../core/options.js';
import { defineLayer } from '../../core/print.js';
import type { Key } from '../../core/random.js';
import { currentScope, scopeNote } from '../../core/scope.js';
import { formatPath, treeMap, type Path, type StateTree, type Tensor, type Tree } from '../../core/tree.js'; // prettier-ignore
import { describe } from '../../core/value.js';
import { nanGuard, type OnNaN } from '../../graph/nan-guard.js';
import { isLayer } from '../container.js';
import { tidy } from '../tidy.js';

/** What debug mode found. The original error, if there was one, is its `cause`. */
export class DebugError extends Error {
  override readonly name = 'DebugError';
  constructor(
    message: string,
    /** The path of the layer, such as `layer2.layer1`; empty for the model itself. */
    readonly layerPath: string,
    /** On the way to the outputs, or on the way of the cotangents back. */
    readonly direction: 'forward' | 'backward',
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
  }
}

export interface DebugOptions {
  /**
   * Where to look for NaN: in inputs, parameters, outputs and states on the way forward, in cotangents of outputs, inputs and
   * parameters on the way back, both, or nowhere (then only errors are located). Default `'both'`.
   */
  readonly nanCheck?: 'none' | 'forward' | 'backward' | 'both';
}

const OPTIONS = z.strictObject({ nanCheck: oneOf('none', 'forward', 'backward', 'both').default('both') });

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Most errors say themselves where they happened. */
const withNote = (message: string, layerPath: string): string =>
  message.includes(' (in layer ') ? message : message + scopeNote(layerPath);

/** The layer in words: `Dense(2 => 3)`, `Chain`. */
function titleOf({ display }: AnyLayer): string {
  const name = display?.name ?? 'Layer';
  return display?.summary === undefined && Object.keys(display?.children ?? {}).length > 0 ? name : `${name}(${display?.summary ?? ''})`; // prettier-ignore
}

type Looks = Readonly<Record<'forward' | 'backward', boolean>>;

/** Guards for the tensors of one application of a layer. */
function guards(layer: AnyLayer, layerPath: string, looks: Looks) {
  const title = titleOf(layer);
  const found = (direction: 'forward' | 'backward', what: string, path: Path, { shape }: Tensor): OnNaN => {
    if (!looks[direction]) return null;
    const part = path.length === 0 ? '' : ` at ${formatPath(path)}`;
    const of = direction === 'forward' ? `in the ${what}${part}` : `in the cotangent of the ${what}${part}`;
    return (index) => {
      throw new DebugError(
        `NaN ${of} (shape [${shape.join(', ')}], element ${index}) of ${title}, on the way ${direction}${scopeNote(layerPath)}`,
        layerPath,
        direction,
      );
    };
  };
  const guarded = <T>(what: string, tree: T): T =>
    looks.forward || looks.backward
      ? treeMap(tree, (leaf, path) =>
          leaf.dtype === 'float32'
            ? nanGuard(leaf, found('forward', what, path, leaf), found('backward', what, path, leaf))
            : leaf,
        )
      : tree;
  const failed = (error: unknown): DebugError =>
    error instanceof DebugError
      ? error
      : new DebugError(`${title} failed: ${withNote(messageOf(error), layerPath)}`, layerPath, 'forward', error);
  return { guarded, failed };
}

/**
 * The same layer, which looks for NaN and locates errors in each layer inside: a {@link DebugError} names the layer's path,
 * the tensor and the direction.
 *
 * Parameters and states are the layer's own, so that it can take the model's place at any time. In a traced function
 * (`compile`, `grad`) the looking is part of the program and happens at each run; it costs a copy of every tensor that
 * passes between layers.
 *
 * @param options `nanCheck`.
 *
 * @example
 * const [loss] = debugMode(model).apply(x, ps, st);
 * // DebugError: NaN in the output (shape [8, 2], element 3) of Dense(50 => 2), on the way forward (in layer layer2)
 */
export function debugMode<X, Y, P extends Tree, S extends StateTree>(
  layer: Layer<X, Y, P, S>,
  options?: DebugOptions,
): Layer<X, Y, P, S> {
  if (!isLayer(layer)) throw new TypeError(`debugMode: expected a layer, got ${describe(layer)}`);
  const { nanCheck } = parseOptions(OPTIONS, options, 'debugMode');
  const looks: Looks = {
    forward: nanCheck === 'forward' || nanCheck === 'both',
    backward: nanCheck === 'backward' || nanCheck === 'both',
  };
  const watch = (one: AnyLayer, x: unknown, ps: Tree, st: StateTree): [unknown, StateTree] => {
    const { guarded, failed } = guards(one, currentScope(), looks);
    // Only the innermost layers' parameters: they are those of the layers around them.
    const isLeaf = Object.keys(one.display?.children ?? {}).length === 0;
    try {
      return tidy((): [unknown, StateTree] => {
        const [y, next] = one.apply(guarded('input', x), isLeaf ? guarded('parameters', ps) : ps, st) as [unknown, StateTree]; // prettier-ignore
        return [guarded('output', y), isLeaf ? guarded('states', next) : next];
      });
    } catch (error) {
      throw failed(error);
    }
  };
  return defineLayer({
    display: Object.freeze({
      name: 'DebugLayer',
      summary: `nanCheck=${nanCheck}`,
      children: { '': layer as AnyLayer },
    }),
    ...(layer.countParameters === undefined ? {} : { countParameters: layer.countParameters }),
    initialParameters: (key: Key) => layer.initialParameters(key),
    initialStates: (key: Key) => layer.initialStates(key),
    apply: (x: X, ps: P, st: S): [Y, S] =>
      withInterceptor(watch, () => watch(layer as AnyLayer, x, ps, st)) as unknown as [Y, S],
  });
}
