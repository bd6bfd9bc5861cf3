/**
 * Models whose state has several parts, each of its own shape, that inform each other: multiscale deep equilibrium models.
 *
 * S. Bai, V. Koltun, J. Z. Kolter, Multiscale Deep Equilibrium Models, NeurIPS 2020.
 */
import * as tf from '@tensorflow/tfjs-core';
import { applyChild, type AnyLayer, type Empty, type Layer } from '../../src/core/layer.js';
import { defineLayer } from '../../src/core/print.js';
import { split, type Key } from '../../src/core/random.js';
import { leaves, type StateTree, type Tensor, type Tree } from '../../src/core/tree.js';
import { tidy } from '../../src/layers/tidy.js';
import { odeProblem, tsit5, type OdeAlgorithm, type OdeOptions } from '../../solvers/index.js';
import { solve } from '../../solvers/solve.js';
import { equilibriumLayer, firstTensor, type EquilibriumParameters, type EquilibriumState } from './equilibrium.js';
import type { EquilibriumOptions } from './options.js';

type Records = { readonly [name: string]: Tree };
type RecordStates = { readonly [name: string]: StateTree };

export interface Scales<X> {
  /**
   * One layer for each scale: the first takes the pair of its state and the input, the others their state.
   */
  readonly main: readonly [Layer<[Tensor, X], Tensor, never, never> | AnyLayer, ...AnyLayer[]];
  /** `mapping[i][j]` takes what `main[i]` made to scale j; what arrives at a scale is added. */
  readonly mapping: readonly (readonly AnyLayer[])[];
  /** One layer for each scale, applied to the sum. Default: none. */
  readonly postFuse?: readonly AnyLayer[];
  /** The shape of the state of each scale, without the batch axis. */
  readonly scales: readonly (readonly number[])[];
}

function checkScales(where: string, { main, mapping, postFuse, scales }: Scales<never>): void {
  const n = scales.length;
  const expect = (what: string, found: number): void => {
    if (found !== n) throw new TypeError(`${where}: ${what} must be as many as there are scales (${n}), got ${found}`);
  };
  if (n === 0) throw new TypeError(`${where}: scales must name at least one shape`);
  expect('the main layers', main.length);
  expect('the rows of the mapping layers', mapping.length);
  mapping.forEach((row, i) => {
    expect(`the mapping layers of row ${i}`, row.length);
  });
  if (postFuse !== undefined) expect('the layers after the fusion', postFuse.length);
}

/** The map of a multiscale model: takes `[[z_1, ..., z_n], x]`. */
function scalesLayer<X extends Tree>(
  where: string,
  given: Scales<X>,
): Layer<[Tensor[], X], Tensor[], Records, RecordStates> {
  checkScales(where, given);
  const { main, mapping, postFuse } = given;
  const children: Record<string, AnyLayer> = {};
  main.forEach((layer, i) => (children[`main${i + 1}`] = layer as AnyLayer));
  mapping.forEach((row, i) => {
    row.forEach((layer, j) => (children[`mapping${i + 1}${j + 1}`] = layer));
  });
  postFuse?.forEach((layer, i) => (children[`postFuse${i + 1}`] = layer));
  for (const [name, layer] of Object.entries(children)) {
    if (typeof (layer as Partial<AnyLayer> | undefined)?.apply !== 'function') {
      throw new TypeError(`${where}: ${name} must be a layer`);
    }
  }
  const names = Object.keys(children);
  const initialise = <T>(key: Key, make: (layer: AnyLayer, key: Key) => T): Record<string, T> => {
    return tidy(() => {
      const keys = split(key, names.length);
      return Object.fromEntries(names.map((name, i) => [name, make(children[name], keys[i])]));
    });
  };
  return defineLayer({
    initialParameters: (key: Key): Records => initialise(key, (layer, k) => layer.initialParameters(k) as Tree),
    initialStates: (key: Key): RecordStates => initialise(key, (layer, k) => layer.initialStates(k) as StateTree),
    apply: ([z, x]: [Tensor[], X], ps: Records, st: RecordStates): [Tensor[], RecordStates] => {
      const next: Record<string, StateTree> = { ...st };
      const call = (name: string, input: unknown): Tensor => {
        const [y, state] = applyChild(name, children[name] as Layer<unknown, Tensor, Tree, StateTree>, input, ps[name], st[name]); // prettier-ignore
        next[name] = state;
        return y;
      };
      const made = z.map((part, i) => call(`main${i + 1}`, i === 0 ? [part, x] : part));
      const fused = z.map((_, j) => {
        const arriving = made.map((y, i) => call(`mapping${i + 1}${j + 1}`, y));
        const sum = arriving.length === 1 ? arriving[0] : tf.addN(arriving);
        return postFuse === undefined ? sum : call(`postFuse${j + 1}`, sum);
      });
      return [fused, next];
    },
    display: { name: 'Scales', children },
  });
}

function zerosOf<X>(where: string, { scales }: Scales<X>): (x: X) => Tensor[] {
  return (x) => {
    const [batch] = firstTensor(x, where).shape;
    return scales.map((shape) => tf.zeros([batch, ...shape]));
  };
}

