import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { grad, GradientError, hvp, jacobian, jvp, stopGradient, valueAndGrad, vjp } from '../../src/graph/transform.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

type Tensor = tf.Tensor;

const close = {
  rtol: tolerance({ float32: 1e-5, float64: 1e-13 }),
  atol: tolerance({ float32: 1e-6, float64: 1e-14 }),
};
const inTidy = (what: string, f: () => void): void => {
  it(what, () => {
    tf.tidy(f);
  });
};

/** f(x) = A x with A = [[1, 2], [3, 4], [5, 6]]. */
const A = (): tf.Tensor2D => tf.tensor2d([[1, 2], [3, 4], [5, 6]]); // prettier-ignore
const linear = (x: Tensor): Tensor => tf.reshape(tf.matMul(A(), tf.reshape(x, [2, 1])), [3]);

describe('grad and valueAndGrad', () => {
  inTidy('give the gradient in the shape of the first argument', () => {
    const p = { w: tf.tensor1d([1, 2]), list: [tf.scalar(3), { b: tf.tensor1d([4]) }] as const };
    const f = ({ w, list: [c, { b }] }: typeof p): Tensor => tf.sum(tf.mul(tf.mul(tf.square(w), c), b));
    const { value, grad: g } = valueAndGrad(f)(p);
    expectClose(value, 60);
    expectClose(g.w, [24, 48]);
    expectClose(g.list[0], 20);
    expectClose(g.list[1].b, [15]);
    expect(g.list[1].b.shape).to.deep.equal([1]);
  });

  inTidy('differentiate another argument, or several', () => {
    const f = (a: Tensor, b: Tensor, c: Tensor): Tensor => tf.mul(a, tf.mul(tf.square(b), c));
    const args = [tf.scalar(2), tf.scalar(3), tf.scalar(5)] as const;
    expectClose(grad(f, { argnums: 1 })(...args), 60);
    expectClose(valueAndGrad(f, { argnums: 2 })(...args).grad, 18);
    for (const [dc, da] of [
      valueAndGrad(f, { argnums: [2, 0] })(...args).grad,
      grad(f, { argnums: [2, 0] })(...args),
    ]) {
      expectClose(dc, 18);
      expectClose(da, 45);
    }
  });

  inTidy('pass on what comes with the loss', () => {
    const f = (x: Tensor): [Tensor, { y: Tensor; note: string }] => [tf.sum(tf.square(x)), { y: tf.neg(x), note: 'n' }];
    const { value, grad: g, aux } = valueAndGrad(f, { hasAux: true })(tf.tensor1d([1, 2]));
    expectClose(value, 5);
    expectClose(g, [2, 4]);
    expectClose(aux.y, [-1, -2]);
    expect(aux.note).to.equal('n');
    const [alone, other] = grad(f, { hasAux: true })(tf.tensor1d([1, 2]));
    expectClose(alone, [2, 4]);
    expectClose(other.y, [-1, -2]);
    expect(other.note).to.equal('n');
    const product = (a: Tensor, b: Tensor): [Tensor, Tensor] => [tf.mul(a, b), tf.add(a, b)];
    const both = grad(product, { hasAux: true, argnums: [0, 1] });
    const [[da, db], sum] = compile(both)(tf.scalar(3), tf.scalar(5));
    expectClose(da, 5);
    expectClose(db, 3);
    expectClose(sum, 8);
    expect(() => grad(((x: Tensor) => tf.sum(x)) as never, { hasAux: true })(tf.ones([2]))).to.throw(
      GradientError,
      /^grad: with hasAux the function must return \[loss, aux\], got a float32 tensor/,
    );
  });

  inTidy('give zeros for arguments that are not used, and for constant functions', () => {
    const g = grad(({ a }: { a: Tensor; b: Tensor }) => tf.sum(a))({ a: tf.ones([2]), b: tf.ones([3, 1]) });
    expectClose(g.b, [0, 0, 0]);
    expect(g.b.shape).to.deep.equal([3, 1]);
    expectClose(grad((_x: Tensor) => tf.scalar(7))(tf.ones([2])), [0, 0]);
    expectClose(grad((x: Tensor) => tf.sum(tf.floor(x)))(tf.ones([2])), [0, 0]);
  });

  inTidy('count one tensor given twice as two arguments', () => {
    const x = tf.scalar(3);
    const [da, db] = valueAndGrad((a: Tensor, b: Tensor) => tf.mul(tf.square(a), b), { argnums: [0, 1] })(x, x).grad;
    expectClose(da, 18);
    expectClose(db, 9);
  });

  inTidy('differentiate only through the argument, not through the same tensor closed over', () => {
    const x = tf.scalar(3);
    expectClose(grad((y: Tensor) => tf.mul(y, x))(x), 3);
  });

  inTidy('nest in each other, the outer variable inside the inner function', () => {
    // d/dx (x d/dy (x y^2) at y = 2x) = d/dx (4 x^3)
    const f = (x: Tensor): Tensor => tf.mul(x, grad((y: Tensor) => tf.mul(x, tf.square(y)))(tf.mul(x, 2)));
    expectClose(grad(f)(tf.scalar(3)), 108, close);
  });

  inTidy('say what is wrong with what they are given', () => {
    const messages: [() => unknown, RegExp][] = [
      [() => grad((x: Tensor) => x)(tf.ones([2])), /must return a scalar, got shape \[2\]/],
      [
        () => grad((_x: Tensor) => 3 as unknown as Tensor)(tf.ones([2])),
        /^grad: .* must return a scalar tensor, got 3$/,
      ],
      [
        () => grad((async (x: Tensor) => Promise.resolve(tf.sum(x))) as unknown as (x: Tensor) => Tensor)(tf.ones([2])),
        /got a Promise/,
      ],
      [
        () => grad((x: number) => tf.square(x))(3),
        /^grad: argument 0: expected a tensor or a tree of tensors, got 3; a number becomes one by tf.scalar/,
      ],
      [() => valueAndGrad((x: number[]) => tf.sum(x))([1, 2]), /^valueAndGrad: argument 0: .* got \[1, 2\]/],
      [() => grad((x: Tensor) => tf.argMax(x))(tf.ones([2])), /must return float32, got int32/],
      [
        () => grad((x: { a: Tensor }) => tf.sum(x.a))({ a: tf.ones([2], 'int32') }),
        /argument 0: the tensor at a is int32/,
      ],
      [
        () => {
          grad((x: Tensor) => tf.sum(x), { argnums: 1 })(tf.ones([2]));
        },
        /argnums 1 with 1 argument/,
      ],
      [
        () => valueAndGrad(((x: Tensor) => tf.sum(x)) as never, { hasAux: true })(tf.ones([2])),
        /must return \[loss, aux\]/,
      ],
    ];
    for (const [f, message] of messages) expect(f).to.throw(GradientError, message);
  });

  inTidy('take a tree without tensors, and say so where a tensor stands in the place of options or arguments', () => {
    expect(grad((_p: { layer1: object }, x: Tensor) => tf.sum(x))({ layer1: {} }, tf.ones([2]))).to.deep.equal({
      layer1: {},
    });
    const x = tf.ones([2]);
    const sum = (v: Tensor): Tensor => tf.sum(v);
    expect(() => grad(sum, x as never)).to.throw(/^grad: options: expected an object, got a float32 tensor \[2\]$/);
    expect(() => hvp(sum, x as never, x as never)).to.throw(
      /^hvp: the second argument must be the array .* got a float/,
    );
    expect(() => jvp(sum, x as never, x as never)).to.throw(/^jvp: the second argument must be the array/);
  });
});

