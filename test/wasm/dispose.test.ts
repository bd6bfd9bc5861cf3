import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { withBackend } from '../../src/graph/engine.js';
import { compiledBackend } from './compile-support.js';

describe('a compiled function that is disposed of', () => {
  for (const name of ['nullcline', 'nullcline64'] as const) {
    it(`gives the memory of its programs back at once on ${name}, and works again`, () => {
      const { heap } = compiledBackend(name);
      withBackend(name, () => {
        const n = 1500;
        const x = tf.ones([n, 1]);
        // An intermediate of n^2 elements, too large to be kept for the next equal graph.
        const f = compile((v: tf.Tensor) => tf.sum(tf.softmax(tf.matMul(v, v, false, true)), 0));
        const before = { bytes: heap.bytesInUse, tensors: tf.memory().numTensors };
        const held = (): typeof before => ({ bytes: heap.bytesInUse, tensors: tf.memory().numTensors });
        for (let round = 0; round < 3; round++) {
          for (let call = 0; call < 2; call++) {
            const y = f(x);
            expect(y.dataSync()[n - 1]).to.be.closeTo(1, 1e-4);
            y.dispose();
          }
          expect(heap.bytesInUse - before.bytes, 'while it is compiled').to.be.at.least(4 * n * n);
          f.dispose();
          expect(held(), 'afterwards').to.deep.equal(before);
          f.dispose();
          expect(held(), 'twice').to.deep.equal(before);
        }
        expect(f.stats).to.deep.equal({ traces: 3, hits: 3 });
        x.dispose();
      });
    });
  }
});
