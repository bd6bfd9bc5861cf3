import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { derivations, derived } from '../../src/graph/derived.js';
import { CAPTURED, PRIMITIVE, type Graph, type Spec } from '../../src/graph/graph.js';
import type { Primitive } from '../../src/graph/primitive.js';
import { attributeText, formOf, primitivesOf, structureOf } from '../../src/graph/structure.js';
import { currentTrace, traceGraph, type Trace } from '../../src/graph/trace.js';
import { expectClose } from '../support/close.js';

type Tensor = tf.Tensor;
type Traced = (xs: Tensor[]) => Tensor[];

const vector = (n: number): Spec => ({ shape: [n], dtype: 'float32' });
const TWO = [vector(2), vector(2)];
const text = (f: Traced, specs: readonly Spec[] = TWO): string | null => structureOf(traceGraph(specs, f));

const named = (name: string, factor: number): Primitive => ({
  name,
  outputs: [vector(2)],
  run: ([x], { backend }) => {
    const values = (backend.readSync(x.dataId) as Float32Array).map((v) => factor * v);
    return [{ dataId: backend.write(values, [2], 'float32'), shape: [2], dtype: 'float32' }];
  },
});
const apply = (primitive: Primitive, x: Tensor): Tensor => (currentTrace() as Trace).primitive(primitive, [x])[0];

describe('the structure of a graph', () => {
  it('is the same for equal functions, whatever tensors they close over', () => {
    const [a, b] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
    const f =
      (held: Tensor): Traced =>
      ([x, y]) => [tf.tanh(tf.add(tf.mul(x, held), tf.mul(y, 0.1)))];
    expect(text(f(a)))
      .to.be.a('string')
      .and.to.equal(text(f(b)));
    tf.dispose([a, b]);
  });

  const base: Traced = ([x, y]) => [tf.sub(tf.mul(x, 2), y)];
  const others: Readonly<Record<string, () => string | null>> = {
    'another scalar': () => text(([x, y]) => [tf.sub(tf.mul(x, 3), y)]),
    'a scalar of the other sign': () => text(([x, y]) => [tf.sub(tf.mul(x, -2), y)]),
    'a vector of constants': () => text(([x, y]) => [tf.sub(tf.mul(x, tf.tensor1d([2, 2.5])), y)]),
    'another operation': () => text(([x, y]) => [tf.add(tf.mul(x, 2), y)]),
    'operands exchanged': () => text(([x, y]) => [tf.sub(y, tf.mul(x, 2))]),
    'inputs exchanged': () => text(([y, x]) => [tf.sub(tf.mul(x, 2), y)]),
    'one input twice': () => text(([x]) => [tf.sub(tf.mul(x, 2), x)]),
    'another shape': () => text(base, [vector(3), vector(3)]),
    'one shape broadcast': () => text(base, [vector(2), vector(1)]),
    'another dtype': () => text(base, [vector(2), { shape: [2], dtype: 'int32' }]),
    'one output more': () => text((xs) => [...base(xs), xs[0]]),
    'an input more': () => text(base, [...TWO, vector(2)]),
  };
  for (const [what, other] of Object.entries(others)) {
    it(`tells ${what} apart`, () => {
      expect(other()).to.be.a('string').and.not.to.equal(text(base));
    });
  }

  it('tells attributes apart that JSON does not', () => {
    const padded = (value: number): Traced => ([x]) => [tf.pad1d(x as tf.Tensor1D, [1, 1], value)]; // prettier-ignore
    const texts = [Infinity, -Infinity, NaN, 0, -0, 0.1, Math.fround(0.1)].map((value) => text(padded(value)));
    expect(new Set(texts).size).to.equal(texts.length);
    expect(attributeText({ a: [1, [2]], b: 'x', c: Float32Array.of(1, 2) })).to.equal('{a:[1,[2]],b:"x",c:[1,2]}');
    expect(attributeText({ a: () => 1 })).to.equal(null);
    expect(attributeText({ a: new Date(0) })).to.equal(null);
  });

  it('tells the outputs of one node apart', () => {
    const half = (i: number): Traced => ([x]) => [tf.split(x, 2)[i]]; // prettier-ignore
    expect(text(half(0))).not.to.equal(text(half(1)));
  });

  it('is none where a constant is large, unless all its elements are one', () => {
    const added = (c: () => Tensor): string | null => text(([x]) => [tf.add(x, c())], [vector(2000)]);
    expect(added(() => tf.tensor1d(Array.from({ length: 2000 }, (_, i) => i)))).to.equal(null);
    expect(added(() => tf.ones([2000])))
      .to.be.a('string')
      .and.not.to.equal(added(() => tf.zeros([2000])));
  });

  it('has places for primitives, and a form that holds neither these nor captured tensors', () => {
    const held = tf.tensor1d([1, 2]);
    const graph = (name: string, factor: number): Graph =>
      traceGraph([vector(2)], ([x]) => [tf.add(apply(named(name, factor), x), held)]);
    const one = graph('scaled', 2);
    expect(structureOf(one)).to.equal(structureOf(graph('scaled', 3)));
    expect(structureOf(one)).not.to.equal(structureOf(graph('otherwise', 2)));
    const form = formOf(one);
    expect(structureOf(form)).to.equal(structureOf(one));
    for (const { kernel, attrs } of form.nodes) {
      if (kernel === CAPTURED) expect(attrs).to.deep.equal({});
      if (kernel === PRIMITIVE) expect(attrs.primitive).not.to.equal(primitivesOf(one)[0]);
    }
    expect(form.nodes.map(({ kernel }) => kernel)).to.include.members([CAPTURED, PRIMITIVE]);
    held.dispose();
  });
});

