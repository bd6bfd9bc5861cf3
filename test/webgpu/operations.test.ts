/**
 * Every tf operation that the derivatives are tested with, and its gradient, on WebGPU as on the compiled backend.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile, valueAndGrad } from '../../src/index.js';
import { expectSame, INEXACT, NOT_ON_WEBGPU } from '../support/webgpu.js';
import { CASES, type Argument, type OpCase } from '../graph/op-cases.js';

const numbers = ({ shape, from, to }: Argument, which: number): tf.Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  const at = (i: number): number => ((i * 0.618033988749895 + 0.31 * which) % 1) * 0.96 + 0.02;
  return tf.tensor(Array.from({ length: n }, (_, i) => from + (to - from) * at(i)), shape); // prettier-ignore
};

const weighted = (y: tf.Tensor): tf.Tensor => {
  const weights = Array.from({ length: y.size }, (_, i) => Math.cos(1.7 * i) + 0.2);
  return tf.sum(tf.mul(y, tf.tensor(weights, y.shape)));
};

const total = ({ f }: OpCase, xs: tf.Tensor[]): tf.Tensor => {
  const result = f(...xs);
  const parts = (Array.isArray(result) ? result : [result]).flatMap((y) =>
    y.dtype === 'complex64' ? [tf.real(y), tf.imag(y)] : [y],
  );
  return tf.addN(parts.map(weighted));
};

describe('operations and their gradients on WebGPU', () => {
  it('skips only what the table has', () => {
    const names = CASES.map(({ name }) => name);
    expect(Object.keys(NOT_ON_WEBGPU).filter((name) => !names.includes(name))).to.deep.equal([]);
  });

  for (const opCase of CASES) {
    const { name, args } = opCase;
    if (Object.hasOwn(NOT_ON_WEBGPU, name)) {
      it.skip(`${name} (tfjs: ${NOT_ON_WEBGPU[name]})`);
      continue;
    }
    it(name, async () => {
      const program = compile(valueAndGrad((xs: tf.Tensor[]) => total(opCase, xs)));
      await expectSame(() => args.map(numbers), program, name, INEXACT[name]);
    });
  }
});
