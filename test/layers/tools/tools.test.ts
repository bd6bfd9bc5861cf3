/**
 * Tools that take layers as they are: freezing, tying, mapping, shapes without running, states kept inside, precision.
 */
import '../../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  adam,
  batchNorm,
  bidirectionalRNN,
  branchLayer,
  chain,
  compact,
  compile,
  constant,
  conv,
  defineLayer,
  dense,
  dropout,
  embedding,
  f32,
  f64,
  flattenLayer,
  freeze,
  frozenLayer,
  getIn,
  grad,
  key,
  layerMap,
  layerToString,
  leaves,
  lstmCell,
  maxPool,
  noOpLayer,
  normal,
  outputShape,
  parameterLength,
  recurrence,
  setup,
  skipConnection,
  stackedRNN,
  statefulLayer,
  statefulRecurrentCell,
  testMode,
  tieParameters,
  unfreeze,
  useBackend,
  weightNorm,
  type AnyLayer,
  type Tensor,
  type Tree,
} from '../../../src/index.js';
import { expectClose } from '../../support/close.js';
import { isFloat64 } from '../../support/precision.js';

const x = normal(key(3), [4, 3]);
const numbers = (t: unknown): number[] => leaves(t).flatMap((leaf) => Array.from(leaf.dataSync()));

