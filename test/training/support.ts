/** A model small enough to compute by hand: y = x w + b, with a counter and a flag in its state. */
import * as tf from '@tensorflow/tfjs';
import type { Layer } from '../../src/core/layer.js';
import type { Objective } from '../../src/training/index.js';

export interface LineParameters {
  readonly weight: tf.Tensor;
  readonly bias: tf.Tensor;
  readonly [name: string]: tf.Tensor;
}
export interface LineStates {
  readonly seen: tf.Tensor;
  readonly training: boolean;
  readonly [name: string]: tf.Tensor | boolean;
}
export type Line = Layer<tf.Tensor, tf.Tensor, LineParameters, LineStates>;

export const line: Line = Object.freeze({
  initialParameters: () => ({ weight: tf.tensor2d([[0.5], [-0.25]]), bias: tf.tensor1d([0.1]) }),
  initialStates: () => ({ seen: tf.scalar(0), training: true }),
  apply: (x: tf.Tensor, ps: LineParameters, st: LineStates): [tf.Tensor, LineStates] => [
    tf.add(tf.matMul(x as tf.Tensor2D, ps.weight as tf.Tensor2D), ps.bias),
    { ...st, seen: tf.add(st.seen, tf.scalar(x.shape[0])) },
  ],
  display: { name: 'Line', summary: '2 => 1' },
});

export type Batch = readonly [tf.Tensor, tf.Tensor];

export const meanSquare: Objective<Line, Batch, { largest: tf.Tensor }> = (model, ps, st, [x, y]) => {
  const [prediction, states] = model.apply(x, ps, st);
  const error = tf.sub(prediction, y);
  return [tf.mean(tf.square(error)), states, { largest: tf.max(tf.abs(error)) }];
};

/** y = 2 x1 - 3 x2 + 0.5 on four points. */
export const points = (): [tf.Tensor, tf.Tensor] => [
  tf.tensor2d([
    [1, 0],
    [0, 1],
    [1, 1],
    [-1, 0.5],
  ]),
  tf.tensor2d([[2.5], [-2.5], [-0.5], [-3]]),
];

/** The same in plain numbers: loss and gradient of the mean square error. */
export function byHand(w: readonly number[], b: number): { loss: number; weight: number[]; bias: number } {
  const xs = [[1, 0], [0, 1], [1, 1], [-1, 0.5]]; // prettier-ignore
  const ys = [2.5, -2.5, -0.5, -3];
  let loss = 0;
  let bias = 0;
  const weight = [0, 0];
  xs.forEach(([p, q], i) => {
    const e = p * w[0] + q * w[1] + b - ys[i];
    loss += (e * e) / 4;
    weight[0] += (e * p) / 2;
    weight[1] += (e * q) / 2;
    bias += e / 2;
  });
  return { loss, weight, bias };
}
