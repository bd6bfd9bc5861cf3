/**
 * The layers that multiply by weights: dense, scale and bilinear.
 */
import * as tf from '@tensorflow/tfjs';
import {
  calculateGain,
  kaimingUniform,
  onesInit,
  uniformInit,
  zerosInit,
  type Initialiser,
} from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, functionOption, OptionError, parseOptions, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import { split, type Key } from '../core/random.js';
import { isRecord, isTensor, type Tensor } from '../core/tree.js';
import { resolveActivation, type Activation, type ResolvedActivation } from '../functional/activations.js';
import { checkInput, checkParameters, checkSize, checkTuple, fail, formatShape } from './check.js';
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

const OPTIONS = z.strictObject({
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
};

function parse(options: unknown, where: string): z.output<typeof OPTIONS> {
  for (const name of isRecord(options) ? Object.keys(options) : []) {
    if (!Object.hasOwn(ELSEWHERE, name)) continue;
    throw new OptionError(where, [`unknown option "${name}"; did you mean "${ELSEWHERE[name]}"?`]);
  }
  return parseOptions(OPTIONS, options, where);
}

interface Affine {
  readonly name: string;
  /** The first words between the parentheses: `2 => 3`. */
  readonly summary: string;
  readonly weight: readonly number[];
  readonly bias: readonly number[];
  readonly initWeight: Initialiser;
  readonly initBias: Initialiser;
  /** The product of input and weight, given the layer's title for its messages. */
  readonly product: (title: string, x: unknown, weight: Tensor) => Tensor;
}

/** A layer `activation(product(x, weight) + bias)`: what the layers of this file are. */
function affine<X, B extends boolean>(
  where: string,
  activation: ResolvedActivation,
  options: AffineOptions<B> | undefined,
  parts: Affine,
): Layer<X, Tensor, AffineParameters<B>, Empty> {
  const { useBias, initWeight = parts.initWeight, initBias = parts.initBias } = parse(options, where);
  const words = [parts.summary];
  if (activation.name !== 'identity') words.push(activation.name);
  if (!useBias) words.push('useBias=false');
  const summary = words.join(', ');
  const title = `${parts.name}(${summary})`;
  const shapes: Record<string, readonly number[]> = { weight: parts.weight, ...(useBias ? { bias: parts.bias } : {}) };
  return defineLayer({
    display: Object.freeze({ name: parts.name, summary }),
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

const sizeOf = (shape: readonly number[]): number => shape.reduce((n, m) => n * m, 1);

/** `x @ weight` over the last axis, whatever the number of axes. */
function matMul(x: Tensor, weight: Tensor): Tensor {
  if (x.rank === 2) return tf.matMul(x, weight);
  const [inputs, outputs] = weight.shape;
  const rows = tf.reshape(x, [sizeOf(x.shape) / inputs, inputs]);
  return tf.reshape(tf.matMul(rows, weight), [...x.shape.slice(0, -1), outputs]);
}

/**
 * `activation(x @ weight + bias)`, over the last axis of an input with any number of axes.
 *
 * Parameters: `weight [inputs, outputs]`, `bias [outputs]`. The weight starts uniform within
 * `± √3 gain / √inputs`, with the gain that suits the activation ({@link calculateGain}); the bias within `± 1 / √inputs`.
 * (These are Lux.jl's defaults, but for its gain of relu, which is 2 there where √2 keeps the variance.)
 *
 * @param inputs Features of the input.
 * @param outputs Features of the output.
 * @param activation A name or a function. Default: none.
 * @param options `useBias`, `initWeight`, `initBias`.
 * @throws TypeError for sizes that are not positive integers and for an unknown activation or option; `apply` throws a
 * LayerError for an input or for parameters that do not fit.
 */
export function dense<B extends boolean = true>(
  inputs: number,
  outputs: number,
  activation: Activation = 'identity',
  options?: AffineOptions<B>,
): Layer<Tensor, Tensor, AffineParameters<B>, Empty> {
  checkSize('dense', 'the number of inputs', inputs);
  checkSize('dense', 'the number of outputs', outputs);
  const resolved = resolveActivation(activation, 'dense');
  return affine<Tensor, B>('dense', resolved, options, {
    name: 'Dense',
    summary: `${inputs} => ${outputs}`,
    weight: [inputs, outputs],
    bias: [outputs],
    initWeight: kaimingUniform(calculateGain(resolved.name)),
    initBias: uniformInit(1 / Math.sqrt(inputs)),
    product: (title, x, weight) => {
      checkInput(title, x, { features: inputs });
      return matMul(x, weight);
    },
  });
}

/**
 * `activation(weight * x + bias)`, element by element over the last axes: a diagonal dense layer.
 *
 * Parameters: `weight` and `bias`, both of shape `size`. The weight starts as ones, the bias as zeros: the identity.
 *
 * @param size The sizes of the last axes of the input; a number for one axis.
 */
export function scale<B extends boolean = true>(
  size: number | readonly number[],
  activation: Activation = 'identity',
  options?: AffineOptions<B>,
): Layer<Tensor, Tensor, AffineParameters<B>, Empty> {
  const sizes: readonly unknown[] = Array.isArray(size) ? size : [size];
  const shape = sizes.map((n) => checkSize('scale', 'each size', n));
  return affine<Tensor, B>('scale', resolveActivation(activation, 'scale'), options, {
    name: 'Scale',
    summary: shape.join(', '),
    weight: shape,
    bias: shape,
    initWeight: onesInit(),
    initBias: zerosInit(),
    product: (title, x, weight) => {
      checkInput(title, x, { rank: [shape.length, Infinity] });
      const last = x.shape.slice(x.rank - shape.length);
      if (last.some((n, i) => n !== shape[i])) {
        fail(title, `expected an input whose shape ends with ${formatShape(shape)}, got shape ${formatShape(x.shape)}`);
      }
      return tf.mul(x, weight);
    },
  });
}

/**
 * `activation(Σᵢⱼ x1ᵢ weightᵢⱼₖ x2ⱼ + biasₖ)`, over the last axes of a pair of inputs, or of one input taken twice.
 *
 * Parameters: `weight [inputs1, inputs2, outputs]`, `bias [outputs]`, both starting uniform within `± 1 / √inputs1`.
 *
 * @param inputs Features of the two inputs; a number where they are equal.
 */
export function bilinear<B extends boolean = true>(
  inputs: number | readonly [number, number],
  outputs: number,
  activation: Activation = 'identity',
  options?: AffineOptions<B>,
): Layer<Tensor | readonly [Tensor, Tensor], Tensor, AffineParameters<B>, Empty> {
  const [n, m] = Array.isArray(inputs) ? (inputs as readonly [number, number]) : [inputs as number, inputs as number];
  for (const size of [n, m]) checkSize('bilinear', 'the number of inputs', size);
  checkSize('bilinear', 'the number of outputs', outputs);
  return affine('bilinear', resolveActivation(activation, 'bilinear'), options, {
    name: 'Bilinear',
    summary: `(${n}, ${m}) => ${outputs}`,
    weight: [n, m, outputs],
    bias: [outputs],
    initWeight: uniformInit(1 / Math.sqrt(n)),
    initBias: uniformInit(1 / Math.sqrt(n)),
    product: (title, x, weight) => {
      if (!isTensor(x)) checkTuple(title, x, 2);
      const [x1, x2]: readonly unknown[] = isTensor(x) ? [x, x] : x;
      checkInput(title, x1, { features: n });
      checkInput(title, x2, { features: m });
      const leading = x1.shape.slice(0, -1);
      if (x2.rank !== x1.rank || leading.some((k, i) => k !== x2.shape[i])) {
        fail(
          title,
          `expected two inputs that differ in their last axis only, got ${formatShape(x1.shape)} and ${formatShape(x2.shape)}`,
        );
      }
      const rows = sizeOf(leading);
      const left = tf.reshape(tf.matMul(tf.reshape(x1, [rows, n]), tf.reshape(weight, [n, m * outputs])), [
        rows,
        m,
        outputs,
      ]);
      return tf.reshape(tf.matMul(tf.reshape(x2, [rows, 1, m]), left), [...leading, outputs]);
    },
  });
}
