import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import type { NullclineBackend } from '../../src/wasm/backend.js';
import { expectClose } from '../support/close.js';
import { bools, compares, eighths, ints, suite } from './eager-support.js';

const places = (values: number[][]): tf.Tensor2D => tf.tensor2d(values, [values.length, values[0].length], 'int32');
const repeated = [[1, 2], [0, 0], [1, 2], [3, 1]]; // prettier-ignore
const sorted = (rows: number, n: number): tf.Tensor =>
  tf.tensor(
    Array.from({ length: rows * n }, (_, i) => Math.floor((i % n) / 2)),
    [rows, n],
  );

compares('places that integers name', {
  'elements read': () => [tf.gatherND(eighths([4, 3], 1), places(repeated)), tf.gatherND(ints([4, 3], 2), places(repeated)), tf.gatherND(bools([4, 3], 3), places(repeated))], // prettier-ignore
  'rows read, short and long': () => [3, 50].map((n) => tf.gatherND(eighths([4, n], 4), places([[3], [0], [3]]))),
  'of a list of lists': () => tf.gatherND(eighths([4, 3, 2], 5), tf.reshape(places(repeated), [2, 2, 2])),
  'added up': () => [tf.scatterND(places(repeated), eighths([4], 6), [4, 3]), tf.scatterND(places(repeated), ints([4], 7), [4, 3])], // prettier-ignore
  'rows added up': () => tf.scatterND(places([[2], [0], [2]]), eighths([3, 5], 8), [4, 5]),
  'by one list of places': () => tf.scatterND(tf.tensor1d([1, 3, 1], 'int32'), eighths([3], 9), [5]),
  replaced: () => {
    const x = eighths([4, 3], 10);
    const y = tf.tensorScatterUpdate(x, places(repeated), eighths([4], 11));
    return [y, tf.tensorScatterUpdate(eighths([4, 3], 10), places([[2], [0]]), eighths([2, 3], 12))];
  },
  'found in sorted rows': () =>
    (['left', 'right'] as const).flatMap((side) =>
      [1, 2, 7, 16].flatMap((n) => [
        tf.searchSorted(sorted(3, n), tf.tensor2d([[-1, 0, 0.5, 1, 3], [9, 2, 2.5, 7, 0], [NaN, -Infinity, Infinity, 4, 1]]), side), // prettier-ignore
        tf.searchSorted(tf.cast(sorted(1, n), 'int32'), tf.tensor2d([[0, 3, 7, 1, -4]], [1, 5], 'int32'), side),
      ]),
    ),
  counted: () => {
    const x = tf.tensor1d([1, 3, 1, 0, 9, 3, 1], 'int32');
    return [tf.bincount(x, [], 5), tf.bincount(x, eighths([7], 13) as tf.Tensor1D, 5), tf.bincount(x, ints([7], 14) as tf.Tensor1D, 5), tf.denseBincount(x, [], 4)]; // prettier-ignore
  },
  'counted in rows': () => {
    const x = tf.tensor2d([1, 3, 1, 0, 9, 1, 1, 2], [2, 4], 'int32');
    return [tf.denseBincount(x, [], 4), tf.denseBincount(x, eighths([2, 4], 15) as tf.Tensor2D, 4), tf.denseBincount(x, [], 4, true), tf.denseBincount(x, eighths([2, 4], 16) as tf.Tensor2D, 4, true)]; // prettier-ignore
  },
  'each once': () => [tf.tensor1d([3, NaN, 0, 3, -0, NaN, 1e-30, Infinity]), tf.tensor1d([5, 5, 2, 5], 'int32'), tf.tensor2d([1, 2, 1, 2], [2, 2])].flatMap((x) => Object.values(tf.unique(x)) as tf.Tensor[]), // prettier-ignore
  'at equal distances': () => [tf.linspace(-1, 2, 7), tf.linspace(3, 3, 1), tf.range(0, 1, 0.25), tf.range(5, 0), tf.range(5, 0, -2, 'int32'), tf.range(2, 2), tf.range(0, 5, -1)], // prettier-ignore
});

compares('complex tensors', {
  'put together and taken apart': () => {
    const z = tf.complex(eighths([2, 3], 1), eighths([2, 3], 2));
    // The cpu backend reshapes the parts of both.
    const other = tf.complex(eighths([2, 3], 1), eighths([2, 3], 2));
    return [z, tf.real(z), tf.imag(tf.reshape(other, [6])), tf.add(tf.real(z), tf.imag(z)), tf.abs(z)];
  },
  'in any order of freeing': () => {
    const [x, y] = [eighths([3], 3), eighths([3], 4)];
    const z = tf.complex(x, y);
    x.dispose();
    const again = tf.real(z);
    z.dispose();
    return [again, y];
  },
  multiplied: () => {
    const z = tf.complex(eighths([4], 5), eighths([4], 6));
    return tf.mul(z, z);
  },
  transformed: () => [1, 2, 3, 8, 12, 17].flatMap((n) => {
    const z = tf.complex(eighths([2, n], 7), eighths([2, n], 8));
    return [tf.spectral.fft(z), tf.spectral.ifft(z), tf.spectral.rfft(eighths([n], 9))];
  }),
}); // prettier-ignore