describe('what is derived from a graph', () => {
  const product = (c: number): Graph => traceGraph(TWO, ([x, y]) => [tf.mul(tf.mul(x, y), c)]);

  it('is made once for equal graphs, and for each name', () => {
    const name = 'made once';
    const first = derived(product(1.25), name, () => ({}));
    const { hits, misses } = derivations;
    expect(derived(product(1.25), name, () => ({}))).to.equal(first);
    expect(derivations).to.deep.equal({ hits: hits + 1, misses });
    expect(derived(product(1.5), name, () => ({}))).not.to.equal(first);
    expect(derived(product(1.25), 'made twice', () => ({}))).not.to.equal(first);
    expect(derivations).to.deep.equal({ hits: hits + 1, misses: misses + 2 });
  });

  it('is made anew where the graph has a primitive', () => {
    const graph = (): Graph => traceGraph([vector(2)], ([x]) => [apply(named('scaled', 2), x)]);
    expect(derived(graph(), 'alone', () => ({}))).not.to.equal(derived(graph(), 'alone', () => ({})));
  });

  it('is forgotten when many others came after it', () => {
    const first = derived(product(0), 'old', () => ({}));
    for (let i = 1; i <= 100; i++) derived(product(i), 'old', () => ({}));
    expect(derived(product(100), 'old', () => null)).not.to.equal(null);
    expect(derived(product(0), 'old', () => ({}))).not.to.equal(first);
  });
});

describe('tracing', () => {
  it('freezes the array of a constant', () => {
    const values = Float32Array.of(1, 2);
    const shifted = compile((x: Tensor) => tf.add(x, tf.tensor1d(values)));
    const x = tf.tensor1d([0, 0]);
    shifted.programFor(x);
    values.fill(9);
    expectClose(shifted(x), [1, 2]);
    x.dispose();
  });

  it('keeps operations apart whose attributes JSON cannot tell', () => {
    const x = tf.tensor1d([1]);
    const both = compile((v: tf.Tensor1D) => [tf.pad1d(v, [1, 0], Infinity), tf.pad1d(v, [1, 0], -Infinity)]);
    const [high, low] = both(x);
    expect([high.dataSync()[0], low.dataSync()[0]]).to.deep.equal([Infinity, -Infinity]);
    tf.dispose([x, high, low]);
  });
});
