/**
 * Random matrices that need more than a draw for each element.
 */
import * as tf from '@tensorflow/tfjs';
import { floatsFor } from './floats.js';
import { defineHostKernel, upload } from './host-kernel.js';
import { normal, permutation, split, type Key } from './random.js';
import type { Tensor } from './tree.js';

/**
 * Orthonormal rows from independent normal ones (Gram and Schmidt, twice over: "twice is enough" for working accuracy).
 * Because the normal distribution has no preferred direction, neither has the result.
 */
function orthonormaliseRows(rows: Float64Array[]): void {
  rows.forEach((row, i) => {
    for (let pass = 0; pass < 2; pass++) {
      for (let j = 0; j < i; j++) {
        const other = rows[j];
        let dot = 0;
        for (let k = 0; k < row.length; k++) dot += row[k] * other[k];
        for (let k = 0; k < row.length; k++) row[k] -= dot * other[k];
      }
      let square = 0;
      for (const x of row) square += x * x;
      const scale = 1 / Math.sqrt(square);
      for (let k = 0; k < row.length; k++) row[k] *= scale;
    }
  });
}

const orthonormalKernel = defineHostKernel({
  name: 'NullclineOrthonormal',
  outputs: ([x]) => [{ shape: [...x.shape], dtype: 'float32' }],
  run: ({ inputs: [x], attrs, backend }) => {
    const drawn = backend.readSync(x.dataId) as Float32Array;
    const columns = x.shape[x.shape.length - 1];
    const rows = columns === 0 ? 0 : drawn.length / columns;
    const out = floatsFor(backend, drawn.length);
    // The shorter side is made orthonormal: vector i, element k stands at i * step + k * stride.
    const tall = rows >= columns;
    const [count, length, step, stride] = tall ? [columns, rows, 1, columns] : [rows, columns, columns, 1];
    const vectors = Array.from({ length: count }, (_, i) =>
      Float64Array.from({ length }, (__, k) => drawn[i * step + k * stride]),
    );
    orthonormaliseRows(vectors);
    const gain = attrs.gain as number;
    vectors.forEach((vector, i) => {
      vector.forEach((value, k) => (out[i * step + k * stride] = gain * value));
    });
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
