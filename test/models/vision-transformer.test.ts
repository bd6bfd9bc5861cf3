import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  compile,
  isTensor,
  key,
  leaves,
  normal,
  parameterLength,
  setup,
  valueAndGrad,
  type Tensor,
} from '../../src/index.js';
import { visionTransformer } from '../../models/index.js';

describe('visionTransformer', () => {
  it('has the parameters of the published models, counted from shapes', () => {
    // torchvision's vit_b_16, vit_b_32, vit_l_16, vit_l_32 and vit_h_14; timm's deit_tiny_patch16_224 and deit_small_patch16_224
    const before = tf.memory().numBytes;
    expect(parameterLength(visionTransformer('base'))).to.equal(86_567_656);
    expect(parameterLength(visionTransformer('base', { patchSize: 32 }))).to.equal(88_224_232);
    expect(parameterLength(visionTransformer('large'))).to.equal(304_326_632);
    expect(parameterLength(visionTransformer('large', { patchSize: 32 }))).to.equal(306_535_400);
    expect(parameterLength(visionTransformer('huge', { patchSize: 14 }))).to.equal(632_045_800);
    expect(parameterLength(visionTransformer('tiny'))).to.equal(5_717_416);
    expect(parameterLength(visionTransformer('small'))).to.equal(22_050_664);
    expect(tf.memory().numBytes).to.equal(before);
  });

  const small = visionTransformer('tiny', {
    imageSize: 8,
    patchSize: 4,
    channels: 1,
    classes: 3,
    dim: 8,
    depth: 2,
    nheads: 2,
  });

  it('makes as many as it counts', () => {
    const [ps] = setup(key(1), small);
    expect(leaves(ps).reduce((n, t) => n + t.size, 0)).to.equal(parameterLength(small));
  });

  it('learns: a step down its gradient lowers the loss', () => {
    const [ps, st] = setup(key(1), small);
    const images = normal(key(2), [4, 8, 8, 1]);
    const labels = tf.oneHot(tf.tensor1d([0, 1, 2, 1], 'int32'), 3);
    const loss = (p: typeof ps): Tensor =>
      tf.neg(tf.mean(tf.sum(tf.mul(labels, tf.logSoftmax(small.apply(images, p, st)[0])), -1)));
    const both = compile((p: typeof ps) => valueAndGrad(loss)(p));
    const { value, grad } = both(ps);
    const [old, slopes] = [leaves(ps), leaves(grad)];
    const moved = new Map(old.map((p, i) => [p, tf.sub(p, tf.mul(slopes[i], 0.05))]));
    const walk = (tree: unknown): unknown =>
      isTensor(tree)
        ? moved.get(tree)
        : Object.fromEntries(Object.entries(tree as object).map(([name, child]) => [name, walk(child)]));
    const next = both(walk(ps) as typeof ps).value;
    expect(next.dataSync()[0]).to.be.lessThan(value.dataSync()[0] - 0.01);
  });

  it('says what is wrong', () => {
    expect(() => visionTransformer('medium' as 'base')).to.throw(/must be one of "tiny", "small".*got "medium"/);
    expect(() => visionTransformer('tiny', { imageSize: 30 })).to.throw(/cannot be cut into patches \[16, 16\]/);
    expect(() => visionTransformer('tiny', { heads: 2 } as object)).to.throw(/unknown option "heads"; did you mean/);
  });
});
