import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import {
  adaptiveMaxPool,
  adaptiveMeanPool,
  apply,
  chain,
  constant,
  globalLpPool,
  globalMaxPool,
  globalMeanPool,
  grad,
  key,
  lpPool,
  maxPool,
  meanPool,
  normal,
  setup,
  type Stateless,
  type Tensor,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const close = {
  rtol: tolerance({ float32: 1e-5, float64: 1e-13 }),
  atol: tolerance({ float32: 1e-6, float64: 1e-13 }),
};

const run = (layer: Stateless, x: Tensor): Tensor => apply(layer, x, {}, {})[0];

type Reduce = (inside: readonly number[], size: number) => number;

const MEAN: Reduce = (inside, size) => inside.reduce((a, b) => a + b, 0) / size;
const REDUCTIONS: Readonly<Record<string, Reduce>> = {
  max: (inside) => Math.max(...inside),
  mean: MEAN,
  meanInside: (inside) => MEAN(inside, inside.length),
  p3: (inside) => inside.reduce((a, b) => a + Math.abs(b) ** 3, 0) ** (1 / 3),
};

interface Case {
  readonly input: readonly number[];
  readonly window: readonly number[];
  readonly options?: Parameters<typeof maxPool>[1];
  readonly sizes: readonly number[];
  /** Elements in front of each axis. */
  readonly before: readonly number[];
  readonly stride: readonly number[];
  readonly dilation?: readonly number[];
}

const CASES: Readonly<Record<string, Case>> = {
  'one axis': { input: [2, 7, 2], window: [3], sizes: [2], before: [0], stride: [3] },
  'one axis, everything': { input: [2, 7, 2], window: [3], options: { stride: 2, pad: [[1, 2]], dilation: 2 }, sizes: [3], before: [1], stride: [2], dilation: [2] },
  images: { input: [2, 5, 6, 3], window: [2, 3], options: { pad: [1, [0, 1]], stride: [2, 1] }, sizes: [3, 5], before: [1, 0], stride: [2, 1] },
  'images, same': { input: [1, 5, 4, 2], window: [3, 2], options: { pad: 'same', stride: 2 }, sizes: [3, 2], before: [1, 0], stride: [2, 2] },
  'images, same with dilation': { input: [1, 4, 4, 2], window: [2, 2], options: { pad: 'same', stride: 1, dilation: 3 }, sizes: [4, 4], before: [1, 1], stride: [1, 1], dilation: [3, 3] },
  'images, whole': { input: [2, 3, 4, 2], window: [3, 4], sizes: [1, 1], before: [0, 0], stride: [3, 4] },
  volumes: { input: [1, 3, 4, 2, 2], window: [2, 3, 1], options: { pad: [0, 1, 0], stride: [1, 2, 1] }, sizes: [2, 2, 2], before: [0, 1, 0], stride: [1, 2, 1] },
  'volumes, same': { input: [1, 3, 2, 3, 2], window: [2, 2, 3], options: { pad: 'same', stride: [2, 1, 1] }, sizes: [2, 2, 3], before: [0, 0, 1], stride: [2, 1, 1] },
}; // prettier-ignore

const places = (shape: readonly number[]): number[][] =>
  shape.reduce<number[][]>((all, n) => all.flatMap((p) => Array.from({ length: n }, (_, i) => [...p, i])), [[]]);

/** Each window's elements that lie inside, reduced, in doubles. */
function byDefinition(x: Tensor, c: Case, reduce: Reduce): number[] {
  const values = x.dataSync();
  const axes = c.window.length;
  return places([x.shape[0], ...c.sizes, x.shape[axes + 1]]).map((to) => {
    const inside: number[] = [];
    for (const tap of places(c.window)) {
      const from = tap.map((k, i) => to[i + 1] * c.stride[i] - c.before[i] + k * (c.dilation?.[i] ?? 1));
      if (from.some((n, i) => n < 0 || n >= x.shape[i + 1])) continue;
      const place = [to[0], ...from, to[axes + 1]];
      inside.push(values[place.reduce((index, n, i) => index * x.shape[i] + n, 0)]);
    }
    return reduce(
      inside,
      c.window.reduce((n, m) => n * m, 1),
    );
  });
}

describe('pooling', () => {
  for (const [name, c] of Object.entries(CASES)) {
    const layers: Readonly<Record<string, Stateless>> = {
      max: maxPool(c.window, c.options),
      mean: meanPool(c.window, c.options),
      meanInside: meanPool(c.window, { ...c.options, countIncludePad: false }),
      p3: lpPool(c.window, { ...c.options, p: 3 }),
    };
    for (const [reduction, layer] of Object.entries(layers)) {
      it(`is the reduction of each window: ${reduction}, ${name}`, () => {
        // All below zero, so that an element from outside would win if it took part.
        const x = tf.sub(normal(key(3), c.input), constant(10));
        const y = run(layer, x);
        expect(y.shape).to.deep.equal([c.input[0], ...c.sizes, c.input[c.input.length - 1]]);
        expectClose(y, byDefinition(x, c, REDUCTIONS[reduction]), close);
      });
    }
  }

  it('takes the whole image, or as many windows as are wanted', () => {
    const x = constant([1, 5, -2, 4, 3, 0, 7, -8], [1, 2, 4, 1]);
    expectClose(run(globalMaxPool(), x), [7], close);
    expectClose(run(globalMeanPool(), x), [10 / 8], close);
    expectClose(run(globalLpPool(), x), [Math.sqrt(168)], close);
    expectClose(run(globalLpPool({ p: 1 }), x), [30], close);
    // Stride floor(4 / 3) = 1, windows of 4 - 2 * 1 = 2.
    expectClose(run(adaptiveMaxPool([1, 3]), x), [5, 7, 7], close);
    expectClose(run(adaptiveMeanPool([2, 2]), x), [3, 1, 1.5, -0.5], close);
  });

  it('differentiates a p-norm of zeros as zero', () => {
    const slope = grad((x: Tensor) => tf.sum(run(lpPool([2]), x)))(constant([0, 0, 3, -4], [1, 4, 1]));
    expectClose(slope, [0, 0, 0.6, -0.8], close);
  });

  it('gives the cotangent of a window to its maximum, a negative one, too', () => {
    for (const shape of [
      [1, 4, 1],
      [1, 1, 4, 1],
      [1, 1, 1, 4, 1],
    ]) {
      const window = shape.slice(1, -1).map((n) => (n === 4 ? 2 : 1));
      const f = (x: Tensor): Tensor => tf.sum(run(maxPool(window, { stride: 1 }), x));
      expectClose(grad(f)(constant([-3, -1, -2, -5], shape)), [0, 2, 1, 0], close);
    }
  });

  const errors: Readonly<Record<string, [() => unknown, RegExp]>> = {
    'a window that is a number': [() => maxPool(2 as unknown as number[]), /^maxPool: the window must be an array of one to three positive integers, one for each axis, got 2$/],
    'an empty window': [() => meanPool([]), /got \[\]$/],
    'an exponent of 0': [() => lpPool([2], { p: 0 }), /^lpPool: option "p": expected a positive number, got 0$/],
    'an unknown option': [() => maxPool([2], { strid: 2 } as object), /^maxPool: unknown option "strid"; did you mean "stride"\?$/],
    'options where there are none': [() => globalLpPool({ q: 1 } as object), /^globalLpPool: unknown option "q"; did you mean "p"\?$/],
    'bad output sizes': [() => adaptiveMaxPool([0]), /^adaptiveMaxPool: the output size must be an array/],
  }; // prettier-ignore
  for (const [name, [make, message]] of Object.entries(errors)) {
    it(`refuses ${name}`, () => {
      expect(make).to.throw(TypeError, message);
    });
  }

  it('says where, what it wanted and what it got', () => {
    const inModel = (layer: Stateless, shape: number[]): (() => unknown) => {
      const model = chain({ pool: layer });
      const [ps, st] = setup(key(0), model);
      return () => apply(model, tf.zeros(shape), ps, st);
    };
    expect(inModel(maxPool([2, 2]), [1, 4, 3])).to.throw(
      'MaxPool((2, 2)): expected an input with 4 axes, got shape [1, 4, 3] (in layer pool)',
    );
    expect(inModel(meanPool([3], { pad: [1, 0] }), [1, 1, 2])).to.throw(
      'MeanPool((3,), pad=(1, 0)): a window that reaches over 3 does not fit axis 1 of size 1, 2 with its padding, ' +
        'got shape [1, 1, 2] (in layer pool)',
    );
    expect(inModel(adaptiveMeanPool([4]), [1, 3, 2])).to.throw(
      'AdaptiveMeanPool((4,)): cannot make [4] windows of [3], got shape [1, 3, 2] (in layer pool)',
    );
    expect(inModel(globalMaxPool(), [2, 3])).to.throw('expected an input with 3 to 5 axes, got shape [2, 3]');
  });
});
