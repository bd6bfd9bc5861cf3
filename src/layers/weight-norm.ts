/**
 * Wrappers that put another parameter in the place of one of a layer's: its direction and length apart, or the
 * parameter divided by its largest singular value.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { parameterLength, type AnyLayer, type Layer } from '../core/layer.js';
import { parseOptions, positiveInteger, positiveNumber, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import { normal, split, type Key } from '../core/random.js';
import { isRecord, isTensor, type StateTree, type Tensor, type Tree } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { readsAtOnce } from '../graph/buffer-workspace.js';
import { checkFields, fail } from './check.js';
import { isLayer } from './container.js';
import { tidy } from './tidy.js';

type Parameters = Readonly<Record<string, Tree>>;

/** Parameters of a layer under {@link weightNorm}: `weightG` and `weightV` for `weight`. */
export interface WeightNormParameters {
  readonly normalized: Readonly<Record<string, Tensor>>;
  readonly unnormalized: Parameters;
  readonly [name: string]: Tree;
}

export interface WeightNormOptions {
  /** Axes that keep a length each; negative numbers count from the end. Default: the last, which is the output. */
  readonly dims?: number | readonly number[];
}

const WEIGHT_NORM = z.strictObject({ dims: z.union([z.int(), z.array(z.int())]).optional() });

function checkLayer(where: string, layer: unknown): void {
  if (!isLayer(layer)) throw new TypeError(`${where}: the first argument must be a layer, got ${describe(layer)}`);
}

/** The axes that a length is taken over. */
function across(x: Tensor, kept: readonly number[], title: string): number[] {
  const own = kept.map((axis) => (axis < 0 ? axis + x.rank : axis));
  const missing = own.findIndex((axis) => axis < 0 || axis >= x.rank);
  if (missing >= 0) fail(title, `a parameter of shape ${formatShape(x.shape)} has no axis ${kept[missing]}`);
  return x.shape.map((_, i) => i).filter((i) => !own.includes(i));
}

/** Euclidean, in the same number of axes. Over no axes it is the absolute value. */
const lengthOver = (x: Tensor, axes: number[]): Tensor =>
  axes.length === 0 ? tf.abs(x) : tf.sqrt(tf.sum(tf.square(x), axes, true));

/** The named tensors of a layer's own parameters. @throws LayerError */
function pick(title: string, ps: unknown, names: readonly string[]): [Record<string, Tensor>, Record<string, Tree>] {
  if (!isRecord(ps)) fail(title, `the layer's parameters must be a record, got ${describe(ps)}`);
  for (const name of names) {
    if (!isTensor(ps[name])) {
      fail(
        title,
        `the parameters have no field "${name}" with a tensor: the layer's are {${Object.keys(ps).join(', ')}}`,
      );
    }
  }
  const chosen = Object.fromEntries(names.map((name) => [name, ps[name] as Tensor]));
  const others = Object.fromEntries(Object.entries(ps).filter(([name]) => !names.includes(name))) as Record<string, Tree>; // prettier-ignore
  return [chosen, others];
}

/** Every length above 0; where the values cannot be read (in a trace) or must be waited for (WebGPU), nobody looks. @throws LayerError */
function checkLengths(title: string, name: string, lengths: Tensor): void {
  if (Symbol.for('nullcline.trace') in tf.backend() || !readsAtOnce(tf.backend())) return;
  if (lengths.dataSync().every((x) => x > 0)) return;
  fail(title, `parameter "${name}" starts with zeros alone, which have no direction; give it another initialiser`);
}

/**
 * Direction and length of parameters as parameters of their own: `w = g v / ‖v‖`. Salimans and Kingma 2016.
 *
 * Parameters: `{ normalized: { weightG, weightV }, unnormalized: { bias, ... } }`, where `weightV` has the shape of
 * `weight`, and `weightG` size 1 in the axes that the length is taken over. They start so that `w` is what the layer
 * itself would have started with. States: the layer's.
 *
 * @param names Which parameters, all tensors of the layer's own record. Default `['weight']`.
 * @param options `dims`.
 * @throws TypeError for a bad argument; LayerError where a parameter is missing or starts with zeros alone.
 */
