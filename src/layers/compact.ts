/**
 * `compact`: a layer of one's own in a few lines, the counterpart of Lux.jl's `@compact`.
 */
import type { AnyLayer, InputOf, Layer, OutputOf } from '../core/layer.js';
import { functionOption, objectOption, parseOptions, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import { key as makeKey, split, type Key } from '../core/random.js';
import {
  formatPath,
  isRecord,
  isTensor,
  leavesWithPaths,
  type Path,
  type StateTree,
  type Tensor,
  type Tree,
} from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { TraceError, traceGraph } from '../graph/trace.js';
import { checkFields, fail } from './check.js';
import { initialiseAll, namedChildren, withChildren, type Children } from './container.js';
import { tidy } from './tidy.js';
import type { LayerOf, NamedParts, ParametersOfAll, StatesOfAll } from './types.js';

/** Parameters or states of one's own, by name. */
export type OwnParameters = { readonly [name: string]: Tree };
export type OwnStates = { readonly [name: string]: StateTree };

type Merge<A, B> = A & B extends infer U ? { [K in keyof U]: U[K] } : never;
type MergedTree<A, B> = Merge<A, B> extends infer U extends Tree ? U : never;
type MergedStates<A, B> = Merge<A, B> extends infer U extends StateTree ? U : never;

type LayersIn<L> = { -readonly [K in keyof L]: LayerOf<L[K]> };

/** What the forward pass of a compact layer has at hand. */
export interface CompactScope<P, S, L> {
  /** Its parameters, and those of its layers under their names. */
  readonly ps: Merge<P, ParametersOfAll<LayersIn<L>>>;
  /** Its own states. */
  readonly st: S;
  /**
   * Its layers as functions: `layer.inner(x)`. Parameters are put in and states handed on from call to call.
   */
  readonly layer: { readonly [K in keyof L]: (x: InputOf<LayerOf<L[K]>>) => OutputOf<LayerOf<L[K]>> };
  /** New values for some of its own states; the others stay. */
  readonly update: (states: Partial<S>) => void;
}

export interface CompactOptions<P extends OwnParameters, S extends OwnStates, L extends NamedParts> {
  /** As it prints. */
  readonly name: string;
  /** What stands between the parentheses when it prints. */
  readonly summary?: string;
  /** Fresh parameters of its own. Default: none. */
  readonly parameters?: (key: Key) => P;
  /** Fresh states of its own. Default: none. */
  readonly states?: (key: Key) => S;
  /** The layers it uses, by name. Default: none. */
  readonly layers?: L;
}

/** A layer made by {@link compact}. */
export interface CompactLayer<X, Y, P extends Tree, S extends StateTree, L> extends Layer<X, Y, P, S> {
  /** The layers it uses, by name. */
  readonly layers: L;
}

const OPTIONS = z.strictObject({
  name: z.string(),
  summary: z.string().optional(),
  parameters: functionOption<(key: Key) => OwnParameters>().optional(),
  states: functionOption<(key: Key) => OwnStates>().optional(),
  layers: objectOption<NamedParts>('a record of layers').optional(),
});

/** The own fields and those of the layers, which must not meet. */
function united(
  title: string,
  what: string,
  own: unknown,
  ofLayers: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  if (!isRecord(own)) throw new TypeError(`${title}: "${what}" must return a record, got ${describe(own)}`);
  for (const name of Object.keys(own)) {
    if (Object.hasOwn(ofLayers, name))
      throw new TypeError(`${title}: "${name}" is both a layer and one of its ${what}`);
  }
  return { ...own, ...ofLayers };
}

/** The shapes that its own parameters start with; nothing where the function that makes them cannot be traced. */
function ownShapes(make: ((key: Key) => unknown) | undefined): { path: Path; shape: readonly number[] }[] {
  const shapes: { path: Path; shape: readonly number[] }[] = [];
  if (make === undefined) return shapes;
  try {
    traceGraph([], () => {
      for (const { leaf, path } of leavesWithPaths(make(makeKey(0)))) shapes.push({ path, shape: leaf.shape });
      return [];
    });
  } catch (error) {
    if (error instanceof TraceError) return [];
    throw error;
  }
  return shapes;
}

/** Each of its own parameters must have the shape it started with. @throws LayerError */
function checkOwn(title: string, ps: unknown, shapes: ReturnType<typeof ownShapes>): void {
  for (const { path, shape } of shapes) {
    const given = path.reduce<unknown>((x, step) => (x as Record<string, unknown> | undefined)?.[step], ps);
    if (isTensor(given) && formatShape(given.shape) === formatShape(shape)) continue;
    const name = formatPath(path);
    if (given === undefined)
      fail(title, `the parameters have no field "${name}": got {${Object.keys(ps as object).join(', ')}}`);
    fail(title, `parameter "${name}" must be a tensor ${formatShape(shape)}, got ${describe(given)}`);
  }
}

/** The tree, with an error instead of `undefined` where a field is missing: what is its own is known only to the body. */
function guarded<T extends object>(title: string, tree: T): T {
  return new Proxy(tree, {
    get: (target, field): unknown => {
      if (typeof field === 'string' && !(field in target)) {
        checkFields(title, target, [...Object.keys(target), field], 'parameters');
      }
      return Reflect.get(target, field);
    },
  });
}

/**
 * A layer with parameters, states and layers of its own, from a function.
 *
 * The trees have its own fields and one for each layer. The function is the whole forward pass: it must be pure and use
 * tf operations only, like every `apply`.
 *
 * @param options `name`, and what it owns: `parameters`, `states`, `layers`.
 * @param body `(x, { ps, st, layer, update }) => y`. For an input that is not one tensor, annotate `x`.
 *
 * @example
 * const gated = compact(
 *   {
 *     name: 'Gated',
 *     layers: { inner: dense(4, 4, 'tanh') },
 *     parameters: () => ({ gate: tf.zeros([4]) }),
 *     states: () => ({ calls: constant(0) }),
 *   },
 *   (x, { ps, st, layer, update }) => {
 *     update({ calls: tf.add(st.calls, 1) });
 *     return tf.add(x, tf.mul(tf.sigmoid(ps.gate), layer.inner(x)));
 *   },
 * );
 * const [ps, st] = setup(key(0), gated); // ps.gate, ps.inner.weight, st.calls
 */
export function compact<
  P extends OwnParameters = {},
  S extends OwnStates = {},
  L extends NamedParts = {},
  X = Tensor,
  Y = Tensor,
>(
  options: CompactOptions<P, S, L>,
  body: (x: X, scope: CompactScope<P, S, L>) => Y,
): CompactLayer<
  X,
  Y,
  MergedTree<P, ParametersOfAll<LayersIn<L>>>,
  MergedStates<S, StatesOfAll<LayersIn<L>>>,
  LayersIn<L>
> {
  const { name, summary, parameters, states, layers } = parseOptions(OPTIONS, options, 'compact');
  if (typeof body !== 'function')
    throw new TypeError(`compact: the second argument must be a function, got ${typeof body}`);
  const children: Children = namedChildren(layers ?? {}, `compact ${name}`);
  const names = Object.keys(children);
  const title = summary === undefined ? name : `${name}(${summary})`;
  const initialise = (key: Key, what: 'parameters' | 'states', own: ((key: Key) => unknown) | undefined): unknown =>
    tidy(() => {
      const [forOwn, forLayers] = split(key, 2);
      const make = what === 'parameters' ? 'initialParameters' : 'initialStates';
      return united(title, what, own === undefined ? {} : own(forOwn), initialiseAll(children, forLayers, make));
    });
  let shapes: ReturnType<typeof ownShapes> | undefined;
  const run = body as unknown as (x: unknown, scope: CompactScope<OwnParameters, OwnStates, NamedParts>) => unknown;
  const layer: AnyLayer & { readonly layers: Children } = {
    layers: Object.freeze(children),
    display: Object.freeze({ name, ...(summary === undefined ? {} : { summary }), children }),
    rebuild: (others: Children): AnyLayer => compact({ ...options, layers: others as unknown as L }, body),
    initialParameters: (key: Key) => initialise(key, 'parameters', parameters) as Tree,
    initialStates: (key: Key) => initialise(key, 'states', states) as StateTree,
    apply: (x: unknown, ps: unknown, st: unknown) => {
      if (!isRecord(ps)) checkFields(title, ps, names, 'parameters');
      if (!isRecord(st)) checkFields(title, st, names, 'states');
      for (const child of names) {
        if (!Object.hasOwn(ps, child)) checkFields(title, ps, [...new Set([...Object.keys(ps), child])], 'parameters');
        if (!Object.hasOwn(st, child)) checkFields(title, st, [...new Set([...Object.keys(st), child])], 'states');
      }
      shapes ??= ownShapes(parameters);
      checkOwn(title, ps, shapes);
      let own = Object.fromEntries(Object.entries(st).filter(([field]) => !names.includes(field))) as OwnStates;
      const before = own;
      return tidy(() => {
        const [y, below] = withChildren(children, ps, st, (call) =>
          run(x, {
            ps: guarded(title, ps),
            st: before,
            layer: Object.fromEntries(names.map((child) => [child, (input: unknown) => call(child, input)])),
            update: (changes) => {
              for (const field of Object.keys(changes)) {
                if (!Object.hasOwn(before, field)) {
                  throw new TypeError(
                    `${title}: update of "${field}", which is none of its states {${Object.keys(before).join(', ')}}`,
                  );
                }
              }
              own = { ...own, ...(changes as OwnStates) };
            },
          }),
        );
        return [y, { ...own, ...below }] as [unknown, StateTree];
      });
    },
  };
  return defineLayer(layer) as never;
}
