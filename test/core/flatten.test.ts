import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { constant } from '../../src/core/constant.js';
import { ravel } from '../../src/core/flatten.js';
import { compile } from '../../src/graph/compile.js';
import { grad, hvp } from '../../src/graph/transform.js';
import { centralDifference } from '../support/differences.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const numbers = (t: tf.Tensor): number[] => Array.from(t.dataSync());
const tree = () => ({
  layer1: { weight: constant([[1, 2, 3], [4, 5, 6]]), bias: constant([7, 8, 9]) },
  layer2: [constant(10), { scale: constant([[[11]]]) }] as const,
}); // prettier-ignore

describe('ravel', () => {
  it('puts the leaves in order, row by row, and back', () => {
    const given = tree();
    const [vector, unravel] = ravel(given);
    expect(numbers(vector)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    const doubled = unravel(tf.mul(vector, 2));
    expect(doubled.layer1.weight.shape).to.deep.equal([2, 3]);
    expect(numbers(doubled.layer1.weight)).to.deep.equal([2, 4, 6, 8, 10, 12]);
    expect(numbers(doubled.layer1.bias)).to.deep.equal([14, 16, 18]);
    expect(doubled.layer2[0].shape).to.deep.equal([]);
    expect(numbers(doubled.layer2[0])).to.deep.equal([20]);
    expect(doubled.layer2[1].scale.shape).to.deep.equal([1, 1, 1]);
    expect(numbers(given.layer1.weight)).to.deep.equal([1, 2, 3, 4, 5, 6]);
  });

  it('has tied tensors once, and gives both places the same one back', () => {
    const shared = constant([1, 2]);
    const [vector, unravel] = ravel({ a: shared, b: constant([3]), c: { again: shared } });
    expect(numbers(vector)).to.deep.equal([1, 2, 3]);
    const back = unravel(vector);
    expect(back.a).to.equal(back.c.again);
    // d/dv of a·c + b: both places count.
    const slope = grad((v: tf.Tensor) => {
      const { a, b, c } = unravel(v);
      return tf.add(tf.sum(tf.mul(a, c.again)), tf.sum(b));
    })(vector);
    expect(numbers(slope)).to.deep.equal([2, 4, 1]);
  });

  it('has an empty vector for a tree without tensors, and keeps its plain values', () => {
    for (const empty of [{}, [], { training: true, layer1: {} }]) {
      const [vector, unravel] = ravel(empty);
      expect(vector.shape).to.deep.equal([0]);
      expect(vector.dtype).to.equal('float32');
      expect(unravel(vector)).to.deep.equal(empty);
    }
  });

  it('takes a single tensor, also a scalar', () => {
    const [vector, unravel] = ravel(constant([[1, 2], [3, 4]])); // prettier-ignore
    expect(numbers(vector)).to.deep.equal([1, 2, 3, 4]);
    expect(unravel(vector).shape).to.deep.equal([2, 2]);
    const [one, back] = ravel(constant(5));
    expect(one.shape).to.deep.equal([1]);
    expect(back(one).shape).to.deep.equal([]);
  });

  it('takes tensors without elements', () => {
    const [vector, unravel] = ravel({ a: tf.zeros([0, 3]), b: constant([1, 2]), c: tf.zeros([0]) });
    expect(numbers(vector)).to.deep.equal([1, 2]);
    const back = unravel(vector);
    expect(back.a.shape).to.deep.equal([0, 3]);
    expect(numbers(back.b)).to.deep.equal([1, 2]);
    expect(back.c.shape).to.deep.equal([0]);
  });

  it('refuses other dtypes and other lengths, naming them', () => {
    expect(() => ravel({ layer1: { key: tf.tensor1d([0, 1], 'int32') } })).to.throw(/got int32 at layer1\.key/);
    const [, unravel] = ravel(tree());
    expect(() => unravel(tf.zeros([10]))).to.throw(
      /expected a float32 vector of length 11, got a float32 tensor \[10\]/,
    );
    expect(() => unravel(tf.zeros([11, 1]))).to.throw(/length 11, got a float32 tensor \[11, 1\]/);
    expect(() => unravel(tf.zeros([11], 'int32'))).to.throw(/got an int32 tensor \[11\]/);
  });

  it('leaks nothing', () => {
    const given = tree();
    const before = tf.memory().numTensors;
    const [vector, unravel] = ravel(given);
    expect(tf.memory().numTensors).to.equal(before + 1);
    const back = unravel(vector);
    expect(tf.memory().numTensors).to.equal(before + 1 + 4);
    tf.dispose([vector, back.layer1.weight, back.layer1.bias, back.layer2[0], back.layer2[1].scale]);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('is one concatenation and one split in a graph, and so is its derivative', () => {
    const [, unravel] = ravel(tree());
    const loss = (v: tf.Tensor): tf.Tensor => {
      const { layer1, layer2 } = unravel(v);
      const [again] = ravel({
        b: tf.sin(layer1.bias),
        w: tf.square(layer1.weight),
        s: [tf.exp(layer2[0]), layer2[1].scale],
      });
      return tf.sum(tf.mul(again, v));
    };
    const count = (f: (v: tf.Tensor) => tf.Tensor, kernel: string): number =>
      compile(f)
        .programFor(tf.zeros([11]))
        .graph.nodes.filter((node) => node.kernel === kernel).length;
    expect(count(loss, 'SplitV')).to.equal(1);
    expect(count(loss, 'Concat')).to.equal(1);
    const slope = grad(loss);
    expect(count(slope, 'SplitV'), 'splits of the gradient').to.be.at.most(2);
    expect(count(slope, 'Concat'), 'concatenations of the gradient').to.be.at.most(2);
    expect(count(slope, 'PadV2'), 'paddings of the gradient').to.equal(0);

    const at = constant(Array.from({ length: 11 }, (_, i) => Math.cos(i + 1)));
    const direction = constant(Array.from({ length: 11 }, (_, i) => Math.sin(3 * i)));
    const close = {
      rtol: tolerance({ float32: 2e-2, float64: 1e-8 }),
      atol: tolerance({ float32: 2e-2, float64: 1e-9 }),
    };
    expectClose(slope(at), centralDifference(loss, at), close, 'gradient');
    const along = (v: tf.Tensor): tf.Tensor => tf.sum(tf.mul(slope(v), direction));
    const [product] = hvp(loss, [at], [direction]);
    expectClose(product, centralDifference(along, at), close, 'Hessian product');
    // tfjs's own tape sees the same operations.
    expectClose(tf.grad(loss)(at), slope(at), { rtol: tolerance({ float32: 1e-5, float64: 1e-14 }), atol: 1e-6 });
  });
});
