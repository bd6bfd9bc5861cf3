import '../support/backend.js';
import { inspect } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { AnyLayer, LayerDisplay } from '../../src/core/layer.js';
import { defineLayer, layerToString } from '../../src/core/print.js';
import type { Key } from '../../src/core/random.js';
import type { StateTree, Tree } from '../../src/core/tree.js';

function fake(display: LayerDisplay | undefined, sizes: Record<string, number[]>, states: StateTree = {}): AnyLayer {
  return {
    initialParameters: () => Object.fromEntries(Object.entries(sizes).map(([k, shape]) => [k, tf.zeros(shape)])),
    initialStates: () => states,
    apply: (x: unknown, _: unknown, st: unknown) => [x, st],
    ...(display === undefined ? {} : { display }),
  };
}
const dense = (i: number, o: number, activation = ''): AnyLayer =>
  fake({ name: 'Dense', summary: `${i} => ${o}${activation}` }, { weight: [i, o], bias: [o] });
const batchNorm = (n: number): AnyLayer => ({
  ...fake({ name: 'BatchNorm', summary: `${n}, affine=true, track_stats=true` }, { scale: [n], bias: [n] }),
  initialStates: () => ({ runningMean: tf.zeros([n]), runningVar: tf.ones([n]), training: true }),
});
function container(
  name: string,
  children: Record<string, AnyLayer>,
  summary?: string,
  own: Record<string, number[]> = {},
): AnyLayer {
  const each = <T>(f: (layer: AnyLayer) => T): Record<string, T> =>
    Object.fromEntries(Object.entries(children).map(([field, layer]) => [field, f(layer)]));
  return {
    initialParameters: (key: Key) => ({
      ...each((l) => l.initialParameters(key) as Tree),
      ...Object.fromEntries(Object.entries(own).map(([k, shape]) => [k, tf.zeros(shape)])),
    }),
    initialStates: (key: Key) => each((l) => l.initialStates(key) as StateTree),
    apply: (x: unknown, _: unknown, st: unknown) => [x, st],
    display: { name, children, ...(summary === undefined ? {} : { summary }) },
  };
}

