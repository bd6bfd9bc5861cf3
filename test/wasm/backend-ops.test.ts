import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { CASES, type Argument, type OpCase } from '../graph/op-cases.js';
import { expectClose } from '../support/close.js';

const suite = Float32Array.BYTES_PER_ELEMENT === 4 ? describe : describe.skip;

/** Spread over the range, each a number of single precision. */
function values({ shape, from, to }: Argument, which: number): number[] {
  const n = shape.reduce((a, b) => a * b, 1);
  return Array.from({ length: n }, (_, i) => from + (to - from) * ((0.618034 * (i + 1) + 0.27 * which) % 1));
}

const ints = (numbers: number[], shape: number[] = [numbers.length]): tf.Tensor => tf.tensor(numbers, shape, 'int32');
const bools = (...of: number[]): tf.Tensor => tf.tensor(of, [of.length], 'bool');

/** Operations on other dtypes, and those whose result is not differentiable. */
const OTHERS: Readonly<Record<string, () => tf.Tensor | tf.Tensor[]>> = {
  'int arithmetic': () => [
    tf.add(ints([1, -2]), ints([3, 4])),
    tf.mul(ints([7, -2]), ints([3])),
    tf.sub(ints([7, -2]), ints([3, 9])),
    tf.floorDiv(ints([7, -7]), ints([2, 2])),
    tf.mod(ints([7, -7]), ints([3, 3])),
    tf.maximum(ints([7, -7]), ints([3, 3])),
    tf.abs(ints([-4, 4])),
    tf.neg(ints([-4, 4])),
    tf.pow(ints([2, 3]), ints([3, 2])),
  ],
  'int with float': () => [tf.add(ints([1, 2]), tf.tensor([0.5, 1])), tf.div(ints([7, 2]), ints([2, 4]))],
  'int reductions': () => [
    tf.sum(ints([1, 2, 3])),
    tf.max(ints([1, 3, 2])),
    tf.prod(ints([2, 3])),
    tf.mean(ints([1, 2])),
  ],
  'bool reductions': () => [tf.all(bools(1, 0)), tf.any(bools(1, 0)), tf.sum(bools(1, 1, 0))],
  comparisons: () =>
    [tf.equal, tf.notEqual, tf.less, tf.lessEqual, tf.greater, tf.greaterEqual].map((f) =>
      f(tf.tensor([1, 2, 3, NaN]), tf.tensor([2, 2, 2, 2])),
    ),
  logic: () => [
    tf.logicalAnd(bools(1, 1, 0), bools(1, 0, 0)),
    tf.logicalOr(bools(1, 1, 0), bools(1, 0, 0)),
    tf.logicalXor(bools(1, 1, 0), bools(1, 0, 0)),
    tf.logicalNot(bools(1, 0)),
    tf.where(bools(1, 0), ints([1, 2]), ints([3, 4])),
    tf.isNaN(tf.tensor([NaN, 1])),
    tf.isInf(tf.tensor([Infinity, 1])),
    tf.isFinite(tf.tensor([NaN, 1])),
  ],
  'indices': () => [
    tf.argMax(tf.tensor([[1, 3, 2], [9, 0, 4]]), 1),
    tf.argMin(tf.tensor([[1, 3, 2], [9, 0, 4]])),
    tf.oneHot(ints([0, 2, 1]), 3),
    tf.gather(ints([5, 6, 7]), ints([2, 0])),
    ...Object.values(tf.topk(tf.tensor([4, 1, 3]), 2)),
    ...Object.values(tf.unique(tf.tensor([4, 1, 4]))),
    tf.scatterND(ints([1, 3], [2, 1]), ints([5, 6]), [4]),
    tf.tensorScatterUpdate(tf.tensor([1, 2, 3]), ints([1], [1, 1]), tf.tensor([9])),
    tf.bincount(ints([1, 1, 2]) as tf.Tensor1D, tf.tensor([]), 4),
    tf.searchSorted(tf.tensor([1, 3, 5]), tf.tensor([3, 4])),
    tf.lowerBound(tf.tensor([1, 3, 5]), tf.tensor([3, 4])),
  ], // prettier-ignore
  'int and bool arrangement': () => [
    tf.concat([ints([1, 2]), ints([3])]),
    tf.stack([bools(1, 0), bools(0, 0)]),
    tf.pad(ints([1, 2]), [[1, 2]], 7),
    tf.tile(bools(1, 0), [2]),
    tf.transpose(ints([1, 2, 3, 4, 5, 6], [2, 3])),
    tf.reverse(ints([1, 2, 3]), 0),
    tf.slice(bools(1, 0, 1), 1, 2),
    tf.stridedSlice(ints([1, 2, 3, 4]), [0], [4], [2]),
    ...tf.split(ints([1, 2, 3, 4]), 2),
    ...tf.unstack(ints([1, 2, 3, 4], [2, 2])),
    tf.cumsum(ints([1, 2, 3])),
  ],
  creation: () => [
    tf.zeros([2, 2], 'int32'),
    tf.ones([3]),
    tf.fill([2], 2.5),
    tf.zerosLike(bools(1, 1)),
    tf.onesLike(ints([4, 5])),
    tf.linspace(0, 1, 5),
    tf.range(0, 10, 3, 'int32'),
    tf.eye(2),
    tf.diag(tf.tensor([1, 2])),
  ],
  complex: () => {
    const z = tf.complex([1, 2, 3, 4], [0, -1, 2, 0.5]);
    const parts = [
      tf.mul(z, z),
      tf.sub(z, tf.neg(tf.real(z)).cast('complex64')),
      tf.fft(z),
      tf.ifft(z),
      tf.reshape(z, [2, 2]),
      tf.concat([z, z]),
    ];
    return [tf.abs(z), ...parts.flatMap((y) => [tf.real(y), tf.imag(y)])];
  },
  spectra: () => [tf.real(tf.rfft(tf.tensor([1, 2, 3, 4]))), tf.irfft(tf.complex([1, 2, 3], [0, 1, 0]))],
  strings: () => [tf.equal(tf.tensor(['a', 'b']), tf.tensor(['a', 'c']))],
};

