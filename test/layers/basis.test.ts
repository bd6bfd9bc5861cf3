import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  chebyshevBasis,
  constant,
  cosBasis,
  dense,
  fourierBasis,
  grad,
  key,
  kolmogorovArnold,
  legendreBasis,
  normal,
  periodicEmbedding,
  polynomialBasis,
  positiveDefinite,
  setup,
  shiftTo,
  sinBasis,
  splineLayer,
  tensorProductLayer,
  type Basis,
  type Tensor,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 2e-5, float64: 1e-12 }),
  atol: tolerance({ float32: 2e-6, float64: 1e-13 }),
};
const xs = [-1, -0.6, 0, 0.3, 0.95, 1];

/** The families by other formulas than the layers use. */
const FAMILIES: Readonly<Record<string, [(n: number) => Basis, (x: number) => number[]]>> = {
  'Chebyshev, cos(n acos x)': [chebyshevBasis, (x) => [0, 1, 2, 3, 4].map((n) => Math.cos(n * Math.acos(x)))],
  // Abramowitz and Stegun, table 22.9
  'Legendre, written out': [
    legendreBasis,
    (x) => [1, x, (3 * x * x - 1) / 2, (5 * x ** 3 - 3 * x) / 2, (35 * x ** 4 - 30 * x * x + 3) / 8],
  ],
  'powers': [polynomialBasis, (x) => [0, 1, 2, 3, 4].map((n) => x ** n)],
  'sines': [sinBasis, (x) => [1, 2, 3, 4, 5].map((n) => Math.sin(n * x))],
  'cosines': [cosBasis, (x) => [1, 2, 3, 4, 5].map((n) => Math.cos(n * x))],
  'Fourier': [fourierBasis, (x) => [1, Math.cos(x), Math.sin(x), Math.cos(2 * x), Math.sin(2 * x)]],
}; // prettier-ignore

describe('bases', () => {
  for (const [name, [make, expected]] of Object.entries(FAMILIES)) {
    it(`has the values of ${name}`, () => {
      const layer = make(5);
      expect(layer.size).to.equal(5);
      expectClose(layer.apply(constant(xs), {}, {})[0], xs.map(expected), close);
    });
  }

  it('has derivatives at the ends of the interval, and values beyond', () => {
    // T_n'(1) = n², T_4(2) = 97
    const ends = grad((x: Tensor) =>
      tf.sum(tf.mul(chebyshevBasis(4).apply(x, {}, {})[0], constant([1, 10, 100, 1000]))),
    );
    expectClose(ends(constant([1])), [10 + 400 + 9000], close);
    expectClose(chebyshevBasis(5).apply(constant(2), {}, {})[0].slice([4], [1]), [97], close);
  });

  it('multiply into functions of several variables', () => {
    const layer = tensorProductLayer([polynomialBasis(2), polynomialBasis(3)], 1);
    const weight = constant([[1], [2], [3], [4], [5], [6]]);
    const [y] = layer.apply(constant([[2, 3], [-1, 0.5]]), { weight }, {}); // prettier-ignore
    const f = (a: number, b: number): number => 1 + 2 * b + 3 * b * b + a * (4 + 5 * b + 6 * b * b);
    expectClose(y, [f(2, 3), f(-1, 0.5)], close);
  });

  it('make features periodic', () => {
    const layer = periodicEmbedding([0, 2], [2, 5]);
    const [y] = layer.apply(constant([[0.3, 7, 1.2]]), {}, {});
    const [a, b] = [Math.PI * 0.3, (2 * Math.PI * 1.2) / 5];
    expectClose(y, [7, Math.sin(a), Math.sin(b), Math.cos(a), Math.cos(b)], close);
    const [moved] = layer.apply(constant([[-3.7, 7, 16.2]]), {}, {});
    expectClose(moved, y, { atol: tolerance({ float32: 1e-5, float64: 1e-13 }) });
  });

  it('say what is wrong', () => {
    expect(() => chebyshevBasis(0)).to.throw(
      'chebyshevBasis: the number of functions must be a positive integer, got 0',
    );
    expect(() => tensorProductLayer([] as never, 1)).to.throw(/must be an array of bases, got \[\]/);
    expect(() => periodicEmbedding([0, 0], [1, 1])).to.throw(/different non-negative integers, got \[0, 0\]/);
    expect(() => periodicEmbedding([0], [-1])).to.throw(/the periods must be 1 positive numbers.*got \[-1\]/);
    expect(() => periodicEmbedding([4], [1]).apply(tf.zeros([2, 3]), {}, {})).to.throw(
      'PeriodicEmbedding([4], [1]): the input has no feature 4, got shape [2, 3]',
    );
  });
});