export type MultiScaleNetwork<X, I extends Tree, SI extends StateTree> = Layer<
  X,
  Tensor[],
  EquilibriumParameters<Records, I>,
  EquilibriumState<RecordStates, SI, Tensor[]>
>;

/**
 * The equilibrium of several states that inform each other, from zeros: returns the list of states, one for each scale.
 *
 * One application is `z_j <- postFuse_j(sum_i mapping_ij(main_i(z_i)))`, where `main_1` takes `[z_1, x]`. Everything
 * else is as in
 * {@link deepEquilibriumNetwork}.
 */
export function multiScaleDeepEquilibriumNetwork<X extends Tree = Tensor>(
  scales: Scales<X>,
  options: EquilibriumOptions = {},
): MultiScaleNetwork<X, Empty, Empty> {
  const where = 'multiScaleDeepEquilibriumNetwork';
  return equilibriumLayer<X, Tensor[], Records, RecordStates, Empty, Empty>({
    name: 'MultiScaleDeepEquilibriumNetwork',
    where,
    layer: scalesLayer(where, scales),
    start: 'zeros',
    zeros: zerosOf(where, scales),
    options,
  });
}

/**
 * The same from a start that depends on the input: what the layer `init` makes of x (a list of states), or without
 * one, a first application
 * of the model to zeros.
 */
export function multiScaleSkipDeepEquilibriumNetwork<X extends Tree, I extends Tree, SI extends StateTree>(
  scales: Scales<X>,
  init: Layer<X, Tensor[], I, SI>,
  options?: EquilibriumOptions,
): MultiScaleNetwork<X, I, SI>;
export function multiScaleSkipDeepEquilibriumNetwork<X extends Tree = Tensor>(
  scales: Scales<X>,
  init?: null,
  options?: EquilibriumOptions,
): MultiScaleNetwork<X, Empty, Empty>;
export function multiScaleSkipDeepEquilibriumNetwork<X extends Tree, I extends Tree, SI extends StateTree>(
  scales: Scales<X>,
  init: Layer<X, Tensor[], I, SI> | null = null,
  options: EquilibriumOptions = {},
): MultiScaleNetwork<X, I, SI> {
  const where = 'multiScaleSkipDeepEquilibriumNetwork';
  return equilibriumLayer<X, Tensor[], Records, RecordStates, I, SI>({
    name: 'MultiScaleSkipDeepEquilibriumNetwork',
    where,
    layer: scalesLayer(where, scales),
    start: init ?? 'evaluation',
    zeros: zerosOf(where, scales),
    options,
  });
}

export interface MultiScaleNeuralOdeOptions extends Omit<OdeOptions, 'saveAt'> {
  /** Default [0, 1]. */
  readonly tspan?: readonly [number, number];
  /** Default {@link tsit5}. */
  readonly algorithm?: OdeAlgorithm;
}

export interface MultiScaleNeuralOdeState {
  readonly model: RecordStates;
  /** See `readStatistics`. */
  readonly statistics: tf.Tensor1D;
  readonly [name: string]: StateTree;
}

/**
 * The flow towards the equilibrium of a multiscale model, `dz/dt = f(z, x) - z` from zeros, followed over a time span
 * instead of to its end: returns
 * the list of states at the end of it.
 */
export function multiScaleNeuralODE<X extends Tree = Tensor>(
  scales: Scales<X>,
  options: MultiScaleNeuralOdeOptions = {},
): Layer<X, Tensor[], { readonly model: Records }, MultiScaleNeuralOdeState> {
  const where = 'multiScaleNeuralODE';
  const { tspan = [0, 1], algorithm = tsit5(), ...settings } = options;
  const layer = scalesLayer(where, scales);
  const zeros = zerosOf(where, scales);
  return defineLayer({
    initialParameters: (key: Key): { readonly model: Records } => ({ model: layer.initialParameters(key) }),
    initialStates: (key: Key): MultiScaleNeuralOdeState => ({
      model: layer.initialStates(key),
      statistics: tf.zeros([5], 'int32'),
    }),
    apply: (
      x: X,
      ps: { readonly model: Records },
      st: MultiScaleNeuralOdeState,
    ): [Tensor[], MultiScaleNeuralOdeState] =>
      tidy(() => {
        type Given = { readonly ps: Records; readonly x: X };
        const evaluate = (z: Tensor[], given: Given): [Tensor[], RecordStates] =>
          applyChild('model', layer, [z, given.x], given.ps, st.model);
        const field = (z: Tensor[], given: Given): Tensor[] => evaluate(z, given)[0].map((y, i) => tf.sub(y, z[i]));
        const given: Given = { ps: ps.model, x };
        const { u, statistics } = solve(odeProblem(field, zeros(x), tspan, given), algorithm, settings);
        const model = leaves(st.model).length === 0 ? st.model : evaluate(u, given)[1];
        return [u, { model, statistics }];
      }),
    display: {
      name: 'MultiScaleNeuralODE',
      summary: `[${tspan.join(', ')}], ${algorithm.name}`,
      children: { model: layer },
    },
  });
}
