/**
 * How the static type of a model follows from the types of its parts.
 *
 * Containers take layers and plain functions, in a list or in a record. Both become one thing first, a record of layers by
 * name; parameters and states are then that record with each layer replaced by what it owns.
 */
import type { AnyLayer, Empty, InputOf, Layer, OutputOf, ParametersOf, StatesOf } from '../core/layer.js';
import type { StateTree, Tensor, Tree } from '../core/tree.js';

/** What a container is made of: a layer, or a plain function, which stands for a layer without parameters. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a function of any input, as AnyLayer is a layer of any
export type Part = AnyLayer | ((x: any) => unknown);

/** Parts by the names their parameters get. */
export interface NamedParts {
  readonly [name: string]: Part;
}

/** The layer a part stands for. */
export type LayerOf<F> = F extends AnyLayer ? F : F extends (x: infer X) => infer Y ? Layer<X, Y, Empty, Empty> : never;

/** A list with a place in front, so that counting starts at 1. */
type Shifted<L extends readonly unknown[]> = readonly [never, ...L];

/** `{ layer1, layer2, ... }` for a list of parts, the same names for a record of parts. */
export type LayersOf<L> = L extends readonly unknown[]
  ? number extends L['length']
    ? { [name: string]: LayerOf<L[number]> }
    : {
        [I in Exclude<keyof Shifted<L> & `${number}`, '0'> as `layer${I}`]: LayerOf<Shifted<L>[I]>;
      }
  : { -readonly [K in keyof L]: LayerOf<L[K]> };

type AsTree<T> = T extends Tree ? T : never;
type AsStates<T> = T extends StateTree ? T : never;

/** The parameter tree of a record of layers. */
export type ParametersOfAll<R> = AsTree<{ [K in keyof R]: ParametersOf<R[K]> }>;

/** The state tree of a record of layers. */
export type StatesOfAll<R> = AsStates<{ [K in keyof R]: StatesOf<R[K]> }>;

type First<L> = L extends readonly [infer F, ...unknown[]] ? F : L extends readonly unknown[] ? L[number] : L[keyof L];
type Last<L> = L extends readonly [...unknown[], infer F] ? F : L extends readonly unknown[] ? L[number] : L[keyof L];

/** What the first part takes; of a record, whose order types do not know, what any part takes. */
export type ChainInput<L> = InputOf<LayerOf<First<L>>>;
/** What the last part returns; of a record, what any part returns. */
export type ChainOutput<L> = OutputOf<LayerOf<Last<L>>>;

/** The same list, with the wanted type in each place whose input is not what the place before returns. */
export type Connected<L extends readonly Part[]> = number extends L['length']
  ? L
  : {
      readonly [I in keyof L]: I extends '0'
        ? L[I]
        : OutputOf<LayerOf<Shifted<L>[I & keyof Shifted<L>]>> extends InputOf<LayerOf<L[I]>>
          ? L[I]
          : Layer<OutputOf<LayerOf<Shifted<L>[I & keyof Shifted<L>]>>, unknown, Tree, StateTree>;
    };

type Intersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never;

/** What every part takes, when all get the same input. */
export type SharedInput<L> = Intersection<
  InputOf<LayerOf<L[keyof L & (L extends readonly unknown[] ? number : keyof L)]>>
>;

/** One input for each part, in their order. */
export type InputTuple<L> = L extends readonly unknown[]
  ? { -readonly [I in keyof L]: InputOf<LayerOf<L[I]>> }
  : InputOf<LayerOf<L[keyof L]>>[];

/** The outputs of all parts, in their order. */
export type OutputTuple<L> = L extends readonly unknown[]
  ? { -readonly [I in keyof L]: OutputOf<LayerOf<L[I]>> }
  : OutputOf<LayerOf<L[keyof L]>>[];

/** How several outputs become one: not at all, by a function of them, or by a layer of their tuple. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a function of any inputs
export type Connection = null | ((...ys: any[]) => unknown) | AnyLayer;

export type ConnectionOutput<C, L> = C extends null
  ? OutputTuple<L>
  : C extends AnyLayer
    ? OutputOf<C>
    : C extends (...ys: never[]) => infer Y
      ? Y
      : never;

/** Layers under `field`, and the connection beside them where it is a layer of its own. */
export type WithConnection<C, Layers, field extends string, connection extends string> = C extends AnyLayer
  ? { [K in field]: Layers } & { [K in connection]: C } extends infer R
    ? { [K in keyof R]: R[K] }
    : never
  : Layers;

/** A layer made of others. */
export interface Container<X, Y, P extends Tree, S extends StateTree, Layers> extends Layer<X, Y, P, S> {
  /** The layers it is made of, by the field of the parameter tree that is theirs. */
  readonly layers: Layers;
}

/** A layer from tensor to tensor without parameters and states. */
export type Stateless<X = Tensor, Y = Tensor> = Layer<X, Y, Empty, Empty>;