describe('freeze', () => {
  const model = chain(dense(3, 4, 'tanh'), batchNorm(4), dense(4, 2));
  const [ps, st] = setup(key(1), model);

  it('moves parameters into the states and computes the same', () => {
    const [y, next] = model.apply(x, ps, st);
    const [frozen, free, states] = freeze(model, ps, st, ['layer1', 'layer3.bias']);
    expect(Object.keys(free)).to.deep.equal(['layer2', 'layer3']);
    expect(Object.keys((free as typeof ps).layer3)).to.deep.equal(['weight']);
    expect(parameterLength(free)).to.equal(8 + 8);
    const [y1, next1] = frozen.apply(x, free, states);
    expectClose(y1, y, {});
    expect(numbers(next1.states)).to.deep.equal(numbers(next));
    expect(next1.frozenParams).to.equal(states.frozenParams);
  });

  it('gives gradients of what is left alone, the same as of the whole', () => {
    const [frozen, free, states] = freeze(model, ps, st, ['layer1']);
    const whole = grad((p: typeof ps) => tf.sum(tf.square(model.apply(x, p, st)[0])))(ps);
    const part = grad((p: Tree) => tf.sum(tf.square(frozen.apply(x, p, states)[0])))(free);
    expect(Object.keys(part)).to.deep.equal(['layer2', 'layer3']);
    expectClose(getIn(part, 'layer3.weight') as Tensor, whole.layer3.weight, { rtol: 1e-6, atol: 1e-7 });
    const optimiser = adam(0.1);
    const [after] = optimiser.update(part, optimiser.init(free), free);
    const [, back] = unfreeze(frozen, after, states);
    expect(getIn(back, 'layer1.weight')).to.equal(ps.layer1.weight);
    expect(numbers(getIn(back, 'layer3'))).to.not.deep.equal(numbers(ps.layer3));
  });

  it('comes undone', () => {
    const [layer, ps1, st1] = unfreeze(...freeze(model, ps, st, ['layer1.weight', 'layer2']));
    expect(layer).to.equal(model);
    expect(st1).to.equal(st);
    expect(getIn(ps1, 'layer1.weight')).to.equal(ps.layer1.weight);
    expectClose(layer.apply(x, ps1, st1)[0], model.apply(x, ps, st)[0], {});
  });

  it('without paths freezes all; a frozen layer sets itself up; test mode reaches inside', () => {
    const frozen = frozenLayer(model);
    const [p, s] = setup(key(2), frozen);
    expect(p).to.deep.equal({});
    expect(frozen.apply(x, p, testMode(s))[0].shape).to.deep.equal([4, 2]);
    expect(testMode(s).states).to.have.nested.property('layer2.training', false);
    expect(layerToString(frozen)).to.match(/^FrozenLayer\(/);
  });

  it('says what is wrong with a path', () => {
    expect(() => freeze(model, ps, st, ['layer4'])).to.throw(
      /freeze: the tree has no "layer4" at \(root\); did you mean/,
    );
    expect(() => freeze(model, ps, st, 'layer1' as never)).to.throw(/must be an array of strings/);
    expect(() => unfreeze(model as never, ps, st as never)).to.throw(/a layer that freeze made/);
  });
});

describe('tieParameters', () => {
  const model = chain(dense(3, 3, 'tanh'), dense(3, 3, 'tanh'), dense(3, 1));
  const tied = tieParameters(model, [['layer1', 'layer2']]);

  it('has the parameters once, and the sum of the gradients', () => {
    const [ps, st] = setup(key(1), tied);
    expect(Object.keys(ps)).to.deep.equal(['layer1', 'layer3']);
    expect(parameterLength(tied)).to.equal(12 + 4);
    const all = { layer1: getIn(ps, 'layer1'), layer2: getIn(ps, 'layer1'), layer3: getIn(ps, 'layer3') } as never;
    expectClose(tied.apply(x, ps, st)[0], model.apply(x, all, st)[0], {});
    const g = grad((p: Tree) => tf.sum(tied.apply(x, p, st)[0]))(ps);
    const both = grad((p: Tree) => tf.sum(model.apply(x, p as never, st)[0]))(all) as never as Record<string, { weight: Tensor }>; // prettier-ignore
    expectClose(getIn(g, 'layer1.weight') as Tensor, tf.add(both.layer1.weight, both.layer2.weight), { rtol: 1e-5, atol: 1e-6 }); // prettier-ignore
  });

  it('refuses what cannot be the same', () => {
    expect(() => setup(key(1), tieParameters(model, [['layer1', 'layer3']]))).to.throw(/"layer3" cannot be "layer1"/);
    expect(() => tieParameters(model, [['layer1']])).to.throw(/two paths or more/);
  });
});

describe('layerMap', () => {
  const inner = chain({ a: dense(3, 4), drop: dropout(0.5) });
  const gated = compact({ name: 'Gated', layers: { inner: dense(4, 4) }, parameters: () => ({ gate: tf.ones([4]) }) }, (z, { ps, layer }) => tf.mul(ps.gate, layer.inner(z))); // prettier-ignore
  const model = chain(inner, skipConnection(dense(4, 4), tf.add), gated, weightNorm(dense(4, 2), ['weight']));
  const [ps, st] = setup(key(1), model);

  it('visits each innermost layer with its own trees and its path', () => {
    const seen: string[] = [];
    const [same, ps1, st1] = layerMap(
      (l, p, s, path) => {
        seen.push(`${path}: ${l.display?.name} ${Object.keys(p).join()}`);
        return [l, p, s];
      },
      model,
      ps,
      st,
    );
    expect(seen).to.deep.equal([
      'layer1.a: Dense weight,bias',
      'layer1.drop: Dropout ',
      'layer2: Dense weight,bias',
      'layer3.inner: Dense weight,bias',
      'layer4: WeightNorm normalized,unnormalized',
    ]);
    expect([same, ps1, st1]).to.deep.equal([model, ps, st]);
  });

  it('makes containers anew around other layers, with their parameters', () => {
    const [mapped, ps1, st1] = layerMap(
      (l, p, s) => (l.display?.name === 'Dropout' ? [noOpLayer(), {}, {}] : [l, p, s]),
      model,
      ps,
      st,
    );
    expect(layerToString(mapped)).to.not.match(/Dropout/);
    expect(st1.layer1).to.deep.equal({ a: {}, drop: {} });
    expect(ps1).to.deep.equal(ps);
    const expected = model.apply(x, ps, testMode(st))[0];
    expectClose((mapped.apply(x, ps1, st1) as Tensor[])[0], expected, {});
  });

  it('replaces layers in wrappers and compact layers, too', () => {
    const zero = defineLayer({
      initialParameters: () => ({}),
      initialStates: () => ({}),
      apply: (z: Tensor): [Tensor, {}] => [tf.zerosLike(z), {}],
    });
    const [mapped, ps1, st1] = layerMap((l, p, s, path) => (/layer[23]/.test(path) ? [zero as AnyLayer, {}, {}] : [l, p, s]), model, ps, st); // prettier-ignore
    expect(ps1.layer2).to.deep.equal({});
    const afterGate = (mapped.apply(x, ps1, testMode(st1)) as Tensor[])[0];
    expectClose(
      afterGate,
      Array.from({ length: 4 }, () => numbers(getIn(ps as Tree, 'layer4.unnormalized.bias'))),
      {},
    );
  });

  it('names a container that cannot be made anew, and a result that is none', () => {
    const cell = statefulRecurrentCell(lstmCell(3, 2));
    const trees = setup(key(1), cell);
    expect(() => layerMap((_l, p, s) => [noOpLayer(), p, s], cell, ...trees)).to.throw(/StatefulRecurrentCell at \(root\) cannot be made/); // prettier-ignore
    expect(() => layerMap(() => 3 as never, dense(1, 1), ...setup(key(1), dense(1, 1)))).to.throw(/must return \[layer, ps, st\] at \(root\), got 3/); // prettier-ignore
  });
});

describe('outputShape', () => {
  it('follows images, sequences, indices and tuples without computing', () => {
    const lenet = chain(conv([5, 5], 1, 6, 'relu'), maxPool([2, 2]), flattenLayer(), dense(864, 10), batchNorm(10));
    const before = tf.memory().numTensors;
    expect(outputShape(lenet, [1, 28, 28, 1])).to.deep.equal([1, 10]);
    expect(outputShape(chain(embedding(10, 3), recurrence(lstmCell(3, 4))), [2, 5], { dtype: 'int32' })).to.deep.equal([2, 4]); // prettier-ignore
    expect(outputShape(bidirectionalRNN(lstmCell(3, 4), null, { mergeMode: null }), [2, 5, 3])).to.deep.equal([[2, 5, 4], [2, 5, 4]]); // prettier-ignore
    expect(outputShape(branchLayer(dense(3, 1), dense(3, 2)), [7, 3])).to.deep.equal([[7, 1], [7, 2]]); // prettier-ignore
    expect(outputShape(wide(), [[2, 3], [2, 4]])).to.deep.equal({ joined: [2, 7] }); // prettier-ignore
    expect(tf.memory().numTensors).to.equal(before);
    // As large as no memory is.
    expect(outputShape(dense(1_000_000, 1_000_000), [100_000, 1_000_000])).to.deep.equal([100_000, 1_000_000]);
  });

  const wide = (): AnyLayer =>
    defineLayer({
      initialParameters: () => ({}),
      initialStates: () => ({}),
      apply: ([a, b]: [Tensor, Tensor]): [{ joined: Tensor }, {}] => [{ joined: tf.concat([a, b], 1) }, {}],
    });

  it('has the errors of the layers', () => {
    expect(() => outputShape(chain(dense(2, 3), dense(4, 1)) as AnyLayer, [1, 2])).to.throw(
      /4 features.*in layer layer2/,
    );
    expect(() => outputShape(dense(2, 3), [1.5, 2])).to.throw(/non-negative integers/);
  });
});

describe('statefulLayer', () => {
  it('is a function that keeps the state', () => {
    const model = chain(dense(3, 4), batchNorm(4));
    const [ps, st] = setup(key(1), model);
    const m = statefulLayer(model, ps, st);
    const [y1, st1] = model.apply(x, ps, st);
    const [, st2] = model.apply(x, ps, st1);
    expectClose(m(x), y1, {});
    expect(numbers(m.st)).to.deep.equal(numbers(st1));
    m(x);
    expect(numbers(m.st)).to.deep.equal(numbers(st2));
    m.testMode();
    expectClose(m(x), model.apply(x, ps, testMode(st2))[0], {});
    const other = setup(key(5), model)[0];
    expectClose(m(x, other), model.apply(x, other, testMode(st2))[0], {});
  });

  it('frees the states it made, also where an output is one of them, and survives tf.tidy', () => {
    const cell = statefulRecurrentCell(lstmCell(3, 2));
    const [ps, st] = setup(key(1), cell);
    const [first, next] = cell.apply(x, ps, st);
    const [second] = cell.apply(x, ps, next);
    const before = tf.memory().numTensors;
    const m = statefulLayer(cell, ps, st);
    tf.tidy(() => {
      expectClose(m(x), first, {});
    });
    const y = m(x);
    expectClose(y, second, {});
    y.dispose();
    m(x).dispose();
    m.dispose();
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('is pure inside a traced function', () => {
    const model = chain(dense(3, 1), dropout(0.5));
    const [ps, st] = setup(key(1), model);
    const m = statefulLayer(model, ps, st);
    const f = compile((z: Tensor, p: typeof ps) => m(z, p));
    expectClose(f(x, ps), model.apply(x, ps, st)[0], { rtol: 1e-6, atol: 1e-7 });
    expect(m.st).to.equal(st);
    expect(numbers(grad((p: typeof ps) => tf.sum(m(x, p)))(ps)).length).to.equal(4);
  });
});

describe('f32 and f64', () => {
  it('change floats alone; doubles reach a function compiled in doubles', async () => {
    const active = tf.getBackend();
    if (!isFloat64) await useBackend('nullcline');
    await tf.setBackend(active);
    const layer = chain(dense(3, 2), dropout(0.5));
    const [ps, st] = setup(key(1), layer);
    const wide = f64({ ps, st });
    expect(wide.st).to.deep.equal(st);
    expect(numbers(wide.ps)).to.deep.equal(numbers(ps));
    const third = f64(constant(1 / 3));
    const square = compile((z: Tensor) => tf.div(tf.sub(z, z), constant(3)), isFloat64 ? {} : { precision: 'float64' });
    expect(numbers(square(third))).to.deep.equal([0]);
    expect(numbers(f32(third))).to.deep.equal([Math.fround(1 / 3)]);
  });
});

describe('stackedRNN in a map', () => {
  it('is rebuilt, its recurrences with their options', () => {
    const model = stackedRNN([lstmCell(3, 2), [lstmCell(2, 2), lstmCell(2, 2)]], {
      dropout: 0.3,
      returnSequence: true,
    });
    const [ps, st] = setup(key(1), model);
    const [mapped, ps1, st1] = layerMap((l, p, s) => (l.display?.name === 'Dropout' ? [noOpLayer(), {}, {}] : [l, p, s]), model, ps, st); // prettier-ignore
    const sequence = normal(key(2), [2, 5, 3]);
    expectClose((mapped.apply(sequence, ps1, st1) as Tensor[])[0], model.apply(sequence, ps, testMode(st))[0], {});
  });
});
