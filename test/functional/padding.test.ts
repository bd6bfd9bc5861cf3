import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  compile,
  constant,
  grad,
  key,
  normal,
  padCircular,
  padConstant,
  padReflect,
  padRepeat,
  padSymmetric,
  padZeros,
  type Tensor,
} from '../../src/index.js';
import { centralDifference } from '../support/differences.js';
import { expectClose } from '../support/close.js';
import { isFloat64, tolerance } from '../support/precision.js';

describe('padding', () => {
  const x = constant([1, 2, 3]);
  const exact = { rtol: tolerance({ float32: 1e-7, float64: 0 }) };

  it('stands what it should around a vector, further out than it is long, too', () => {
    expectClose(padZeros(x, [[1, 2]]), [0, 1, 2, 3, 0, 0], {});
    expectClose(padConstant(x, [[2, 1]], 0.1), [0.1, 0.1, 1, 2, 3, 0.1], exact);
    expectClose(padCircular(x, [[4, 5]]), [3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2], {});
    expectClose(padRepeat(x, [[2, 4]]), [1, 1, 1, 2, 3, 3, 3, 3, 3], {});
    expectClose(padReflect(x, [[5, 4]]), [2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3], {});
    expectClose(padSymmetric(x, [[4, 5]]), [3, 3, 2, 1, 1, 2, 3, 3, 2, 1, 1, 2], {});
    expectClose(padReflect(constant([7]), [[1, 2]]), [7, 7, 7, 7], {});
  });

  it('goes over each axis by itself', () => {
    const m = constant([[1, 2], [3, 4]]); // prettier-ignore
    expectClose(padCircular(m, [[1, 0], [0, 1]]), [[3, 4, 3], [1, 2, 1], [3, 4, 3]], {}); // prettier-ignore
    // tfjs's own mirrorPad, as far as it goes: by less than the size.
    const image = normal(key(1), [2, 4, 5, 2]);
    const around: [number, number][] = [[0, 0], [2, 3], [1, 4], [0, 0]]; // prettier-ignore
    expectClose(padReflect(image, around), tf.mirrorPad(image, around, 'reflect'), {});
    expectClose(padSymmetric(image, around), tf.mirrorPad(image, around, 'symmetric'), {});
  });

  it('has derivatives, of which each place outside adds its own; compiled too; frees what it makes', () => {
    for (const pad of [padCircular, padRepeat, padReflect, padSymmetric, padZeros]) {
      const weights = normal(key(2), [12]);
      const f = (z: Tensor): Tensor => tf.sum(tf.mul(tf.square(pad(z, [[4, 5]])), weights));
      const slope = (z: Tensor): Tensor => tf.sum(tf.mul(grad(f)(z), constant([1, -2, 0.5])));
      const close = { rtol: isFloat64 ? 1e-8 : 2e-2, atol: isFloat64 ? 1e-8 : 5e-2 };
      expectClose(grad(f)(x), centralDifference(f, x), close);
      expectClose(grad(slope)(x), centralDifference(slope, x), close);
      expectClose(compile(f)(x), f(x), { rtol: 1e-5, atol: 1e-5 });
      const before = tf.memory().numTensors;
      pad(x, [[1, 1]]).dispose();
      expect(tf.memory().numTensors).to.equal(before);
    }
  });

  it('refuses paddings that do not fit', () => {
    expect(() => padReflect(x, [[1, 1], [0, 0]])).to.throw('padReflect: expected 1 pairs [before, after] of non-negative integers for shape [3], got [[1,1],[0,0]]'); // prettier-ignore
    expect(() => padZeros(x, [[-1, 0]])).to.throw(/non-negative/);
    expect(() => padCircular(tf.zeros([0]), [[1, 1]])).to.throw(/axis 0 is empty/);
  });
});
