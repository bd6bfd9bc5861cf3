import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import type { NullclineBackend } from '../../src/wasm/backend.js';
import { repeatable } from './compile-support.js';
import { bools, compares, eighths, ints, suite } from './eager-support.js';

type T = tf.Tensor;

const own = (): NullclineBackend => tf.backend() as NullclineBackend;
const placeOf = (t: T): number => own().pointerOf(t.dataId);

/** Rows of so many elements stay where they are; odd, so that the second of them begins at no multiple of 16 bytes. */
const ROW = 20_001;

const large: Readonly<Record<string, () => T>> = {
  floats: () => eighths([3, ROW], 1),
  integers: () => ints([3, ROW], 2),
  'truth values': () => bools([3, ROW], 3),
};

for (const [what, make] of Object.entries(large)) {
  compares(`rows of ${what} where they are`, {
    unstacked: () => tf.unstack(make()),
    'split apart': () => tf.split(make(), [1, 2], 0),
    'cut out': () => [tf.slice(make(), [1, 0], [2, ROW]), tf.slice(make(), [2, 3], [1, ROW - 5])],
    'with steps of 1': () => tf.stridedSlice(make(), [1, 0], [3, ROW], [1, 1]),
    gathered: () => [tf.gather(make(), 2), tf.gather(make(), [1, 2]), tf.gather(make(), [2, 1]), tf.gather(make(), [1, 1])], // prettier-ignore
    'of leading axes of length 1': () => tf.unstack(tf.reshape(make(), [1, 3, ROW]), 1),
    'turned, where that moves nothing': () => tf.transpose(tf.slice(make(), [1, 0], [1, ROW])),
    'all of them': () => [tf.slice(make(), [0, 0], [3, ROW]), tf.gather(make(), [0, 1, 2]), tf.tile(make(), [1, 1])],
    'converted, from a conversion': () => tf.cast(tf.slice(tf.cast(make(), 'float32'), [1, 0], [1, ROW]), 'bool'),
  });
}

compares('operands that begin anywhere', {
  elementwise: () => tf.unstack(eighths([3, ROW], 4)).map((row) => tf.add(tf.mul(row, row), 1)),
  'in a product': () => tf.matMul(tf.slice(eighths([ROW], 5), 1, ROW - 1).reshape([4, 5000]), tf.slice(eighths([15_003], 6), 3, 15_000).reshape([5000, 3])), // prettier-ignore
  reduced: () => tf.unstack(eighths([3, ROW], 7)).flatMap((row) => [tf.sum(row), tf.max(row), tf.argMax(row)]),
  'of kernels of tfjs': () => tf.unique(tf.slice(ints([3, ROW], 8), [1, 0], [1, ROW]).reshape([ROW])).values,
  'broadcast, chosen by truth values': () =>
    tf.where(tf.slice(bools([2, ROW], 9), [1, 0], [1, ROW]), tf.unstack(eighths([2, ROW], 10))[1], 0),
});

