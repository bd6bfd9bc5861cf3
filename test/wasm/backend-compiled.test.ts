import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { constant } from '../../src/core/constant.js';
import { interpreter } from '../../src/graph/interpret.js';
import type { NullclineBackend } from '../../src/wasm/backend.js';
import { CompiledKernels } from '../../src/wasm/backend-compiled.js';
import { expectClose } from '../support/close.js';

const suite = Float32Array.BYTES_PER_ELEMENT === 4 ? describe : describe.skip;

const spread = (from: number, to: number, ...shape: number[]): tf.Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Float32Array.from({ length: n }, (_, i) => from + (to - from) * ((0.618034 * i) % 1)),
    shape,
  );
};
const any = (): tf.Tensor => spread(-3, 3, 96, 100);
const positive = (): tf.Tensor => spread(0.1, 4, 96, 100);
const matrix = (...shape: number[]): tf.Tensor2D => spread(-1, 1, ...shape) as tf.Tensor2D;

/** Operations large enough to be compiled alone. */
const CASES: Readonly<Record<string, () => tf.Tensor>> = {
  ...Object.fromEntries(
    (
      [
        'abs',
        'exp',
        'expm1',
        'neg',
        'relu',
        'sigmoid',
        'sin',
        'cos',
        'softplus',
        'square',
        'tanh',
        'erf',
        'elu',
      ] as const
    ).map((name) => [name, () => tf[name](any())]),
  ),
  ...Object.fromEntries(
    (['log', 'log1p', 'rsqrt', 'sqrt', 'reciprocal'] as const).map((name) => [name, () => tf[name](positive())]),
  ),
  ...Object.fromEntries(
    (['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'squaredDifference'] as const).map((name) => [
      name,
      () => tf[name](any(), spread(0.5, 2, 100)),
    ]),
  ),
  pow: () => tf.pow(positive(), spread(-2, 2, 96, 1)),
  'add of a scalar': () => tf.add(any(), 0.5),
  'sum over rows': () => tf.sum(any(), 0),
  'sum over columns': () => tf.sum(any(), 1, true),
  'sum of all': () => tf.sum(positive()),
  mean: () => tf.mean(positive(), 1),
  max: () => tf.max(any(), 1),
  min: () => tf.min(any()),
  softmax: () => tf.softmax(any()),
  logSoftmax: () => tf.logSoftmax(any()),
  'matrix product': () => tf.matMul(matrix(40, 50), matrix(50, 60)),
  'transposed products': () =>
    tf.concat([
      tf.matMul(matrix(50, 40), matrix(50, 60), true, false),
      tf.matMul(matrix(40, 50), matrix(60, 50), false, true),
      tf.matMul(matrix(50, 40), matrix(60, 50), true, true),
    ]),
  'batches of products': () => tf.matMul(spread(-1, 1, 3, 20, 30), spread(-1, 1, 3, 30, 20)),
  'a product over a shared batch': () => tf.matMul(spread(-1, 1, 3, 20, 30), spread(-1, 1, 1, 30, 20)),
  'a fused product': () =>
    tf.fused.matMul({ a: matrix(40, 50), b: matrix(50, 60), bias: spread(-1, 1, 60), activation: 'relu' }),
};

