/**
 * Functions of a number as features: polynomials and waves, and layers made of them.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { normalInit, type Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { functionOption, parseOptions, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import type { Tensor } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { checkInput, checkSize, fail } from './check.js';
import { parametricLayer } from './parametric.js';
import { tidy } from './tidy.js';
import type { Stateless } from './types.js';

/** A layer that gives each number of its input the values of `size` functions: `[...]` to `[..., size]`. */
export interface Basis extends Stateless {
  /** How many functions there are. */
  readonly size: number;
}

/** `f_0, f_1, ...` from the first two by `f_{k+1} = next(x, f_k, f_{k-1}, k)`. */
function byRecurrence(x: Tensor, n: number, next: (f: Tensor, before: Tensor, k: number) => Tensor): Tensor[] {
  const list = [tf.onesLike(x), x];
  for (let k = 1; k + 1 < n; k++) list.push(next(list[k], list[k - 1], k));
  return list.slice(0, n);
}

const times = (a: number, x: Tensor): Tensor => (a === 1 ? x : tf.mul(x, constant(a)));

/** `f(k x)` for k from 1 to n. */
const multiples = (f: (x: Tensor) => Tensor, x: Tensor, n: number): Tensor[] =>
  Array.from({ length: n }, (_, i) => f(times(i + 1, x)));

/** The functions of each family, the first n of them. */
const FAMILIES = {
  // By recurrence, not as cos(n acos x): right outside [-1, 1] too, and with derivatives at its ends.
  Chebyshev: (x, n) => byRecurrence(x, n, (f, before) => tf.sub(times(2, tf.mul(x, f)), before)),
  Legendre: (x, n) =>
    byRecurrence(x, n, (f, before, k) =>
      tf.sub(times((2 * k + 1) / (k + 1), tf.mul(x, f)), times(k / (k + 1), before)),
    ),
  Polynomial: (x, n) => byRecurrence(x, n, (f) => tf.mul(x, f)),
  Sin: (x, n) => multiples((t) => tf.sin(t), x, n),
  Cos: (x, n) => multiples((t) => tf.cos(t), x, n),
  Fourier: (x, n) =>
    Array.from({ length: n }, (_, i) => {
      if (i === 0) return tf.onesLike(x);
      const wave = times(Math.ceil(i / 2), x);
      return i % 2 === 1 ? tf.cos(wave) : tf.sin(wave);
    }),
} as const satisfies Readonly<Record<string, (x: Tensor, n: number) => Tensor[]>>;

function basis(family: keyof typeof FAMILIES, n: number): Basis {
  const where = `${family.toLowerCase()}Basis`;
  checkSize(where, 'the number of functions', n);
  const summary = String(n);
  const title = `${family}Basis(${summary})`;
  return defineLayer({
    display: Object.freeze({ name: `${family}Basis`, summary }),
    size: n,
    countParameters: () => 0,
    initialParameters: (): Empty => ({}),
    initialStates: (): Empty => ({}),
    apply: (x: Tensor, _ps: Empty, st: Empty): [Tensor, Empty] => {
      checkInput(title, x);
      return [tidy(() => tf.stack(FAMILIES[family](x, n), -1)), st];
    },
  });
}

/** Chebyshev's polynomials of the first kind: `T₀(x), ..., T_{n-1}(x)`, with `T_{k+1} = 2 x T_k - T_{k-1}`. */
export const chebyshevBasis = (n: number): Basis => basis('Chebyshev', n);

/** Legendre's polynomials: `P₀(x), ..., P_{n-1}(x)`, with `(k + 1) P_{k+1} = (2k + 1) x P_k - k P_{k-1}`. */
export const legendreBasis = (n: number): Basis => basis('Legendre', n);

/** `1, x, ..., x^{n-1}`. */
export const polynomialBasis = (n: number): Basis => basis('Polynomial', n);

/** `sin x, sin 2x, ..., sin nx`. */
export const sinBasis = (n: number): Basis => basis('Sin', n);

/** `cos x, cos 2x, ..., cos nx`. */
export const cosBasis = (n: number): Basis => basis('Cos', n);

/** `1, cos x, sin x, cos 2x, sin 2x, ...`: the first n of them. */
export const fourierBasis = (n: number): Basis => basis('Fourier', n);

const PRODUCT = z.strictObject({ initWeight: functionOption<Initialiser>('an initialiser').optional() });