for (const name of ['nullcline', 'nullcline64']) {
  suite(`rows where they are on ${name}`, () => {
    let previous: string;
    before(async () => {
      previous = tf.getBackend();
      await tf.setBackend(name);
    });
    after(async () => {
      await tf.setBackend(previous);
    });
    const counts = (): unknown => ({ ...tf.memory(), heapSize: 0, ids: own().numDataIds() });
    /** The second time all programs are compiled. */
    const leavesNothing = (f: () => void): void => {
      f();
      const was = counts();
      f();
      expect(counts()).to.deep.equal(was);
    };
    const matrix = (rows = 3): T => tf.tensor(Array.from({ length: rows * ROW }, (_, i) => i % 1000), [rows, ROW]); // prettier-ignore
    const rowValues = (row: number): number[] => Array.from({ length: ROW }, (_, i) => (row * ROW + i) % 1000);
    const numbers = (t: T): number[] => Array.from(t.dataSync());

    it('take no memory, and are counted by tfjs as on its cpu backend', async () => {
      type Counts = Pick<tf.MemoryInfo, 'numTensors' | 'numDataBuffers' | 'numBytes'>;
      const story = (perFloat: number): number[][] => {
        const x = matrix();
        const start: Counts = tf.memory();
        const parts = tf.unstack(x);
        const seen: Counts[] = [tf.memory()];
        x.dispose();
        seen.push(tf.memory());
        tf.dispose(parts);
        seen.push(tf.memory());
        return seen.map((now) => [now.numTensors - start.numTensors, now.numDataBuffers - start.numDataBuffers, (now.numBytes - start.numBytes) / perFloat]); // prettier-ignore
      };
      const x = matrix();
      const bytes = own().heap.bytesInUse;
      const parts = tf.unstack(x);
      expect(own().heap.bytesInUse).to.equal(bytes);
      tf.dispose([x, parts]);
      const ours = story(name === 'nullcline' ? 1 : 2);
      await tf.setBackend('cpu');
      const theirs = story(1);
      await tf.setBackend(name);
      expect(ours).to.deep.equal(theirs);
    });

    it('small pieces have memory of their own, and keep no large one', () => {
      const bytes = own().heap.bytesInUse;
      const x = matrix();
      const [element, some] = [tf.slice(x, [1, 5], [1, 1]), tf.slice(x, [2, 7], [1, 100])];
      x.dispose();
      expect(own().heap.bytesInUse).to.be.below(bytes + 4 * ROW);
      expect(numbers(element)).to.deep.equal([(ROW + 5) % 1000]);
      tf.dispose([element, some]);
      expect(own().heap.bytesInUse).to.equal(bytes);
    });

    it('may be freed in any order, those of rows too; what is allocated meanwhile lies elsewhere', () => {
      const orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]]; // prettier-ignore
      const expected = [[0, 1, 2].flatMap(rowValues), [1, 2].flatMap(rowValues), rowValues(2).slice(1), rowValues(2).slice(1)]; // prettier-ignore
      for (const order of orders) {
        leavesNothing(() => {
          const x = tf.tidy(() => tf.cast(matrix(), 'int32'));
          const middle = tf.slice(x, [1, 0], [2, ROW]);
          const last = tf.slice(middle, [1, 1], [1, ROW - 1]);
          const all = [x, middle, last, tf.cast(last, 'float32')];
          const others: T[] = [];
          for (const i of order) {
            all.forEach((t, k) => {
              if (k < 3 && !t.isDisposed) expect(numbers(t), `${k} in ${order.join()}`).to.deep.equal(expected[k]);
            });
            if (i === 3) expect(numbers(all[i])).to.deep.equal(expected[i]);
            all[i].dispose();
            others.push(tf.fill([3, ROW], -1));
          }
          tf.dispose(others);
        });
      }
    });

    it('outlive a tidy that made them, and growth of the memory', () => {
      const row = tf.tidy(() => tf.unstack(matrix())[1]);
      const { size } = own().heap;
      const values = own().data.get(row.dataId).values;
      const much = tf.zeros([size / 4 + 1]);
      expect(own().heap.size).to.be.above(size);
      expect(own().data.get(row.dataId).values).not.to.equal(values);
      expect(numbers(row)).to.deep.equal(rowValues(1));
      tf.dispose([row, much]);
    });

    it('go to another backend and come back, alone and after the whole', async () => {
      const x = matrix();
      const [a, b, c] = tf.unstack(x);
      await tf.setBackend('cpu');
      expect(tf.tidy(() => numbers(tf.add(b, 1)))).to.deep.equal(rowValues(1).map((v) => v + 1));
      await tf.setBackend(name);
      expect(tf.tidy(() => numbers(tf.add(x, b)))).to.have.length(3 * ROW);
      await tf.setBackend('cpu');
      tf.tidy(() => void tf.add(x, 1));
      x.dispose();
      await tf.setBackend(name);
      expect([a, b, c].map(numbers)).to.deep.equal([0, 1, 2].map(rowValues));
      tf.dispose([a, b, c]);
    });

    it('are not written to when the whole is donated, nor the whole when they are', () => {
      const twice = compile((v: T) => tf.mul(v, 2), { donateArgnums: 0 });
      const tryOut = (): void => {
        const x = matrix();
        const place = placeOf(x);
        const [a, b] = tf.split(x, [1, 2], 0);
        const y = twice(x);
        expect(placeOf(y)).not.to.equal(place);
        expect(numbers(a)).to.deep.equal(rowValues(0));
        const z = twice(b);
        expect(numbers(a)).to.deep.equal(rowValues(0));
        expect(numbers(z)).to.deep.equal([1, 2].flatMap(rowValues).map((v) => 2 * v));
        const again = placeOf(y);
        tf.unstack(y).forEach((row) => { row.dispose(); }); // prettier-ignore
        const w = twice(y);
        expect(placeOf(w), 'nobody looks into it any more').to.equal(again);
        expect(numbers(w)).to.deep.equal([0, 1, 2].flatMap(rowValues).map((v) => 4 * v));
        tf.dispose([a, z, w]);
      };
      leavesNothing(tryOut);
      twice.dispose();
    });

    it('hold in thousands of random operations what their wholes held when they were made', () => {
      const random = repeatable(11);
      const pick = (n: number): number => Math.floor(random() * n);
      const half = compile((v: T) => tf.mul(v, 0.5), { donateArgnums: 0 });
      const story = (steps: number): void => {
        const held: { t: T; expected: number[] }[] = [];
        const hold = (t: T, expected: number[]): void => void held.push({ t, expected });
        for (let step = 0; step < steps; step++) {
          if (held.length === 0 || random() < 0.15) {
            const n = 5000 + pick(4000);
            const expected = Array.from({ length: n }, () => pick(64));
            hold(tf.tensor1d(expected), expected);
          }
          const at = pick(held.length);
          const { t, expected } = held[at];
          const n = expected.length;
          const take = (): void => void held.splice(at, 1);
          const doing = pick(7);
          if (doing === 0) {
            take();
            t.dispose();
          } else if (doing === 1) {
            take();
            hold(half(t), expected.map((v) => v / 2)); // prettier-ignore
          } else if (doing === 2) {
            hold(tf.clone(t), expected);
          } else if (doing === 3) {
            hold(tf.add(t, 1), expected.map((v) => v + 1)); // prettier-ignore
          } else if (doing === 4) {
            const first = pick(n / 3);
            const length = 1 + pick(n - first);
            hold(tf.slice(t, first, length), expected.slice(first, first + length)); // prettier-ignore
          } else if (doing === 5) {
            const first = 1 + pick(n - 1);
            if (n < 2) continue;
            const [low, high] = tf.split(t, [first, n - first]);
            hold(low, expected.slice(0, first));
            hold(high, expected.slice(first));
          } else {
            const whole = tf.tidy(() => tf.cast(tf.floor(t), 'int32'));
            hold(tf.cast(whole, 'float32'), expected.map(Math.floor));
            whole.dispose();
          }
          while (held.length > 12) tf.dispose(held.splice(pick(held.length), 1)[0].t);
          if (held.length === 0 || step % 3 > 0) continue;
          const some = held[pick(held.length)];
          expect(numbers(some.t), `step ${step}`).to.deep.equal(some.expected);
        }
        for (const { t, expected } of held) expect(numbers(t)).to.deep.equal(expected);
        tf.dispose(held.map(({ t }) => t));
      };
      const was = { ...tf.memory(), heapBytes: 0, heapSize: 0, ids: own().numDataIds() };
      story(3000);
      half.dispose();
      expect({ ...tf.memory(), heapBytes: 0, heapSize: 0, ids: own().numDataIds() }).to.deep.equal(was);
    });
  });
}
