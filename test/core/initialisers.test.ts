import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as core from '../../src/core/initialisers.js';
import { key } from '../../src/core/random.js';
import { compile } from '../../src/graph/compile.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const numbers = (t: tf.Tensor): number[] => Array.from(t.dataSync());
const moments = (xs: number[]): { mean: number; std: number } => {
  const mean = xs.reduce((s, x) => s + x, 0) / xs.length;
  return { mean, std: Math.sqrt(xs.reduce((s, x) => s + (x - mean) ** 2, 0) / xs.length) };
};

describe('fans', () => {
  const CASES: { shape: number[]; fanIn: number; fanOut: number }[] = [
    { shape: [], fanIn: 1, fanOut: 1 },
    { shape: [7], fanIn: 7, fanOut: 7 },
    { shape: [3, 5], fanIn: 3, fanOut: 5 },
    { shape: [3, 3, 4, 8], fanIn: 36, fanOut: 72 },
    { shape: [2, 4, 8], fanIn: 8, fanOut: 16 },
  ];
  for (const { shape, ...expected } of CASES) {
    it(`of [${shape.join(', ')}] are ${expected.fanIn} and ${expected.fanOut}, in tfjs's layout`, () => {
      expect(core.fans(shape)).to.deep.equal(expected);
    });
  }
});

describe('initialisers by variance', () => {
  const conv = [3, 3, 20, 60]; // fan-in 180, fan-out 540: 10 800 draws
  const dense = [100, 300];
  const CASES: { name: string; init: core.Initialiser; std: (fanIn: number, fanOut: number) => number; uniform: boolean }[] = [
    { name: 'glorotUniform', init: core.glorotUniform(), std: (i, o) => Math.sqrt(2 / (i + o)), uniform: true },
    { name: 'glorotNormal', init: core.glorotNormal(), std: (i, o) => Math.sqrt(2 / (i + o)), uniform: false },
    { name: 'glorotUniform, gain 5/3', init: core.glorotUniform(5 / 3), std: (i, o) => (5 / 3) * Math.sqrt(2 / (i + o)), uniform: true },
    { name: 'kaimingUniform', init: core.kaimingUniform(), std: (i) => Math.sqrt(2 / i), uniform: true },
    { name: 'kaimingNormal', init: core.kaimingNormal(), std: (i) => Math.sqrt(2 / i), uniform: false },
    { name: 'kaimingNormal, fan-out', init: core.kaimingNormal(Math.SQRT2, 'fanOut'), std: (_, o) => Math.sqrt(2 / o), uniform: false },
    { name: 'lecunUniform', init: core.lecunUniform(), std: (i) => Math.sqrt(1 / i), uniform: true },
    { name: 'lecunNormal', init: core.lecunNormal(), std: (i) => Math.sqrt(1 / i), uniform: false },
  ]; // prettier-ignore
  for (const { name, init, std, uniform } of CASES) {
    for (const shape of [conv, dense]) {
      it(`${name} on [${shape.join(', ')}]`, () => {
        const { fanIn, fanOut } = core.fans(shape);
        const xs = numbers(init(key(12), shape));
        const expected = std(fanIn, fanOut);
        const { mean, std: measured } = moments(xs);
        // Standard errors: std / sqrt(n) of the mean, std sqrt((kurtosis - 1) / 4n) of the standard deviation.
        expectClose(mean, 0, { atol: (4 * expected) / Math.sqrt(xs.length) }, 'mean');
        expectClose(measured, expected, { rtol: (4 * Math.SQRT1_2) / Math.sqrt(xs.length) }, 'std');
        const bound = Math.sqrt(3) * expected;
        const largest = Math.max(...xs.map(Math.abs));
        if (uniform) expect(largest).to.be.within(0.99 * bound, bound * (1 + 1e-6));
        else expect(largest).to.be.above(1.5 * bound);
      });
    }
  }

  it('kaimingUniform with gain 1/√3 stays within 1/√fanIn, as torch.nn.Linear does', () => {
    const xs = numbers(core.kaimingUniform(1 / Math.sqrt(3))(key(1), [25, 400])).map(Math.abs);
    expect(Math.max(...xs)).to.be.within(0.199, 0.2 + 1e-7);
  });

  it('uniformInit is uniform within ± bound: mean 0, not -bound, and not normal', () => {
    const xs = numbers(core.uniformInit(0.5)(key(2), [100_000]));
    const { mean, std } = moments(xs);
    expectClose(mean, 0, { atol: (4 * 0.5) / Math.sqrt(3e5) });
    expectClose(std, 0.5 / Math.sqrt(3), { rtol: 0.01 });
    expect(Math.max(...xs.map(Math.abs))).to.be.at.most(0.5);
  });

  it('normalInit and truncatedNormalInit take their settings', () => {
    const a = moments(numbers(core.normalInit(0.1, 3)(key(3), [10_000])));
    expectClose([a.mean, a.std], [3, 0.1], { rtol: 0.03 });
    const xs = numbers(core.truncatedNormalInit({ std: 0.1 })(key(3), [10_000]));
    expect(Math.max(...xs.map(Math.abs))).to.be.within(0.19, 0.2 + 1e-7);
    expectClose(moments(xs).std, 0.1 * 0.87963, { rtol: 0.03 });
  });
});