export function weightNorm<X, Y, S extends StateTree>(
  layer: Layer<X, Y, { [name: string]: Tree }, S> | Layer<X, Y, { weight: Tensor }, S>,
  names: readonly string[] = ['weight'],
  options?: WeightNormOptions,
): Layer<X, Y, WeightNormParameters, S> {
  checkLayer('weightNorm', layer);
  const given: unknown = names;
  if (!Array.isArray(given) || given.length === 0 || !given.every((name) => typeof name === 'string')) {
    throw new TypeError(`weightNorm: expected an array of names of parameters, got ${describe(given)}`);
  }
  const { dims = -1 } = parseOptions(WEIGHT_NORM, options, 'weightNorm');
  const kept = typeof dims === 'number' ? [dims] : dims;
  const inner = layer as unknown as Layer<X, Y, Tree, S>;
  const summary = `[${names.join(', ')}]${kept.length === 1 && kept[0] === -1 ? '' : `, dims=[${kept.join(', ')}]`}`;
  const title = `WeightNorm(${summary})`;
  const fields = names.flatMap((name) => [`${name}G`, `${name}V`]);
  return defineLayer({
    display: Object.freeze({ name: 'WeightNorm', summary, children: { '': layer as AnyLayer } }),
    initialParameters: (key: Key): WeightNormParameters =>
      tidy(() => {
        const [chosen, unnormalized] = pick(title, inner.initialParameters(key), names);
        const normalized = Object.fromEntries(
          names.flatMap((name) => {
            const v = chosen[name];
            const g = lengthOver(v, across(v, kept, title));
            checkLengths(title, name, g);
            return [[`${name}G`, g], [`${name}V`, v]]; // prettier-ignore
          }),
        ) as Record<string, Tensor>;
        return { normalized, unnormalized };
      }),
    initialStates: (key: Key) => inner.initialStates(key),
    apply: (x: X, ps: WeightNormParameters, st: S): [Y, S] => {
      checkFields(title, ps, ['normalized', 'unnormalized'], 'parameters');
      checkFields(title, ps.normalized, fields, 'parameters');
      return tidy(() => {
        const rebuilt = names.map((name): [string, Tensor] => {
          const [g, v] = [ps.normalized[`${name}G`], ps.normalized[`${name}V`]];
          const axes = across(v, kept, title);
          const shape = v.shape.map((n, i) => (axes.includes(i) ? 1 : n));
          if (g.shape.length !== shape.length || g.shape.some((n, i) => n !== shape[i])) {
            fail(
              title,
              `parameter "${name}G" must have size 1 in the axes of its length, ${formatShape(shape)} for "${name}V", ` +
                `got ${describe(v)} with ${describe(g)}`,
            );
          }
          return [name, tf.mul(v, tf.div(g, lengthOver(v, axes)))];
        });
        return inner.apply(x, { ...ps.unnormalized, ...Object.fromEntries(rebuilt) }, st);
      });
    },
  });
}

/** States of a layer under {@link spectralNorm}. */
export interface SpectralNormStates<S extends StateTree> {
  /** The layer's own. */
  readonly model: S;
  /** The power iteration's present left singular vector, `[outputs]`, of length 1. */
  readonly u: Tensor;
  readonly training: boolean;
  readonly [name: string]: StateTree;
}

export interface SpectralNormOptions {
  /** Rounds of the power iteration at each application. Default 1. */
  readonly iterations?: number;
  /** Added to the lengths that vectors are divided by. Default 1e-12. */
  readonly epsilon?: number;
}

