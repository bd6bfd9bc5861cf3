import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { scan } from '../../src/graph/scan.js';
import { withBackend } from '../../src/graph/engine.js';
import { compiledBackend } from './compile-support.js';
import { suite } from './eager-support.js';

suite('addresses beyond 2 GiB, which are negative as integers', () => {
  it('are found by what the host runs within a loop', () => {
    const { heap } = compiledBackend('nullcline');
    const program = compile((x: tf.Tensor1D) =>
      scan(
        (c: tf.Tensor1D, _: tf.Tensor) => {
          const sums = tf.denseBincount<tf.Tensor1D>(tf.tensor1d([0, 2, 1, 2], 'int32'), c, 4);
          return [sums, tf.sum(sums)] as const;
        },
        x,
        tf.range(0, 3),
      ),
    );
    const held = [heap.allocate(2 ** 31 + 2 ** 20)];
    try {
      // Fill what is free below.
      for (let bytes = 16_384; bytes >= 16; bytes -= 16) {
        do held.push(heap.allocate(bytes)); while (held[held.length - 1] < 2 ** 31); // prettier-ignore
      }
      const found = withBackend('nullcline', () =>
        tf.tidy(() => program(tf.tensor1d([1, 2, 3, 4])).map((y) => Array.from(y.dataSync()))),
      );
      expect(found).to.deep.equal([[1, 3, 6, 0], [10, 10, 10]]); // prettier-ignore
    } finally {
      for (const pointer of held) heap.release(pointer);
      program.dispose();
    }
  });
});