describe('initialisers by structure', () => {
  it('zeros, ones and a constant', () => {
    expect(numbers(core.zerosInit()(key(0), [2, 2]))).to.deep.equal([0, 0, 0, 0]);
    expect(numbers(core.onesInit()(key(0), [3]))).to.deep.equal([1, 1, 1]);
    const t = core.constantInit(0.25)(key(0), [2, 1]);
    expect(t.shape).to.deep.equal([2, 1]);
    expect(numbers(t)).to.deep.equal([0.25, 0.25]);
  });

  for (const shape of [
    [20, 20],
    [30, 8],
    [8, 30],
    [3, 3, 4, 10],
    [2, 2, 3, 40],
  ]) {
    it(`orthogonal [${shape.join(', ')}]`, () => {
      const gain = 1.5;
      const w = core.orthogonal(gain)(key(4), shape);
      expect(w.shape).to.deep.equal(shape);
      const columns = shape[shape.length - 1];
      const m = tf.reshape<tf.Rank.R2>(w, [-1, columns]);
      const product = m.shape[0] >= columns ? tf.matMul(m, m, true, false) : tf.matMul(m, m, false, true);
      expectClose(product, tf.mul(tf.eye(product.shape[0]), gain ** 2), {
        atol: tolerance({ float32: 2e-6, float64: 1e-12 }),
      });
    });
  }

  it('orthogonal has no preferred direction: its determinant takes both signs, its first entry has mean 0', () => {
    const firsts = Array.from({ length: 400 }, (_, i) => {
      const [a, b, c, d] = numbers(core.orthogonal()(key(i), [2, 2]));
      return { determinant: a * d - b * c, a };
    });
    const positive = firsts.filter(({ determinant }) => determinant > 0).length;
    expect(Math.abs(positive - 200)).to.be.below(40); // 4 standard deviations of 10
    const { mean, std } = moments(firsts.map(({ a }) => a));
    expect(Math.abs(mean)).to.be.below((4 * Math.SQRT1_2) / 20);
    expectClose(std, Math.SQRT1_2, { rtol: 0.1 }); // the cosine of a uniform angle
  });

  it('sparse leaves the same number of entries in every column', () => {
    const w = core.sparseInit(0.75, 2)(key(5), [50, 40]).arraySync() as number[][];
    for (let j = 0; j < 40; j++) expect(w.filter((row) => row[j] === 0).length).to.equal(38); // ceil(37.5)
    const kept = w.flat().filter((x) => x !== 0);
    expectClose(moments(kept).std, 2, { rtol: 0.15 });
    const rows = w.map((row) => row.filter((x) => x === 0).length);
    expect(new Set(rows).size, 'zeros fall independently in each column').to.be.above(1);
    expect(numbers(core.sparseInit(1)(key(5), [3, 2]))).to.deep.equal([0, 0, 0, 0, 0, 0]);
    expect(() => core.sparseInit(0.5)(key(5), [3])).to.throw(/two axes, got \[3\]/);
    expect(() => core.sparseInit(2)).to.throw(/sparsity must be in \[0, 1\], got 2/);
  });

  it('identity passes input on, in a dense layer and in a convolution', () => {
    const x = tf.tensor2d([[1, 2, 3]]);
    expect(numbers(tf.matMul(x, core.identityInit(2)(key(0), [3, 4])))).to.deep.equal([2, 4, 6, 0]);
    const image = tf.randomUniform<tf.Rank.R4>([1, 5, 6, 2], -1, 1, 'float32', 1);
    for (const window of [
      [3, 3],
      [4, 2],
      [1, 1],
    ]) {
      const filter = core.identityInit()(key(0), [...window, 2, 2]) as tf.Tensor4D;
      expectClose(tf.conv2d(image, filter, 1, 'same'), image);
    }
    expect(numbers(core.identityInit()(key(0), [3]))).to.deep.equal([0, 0, 0]);
  });
});

