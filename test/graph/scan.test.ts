import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { compile, constant, explain, grad, hvp, jvp, key, normal, scan, split, type Tensor } from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { centralDifference } from '../support/differences.js';
import { isFloat64, tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 2e-5, float64: 1e-12 }),
  atol: tolerance({ float32: 2e-6, float64: 1e-13 }),
};

type Carry = { h: Tensor; n: Tensor };

/** A small recurrence with all kinds of values: two carries, one of them of integers, a sequence, closed-over weights. */
function run(x: Tensor, w: Tensor, h: Tensor, reverse = false): { last: Tensor; count: Tensor; ys: Tensor } {
  const one = tf.scalar(1, 'int32');
  const [last, ys] = scan(
    (c: Carry, row: Tensor): [Carry, Tensor] => {
      const parity = tf.cast(tf.mod(c.n, tf.scalar(2, 'int32')), 'float32');
      const next = tf.tanh(tf.add(tf.matMul(c.h, w), tf.mul(row, tf.add(parity, constant(0.5)))));
      return [{ h: next, n: tf.add(c.n, one) }, tf.mul(next, c.h)];
    },
    { h, n: tf.scalar(0, 'int32') },
    x,
    { reverse },
  );
  return { last: last.h, count: last.n, ys };
}

/** The same as plain repeated operations. */
function unrolled(x: Tensor, w: Tensor, h: Tensor, reverse = false): { last: Tensor; ys: Tensor } {
  const rows = tf.unstack(x);
  const ys: Tensor[] = [];
  let state = h;
  rows.forEach((_, k) => {
    const t = reverse ? rows.length - 1 - k : k;
    const next = tf.tanh(tf.add(tf.matMul(state, w), tf.mul(rows[t], constant((k % 2) + 0.5))));
    ys[t] = tf.mul(next, state);
    state = next;
  });
  return { last: state, ys: tf.stack(ys) };
}

const draw = (steps = 5): [Tensor, Tensor, Tensor] => {
  const [a, b, c] = split(key(4), 3);
  return [normal(a, [steps, 2, 3]), normal(b, [3, 3]), normal(c, [2, 3])];
};

const score = ({ last, ys }: { last: Tensor; ys: Tensor }): Tensor => {
  const weights = normal(key(9), ys.shape);
  return tf.add(tf.sum(tf.mul(ys, weights)), tf.sum(tf.mul(last, normal(key(8), last.shape))));
};

