/** What single layers and containers compute, print and refuse; what all have in common is in laws.test.ts. */
import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  alphaDropout,
  apply,
  bilinear,
  branchLayer,
  chain,
  compact,
  constant,
  dense,
  dropout,
  flattenLayer,
  glu,
  initialParameters,
  initialStates,
  key,
  layerToString,
  maxout,
  noOpLayer,
  normal,
  pairwiseFusion,
  parallel,
  parameterLength,
  repeatedLayer,
  reshapeLayer,
  scale,
  selectDim,
  setup,
  skipConnection,
  testMode,
  wrappedFunction,
  type AnyLayer,
  type Tensor,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 1e-6, float64: 1e-13 }),
  atol: tolerance({ float32: 1e-6, float64: 1e-14 }),
};
const double = (x: Tensor): Tensor => tf.mul(x, 2);
const increment = (x: Tensor): Tensor => tf.add(x, 1);
const x23 = (): Tensor => constant([[1, 2, 3], [-1, 0, 2]]); // prettier-ignore

describe('dense, scale and bilinear', () => {
  it('compute x W + b', () => {
    const ps = { weight: constant([[1, 2], [3, 4], [5, 6]]), bias: constant([0.5, -0.5]) }; // prettier-ignore
    const [y] = dense(3, 2).apply(x23(), ps, {});
    expectClose(y, [[22.5, 27.5], [9.5, 9.5]], close); // prettier-ignore
    const [z] = dense(3, 2, (v) => tf.square(v)).apply(x23(), ps, {});
    expectClose(z, [[22.5 ** 2, 27.5 ** 2], [9.5 ** 2, 9.5 ** 2]], close); // prettier-ignore
  });

  it('scale multiplies element by element, and starts as the identity', () => {
    const layer = scale(3);
    const [ps, st] = setup(key(1), layer);
    expectClose(layer.apply(x23(), ps, st)[0], x23(), close);
    const given = { weight: constant([2, 3, 4]), bias: constant([1, 0, -1]) };
    expectClose(layer.apply(x23(), given, st)[0], [[3, 6, 11], [-1, 0, 7]], close); // prettier-ignore
  });

  it('bilinear is the sum over both inputs', () => {
    const [n, m, k] = [3, 2, 2];
    const layer = bilinear([n, m], k, 'identity', { useBias: false });
    const [ps, st] = setup(key(2), layer);
    const [a, b] = [normal(key(3), [4, n]), normal(key(4), [4, m])];
    const [y] = layer.apply([a, b], ps, st);
    const [A, B, W] = [a.arraySync(), b.arraySync(), ps.weight.arraySync()] as [number[][], number[][], number[][][]];
    const expected = A.map((row, s) =>
      Array.from({ length: k }, (_, o) =>
        row.reduce((sum, ai, i) => sum + B[s].reduce((t, bj, j) => t + ai * W[i][j][o] * bj, 0), 0),
      ),
    );
    expectClose(y, expected, { rtol: 1e-5, atol: 1e-6 });
  });

  it('start within the bounds that the activation asks for', () => {
    // Kaiming uniform: sqrt(3) gain / sqrt(inputs), with PyTorch's gains; the bias 1 / sqrt(inputs).
    const bounds: [Parameters<typeof dense>[2], number][] = [
      ['identity', 1],
      ['tanh', 5 / 3],
      ['relu', Math.SQRT2],
    ];
    for (const [activation, gain] of bounds) {
      const [{ weight, bias }] = setup(key(5), dense(64, 200, activation));
      const greatest = (t: Tensor): number => tf.max(tf.abs(t)).dataSync()[0];
      const bound = (Math.sqrt(3) * gain) / 8;
      expect(greatest(weight)).to.be.within(0.999 * bound, bound * 1.000001);
      expect(greatest(bias)).to.be.within(0.95 / 8, 1.000001 / 8);
      expectClose(tf.mean(weight), 0, { atol: (3 * bound) / Math.sqrt(3 * 12800) });
    }
  });

  it('take initialisers, and check what they make', () => {
    const layer = dense(2, 3, 'identity', {
      initWeight: (_, shape) => tf.fill([...shape], 7),
      initBias: (_, s) => tf.ones([...s]),
    });
    expectClose(setup(key(0), layer)[0].weight, [7, 7, 7, 7, 7, 7]);
    const wrong = dense(2, 3, 'identity', { initWeight: () => tf.zeros([3, 2]) });
    expect(() => setup(key(0), wrong)).to.throw(
      'Dense(2 => 3): parameter "weight" must be a float32 tensor [2, 3], got a float32 tensor [3, 2]',
    );
  });
});

