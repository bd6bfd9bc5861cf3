/**
 * A curve through points that are learnt.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { normalInit, type Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, functionOption, oneOf, OptionError, parseOptions, z } from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { describe } from '../core/value.js';
import { checkInput, checkSize } from './check.js';
import { parametricLayer } from './parametric.js';

/** How points are joined: by steps, by lines, or by cubics with continuous curvature, which is 0 at the ends. */
export type SplineBasis = 'constant' | 'linear' | 'cubic';

export interface SplineOptions {
  /** Default `'cubic'`. */
  readonly basis?: SplineBasis;
  /** The grid is a parameter, too; not with cubics. Default false. */
  readonly trainGrid?: boolean;
  /** How the points start. Default: normal. */
  readonly initSavedPoints?: Initialiser;
}

const OPTIONS = z.strictObject({
  basis: oneOf('constant', 'linear', 'cubic').default('cubic'),
  trainGrid: flag.default(false),
  initSavedPoints: functionOption<Initialiser>('an initialiser').optional(),
});

/**
 * The matrix that takes the points to the second derivatives of the natural cubic spline through them, row by row: the
 * tridiagonal system `(M_{i-1} + 4 M_i + M_{i+1}) h / 6 = (P_{i-1} - 2 P_i + P_{i+1}) / h` with M = 0 at both ends, solved for
 * each unit vector by elimination.
 */
function curvatures(n: number, h: number): Float64Array {
  const matrix = new Float64Array(n * n);
  for (let column = 0; column < n; column++) {
    const unit = (i: number): number => (i === column ? 1 : 0);
    const ratio = new Float64Array(n);
    const value = new Float64Array(n);
    for (let i = 1; i < n - 1; i++) {
      const right = (6 / h ** 2) * (unit(i - 1) - 2 * unit(i) + unit(i + 1));
      const pivot = 4 - ratio[i - 1];
      ratio[i] = 1 / pivot;
      value[i] = (right - value[i - 1]) / pivot;
    }
    for (let i = n - 2; i > 0; i--) {
      value[i] -= ratio[i] * value[i + 1];
      matrix[i * n + column] = value[i];
    }
  }
  return matrix;
}

/** `[times, points - 1]`: 1 where the time lies in the piece, 0 elsewhere. */
function pieceOf(at: Tensor, grid: Tensor, points: number): tf.Tensor2D {
  const ones = tf.ones<tf.Rank.R2>([at.size, 1]);
  if (points === 2) return ones;
  const inner = tf.reshape(tf.slice(grid, [1], [points - 2]), [1, points - 2]);
  const begun = tf.cast<tf.Tensor2D>(tf.greaterEqual(at, inner), 'float32');
  return tf.sub(tf.concat([ones, begun], 1), tf.concat([begun, tf.zerosLike(ones)], 1));
}

/**
 * A curve `t -> y(t)` through points on a grid: `[...]` to `[..., ...size]`. Beyond its ends the curve goes on as its first and
 * last pieces do.
 *
 * Parameters: `savedPoints [points, ...size]`, and with `trainGrid` the increasing `grid [points]`. It begins as the times
 * from `gridMin` to `gridMax` in equal steps.
 *
 * @param size The shape of a point; a number for a vector, `[]` for a number.
 * @param gridMin Where the grid begins.
 * @param gridMax Where it ends.
 * @param points How many points there are; 2 or more.
 */
export function splineLayer(
  size: number | readonly number[],
  gridMin: number,
  gridMax: number,
  points: number,
  options?: SplineOptions,
): Layer<Tensor, Tensor, { savedPoints: Tensor } | { savedPoints: Tensor; grid: Tensor }, Empty> {
  const where = 'splineLayer';
  const shape = (Array.isArray(size) ? (size as readonly number[]) : [size as number]).map((n) =>
    checkSize(where, 'each size', n),
  );
  if (!(Number.isFinite(gridMin) && Number.isFinite(gridMax) && gridMin < gridMax)) {
    throw new TypeError(
      `${where}: the grid must go from a finite number to a greater one, got ${gridMin} and ${gridMax}`,
    );
  }
  if (!Number.isSafeInteger(points) || points < 2) {
    throw new TypeError(`${where}: the number of points must be an integer from 2 on, got ${describe(points)}`);
  }
  const { basis, trainGrid, initSavedPoints = normalInit(1) } = parseOptions(OPTIONS, options, where);
  if (trainGrid && basis === 'cubic') {
    throw new OptionError(where, ['option "trainGrid": a trained grid goes with the basis "linear" or "constant"']);
  }
  const h = (gridMax - gridMin) / (points - 1);
  const times = Array.from({ length: points }, (_, i) => gridMin + i * h);
  const bend = basis === 'cubic' ? curvatures(points, h) : null;
  const width = shape.reduce((n, m) => n * m, 1);

  return parametricLayer<Tensor, Tensor, { savedPoints: Tensor; grid: Tensor }>({
    name: 'SplineLayer',
    summary: `[${shape.join(', ')}], ${points} points in [${gridMin}, ${gridMax}], ${basis}${trainGrid ? ', trainGrid=true' : ''}`,
    parameters: {
      savedPoints: { shape: [points, ...shape], init: initSavedPoints },
      ...(trainGrid ? { grid: { shape: [points], init: () => constant(times) } } : {}),
    } as never,
    forward: (title, t, { savedPoints, grid: trained }: { savedPoints: Tensor; grid?: Tensor }) => {
      checkInput(title, t);
      const grid = trained ?? constant(times);
      const at = tf.reshape(t, [t.size, 1]);
      // Which piece each time lies in, as rows of one 1 and zeros. The ends belong to the first and the last.
      const piece = pieceOf(at, grid, points);
      /** Of values at the grid, those at the left or the right end of the piece. */
      const end = (values: Tensor, right: 0 | 1): Tensor =>
        tf.matMul(
          piece,
          tf.slice(tf.reshape<tf.Rank.R2>(values, [points, values.size / points]), [right, 0], [points - 1, -1]),
        );
      const left = end(savedPoints, 0);
      if (basis === 'constant') return tf.reshape(left, [...t.shape, ...shape]);
      const step = tf.sub(end(grid, 1), end(grid, 0));
      const b = tf.div(tf.sub(at, end(grid, 0)), step);
      const a = tf.sub(constant(1), b);
      let y = tf.add(tf.mul(a, left), tf.mul(b, end(savedPoints, 1)));
      if (bend !== null) {
        const second = tf.matMul(constant(bend, [points, points]), tf.reshape(savedPoints, [points, width]));
        const cubic = (s: Tensor): Tensor => tf.mul(tf.sub(tf.mul(s, tf.square(s)), s), constant(h ** 2 / 6));
        y = tf.add(y, tf.add(tf.mul(cubic(a), end(second, 0)), tf.mul(cubic(b), end(second, 1))));
      }
      return tf.reshape(y, [...t.shape, ...shape]);
    },
  });
}
