/**
 * Layers that take a known value at a known point, whatever their parameters.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import type { Layer } from '../core/layer.js';
import { functionOption, parseOptions, z } from '../core/options.js';
import type { StateTree, Tensor, Tree } from '../core/tree.js';
import { describe } from '../core/value.js';
import { checkInput } from './check.js';
import { defineWrapper, isLayer } from './container.js';

function checkPoint(where: string, what: string, point: unknown): readonly number[] {
  if (Array.isArray(point) && point.length > 0 && point.every((x) => Number.isFinite(x))) return point as number[];
  throw new TypeError(`${where}: ${what} must be an array of finite numbers, got ${describe(point)}`);
}

function checkLayer(where: string, layer: unknown): void {
  if (!isLayer(layer)) throw new TypeError(`${where}: the first argument must be a layer, got ${describe(layer)}`);
}

const squares = (x: Tensor): Tensor => tf.sum(tf.square(x), -1, true);

export interface PositiveDefiniteOptions {
  /** From differences of the layer's outputs `[..., outputs]` to `[..., 1]`: 0 at 0, nowhere negative. Default `Σ y²`. */
  readonly psi?: (y: Tensor) => Tensor;
  /** From `x - x0` `[..., features]` to `[..., 1]`: 0 at 0, positive elsewhere. Default `Σ x²`. */
  readonly r?: (difference: Tensor) => Tensor;
}

const OPTIONS = z.strictObject({
  psi: functionOption<(y: Tensor) => Tensor>().optional(),
  r: functionOption<(difference: Tensor) => Tensor>().optional(),
});

/**
 * `ψ(layer(x) - layer(x0)) + r(x - x0)`: 0 at `x0` and positive everywhere else, as a Lyapunov function must be.
 * `[..., features]` to `[..., 1]`. Gaby, Zhang and Ye, Lyapunov-Net, 2022.
 *
 * Parameters and states are the layer's. The layer is applied twice: with dropout in it, this holds in test mode only.
 *
 * @param x0 The point, one number for each feature.
 */
export function positiveDefinite<P extends Tree, S extends StateTree>(
  layer: Layer<Tensor, Tensor, P, S>,
  x0: readonly number[],
  options?: PositiveDefiniteOptions,
): Layer<Tensor, Tensor, P, S> {
  const where = 'positiveDefinite';
  checkLayer(where, layer);
  const point = checkPoint(where, 'x0', x0);
  const { psi = squares, r = squares } = parseOptions(OPTIONS, options, where);
  const summary = `[${point.join(', ')}]`;
  return defineWrapper({
    name: 'PositiveDefinite',
    summary,
    layer,
    body: (call, x) => {
      checkInput(`PositiveDefinite(${summary})`, x, { features: point.length });
      const y = call(x) as Tensor;
      return tf.add(psi(tf.sub(y, call(constant([point])) as Tensor)), r(tf.sub(x, constant(point))));
    },
  });
}

/**
 * `layer(x) - layer(input) + output`: takes the value `output` at `input`. Parameters and states are the layer's.
 *
 * @param input The point, one number for each feature.
 * @param output The value there, one number for each feature of the output.
 */
export function shiftTo<P extends Tree, S extends StateTree>(
  layer: Layer<Tensor, Tensor, P, S>,
  input: readonly number[],
  output: readonly number[],
): Layer<Tensor, Tensor, P, S> {
  const where = 'shiftTo';
  checkLayer(where, layer);
  const [from, to] = [checkPoint(where, 'the input', input), checkPoint(where, 'the output', output)];
  const summary = `[${from.join(', ')}], [${to.join(', ')}]`;
  return defineWrapper({
    name: 'ShiftTo',
    summary,
    layer,
    body: (call, x) => {
      checkInput(`ShiftTo(${summary})`, x, { features: from.length });
      const y = call(x) as Tensor;
      return tf.add(tf.sub(y, call(constant([from])) as Tensor), constant(to));
    },
  });
}