describe('containers', () => {
  it('parallel gives one input to all, and each its own of a tuple', () => {
    const layer = parallel((a: Tensor, b: Tensor) => tf.sub(a, b), double, increment);
    const [ps, st] = setup(key(0), layer);
    expectClose(layer.apply(constant([3, 4]), ps, st)[0], [2, 3]);
    expectClose(layer.apply([constant([3]), constant([10])], ps, st)[0], [-5]);
    expect(() => layer.apply([x23()] as never, ps, st)).to.throw(
      'Parallel: expected an array of 2 inputs, got an array of 1',
    );
  });

  it('branchLayer fuses its outputs: by a function, or by a layer in a field of its own', () => {
    const x = constant([[1, 2]]);
    const sum = branchLayer(double, (z: Tensor) => tf.square(z), { fusion: (a: Tensor, b: Tensor) => tf.sub(b, a) });
    expectClose(sum.apply(x, { layer1: {}, layer2: {} }, { layer1: {}, layer2: {} })[0], [[-1, 0]]);
    const last = wrappedFunction(([a, b]: [Tensor, Tensor]) => tf.concat([a, b], 1));
    const joined = branchLayer({ left: dense(2, 3), right: dense(2, 1) }, { fusion: chain(last, dense(4, 1)) });
    const [ps, st] = setup(key(0), joined);
    expect(Object.keys(ps)).to.deep.equal(['layers', 'fusion']);
    expect(Object.keys(ps.layers)).to.deep.equal(['left', 'right']);
    expect(joined.apply(x, ps, st)[0].shape).to.deep.equal([1, 1]);
    const named = branchLayer({ fusion: dense(2, 3) });
    expect(Object.keys(setup(key(0), named)[0])).to.deep.equal(['fusion']);
    expect(() => branchLayer(double, { fusoin: tf.add } as never)).to.throw(
      /unknown option "fusoin"; did you mean "fusion"/,
    );
    expect(() => branchLayer(double, { fusion: 3 } as never)).to.throw(
      /the connection must be null, a function or a layer/,
    );
  });

  it('branchLayer gives a tuple to every layer as it is', () => {
    const layer = branchLayer(
      ([a]: [Tensor, Tensor]) => double(a),
      ([, b]: [Tensor, Tensor]) => b,
    );
    const [[a, b]] = layer.apply(
      [constant([1]), constant([5])],
      { layer1: {}, layer2: {} },
      { layer1: {}, layer2: {} },
    );
    expectClose([a, b].map((t) => t.dataSync()), [2, 5]); // prettier-ignore
  });

  it('skipConnection gives the connection output and input, in this order', () => {
    const layer = skipConnection(double, (y, x) => tf.sub(tf.mul(y, 10), x));
    expectClose(layer.apply(constant([3]), {}, {})[0], [57]);
    const withLayer = skipConnection(
      double,
      wrappedFunction(([y, x]: [Tensor, Tensor]) => tf.div(y, x)),
    );
    const [ps, st] = setup(key(0), withLayer);
    expect(Object.keys(ps)).to.deep.equal(['layers', 'connection']);
    expectClose(withLayer.apply(constant([3]), ps, st)[0], [2]);
  });

  it('pairwiseFusion: y = x1, then connection(layer(y), next x)', () => {
    const layer = pairwiseFusion((y: Tensor, x: Tensor) => tf.sub(tf.mul(y, 10), x), double, increment);
    const none = { layer1: {}, layer2: {} };
    expectClose(layer.apply([constant(1), constant(2), constant(3)], none, none)[0], (1 * 2 * 10 - 2 + 1) * 10 - 3);
    expectClose(layer.apply(constant(1), none, none)[0], (1 * 2 * 10 - 1 + 1) * 10 - 1);
    expect(() => layer.apply([constant(1), constant(2)] as never, none, none)).to.throw(
      'expected an array of 3 inputs, got an array of 2',
    );
  });

  it('repeatedLayer applies one layer again and again', () => {
    expectClose(repeatedLayer(double).apply(constant([1]), {}, {})[0], [1024]);
    const injected = repeatedLayer(
      wrappedFunction(([y, x]: [Tensor, Tensor]) => tf.add(tf.mul(y, 2), x)),
      {
        repeats: 3,
        inputInjection: true,
      },
    );
    expectClose(injected.apply(constant([1]), {}, {})[0], [15]); // 1, 3, 7, 15
  });

  it('hand states on from one repetition to the next', () => {
    const layer = repeatedLayer(dropout(0.5), { repeats: 2 });
    const [ps, st] = setup(key(3), layer);
    const once = dropout(0.5);
    const [y1, st1] = once.apply(tf.ones([64]), {}, st);
    const [y2, st2] = once.apply(y1, {}, st1);
    const [y, after] = layer.apply(tf.ones([64]), ps, st);
    expectClose(y, y2);
    expectClose((after as { key: Tensor }).key, (st2 as { key: Tensor }).key);
  });

  it('maxout takes the greatest', () => {
    const layer = maxout(
      scale(2),
      wrappedFunction((x: Tensor) => tf.neg(x)),
    );
    const [ps, st] = setup(key(0), layer);
    expectClose(layer.apply(constant([[1, -3]]), ps, st)[0], [1, 3]);
  });

  it('give access to their layers', () => {
    const [a, b] = [dense(2, 3), dense(3, 2)];
    expect(chain(a, b).layers.layer2).to.equal(b);
    expect(chain({ a, b }).layers.a).to.equal(a);
    expect(chain(a, b).display?.children).to.deep.equal({ layer1: a, layer2: b });
    expect(Object.keys(setup(key(0), chain({ b, a }))[0])).to.deep.equal(['b', 'a']);
  });

  it('apply(layer, x, ps, st) is layer.apply(x, ps, st)', () => {
    const layer = chain(dense(3, 2), double);
    const [ps, st] = setup(key(0), layer);
    expectClose(apply(layer, x23(), ps, st)[0], layer.apply(x23(), ps, st)[0]);
  });

  it('refuse what is no layer', () => {
    expect(() => chain(dense(1, 1), 3 as never)).to.throw('chain: layer 2 must be a layer or a function, got 3');
    expect(() => chain({ 'a.b': noOpLayer() })).to.throw('chain: a layer cannot be named "a.b"');
    expect(() => chain({ 1: noOpLayer() })).to.throw('chain: a layer cannot be named "1"');
    expect(() => parallel('add' as never, noOpLayer())).to.throw(
      'parallel: the connection must be null, a function or a layer, got "add"',
    );
    expect(() => parallel(null)).to.throw('parallel: needs a layer or more');
    expect(() => skipConnection(double, null as never)).to.throw(
      'skipConnection: the connection must be a function or a layer',
    );
    expect(() => repeatedLayer(double, { repeat: 3 } as object)).to.throw(
      'repeatedLayer: unknown option "repeat"; did you mean "repeats"?',
    );
    expect(() => dense(0, 2)).to.throw('dense: the number of inputs must be a positive integer, got 0');
    expect(() => dense(2, 1.5)).to.throw('dense: the number of outputs must be a positive integer, got 1.5');
    expect(() => dense(2, 2, 'tanh', { usebias: false } as object)).to.throw(
      'dense: unknown option "usebias"; did you mean "useBias"?',
    );
  });
});