describe('vjp, jvp, jacobian and hvp', () => {
  inTidy('agree with the matrix of a linear map', () => {
    const x = tf.tensor1d([1, -1]);
    expectClose(jacobian(linear)(x), [1, 2, 3, 4, 5, 6], close);
    const [y, pull] = vjp(linear, x);
    expectClose(y, [-1, -1, -1], close);
    expectClose(pull(tf.tensor1d([1, 0, 2]))[0], [11, 14], close);
    expectClose(jvp(linear, [x], [tf.tensor1d([1, 2])])[1], [5, 11, 17], close);
  });

  inTidy('agree with closed forms on trees', () => {
    const f = ({ a, b }: { a: Tensor; b: Tensor }): { product: Tensor; sine: Tensor } => ({
      product: tf.mul(a, b),
      sine: tf.sin(a),
    });
    const at = { a: tf.tensor1d([0.5, 1]), b: tf.tensor1d([2, 3]) };
    const [y, dy] = jvp(f, [at], [{ a: tf.tensor1d([1, 2]), b: tf.tensor1d([-1, 0.5]) }]);
    expectClose(y.product, [1, 3], close);
    expectClose(dy.product, [1.5, 6.5], close);
    expectClose(dy.sine, [Math.cos(0.5), 2 * Math.cos(1)], close);
    const [, pull] = vjp(f, at);
    const [{ a, b }] = pull({ product: tf.tensor1d([1, 1]), sine: tf.tensor1d([1, 2]) });
    expectClose(a, [2 + Math.cos(0.5), 3 + 2 * Math.cos(1)], close);
    expectClose(b, [0.5, 1], close);
  });

  inTidy('make a Jacobian for each tensor of a tree', () => {
    const f = ({ a, c }: { a: Tensor; c: Tensor }): Tensor => tf.mul(tf.square(a), c);
    const j = jacobian(f)({ a: tf.tensor1d([1, 2]), c: tf.scalar(3) });
    expect(j.a.shape).to.deep.equal([2, 2]);
    expectClose(j.a, [6, 0, 0, 12], close);
    expectClose(j.c, [1, 4], close);
  });

  inTidy('make Hessians when nested', () => {
    // f = x0^2 x1 + x1^3
    const f = (x: Tensor): Tensor => {
      const [a, b] = tf.unstack(x);
      return tf.add(tf.mul(tf.square(a), b), tf.pow(b, 3));
    };
    const x = tf.tensor1d([2, 3]);
    const hessian = [6, 4, 4, 18];
    expectClose(jacobian(grad(f))(x), hessian, close);
    expectClose(compile(jacobian(grad(f)))(x), hessian, close);
    expectClose(jvp(grad(f), [x], [tf.tensor1d([1, 0])])[1], [6, 4], close);
    expectClose(vjp(grad(f), x)[1](tf.tensor1d([0, 1]))[0], [4, 18], close);
    expectClose(hvp(f, [x], [tf.tensor1d([1, 1])])[0], [10, 22], close);
    expectClose(grad((y: Tensor) => tf.sum(jvp(grad(f), [y], [tf.tensor1d([1, 0])])[1]))(x), [2, 2], close);
  });

  inTidy('take the second derivative along a direction by jvp of jvp', () => {
    const second = (x: Tensor): Tensor => {
      const one = tf.onesLike(x);
      return jvp((y: Tensor) => jvp(tf.tanh, [y] as [Tensor], [one] as [Tensor])[1], [x], [one])[1];
    };
    const t = Math.tanh(0.4);
    expectClose(compile(second)(tf.tensor1d([0.4])), [-2 * t * (1 - t * t)], close);
  });

  inTidy('see several arguments', () => {
    const f = (a: Tensor, b: Tensor): Tensor => tf.sum(tf.mul(tf.square(a), b));
    const args: [Tensor, Tensor] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
    const [ha, hb] = hvp(f, args, [tf.tensor1d([1, 0]), tf.tensor1d([0, 1])]);
    expectClose(ha, [6, 4], close);
    expectClose(hb, [2, 0], close);
  });

  inTidy('refuse tangents of another structure', () => {
    const f = (x: { a: Tensor }): Tensor => x.a;
    expect(() => jvp(f, [{ a: tf.ones([2]) }], [{ a: tf.ones([3]) }])).to.throw(/jvp: tangent.*\[2\].*\[3\]/);
    expect(() => vjp(f, { a: tf.ones([2]) })[1](tf.ones([1]))).to.throw(/vjp: cotangent/);
  });
});

