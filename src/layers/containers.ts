/**
 * Layers made of layers. Names and meanings are Lux.jl's; plain functions may stand wherever a layer may.
 *
 * The differences between them are two: which input each layer gets, and what becomes of the outputs.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyLayer, InputOf, OutputOf, ParametersOf, StatesOf } from '../core/layer.js';
import { flag, parseOptions, positiveInteger, z } from '../core/options.js';
import { isRecord, type Tensor } from '../core/tree.js';
import { describe } from '../core/value.js';
import { functionName } from '../functional/function-name.js';
import { checkSize, checkTuple } from './check.js';
import {
  defineContainer,
  defineWrapper,
  isLayer,
  toChildren,
  toLayer,
  type CallChild,
  type Children,
} from './container.js';
import { noOpLayer } from './functions.js';
import type {
  ChainInput,
  ChainOutput,
  Connected,
  Connection,
  ConnectionOutput,
  Container,
  InputTuple,
  LayerOf,
  LayersOf,
  NamedParts,
  OutputTuple,
  ParametersOfAll,
  Part,
  SharedInput,
  Stateless,
  StatesOfAll,
  WithConnection,
} from './types.js';

/** A container of these parts: the trees have a field for each. */
type Of<X, Y, R> = Container<X, Y, ParametersOfAll<R>, StatesOfAll<R>, R>;

/**
 * One layer after another.
 *
 * Parameters and states: `{ layer1, layer2, ... }`, or the names given. `model.layers.layer1` is the first layer. Without
 * layers it is {@link noOpLayer}.
 *
 * @example
 * const model = chain(dense(2, 16, 'tanh'), dense(16, 1));
 * const [ps, st] = setup(key(0), model);
 * const [y] = model.apply(x, ps, st);
 *
 * @example
 * chain({ encoder: dense(4, 2), decoder: dense(2, 4) }); // ps.encoder.weight
 */
export function chain(): Stateless;
export function chain<L extends NamedParts>(
  layers: L & { readonly apply?: never },
): Of<ChainInput<L>, ChainOutput<L>, LayersOf<L>>;
export function chain<L extends readonly Part[]>(
  ...layers: L & Connected<L>
): Of<ChainInput<L>, ChainOutput<L>, LayersOf<L>>;
export function chain(...args: readonly unknown[]): AnyLayer {
  const children = toChildren(args, 'chain');
  const names = Object.keys(children);
  const empty: Stateless = noOpLayer();
  if (names.length === 0) return empty;
  return defineContainer({
    name: 'Chain',
    children,
    body: (call, x) => names.reduce((y, name) => call(name, y), x),
  });
}

/** How a connection takes outputs: as arguments if it is a function, as one tuple if it is a layer. */
interface Joined {
  readonly children: Children;
  /** The names of the layers proper, within `children` or within the container under its field. */
  readonly join: (call: CallChild, ys: readonly unknown[]) => unknown;
  readonly summary?: string;
}

/** The connection's part in a container: nothing, a function, or a layer in a field of its own. */
function connect(connection: unknown, field: string, where: string): Joined {
  if (connection === null || connection === undefined) return { children: {}, join: (_, ys) => [...ys] };
  if (isLayer(connection)) return { children: { [field]: connection }, join: (call, ys) => call(field, [...ys]) };
  if (typeof connection !== 'function') {
    throw new TypeError(`${where}: the connection must be null, a function or a layer, got ${describe(connection)}`);
  }
  const f = connection as (...ys: unknown[]) => unknown;
  return { children: {}, join: (_, ys) => f(...ys), summary: functionName(f) || 'function' };
}

const sharedOrEach =
  (title: string, names: readonly string[]) =>
  (x: unknown): readonly unknown[] => {
    if (!Array.isArray(x)) return names.map(() => x);
    checkTuple(title, x, names.length);
    return x;
  };

const shared =
  (_: string, names: readonly string[]) =>
  (x: unknown): readonly unknown[] =>
    names.map(() => x);

/** Layers side by side, whose outputs meet in a connection. */
function sideBySide(
  name: string,
  where: string,
  connectionField: string,
  connection: unknown,
  parts: readonly unknown[],
  route: (title: string, names: readonly string[]) => (x: unknown) => readonly unknown[],
): AnyLayer {
  const layers = toChildren(parts, where);
  const names = Object.keys(layers);
  if (names.length === 0) throw new TypeError(`${where}: needs a layer or more`);
  const inputs = route(name, names);
  const { children, join, summary } = connect(connection, connectionField, where);
  const outputs = (call: CallChild, x: unknown): unknown[] => {
    const given = inputs(x);
    return names.map((child, i) => call(child, given[i]));
  };
  const display = { name, ...(summary === undefined ? {} : { summary }) };
  if (Object.keys(children).length === 0) {
    return defineContainer({ ...display, children: layers, body: (call, x) => join(call, outputs(call, x)) });
  }
  const inner = defineContainer({ name: 'Layers', children: layers, body: outputs });
  return defineContainer({
    ...display,
    children: { layers: inner, ...children },
    body: (call, x) => join(call, call('layers', x) as unknown[]),
  });
}

