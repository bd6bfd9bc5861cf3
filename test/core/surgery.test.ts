import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  chain,
  dense,
  getIn,
  key,
  mapIn,
  setIn,
  setup,
  shareParameters,
  type Tensor,
  type Tree,
} from '../../src/index.js';

describe('parts of trees by path', () => {
  const tree = {
    layer1: { weight: tf.ones([2, 3]), bias: tf.zeros([3]) },
    layers: [{ bias: tf.scalar(1) }, tf.scalar(2)],
  };

  it('getIn finds branches and tensors, in records and arrays', () => {
    expect(getIn(tree, 'layer1')).to.equal(tree.layer1);
    expect(getIn(tree, 'layer1.weight')).to.equal(tree.layer1.weight);
    expect(getIn(tree as unknown as Tree, 'layers[0].bias')).to.equal((tree.layers[0] as { bias: Tensor }).bias);
    expect(getIn([tf.scalar(1), tree.layer1.bias], '[1]')).to.equal(tree.layer1.bias);
  });

  it('has types: what is there, and an error for what is not', () => {
    const [ps] = setup(key(1), chain(dense(2, 3), dense(3, 1)));
    const weight: Tensor = getIn(ps, 'layer1.weight');
    const layer: { weight: Tensor; bias: Tensor } = getIn(ps, 'layer2');
    expect([weight, layer]).to.deep.equal([ps.layer1.weight, ps.layer2]);
    // @ts-expect-error there is no layer3
    expect(() => getIn(ps, 'layer3')).to.throw(/has no "layer3" at \(root\); did you mean "layer1"/);
    // @ts-expect-error a tensor is no branch
    expect(() => setIn(ps, 'layer1', tf.scalar(1))).to.not.throw();
  });

  it('setIn and mapIn change one place, share the rest and leave the tree as it is', () => {
    const other = tf.ones([3]);
    const next = setIn(tree, 'layer1.bias', other);
    expect(next.layer1.bias).to.equal(other);
    expect(next.layer1.weight).to.equal(tree.layer1.weight);
    expect(next.layers).to.equal(tree.layers);
    expect(tree.layer1.bias).to.not.equal(other);
    const doubled = mapIn(tree, 'layer1.weight', (w) => tf.mul(w, 2));
    expect(Array.from(doubled.layer1.weight.dataSync())).to.deep.equal([2, 2, 2, 2, 2, 2]);
    const inArray = setIn(tree as unknown as Tree, 'layers[1]', other) as unknown as typeof tree;
    expect(inArray.layers[1]).to.equal(other);
    expect(inArray.layers[0]).to.equal(tree.layers[0]);
  });

  it('says where a path leads nowhere', () => {
    const any = tree as unknown as Tree;
    expect(() => getIn(any, 'layer1.wieght')).to.throw(
      /getIn: the tree has no "wieght" at layer1; did you mean "weight"\?/,
    );
    expect(() => getIn(any, 'layer1.weight.x')).to.throw(/no "x" at layer1.weight; there is a tensor \[2, 3\]/);
    expect(() => getIn(any, 'layers[7]')).to.throw(/no "\[7\]" at layers/);
    expect(() => mapIn(any, 'nothing.here', (x) => x)).to.throw(/mapIn: the tree has no "nothing" at \(root\); there is \{layer1, layers\}/); // prettier-ignore
    for (const path of ['', 'a..b', 'a[x]', '.a']) expect(() => getIn(any, path), path).to.throw(/path/);
  });

  it('shareParameters puts the first of a group in all its places', () => {
    const [ps] = setup(key(1), chain(dense(2, 2), dense(2, 2), dense(2, 1)));
    const shared = shareParameters(ps, [['layer1', 'layer2']]);
    expect(shared.layer2).to.equal(ps.layer1);
    expect(shared.layer3).to.equal(ps.layer3);
    expect(() => shareParameters(ps, [['layer1', 'layer3']])).to.throw(
      /"layer3" cannot be "layer1": shapes differ at weight/,
    );
    expect(() => shareParameters(ps, [['layer1']])).to.throw(/two paths or more/);
    expect(() => shareParameters(ps, [['layer1', 'layer9']])).to.throw(/no "layer9"/);
  });
});
