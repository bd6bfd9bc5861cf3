import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { scan } from '../../src/graph/scan.js';
import { TraceError } from '../../src/graph/trace.js';
import { grad, hvp, jacobian, jvp, stopGradient, valueAndGrad, vjp } from '../../src/graph/transform.js';

type Tensor = tf.Tensor;

interface Held {
  readonly tensors: number;
  readonly buffers: number;
  readonly ids: number;
}

const held = (): Held => ({
  tensors: tf.memory().numTensors,
  buffers: tf.memory().numDataBuffers,
  ids: tf.backend().numDataIds(),
});

const network = (p: { w: Tensor; b: Tensor }, x: Tensor): Tensor =>
  tf.mean(tf.square(tf.tanh(tf.add(tf.matMul(x, p.w), p.b))));

describe('memory', () => {
  let p: { w: Tensor; b: Tensor };
  let x: Tensor;
  beforeEach(() => {
    p = { w: tf.tensor2d([0.1, 0.2, -0.3, 0.4], [2, 2]), b: tf.tensor1d([0.5, -0.5]) };
    x = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
  });
  afterEach(() => {
    tf.dispose([p.w, p.b, x]);
  });

  const keeps = (what: string, make: () => (() => unknown) | { f: () => unknown; dispose: () => void }): void => {
    it(`${what} holds nothing after it`, () => {
      const before = held();
      const made = make();
      const { f, dispose } = typeof made === 'function' ? { f: made, dispose: () => undefined } : made;
      const run = (): void => {
        tf.dispose(f() as tf.TensorContainer);
      };
      run();
      const first = held();
      for (let i = 0; i < 3; i++) run();
      expect(held(), 'after more runs').to.deep.equal(first);
      expect(first.tensors, 'tensors').to.equal(before.tensors);
      dispose();
      expect(held(), 'in the end').to.deep.equal(before);
    });
  };

  keeps('grad', () => () => grad(network)(p, x));
  keeps('valueAndGrad', () => () => valueAndGrad(network)(p, x));
  keeps('a second derivative', () => () => hvp((q: typeof p) => network(q, x), [p], [p]));
  keeps('jvp', () => () => jvp((q: typeof p) => network(q, x), [p], [p]));
  keeps('jacobian', () => () => jacobian((w: Tensor) => tf.sum(tf.tanh(tf.matMul(x, w)), 1))(p.w));
  keeps('vjp', () => () => {
    const [y, pull] = vjp((w: Tensor) => tf.tanh(tf.matMul(x, w)), p.w);
    const g = pull(y);
    return [y, g];
  });
  keeps('an argument returned as it is', () => () => grad((y: Tensor) => tf.sum(tf.mul(y, x)))(x));
  keeps(
    'stopGradient and customGrad',
    () => () => grad((y: Tensor) => tf.sum(tf.mul(stopGradient(y), tf.logSoftmax(y))))(x),
  );
  keeps(
    'operations with several results',
    () => () =>
      grad((y: Tensor) => {
        const [a] = tf.unstack(y);
        return tf.sum(tf.mul(a, tf.topk(a, 1).values));
      })(x),
  );
  keeps('complex numbers', () => () => grad((y: Tensor) => tf.sum(tf.square(tf.abs(tf.spectral.rfft(y)))))(x));
  keeps(
    'reading shapes from the cpu kernels',
    () => () =>
    grad((y: Tensor) => tf.sum(tf.square(tf.mirrorPad(y, [[1, 1], [0, 0]], 'reflect'))))(x), // prettier-ignore
  );

  const compiled = (f: (...args: never[]) => unknown, args: () => unknown[]) => () => {
    const g = compile(f as (...args: unknown[]) => unknown);
    return {
      f: () => g(...args()),
      dispose: () => {
        g.dispose();
      },
    };
  };
  keeps(
    'a compiled gradient',
    compiled(valueAndGrad(network), () => [p, x]),
  );
  keeps('a compiled function of constants', compiled((y: Tensor) => tf.add(y, tf.tensor1d([1, 2])), () => [x])); // prettier-ignore
  keeps('a compiled function that returns a constant', compiled((_: Tensor) => tf.tensor1d([1, 2]), () => [x])); // prettier-ignore
  keeps('a constant returned in another shape', compiled((_: Tensor) => tf.reshape(tf.tensor1d([1, 2]), [2, 1]), () => [x])); // prettier-ignore
  keeps(
    'under the tape',
    () => () => tf.tidy(() => tf.grad((y: Tensor) => grad((z: Tensor) => tf.sum(tf.pow(z, 3)))(y))(x)),
  );

  it('frees the constants of signatures that are forgotten', () => {
    const before = held();
    const f = compile((y: Tensor) => tf.add(y, tf.tensor1d(Array.from({ length: y.size }, (_, i) => i))), {
      maxSignatures: 1,
    });
    const call = (n: number): void => {
      tf.tidy(() => void f(tf.ones([n])));
    };
    call(3);
    const one = held();
    call(4);
    call(5);
    expect(held()).to.deep.equal(one);
    tf.tidy(() => {
      f.programFor(tf.ones([5])).dispose();
    });
    expect(held()).to.deep.equal(before);
  });

  it('frees everything when a kernel fails in the middle of a run', () => {
    const f = compile((y: Tensor, i: Tensor) => tf.gather(tf.exp(y), tf.add<tf.Tensor1D>(i, tf.scalar(1, 'int32'))));
    const good = tf.tensor1d([0, 1], 'int32');
    const bad = tf.tensor1d([0, 7], 'int32');
    f(x, good).dispose();
    const before = held();
    expect(() => f(x, bad)).to.throw();
    expect(held()).to.deep.equal(before);
    tf.dispose([good, bad]);
  });

  it('leaves results to tf.tidy, and to whoever keeps them', () => {
    const before = tf.memory().numTensors;
    const f = compile((y: Tensor) => [tf.exp(y), tf.neg(y)]);
    const kept = tf.tidy(() => f(x)[0]);
    expect(tf.memory().numTensors).to.equal(before + 1);
    kept.dispose();
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('a tensor of the function around it that a loop keeps is there until that function has been traced', () => {
    let gone = true;
    const f = compile((y: Tensor) => {
      const outer = tf.mul(y, 2);
      const [sum] = scan((c: Tensor, x: Tensor) => [tf.add(c, tf.mul(tf.keep(outer), x)), x] as const, y, tf.ones([3]));
      gone = outer.isDisposed;
      return tf.add(sum, outer);
    });
    const [found, expected] = tf.tidy(() => [f(x), tf.mul(x, 9)].map((y) => Array.from(y.dataSync())));
    expect(found).to.deep.equal(expected);
    expect(gone).to.equal(false);
    f.dispose();
  });

  it('a tensor that is kept while a function is traced was never counted, and is gone afterwards', () => {
    const before = held();
    const kept: Tensor[] = [];
    const doubled = compile((y: Tensor) => {
      kept.push(tf.keep(tf.mul(y, 2)));
      return tf.neg(kept[0]);
    });
    doubled(x).dispose();
    expect(kept).to.have.length(1);
    expect(() => kept[0].dataSync()).to.throw('disposed');
    expect(() => compile((y: Tensor) => tf.add(y, kept[0]))(x)).to.throw(TraceError, /disposed tensor/);
    kept[0].dispose();
    doubled.dispose();
    expect(held()).to.deep.equal(before);
  });
});