describe('splineLayer', () => {
  const at = (layer: ReturnType<typeof splineLayer>, t: Tensor, points: number[]): Tensor =>
    layer.apply(t, { savedPoints: constant(points) }, {})[0];

  it('goes through its points', () => {
    const points = [3, -1, 2, 5];
    for (const basis of ['constant', 'linear', 'cubic'] as const) {
      const layer = splineLayer([], 1, 4, 4, { basis });
      const through = at(layer, constant([1, 2, 3]), points);
      expectClose(through, [3, -1, 2], { rtol: close.rtol, atol: 10 * close.atol });
    }
    expectClose(at(splineLayer([], 1, 4, 4), constant([4]), points), [5], { rtol: 10 * close.rtol });
  });

  it('is steps, lines, or the natural cubic spline', () => {
    const times = constant([0.25, 1.5, 2.75, -0.5, 3.5]);
    expectClose(at(splineLayer([], 0, 3, 4, { basis: 'constant' }), times, [1, 2, 4, 8]), [1, 2, 4, 1, 4]);
    expectClose(at(splineLayer([], 0, 3, 4, { basis: 'linear' }), times, [1, 2, 4, 8]), [1.25, 3, 7, 0.5, 10], close);
    // Through (0, 0), (1, 1), (2, 0), curvature 0 at the ends: M = -3 in the middle, y = 3/2 t - 1/2 t³ up to 1.
    const cubic = splineLayer([], 0, 2, 3);
    expectClose(at(cubic, constant([0.5, 0.2, 1.5]), [0, 1, 0]), [0.75 - 0.0625, 0.3 - 0.004, 0.6875], close);
    const slope = grad((t: Tensor) => tf.sum(at(cubic, t, [0, 1, 0])));
    expectClose(slope(constant([0, 1, 2])), [1.5, 0, -1.5], close);
  });

  it('keeps slope and curvature across its points', () => {
    const layer = splineLayer(2, -1, 1, 6);
    const [ps] = setup(key(3), layer);
    const along = (t: Tensor): Tensor => tf.sum(tf.mul(layer.apply(t, ps, {})[0], constant([1, 3])));
    const slope = (t: Tensor): Tensor => tf.sum(grad(along)(t));
    const e = 1e-6;
    const left = constant([-0.6 - e, 0.2 - e]);
    const right = constant([-0.6 + e, 0.2 + e]);
    const looser = { rtol: 1e-3, atol: 1e-3 };
    expectClose(grad(along)(left), grad(along)(right), looser);
    expectClose(grad(slope)(left), grad(slope)(right), looser);
  });

  it('says what is wrong', () => {
    expect(() => splineLayer(1, 2, 1, 4)).to.throw(
      'splineLayer: the grid must go from a finite number to a greater one, got 2 and 1',
    );
    expect(() => splineLayer(1, 0, 1, 1)).to.throw(/an integer from 2 on, got 1/);
    expect(() => splineLayer(1, 0, 1, 4, { trainGrid: true })).to.throw(/goes with the basis "linear" or "constant"/);
    expect(() => splineLayer(1, 0, 1, 4, { basis: 'quintic' as 'cubic' })).to.throw(/option "basis": expected one of/);
  });
});