describe('layerToString', () => {
  it("prints Lux's example, with the names of our fields", () => {
    const model = container('Chain', { layer1: dense(2, 3, ', relu'), layer2: batchNorm(3), layer3: dense(3, 2) });
    expect(layerToString(model)).to.equal(
      [
        'Chain(',
        '    layer1 = Dense(2 => 3, relu),                 # 9 parameters',
        '    layer2 = BatchNorm(3, affine=true, track_stats=true),  # 6 parameters, plus 7 non-trainable',
        '    layer3 = Dense(3 => 2),                       # 8 parameters',
        ')         # Total: 23 parameters,',
        '          #        plus 7 states.',
      ].join('\n'),
    );
  });

  it('merges neighbours that are alike', () => {
    const model = container('Chain', {
      layer1: dense(2, 1),
      layer2: dense(2, 1),
      layer3: dense(1, 1),
      layer4: dense(2, 1),
    });
    expect(layerToString(model).split('\n').slice(1, 4)).to.deep.equal([
      '    layer(1-2) = Dense(2 => 1),                   # 6 (3 x 2) parameters',
      '    layer3 = Dense(1 => 1),                       # 2 parameters',
      '    layer4 = Dense(2 => 1),                       # 3 parameters',
    ]);
    const named = container('Chain', {
      encoder: dense(2, 1),
      decoder: dense(2, 1),
      net2: dense(2, 1),
      net4: dense(2, 1),
    });
    expect(layerToString(named).split('\n').length).to.equal(7);
  });

  it('merges containers that are alike, and counts all their copies', () => {
    const block = (): AnyLayer => container('Chain', { layer1: dense(4, 4), layer2: dense(4, 4) });
    const model = container('Chain', { layer1: block(), layer2: block(), layer3: block(), head: dense(4, 1) });
    expect(layerToString(model)).to.equal(
      [
        'Chain(',
        '    layer(1-3) = Chain(',
        '        layer(1-2) = Dense(4 => 4),               # 120 (20 x 6) parameters',
        '    ),',
        '    head = Dense(4 => 1),                         # 5 parameters',
        ')         # Total: 125 parameters,',
        '          #        plus 0 states.',
      ].join('\n'),
    );
  });

  it('prints a lone layer on one line, thousands set apart', () => {
    expect(layerToString(dense(1000, 1233))).to.equal('Dense(1000 => 1233)          # 1_234_233 parameters');
    expect(layerToString(batchNorm(3))).to.equal(
      'BatchNorm(3, affine=true, track_stats=true)  # 6 parameters, plus 7 non-trainable',
    );
    expect(layerToString(fake({ name: 'NoOpLayer' }, {}))).to.equal('NoOpLayer()');
  });

  it('prints a layer without a display as Layer()', () => {
    expect(layerToString(fake(undefined, { weight: [10] }))).to.equal('Layer()                      # 10 parameters');
  });

  it('prints what a container says of itself, and what it owns', () => {
    const skip = container('SkipConnection', { layers: dense(2, 2) }, 'connection = +');
    expect(layerToString(skip).split('\n').slice(0, 3)).to.deep.equal([
      'SkipConnection(',
      '    connection = +,',
      '    layers = Dense(2 => 2),                       # 6 parameters',
    ]);
    const compact = container('Compact', { dense: dense(2, 2) }, undefined, { w: [5] });
    expect(layerToString(compact).split('\n')[1]).to.match(/^ {49,51}# 5 parameters of its own$/);
    expect(layerToString(compact)).to.include('# Total: 11 parameters');
  });

  it('leaks nothing', () => {
    const model = container('Chain', { layer1: dense(2, 3), layer2: batchNorm(3) });
    const before = tf.memory().numTensors;
    layerToString(model);
    expect(tf.memory().numTensors).to.equal(before);
  });
});

describe('defineLayer', () => {
  it('makes a frozen layer that prints itself, with types inferred', () => {
    const scale = defineLayer({
      initialParameters: (_: Key) => ({ factor: tf.scalar(2) }),
      initialStates: () => ({}),
      apply: (x: tf.Tensor, ps: { factor: tf.Tensor }, st: {}): [tf.Tensor, {}] => [tf.mul(x, ps.factor), st],
      display: { name: 'Factor' },
      extra: 7,
    });
    expect(Object.isFrozen(scale)).to.equal(true);
    expect(Object.keys(scale)).to.deep.equal(['initialParameters', 'initialStates', 'apply', 'display', 'extra']);
    const extra: number = scale.extra;
    expect(extra).to.equal(7);
    const printed = 'Factor()                     # 1 parameters';
    expect(inspect(scale)).to.equal(printed);
    // eslint-disable-next-line @typescript-eslint/no-base-to-string -- it has a toString that its type does not show
    expect(String(scale)).to.equal(printed);
    const [y]: [tf.Tensor, {}] = scale.apply(tf.scalar(3), { factor: tf.scalar(2) }, {});
    expect(y.dataSync()[0]).to.equal(6);
  });

  it('keeps the methods of a class', () => {
    class Doubling {
      readonly by = 2;
      initialParameters(): {} { return {}; }
      initialStates(): {} { return {}; }
      apply(x: tf.Tensor, _: {}, st: {}): [tf.Tensor, {}] { return [tf.mul(x, this.by), st]; }
    } // prettier-ignore
    const layer = defineLayer(new Doubling());
    expect(layer.apply(tf.scalar(4), {}, {})[0].dataSync()[0]).to.equal(8);
    expect(inspect(layer)).to.equal('Layer()');
  });

  it('refuses what is no layer, naming what is missing', () => {
    expect(() =>
      defineLayer({ initialParameters: () => ({}), initialStates: () => ({}) } as unknown as AnyLayer),
    ).to.throw('defineLayer: the layer has no function "apply"');
  });
});