describe('shapes', () => {
  it('reshape, flatten and select keep the order of elements', () => {
    const x = tf.range(0, 12).reshape([2, 6]);
    expect(reshapeLayer([-1, 2]).apply(x, {}, {})[0].shape).to.deep.equal([2, 3, 2]);
    expectClose(flattenLayer().apply(tf.reshape(x, [2, 3, 2]), {}, {})[0], x);
    expectClose(selectDim(0, 1).apply(x, {}, {})[0], [6, 7, 8, 9, 10, 11]);
    expectClose(selectDim(-1, 0).apply(x, {}, {})[0], [0, 6]);
  });

  it('refuse what does not fit', () => {
    const x = tf.zeros([2, 6]);
    expect(() => reshapeLayer([4, 2]).apply(x, {}, {})).to.throw(
      'ReshapeLayer((4, 2, :)): cannot give samples of 6 elements the shape [4, 2], got shape [2, 6]',
    );
    expect(() => reshapeLayer([-1, -1])).to.throw(
      'reshapeLayer: the shape must be positive integers, one of them -1 at most',
    );
    expect(() => selectDim(2, 0).apply(x, {}, {})).to.throw(
      'SelectDim(dim=2, index=0): the input has no axis 2, got shape [2, 6]',
    );
    expect(() => selectDim(1, 6).apply(x, {}, {})).to.throw('axis 1 has no entry 6, got shape [2, 6]');
    expect(() => flattenLayer({ axes: 3 }).apply(x, {}, {})).to.throw(
      'expected an input with 3 axes or more, got shape [2, 6]',
    );
  });
});