describe('kolmogorovArnold', () => {
  it('is a sum of functions of one variable, each a sum of bumps and a base', () => {
    const layer = kolmogorovArnold(2, 3, 5, { basis: 'rbf', normalizer: 'tanh', gridLims: [-1, 1] });
    const [ps] = setup(key(2), layer) as [{ coefficients: Tensor; weight: Tensor }, object];
    const x = normal(key(5), [4, 2]);
    const [c, w] = [ps.coefficients.arraySync() as number[][], ps.weight.arraySync() as number[][]];
    const expected = (x.arraySync() as number[][]).map((row) =>
      [0, 1, 2].map((o) =>
        row.reduce((sum, xi, i) => {
          const bumps = [-1, -0.5, 0, 0.5, 1].map(
            (g, k) => c[5 * i + k][o] * Math.exp(-(((Math.tanh(xi) - g) / 0.5) ** 2)),
          );
          return sum + bumps.reduce((a, b) => a + b) + (w[i][o] * xi) / (1 + Math.exp(-xi));
        }, 0),
      ),
    );
    expectClose(layer.apply(x, ps, {})[0], expected, { rtol: 20 * close.rtol, atol: 20 * close.atol });
  });

  it('has bumps that are cubic B-splines: they add up to 1, and join with two derivatives', () => {
    const layer = kolmogorovArnold(1, 1, 9, { normalizer: 'identity', useBaseActivation: false, gridLims: [-4, 4] });
    const all = (x: Tensor): Tensor => layer.apply(x, { coefficients: tf.ones([9, 1]) }, {})[0];
    expectClose(all(constant([[-2.7], [0], [0.31], [2.99]])), [1, 1, 1, 1], close);
    // the values of the cardinal cubic B-spline at whole numbers are 1/6, 2/3, 1/6
    const one = (x: Tensor): Tensor =>
      layer.apply(
        x,
        {
          coefficients: tf
            .oneHot(tf.tensor1d([4], 'int32'), 9)
            .cast('float32')
            .reshape([9, 1]),
        },
        {},
      )[0];
    expectClose(one(constant([[-2], [-1], [0], [1], [2]])), [0, 1 / 6, 2 / 3, 1 / 6, 0], close);
    const slope = (x: Tensor): Tensor => grad((v: Tensor) => tf.sum(one(v)))(x);
    expectClose(slope(constant([[-1], [0], [1.5]])), [0.5, 0, -0.125], close);
  });

  it('says what is wrong', () => {
    expect(() => kolmogorovArnold(2, 2, 1)).to.throw(
      'kolmogorovArnold: the length of the grid must be an integer from 2 on, got 1',
    );
    expect(() => kolmogorovArnold(2, 2, 4, { gridLims: [1, 1] })).to.throw(
      /expected two increasing numbers, got \[1, 1\]/,
    );
    expect(() => kolmogorovArnold(2, 2, 4, { basis: 'splines' as 'spline' })).to.throw(/option "basis"/);
    const layer = kolmogorovArnold(2, 2, 3);
    expect(() => layer.apply(tf.zeros([1, 3]), setup(key(1), layer)[0], {})).to.throw(
      /with 2 features in its last axis/,
    );
  });
});

describe('layers with a known value at a point', () => {
  const inner = dense(2, 3, 'tanh');
  const [ps] = setup(key(3), inner);

  it('are positive but for one point', () => {
    const layer = positiveDefinite(inner, [0.5, -1]);
    const [y] = layer.apply(constant([[0.5, -1], [0.5, -0.9], [3, 2]]), ps, {}); // prettier-ignore
    const [at, near, far] = y.dataSync();
    expect(at).to.equal(0);
    expect(near).to.be.at.least(0.0099);
    expect(far).to.be.at.least(2.5 ** 2 + 3 ** 2);
    const own = positiveDefinite(inner, [0.5, -1], {
      psi: (d) => tf.sum(tf.abs(d), -1, true),
      r: (d) => tf.sum(tf.abs(d), -1, true),
    });
    const x = constant([[3, 2]]);
    const difference = tf.sub(inner.apply(x, ps, {})[0], inner.apply(constant([[0.5, -1]]), ps, {})[0]);
    expectClose(own.apply(x, ps, {})[0], tf.add(tf.sum(tf.abs(difference)), constant(5.5)), close);
  });

  it('are shifted to a value', () => {
    const layer = shiftTo(inner, [1, 2], [3, 4, 5]);
    const [y] = layer.apply(constant([[1, 2], [0, 0]]), ps, {}); // prettier-ignore
    expectClose(y.slice([0, 0], [1, 3]), [3, 4, 5], close);
    const plain = inner.apply(constant([[1, 2], [0, 0]]), ps, {})[0]; // prettier-ignore
    const moved = tf.sub(y, plain);
    expectClose(moved.slice([0, 0], [1, 3]), moved.slice([1, 0], [1, 3]), { atol: 1e-6 });
  });

  it('say what is wrong', () => {
    expect(() => positiveDefinite(inner, [NaN, 1])).to.throw(
      'positiveDefinite: x0 must be an array of finite numbers, got [NaN, 1]',
    );
    expect(() => shiftTo('dense' as never, [1], [1])).to.throw(
      'shiftTo: the first argument must be a layer, got "dense"',
    );
    expect(() => positiveDefinite(inner, [1]).apply(tf.zeros([2, 2]), ps, {})).to.throw(
      /PositiveDefinite\(\[1\]\): expected an input with 1 feature/,
    );
  });
});
