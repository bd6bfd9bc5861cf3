/**
 * Dense linear algebra on the host, for Jacobians: row-major matrices of plain numbers.
 */
import { Matrix, QrDecomposition, SVD } from 'ml-matrix';

/** An m x n matrix, row by row. */
export interface Dense {
  readonly m: number;
  readonly n: number;
  readonly values: Float64Array;
}

export const dense = (m: number, n: number): Dense => ({ m, n, values: new Float64Array(m * n) });

/** `A x` */
export function multiply({ m, n, values }: Dense, x: ArrayLike<number>): number[] {
  return Array.from({ length: m }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += values[i * n + j] * x[j];
    return sum;
  });
}

/** `A' y` */
export function multiplyTransposed({ m, n, values }: Dense, y: ArrayLike<number>): number[] {
  const x = new Array<number>(n).fill(0);
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) x[j] += values[i * n + j] * y[i];
  return x;
}

/** `A'A` */
export function gram({ m, n, values }: Dense): Dense {
  const result = dense(n, n);
  for (let k = 0; k < m; k++) {
    for (let i = 0; i < n; i++) {
      const a = values[k * n + i];
      if (a !== 0) for (let j = 0; j < n; j++) result.values[i * n + j] += a * values[k * n + j];
    }
  }
  return result;
}

export const dotProduct = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

/** The Euclidean norm. */
export const euclidean = (x: readonly number[]): number => Math.sqrt(dotProduct(x, x));

/** `a + s b` */
export const along = (a: readonly number[], s: number, b: readonly number[]): number[] => a.map((x, i) => x + s * b[i]);

/** Solves with a factored matrix; null where the matrix is singular to working precision. */
export interface Factored {
  readonly solve: (b: readonly number[]) => number[];
}

/** Pivots smaller than this part of the largest are zero but for rounding. */
const SINGULAR = 4 * Number.EPSILON;

/**
 * LU with partial pivoting.
 *
 * @returns null for a matrix that is singular to working precision, or not finite.
 */
export function factorLU(A: Dense): Factored | null {
  const { n } = A;
  const lu = A.values.slice();
  const order = Array.from({ length: n }, (_, i) => i);
  // Of rows scaled to size 1, so that unlike units do not look singular.
  const scale = order.map((i) => {
    let largest = 0;
    for (let j = 0; j < n; j++) largest = Math.max(largest, Math.abs(lu[i * n + j]));
    return largest;
  });
  for (let k = 0; k < n; k++) {
    let pivot = k;
    let best = 0;
    for (let i = k; i < n; i++) {
      const size = Math.abs(lu[order[i] * n + k]) / scale[order[i]];
      if (size > best) [best, pivot] = [size, i];
    }
    if (!(best > SINGULAR)) return null;
    [order[k], order[pivot]] = [order[pivot], order[k]];
    const top = order[k] * n;
    for (let i = k + 1; i < n; i++) {
      const row = order[i] * n;
      const factor = (lu[row + k] /= lu[top + k]);
      if (factor !== 0) for (let j = k + 1; j < n; j++) lu[row + j] -= factor * lu[top + j];
    }
  }
  if (!lu.every(Number.isFinite)) return null;
  return {
    solve: (b) => {
      const x = new Array<number>(n);
      for (let i = 0; i < n; i++) {
        let sum = b[order[i]];
        for (let j = 0; j < i; j++) sum -= lu[order[i] * n + j] * x[j];
        x[i] = sum;
      }
      for (let i = n - 1; i >= 0; i--) {
        for (let j = i + 1; j < n; j++) x[i] -= lu[order[i] * n + j] * x[j];
        x[i] /= lu[order[i] * n + i];
      }
      return x;
    },
  };
}

const toMatrix = ({ m, n, values }: Dense): Matrix => Matrix.from1DArray(m, n, Array.from(values));

/**
 * QR by Householder reflections: the solution, or with more rows than columns that of least squares.
 *
 * @returns null for a matrix without full column rank, or not finite.
 */
export function factorQR(A: Dense): Factored | null {
  if (A.m < A.n || !A.values.every(Number.isFinite)) return null;
  const qr = new QrDecomposition(toMatrix(A));
  const diagonal = qr.upperTriangularMatrix.diagonal().map(Math.abs);
  if (!(Math.min(...diagonal) > SINGULAR * Math.max(...diagonal))) return null;
  return { solve: (b) => qr.solve(Matrix.columnVector([...b])).to1DArray() };
}

/** The least-squares solution of least norm, whatever the rank: by singular values, those below working precision left out. */
export function pseudoSolve(A: Dense, b: readonly number[]): number[] | null {
  if (!A.values.every(Number.isFinite)) return null;
  const svd = new SVD(toMatrix(A), { autoTranspose: true });
  return svd.solve(Matrix.columnVector([...b])).to1DArray();
}
