import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import {
  bernoulli,
  foldIn,
  key,
  normal,
  permutation,
  randint,
  split,
  truncatedNormal,
  uniform,
  type Key,
} from '../../src/core/random.js';
import { normalCdf } from '../../src/core/gaussian.js';
import { compile } from '../../src/graph/compile.js';
import { grad } from '../../src/graph/transform.js';
import { expectClose } from '../support/close.js';
import { isFloat64, tolerance } from '../support/precision.js';

const words = (k: Key): number[] => Array.from(k.dataSync<'int32'>(), (w) => w >>> 0);
const numbers = (t: tf.Tensor): number[] => Array.from(t.dataSync());

/** Every sampler, for the laws that hold for all of them. */
const SAMPLERS: Record<string, (k: Key, n: number) => tf.Tensor> = {
  uniform: (k, n) => uniform(k, [n], { minval: -2, maxval: 3 }),
  normal: (k, n) => normal(k, [n], { mean: 1, std: 2 }),
  truncatedNormal: (k, n) => truncatedNormal(k, [n], { mean: 1, std: 2, lower: 0, upper: 9 }),
  bernoulli: (k, n) => bernoulli(k, 0.3, [n]),
  randint: (k, n) => randint(k, [n], -5, 12),
};

describe('random keys', () => {
  it('are the two halves of the seed, as in JAX', () => {
    const cases: [number, number[]][] = [
      [0, [0, 0]],
      [42, [0, 42]],
      [2 ** 40 + 5, [256, 5]],
      [-1, [0xffffffff, 0xffffffff]],
    ];
    for (const [seed, expected] of cases) expect(words(key(seed))).to.deep.equal(expected);
  });

  it('split as in JAX (jax.random.split(key(0), 3) and split(key(42)), jax_threefry_partitionable, jax >= 0.5)', () => {
    expect(split(key(0), 3).map(words)).to.deep.equal([
      [1797259609, 2579123966],
      [928981903, 3453687069],
      [4146024105, 2718843009],
    ]);
    expect(split(key(42)).map(words)).to.deep.equal([
      [1832780943, 270669613],
      [64467757, 2916123636],
    ]);
  });

  it('fold in as they split', () => {
    const children = split(key(3), 5).map(words);
    for (let i = 0; i < 5; i++) expect(words(foldIn(key(3), i))).to.deep.equal(children[i]);
    expect(words(foldIn(key(3), 2 ** 40))).not.to.deep.equal(children[0]);
  });

  it('refuse what is not a seed, a count or a key', () => {
    expect(() => key(0.5)).to.throw(/safe integer, got 0.5/);
    expect(() => key(2 ** 53)).to.throw(/safe integer/);
    expect(() => split(key(0), 0)).to.throw(/positive integer, got 0/);
    expect(() => foldIn(key(0), -1)).to.throw(/non-negative integer, got -1/);
    expect(() => uniform(tf.tensor1d([1, 2, 3], 'int32'), [1])).to.throw(
      /uniform: expected a key .* got an int32 tensor \[3\]/,
    );
    expect(() => normal(7 as unknown as Key, [1])).to.throw(/normal: expected a key .* got 7/);
    expect(() => uniform(key(0), [-1])).to.throw(/expected a shape .* got \[-1\]/);
  });
});