compares('blocks of images', {
  'as images of a batch': () => [
    tf.spaceToBatchND(eighths([1, 4, 6, 2], 1), [2, 3], [[0, 0], [0, 0]]),
    tf.spaceToBatchND(ints([2, 3, 3, 1], 2), [2, 2], [[1, 0], [0, 1]]),
    tf.spaceToBatchND(eighths([2, 5], 3), [3], [[0, 1]]),
    tf.spaceToBatchND(eighths([1, 40, 40, 1], 4), [2, 2], [[0, 0], [0, 0]]),
  ],
  'and back': () => [
    tf.batchToSpaceND(eighths([6, 2, 2, 2], 5), [2, 3], [[0, 0], [0, 0]]),
    tf.batchToSpaceND(ints([4, 2, 2, 1], 6), [2, 2], [[1, 0], [0, 1]]),
    tf.batchToSpaceND(eighths([3, 2], 7), [3], [[0, 1]]),
  ],
}); // prettier-ignore

compares('einsum', {
  'of two matrices': () => tf.einsum('ij,jk->ik', eighths([3, 4], 1), eighths([4, 5], 2)),
  'the other way round': () => tf.einsum('ji,kj->ki', eighths([4, 3], 3), eighths([5, 4], 4)),
  'of lists of matrices': () => tf.einsum('bij,bjk->bik', eighths([2, 3, 4], 5), eighths([2, 4, 5], 6)),
  'that sums over a label of one operand': () => tf.einsum('ijl,jk->ki', eighths([3, 4, 2], 7), eighths([4, 5], 8)),
  'of vectors': () => [tf.einsum('i,i->', eighths([4], 9), eighths([4], 10)), tf.einsum('i,j->ji', eighths([4], 11), eighths([3], 12))], // prettier-ignore
  'of one operand': () => [tf.einsum('ij->ji', eighths([3, 4], 13)), tf.einsum('ij->j', eighths([3, 4], 14))],
  'of other lengths by the same equation': () => [2, 3].map((n) => tf.einsum('ij,jk->ik', eighths([n, 4], 15), eighths([4, n], 16))), // prettier-ignore
  'of matrices that are large': () => tf.einsum('ij,jk->ki', eighths([70, 80], 17), eighths([80, 90], 18)),
  'that moves nothing large': () => tf.einsum('abc,cd->bad', eighths([1, 1, 20_000], 19), eighths([20_000, 1], 20)),
});

