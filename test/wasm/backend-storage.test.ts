import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { constant } from '../../src/core/constant.js';
import { compile } from '../../src/graph/compile.js';
import type { NullclineBackend } from '../../src/wasm/backend.js';

// In the run whose Float32Array holds doubles there is no single precision to test.
const suite = Float32Array.BYTES_PER_ELEMENT === 4 ? describe : describe.skip;

const own = (): NullclineBackend => tf.backend() as NullclineBackend;

for (const [name, Floats] of [
  ['nullcline', Float32Array],
  ['nullcline64', Float64Array],
] as const) {
  suite(`storage of ${name}`, () => {
    let previous: string;
    before(async () => {
      previous = tf.getBackend();
      await tf.setBackend(name);
    });
    after(async () => {
      await tf.setBackend(previous);
    });

    /** Counts before and after; nothing may be left of what `f` makes. */
    const leavesNothing = (f: () => void): void => {
      const counts = (): unknown => ({
        tensors: tf.memory().numTensors,
        ids: own().numDataIds(),
        bytes: own().heap.bytesInUse,
      });
      const was = counts();
      f();
      expect(counts()).to.deep.equal(was);
    };

    it('says how precise it is, and that its figures are reliable', () => {
      expect(own().floatPrecision()).to.equal(name === 'nullcline' ? 32 : 64);
      expect(tf.memory().unreliable).to.equal(false);
      expect(tf.memory()).to.include.keys('heapBytes', 'heapSize', 'numTensors');
    });

    it('knows the shape that a tensor was made with, whatever becomes of the list that said it', () => {
      const shape = [2, 3];
      const made = [tf.tensor([1, 2, 3, 4, 5, 6], shape), tf.fill(shape, 1), tf.zeros(shape), tf.ones(shape, 'int32')];
      const more = [tf.add(made[0], 1), tf.cast(made[3], 'float32'), tf.transpose(made[1])];
      const all = [...made, ...more];
      for (const t of all) t.shape.fill(7);
      shape.fill(7);
      const { state } = tf.engine() as unknown as { state: { tensorInfo: WeakMap<object, { shape: number[] }> } };
      const known = all.map(({ dataId }) => state.tensorInfo.get(dataId)?.shape);
      expect(known).to.deep.equal([[2, 3], [2, 3], [2, 3], [2, 3], [2, 3], [2, 3], [3, 2]]); // prettier-ignore
      tf.dispose(all);
    });

    it('gives every result of a compiled function a shape of its own, wherever the function runs next', async () => {
      const twice = compile((v: tf.Tensor) => [tf.mul(v, 2), tf.sum(v, 1)]);
      const x = tf.tensor([[1, 2, 3], [4, 5, 6]]); // prettier-ignore
      for (const backend of [name, 'cpu', name]) {
        await tf.setBackend(backend);
        const first = twice(x);
        for (const y of first) y.shape.fill(7);
        const second = twice(x);
        expect(second.map(({ shape }) => shape)).to.deep.equal([[2, 3], [2]]); // prettier-ignore
        expect(second.map(({ strides }) => strides)).to.deep.equal([[3], []]);
        expect(second.map((y) => Array.from(y.dataSync()))).to.deep.equal([[2, 4, 6, 8, 10, 12], [6, 15]]); // prettier-ignore
        tf.dispose([first, second]);
      }
      x.dispose();
      twice.dispose();
    });

    it("keeps tfjs's account of tensors, buffers and bytes as the cpu backend does", async () => {
      type Counts = Pick<tf.MemoryInfo, 'numTensors' | 'numDataBuffers' | 'numBytes'>;
      const counts = (): Counts => tf.memory();
      const bytes = Floats.BYTES_PER_ELEMENT / 4; // tfjs counts four for every float
      const story = (): number[][] => {
        const was = counts();
        const seen: number[][] = [];
        const look = (perFloat: number): void => {
          const now = counts();
          seen.push([now.numTensors - was.numTensors, now.numDataBuffers - was.numDataBuffers, (now.numBytes - was.numBytes) / perFloat]); // prettier-ignore
        };
        const perFloat = tf.getBackend() === 'nullcline64' ? bytes : 1;
        const x = tf.tensor([[1, 2], [3, 4]]); // prettier-ignore
        const shared = tf.reshape(x, [4]);
        look(perFloat);
        x.dispose();
        x.dispose();
        look(perFloat);
        const v = tf.variable(shared);
        const y = tf.tidy(() => tf.add(shared, tf.mul(shared, v)));
        look(perFloat);
        v.assign(y);
        tf.dispose([shared, y]);
        look(perFloat);
        v.dispose();
        look(perFloat);
        const [ints, bools, texts] = [tf.tensor([1, 2, 3], [3], 'int32'), tf.tensor([true]), tf.tensor(['a', 'bc'])];
        look(1);
        tf.dispose([ints, bools, texts]);
        look(1);
        return seen;
      };
      const ours = story();
      await tf.setBackend('cpu');
      const theirs = story();
      await tf.setBackend(name);
      expect(ours).to.deep.equal(theirs);
      expect(ours.at(-1)).to.deep.equal([0, 0, 0]);
    });

    it('goes with a tensor to another backend and back', async () => {
      const was = tf.memory().numDataBuffers;
      const x = tf.tensor([1, 2, 3]);
      await tf.setBackend('cpu');
      const y = tf.add(x, 1);
      await tf.setBackend(name);
      const z = tf.mul(y, x);
      expect(Array.from(z.dataSync())).to.deep.equal([2, 6, 12]);
      expect(own().refCount(x.dataId)).to.equal(1);
      tf.dispose([x, y, z]);
      expect(own().refCount(x.dataId)).to.equal(0);
      expect(tf.memory().numDataBuffers).to.equal(was);
    });

    it('gives back every kind of value, special ones included', () => {
      leavesNothing(() => {
        tf.tidy(() => {
          const special = [0, -0, NaN, Infinity, -Infinity, 1e-45, 3.4028234663852886e38, 1.5];
          const floats = tf.tensor(special).dataSync();
          expect(floats).to.be.instanceOf(Floats);
          Float32Array.from(special).forEach((x, i) => expect(Object.is(floats[i], x), `${x}`).to.equal(true));
          const ints = tf.tensor([-2147483648, 2147483647, 0], [3], 'int32').dataSync();
          expect(ints).to.be.instanceOf(Int32Array);
          expect(Array.from(ints)).to.deep.equal([-2147483648, 2147483647, 0]);
          const bools = tf.tensor([true, false, true]).dataSync();
          expect(bools).to.be.instanceOf(Uint8Array);
          expect(Array.from(bools)).to.deep.equal([1, 0, 1]);
          expect(tf.tensor(['ä', '', 'xyz']).dataSync()).to.deep.equal(['ä', '', 'xyz']);
          expect(Array.from(tf.complex([1, NaN], [-0, 4]).dataSync())).to.deep.equal([1, -0, NaN, 4]);
          expect(tf.tensor([], [0, 3]).dataSync()).to.have.length(0);
          expect(tf.scalar(7).arraySync()).to.equal(7);
        });
      });
    });

    it('keeps the digits that its precision has', () => {
      const x = constant([0.1, 1 / 3]);
      const expected = name === 'nullcline' ? [0.1, 1 / 3].map(Math.fround) : [0.1, 1 / 3];
      expect(Array.from(x.dataSync())).to.deep.equal(expected);
      tf.dispose(x);
    });

    it('keeps its own copy of what it is given and hands out copies', () => {
      const given = Float32Array.of(1, 2, 3);
      const x = tf.tensor(given);
      given[0] = 9;
      const read = x.dataSync();
      read[1] = 9;
      expect(Array.from(x.dataSync())).to.deep.equal([1, 2, 3]);
      const y = tf.neg(x);
      y.dataSync()[0] = 9;
      expect(Array.from(y.dataSync())).to.deep.equal([-1, -2, -3]);
      tf.dispose([x, y]);
    });

    it('reads asynchronously, and rejects what cannot be read', async () => {
      const x = tf.tensor([1, 2]);
      expect(Array.from(await x.data())).to.deep.equal([1, 2]);
      x.dispose();
      const error = await own()
        .read({})
        .catch((e: unknown) => e);
      expect(error).to.be.instanceOf(Error);
    });

    it('counts references as tfjs does', () => {
      leavesNothing(() => {
        const x = tf.tensor([1, 2, 3, 4]);
        expect(own().refCount(x.dataId)).to.equal(1);
        const views = [x.reshape([2, 2]), x.clone(), x.expandDims(0)];
        expect(own().refCount(x.dataId)).to.equal(4);
        for (const view of views) expect(view.dataId).to.equal(x.dataId);
        x.dispose();
        expect(own().refCount(views[0].dataId)).to.equal(3);
        expect(views[0].arraySync()).to.deep.equal([
          [1, 2],
          [3, 4],
        ]);
        tf.dispose(views);
        expect(own().refCount(views[0].dataId)).to.equal(0);
        expect(own().disposeData(views[0].dataId)).to.equal(true);
      });
    });

    it('frees both parts of a complex tensor, whose parts outlive it when they were taken out', () => {
      leavesNothing(() => {
        const z = tf.complex([1, 2], [3, 4]);
        const [re, im] = [tf.real(z), tf.imag(z)];
        const again = z.clone();
        z.dispose();
        expect(Array.from(again.dataSync())).to.deep.equal([1, 3, 2, 4]);
        again.dispose();
        expect([...re.dataSync(), ...im.dataSync()]).to.deep.equal([1, 2, 3, 4]);
        tf.dispose([re, im]);
      });
    });

    it('places results in memory when asked where they are, once', () => {
      leavesNothing(() => {
        const x = tf.tensor([1, -2, 3]);
        const y = tf.abs(x);
        const pointer = own().pointerOf(y.dataId);
        expect(own().pointerOf(y.dataId)).to.equal(pointer);
        const { heap } = own();
        const view = new Floats(heap.memory.buffer, pointer, 3);
        expect(Array.from(view)).to.deep.equal([1, 2, 3]);
        // Views of tfjs's kernels survive a growth of the memory in between.
        const large = heap.allocate(heap.size);
        const sum = tf.add(x, y);
        expect(Array.from(sum.dataSync())).to.deep.equal([2, 0, 6]);
        heap.release(large);
        const z = tf.complex([1], [2]);
        expect(() => own().pointerOf(z.dataId)).to.throw(/no single place/);
        tf.dispose([x, y, z, sum]);
        expect(() => own().pointerOf(x.dataId)).to.throw(/a disposed tensor was used/);
      });
    });

    it('adopts a block that somebody computed in', () => {
      leavesNothing(() => {
        const { heap } = own();
        const pointer = heap.allocate(6 * Floats.BYTES_PER_ELEMENT);
        new Floats(heap.memory.buffer, pointer, 6).set([1, 2, 3, 4, 5, 6]);
        const info = own().adopt(pointer, [2, 3], 'float32');
        const x = tf.engine().makeTensorFromTensorInfo(info, own());
        expect(tf.tidy(() => x.sum(0).arraySync())).to.deep.equal([5, 7, 9]);
        x.dispose();
      });
    });

    for (const other of ['cpu', name === 'nullcline' ? 'nullcline64' : 'nullcline']) {
      it(`exchanges tensors with ${other}`, async () => {
        await tf.setBackend(other);
        const there = [
          tf.tensor([0.1, -2, NaN]),
          tf.tensor([1, 2], [2], 'int32'),
          tf.tensor([true]),
          tf.tensor(['a']),
          tf.complex([1], [2]),
        ];
        const reference = there[0].clone();
        await tf.setBackend(name);
        const here = there.map((t) => tf.clone(t));
        expect(Array.from(here[0].dataSync())).to.deep.equal([Math.fround(0.1), -2, NaN]);
        expect(here[0].add(here[0]).dataSync()).to.be.instanceOf(Floats);
        expect(Array.from(here[1].add(1).dataSync())).to.deep.equal([2, 3]);
        expect(Array.from(tf.logicalNot(here[2]).dataSync())).to.deep.equal([0]);
        expect(here[3].dataSync()).to.deep.equal(['a']);
        expect(Array.from(here[4].mul(here[4]).dataSync())).to.deep.equal([-3, 4]);
        expect(own().refCount(there[0].dataId), 'references move along').to.equal(3);
        const result = tf.exp(here[0]);
        await tf.setBackend(other);
        expect(Array.from(tf.mul(result, 1).dataSync())).to.deep.equal([
          ...[0.1, -2].map((x) => {
            const y = Math.exp(Math.fround(x));
            return other === 'nullcline64' && name === 'nullcline64' ? y : Math.fround(y);
          }),
          NaN,
        ]);
        tf.dispose([...there, ...here, reference, result]);
        await tf.setBackend(name);
      });
    }

    it('casts between dtypes by value', () => {
      tf.tidy(() => {
        const ints = tf.tensor([0, 1, -3], [3], 'int32');
        const floats = tf.cast(ints, 'float32');
        expect(floats.dataSync()).to.be.instanceOf(Floats);
        expect(Array.from(new Floats(own().heap.memory.buffer, own().pointerOf(floats.dataId), 3))).to.deep.equal([0, 1, -3]); // prettier-ignore
        expect(Array.from(tf.cast(tf.tensor([1.9, -1.9, 0.5]), 'int32').dataSync())).to.deep.equal([1, -1, 0]);
        expect(Array.from(tf.cast(tf.tensor([0, -0.5, NaN]), 'bool').dataSync())).to.deep.equal([0, 1, 1]);
        expect(tf.cast(tf.tensor([true, false]), 'int32').dataSync()).to.deep.equal(Int32Array.of(1, 0));
        const third = tf.cast(constant([1 / 3]), 'complex64').dataSync()[0];
        expect(third).to.equal(name === 'nullcline' ? Math.fround(1 / 3) : 1 / 3);
        expect(Array.from(tf.cast(ints, 'complex64').dataSync())).to.deep.equal([0, 0, 1, 0, -3, 0]);
        expect(Array.from(tf.cast(tf.complex([1.5, 0], [2, 1]), 'int32').dataSync())).to.deep.equal([1, 0]);
        expect(Array.from(tf.cast(tf.complex([1.5, 0], [2, 1]), 'float32').dataSync())).to.deep.equal([1.5, 0]);
        expect(() => tf.cast(tf.tensor(['a']), 'float32')).to.throw();
      });
    });

    it('holds nothing after 1,000 operations, nor after ones that fail', () => {
      leavesNothing(() => {
        const x = tf.tensor([
          [1, 2],
          [3, 4],
        ]);
        for (let i = 0; i < 1000; i++) {
          tf.tidy(() =>
            tf
              .softmax(tf.matMul(tf.tanh(x), x).add(tf.scalar(i)))
              .cast('int32')
              .sum(),
          ).dispose();
        }
        for (let i = 0; i < 100; i++) {
          expect(() => tf.tidy(() => tf.matMul(x, tf.ones([3, 2])))).to.throw();
          expect(() => tf.tidy(() => tf.reshape(tf.neg(x), [3]))).to.throw();
          expect(() => tf.tidy(() => tf.gather(x, tf.tensor([7], [1], 'int32')))).to.throw();
        }
        x.dispose();
      });
    });
  });
}
