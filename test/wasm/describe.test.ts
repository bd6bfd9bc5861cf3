import '../support/backend.js';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { compile } from '../../src/graph/compile.js';
import { explain } from '../../src/graph/explain.js';

describe('explain on the compiled backend', () => {
  let previous = '';
  before(async () => {
    previous = tf.getBackend();
    await tf.setBackend('nullcline');
  });
  after(async () => {
    await tf.setBackend(previous);
  });

  const compiledPart = (f: Parameters<typeof explain>[0], ...xs: tf.Tensor[]): string =>
    explain(f as never, ...(xs as never[])).split('\n\n')[1];

  it('prints kernels as formulas, with what was fused, and what they cost', () => {
    tf.tidy(() => {
      const f = compile((x: tf.Tensor, y: tf.Tensor) => tf.sum(tf.tanh(tf.mul(x, y))));
      const [head, ...kernels] = compiledPart(f as never, tf.ones([4, 8]), tf.ones([4, 8])).split('\n');
      expect(kernels).to.deep.equal(['  0  out0 = tanh(mul(in0, in1)) for [4, 8] reduced by add over the last 2']);
      // A product, a hyperbolic tangent and a sum for each of 32 elements; two operands and the result.
      expect(head).to.match(/^compiled in float32: 1 kernels, 0 calls of the host, arena of 0 bytes/);
      expect(head).to.match(/96 flops, 260 bytes read and written$/);
    });
  });

  it('prints convolutions with their epilogue', () => {
    tf.tidy(() => {
      const w = tf.ones<tf.Rank.R4>([3, 3, 2, 4]);
      const b = tf.ones([4]);
      const f = compile((x: tf.Tensor) => tf.relu(tf.add(tf.conv2d(x as tf.Tensor4D, w, 1, 'valid'), b)));
      const text = compiledPart(f as never, tf.ones([1, 5, 6, 2]));
      expect(text).to.match(
        /add\(convolution of in0 with captured0, captured1\), 0\) for \[1, 3, 4, 4\] over \[3, 3, 2\], lanes along channels/,
      );
      expect(text).to.match(/1824 flops/); // 3 x 4 x 4 x (2 x 3 x 3 x 2 + 2)
    });
  });

  it('prints products with their epilogue, and what the host runs and why', () => {
    tf.tidy(() => {
      const w = tf.ones([2, 50]);
      const b = tf.ones([50]);
      const f = compile((x: tf.Tensor) => tf.topk(tf.relu(tf.add(tf.matMul(x, w), b)), 3).values);
      const text = compiledPart(f as never, tf.ones([20, 2]));
      expect(text).to.match(/1 calls of the host/);
      expect(text).to.match(/add\(in0 \(20 x 2\) \. captured0 \(2 x 50\), captured1\)/);
      expect(text).to.match(/call TopK\(t0\) of float32 \[20, 50\] {2}# no generated code: the cpu kernel on copies/);
      expect(text).to.match(/6000 flops/); // 20 x 50 x (2 x 2 + 2)
    });
  });
});