describe('stopGradient and tf.customGrad', () => {
  inTidy('stop the derivative and keep the value', () => {
    const f = (x: Tensor): Tensor => tf.sum(tf.mul(x, stopGradient(tf.square(x))));
    const { value, grad: g } = valueAndGrad(f)(tf.tensor1d([2, 3]));
    expectClose(value, 35);
    expectClose(g, [4, 9]);
    expectClose(jvp(f, [tf.tensor1d([2, 3])], [tf.tensor1d([1, 0])])[1], 4);
  });

  const straightThrough = (x: Tensor): Tensor =>
    tf.customGrad((y) => ({ value: tf.round(y as Tensor), gradFunc: (dy: Tensor) => dy }))(x);

  inTidy('honour the derivative that its author wrote', () => {
    const f = (x: Tensor): Tensor => tf.sum(tf.square(straightThrough(x)));
    expectClose(grad(f)(tf.tensor1d([0.8, 2.3])), [2, 4]);
    expectClose(compile(grad(f))(tf.tensor1d([0.8, 2.3])), [2, 4]);
    expectClose(hvp(f, [tf.tensor1d([0.8, 2.3])], [tf.tensor1d([1, 1])])[0], [2, 2]);
  });

  inTidy('differentiate that derivative again', () => {
    // Value x^3, with the derivative 5 x^3 declared.
    const odd = (x: Tensor): Tensor =>
      tf.customGrad((y, save) => {
        (save as (tensors: Tensor[]) => void)([y as Tensor]);
        return {
          value: tf.pow(y as Tensor, 3),
          gradFunc: (dy: Tensor, saved: Tensor[]) => tf.mul(dy, tf.mul(tf.pow(saved[0], 3), 5)),
        };
      })(x);
    expectClose(grad(odd)(tf.scalar(2)), 40, close);
    expectClose(grad(grad(odd))(tf.scalar(2)), 60, close);
  });

  it('jacobian of one element and of none; integers pass through vjp and jvp', () => {
    tf.tidy(() => {
      const x = tf.tensor1d([1, 2]);
      expect(jacobian((z: tf.Tensor) => tf.sum(tf.square(z)))(x).arraySync()).to.deep.equal([2, 4]);
      const cube = (z: tf.Tensor): tf.Tensor => tf.sum(tf.mul(z, tf.square(z)));
      expect(jacobian(jacobian(cube))(x).arraySync()).to.deep.equal([[6, 0], [0, 12]]); // prettier-ignore
      expect(jacobian((z: tf.Tensor) => tf.slice(z, 0, 0))(x).shape).to.deep.equal([0, 2]);
      const pick = (z: tf.Tensor, i: tf.Tensor): tf.Tensor => tf.gather(z, i);
      const index = tf.tensor1d([1], 'int32');
      const [, pull] = vjp(pick, x, index);
      const [dx, di] = pull(tf.tensor1d([3]));
      expect(dx.arraySync()).to.deep.equal([0, 3]);
      expect([di.dtype, di.arraySync()]).to.deep.equal(['int32', [0]]);
      const [, pushed] = jvp(pick, [x, index], [tf.tensor1d([5, 7]), tf.zerosLike(index)]);
      expect(pushed.arraySync()).to.deep.equal([7]);
      expect(() => valueAndGrad(cube, { argnum: 1 } as never)).to.throw(/argnum.*argnums/s);
      expect(() => grad(3 as never)).to.throw(/first argument must be a function/);
    });
  });
});
