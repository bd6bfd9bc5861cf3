import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { grad, valueAndGrad } from '../../src/graph/transform.js';
import { expectClose } from '../support/close.js';

type Tensor = tf.Tensor;

const inTidy = (what: string, f: () => void): void => {
  it(what, () => {
    tf.tidy(f);
  });
};

describe('compile', () => {
  inTidy('traces once for each signature', () => {
    let runs = 0;
    const f = compile((x: Tensor) => {
      runs++;
      return tf.add(x, 1);
    });
    expectClose(f(tf.tensor1d([1, 2])), [2, 3]);
    expectClose(f(tf.tensor1d([3, 4])), [4, 5]);
    expect(runs).to.equal(1);
    expect(f.stats).to.deep.equal({ traces: 1, hits: 1 });
    expectClose(f(tf.tensor1d([3, 4, 5])), [4, 5, 6]);
    expectClose(f(tf.tensor1d([3, 4], 'int32')), [4, 5]);
    expectClose(f(tf.tensor1d([1, 2])), [2, 3]);
    expect(f.stats).to.deep.equal({ traces: 3, hits: 2 });
  });

  inTidy('tells plain arguments apart by value, functions by identity', () => {
    const f = compile((x: Tensor, o: { n: number; flag: boolean; name?: string }, g: (x: Tensor) => Tensor) =>
      g(o.flag ? tf.mul(x, o.n) : x),
    );
    const x = tf.scalar(3);
    expectClose(f(x, { n: 2, flag: true }, tf.neg), -6);
    expectClose(f(x, { n: 2, flag: true }, tf.neg), -6);
    expect(f.stats).to.deep.equal({ traces: 1, hits: 1 });
    expectClose(f(x, { n: 5, flag: true }, tf.neg), -15);
    expectClose(f(x, { n: 5, flag: false }, tf.neg), -3);
    expectClose(f(x, { n: 5, flag: false }, tf.square), 9);
    expectClose(f(x, { n: 0, flag: true }, tf.square), 0);
    expectClose(f(x, { n: -0, flag: true }, tf.square), 0);
    expectClose(f(x, { n: -0, flag: true, name: '0' }, tf.square), 0);
    expect(f.stats.traces).to.equal(7);
  });

  inTidy('tells structures apart', () => {
    const f = compile((tree: { a: Tensor; b: Tensor } | readonly Tensor[]) =>
      Array.isArray(tree) ? tf.sub(tree[0] as Tensor, tree[1] as Tensor) : tf.add((tree as { a: Tensor }).a, 10),
    );
    expectClose(f([tf.scalar(5), tf.scalar(3)]), 2);
    expectClose(f({ a: tf.scalar(5), b: tf.scalar(3) }), 15);
    expect(f.stats.traces).to.equal(2);
  });

  inTidy('returns any structure, plain values, an argument itself, one tensor twice', () => {
    const f = compile((x: Tensor) => {
      const y = tf.square(x);
      return { y, again: [y, x], n: 3, nothing: null };
    });
    const x = tf.tensor1d([1, 2]);
    const { y, again, n, nothing } = f(x);
    expectClose(y, [1, 4]);
    expectClose(again[0], [1, 4]);
    expectClose(again[1], [1, 2]);
    expect([n, nothing]).to.deep.equal([3, null]);
    tf.dispose(again);
    expectClose(y, [1, 4]);
    expectClose(x, [1, 2]);
  });

  inTidy('forgets the signature unused longest', () => {
    const f = compile((x: Tensor) => tf.neg(x), { maxSignatures: 2 });
    const call = (n: number): Tensor => f(tf.ones([n]));
    call(1);
    call(2);
    call(1); // now 2 is the oldest
    call(3);
    expect(f.stats).to.deep.equal({ traces: 3, hits: 1 });
    call(1);
    expect(f.stats.hits).to.equal(2);
    call(2);
    expect(f.stats.traces).to.equal(4);
  });

  inTidy('lets its programs go, and traces anew afterwards', () => {
    let runs = 0;
    const f = compile((x: Tensor) => {
      runs++;
      return tf.add(tf.mul(x, x), tf.tensor1d([1, 2]));
    });
    f.dispose(); // before there is anything
    const ids = tf.backend().numDataIds();
    for (let round = 1; round <= 3; round++) {
      const x = tf.tensor1d([3, 4]);
      const ys = [f(x), f(x), f(tf.tensor1d([5]))];
      expectClose(ys[1], [10, 18]);
      expect(runs, 'traces').to.equal(2 * round);
      f.dispose();
      f.dispose();
      expectClose(ys[0], [10, 18], {}, 'a result outlives the program');
      expect(f.stats).to.deep.equal({ traces: 2 * round, hits: round });
      tf.dispose([x, ys]);
    }
    expect(tf.backend().numDataIds()).to.equal(ids + 3); // the inputs of the other signature
  });

  inTidy('can be let go while the tape of tfjs still needs its derivative', () => {
    const f = compile((x: Tensor) => tf.square(x));
    const slope = tf.grad((x: Tensor) => {
      const y = f(x);
      f.dispose();
      return tf.sum(y);
    });
    expectClose(slope(tf.tensor1d([3, -1])), [6, -2]);
    expectClose(slope(tf.tensor1d([5, 2])), [10, 4]);
  });

  it('ends a call that is waiting before it lets its program go', async () => {
    const x = tf.tensor1d([1, 2]);
    const f = compile((y: Tensor) => tf.add(tf.exp(y), tf.tensor1d([1, 2])));
    const before = tf.backend().numDataIds();
    const waiting = f.async(x);
    f.dispose();
    const y = await waiting;
    expectClose(y, [Math.E + 1, Math.E ** 2 + 2], { rtol: 1e-6 });
    y.dispose();
    expect(tf.backend().numDataIds()).to.equal(before);
    x.dispose();
  });

  inTidy('reads captured tensors and variables afresh', () => {
    const c = tf.scalar(2);
    const v = tf.variable(tf.tensor1d([1, 1]));
    const f = compile((x: Tensor) => tf.mul(tf.mul(x, c), v));
    const x = tf.tensor1d([3, 4]);
    expectClose(f(x), [6, 8]);
    v.assign(tf.tensor1d([10, 100]));
    expectClose(f(x), [60, 800]);
    expect(f.stats.traces).to.equal(1);
    c.dispose();
    expect(() => f(x)).to.throw(/captured tensor \[\] has been disposed/);
    v.dispose();
  });

  inTidy('runs inside another compiled function as a part of it', () => {
    const inner = compile((x: Tensor) => tf.square(x));
    const outer = compile((x: Tensor) => tf.add(inner(x), 1));
    expectClose(outer(tf.scalar(3)), 10);
    expect(inner.stats).to.deep.equal({ traces: 0, hits: 0 });
    expectClose(compile(grad((x: Tensor) => tf.sum(outer(x))))(tf.tensor1d([3])), [6]);
  });

  inTidy('lets the function tidy and dispose as it likes', () => {
    const f = compile((x: Tensor) => {
      const y = tf.tidy(() => tf.add(tf.square(x), tf.exp(tf.neg(x))));
      const z = tf.square(y);
      const result = tf.add(z, y);
      z.dispose();
      y.dispose();
      return result;
    });
    const y = 4 + Math.exp(-2);
    expectClose(f(tf.scalar(2)), y * y + y, { rtol: 1e-6 });
  });

  inTidy('keeps booleans, integers and shapes without elements', () => {
    const f = compile((x: Tensor) => ({
      positive: tf.greater(x, 0),
      place: tf.argMax(x),
      none: tf.slice(x, [0], [0]),
    }));
    const { positive, place, none } = f(tf.tensor1d([-1, 2]));
    expect(positive.dtype).to.equal('bool');
    expectClose(positive, [0, 1]);
    expect(place.dtype).to.equal('int32');
    expectClose(place, 1);
    expect(none.shape).to.deep.equal([0]);
  });

  inTidy('gives what tfjs gives, to the last digit, where no constant was folded', () => {
    const f = (x: Tensor, w: Tensor): Tensor => tf.softmax(tf.tanh(tf.matMul(x, w)));
    const x = tf.tensor2d([[0.1, -0.7], [1.3, 0.4]]); // prettier-ignore
    const w = tf.tensor2d([[0.3, 0.9, -1], [0.2, -0.5, 0.8]]); // prettier-ignore
    expectClose(compile(f)(x, w), f(x, w));
  });

  inTidy('compiles value and gradient of a layered model', () => {
    const model = compile(
      valueAndGrad((p: { w: Tensor; b: Tensor }, x: Tensor) =>
        tf.mean(tf.square(tf.relu(tf.add(tf.matMul(x, p.w), p.b)))),
      ),
    );
    const p = { w: tf.tensor2d([[1], [-1]]), b: tf.tensor1d([0.5]) };
    const { value, grad: g } = model(p, tf.tensor2d([[2, 1], [0, 3]])); // prettier-ignore
    expectClose(value, 1.125); // relu(1.5)^2 / 2
    expectClose(g.w, [3, 1.5]);
    expectClose(g.b, [1.5]);
  });
});

