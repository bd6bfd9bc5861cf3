/**
 * What dense layers and convolutions share: a weight, a bias, an activation, and the product that is their own.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, functionOption, OptionError, parseOptions, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import { split, type Key } from '../core/random.js';
import { isRecord, type Tensor } from '../core/tree.js';
import type { ResolvedActivation } from '../functional/activations.js';
import { checkParameters } from './check.js';
import { tidy } from './tidy.js';

/** Settings of a layer with a weight and a bias. */
export interface AffineOptions<B extends boolean = boolean> {
  /** Add a bias. Default true. */
  readonly useBias?: B;
  /** How the weight starts. */
  readonly initWeight?: Initialiser;
  /** How the bias starts. */
  readonly initBias?: Initialiser;
}

/** `{ weight, bias }`, or `{ weight }` where `useBias` is false. */
export type AffineParameters<B extends boolean> = B extends false
  ? { weight: Tensor }
  : { weight: Tensor; bias: Tensor };

/** The schema of {@link AffineOptions}; a layer with more options extends it. */
export const AFFINE_OPTIONS = z.strictObject({
  useBias: flag.default(true),
  initWeight: functionOption<Initialiser>('an initialiser').optional(),
  initBias: functionOption<Initialiser>('an initialiser').optional(),
});

/** What other libraries call these options, too far in spelling for a guess. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  bias: 'useBias',
  init: 'initWeight',
  kernelInitializer: 'initWeight',
  biasInitializer: 'initBias',
  strides: 'stride',
  padding: 'pad',
  dilations: 'dilation',
  outpad: 'outputPadding',
};

/** Options of a schema that extends {@link AFFINE_OPTIONS}. @throws OptionError */
export function parseAffine<S extends z.ZodObject>(schema: S, options: unknown, where: string): z.output<S> {
  for (const name of isRecord(options) ? Object.keys(options) : []) {
    if (!Object.hasOwn(ELSEWHERE, name) || !Object.hasOwn(schema.shape, ELSEWHERE[name])) continue;
    throw new OptionError(where, [`unknown option "${name}"; did you mean "${ELSEWHERE[name]}"?`]);
  }
  return parseOptions(schema, options, where);
}

export interface Affine {
  readonly name: string;
  /** The first words between the parentheses: `2 => 3`. */
  readonly summary: string;
  /** What it says of its other options, after the activation: `stride=2`. */
  readonly words?: readonly string[];
  readonly weight: readonly number[];
  readonly bias: readonly number[];
  readonly initWeight: Initialiser;
  readonly initBias: Initialiser;
  /** The product of input and weight, given the layer's title for its messages. */
  readonly product: (title: string, x: unknown, weight: Tensor) => Tensor;
}

/** A layer `activation(product(x, weight) + bias)`: what dense layers and convolutions are. */
export function affine<X, B extends boolean>(
  activation: ResolvedActivation,
  options: z.output<typeof AFFINE_OPTIONS>,
  parts: Affine,
): Layer<X, Tensor, AffineParameters<B>, Empty> {
  const { useBias, initWeight = parts.initWeight, initBias = parts.initBias } = options;
  const words = [parts.summary];
  if (activation.name !== 'identity') words.push(activation.name);
  words.push(...(parts.words ?? []));
  if (!useBias) words.push('useBias=false');
  const summary = words.join(', ');
  const title = `${parts.name}(${summary})`;
  const shapes: Record<string, readonly number[]> = { weight: parts.weight, ...(useBias ? { bias: parts.bias } : {}) };
  return defineLayer({
    display: Object.freeze({ name: parts.name, summary }),
    isCell: false,
    countParameters: () => Object.values(shapes).reduce((n, shape) => n + sizeOf(shape), 0),
    initialParameters: (key: Key) =>
      tidy(() => {
        const [forWeight, forBias] = split(key, 2);
        const weight = initWeight(forWeight, [...parts.weight]);
        const ps = useBias ? { weight, bias: initBias(forBias, [...parts.bias]) } : { weight };
        checkParameters(title, ps, shapes);
        return ps as AffineParameters<B>;
      }),
    initialStates: (): Empty => ({}),
    apply: (x: X, ps: AffineParameters<B>, st: Empty): [Tensor, Empty] => {
      checkParameters(title, ps, shapes);
      const y = tidy(() => {
        const z = parts.product(title, x, ps.weight);
        return activation.apply('bias' in ps ? tf.add(z, ps.bias) : z);
      });
      return [y, st];
    },
  });
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, m) => n * m, 1);
