/**
 * Random matrices that need more than a draw for each element.
 */
import * as tf from '@tensorflow/tfjs-core';
import { Matrix, QrDecomposition } from 'ml-matrix';
import { floatsFor } from './floats.js';
import { defineHostKernel, upload } from './host-kernel.js';
import { normal, permutation, split, type Key } from './random.js';
import type { Tensor } from './tree.js';

/**
 * Orthonormal columns from independent normal ones: Q of the QR decomposition, each column with the sign of R's diagonal.
 * With that sign the result has no preferred direction (F. Mezzadri, Notices AMS 54, 2007).
 */
function orthonormalColumns(normals: Matrix): Matrix {
  const qr = new QrDecomposition(normals);
  const q = qr.orthogonalMatrix;
  qr.upperTriangularMatrix.diagonal().forEach((r, column) => {
    if (r < 0) q.mulColumn(column, -1);
  });
  return q;
}

const orthonormalKernel = defineHostKernel({
  name: 'NullclineOrthonormal',
  outputs: ([x]) => [{ shape: [...x.shape], dtype: 'float32' }],
  run: ({ inputs: [x], attrs, backend }) => {
    const drawn = backend.readSync(x.dataId) as Float32Array;
    const columns = x.shape[x.shape.length - 1];
    const rows = columns === 0 ? 0 : drawn.length / columns;
    const out = floatsFor(backend, drawn.length);
    if (drawn.length === 0) return [upload(backend, out, [...x.shape], 'float32')];
    // The shorter side is made orthonormal.
    const given = new Matrix(Array.from({ length: rows }, (_, i) => drawn.slice(i * columns, (i + 1) * columns)));
    const q = rows >= columns ? orthonormalColumns(given) : orthonormalColumns(given.transpose()).transpose();
    const gain = attrs.gain as number;
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[i * columns + j] = gain * q.get(i, j);
    return [upload(backend, out, [...x.shape], 'float32')];
  },
});

/** A matrix (all axes but the last are its rows) with orthonormal columns, or rows if those are fewer, times `gain`. */
export function orthonormal(key: Key, shape: readonly number[], gain: number): Tensor {
  return tf.tidy(() => orthonormalKernel([normal(key, shape)], { gain })[0]);
}

/** Normal numbers, `ceil(sparsity * rows)` of each column replaced by 0. */
export function sparse(key: Key, [rows, columns]: readonly [number, number], sparsity: number, std: number): Tensor {
  const zeros = Math.ceil(sparsity * rows);
  return tf.tidy(() => {
    const [forValues, ...forColumns] = split(key, columns + 1);
    const values = normal(forValues, [rows, columns], { std });
    if (columns === 0) return values;
    // A permutation holds exactly `zeros` numbers below `zeros`.
    const kept = tf.stack(
      forColumns.map((k) => tf.greaterEqual(permutation(k, rows), tf.scalar(zeros, 'int32'))),
      1,
    );
    return tf.where(kept, values, tf.zerosLike(values));
  });
}
