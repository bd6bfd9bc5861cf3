import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile } from '../../src/graph/compile.js';
import { traceGraph } from '../../src/graph/trace.js';
import { grad } from '../../src/graph/transform.js';
import { expectClose } from '../support/close.js';
import { isFloat64, tolerance } from '../support/precision.js';
import { CASES, NOT_TRACED, type Argument, type OpCase } from './op-cases.js';

type Tensor = tf.Tensor;

/** Spread evenly over the range in an irregular order, so that no two are near each other. */
function values({ shape, from, to }: Argument, which: number): number[] {
  const n = shape.reduce((a, b) => a * b, 1);
  const order = Array.from({ length: n }, (_, i) => i).sort(
    (i, j) => Math.sin(7.3 * i + which) - Math.sin(7.3 * j + which),
  );
  const out = new Array<number>(n).fill(0);
  order.forEach((rank, i) => (out[i] = from + ((to - from) * (rank + 0.37 + 0.21 * which)) / (n + 1)));
  return out;
}

const weights = (shape: number[], phase: number): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Array.from({ length: n }, (_, i) => Math.cos(1.7 * i + phase) + 0.2),
    shape,
  );
};

/** A number out of everything the operation returns. */
function projected({ f }: OpCase, xs: readonly Tensor[]): Tensor {
  const result = f(...xs);
  const parts = (Array.isArray(result) ? result : [result]).flatMap((y) =>
    y.dtype === 'complex64' ? [tf.real(y), tf.imag(y)] : [y],
  );
  return tf.addN(parts.map((y, i) => tf.sum(tf.mul(y, weights(y.shape, 0.4 + i)))));
}

/** (f(x + h) - f(x - h)) / 2h for each element of each argument, improved by Richardson's extrapolation. */
function differences(
  f: (xs: Tensor[]) => Tensor,
  args: readonly Argument[],
  at: readonly number[][],
  h: number,
): number[] {
  const value = (k: number, i: number, by: number): number =>
    tf.tidy(() => {
      const xs = at.map((v, j) => {
        const moved = [...v];
        if (j === k) moved[i] += by;
        return tf.tensor(moved, args[j].shape);
      });
      return f(xs).dataSync()[0];
    });
  return at.flatMap((v, k) =>
    v.map((_, i) => {
      const slope = (step: number): number => (value(k, i, step) - value(k, i, -step)) / (2 * step);
      return isFloat64 ? (4 * slope(h / 2) - slope(h)) / 3 : slope(h);
    }),
  );
}

const flat = (xs: readonly Tensor[]): number[] => xs.flatMap((x) => Array.from(x.dataSync()));

describe('derivatives of tf operations', () => {
  for (const opCase of CASES) {
    const { name, args } = opCase;
    const at = args.map(values);
    const inputs = (): Tensor[] => at.map((v, k) => tf.tensor(v, args[k].shape));
    const loss = (xs: Tensor[]): Tensor => projected(opCase, xs);

    it(`${name}: first order`, () => {
      tf.tidy(() => {
        const actual = flat(grad(loss)(inputs()));
        const expected = differences(loss, args, at, isFloat64 ? 2e-4 : 1e-2);
        const scale = Math.max(1, ...expected.map(Math.abs));
        expectClose(
          actual,
          expected,
          tolerance({ float32: 3e-2, float64: 1e-8 }) === 1e-8
            ? { rtol: 1e-8, atol: 1e-9 * scale }
            : { rtol: 3e-2, atol: 3e-2 * scale },
          name,
        );
      });
    });

    if (isFloat64) {
      it(`${name}: second order`, () => {
        const slope = compile((xs: Tensor[]): Tensor => {
          const gradients = grad(loss)(xs);
          return tf.addN(gradients.map((g, i) => tf.sum(tf.mul(g, weights(g.shape, 1.1 + 0.6 * i)))));
        });
        tf.tidy(() => {
          const actual = flat(grad(slope)(inputs()));
          const expected = differences((xs) => slope(xs), args, at, 2e-4);
          const scale = Math.max(1, ...expected.map(Math.abs));
          expectClose(actual, expected, { rtol: 1e-6, atol: 1e-8 * scale }, name);
        });
      });
    }
  }

  it('covers every kernel of the cpu backend, or says why not', () => {
    const reached = new Set<string>();
    tf.tidy(() => {
      for (const opCase of CASES) {
        const specs = opCase.args.map(({ shape }) => ({ shape, dtype: 'float32' as const }));
        const loss = (xs: Tensor[]): Tensor => projected(opCase, xs);
        const slope = (xs: Tensor[]): Tensor => tf.addN(grad(loss)(xs).map((g) => tf.sum(tf.square(g))));
        for (const { kernel } of traceGraph(specs, (xs) => grad(slope)(xs)).nodes) reached.add(kernel);
      }
    });
    const kernels = tf.getKernelsForBackend('cpu').map(({ kernelName }) => kernelName);
    const missing = kernels.filter((k) => !reached.has(k) && !(k in NOT_TRACED) && !k.startsWith('Nullcline'));
    expect(missing.sort()).to.deep.equal([]);
  });
});