describe('einsum and matMul in a trace', () => {
  inTidy('sum over a label of one operand, where tfjs alone gives another shape', () => {
    const f = compile((a: Tensor, b: Tensor) => tf.einsum('ij,jk->k', a, b));
    const y = f(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[1, 0, 2], [0, 1, 3]])); // prettier-ignore
    expect(y.shape).to.deep.equal([3]);
    expectClose(y, [4, 6, 26]);
    const dot = compile((a: Tensor, b: Tensor) => tf.einsum('ij,ij->', a, b));
    expectClose(dot(tf.tensor2d([[1, 2], [3, 4]]), tf.tensor2d([[1, 0], [2, 1]])), 11); // prettier-ignore
  });

  inTidy('agree with tfjs where tfjs is right', () => {
    const a = tf.randomUniform([2, 3, 4], -1, 1, 'float32', 1);
    const b = tf.randomUniform([2, 4, 5], -1, 1, 'float32', 2);
    for (const equation of ['bij,bjk->bik', 'bij,bjk->kbi', 'bij,bjk->bijk', 'bij,bjk->bi', 'bij,bjk->ikb']) {
      const f = (x: Tensor, y: Tensor): Tensor => tf.einsum(equation, x, y);
      if (equation === 'bij,bjk->bi') continue; // tfjs sums k wrongly here
      expectClose(compile(f)(a, b), f(a, b), { rtol: 1e-5, atol: 1e-6 }, equation);
    }
  });

  inTidy('refuse what does not fit, naming the shapes', () => {
    const f = compile((a: Tensor, b: Tensor) => tf.einsum('ij,jk->ik', a, b));
    expect(() => f(tf.ones([2, 3]), tf.ones([2, 3]))).to.throw(/Einsum\(float32 \[2, 3\], float32 \[2, 3\]\)/);
  });

  inTidy('broadcast batch axes on both sides', () => {
    const f = compile((a: Tensor, b: Tensor) => tf.matMul(a, b));
    const y = f(tf.tensor4d([1, 2, 3, 4], [2, 1, 1, 2]), tf.tensor4d([1, 2, 3, 4, 5, 6], [1, 3, 2, 1]));
    expect(y.shape).to.deep.equal([2, 3, 1, 1]);
    expectClose(y, [5, 11, 17, 11, 25, 39]);
  });

  inTidy('leave the input of tensorScatterUpdate as it is', () => {
    const x = tf.tensor1d([1, 2, 3]);
    const f = compile((y: Tensor) => tf.tensorScatterUpdate(y, tf.tensor2d([[1]], [1, 1], 'int32'), tf.tensor1d([9])));
    expectClose(f(x), [1, 9, 3]);
    expectClose(x, [1, 2, 3]);
  });

  it('tells structures apart that hold the same tensors', () => {
    tf.tidy(() => {
      const x = tf.tensor1d([1, 2]);
      const f = compile((o: Record<string, unknown>, z: tf.Tensor) => tf.mul(z, Object.keys(o).length + 1));
      expect(Array.from(f({}, x).dataSync())).to.deep.equal([1, 2]);
      expect(Array.from(f({ a: {} }, x).dataSync())).to.deep.equal([2, 4]);
      const same = compile((o: unknown) => o);
      expect(Array.isArray(same([x, x]))).to.equal(true);
      expect(Array.isArray(same({ 0: x, 1: x }))).to.equal(false);
      const dotted = compile((o: Record<string, never>) =>
        'a.b' in o ? tf.neg(o['a.b']) : (o.a as { b: tf.Tensor }).b,
      );
      expect(Array.from(dotted({ 'a.b': x as never }).dataSync())).to.deep.equal([-1, -2]);
      expect(Array.from(dotted({ a: { b: x } as never }).dataSync())).to.deep.equal([1, 2]);
      expect(() => compile(3 as never)).to.throw(/compile: the first argument must be a function, got number/);
      expect(() => compile((y: tf.Tensor) => y, { maxSignature: 1 } as never)).to.throw(/maxSignature.*maxSignatures/s);
    });
  });
});