describe('scan', () => {
  for (const reverse of [false, true]) {
    const name = reverse ? 'from the last row' : 'from the first row';

    it(`repeats its step, ${name}`, () => {
      const [x, w, h] = draw();
      const expected = unrolled(x, w, h, reverse);
      for (const f of [run, compile(run)]) {
        const { last, count, ys } = f(x, w, h, reverse);
        expectClose(last, expected.last, close);
        expectClose(ys, expected.ys, close);
        expect(Array.from(count.dataSync())).to.deep.equal([5]);
      }
    });

    it(`has the derivative of the repeated operations, ${name}`, () => {
      const args = draw();
      const of = (f: typeof unrolled): unknown => grad((a: Tensor[]) => score(f(a[0], a[1], a[2], reverse)))(args);
      const [got, expected] = [of(run), of(unrolled)] as [Tensor[], Tensor[]];
      got.forEach((g, i) => {
        expectClose(g, expected[i], close, `argument ${i}`);
      });
    });
  }

  it('has the second derivative of the repeated operations, and the third', () => {
    const args = draw(4);
    const along = args.map((a, i) => normal(key(50 + i), a.shape));
    const slope = (f: typeof unrolled) => (a: Tensor[]): Tensor => {
      const g = grad((b: Tensor[]) => score(f(b[0], b[1], b[2])))(a);
      return tf.addN(g.map((x, i) => tf.sum(tf.mul(x, along[i]))));
    }; // prettier-ignore
    const third = (f: typeof unrolled) => (a: Tensor[]): Tensor =>
      tf.addN(grad(slope(f))(a).map((x, i) => tf.sum(tf.mul(x, along[i])))); // prettier-ignore
    const looser = { rtol: 20 * close.rtol, atol: 50 * close.atol };
    const pairs = [slope, third].map((of) => [grad(of(run))(args), grad(of(unrolled))(args)]);
    for (const [got, expected] of pairs) got.forEach((g, i) => { expectClose(g, expected[i], looser, `argument ${i}`); }); // prettier-ignore
    const [h1, h2] = [run, unrolled].map((f) => hvp((a: Tensor[]) => score(f(a[0], a[1], a[2])), [args], [along]));
    h1[0].forEach((g, i) => { expectClose(g, h2[0][i], looser); }); // prettier-ignore
  });

  it('has forward derivatives', () => {
    const args = draw(4);
    const along = args.map((a, i) => normal(key(70 + i), a.shape));
    const of = (f: typeof unrolled): Tensor => jvp((a: Tensor[]) => f(a[0], a[1], a[2]).ys, [args], [along])[1];
    expectClose(of(run), of(unrolled), close);
  });

  if (isFloat64) {
    it('has the derivative of central differences', () => {
      const [x, w, h] = draw(4);
      const loss = (v: Tensor): Tensor => score(run(x, v, h));
      expectClose(grad(loss)(w), centralDifference(loss, w), { rtol: 1e-7, atol: 1e-8 });
    });
  }

  it('is one node of the program, however many steps there are', () => {
    const count = (steps: number): number => explain(compile((...a: [Tensor, Tensor, Tensor]) => run(...a).ys), ...draw(steps)).split('\n').length; // prettier-ignore
    expect(count(4)).to.equal(count(40));
    const [x, w, h] = draw(7);
    expect(
      explain(
        compile((a: Tensor) => run(a, w, h).ys),
        x,
      ),
    ).to.match(/<scan \(7 steps\)>/);
  });

  it('loops without sequences for a given number of steps', () => {
    // Heron's iteration for the square root of 2, and its derivative 1 / (2 sqrt 2)
    const root = (a: Tensor): Tensor =>
      scan((x: Tensor) => [tf.mul(constant(0.5), tf.add(x, tf.div(a, x))), null], constant(1), {}, { length: 8 })[0];
    const two = constant(2);
    expectClose(compile(root)(two), [Math.SQRT2], close);
    expectClose(root(two), [Math.SQRT2], close);
    expectClose(grad(root)(two), [Math.SQRT1_2 / 2], close);
  });

  it('nests', () => {
    // cumulative sums of cumulative products
    const nested = (x: Tensor): Tensor =>
      scan(
        (sum: Tensor, row: Tensor) => {
          const [product] = scan((p: Tensor, e: Tensor) => [tf.mul(p, e), p], constant(1), row);
          const next = tf.add(sum, product);
          return [next, next];
        },
        constant(0),
        x,
      )[1];
    const x = constant([[1, 2, 3], [0.5, 4, 2], [2, -1, 3]]); // prettier-ignore
    expectClose(compile(nested)(x), [6, 10, 4], close);
    const first = (v: Tensor): Tensor => tf.sum(nested(v));
    expectClose(grad(first)(x), [18, 9, 6, 16, 2, 4, -3, 6, -2], close);
    const second = grad((v: Tensor) => tf.sum(tf.square(grad(first)(v))));
    // of f = a b c in each row, times its multiplicity m: the gradient of m^2 (b^2 c^2 + a^2 c^2 + a^2 b^2)
    const rows = [[1, 2, 3, 3], [0.5, 4, 2, 2], [2, -1, 3, 1]]; // prettier-ignore
    const expected = rows.flatMap(([a, b, c, m]) => [
      2 * m * m * a * (b * b + c * c),
      2 * m * m * b * (a * a + c * c),
      2 * m * m * c * (a * a + b * b),
    ]);
    expectClose(second(x), expected, close);
  });

  it('frees what it makes on the way', () => {
    const args = draw();
    const f = compile((...a: [Tensor, Tensor, Tensor]) => score(run(...a)));
    const g = compile(grad((a: Tensor[]) => score(run(a[0], a[1], a[2]))));
    const use = (): void => {
      f(...args).dispose();
      tf.dispose(g(args));
      tf.dispose(run(...args));
    };
    tf.tidy(use);
    const [tensors, buffers] = [tf.memory().numTensors, tf.memory().numDataBuffers];
    for (let i = 0; i < 3; i++) tf.tidy(use);
    expect(tf.memory().numTensors).to.equal(tensors);
    expect(tf.memory().numDataBuffers).to.equal(buffers);
  });

  it("is differentiated by tfjs's own tape", () => {
    const [x, w, h] = draw();
    const expected = grad((v: Tensor) => score(unrolled(x, v, h)))(w);
    const compiled = compile((v: Tensor) => score(run(x, v, h)));
    expectClose(tf.grad((v) => compiled(v))(w), expected, close);
    expectClose(tf.grad((v) => score(run(x, v, h)))(w), expected, close);
  });

  it('says what is wrong', () => {
    const [x, , h] = draw();
    const step = (c: Tensor, r: Tensor): [Tensor, Tensor] => [tf.add(c, r), c];
    expect(() => scan(step, h, { a: x, b: x.slice(0, 2) } as unknown as Tensor)).to.throw(
      /scan: the sequence at b must have 5 rows, got shape \[2, 2, 3\]/,
    );
    expect(() => scan(step, h, constant(1))).to.throw(/must have an axis to go along, got a scalar/);
    expect(() => scan(step, h, {} as Tensor)).to.throw(/the option "length" is needed/);
    expect(() => scan(step, h, x, { length: 4 })).to.throw(/must have 4 rows, got shape \[5, 2, 3\]/);
    expect(() => scan(step, h, x, { reversed: true } as object)).to.throw(/did you mean "reverse"/);
    for (const [wrong, got] of [
      [(c: Tensor) => c, /float32 tensor \[2, 3\]$/],
      [(c: Tensor) => [c], /an array of 1$/],
    ] as const) {
      const bare = wrong as unknown as typeof step;
      const start = /^scan: the step must return \[carry, y\], got an? /;
      for (const run of [() => scan(bare, h, x), () => compile((y: Tensor) => scan(bare, h, y)[0])(x)])
        expect(run).to.throw(TypeError, start).with.property('message').that.matches(got);
    }
    const changing = (c: Tensor, r: Tensor): [Tensor, Tensor] => [tf.concat([c, r]), c];
    const message = /scan: the step must return a carry like the one it gets: at \(root\) expected float32 \[2, 3\], got float32 \[4, 3\]/; // prettier-ignore
    expect(() => scan(changing, h, x)).to.throw(message);
    expect(() => compile((y: Tensor) => scan(changing, h, y)[0])(x)).to.throw(message);
  });
});
