/**
 * torchdiffeq's spiral demo: the true path, start weights and the batches of 200 iterations. All are torchdiffeq's where its
 * `spiral_fixture.json` lies beside the hand-written limit; otherwise they are drawn here, of the same kind.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { odeProblem, solve, tsit5 } from '../../solvers/index.js';
import { constant, type Tensor } from '../../src/index.js';
import { limitDirectory } from './measure.js';

export const TIMES = Array.from({ length: 10 }, (_, i) => (i * 25) / 999);
const BATCH = 20;
const ITERATIONS = 200;

/** Weights as PyTorch has them: [out, in], row by row. */
type Weights = Readonly<Record<'W1' | 'b1' | 'W2' | 'b2', readonly number[]>>;

interface Task {
  readonly init: Weights;
  /** Where each piece of a batch starts on the path, for each iteration. */
  readonly batches: readonly (readonly number[])[];
}

export const cubed = (y: Tensor): Tensor => tf.mul(y, tf.square(y));

function task(): Task {
  const directory = limitDirectory();
  const file = directory === undefined ? undefined : join(directory, 'spiral_fixture.json');
  if (file !== undefined && existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Task;
  console.log('torchdiffeq\'s spiral_fixture.json is absent: weights and batches are drawn here'); // prettier-ignore
  const draw = (n: number, seed: number): number[] => Array.from(tf.tidy(() => tf.randomNormal([n], 0, 0.1, 'float32', seed).dataSync())); // prettier-ignore
  const zeros = (n: number): number[] => new Array<number>(n).fill(0);
  return {
    init: { W1: draw(100, 1), b1: zeros(50), W2: draw(100, 2), b2: zeros(2) },
    batches: Array.from({ length: ITERATIONS }, (_, k) =>
      Array.from({ length: BATCH }, (__, i) => ((i + BATCH * k) * 389) % 990),
    ),
  };
}

/** [in, out], as TensorFlow has them, of [out, in] row by row. */
const columns = (w: readonly number[], out: number): number[][] =>
  Array.from({ length: w.length / out }, (_, i) => Array.from({ length: out }, (__, o) => w[(o * w.length) / out + i]));

export interface Piece {
  /** [20, 2]: where the pieces start. */
  readonly x: number[][];
  /** [10, 20, 2]: where they go. */
  readonly y: number[][][];
}

export interface Spiral {
  /** Weight, bias, weight, bias. */
  readonly weights: readonly [number[][], readonly number[], number[][], readonly number[]];
  readonly batches: readonly Piece[];
}

/** On the backend that is active. */
export function spiral(): Spiral {
  const { init, batches } = task();
  const all = Array.from({ length: 1000 }, (_, i) => (i * 25) / 999);
  const path = tf.tidy(() => {
    const A = constant([[-0.1, 2], [-2, -0.1]]); // prettier-ignore
    const truth = odeProblem((u: Tensor) => tf.matMul(cubed(u), A), constant([[2, 0]]), [0, 25], {});
    return solve(truth, tsit5(), { saveAt: all, reltol: 1e-6, abstol: 1e-8 }).u.dataSync();
  });
  const at = (i: number): number[] => [path[2 * i], path[2 * i + 1]];
  return {
    weights: [columns(init.W1, 50), init.b1, columns(init.W2, 2), init.b2],
    batches: batches.map((starts) => ({ x: starts.map(at), y: TIMES.map((_, k) => starts.map((s) => at(s + k))) })),
  };
}
