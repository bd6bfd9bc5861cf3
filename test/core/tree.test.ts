import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  setup,
  parameterLength,
  stateLength,
  testMode,
  trainMode,
  updateState,
  applyChild,
} from '../../src/core/layer.js';
import { key, normal, type Key } from '../../src/core/random.js';
import { currentScope, inScope, scopeNote } from '../../src/core/scope.js';
import {
  checkSameTree,
  disposeTree,
  flatten,
  formatPath,
  leaves,
  leavesWithPaths,
  treeMap,
  treeZip,
} from '../../src/core/tree.js';

const numbers = (t: tf.Tensor): number[] => Array.from(t.dataSync());

describe('trees', () => {
  const tree = () => ({ layer1: { weight: tf.ones([2, 2]), on: true }, list: [tf.scalar(3), null] });

  it('list their tensors in order, with paths', () => {
    expect(leavesWithPaths(tree()).map(({ path }) => formatPath(path))).to.deep.equal(['layer1.weight', 'list[0]']);
    expect(leavesWithPaths(tf.scalar(1)).map(({ path }) => formatPath(path))).to.deep.equal(['(root)']);
  });

  it('map tensors and keep plain values', () => {
    const doubled = treeMap(tree(), (t) => tf.mul(t, 2));
    expect(numbers(doubled.layer1.weight)).to.deep.equal([2, 2, 2, 2]);
    expect(doubled.layer1.on).to.equal(true);
    expect(doubled.list[1]).to.equal(null);
    const swapped = (): unknown => treeMap((t: tf.Tensor) => t, { a: tf.scalar(1) } as never);
    expect(swapped).to.throw(TypeError, /^treeMap: the second argument must be a function, got an object \{a\}/);
  });

  it('zip trees of one structure, and say where they differ', () => {
    const sum = treeZip(tree(), [tree()], ([a, b]) => tf.add(a, b));
    expect(numbers(sum.list[0] as tf.Tensor)).to.deep.equal([6]);
    const first = { a: { b: tf.scalar(1) } };
    const DIFFERENT: [unknown, RegExp][] = [
      [{ a: {} }, /differ at a: field "b" is missing/],
      [{ a: { b: tf.scalar(1), c: tf.scalar(2) } }, /differ at a: field "c" is not expected/],
      [{ a: { b: [] } }, /differ at a\.b: a tensor is missing; expected a float32 tensor \[\], got \[\]/],
      [{ a: tf.scalar(1) }, /differ at a: a record is missing/],
    ];
    for (const [other, message] of DIFFERENT) expect(() => treeZip(first, [other], ([a]) => a)).to.throw(message);
    expect(() => { checkSameTree(first, { a: { b: tf.ones([2]) } }, 'load'); }).to.throw(/^load: shapes differ at a\.b: expected \[\], got \[2\]/); // prettier-ignore
  });

  it('come apart and together', () => {
    const { leaves: found, unflatten } = flatten(tree());
    expect(leaves(unflatten(found.map((t) => tf.neg(t)))).flatMap(numbers)).to.deep.equal([-1, -1, -1, -1, -3]);
    expect(() => unflatten([])).to.throw(/expected 2 tensors, got 0/);
  });

  it('are freed once each, also where a tensor stands twice', () => {
    const before = tf.memory().numTensors;
    const shared = tf.scalar(1);
    disposeTree({ a: shared, b: [shared, tf.scalar(2)] });
    expect(tf.memory().numTensors).to.equal(before);
  });
});

describe('the layer contract', () => {
  const layer = {
    initialParameters: (k: Key) => ({ weight: normal(k, [2, 3]) }),
    initialStates: (k: Key) => ({ noise: normal(k, [4]), training: true, inner: { training: true } }),
    apply: (x: tf.Tensor, ps: { weight: tf.Tensor }, st: { training: boolean }): [tf.Tensor, { training: boolean }] => [
      tf.matMul(x, ps.weight),
      st,
    ],
  };

  it('sets up the same from the same key, parameters and states apart', () => {
    const before = tf.memory().numTensors;
    const k = key(1);
    const [ps, st] = setup(k, layer as never) as unknown as [{ weight: tf.Tensor }, { noise: tf.Tensor }];
    const [again] = setup(k, layer as never) as unknown as [{ weight: tf.Tensor }];
    expect(numbers(ps.weight)).to.deep.equal(numbers(again.weight));
    expect(numbers(ps.weight).slice(0, 4)).not.to.deep.equal(numbers(st.noise));
    expect(tf.memory().numTensors).to.equal(before + 1 + 4);
  });

  it('counts', () => {
    const before = tf.memory().numTensors;
    expect(parameterLength(layer as never)).to.equal(6);
    expect(stateLength(layer as never)).to.equal(6);
    expect(parameterLength({ a: tf.ones([3]) })).to.equal(3);
    expect(stateLength({ a: tf.ones([3]), training: false })).to.equal(4);
    expect(tf.memory().numTensors).to.equal(before + 2);
  });

  it('switches modes and fields at any depth', () => {
    const st = { training: true, inner: [{ training: true, p: 1 }] };
    expect(testMode(st)).to.deep.equal({ training: false, inner: [{ training: false, p: 1 }] });
    expect(trainMode(testMode(st))).to.deep.equal(st);
    expect(updateState(st, 'p', 2)).to.deep.equal({ training: true, inner: [{ training: true, p: 2 }] });
    expect(() => updateState(st, 'q', 2)).to.throw(/no field "q"/);
    expect(st.inner[0].p).to.equal(1);
  });

  it('knows the path of the layer at work, and forgets it after an error', () => {
    expect(inScope('layer2', () => inScope('dense', () => scopeNote()))).to.equal(' (in layer layer2.dense)');
    const failing = { ...layer, apply: (): [tf.Tensor, { training: boolean }] => { throw new Error(currentScope()); } }; // prettier-ignore
    expect(() => applyChild('layer3', failing as never, 0 as never, {} as never, {} as never)).to.throw('layer3');
    expect(currentScope()).to.equal('');
  });
});
