import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { inScope } from '../../src/core/scope.js';
import { compile } from '../../src/graph/compile.js';
import { explain } from '../../src/graph/explain.js';
import { stopGradient } from '../../src/graph/transform.js';

type Tensor = tf.Tensor;

/** The part that is the same on every backend. */
const graphOf = (text: string): string => text.split('\n\n')[0];

describe('explain', () => {
  it('prints operations, shapes, constants and layers', () => {
    tf.tidy(() => {
      const w = tf.ones([2, 3]);
      const f = compile((x: Tensor, _unused: Tensor) =>
        inScope('layer1', () => tf.mul(tf.tanh(tf.matMul(x, w, false, false)), 2)),
      );
      expect(graphOf(explain(f, tf.ones([4, 2]), tf.ones([1])))).to.equal(
        [
          '3 operations, 2 inputs, 1 captured, 1 constant',
          '%0 = input 0: float32 [4, 2]',
          '%1 = captured: float32 [2, 3]  # layer1',
          '%2 = BatchMatMul(a: %0, b: %1): float32 [4, 3]  # layer1',
          '%3 = Tanh(x: %2): float32 [4, 3]  # layer1',
          '%4 = constant 2: float32 []  # layer1',
          '%5 = Multiply(a: %3, b: %4): float32 [4, 3]  # layer1',
          'return %5',
        ].join('\n'),
      );
    });
  });

  it('takes a function that is not compiled, and leaves nothing behind', () => {
    const x = tf.ones([4]);
    const f = (v: Tensor): Tensor => tf.tanh(v);
    const before = tf.memory().numTensors;
    expect(explain(f, x)).to.equal(explain(compile(f), x));
    expect(tf.memory().numTensors).to.equal(before);
    expect(() => explain(3 as never)).to.throw(TypeError, /explain: the first argument must be a function, got number/);
    x.dispose();
  });

  it('prints attributes, lists, several results and primitives', () => {
    tf.tidy(() => {
      const f = compile((x: Tensor) => [tf.topk(stopGradient(x), 2).indices, tf.concat([x, x], 1)]);
      const text = graphOf(explain(f, tf.ones([2, 3])));
      expect(text).to.match(/<customGrad>\(%0, %0\)/);
      expect(text).to.match(/%\d = Concat\(%0, %0\) \{axis=1\}: float32 \[2, 6\]/);
      expect(text).to.match(/%(\d)\.0 = TopK\(x: %\d\) \{k=2, sorted=true\}: float32 \[2, 2\], int32 \[2, 2\]/);
      expect(text).to.match(/return %\d\.1, %\d$/);
    });
  });

  it('lists large values that tracing has frozen', () => {
    tf.tidy(() => {
      const f = compile((x: Tensor) =>
        inScope('layer3', () => tf.add(x, tf.tensor1d(Array.from({ length: 300 }, (_, i) => i)))),
      );
      expect(graphOf(explain(f, tf.ones([300])))).to.match(
        /frozen when traced:\n {2}%1 float32 \[300\], 1200 bytes in layer layer3$/,
      );
    });
  });
});
