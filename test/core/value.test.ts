import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { describe as describeValue } from '../../src/core/value.js';
import { chain, dense } from '../../src/index.js';

class Own {
  readonly a = 1;
}

describe('a value in a few words', () => {
  const CASES: readonly [given: unknown, says: string][] = [
    [undefined, 'undefined'],
    [null, 'null'],
    [NaN, 'NaN'],
    [12n, '12'],
    [true, 'true'],
    ['a "b"', '"a \\"b\\""'],
    [[], '[]'],
    [[1, [2, -Infinity]], '[1, [2, -Infinity]]'],
    [['a', null], '["a", null]'],
    [new Array(20).fill(0), 'an array of 20'],
    [[{}], 'an array of 1'],
    [['a'.repeat(100)], 'an array of 1'],
    [{}, 'an object {}'],
    [{ rate: { a: 1 }, b: [2] }, 'an object {rate, b}'],
    [Object.assign(Object.create(null) as object, { a: 1 }), 'an object {a}'],
    [new Own(), 'an Own'],
    [new Map(), 'a Map'],
    [dense(2, 3, 'tanh'), 'the layer Dense(2 => 3, tanh)'],
    [chain(dense(2, 3)), 'the layer Chain'],
    [Math.sqrt, 'the function sqrt'],
    [[() => 1][0], 'a function'],
    [Symbol('s'), 'Symbol(s)'],
  ];
  for (const [given, says] of CASES) {
    it(says, () => {
      expect(describeValue(given)).to.equal(says);
    });
  }

  it('a tensor by dtype and shape', () => {
    tf.tidy(() => {
      expect(describeValue(tf.zeros([2, 3]))).to.equal('a float32 tensor [2, 3]');
      expect(describeValue(tf.zeros([], 'int32'))).to.equal('an int32 tensor []');
      expect(describeValue([tf.zeros([2, 3])])).to.equal('an array of 1');
    });
  });
});