/**
 * A function of several variables as a sum of products of functions of one: `y = z @ weight`, with z all products of one
 * function from each basis, that of the last variable changing fastest. `[..., bases]` to `[..., outputs]`.
 *
 * Parameters: `weight [product of the bases' sizes, outputs]`, which starts normal.
 *
 * @param bases One for each feature of the input.
 *
 * @example
 * tensorProductLayer([chebyshevBasis(4), fourierBasis(5)], 1); // 20 coefficients
 */
export function tensorProductLayer(
  bases: readonly Basis[],
  outputs: number,
  options?: { readonly initWeight?: Initialiser },
): Layer<Tensor, Tensor, { weight: Tensor }, Empty> {
  const where = 'tensorProductLayer';
  const given: unknown = bases;
  if (
    !Array.isArray(given) ||
    given.length === 0 ||
    !given.every((b) => Number.isSafeInteger((b as Partial<Basis>).size))
  ) {
    throw new TypeError(`${where}: the first argument must be an array of bases, got ${describe(given)}`);
  }
  checkSize(where, 'the number of outputs', outputs);
  const { initWeight = normalInit(1) } = parseOptions(PRODUCT, options, where);
  const sizes = bases.map(({ size }) => size);
  const count = sizes.reduce((n, m) => n * m, 1);
  return parametricLayer<Tensor, Tensor, { weight: Tensor }>({
    name: 'TensorProductLayer',
    summary: `${bases.map(({ display, size }) => `${display?.name ?? 'Basis'}(${size})`).join(' x ')} => ${outputs}`,
    parameters: { weight: { shape: [count, outputs], init: initWeight } },
    forward: (title, x, { weight }) => {
      checkInput(title, x, { features: bases.length, rank: [1, Infinity] });
      const leading = x.shape.slice(0, -1);
      const rows = x.size / bases.length;
      const variables = tf.split(tf.reshape(x, [rows, bases.length]), bases.length, 1);
      const products = variables.reduce<Tensor | null>((z, variable, i) => {
        const [own] = bases[i].apply(tf.reshape(variable, [rows]), {}, {});
        if (z === null) return own;
        const both = tf.mul(tf.expandDims(z, 2), tf.expandDims(own, 1));
        return tf.reshape(both, [rows, both.size / rows]);
      }, null) as Tensor;
      return tf.reshape(tf.matMul(products as tf.Tensor2D, weight as tf.Tensor2D), [...leading, outputs]);
    },
  });
}

/**
 * Makes what follows periodic in some features: those are taken out and put at the end as `sin(2π x / period)`, then all
 * as `cos(2π x / period)`. `[..., features]` to `[..., features + indices]`.
 *
 * @param indices Which features are periodic, counted from 0.
 * @param periods The period of each.
 */
export function periodicEmbedding(indices: readonly number[], periods: readonly number[]): Stateless {
  const where = 'periodicEmbedding';
  const given: unknown = indices;
  const fits = (list: unknown, ok: (x: number) => boolean): list is readonly number[] =>
    Array.isArray(list) && list.length > 0 && list.every((x) => typeof x === 'number' && ok(x));
  if (!fits(given, (i) => Number.isSafeInteger(i) && i >= 0) || new Set(given).size !== given.length) {
    throw new TypeError(`${where}: the indices must be different non-negative integers, got ${describe(given)}`);
  }
  if (!fits(periods, (p) => p > 0 && p < Infinity) || periods.length !== given.length) {
    throw new TypeError(`${where}: the periods must be ${given.length} positive numbers, one for each index, got ${describe(periods)}`); // prettier-ignore
  }
  const summary = `[${indices.join(', ')}], [${periods.join(', ')}]`;
  const title = `PeriodicEmbedding(${summary})`;
  return defineLayer({
    display: Object.freeze({ name: 'PeriodicEmbedding', summary }),
    countParameters: () => 0,
    initialParameters: (): Empty => ({}),
    initialStates: (): Empty => ({}),
    apply: (x: Tensor, _ps: Empty, st: Empty): [Tensor, Empty] => {
      checkInput(title, x, { rank: [1, Infinity] });
      const features = x.shape[x.rank - 1];
      const missing = indices.find((i) => i >= features);
      if (missing !== undefined) fail(title, `the input has no feature ${missing}, got shape ${formatShape(x.shape)}`);
      const y = tidy(() => {
        const columns = tf.split(x, features, -1);
        const rest = columns.filter((_, i) => !indices.includes(i));
        const periodic = tf.concat(indices.map((i) => columns[i]), -1); // prettier-ignore
        const angles = tf.mul(periodic, constant(periods.map((p) => (2 * Math.PI) / p)));
        return tf.concat([...rest, tf.sin(angles), tf.cos(angles)], -1);
      });
      return [y, st];
    },
  });
}