for (const [name, tolerance] of [
  ['nullcline', 2e-6],
  ['nullcline64', 1e-13],
] as const) {
  suite(`places and transforms on ${name}`, () => {
    let previous: string;
    before(async () => {
      previous = tf.getBackend();
      await tf.setBackend(name);
    });
    after(async () => {
      await tf.setBackend(previous);
    });
    const counts = (): unknown => ({ ...tf.memory(), heapSize: 0, ids: (tf.backend() as NullclineBackend).numDataIds() }); // prettier-ignore

    it('a place that does not exist is an error, and nothing is left', () => {
      const was = counts();
      const index = (row: number): tf.Tensor => tf.tensor2d([[row, 0]], [1, 2], 'int32');
      for (const row of [-1, 4]) {
        tf.tidy(() => {
          expect(() => tf.gatherND(eighths([4, 3], 1), index(row))).to.throw(/Invalid indices/);
          expect(() => tf.scatterND(index(row), eighths([1], 2), [4, 3])).to.throw(/Invalid indices/);
          expect(() => tf.tensorScatterUpdate(eighths([4, 3], 3), index(row), eighths([1], 4))).to.throw(/Invalid indices/); // prettier-ignore
        });
      }
      tf.tidy(() => {
        expect(() => tf.bincount(tf.tensor1d([2, -1], 'int32'), [], 4)).to.throw(/non-negative/);
        expect(() => tf.einsum('ij,jk->ik', eighths([2, 3], 5), eighths([4, 2], 6))).to.throw(/dimension/i);
      });
      expect(counts()).to.deep.equal(was);
    });

    it('a slice that begins outside is an error, and a fraction is cut off, as on cpu', () => {
      tf.tidy(() => {
        const x = tf.range(0, 20_000);
        const cut = compile((y: tf.Tensor) => tf.slice(y, [7.5], [3]));
        expect(() => tf.slice(x, [-4096], [4])).to.throw(
          'slice: begin[0] is -4096; expected an integer from 0 to 20000',
        );
        expect(() => compile((y: tf.Tensor) => tf.slice(y, [-4096], [4]))(x)).to.throw('slice: begin[0] is -4096');
        expect(() => tf.batchToSpaceND(tf.reshape(tf.range(0, 64), [4, 4, 4, 1]), [2, 2], [[-2, 0], [0, 0]])).to.throw(RangeError, /begin/); // prettier-ignore
        for (const y of [tf.slice(x, [7.5], [3]), cut(x)]) expect(Array.from(y.dataSync())).to.deep.equal([7, 8, 9]);
        expect(Array.from(tf.slice(x, [10_000.5], [9999]).dataSync().subarray(0, 2))).to.deep.equal([10_000, 10_001]);
        expect(Array.from(tf.stridedSlice(tf.tensor1d([1, 2, 3, 4, 5]), [0.5], [3.5], [1]).dataSync())).to.deep.equal([1, 2, 3]); // prettier-ignore
        cut.dispose();
      });
    });

    it('counts refuse a scalar and unique an axis that is not there, as on cpu', () => {
      tf.tidy(() => {
        expect(Array.from(tf.bincount(tf.scalar(1, 'int32') as unknown as tf.Tensor1D, [], 3).dataSync())).to.deep.equal([0, 1, 0]); // prettier-ignore
        expect(() => tf.unique(tf.tensor1d([3, 1, 3]), 5)).to.throw(/axis/);
        expect(() => tf.tile(tf.ones([2, 2]), [-1, -1])).to.throw(/positive/);
      });
    });

    it('attributes without JSON have programs of their own', () => {
      tf.tidy(() => {
        const [a, b] = [tf.ones<tf.Rank.R2>([100, 100]), tf.fill<tf.Rank.R2>([100, 100], -1)];
        const found = [-Infinity, Infinity, NaN].map((leakyreluAlpha) => tf.fused.matMul({ a, b, activation: 'leakyrelu', leakyreluAlpha }).dataSync()[0]); // prettier-ignore
        expect(found).to.deep.equal([Infinity, -Infinity, NaN]);
      });
    });

    it('a complex tensor counts what its parts are told to count', () => {
      const before = tf.memory().numBytes;
      const z = tf.tidy(() => tf.complex(tf.zeros([1000]), tf.zeros([1000])));
      const with2 = tf.memory().numBytes;
      const copy = z.clone();
      expect(with2 - before, 'tfjs counts nothing for complex tensors').to.equal(0);
      tf.dispose([z, copy]);
      expect(tf.memory().numBytes).to.equal(before);
    });

    it('what is replaced stays what it was for whoever holds it', () => {
      tf.tidy(() => {
        const x = tf.tensor1d([1, 2, 3]);
        const y = tf.tensorScatterUpdate(x, tf.tensor2d([[1]], [1, 1], 'int32'), tf.tensor1d([9]));
        expect([Array.from(x.dataSync()), Array.from(y.dataSync())]).to.deep.equal([[1, 2, 3], [1, 9, 3]]); // prettier-ignore
      });
    });

    it('Fourier transforms are their definition, and undone by their inverse', () => {
      for (const n of [1, 2, 3, 5, 16, 30, 31, 64, 101]) {
        tf.tidy(() => {
          const [re, im] = [eighths([n], n), eighths([n], n + 1)];
          const [x, y] = [re.dataSync(), im.dataSync()];
          const expected = [0, 1].map((part) =>
            Array.from({ length: n }, (_, k) => {
              let sum = 0;
              for (let j = 0; j < n; j++) {
                const angle = (-2 * Math.PI * ((j * k) % n)) / n;
                const [c, s] = [Math.cos(angle), Math.sin(angle)];
                sum += part === 0 ? x[j] * c - y[j] * s : x[j] * s + y[j] * c;
              }
              return sum;
            }),
          );
          const z = tf.complex(re, im);
          const f = tf.spectral.fft(z);
          const back = tf.spectral.ifft(f);
          const close = (found: tf.Tensor, numbers: ArrayLike<number>, what: string): void => {
            expectClose(found.dataSync(), numbers, { rtol: tolerance, atol: 20 * tolerance }, `${what} of ${n}`);
          };
          close(tf.real(f), expected[0], 'real part');
          close(tf.imag(f), expected[1], 'imaginary part');
          close(tf.real(back), x, 'real part of the inverse');
          close(tf.imag(back), y, 'imaginary part of the inverse');
        });
      }
    });

    it('numbers at equal distances are the same in a compiled function, downwards too', () => {
      const f = compile((x: tf.Tensor) => [tf.add(x, tf.range(5, 0)), tf.add(x, tf.linspace(0, 1, 5))]);
      tf.tidy(() => {
        const [down, even] = f(tf.zeros([5]));
        expect(Array.from(down.dataSync())).to.deep.equal([5, 4, 3, 2, 1]);
        expect(Array.from(even.dataSync())).to.deep.equal(Array.from(tf.linspace(0, 1, 5).dataSync()));
      });
      tf.tidy(() => {
        for (let n = 2; n < 120; n++) expect(tf.linspace(0, 1, n).dataSync()[n - 1], `the end of ${n}`).to.equal(1);
        expect(compile((x: tf.Tensor) => tf.add(x, tf.linspace(0, 1, 50)))(tf.scalar(0)).dataSync()[49]).to.equal(1);
      });
      f.dispose();
    });
  });
}
