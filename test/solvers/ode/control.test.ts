import { expect } from 'chai';
import { describe, it } from 'mocha';
import { decide, initialMemory, startingStep, type PidController } from '../../../solvers/ode/control.js';
import { errorTerm } from '../../../solvers/ode/tableau.js';
import { BS3, DOPRI5, HEUN, TSIT5 } from '../../../solvers/ode/tableaus.js';

const integral: PidController = { pcoeff: 0, icoeff: 1, dcoeff: 0, safety: 0.9, factorMin: 0.2, factorMax: 10 };

describe('step-size control', () => {
  it('I-controller: factor = safety / error^(1/k), accepted below 1', () => {
    const { accepted, factor } = decide(integral, 5, 0.5, initialMemory);
    expect(accepted).to.equal(true);
    expect(factor).to.be.closeTo(0.9 * 2 ** (1 / 5), 1e-15);
    expect(decide(integral, 5, 1, initialMemory).accepted).to.equal(false);
  });

  it('never shrinks after an accepted step, never grows after a rejected one', () => {
    expect(decide(integral, 5, 0.99, initialMemory).factor).to.equal(1);
    expect(decide(integral, 5, 1.0001, initialMemory).factor).to.be.at.most(0.9);
    expect(decide(integral, 5, 1e9, initialMemory).factor).to.equal(0.2);
    expect(decide(integral, 5, 1e-12, initialMemory).factor).to.equal(10);
    expect(decide(integral, 5, 0, initialMemory)).to.deep.include({ accepted: true, factor: 10 });
  });

  it('PI and PID use the inverse errors before, as Soderlind (34) writes it', () => {
    const pid = { ...integral, pcoeff: 0.4, icoeff: 0.3, dcoeff: 0.1 };
    const memory = { last: 1 / 0.7, beforeLast: 1 / 0.4 };
    const expected = 0.9 * (1 / 0.6) ** (0.8 / 3) * (1 / 0.7) ** (-0.6 / 3) * (1 / 0.4) ** (0.1 / 3);
    const { factor, memory: next } = decide(pid, 3, 0.6, memory);
    expect(factor).to.be.closeTo(Math.max(1, expected), 1e-15);
    expect(next).to.deep.equal({ last: 1 / 0.6, beforeLast: 1 / 0.7 });
    expect(decide(pid, 3, 5, memory).memory, 'a rejected step is not remembered').to.equal(memory);
  });

  it('an error that is not a number rejects and shrinks as far as allowed', () => {
    expect(decide(integral, 5, NaN, initialMemory)).to.deep.include({ accepted: false, factor: 0.2 });
    expect(decide(integral, 5, Infinity, initialMemory)).to.deep.include({ accepted: false, factor: 0.2 });
  });

  describe('starting step', () => {
    const term = { order: 5, constant: 1e-3 };

    it('puts the leading term of the error estimate at a quarter', () => {
      // Slopes change at rate 10, the state at rate 2.
      const h = startingStep(0.005, 2e4, 4e4, 4e5, term);
      expect(term.constant * 4e4 * 10 ** 4 * h ** 5).to.be.closeTo(0.25, 1e-14);
      // The state's own rate where the slope does not change.
      expect(term.constant * 4e8 * 2 ** 4 * startingStep(0.005, 2e8, 4e8, 0, term) ** 5).to.be.closeTo(0.25, 1e-14);
    });

    it('never goes further than the slope needs to move the state by its size', () => {
      expect(startingStep(0.005, 2, 4, 0, term)).to.equal(0.5);
    });

    it('asks the slope alone where the state is nothing, and goes by the rule of Hairer where the slope is', () => {
      expect(term.constant * 4e4 * 10 ** 4 * startingStep(0.01, 0, 4e4, 4e5, term) ** 5).to.be.closeTo(0.25, 1e-14);
      expect(startingStep(1e-6, 0, 4, 0, term), 'no further than a hundred probes').to.be.closeTo(1e-4, 1e-18);
      expect(startingStep(1e-6, 0, Infinity, Infinity, term)).to.equal(0);
      expect(startingStep(1e-6, 0, NaN, 1, term)).to.be.NaN;
      expect(startingStep(1e-3, 1, 1e-6, 10, term)).to.equal(0.1);
      expect(startingStep(1e-1, 1, 1e-6, 10, term)).to.equal(0.001 ** 0.2);
      expect(startingStep(1e-6, 0, 0, 0, term)).to.equal(1e-6);
      expect(startingStep(1e-3, 1, 1e-20, 0, term)).to.equal(1e-6);
    });
  });

  it('leading terms of weights that were typed with eight digits', () => {
    const e = (BS3.e ?? []).map((x) => Number(x.toFixed(8)));
    const { order, constant } = errorTerm({ ...BS3, e });
    expect(order).to.equal(3);
    expect(constant).to.be.closeTo(errorTerm(BS3).constant, 1e-7);
  });

  it('leading terms of error estimates: what one step of each method estimates for y` = y and y` = t^(k-1)', () => {
    for (const tableau of [HEUN, BS3, DOPRI5, TSIT5]) {
      const { order, constant } = errorTerm(tableau);
      expect(order, tableau.name).to.equal(tableau.order);
      // The estimate itself, by stages, at a small step.
      const { a, c, e = [] } = tableau;
      const estimate = (f: (t: number, u: number) => number, u0: number, h: number): number => {
        const k: number[] = [];
        c.forEach((ci, i) => k.push(f(ci * h, u0 + h * (a[i] ?? []).reduce((sum, w, j) => sum + w * k[j], 0))));
        return Math.abs(h * e.reduce((sum, w, i) => sum + w * k[i], 0));
      };
      const h = 0.05; // the next term is as much smaller
      const linear = estimate((_, u) => u, 1, h) / h ** order;
      const factorial = Array.from({ length: order - 1 }, (_, i) => i + 1).reduce((x, y) => x * y, 1);
      const quadrature = estimate((t) => t ** (order - 1) / factorial, 0, h) / h ** order;
      expect(Math.max(linear, quadrature), tableau.name).to.be.closeTo(constant, 0.1 * constant);
    }
  });
});
