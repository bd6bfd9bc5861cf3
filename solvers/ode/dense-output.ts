/**
 * Dense output: the states at the times that lie within a step, and what their cotangents leave for the step.
 *
 * How many times lie within a step changes from step to step, and with training. On a backend that compiles, a program for each number
 * of them would be compiled while the user waits, to be run a few times: there few rows go one by one, until a number of them has come
 * so often that its own program pays. That computes the same numbers in the same order, bit for bit. Many rows are a matrix product.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import type { Spec } from '../../src/graph/graph.js';
import type { Program } from '../../src/graph/program.js';
import type { StepPrograms } from './programs.js';
import type { Polynomial } from './tableau.js';

/** So many rows and more are a matrix product on any backend. */
const MANY = 16;
/** A group of rows gets its own program after this many rows of such groups: the calls it saves take as long as compiling it. */
const ROWS_BEFORE_COMPILING = 1000;

/** The programs for `u + W K` with row-major weights `W [m, slopes]`, and for its transpose. */
export class DenseOutput {
  /** Which of the slopes of a step it depends on. */
  readonly used: readonly boolean[];
  /** How many rows have come in groups of so many. */
  private readonly seen = new Map<number, number>();
  private readonly interpolations = new Map<number, Program>();
  private readonly spreads = new Map<number, Program>();

  constructor(
    private readonly programs: StepPrograms,
    private readonly weights: readonly Polynomial[],
  ) {
    this.used = weights.map((w) => w.some((c) => c !== 0));
  }

  /** In groups of how many rows to compute `m` rows. */
  group(m: number, compiles: boolean): number {
    if (m === 1 || m >= MANY || !compiles) return m;
    const seen = this.seen.get(m) ?? 0;
    if (seen >= ROWS_BEFORE_COMPILING) return m;
    this.seen.set(m, seen + m);
    return 1;
  }

  /** (W [m, slopes], u, k_1 ...) -> [m, ...state]. */
  interpolate(m: number, compiles: boolean): Program {
    let program = this.interpolations.get(m);
    if (program === undefined) this.interpolations.set(m, (program = this.interpolation(m, m >= MANY || !compiles)));
    return program;
  }

  /** (W [m, slopes], dv [m, ...state], dK, dV) -> [dK + W' dv, dV + dv summed]: what m rows leave for the slopes and the state. */
  spread(m: number, compiles: boolean): Program {
    let program = this.spreads.get(m);
    if (program === undefined) this.spreads.set(m, (program = this.spreading(m, m >= MANY || !compiles)));
    return program;
  }

  private interpolation(m: number, isProduct: boolean): Program {
    const { state } = this.programs.field;
    const specs = [this.matrix(m), state, ...this.weights.map(() => state)];
    return this.programs.cached(`interpolate ${m} ${isProduct}`, specs, ([w, u, ...ks]) => [
      isProduct ? denseProduct(w, u, ks) : this.rows(w, u, ks),
    ]);
  }

  private spreading(m: number, isProduct: boolean): Program {
    const { state } = this.programs.field;
    const slopes = this.weights.length;
    const all: Spec = { shape: [slopes, ...state.shape], dtype: 'float32' };
    const rows: Spec = { shape: [m, ...state.shape], dtype: 'float32' };
    return this.programs.cached(`spread ${m} ${isProduct}`, [this.matrix(m), rows, all, state], ([w, dv, dK, dV]) => {
      if (isProduct) {
        const dk = tf.matMul(w, tf.reshape<tf.Rank.R2>(dv, [m, -1]), true, false);
        return [tf.add(dK, tf.reshape(dk, dK.shape)), tf.add(dV, tf.sum(dv, 0))];
      }
      let [k, v] = [dK, dV];
      for (let i = 0; i < m; i++) {
        const row = tf.slice(dv, [i], [1]);
        const column = tf.reshape(tf.slice(w, [i, 0], [1, slopes]), [slopes, ...state.shape.map(() => 1)]);
        k = tf.add(k, tf.mul(column, row));
        v = tf.add(v, tf.reshape(row, state.shape as number[]));
      }
      return [k, v];
    });
  }

  private matrix(m: number): Spec {
    return { shape: [m, this.weights.length], dtype: 'float32' };
  }

  /** Row by row the same, slope after slope: loops that a compiler makes one of. */
  private rows(w: Tensor, u: Tensor, ks: readonly Tensor[]): Tensor {
    const [m] = w.shape;
    const ones = u.shape.map(() => 1);
    let sum = tf.reshape(u, [1, ...u.shape]);
    this.used.forEach((isUsed, i) => {
      if (isUsed) sum = tf.add(sum, tf.mul(tf.reshape(tf.slice(w, [0, i], [m, 1]), [m, ...ones]), ks[i]));
    });
    return sum;
  }
}

/** `u + W K` for slopes stacked as rows of K. */
export function denseProduct(w: Tensor, u: Tensor, ks: readonly Tensor[]): Tensor {
  const rows = tf.stack(ks.map((k) => tf.reshape(k, [-1])));
  const increment = tf.matMul(w, rows);
  return tf.add(tf.reshape(increment, [w.shape[0], ...u.shape]), u);
}
