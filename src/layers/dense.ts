/**
 * The layers that multiply by weights: dense, scale and bilinear.
 */
import * as tf from '@tensorflow/tfjs-core';
import { calculateGain, kaimingUniform, onesInit, uniformInit, zerosInit } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { isTensor, type Tensor } from '../core/tree.js';
import { formatShape } from '../core/value.js';
import { resolveActivation, type Activation } from '../functional/activations.js';
import { affine, AFFINE_OPTIONS, parseAffine, sizeOf, type AffineOptions, type AffineParameters } from './affine.js';
import { checkInput, checkSize, checkTuple, fail } from './check.js';

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
  return affine<Tensor, B>(resolved, parseAffine(AFFINE_OPTIONS, options, 'dense'), {
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
  return affine<Tensor, B>(resolveActivation(activation, 'scale'), parseAffine(AFFINE_OPTIONS, options, 'scale'), {
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
  return affine(resolveActivation(activation, 'bilinear'), parseAffine(AFFINE_OPTIONS, options, 'bilinear'), {
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
