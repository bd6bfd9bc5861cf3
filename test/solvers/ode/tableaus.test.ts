import { expect } from 'chai';
import { describe, it } from 'mocha';
import { denseWeights, derivative, evaluate, type Tableau } from '../../../solvers/ode/tableau.js';
import * as tableaus from '../../../solvers/ode/tableaus.js';

/** Published coefficients are rounded to double precision, and sums of seven of them lose two more digits. */
const ROUNDING = 1e-14;

const sum = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0);

/** Elementary weights of all rooted trees up to order 5, and what the exact solution demands (Butcher). */
function orderConditions({ a, c }: Tableau, b: readonly number[]): { order: number; residual: number }[] {
  const dot = (w: readonly number[], f: (i: number) => number): number => sum(w.map((x, i) => x * f(i)));
  const A =
    (f: (j: number) => number) =>
    (i: number): number =>
      sum((a[i] ?? []).map((x, j) => x * f(j)));
  const C =
    (k: number) =>
    (i: number): number =>
      c[i] ** k;
  const times =
    (f: (i: number) => number, g: (i: number) => number) =>
    (i: number): number =>
      f(i) * g(i);
  return [
    { order: 1, residual: sum(b) - 1 },
    { order: 2, residual: dot(b, C(1)) - 1 / 2 },
    { order: 3, residual: dot(b, C(2)) - 1 / 3 },
    { order: 3, residual: dot(b, A(C(1))) - 1 / 6 },
    { order: 4, residual: dot(b, C(3)) - 1 / 4 },
    { order: 4, residual: dot(b, times(C(1), A(C(1)))) - 1 / 8 },
    { order: 4, residual: dot(b, A(C(2))) - 1 / 12 },
    { order: 4, residual: dot(b, A(A(C(1)))) - 1 / 24 },
    { order: 5, residual: dot(b, C(4)) - 1 / 5 },
    { order: 5, residual: dot(b, times(C(2), A(C(1)))) - 1 / 10 },
    { order: 5, residual: dot(b, times(C(1), A(C(2)))) - 1 / 15 },
    { order: 5, residual: dot(b, times(C(1), A(A(C(1))))) - 1 / 30 },
    { order: 5, residual: dot(b, times(A(C(1)), A(C(1)))) - 1 / 20 },
    { order: 5, residual: dot(b, A(C(3))) - 1 / 20 },
    { order: 5, residual: dot(b, A(times(C(1), A(C(1))))) - 1 / 40 },
    { order: 5, residual: dot(b, A(A(C(2)))) - 1 / 60 },
    { order: 5, residual: dot(b, A(A(A(C(1))))) - 1 / 120 },
  ];
}

const largest = (conditions: { order: number; residual: number }[], order: number): number =>
  Math.max(...conditions.filter((c) => c.order <= order).map((c) => Math.abs(c.residual)));

describe('tableaus', () => {
  for (const tableau of Object.values(tableaus)) {
    describe(tableau.name, () => {
      const { a, b, c, e, order, fsal } = tableau;

      it('has rows that sum to its nodes', () => {
        c.forEach((ci, i) => expect(Math.abs(sum(a[i]) - ci)).to.be.below(ROUNDING * 10));
      });

      it(`satisfies the conditions of order ${order} and not of order ${order + 1}`, () => {
        const conditions = orderConditions(tableau, b);
        expect(largest(conditions, order)).to.be.below(ROUNDING * 10);
        if (order < 5) expect(largest(conditions, order + 1)).to.be.above(1e-3);
      });

      it('has an embedded method one order lower', () => {
        if (e === undefined) return;
        const embedded = orderConditions(tableau, b.map((x, i) => x - e[i])); // prettier-ignore
        expect(largest(embedded, order - 1)).to.be.below(ROUNDING * 10);
        expect(largest(embedded, order)).to.be.above(1e-5);
      });

      it('ends with the slope at the new state when it says so', () => {
        const last = [...(a.at(-1) ?? []), 0];
        expect(fsal).to.equal(b.length > 1 && b.every((x, i) => Math.abs(x - last[i]) < 1e-15));
      });

      it('interpolates: right value and slope at both ends, and order 3 or more between', () => {
        const weights = denseWeights(tableau);
        const extended = fsal ? tableau : { ...tableau, a: [...a, b], c: [...c, 1] };
        const end = fsal ? b : [...b, 0];
        weights.forEach((w, i) => {
          expect(evaluate(w, 1)).to.be.closeTo(end[i], 1e-13);
          expect(derivative(w, 0)).to.be.closeTo(i === 0 ? 1 : 0, 1e-13);
          expect(derivative(w, 1)).to.be.closeTo(i === weights.length - 1 ? 1 : 0, 1e-12);
        });
        // At theta the conditions are those of a step theta h: scale b by theta, nodes stay.
        for (const theta of [0.2, 0.5, 0.77]) {
          const w = weights.map((p) => evaluate(p, theta));
          const moments = [theta, theta ** 2 / 2, theta ** 3 / 3];
          const reached = Math.min(order + 1, 3);
          for (let k = 0; k < reached; k++) {
            const value = sum(w.map((x, i) => x * extended.c[i] ** k));
            if (tableau.interpolant !== undefined || k < Math.min(order, 3)) {
              expect(value, `moment ${k} at ${theta}`).to.be.closeTo(moments[k], 1e-12);
            }
          }
        }
      });
    });
  }
});