describe('calculateGain', () => {
  // torch.nn.init.calculate_gain; relu's is √2 (He et al. 2015), not 2.
  const GAINS: [string, number][] = [
    ['linear', 1],
    ['identity', 1],
    ['sigmoid', 1],
    ['tanh', 1.6666666666666667],
    ['relu', 1.4142135623730951],
    ['leakyRelu', 1.4141428569978354],
    ['selu', 0.75],
    ['toString', 1],
  ];
  for (const [name, gain] of GAINS) {
    it(`${name}: ${gain}`, () => {
      expectClose(core.calculateGain(name), gain, { rtol: 1e-15 });
    });
  }
  it('takes the slope of leakyRelu', () => {
    expectClose(core.calculateGain('leakyRelu', Math.sqrt(5)), Math.sqrt(1 / 3), { rtol: 1e-15 });
  });
});

describe('every initialiser', () => {
  const ALL: Record<string, core.Initialiser> = {
    glorotUniform: core.glorotUniform(),
    kaimingNormal: core.kaimingNormal(),
    lecunNormal: core.lecunNormal(),
    uniformInit: core.uniformInit(1),
    normalInit: core.normalInit(),
    truncatedNormalInit: core.truncatedNormalInit(),
    zerosInit: core.zerosInit(),
    onesInit: core.onesInit(),
    constantInit: core.constantInit(0.1),
    orthogonal: core.orthogonal(),
    sparseInit: core.sparseInit(0.5),
    identityInit: core.identityInit(),
  };
  for (const [name, init] of Object.entries(ALL)) {
    it(`${name} is a pure function of key and shape, also traced, and leaves one tensor`, () => {
      const k = key(6);
      const before = tf.memory().numTensors;
      const w = init(k, [4, 3]);
      expect(tf.memory().numTensors).to.equal(before + 1);
      expect(w.dtype).to.equal('float32');
      expect(numbers(init(k, [4, 3]))).to.deep.equal(numbers(w));
      expect(numbers(compile((given: tf.Tensor1D) => init(given, [4, 3]))(k))).to.deep.equal(numbers(w));
      expect(init(k, [0, 3]).shape).to.deep.equal([0, 3]);
    });
  }
  it('refuses an impossible gain', () => {
    expect(() => core.glorotNormal(-1)).to.throw(/gain must be a non-negative number, got -1/);
    expect(() => core.orthogonal(NaN)).to.throw(/gain must be a non-negative number, got NaN/);
    expect(() => core.orthogonal()(key(0), [3])).to.throw(/two axes or more, got \[3\]/);
  });
});
