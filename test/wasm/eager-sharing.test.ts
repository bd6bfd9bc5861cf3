import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import type { NullclineBackend } from '../../src/wasm/backend.js';

// In the run whose Float32Array holds doubles there is no single precision to test.
const suite = Float32Array.BYTES_PER_ELEMENT === 4 ? describe : describe.skip;

const own = (): NullclineBackend => tf.backend() as NullclineBackend;

for (const [name, Floats] of [
  ['nullcline', Float32Array],
  ['nullcline64', Float64Array],
] as const) {
  suite(`casts to a wider dtype on ${name}`, () => {
    let previous: string;
    before(async () => {
      previous = tf.getBackend();
      await tf.setBackend(name);
    });
    after(async () => {
      await tf.setBackend(previous);
    });

    const leavesNothing = (f: () => void): void => {
      f(); // compiled
      const counts = (): unknown => ({ ...tf.memory(), heapSize: 0, ids: own().numDataIds() });
      const was = counts();
      f();
      expect(counts()).to.deep.equal(was);
    };
    const ints = (): tf.Tensor => tf.tensor([1, -2, 2147483647, 16777217, 0], [5], 'int32');
    const asInts = Int32Array.of(1, -2, 2147483647, 16777217, 0);
    const asFloats = Floats.from(asInts);

    it('take no memory until they are read, and then hold floats', () => {
      leavesNothing(() => {
        const x = ints();
        const bytes = own().heap.bytesInUse;
        const y = tf.cast(x, 'float32');
        expect(own().heap.bytesInUse).to.equal(bytes);
        expect(tf.memory().numDataBuffers).to.be.greaterThan(0);
        expect(y.dtype).to.equal('float32');
        expect(y.dataSync()).to.deep.equal(asFloats);
        expect(x.dataSync()).to.deep.equal(asInts);
        const pointer = own().pointerOf(y.dataId);
        expect(Array.from(new Floats(own().heap.memory.buffer, pointer, 5))).to.deep.equal(Array.from(asFloats));
        tf.dispose([x, y]);
      });
    });

    it('outlive what they were made of, in every order of reading and freeing', () => {
      for (const read of ['first', 'between', 'last', 'never']) {
        for (const order of ['source first', 'result first']) {
          leavesNothing(() => {
            const x = ints();
            const again = tf.clone(x);
            const [y, z] = [tf.cast(x, 'float32'), tf.cast(again, 'float32')];
            const look = (): void => {
              expect(tf.mul(y, 1).dataSync(), `${read} ${order}`).to.deep.equal(asFloats);
              expect(z.dataSync()).to.deep.equal(asFloats);
            };
            if (read === 'first') tf.tidy(look);
            if (order === 'source first') {
              tf.dispose([x, again]);
              if (read === 'between') tf.tidy(look);
              // What is allocated now must not be where the integers lie.
              const other = tf.fill([5], 9, 'int32');
              if (read === 'last') tf.tidy(look);
              tf.dispose([other, y, z]);
            } else {
              tf.dispose(y);
              if (read !== 'never') expect(z.dataSync()).to.deep.equal(asFloats);
              tf.dispose(z);
              expect(x.dataSync()).to.deep.equal(asInts);
              tf.dispose([x, again]);
            }
          });
        }
      }
    });

    it('go on from truth values over integers to floats', () => {
      leavesNothing(() => {
        tf.tidy(() => {
          const x = tf.tensor([true, false, true]);
          const n = tf.cast(x, 'int32');
          const y = tf.cast(n, 'float32');
          x.dispose();
          n.dispose();
          expect(Array.from(y.dataSync())).to.deep.equal([1, 0, 1]);
          expect(
            Array.from(
              tf
                .cast(tf.tensor([false, true]), 'float32')
                .add(1)
                .dataSync(),
            ),
          ).to.deep.equal([1, 2]);
        });
      });
    });

    it('are operands of kernels of tfjs, of compiled programs and of other backends', async () => {
      const x = ints();
      const y = tf.cast(x, 'float32');
      const z = tf.cast(x, 'float32');
      x.dispose();
      expect(Array.from(tf.tidy(() => tf.unique(y).values.dataSync()))).to.deep.equal(Array.from(asFloats));
      const twice = compile((v: tf.Tensor) => tf.mul(v, 2));
      const w = tf.tidy(() => tf.cast(tf.tensor([3, 4], [2], 'int32'), 'float32'));
      expect(Array.from(tf.tidy(() => twice(w).dataSync()))).to.deep.equal([6, 8]);
      await tf.setBackend('cpu');
      expect(Array.from(tf.tidy(() => tf.add(z, 0).dataSync()))).to.deep.equal(Array.from(Float32Array.from(asFloats)));
      await tf.setBackend(name);
      tf.dispose([y, z, w]);
      twice.dispose();
    });

    it('differentiate as before', () => {
      const gradient = tf.tidy(() => tf.grad((v) => tf.sum(tf.mul(tf.cast(tf.tensor([2, 3], [2], 'int32'), 'float32'), tf.square(v))))(tf.tensor([1, 2]))); // prettier-ignore
      expect(Array.from(gradient.dataSync())).to.deep.equal([4, 12]);
      gradient.dispose();
    });
  });

  suite(`buffers of tfjs's cpu backend under two dtypes on ${name}`, () => {
    it('are read as what each tensor says', async () => {
      const previous = tf.getBackend();
      const half = compile((v: tf.Tensor) => tf.mul(v, 0.5));
      const counts = (): unknown => ({ ...tf.memory(), heapSize: 0 });
      let was: unknown;
      // Compiled and warm after the first time.
      for (let round = 0; round < 2; round++) {
        if (round === 1) was = counts();
        await tf.setBackend('cpu');
        // There a cast to a wider dtype only changes the label.
        const x = tf.tensor([1, 2, 300], [3], 'int32');
        const y = tf.cast(x, 'float32');
        const truth = tf.tensor([true, false]);
        const [whole, float] = [tf.cast(truth, 'int32'), tf.cast(truth, 'float32')];
        await tf.setBackend(name);
        expect(Array.from(tf.tidy(() => tf.add(y, 0.5).dataSync()))).to.deep.equal([1.5, 2.5, 300.5]);
        expect(Array.from(tf.tidy(() => tf.add(x, 1).dataSync()))).to.deep.equal([2, 3, 301]);
        expect(Array.from(tf.tidy(() => tf.sub(float, 0.5).dataSync()))).to.deep.equal([0.5, -0.5]);
        const later = tf.cast(whole, 'float32');
        expect(Array.from(tf.tidy(() => half(y).dataSync()))).to.deep.equal([0.5, 1, 150]);
        tf.dispose([x, y, truth, whole, float]);
        expect(Array.from(tf.tidy(() => tf.mul(later, 3).dataSync()))).to.deep.equal([3, 0]);
        later.dispose();
      }
      expect(counts()).to.deep.equal(was);
      half.dispose();
      await tf.setBackend(previous);
    });
  });
}