const SPECTRAL_NORM = z.strictObject({
  iterations: positiveInteger.default(1),
  epsilon: positiveNumber.default(1e-12),
});

/** A column divided by its length. */
const unit = (x: Tensor, epsilon: number): Tensor =>
  tf.div(x, tf.add(tf.sqrt(tf.sum(tf.square(x))), constant(epsilon)));

/**
 * Divides a parameter by its largest singular value, so that the layer is (nearly) 1-Lipschitz in Euclid's norm. Miyato,
 * Kataoka, Koyama and Yoshida 2018.
 *
 * The parameter is taken as a matrix `W` of as many columns as its last axis is long. The singular value comes from a
 * power iteration, which goes on from its present vector `u`: `v = W u / ‖W u‖`, `u = Wᵀ v / ‖Wᵀ v‖`, `σ = ‖Wᵀ v‖`. In training
 * the new `u` goes into the state; in test mode the state stays. The derivative is that of what was computed, through
 * the rounds of one application (PyTorch holds `u` and `v` fixed; the two agree when the iteration has converged).
 *
 * Parameters: the layer's. States: `{ model, u, training }`.
 *
 * @param name Which parameter, a tensor of the layer's own record. Default `'weight'`.
 * @param options `iterations`, `epsilon`.
 * @throws TypeError for a bad argument; LayerError where the parameter is missing.
 */
export function spectralNorm<X, Y, P extends Tree, S extends StateTree>(
  layer: Layer<X, Y, P, S>,
  name = 'weight',
  options?: SpectralNormOptions,
): Layer<X, Y, P, SpectralNormStates<S>> {
  checkLayer('spectralNorm', layer);
  const { iterations, epsilon } = parseOptions(SPECTRAL_NORM, options, 'spectralNorm');
  const summary = `${name}${iterations === 1 ? '' : `, iterations=${iterations}`}`;
  const title = `SpectralNorm(${summary})`;
  /** The last axis of the parameter, found from parameters made for the purpose. */
  const columns = (key: Key): number => {
    const [{ [name]: weight }] = pick(title, layer.initialParameters(key), [name]);
    return weight.shape.at(-1) ?? 1;
  };
  return defineLayer({
    display: Object.freeze({ name: 'SpectralNorm', summary, children: { '': layer as AnyLayer } }),
    countParameters: () => parameterLength(layer as AnyLayer),
    initialParameters: (key: Key) => layer.initialParameters(key),
    initialStates: (key: Key): SpectralNormStates<S> =>
      tidy(() => {
        const [forModel, forVector] = split(key, 2);
        const u = unit(normal(forVector, [columns(key)]), epsilon);
        return { model: layer.initialStates(forModel), u, training: true };
      }),
    apply: (x: X, ps: P, st: SpectralNormStates<S>): [Y, SpectralNormStates<S>] => {
      checkFields(title, st, ['model', 'u', 'training'], 'states');
      const [{ [name]: weight }] = pick(title, ps, [name]);
      const last = weight.shape.at(-1) ?? 1;
      if (st.u.size !== last) {
        fail(title, `parameter "${name}" must have ${st.u.size} columns, as the state's vector has, got ${describe(weight)}`); // prettier-ignore
      }
      return tidy(() => {
        const matrix = tf.reshape(weight, [weight.size / last, last]);
        let u = tf.reshape(st.u, [last, 1]);
        let image = u;
        for (let i = 0; i < iterations; i++) {
          image = tf.matMul(matrix, unit(tf.matMul(matrix, u), epsilon), true);
          u = unit(image, epsilon);
        }
        const sigma = tf.sqrt(tf.sum(tf.square(image)));
        const [y, model] = layer.apply(x, { ...(ps as Parameters), [name]: tf.div(weight, sigma) } as unknown as P, st.model);
        return [y, { model, u: st.training ? tf.reshape(u, [last]) : st.u, training: st.training }];
      }); // prettier-ignore
    },
  });
}