describe('random numbers', () => {
  it('have the bits of JAX', () => {
    // jax.random.uniform(key(0), (4,)): JAX keeps 23 bits, the 24th is ours.
    expectClose(uniform(key(0), [4]), [0.9476670027, 0.9785798788, 0.3322914839, 0.4686684608], { atol: 1.2e-7 });
    // jax.random.normal(key(42)), from JAX's page "Pseudorandom numbers"; its uniform has 23 bits where ours has 52.
    expectClose(normal(key(42), []), -0.028304616, { atol: 3e-7 });
    // A published run: w = normal(split(key(42))[0], (2,)) * 0.01 = [0.00075926, -0.00486343].
    expectClose(normal(split(key(42))[0], [2]), [0.075926, -0.486343], { atol: 1e-6 });
  });

  it('uniform in [0, 1) are multiples of 2^-24', () => {
    const xs = numbers(uniform(key(1), [10_000]));
    expect(xs.every((x) => x >= 0 && x < 1 && Number.isInteger(x * 2 ** 24))).to.equal(true);
  });

  it('do not depend on how many are drawn', () => {
    for (const draw of Object.values(SAMPLERS)) {
      expect(numbers(draw(key(4), 10))).to.deep.equal(numbers(draw(key(4), 1000)).slice(0, 10));
    }
  });

  /** sup |F_n - F|; beyond 1.95 / sqrt(n) with probability 0.001 (Kolmogorov). */
  const kolmogorov = (xs: number[], cdf: (x: number) => number): number => {
    const sorted = [...xs].sort((a, b) => a - b);
    return sorted.reduce((d, x, i) => {
      const f = cdf(x);
      return Math.max(d, Math.abs(f - i / sorted.length), Math.abs(f - (i + 1) / sorted.length));
    }, 0);
  };
  const n = 100_000;
  const phi = (x: number): number => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

  const CONTINUOUS: {
    name: string;
    draw: (k: Key) => tf.Tensor;
    cdf: (x: number) => number;
    mean: number;
    variance: number;
  }[] = [
    { name: 'uniform', draw: (k) => uniform(k, [n]), cdf: (x) => x, mean: 0.5, variance: 1 / 12 },
    {
      name: 'uniform on [-2, 3)',
      draw: (k) => uniform(k, [n], { minval: -2, maxval: 3 }),
      cdf: (x) => (x + 2) / 5,
      mean: 0.5,
      variance: 25 / 12,
    },
    { name: 'normal', draw: (k) => normal(k, [n]), cdf: normalCdf, mean: 0, variance: 1 },
    {
      name: 'normal with mean 3 and std 0.5',
      draw: (k) => normal(k, [n], { mean: 3, std: 0.5 }),
      cdf: (x) => normalCdf((x - 3) / 0.5),
      mean: 3,
      variance: 0.25,
    },
    {
      name: 'truncated normal',
      draw: (k) => truncatedNormal(k, [n]),
      cdf: (x) => (normalCdf(x) - normalCdf(-2)) / (normalCdf(2) - normalCdf(-2)),
      mean: 0,
      variance: 1 - (4 * phi(2)) / (normalCdf(2) - normalCdf(-2)), // 0.7737, of std 0.8796
    },
    {
      // Beyond 3: mean phi(3) / Q(3), variance 1 + 3 m - m² (Mills).
      name: 'normal tail above 3',
      draw: (k) => truncatedNormal(k, [n], { lower: 3, upper: 30 }),
      cdf: (x) => 1 - normalCdf(-x) / normalCdf(-3),
      mean: phi(3) / normalCdf(-3),
      variance: 1 + (3 * phi(3)) / normalCdf(-3) - (phi(3) / normalCdf(-3)) ** 2,
    },
  ];
  CONTINUOUS.forEach(({ name, draw, cdf, mean, variance }, i) => {
    it(`follow their distribution: ${name}`, () => {
      const xs = numbers(draw(key(1000 + i)));
      const m = xs.reduce((s, x) => s + x, 0) / n;
      const v = xs.reduce((s, x) => s + (x - m) ** 2, 0) / n;
      expectClose(m, mean, { atol: 4 * Math.sqrt(variance / n) }, 'mean');
      expectClose(v, variance, { atol: 4 * variance * Math.sqrt(8 / n) }, 'variance'); // kurtosis at most 9: an exponential's
      expect(kolmogorov(xs, cdf)).to.be.below(1.95 / Math.sqrt(n));
    });
  });

  it('in neighbouring positions and neighbouring keys are uncorrelated', () => {
    const a = numbers(normal(key(5), [n]));
    const [first, second] = split(key(5)).map((k) => numbers(normal(k, [n])));
    const correlation = (x: number[], y: number[]): number => x.reduce((s, xi, i) => s + xi * y[i], 0) / x.length;
    const bound = 4 / Math.sqrt(n);
    expect(Math.abs(correlation(a.slice(0, -1), a.slice(1)))).to.be.below(bound);
    expect(Math.abs(correlation(first, second))).to.be.below(bound);
    expect(Math.abs(correlation(a, first))).to.be.below(bound);
    expect(Math.abs(correlation(a, numbers(normal(key(6), [n]))))).to.be.below(bound);
  });

  it('bernoulli are true with probability p', () => {
    for (const p of [0, 0.1, 0.5, 1]) {
      const draws = bernoulli(key(7), p, [n]);
      expect(draws.dtype).to.equal('bool');
      const share = numbers(draws).reduce((s, x) => s + x, 0) / n;
      expect(Math.abs(share - p)).to.be.at.most(4 * Math.sqrt((p * (1 - p)) / n));
    }
    expect(() => bernoulli(key(7), 1.5, [1])).to.throw(/p must be in \[0, 1\], got 1.5/);
  });

  it('randint are equally likely (chi-squared, 16 degrees of freedom, 39.25 at 0.001)', () => {
    const counts = new Map<number, number>();
    for (const x of numbers(randint(key(8), [n], -5, 12))) counts.set(x, (counts.get(x) ?? 0) + 1);
    expect([...counts.keys()].sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 17 }, (_, i) => i - 5));
    const expected = n / 17;
    const chi2 = [...counts.values()].reduce((s, c) => s + (c - expected) ** 2 / expected, 0);
    expect(chi2).to.be.below(39.25);
    expect(() => randint(key(8), [1], 3, 3)).to.throw(/minval < maxval, got 3 and 3/);
  });

  it('permutation holds every index once, and each order of three comes equally often', () => {
    const long = numbers(permutation(key(9), 1000));
    expect([...long].sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 1000 }, (_, i) => i));
    const counts = new Map<string, number>();
    for (const k of split(key(10), 6000)) {
      const order = numbers(permutation(k, 3)).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).to.equal(6);
    const chi2 = [...counts.values()].reduce((s, c) => s + (c - 1000) ** 2 / 1000, 0);
    expect(chi2).to.be.below(20.5); // 5 degrees of freedom, 0.001
  });

  it('keep their settings to themselves', () => {
    expect(() => uniform(key(0), [1], { minval: 2, maxval: 1 })).to.throw(/maxval 1 is less than minval 2/);
    expect(() => uniform(key(0), [1], { minval: NaN })).to.throw(/minval must be a finite number/);
    expect(() => normal(key(0), [1], { std: -1 })).to.throw(/std must not be negative, got -1/);
    expect(() => truncatedNormal(key(0), [1], { lower: 2, upper: 1 })).to.throw(/upper above lower/);
    expect(() => truncatedNormal(key(0), [1], { lower: 50, upper: 60 })).to.throw(/37 standard deviations/);
    expect(numbers(normal(key(0), [3], { std: 0, mean: 2 }))).to.deep.equal([2, 2, 2]);
  });

  it('name an unknown option, and what was meant', () => {
    const k = key(0);
    const says = (f: () => unknown, message: string): void => {
      expect(f).to.throw(TypeError, message);
    };
    says(() => normal(k, [1], { sigma: 5 } as object), 'normal: unknown option "sigma"; did you mean "std"?');
    says(() => normal(k, [1], { maen: 5 } as object), 'normal: unknown option "maen"; did you mean "mean"?');
    says(() => normal(k, [1], { min: 5 } as object), 'normal: unknown option "min"');
    says(() => normal(k, [1], 5 as never), 'normal: options: expected object, got 5');
    says(() => uniform(k, [2], { min: 1 } as object), 'uniform: unknown option "min"; did you mean "minval"?');
    says(() => uniform(k, [2], { seed: 1 } as object), 'uniform: unknown option "seed" (it takes minval, maxval)');
    says(() => truncatedNormal(k, [2], { high: 1 } as object), 'truncatedNormal: unknown option "high"; did you mean "upper"?'); // prettier-ignore
    says(() => randint(k, [2], { minval: 1 } as never, 3), 'randint: expected 32-bit integers minval < maxval, got an object {minval} and 3'); // prettier-ignore
    expect(uniform(k, [2], { minval: undefined } as object).shape).to.deep.equal([2]);
  });

  it('say what was given for a shape', () => {
    const got = (shape: unknown, what: string): void => {
      expect(() => uniform(key(0), shape as number[])).to.throw(TypeError, `integers), got ${what}`);
    };
    got(3, '3');
    got([1.5, 2], '[1.5, 2]');
    got(undefined, 'undefined');
    got({ shape: [1] }, 'an object {shape}');
    got(key(1), 'an int32 tensor [2]');
  });

  it('come in any shape, also an empty one', () => {
    expect(normal(key(0), [2, 3, 4]).shape).to.deep.equal([2, 3, 4]);
    expect(normal(key(0), []).shape).to.deep.equal([]);
    expect(normal(key(0), [0, 3]).size).to.equal(0);
  });

  it('in double precision are those of single precision with more digits', function () {
    if (!isFloat64) this.skip();
    const xs = numbers(normal(key(11), [1000]));
    expect(xs.some((x) => Math.fround(x) !== x)).to.equal(true);
  });
});

