import '../../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import * as tf from '@tensorflow/tfjs';
import { constant, type Tensor } from '../../../src/index.js';
import type { Program } from '../../../src/graph/program.js';
import { dopri5, rk4 } from '../../../solvers/index.js';
import { traceField } from '../../../solvers/ode/field.js';
import { StepPrograms } from '../../../solvers/ode/programs.js';
import { expectClose } from '../../support/close.js';
import { tolerance } from '../../support/precision.js';

const close = {
  rtol: tolerance({ float64: 1e-12, float32: 1e-5 }),
  atol: tolerance({ float64: 1e-13, float32: 1e-5 }),
};
const ABSTOL = 1e-3;
const RELTOL = 1e-2;
const STATE = [3, 2];
const SIZE = 6;

/** f(u, t) = a u + t */
function programsOf({ tableau }: ReturnType<typeof dopri5>): StepPrograms {
  const f = (u: Tensor, a: Tensor, t: Tensor): Tensor => tf.add(tf.mul(u, a), t);
  const { field } = traceField(f, tf.zeros(STATE), tf.scalar(1));
  return new StepPrograms(field, tableau, { abstol: ABSTOL, reltol: RELTOL });
}

/** Numbers without a pattern. */
const numbers = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(seed + 7 * i * i));
const read = (program: Program, inputs: Tensor[]): number[][] =>
  program.run(inputs).map((y) => Array.from(y.dataSync()));

describe('dense output', () => {
  for (const algorithm of [dopri5(), rk4()]) {
    it(`of ${algorithm.name} and its transpose: row by row, some rows at once, and as a product`, () => {
      tf.tidy(() => {
        const { dense: of, denseStages: slopes } = programsOf(algorithm);
        const m = 5;
        // A slope that dense output never depends on has weights of zero.
        const w = numbers(m * slopes, 1).map((x, i) => (of.used[i % slopes] ? x : 0));
        const u = numbers(SIZE, 2);
        const ks = Array.from({ length: slopes }, (_, s) => numbers(SIZE, 3 + s));
        const dv = numbers(m * SIZE, 11);
        const expected = Array.from({ length: m }, (_, i) => u.map((x, j) => ks.reduce((sum, k, s) => sum + w[i * slopes + s] * k[j], x))).flat(); // prettier-ignore
        const dK = ks.map((_, s) => u.map((__, j) => Array.from({ length: m }, (___, i) => w[i * slopes + s] * dv[i * SIZE + j]).reduce((a, b) => a + b))).flat(); // prettier-ignore
        const dV = u.map((_, j) => Array.from({ length: m }, (__, i) => dv[i * SIZE + j]).reduce((a, b) => a + b));

        const rows = (count: number, compiles: boolean): { values: number[]; spread: number[][] } => {
          const { dense } = programsOf(algorithm);
          const states = [u, ...ks].map((x) => constant(x, STATE));
          const values: number[] = [];
          let sums: Tensor[] = [tf.zeros([slopes, ...STATE]), tf.zeros(STATE)];
          for (let first = 0; first < m; first += count) {
            const weights = constant(w.slice(first * slopes, (first + count) * slopes), [count, slopes]);
            const given = constant(dv.slice(first * SIZE, (first + count) * SIZE), [count, ...STATE]);
            values.push(...read(dense.interpolate(count, compiles), [weights, ...states])[0]);
            sums = dense.spread(count, compiles).run([weights, given, ...sums]);
          }
          return { values, spread: sums.map((sum) => Array.from(sum.dataSync())) };
        };
        const [single, group, product] = [rows(1, true), rows(m, true), rows(m, false)];
        for (const { values, spread } of [single, group, product]) {
          expectClose(values, expected, close);
          expectClose(spread, [dK, dV], close);
        }
        expect(group, 'the same bits').to.deep.equal(single);
      });
    });
  }

  it('goes row by row where a program costs much, until its number of rows has come often', () => {
    const { dense } = programsOf(dopri5());
    expect(dense.group(1, true)).to.equal(1);
    expect(dense.group(40, true)).to.equal(40);
    expect(dense.group(6, false)).to.equal(6);
    const groups = Array.from({ length: 400 }, () => dense.group(6, true));
    expect(groups[0]).to.equal(1);
    expect(groups.at(-1)).to.equal(6);
    expect(groups.lastIndexOf(1)).to.equal(groups.indexOf(6) - 1);
    expect(dense.group(5, true), 'another number').to.equal(1);
  });
});

describe('what the starting step is found by', () => {
  const norm = (x: readonly number[], scale: readonly number[]): number => Math.sqrt(x.reduce((sum, v, i) => sum + (v / scale[i]) ** 2, 0) / x.length); // prettier-ignore
  const start = (u: readonly number[], a: number, t: number, direction: number): number[][] =>
    tf.tidy(() => {
      const programs = programsOf(dopri5());
      const given = [constant(t), constant(direction), constant(u, STATE), constant(a)];
      const found = read(programs.start, given);
      programs.dispose();
      return found;
    });

  it('is what Hairer, Norsett and Wanner say, forwards and backwards', () => {
    const u = numbers(SIZE, 5);
    const [a, t] = [-0.7, 0.3];
    const scale = u.map((x) => ABSTOL + RELTOL * Math.abs(x));
    const k = u.map((x) => a * x + t);
    const h0 = (0.01 * norm(u, scale)) / norm(k, scale);
    for (const direction of [1, -1]) {
      const h = direction * h0;
      const ahead = u.map((x, i) => a * (x + h * k[i]) + t + h);
      const change = norm(ahead.map((x, i) => x - k[i]), scale); // prettier-ignore
      const [slope, measured] = start(u, a, t, direction);
      expectClose(slope, k, close);
      expectClose(measured, [norm(u, scale), norm(k, scale), h0, change], {
        rtol: tolerance({ float64: 1e-9, float32: 1e-3 }),
      });
    }
  });

  it('probes by 1e-6 where the state or the slope is as good as zero', () => {
    const zero = new Array<number>(SIZE).fill(0);
    expect(start(zero, 2, 0.5, 1)[1][2]).to.be.closeTo(1e-6, 1e-12);
    expect(start(numbers(SIZE, 5), 0, 0, 1)[1][2]).to.be.closeTo(1e-6, 1e-12);
  });
});