const flattened = (result: tf.Tensor | tf.Tensor[]): tf.Tensor[] =>
  (Array.isArray(result) ? result : [result]).flatMap((y) =>
    y.dtype === 'complex64' ? [tf.real(y), tf.imag(y)] : [y],
  );

interface Outcome {
  readonly shape: number[];
  readonly dtype: tf.DataType;
  readonly values: Float32Array;
}

async function outcomes(backend: string, f: () => tf.Tensor | tf.Tensor[]): Promise<Outcome[]> {
  await tf.setBackend(backend);
  const results: Outcome[] = [];
  tf.tidy(() => {
    for (const y of flattened(f())) results.push({ shape: y.shape, dtype: y.dtype, values: y.dataSync<'float32'>() });
  });
  return results;
}

const projected = ({ f }: OpCase, xs: tf.Tensor[]): tf.Tensor =>
  tf.addN(flattened(f(...xs)).map((y) => tf.sum(tf.mul(y, tf.scalar(0.5)))));

for (const backend of ['nullcline', 'nullcline64']) {
  suite(`tfjs operations one by one on ${backend}`, () => {
    let previous: string;
    before(() => {
      previous = tf.getBackend();
    });
    after(async () => {
      await tf.setBackend(previous);
    });
    // Functions and sums are rounded otherwise here; single precision is within its own error of double.
    const bounds = backend === 'nullcline' ? { rtol: 1e-5, atol: 1e-6 } : { rtol: 2e-4, atol: 2e-5 };

    const compare = async (name: string, f: () => tf.Tensor | tf.Tensor[]): Promise<void> => {
      const expected = await outcomes('cpu', f);
      const { numTensors } = tf.memory();
      const actual = await outcomes(backend, f);
      expect(tf.memory().numTensors, 'tensors').to.equal(numTensors);
      expect(actual.length).to.equal(expected.length);
      actual.forEach((y, i) => {
        expect({ shape: y.shape, dtype: y.dtype }).to.deep.equal({
          shape: expected[i].shape,
          dtype: expected[i].dtype,
        });
        expectClose(Array.from(y.values), Array.from(expected[i].values), bounds, `${name}, output ${i}`);
        const kind = backend === 'nullcline' ? Float32Array : Float64Array;
        if (y.dtype === 'float32') expect(y.values, 'kind of array').to.be.instanceOf(kind);
        if (y.dtype === 'int32') expect(y.values, 'kind of array').to.be.instanceOf(Int32Array);
      });
    };

    for (const row of CASES) {
      const args = (): tf.Tensor[] => row.args.map((a, k) => tf.tensor(values(a, k), a.shape));
      it(row.name, () => compare(row.name, () => row.f(...args())));
    }
    for (const [name, f] of Object.entries(OTHERS)) it(name, () => compare(name, f));

    it('differentiates with tfjs as on cpu', async () => {
      for (const row of CASES) {
        const gradients = (): tf.Tensor[] => {
          const xs = row.args.map((a, k) => tf.tensor(values(a, k), a.shape));
          return tf.grads((...ys: tf.Tensor[]) => projected(row, ys))(xs);
        };
        const onCpu = await outcomes('cpu', gradients).catch(() => null);
        if (onCpu === null) continue; // tfjs has no derivative of it
        await compare(`gradient of ${row.name}`, gradients);
      }
    });

    it('keeps its counts exact over all operations', async () => {
      await tf.setBackend(backend);
      const ids = (): number => tf.backend().numDataIds();
      for (const row of CASES) {
        const was = ids();
        tf.dispose(tf.tidy(() => row.f(...row.args.map((a, k) => tf.tensor(values(a, k), a.shape)))));
        expect(ids(), row.name).to.equal(was);
      }
    });
  });
}

suite('tfjs operations in double precision', () => {
  it('keep all digits, and leave the global array alone', async () => {
    const previous = tf.getBackend();
    await tf.setBackend('nullcline64');
    const single = globalThis.Float32Array;
    tf.tidy(() => {
      const x = tf.tensor([0.5, 2]);
      expectClose(tf.exp(x), [Math.exp(0.5), Math.exp(2)], { rtol: 1e-15 });
      expectClose(tf.matMul(tf.div(tf.ones([1, 2]), tf.fill([1, 2], 3)), tf.ones([2, 1])), [2 / 3], { rtol: 1e-15 });
      expectClose(tf.softmax(x), [1 / (1 + Math.exp(1.5)), 1 / (1 + Math.exp(-1.5))], { rtol: 1e-15 });
      expectClose(tf.mean(tf.div(x, tf.fill([], 3))), [2.5 / 6], { rtol: 1e-15 });
      expect(() => tf.matMul(tf.ones([2, 3]), tf.ones([2, 3]))).to.throw();
      expect(() => tf.gather(x, tf.tensor([7], [1], 'int32')), 'a kernel that fails').to.throw(/index/);
      expect(globalThis.Float32Array).to.equal(single);
    });
    await tf.setBackend(previous);
  });
});
