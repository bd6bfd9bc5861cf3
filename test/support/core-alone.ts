/**
 * A program on tfjs-core alone, run by test/backend/core.test.ts in a process of its own: it prints what it finds as JSON.
 */
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { grad, useBackend, type Tensor } from '../../src/index.js';
import { discreteAdjoint, odeProblem, solve, tsit5 } from '../../solvers/index.js';

export interface Found {
  /** Files of tfjs that were loaded. */
  readonly files: readonly string[];
  /** Does tfjs know a derivative of tanh? */
  readonly knowsGradients: boolean;
  /** The backend where none was chosen. */
  readonly first: string;
  /** By backend: silu''(0.7), and the derivative in a of the square of u(1), u' = a u, u(0) = 1, at a = 0.3. */
  readonly values: Readonly<Record<string, readonly [number, number]>>;
}

const silu = (x: Tensor): Tensor => tf.sum(tf.mul(x, tf.sigmoid(x)));
const flow = (a: Tensor): Tensor => {
  const field = (u: Tensor, p: Tensor): Tensor => tf.mul(u, p);
  const options = { reltol: 1e-6, abstol: 1e-6, adjoint: discreteAdjoint() };
  return tf.sum(tf.square(solve(odeProblem(field, tf.ones([1]), [0, 1], a), tsit5(), options).u));
};
const at = (f: (x: Tensor) => Tensor, x: number): number => f(tf.scalar(x)).dataSync()[0];

tf.tidy(() => tf.ones([1]).dataSync());
const first = tf.getBackend();
const values: Record<string, [number, number]> = {};
for (const backend of ['cpu', 'nullcline'] as const) {
  await useBackend(backend);
  values[backend] = [at(grad(grad(silu)), 0.7), at(grad(flow), 0.3)];
}
const files = Object.keys(createRequire(import.meta.url).cache).filter((file) => file.includes('@tensorflow'));
const knowsGradients = (tf.getGradient('Tanh') as unknown) != null;
console.log(JSON.stringify({ files, knowsGradients, first, values } satisfies Found));