describe('random numbers elsewhere', () => {
  const draws = (k: Key): tf.Tensor[] => {
    const keys = split(k, Object.keys(SAMPLERS).length + 1);
    const drawn = Object.values(SAMPLERS).map((draw, i) => draw(keys[i], 20));
    return [...drawn, permutation(keys[keys.length - 1], 20), normal(foldIn(k, 7), [2, 2])];
  };

  it('are the same in a compiled function, whose key is an input and not frozen', () => {
    const compiled = compile(draws);
    for (const seed of [1, 2]) {
      expect(compiled(key(seed)).map(numbers)).to.deep.equal(draws(key(seed)).map(numbers));
    }
    expect(compiled.stats.traces).to.equal(1);
  });

  it('have no derivative of their own, and let others pass', () => {
    const loss = (x: tf.Tensor, k: Key): tf.Tensor => tf.sum(tf.mul(x, normal(k, [3])));
    const expected = numbers(normal(key(3), [3]));
    expectClose(grad(loss)(tf.ones([3]), key(3)), expected, { rtol: tolerance({ float32: 1e-7, float64: 0 }) });
    expectClose(tf.grad((x) => loss(x, key(3)))(tf.ones([3])), expected);
  });

  it('leave nothing behind but what is returned', () => {
    const k = key(0);
    const before = tf.memory().numTensors;
    const results = draws(k);
    tf.dispose(results);
    // The keys split in `draws` are its own to free.
    expect(tf.memory().numTensors - before).to.equal(Object.keys(SAMPLERS).length + 1 + 1);
    const eager = tf.memory().numTensors;
    tf.dispose(tf.tidy(() => draws(k)));
    const compiled = compile(draws);
    tf.dispose(compiled(k));
    tf.dispose(compiled(k));
    expect(tf.memory().numTensors).to.equal(eager);
  });

  describe('on the wasm backend', () => {
    let previous: string;
    beforeEach(async function () {
      if (isFloat64) this.skip(); // its tensors are single precision by nature
      await import('@tensorflow/tfjs-backend-wasm');
      previous = tf.getBackend();
      await tf.setBackend('wasm');
    });
    afterEach(async () => {
      if (!isFloat64) await tf.setBackend(previous);
    });

    it('are the same, eager and compiled', async () => {
      const eager = draws(key(5)).map(numbers);
      const compiled = compile(draws)(key(5)).map(numbers);
      expect(tf.getBackend()).to.equal('wasm');
      await tf.setBackend('cpu');
      const onCpu = draws(key(5)).map(numbers);
      await tf.setBackend('wasm');
      expect(eager).to.deep.equal(onCpu);
      expect(compiled).to.deep.equal(onCpu);
    });
  });
});