for (const name of ['nullcline', 'nullcline64']) {
  suite(`large operations one by one on ${name}`, () => {
    let previous: string;
    before(() => {
      previous = tf.getBackend();
    });
    after(async () => {
      await tf.setBackend(previous);
    });

    for (const [title, f] of Object.entries(CASES)) {
      it(title, async () => {
        await tf.setBackend('cpu');
        const expected = tf.tidy(() => f().dataSync());
        await tf.setBackend(name);
        const ids = tf.backend().numDataIds();
        const first = tf.tidy(() => f().dataSync());
        const second = tf.tidy(() => f().dataSync());
        // In both precisions the distance is that of a single-precision sum of up to 9600 terms, or a few units.
        expectClose(Array.from(first), Array.from(expected), { rtol: 3e-6, atol: 3e-6 }, title);
        expect(second, 'the same call, the same bits').to.deep.equal(first);
        expect(tf.backend().numDataIds()).to.equal(ids);
      });
    }

    it('differentiates', async () => {
      const gradients = (): Float32Array =>
        tf.tidy(() => {
          const loss = (w: tf.Tensor): tf.Scalar =>
            tf.sum(tf.square(tf.tanh(tf.matMul(matrix(100, 100), w as tf.Tensor2D))));
          return tf.grad(loss)(matrix(100, 100)).dataSync<'float32'>();
        });
      await tf.setBackend('cpu');
      const expected = gradients();
      await tf.setBackend(name);
      expectClose(Array.from(gradients()), Array.from(expected), { rtol: 1e-4, atol: 1e-4 });
    });

    it('computes erf to the last digits, where tfjs has seven', async () => {
      await tf.setBackend(name);
      // In double precision, by Python 3.11 (math.erf).
      const expected = [0.1124629160182849, 0.5204998778130465, 0.8427007929497149, 0.9953222650189527];
      const x = constant([0.1, 0.5, 1, 2]);
      const y = tf.erf(x);
      expectClose(y, expected, { rtol: name === 'nullcline' ? 2.5e-7 : 4e-15 });
      tf.dispose([x, y]);
    });

    it('propagates NaN and infinities', async () => {
      await tf.setBackend(name);
      tf.tidy(() => {
        const values = new Float32Array(9000).fill(1);
        values.set([NaN, Infinity, -Infinity]);
        const x = tf.tensor(values);
        for (const f of [tf.add, tf.mul] as const) {
          const y = f(x, x).dataSync();
          expect(y[0]).to.deep.equal(NaN);
          expect(y[1]).to.equal(Infinity);
        }
        expect(Array.from(tf.exp(x).dataSync().slice(0, 3))).to.deep.equal([NaN, Infinity, 0]);
        expect(Array.from(tf.tanh(x).dataSync().slice(0, 3))).to.deep.equal([NaN, 1, -1]);
      });
    });
  });
}

suite('programs of single operations', () => {
  it('are kept up to a bound and freed beyond it', async () => {
    const previous = tf.getBackend();
    await tf.setBackend('nullcline');
    const backend = tf.backend() as NullclineBackend;
    const freed: number[] = [];
    let made = 0;
    const compiled = new CompiledKernels(
      {
        name: 'counting',
        prepare: (graph, on, backendName) => {
          const number = made++;
          const executable = interpreter.prepare(graph, on, backendName);
          return {
            run: (...given) => executable.run(...given),
            dispose: () => {
              freed.push(number);
              executable.dispose();
            },
          };
        },
      },
      'nullcline',
    );
    const kernel = compiled.kernel('Cumsum', () => expect.fail('not compiled'));
    tf.tidy(() => {
      const call = (length: number): void => {
        const x = tf.zeros([length]);
        const attrs = { axis: 0, exclusive: false, reverse: false };
        const y = kernel({ inputs: { x }, backend, attrs }) as tf.TensorInfo;
        expect(y.shape).to.deep.equal([length]);
        backend.disposeData(y.dataId);
      };
      for (let i = 0; i < 256; i++) call(9000 + i);
      call(9000); // used again: 9001 is now the oldest
      expect({ size: compiled.size, made, freed }).to.deep.equal({ size: 256, made: 256, freed: [] });
      call(9256);
      expect({ size: compiled.size, made, freed }).to.deep.equal({ size: 256, made: 257, freed: [1] });
    });
    await tf.setBackend(previous);
  });

  it('are left to the kernel itself where they are small, not floating, or unknown', () => {
    const compiled = new CompiledKernels({ name: 'none', prepare: () => expect.fail('compiled') }, 'nullcline');
    const result = { dataId: {}, shape: [], dtype: 'float32' } as tf.TensorInfo;
    const backend = { hosting: false };
    const call = (name: string, shape: number[], dtype: tf.DataType): unknown =>
      compiled.kernel(name, () => result)({ inputs: { x: { dataId: {}, shape, dtype } }, backend, attrs: {} });
    expect(call('Mean', [100], 'float32')).to.equal(result);
    expect(call('Mean', [10_000], 'int32')).to.equal(result);
    expect(call('FFT', [10_000], 'float32')).to.equal(result);
  });
});