describe('dropout', () => {
  const n = 20000;

  it('keeps the fraction 1 - p, scaled by 1 / (1 - p)', () => {
    const p = 0.3;
    const layer = dropout(p);
    const [, st] = setup(key(1), layer);
    const [y, next] = layer.apply(tf.ones([n]), {}, st);
    const found = new Set(Array.from(y.dataSync(), (v) => Number(v.toPrecision(6))));
    expect([...found].sort()).to.deep.equal([0, Number((1 / 0.7).toPrecision(6))]);
    expectClose(tf.mean(y), 1, { atol: 4 * Math.sqrt(p / (1 - p) / n) });
    const [z] = layer.apply(tf.ones([n]), {}, next);
    const both = tf.mean(tf.cast(tf.logicalAnd(tf.greater(y, 0), tf.greater(z, 0)), 'float32'));
    expectClose(both, 0.49, { atol: 4 * Math.sqrt(0.25 / n) }); // the next mask is independent
  });

  it('drops whole channels by dims', () => {
    const layer = dropout(0.5, { dims: [0, -1] });
    const [, st] = setup(key(1), layer);
    const [y] = layer.apply(tf.ones([16, 3, 3, 8]), {}, st);
    expectClose(tf.max(y, [1, 2]), tf.min(y, [1, 2]));
    const first = tf.slice(y, [0, 0, 0, 0], [16, 1, 1, 8]).dataSync();
    expect(new Set(first)).to.deep.equal(new Set([0, 2]));
    expect(() => layer.apply(tf.ones([4]), {}, st)).to.not.throw();
    expect(() => dropout(0.5, { dims: 3 }).apply(tf.ones([4]), {}, st)).to.throw(
      'Dropout(0.5, dims=[3]): the input has no axis 3',
    );
  });

  it('does nothing in test mode; at p = 1 nothing is left', () => {
    const layer = dropout(0.5);
    const [, st] = setup(key(1), layer);
    expectClose(layer.apply(x23(), {}, testMode(st))[0], x23());
    expectClose(dropout(1).apply(x23(), {}, st)[0], [0, 0, 0, 0, 0, 0]);
    expectClose(alphaDropout(1).apply(x23(), {}, {})[0], [0, 0, 0, 0, 0, 0]);
    expect(() => dropout(1.2)).to.throw('dropout: the probability must be a number from 0 to 1, got 1.2');
  });

  it('alphaDropout keeps mean 0 and variance 1', () => {
    const layer = alphaDropout(0.3);
    const [, st] = setup(key(1), layer);
    const { mean, variance } = tf.moments(layer.apply(normal(key(2), [n]), {}, st)[0]);
    expectClose(mean, 0, { atol: 4 / Math.sqrt(n) });
    expectClose(variance, 1, { atol: 0.05 });
  });
});

