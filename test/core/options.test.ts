import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as o from '../../src/core/options.js';

const { z } = o;
const schema = z.strictObject({
  abstol: o.positiveNumber.default(1e-6),
  reltol: o.positiveNumber.default(1e-3),
  maxIters: o.positiveInteger.default(1000),
  maxStep: o.positiveOrInfinite.optional(),
  adaptive: o.flag.default(true),
  mode: o.oneOf('min', 'max', 'rel').optional(),
  norm: o.functionOption<(x: number) => number>('a function of a vector').optional(),
  start: o.tensorOption.optional(),
  linear: z.strictObject({ restart: o.positiveInteger.optional() }).optional(),
  either: z.union([o.positiveNumber, o.flag]).optional(),
  size: z.number().optional(),
});
const messageOf = (input: unknown): string => {
  try {
    o.parseOptions(schema, input, 'solve');
  } catch (error) {
    expect(error).to.be.instanceOf(o.OptionError).and.instanceOf(TypeError);
    return (error as o.OptionError).message;
  }
  return '';
};

describe('parseOptions', () => {
  it('says so where a tensor stands in the place of the options', () => {
    tf.tidy(() => {
      expect(messageOf(tf.ones([2]))).to.equal('solve: options: expected an object, got a float32 tensor [2]');
    });
  });

  it('fills in defaults, and takes undefined for no options', () => {
    const expected = { abstol: 1e-6, reltol: 1e-3, maxIters: 1000, adaptive: true };
    expect(o.parseOptions(schema, undefined, 'solve')).to.deep.equal(expected);
    expect(o.parseOptions(schema, {}, 'solve')).to.deep.equal(expected);
    expect(o.parseOptions(schema, { abstol: 1e-9, maxStep: Infinity }, 'solve')).to.deep.include({
      abstol: 1e-9,
      maxStep: Infinity,
    });
  });

  it('passes functions and tensors through as they are', () => {
    const norm = (x: number): number => x;
    const start = tf.scalar(1);
    const parsed = o.parseOptions(schema, { norm, start }, 'solve');
    expect(parsed.norm).to.equal(norm);
    expect(parsed.start).to.equal(start);
  });

  const ERRORS: { given: unknown; says: string }[] = [
    { given: { abstl: 1 }, says: 'solve: unknown option "abstl"; did you mean "abstol"?' },
    { given: { MAXITERS: 1 }, says: 'solve: unknown option "MAXITERS"; did you mean "maxIters"?' },
    { given: { abstol: -1 }, says: 'solve: option "abstol": expected a positive number, got -1' },
    { given: { abstol: NaN }, says: 'solve: option "abstol": expected a positive number, got NaN' },
    { given: { abstol: '1e-6' }, says: 'solve: option "abstol": expected a positive number, got "1e-6"' },
    { given: { abstol: null }, says: 'solve: option "abstol": expected a positive number, got null' },
    { given: { maxIters: 1.5 }, says: 'solve: option "maxIters": expected a positive integer, got 1.5' },
    { given: { adaptive: 1 }, says: 'solve: option "adaptive": expected true or false, got 1' },
    { given: { mode: 'mean' }, says: 'solve: option "mode": expected one of "min", "max", "rel", got "mean"' },
    { given: { norm: { a: 1 } }, says: 'solve: option "norm": expected a function of a vector, got an object {a}' },
    { given: { start: [1, 2] }, says: 'solve: option "start": expected a tensor, got [1, 2]' },
    { given: { linear: { restart: 0 } }, says: 'solve: option "linear.restart": expected a positive integer, got 0' },
    { given: { linear: { restrt: 1 } }, says: 'solve: unknown option "restrt" in "linear"' },
    { given: { either: 'x' }, says: 'solve: option "either": expected a positive number or true or false, got "x"' },
    { given: { size: 'x' }, says: 'solve: option "size": expected number, got "x"' },
    { given: 3, says: 'solve: options: expected object, got 3' },
    { given: { abstol: 0, reltol: 0 }, says: 'solve: option "abstol": expected a positive number, got 0; option "reltol": expected a positive number, got 0' },
  ]; // prettier-ignore
  for (const { given, says } of ERRORS) {
    it(`says: ${says}`, () => {
      expect(messageOf(given)).to.equal(says);
    });
  }

  it('lists what there is when nothing is near', () => {
    expect(messageOf({ banana: 1 })).to.match(/^solve: unknown option "banana" \(it takes abstol, reltol, .*size\)$/);
    expect(() => o.parseOptions(z.strictObject({}), { a: 1 }, 'adam')).to.throw(
      'adam: unknown option "a" (it takes none)',
    );
  });
});

describe('editDistance', () => {
  const CASES: [string, string, number][] = [['kitten', 'sitting', 3], ['', 'abc', 3], ['abc', 'abc', 0], ['abstl', 'abstol', 1]]; // prettier-ignore
  for (const [a, b, d] of CASES) {
    it(`"${a}" to "${b}" is ${d}`, () => {
      expect(o.editDistance(a, b)).to.equal(d);
      expect(o.editDistance(b, a)).to.equal(d);
    });
  }
});
