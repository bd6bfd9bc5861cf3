/**
 * Fixed points with known solutions or published counts.
 */
import * as tf from '@tensorflow/tfjs';
import { constant, type Tensor } from '../../../src/index.js';
import { fixedPointProblem, type FixedPointProblem } from '../../../solvers/index.js';

/** Parameters of `z = tanh(W z + b)`, n = 8, W the symmetric part of `s cos(1 + 3i + 5j + ij)`. */
export type F2Parameters = { readonly w: Tensor; readonly b: Tensor };

const N = 8;

export function f2(s: number): FixedPointProblem<Tensor, F2Parameters> {
  const raw = (i: number, j: number): number => s * Math.cos(1 + 3 * i + 5 * j + i * j);
  const rows = Array.from({ length: N }, (_, i) => Array.from({ length: N }, (_, j) => (raw(i, j) + raw(j, i)) / 2));
  const b = Array.from({ length: N }, (_, i) => 0.1 * (i + 1) - 0.4);
  return fixedPointProblem(f2Map, tf.zeros([N]), { w: constant(rows), b: constant(b) });
}

export const f2Map = (z: Tensor, { w, b }: F2Parameters): Tensor =>
  tf.tanh(tf.add(tf.reshape(tf.matMul(w as tf.Tensor2D, tf.reshape(z, [N, 1])), [N]), b));

/** The solution for s = 0.4, computed in quadruple precision (by Newton iteration to 1e-30). */
export const F2_SOLUTION = [
  -0.4372942376348996, -0.4850769303764333, -0.07955523290641424, -0.02597076732543368, 0.582898034702888,
  0.3586070562506514, 0.3127822349855058, 0.800686253699288,
];

/** Evaluations of f to `|f(z) - z|_2 < 1e-10` by plain iteration and by difference-form Anderson of memory 5 and 6. */
export const F2_EVALUATIONS = [
  { s: 0.3, picard: 37, memory5: 14, memory6: 12 },
  { s: 0.4, picard: 64, memory5: 17, memory6: 15 },
  { s: 0.5, picard: 135, memory5: 20, memory6: 16 },
] as const;