describe('errors name the layer, where it stands, and what was given', () => {
  const model = chain({ encoder: chain(dense(3, 2), double), head: dense(2, 50) });
  const [ps, st] = setup(key(0), model);
  const at = (f: () => unknown, message: string): void => {
    expect(f).to.throw(message);
  };

  it('for inputs', () => {
    at(() => model.apply(tf.zeros([20, 4]), ps, st), 'Dense(3 => 2): expected an input with 3 features in its last axis, got shape [20, 4] (in layer encoder.layer1)'); // prettier-ignore
    at(() => model.layers.head.apply(tf.zeros([20, 3]), ps.head, {}), 'Dense(2 => 50): expected an input with 2 features in its last axis, got shape [20, 3]'); // prettier-ignore
    at(() => model.apply(tf.zeros([20, 3], 'int32'), ps, st), 'Dense(3 => 2): expected a float32 input, got an int32 tensor [20, 3] (in layer encoder.layer1)'); // prettier-ignore
    at(() => model.apply([[1, 2, 3]] as never, ps, st), 'Dense(3 => 2): expected a tensor as input, got [[1, 2, 3]] (in layer encoder.layer1)'); // prettier-ignore
    at(() => dense(1, 1).apply(tf.zeros([2, 2]), { weight: tf.ones([1, 1]), bias: tf.ones([1]) }, {}), 'expected an input with 1 feature in its last axis'); // prettier-ignore
  });

  it('for parameters of another model', () => {
    const x = tf.zeros([1, 3]);
    const without = { encoder: { layer1: { weight: ps.encoder.layer1.weight }, layer2: {} }, head: ps.head };
    at(() => model.apply(x, without as never, st), 'Dense(3 => 2): the parameters have no field "bias": expected {weight, bias}, got {weight}; are these the parameters of another model? (in layer encoder.layer1)'); // prettier-ignore
    at(() => model.apply(x, { ...ps, extra: {} } as never, st), 'Chain: the parameters have an unexpected field "extra": expected {encoder, head}, got {encoder, head, extra}'); // prettier-ignore
    at(() => model.apply(x, { ...ps, head: ps.encoder.layer1 }, st), 'Dense(2 => 50): parameter "weight" must be a float32 tensor [2, 50], got a float32 tensor [3, 2] (in layer head)'); // prettier-ignore
    at(() => model.apply(x, undefined as never, st), 'Chain: expected a record of parameters {encoder, head}, got undefined'); // prettier-ignore
    at(() => model.apply(x, ps, { head: {} } as never), 'Chain: the states have no field "encoder"');
  });

  it('for arguments of constructors, never in words of JavaScript', () => {
    at(() => wrappedFunction(3 as never), 'wrappedFunction: expected a function, got 3');
    at(() => wrappedFunction(undefined as never), 'wrappedFunction: expected a function, got undefined');
    at(() => reshapeLayer('a' as never), 'reshapeLayer: the shape must be an array of integers, got "a"');
    at(() => scale(undefined as never), 'scale: each size must be a positive integer, got undefined');
    at(() => bilinear(undefined as never, 2), 'bilinear: the number of inputs must be a positive integer, got undefined'); // prettier-ignore
    at(() => flattenLayer({ axis: 1 } as object), 'flattenLayer: unknown option "axis"; did you mean "axes"?');
    at(() => flattenLayer({ axes: 0 }), 'flattenLayer: option "axes": expected a positive integer, got 0');
    const bias = { bias: false } as object;
    at(() => dense(2, 2, 'tanh', bias), 'dense: unknown option "bias"; did you mean "useBias"?');
    at(() => scale(2, 'tanh', bias), 'scale: unknown option "bias"; did you mean "useBias"?');
    at(() => glu(3 as never), 'glu: expected a tensor, got 3');
  });

  it('for a key and a layer the wrong way round', () => {
    const layer = dense(2, 2);
    const first = 'the first argument must be a key, as key(seed) makes it';
    for (const [name, make] of Object.entries({ setup, initialParameters, initialStates })) {
      const call = make as (...args: unknown[]) => unknown;
      at(() => call(layer, key(0)), `${name}: ${first}, got a layer; are the arguments swapped? ${name}(key, layer)`);
      at(() => call(3, layer), `${name}: ${first}, got 3`);
      at(() => call(), `${name}: ${first}, got undefined`);
      at(() => call(key(0)), `${name}: the second argument must be a layer, got undefined`);
      at(() => call(key(0), double), `${name}: the second argument must be a layer, got a function; wrappedFunction`);
    }
  });

  it('and compact layers do so too', () => {
    const layer = compact({ name: 'Own', parameters: () => ({ w: tf.zeros([2]) }), layers: { inner: dense(2, 2) } }, (x, { ps: p, layer: l }) => tf.mul(l.inner(x), p.w)); // prettier-ignore
    const [good, state] = setup(key(0), layer);
    at(
      () => layer.apply(tf.zeros([1, 2]), { inner: good.inner } as never, state),
      'Own: the parameters have no field "w"',
    );
    at(
      () => layer.apply(tf.zeros([1, 2]), { ...good, w: tf.zeros([2, 1]) }, state),
      'Own: parameter "w" must be a tensor [2], got a float32 tensor [2, 1]',
    );
    at(() => layer.apply(tf.zeros([1, 3]), good, state), 'Dense(2 => 2): expected an input with 2 features in its last axis, got shape [1, 3] (in layer inner)'); // prettier-ignore
    const clash = compact(
      { name: 'Clash', parameters: () => ({ f: tf.zeros([2]) }), layers: { f: dense(2, 2) } },
      (x) => x,
    );
    at(() => setup(key(0), clash), 'Clash: "f" is both a layer and one of its parameters');
    const lost = compact({ name: 'Lost', states: () => ({ n: 1 }) }, (x: Tensor, { update }) => {
      update({ m: 2 } as object);
      return x;
    });
    at(() => lost.apply(tf.zeros([1]), {}, { n: 1 }), 'Lost: update of "m", which is none of its states {n}');
  });
});

