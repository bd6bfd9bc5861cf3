import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { constant } from '../../src/core/constant.js';
import { asStored } from '../../src/core/floats.js';
import { compile } from '../../src/graph/compile.js';
import { CONSTANT } from '../../src/graph/graph.js';
import { isFloat64 } from '../support/precision.js';

const round = (x: number): number => (isFloat64 ? x : Math.fround(x));

describe('constant', () => {
  const CASES: { name: string; given: () => tf.Tensor; shape: number[]; values: number[] }[] = [
    { name: 'a number', given: () => constant(0.1), shape: [], values: [0.1] },
    { name: 'nested arrays', given: () => constant([[1, 2, 3], [4, 5, 6]]), shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
    { name: 'arrays of typed arrays', given: () => constant([Float64Array.of(1, 2), Float64Array.of(3, 4)] as unknown as number[][]), shape: [2, 2], values: [1, 2, 3, 4] },
    { name: 'a typed array with a shape', given: () => constant(Float64Array.of(0.1, 0.2, 0.3, 0.4), [2, 2]), shape: [2, 2], values: [0.1, 0.2, 0.3, 0.4] },
    { name: 'integers', given: () => constant(Int32Array.of(1, -2)), shape: [2], values: [1, -2] },
    { name: 'NaN and infinities', given: () => constant([NaN, Infinity, -Infinity]), shape: [3], values: [NaN, Infinity, -Infinity] },
    { name: 'nothing', given: () => constant([]), shape: [0], values: [] },
    { name: 'a number with a shape', given: () => constant([3], [1, 1]), shape: [1, 1], values: [3] },
  ]; // prettier-ignore
  for (const { name, given, shape, values } of CASES) {
    it(`makes a float tensor of ${name}`, () => {
      const t = given();
      expect(t.dtype).to.equal('float32');
      expect(t.shape).to.deep.equal(shape);
      expect(Array.from(t.dataSync())).to.deep.equal(values.map(round));
    });
  }

  it('copies the array it is given', () => {
    const values = new Float64Array([1, 2]);
    const t = constant(values);
    values[0] = 9;
    expect(Array.from(t.dataSync())).to.deep.equal([1, 2]);
  });

  it('keeps every digit in a graph', () => {
    const compiled = compile((x: tf.Tensor) => tf.mul(x, constant([0.1, 0.2])));
    const { graph } = compiled.programFor(tf.ones([2]));
    const [node] = graph.nodes.filter((n) => n.kernel === CONSTANT);
    expect(Array.from(node.attrs.values as ArrayLike<number>)).to.deep.equal([0.1, 0.2]);
    expect(Array.from(compiled(tf.ones([2])).dataSync())).to.deep.equal([0.1, 0.2].map(round));
  });

  it('keeps every digit on a backend that stores doubles, and only there', () => {
    const single = { floatPrecision: () => 32 } as unknown as tf.KernelBackend;
    const double = { floatPrecision: () => 64 } as unknown as tf.KernelBackend;
    const values = Float64Array.of(0.1) as unknown as Float32Array;
    expect(asStored(double, values)).to.equal(values);
    expect(asStored(single, values)[0]).to.equal(round(0.1));
    expect(asStored(single, Int32Array.of(3))).to.deep.equal(Int32Array.of(3));
  });

  const ERRORS: { name: string; given: unknown; shape?: number[]; message: RegExp }[] = [
    { name: 'a short row', given: [[1, 2], [3]], message: /ragged array: expected 2 elements at \[1\], got 1/ },
    { name: 'a number among rows', given: [[1, 2], 3], message: /ragged array: expected 2 elements at \[1\], got 3/ },
    { name: 'a row among numbers', given: [1, [2]], message: /expected a number at \[1\], got \[2\]/ },
    { name: 'a string', given: ['1'], message: /expected a number at \[0\], got "1"/ },
    { name: 'undefined', given: undefined, message: /expected a number, got undefined/ },
    { name: 'bigints', given: BigInt64Array.of(1n), message: /expected a number/ },
    { name: 'another size', given: [1, 2, 3], shape: [2, 2], message: /shape \[2, 2\] does not fit 3 value/ },
  ]; // prettier-ignore
  for (const { name, given, shape, message } of ERRORS) {
    it(`refuses ${name}`, () => {
      expect(() => constant(given as number[], shape)).to.throw(TypeError, message);
    });
  }
});
