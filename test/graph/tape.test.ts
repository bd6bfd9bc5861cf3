import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { grad, valueAndGrad } from '../../src/graph/transform.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

type Tensor = tf.Tensor;

const close = { rtol: tolerance({ float32: 1e-5, float64: 1e-12 }) };
const inTidy = (what: string, f: () => void): void => {
  it(what, () => {
    tf.tidy(f);
  });
};
const silu = (x: Tensor): Tensor => tf.sum(tf.mul(x, tf.sigmoid(x)));
const s = 1 / (1 + Math.exp(-0.7));
const first = s * (1 + 0.7 * (1 - s));
const second = s * (1 - s) * (2 + 0.7 * (1 - 2 * s));

describe('under the tape of tfjs', () => {
  inTidy('a compiled function is one operation', () => {
    const f = compile((x: Tensor, y: Tensor) => tf.mul(tf.square(x), tf.sin(y)));
    const [dx, dy] = tf.grads((x: Tensor, y: Tensor) => tf.sum(tf.mul(f(x, y), 2)))([tf.scalar(3), tf.scalar(0.5)]);
    expectClose(dx, 12 * Math.sin(0.5), close);
    expectClose(dy, 18 * Math.cos(0.5), close);
  });

  inTidy('so is a gradient of ours: the second order is right', () => {
    const x = tf.scalar(0.7);
    expectClose(tf.grad(silu)(x), first, close);
    expectClose(tf.grad((y: Tensor) => grad(silu)(y))(x), second, close);
    expectClose(tf.grad((y: Tensor) => compile(grad(silu))(y))(x), second, close);
    expectClose(tf.grad(tf.grad((y: Tensor) => compile(silu)(y)))(x), second, close);
  });

  inTidy('several results, of several types', () => {
    const f = compile((x: Tensor) => ({ square: tf.square(x), place: tf.argMax(x), cube: [tf.pow(x, 3)] }));
    const g = tf.grad((x: Tensor) => {
      const { square, place, cube } = f(x);
      return tf.add(tf.sum(tf.mul(square, tf.cast(place, 'float32'))), tf.sum(cube[0]));
    });
    expectClose(g(tf.tensor1d([1, 2])), [2 + 3, 4 + 12], close);
  });

  inTidy('captured tensors and variables get their gradients', () => {
    const v = tf.variable(tf.tensor1d([1, 2]));
    const f = compile((x: Tensor) => tf.sum(tf.mul(x, tf.square(v))));
    const { value, grads } = tf.variableGrads(() => f(tf.tensor1d([3, 4])) as tf.Scalar, [v]);
    expectClose(value, 19, close);
    expectClose(grads[v.name], [6, 16], close);
    const c = tf.tensor1d([5, 6]);
    const g = tf.grad((y: Tensor) => compile((x: Tensor) => tf.sum(tf.mul(x, y)))(tf.tensor1d([1, 2])));
    expectClose(g(c), [1, 2], close);
    v.dispose();
  });

  inTidy('an optimizer of tfjs trains what a compiled loss captures', () => {
    const w = tf.variable(tf.scalar(5));
    const loss = compile(() => tf.square(tf.sub(w, 2)));
    const optimizer = tf.train.sgd(0.25);
    for (let i = 0; i < 8; i++) optimizer.minimize(() => loss() as tf.Scalar, false, [w]);
    expectClose(w, 2 + 3 / 2 ** 8, close);
    optimizer.dispose();
    w.dispose();
  });

  inTidy('valueAndGrad within tf.grad: the derivative of a gradient norm', () => {
    const norm = (x: Tensor): Tensor => {
      const { value, grad: g } = valueAndGrad((y: Tensor) => tf.sum(tf.pow(y, 3)))(x);
      return tf.add(value, tf.sum(tf.square(g)));
    };
    // d/dx (x^3 + 9 x^4)
    expectClose(tf.grad(norm)(tf.tensor1d([1, 2])), [39, 300], close);
  });
});

describe('tf.grad inside a traced function', () => {
  inTidy('is answered by differentiating the graph', () => {
    const f = compile((x: Tensor) => tf.grad(silu)(x));
    expectClose(f(tf.scalar(0.7)), first, close);
    expectClose(grad((x: Tensor) => tf.grad(silu)(x))(tf.scalar(0.7)), second, close);
    expectClose(compile((x: Tensor) => tf.grad(tf.grad(silu))(x))(tf.scalar(0.7)), second, close);
  });

  inTidy('takes cotangents and several arguments', () => {
    const f = compile((x: Tensor, dy: Tensor) => tf.grad((y: Tensor) => tf.square(y))(x, dy));
    expectClose(f(tf.tensor1d([1, 2]), tf.tensor1d([3, 4])), [6, 16], close);
    const g = compile((x: Tensor, y: Tensor) => tf.grads((a: Tensor, b: Tensor) => tf.mul(a, b))([x, y]));
    const [dx, dy] = g(tf.scalar(2), tf.scalar(3));
    expectClose(dx, 3, close);
    expectClose(dy, 2, close);
  });

  inTidy('knows variables', () => {
    const v = tf.variable(tf.tensor1d([1, 2]));
    const f = compile((x: Tensor) => {
      const { value, grads } = tf.variableGrads(() => tf.sum<tf.Scalar>(tf.mul(x, tf.square(v))), [v]);
      return { value, g: grads[v.name] };
    });
    const { value, g } = f(tf.tensor1d([3, 4]));
    expectClose(value, 19, close);
    expectClose(g, [6, 16], close);
    v.dispose();
  });
});