describe('compact', () => {
  it('hands states on from call to call, and keeps what is not updated', () => {
    const layer = compact(
      { name: 'Twice', layers: { drop: dropout(0.5) }, states: () => ({ calls: 0, kept: 'as it is' }) },
      (x, { st, layer: { drop }, update }) => {
        update({ calls: st.calls + 1 });
        return drop(drop(x));
      },
    );
    const [ps, st] = setup(key(4), layer);
    const x = tf.ones([64]);
    const [y, after] = layer.apply(x, ps, st);
    expect(after.calls).to.equal(1);
    expect(after.kept).to.equal('as it is');
    expect(st.calls).to.equal(0);
    const alone = dropout(0.5);
    const [y1, st1] = alone.apply(x, {}, st.drop);
    const [y2, st2] = alone.apply(y1, {}, st1);
    expectClose(y, y2);
    expectClose((after.drop as { key: Tensor }).key, (st2 as { key: Tensor }).key);
  });
});

describe('counts and printouts', () => {
  it('are those of Lux.jl', () => {
    // Parameter counts of models in Lux.jl's and DiffEqFlux.jl's documentation.
    const counts: [AnyLayer, number][] = [
      [chain(dense(1, 16, 'relu'), dense(16, 1)), 49],
      [chain((x: Tensor) => tf.pow(x, 3), dense(2, 50, 'tanh'), dense(50, 2)), 252],
      [chain(dense(1, 3, 'tanh'), dense(3, 1, 'tanh')), 10],
      [chain(dense(1, 128), dense(128, 128), dense(128, 128), dense(128, 128), dense(128, 1)), 49921],
    ];
    for (const [layer, count] of counts) expect(parameterLength(layer)).to.equal(count);
  });

  const text = (...lines: string[]): string => lines.join('\n');

  it('of a layer alone', () => {
    expect(layerToString(dense(2, 3, 'relu'))).to.equal('Dense(2 => 3, relu)          # 9 parameters');
  });

  it('of a chain', () => {
    const model = chain(
      dense(2, 3, 'relu'),
      double,
      dense(3, 3),
      dense(3, 3),
      dropout(0.5),
      dense(3, 2, 'identity', { useBias: false }),
    );
    expect(layerToString(model)).to.equal(
      text(
        'Chain(',
        '    layer1 = Dense(2 => 3, relu),                 # 9 parameters',
        '    layer2 = WrappedFunction(double),',
        '    layer(3-4) = Dense(3 => 3),                   # 24 (12 x 2) parameters',
        '    layer5 = Dropout(0.5),',
        '    layer6 = Dense(3 => 2, useBias=false),        # 6 parameters',
        ')         # Total: 39 parameters,',
        '          #        plus 3 states.',
      ),
    );
  });

  it('of nested containers', () => {
    const model = chain({
      skip: skipConnection(chain(dense(2, 2, 'tanh'), scale(2)), tf.add),
      both: parallel(null, dense(2, 3), noOpLayer()),
      again: branchLayer(repeatedLayer(([a]: [Tensor, Tensor]) => [a, a] as [Tensor, Tensor], { repeats: 2 })),
    });
    expect(layerToString(model)).to.equal(
      text(
        'Chain(',
        '    skip = SkipConnection(',
        '        add,',
        '        Chain(',
        '            layer1 = Dense(2 => 2, tanh),         # 6 parameters',
        '            layer2 = Scale(2),                    # 4 parameters',
        '        ),',
        '    ),',
        '    both = Parallel(',
        '        layer1 = Dense(2 => 3),                   # 9 parameters',
        '        layer2 = NoOpLayer(),',
        '    ),',
        '    again = BranchLayer(',
        '        layer1 = RepeatedLayer(',
        '            repeats=2,',
        '            WrappedFunction(),',
        '        ),',
        '    ),',
        ')         # Total: 19 parameters,',
        '          #        plus 0 states.',
      ),
    );
  });

  it('of a compact layer', () => {
    const layer = compact({ name: 'Own', summary: 'x', parameters: () => ({ w: tf.zeros([7]) }), layers: { inner: dense(2, 2) } }, (x) => x); // prettier-ignore
    expect(layerToString(layer)).to.equal(
      text(
        'Own(',
        '    x,                                            # 7 parameters',
        '    inner = Dense(2 => 2),                        # 6 parameters',
        ')         # Total: 13 parameters,',
        '          #        plus 0 states.',
      ),
    );
  });
});