/** A group of layers inside a container that also has a connection. */
type Group<R> = Container<never, unknown, ParametersOfAll<R>, StatesOfAll<R>, R>;
type WithFusion<C, R, F extends string> = C extends AnyLayer ? WithConnection<C, Group<R>, 'layers', F> : R;

/**
 * Layers side by side on one input, or each on its own.
 *
 * A tuple (an array) as input gives each layer its entry; anything else goes to every layer.
 *
 * @param connection What becomes of the outputs: null leaves the tuple; a function gets them as arguments
 * (`parallel(tf.add, a, b)`); a layer gets the tuple, and parameters and states are then `{ layers, connection }`.
 */
export function parallel<C extends Connection, L extends NamedParts>(
  connection: C,
  layers: L & { readonly apply?: never },
): Of<SharedInput<L> | InputTuple<L>, ConnectionOutput<C, L>, WithFusion<C, LayersOf<L>, 'connection'>>;
export function parallel<C extends Connection, L extends readonly Part[]>(
  connection: C,
  ...layers: L
): Of<SharedInput<L> | InputTuple<L>, ConnectionOutput<C, L>, WithFusion<C, LayersOf<L>, 'connection'>>;
export function parallel(connection: unknown, ...parts: readonly unknown[]): AnyLayer {
  return sideBySide('Parallel', 'parallel', 'connection', connection, parts, sharedOrEach);
}

export interface BranchOptions<C extends Connection = Connection> {
  /**
   * What becomes of the outputs, as in {@link parallel}: null leaves the tuple; a function gets them as arguments; a layer gets
   * the tuple, and parameters and states are then `{ layers, fusion }`. Default null.
   */
  readonly fusion?: C;
}

/** Options behind layers: a record that is no layer, and that does not stand alone. */
const isBranchOptions = (x: unknown, args: readonly unknown[]): x is BranchOptions =>
  args.length > 1 && isRecord(x) && !isLayer(x);

const BRANCH = z.strictObject({
  fusion: z.custom<Connection>(() => true).default(null), // connect says what is wrong with another
});

/**
 * One input to every layer, whatever it is; returns the tuple of outputs, or with `fusion` what that makes of them.
 *
 * @example
 * branchLayer(dense(2, 3), dense(2, 3), { fusion: tf.add });
 */
export function branchLayer<L extends NamedParts>(
  layers: L & { readonly apply?: never },
): Of<SharedInput<L>, OutputTuple<L>, LayersOf<L>>;
export function branchLayer<L extends NamedParts, C extends Connection>(
  layers: L & { readonly apply?: never },
  options: BranchOptions<C>,
): Of<SharedInput<L>, ConnectionOutput<C, L>, WithFusion<C, LayersOf<L>, 'fusion'>>;
export function branchLayer<L extends readonly Part[]>(...layers: L): Of<SharedInput<L>, OutputTuple<L>, LayersOf<L>>;
export function branchLayer<L extends readonly Part[], C extends Connection>(
  ...layersAndOptions: readonly [...layers: L, options: BranchOptions<C>]
): Of<SharedInput<L>, ConnectionOutput<C, L>, WithFusion<C, LayersOf<L>, 'fusion'>>;
export function branchLayer(...args: readonly unknown[]): AnyLayer {
  const last = args.at(-1);
  const hasOptions = isBranchOptions(last, args);
  const { fusion } = parseOptions(BRANCH, hasOptions ? last : undefined, 'branchLayer');
  const parts = hasOptions ? args.slice(0, -1) : args;
  return sideBySide('BranchLayer', 'branchLayer', 'fusion', fusion, parts, shared);
}

/** The element-wise greatest of the outputs of layers on one input. Goodfellow et al. 2013. */
export function maxout<L extends AnyLayer>(make: (i: number) => L, n: number): Of<InputOf<L>, Tensor, LayersOf<L[]>>;
export function maxout<L extends readonly AnyLayer[]>(...layers: L): Of<SharedInput<L>, Tensor, LayersOf<L>>;
export function maxout(...args: readonly unknown[]): AnyLayer {
  const [first, n] = args;
  const parts =
    typeof first === 'function' && args.length === 2
      ? Array.from({ length: checkSize('maxout', 'n', n) }, (_, i) => (first as (i: number) => unknown)(i))
      : args;
  const children = toChildren(parts, 'maxout');
  const names = Object.keys(children);
  if (names.length === 0) throw new TypeError('maxout: needs a layer or more');
  return defineContainer({
    name: 'Maxout',
    children,
    body: (call, x) => names.map((name) => call(name, x) as Tensor).reduce((a, b) => tf.maximum(a, b)),
  });
}

/**
 * `connection(layer(x), x)`.
 *
 * Parameters and states are the layer's own when the connection is a function; with a layer as connection, which gets the
 * pair as its input, they are `{ layers, connection }`.
 */
