import '../support/backend.js';
import { expect } from 'chai';
import { after, before, beforeEach, afterEach, describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { setup } from '../../src/core/layer.js';
import { key } from '../../src/core/random.js';
import { disposeTree } from '../../src/core/tree.js';
import { compile } from '../../src/graph/compile.js';
import { explain } from '../../src/graph/explain.js';
import { dense } from '../../src/layers/dense.js';
import { adam } from '../../src/optimisers/index.js';
import { compiledBackend } from './compile-support.js';

type T = tf.Tensor;

/** Where a tensor's numbers are. */
const placeOf = (t: T): number => compiledBackend('nullcline').pointerOf(t.dataId);
const vector = (...values: number[]): T => tf.tensor1d(values);
const numbers = (t: T): number[] => Array.from(t.dataSync());
const donatedLines = (text: string): string => text.split('\n').find((line) => line.startsWith('donated: ')) ?? '';

describe('donated arguments', () => {
  let previous = '';
  before(async () => {
    compiledBackend('nullcline');
    previous = tf.getBackend();
    await tf.setBackend('nullcline');
  });
  after(async () => {
    await tf.setBackend(previous);
  });
  let tensors = 0;
  beforeEach(() => {
    tensors = tf.memory().numTensors;
    tf.engine().startScope();
  });
  afterEach(() => {
    tf.engine().endScope();
    expect(tf.memory().numTensors, 'tensors left').to.equal(tensors);
  });

  it('have a result in their place, and cannot be used', () => {
    const f = compile((x: T, y: T) => x.mul(0.5).add(y), { donateArgnums: 0 });
    expect(donatedLines(explain(f, vector(1, 2), vector(3, 4)))).to.equal('donated: out0 takes the place of in0');
    const [x, y] = [vector(1, 2), vector(3, 4)];
    const place = placeOf(x);
    const result = f(x, y);
    expect(numbers(result)).to.deep.equal([3.5, 5]);
    expect(placeOf(result)).to.equal(place);
    expect(x.isDisposed).to.equal(true);
    expect(numbers(y)).to.deep.equal([3, 4]);
    expect(() => x.dataSync()).to.throw(/^this tensor was donated to a compiled function/);
    expect(() => f(x, y)).to.throw(/argument 0 \[2\]: this tensor was donated/);
    x.dispose();
  });

  it('may be trees, again and again, as a training step has them', () => {
    const optimiser = adam(0.01);
    type Tree = { w: T; b: T };
    const step = (ps: Tree, os: ReturnType<typeof optimiser.init>, x: T): [Tree, typeof os] => {
      const y = x.matMul(ps.w).add(ps.b).tanh();
      const grads = { w: x.matMul(y, true, false), b: y.sum(0) };
      return optimiser.update(grads, os, ps);
    };
    const given = (): Tree => ({ w: tf.linspace(-1, 1, 12).reshape([4, 3]), b: vector(0.1, 0.2, 0.3) });
    const x = tf.linspace(0, 1, 20).reshape([5, 4]);
    const pure = compile(step);
    const donating = compile(step, { donateArgnums: [0, 1] });
    let [a, osA] = [given(), optimiser.init(given())];
    let [b, osB] = [given(), optimiser.init(given())];
    // Weights of its own, not a view of the numbers that linspace made.
    b = { w: tf.tensor2d(b.w.arraySync() as number[][]), b: b.b };
    const place = placeOf(b.w);
    for (let i = 0; i < 5; i++) {
      [a, osA] = pure(a, osA, x);
      [b, osB] = donating(b, osB, x);
      expect(placeOf(b.w)).to.equal(place);
      expect(numbers(b.w)).to.deep.equal(numbers(a.w));
      expect(numbers(b.b)).to.deep.equal(numbers(a.b));
      expect(numbers((osB as { v: Tree }).v.w)).to.deep.equal(numbers((osA as { v: Tree }).v.w));
    }
    disposeTree([a, osA, b, osB]);
  });

  it('stay as they were for a clone and a reshaped tensor', () => {
    const f = compile((x: T) => x.mul(2), { donateArgnums: 0 });
    for (const other of [(x: T): T => x.clone(), (x: T): T => x.reshape([2, 2])]) {
      const x = vector(1, 2, 3, 4);
      const held = other(x);
      const result = f(x);
      expect(numbers(result)).to.deep.equal([2, 4, 6, 8]);
      expect(numbers(held)).to.deep.equal([1, 2, 3, 4]);
      expect(x.isDisposed).to.equal(true);
      // And whoever holds it last may give it up.
      const place = placeOf(held);
      expect(placeOf(f(held))).to.equal(place);
    }
  });

  it('given twice are written to by nothing', () => {
    const f = compile((x: T, y: T) => [x.add(1), x.mul(y)], { donateArgnums: [0] });
    const x = vector(1, 2, 3);
    const [p, q] = f(x, x);
    expect(numbers(p)).to.deep.equal([2, 3, 4]);
    expect(numbers(q)).to.deep.equal([1, 4, 9]);
    expect(x.isDisposed, 'it was also given without being donated').to.equal(false);
    const both = compile((a: T, b: T) => [a.add(1).sum(), b.add(a.sum())], { donateArgnums: [0, 1] });
    expect(numbers(both(x, x)[1])).to.deep.equal([7, 8, 9]);
    expect(x.isDisposed).to.equal(true);
  });

  it('that are captured too are written to by nothing', () => {
    const x = vector(1, 2, 3);
    const f = compile((y: T) => [y.add(1), x.mul(3)], { donateArgnums: 0 });
    const [p, q] = f(x);
    expect(numbers(p)).to.deep.equal([2, 3, 4]);
    expect(numbers(q)).to.deep.equal([3, 6, 9]);
  });

  it('may be results as they are, or in another shape', () => {
    const f = compile((x: T, y: T) => [x, x.reshape([2, 2]), y.add(x)], { donateArgnums: [0, 1] });
    const [x, y] = [vector(1, 2, 3, 4), vector(5, 6, 7, 8)];
    const [same, turned, sum] = f(x, y);
    expect(numbers(same)).to.deep.equal([1, 2, 3, 4]);
    expect(numbers(turned)).to.deep.equal([1, 2, 3, 4]);
    expect(numbers(sum)).to.deep.equal([6, 8, 10, 12]);
    expect([x.isDisposed, y.isDisposed]).to.deep.equal([true, true]);
  });

  it('are not overwritten while they are still read, in whichever order', () => {
    const f = compile((x: T) => [x.add(1), x.reverse(), x.sum().mul(x.slice([0], [4])), x.cumsum()], { donateArgnums: 0 }); // prettier-ignore
    const results = f(vector(1, 2, 3, 4));
    expect(results.map(numbers)).to.deep.equal([[2, 3, 4, 5], [4, 3, 2, 1], [10, 20, 30, 40], [1, 3, 6, 10]]); // prettier-ignore
    const matrix = compile((w: T) => w.matMul(w).add(w), { donateArgnums: 0 });
    expect(numbers(matrix(tf.tensor2d([[1, 2], [3, 4]])))).to.deep.equal([8, 12, 18, 26]); // prettier-ignore
    const turned = compile((w: T) => w.transpose().mul(2), { donateArgnums: 0 });
    expect(numbers(turned(tf.tensor2d([[1, 2], [3, 4]])))).to.deep.equal([2, 6, 4, 8]); // prettier-ignore
  });

  it('are as they were after a call that fails', () => {
    const f = compile((x: T, y: T, i: tf.Tensor1D) => [x.mul(2), tf.gather(y, i)], { donateArgnums: 0 });
    const [x, y] = [vector(1, 2, 3), vector(4, 5, 6)];
    expect(() => f(x, y, tf.tensor1d([0, 7, 1], 'int32'))).to.throw(/7/);
    expect(numbers(x)).to.deep.equal([1, 2, 3]);
    expect(f(x, y, tf.tensor1d([2, 0, 1], 'int32')).map(numbers)).to.deep.equal([[2, 4, 6], [6, 4, 5]]); // prettier-ignore
  });

  it('belong to the caller also where they were kept, and to no tidy', () => {
    const f = compile((x: T) => x.mul(2), { donateArgnums: 0 });
    const kept = tf.keep(vector(1, 2));
    const result = tf.tidy(() => f(kept));
    expect(kept.isDisposed).to.equal(true);
    expect(numbers(result)).to.deep.equal([2, 4]);
    const outer = vector(3, 4);
    expect(numbers(tf.tidy(() => f(outer).add(f(vector(1, 1)))))).to.deep.equal([8, 10]);
    expect(outer.isDisposed).to.equal(true);
  });

  it("are arguments like others under tfjs's own tape, and within another traced function", () => {
    const f = compile((x: T) => x.square().sum(), { donateArgnums: 0 });
    const x = vector(1, 2, 3);
    expect(numbers(tf.grad((y: T) => f(y))(x))).to.deep.equal([2, 4, 6]);
    const outer = compile((y: T) => f(y).add(y.sum()));
    expect(numbers(outer(x))).to.deep.equal([20]);
    expect(numbers(x)).to.deep.equal([1, 2, 3]);
  });

  it('are freed on every backend, and by a call that waits', async () => {
    const f = compile((x: T) => x.mul(2), { donateArgnums: 0 });
    const late = vector(1, 2);
    const result = await f.async(late);
    expect(numbers(result)).to.deep.equal([2, 4]);
    expect(late.isDisposed).to.equal(true);
    result.dispose();
    await tf.setBackend('cpu');
    try {
      const x = vector(1, 2);
      expect(numbers(f(x))).to.deep.equal([2, 4]);
      expect(() => x.dataSync()).to.throw(/donated/);
    } finally {
      await tf.setBackend('nullcline');
    }
  });

  it('say so wherever they are used, as disposed tensors say that they are', () => {
    const f = compile((x: T) => x.mul(2), { donateArgnums: 0 });
    const gone = (donates: boolean): T => {
      const x = tf.tensor2d([[1, 2], [3, 4]]); // prettier-ignore
      if (donates) f(x);
      else x.dispose();
      return x;
    };
    const [model, other] = [dense(2, 2), tf.ones([2, 2])];
    const [ps, st] = setup(key(0), model);
    const uses: ((x: T) => unknown)[] = [
      (x) => tf.neg(x),
      (x) => tf.reshape(x, [4]),
      (x) => tf.clone(x),
      (x) => tf.matMul(other, x),
      (x) => tf.concat([other, x]),
      (x) => tf.cast(x, 'int32'),
      (x) => model.apply(other, { ...ps, weight: x }, st),
    ];
    for (const use of uses) {
      expect(() => use(gone(true))).to.throw(/^this tensor was donated to a compiled function/);
      expect(() => use(gone(false))).to.throw(/^a disposed tensor was used; keep it/);
    }
    const [donated, disposed] = [gone(true), gone(false)];
    expect(() => compile((y: T) => y.add(donated))(other)).to.throw(
      /^a tensor \[2, 2\] was used: this tensor was donated/,
    );
    expect(() => compile((y: T) => y.add(disposed))(other)).to.throw(/^a disposed tensor \[2, 2\] was used/);
    expect(() => model.apply(donated, ps, st)).to.throw(
      /^Dense\(2 => 2\): the input \[2, 2\]: this tensor was donated/,
    );
    expect(() => model.apply(disposed, ps, st)).to.throw(/^Dense\(2 => 2\): the input \[2, 2\] has been disposed$/);
    // What a clone holds was not given up with the tensor.
    const x = vector(1, 2);
    const held = x.clone();
    f(x);
    expect(numbers(tf.neg(held))).to.deep.equal([-1, -2]);
    held.dispose();
    expect(() => tf.neg(held)).to.throw(/^a disposed tensor was used/);
  });

  it('are named in errors where they cannot be', () => {
    const f = compile((x: T) => x.mul(2), { donateArgnums: 1 });
    expect(() => f(vector(1))).to.throw(
      TypeError,
      /^compile: donateArgnums: there is no argument 1; the function was given 1/,
    );
    const g = compile((x: T) => x.mul(2), { donateArgnums: [0] });
    const variable = tf.variable(vector(1));
    for (let i = 0; i < 2; i++) {
      expect(() => g(variable)).to.throw(TypeError, /^compile: donateArgnums: a donated argument holds a tf.Variable/);
      g(vector(1));
    }
    variable.dispose();
    expect(() => compile(() => vector(1), { donateArgnums: -1 })).to.throw(/compile: option "donateArgnums"/);
    expect(() => compile(() => vector(1), { donateArgnums: [0.5] })).to.throw(/compile: option "donateArgnums/);
  });
});