export function skipConnection<L extends Part, Y>(
  layer: L,
  connection: (y: OutputOf<LayerOf<L>>, x: InputOf<LayerOf<L>>) => Y,
): Container<InputOf<LayerOf<L>>, Y, ParametersOf<LayerOf<L>>, StatesOf<LayerOf<L>>, LayerOf<L>>;
export function skipConnection<L extends Part, C extends AnyLayer>(
  layer: L,
  connection: C,
): Of<InputOf<LayerOf<L>>, OutputOf<C>, { layers: LayerOf<L>; connection: C }>;
export function skipConnection(part: unknown, connection: unknown): AnyLayer {
  const layer = toLayer(part, 'skipConnection', 'the layer');
  const { children, join, summary } = connect(connection, 'connection', 'skipConnection');
  const display = { name: 'SkipConnection', ...(summary === undefined ? {} : { summary }) };
  if (isLayer(connection)) {
    return defineContainer({
      ...display,
      children: { layers: layer, ...children },
      body: (call, x) => join(call, [call('layers', x), x]),
    });
  }
  if (typeof connection !== 'function') {
    throw new TypeError(`skipConnection: the connection must be a function or a layer, got ${describe(connection)}`);
  }
  return defineWrapper({
    ...display,
    layer,
    body: (call, x) => (connection as (y: unknown, x: unknown) => unknown)(call(x), x),
  });
}

/**
 * Layers in a row, each output joined with a further input: `y = x1`, then `y = connection(layer_i(y), x_{i+1})`.
 *
 * @param connection A function of two arguments.
 *
 * The input is a tuple of one more than there are layers, or one thing, which is then joined every time.
 */
export function pairwiseFusion<Y, L extends readonly Part[]>(
  connection: (y: OutputOf<LayerOf<L[number]>>, x: Y) => Y,
  ...layers: L
): Of<Y | readonly [Y, ...{ [I in keyof L]: Y }], Y, LayersOf<L>>;
export function pairwiseFusion<L extends NamedParts, Y>(
  connection: (y: OutputOf<LayerOf<L[keyof L]>>, x: Y) => Y,
  layers: L & { readonly apply?: never },
): Of<Y | readonly Y[], Y, LayersOf<L>>;
export function pairwiseFusion(connection: unknown, ...parts: readonly unknown[]): AnyLayer {
  if (typeof connection !== 'function') {
    throw new TypeError(`pairwiseFusion: the connection must be a function, got ${describe(connection)}`);
  }
  const join = connection as (y: unknown, x: unknown) => unknown;
  const children = toChildren(parts, 'pairwiseFusion');
  const names = Object.keys(children);
  if (names.length === 0) throw new TypeError('pairwiseFusion: needs a layer or more');
  return defineContainer({
    name: 'PairwiseFusion',
    summary: functionName(join) || 'function',
    children,
    body: (call, x) => {
      const isTuple = Array.isArray(x);
      if (isTuple) checkTuple('PairwiseFusion', x, names.length + 1);
      const at = (i: number): unknown => (isTuple ? (x as readonly unknown[])[i] : x);
      return names.reduce((y, name, i) => join(call(name, y), at(i + 1)), at(0));
    },
  });
}

export interface RepeatedOptions {
  /** How often the layer is applied. Default 10. */
  readonly repeats?: number;
  /** Give the layer `[y, x]`, with x the input of the whole, instead of y alone. Default false. */
  readonly inputInjection?: boolean;
}

const REPEATED = z.strictObject({ repeats: positiveInteger.default(10), inputInjection: flag.default(false) });

type Injected<X> = X extends readonly [infer Y, unknown] ? Y : never;

/**
 * One layer applied again and again with the same parameters; its states go from each application to the next.
 *
 * Parameters and states are the layer's own. With `inputInjection` it starts from `[x, x]`: the unrolled form of a deep
 * equilibrium model.
 */
export function repeatedLayer<L extends AnyLayer>(
  layer: L,
  options: RepeatedOptions & { readonly inputInjection: true },
): Container<Injected<InputOf<L>>, OutputOf<L>, ParametersOf<L>, StatesOf<L>, L>;
export function repeatedLayer<L extends Part>(
  layer: L,
  options?: RepeatedOptions & { readonly inputInjection?: false },
): Container<InputOf<LayerOf<L>>, OutputOf<LayerOf<L>>, ParametersOf<LayerOf<L>>, StatesOf<LayerOf<L>>, LayerOf<L>>;
export function repeatedLayer(part: unknown, options?: RepeatedOptions): AnyLayer {
  const { repeats, inputInjection } = parseOptions(REPEATED, options, 'repeatedLayer');
  return defineWrapper({
    name: 'RepeatedLayer',
    summary: `repeats=${repeats}${inputInjection ? ', inputInjection=true' : ''}`,
    layer: toLayer(part, 'repeatedLayer', 'the layer'),
    body: (call, x) => {
      let y = x;
      for (let i = 0; i < repeats; i++) y = call(inputInjection ? [y, x] : y);
      return y;
    },
  });
}
