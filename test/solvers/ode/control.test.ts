import { expect } from 'chai';
import { describe, it } from 'mocha';
import { decide, initialMemory, startingStep, type PidController } from '../../../solvers/ode/control.js';

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

  it('starting step after Hairer, Norsett and Wanner', () => {
    expect(startingStep(0.005, 4, 10, 5)).to.equal(Math.min(0.5, (0.01 / 10) ** 0.2));
    expect(startingStep(1e-6, 0, 0, 5)).to.equal(1e-6);
    expect(startingStep(1e-3, 1e-20, 0, 5)).to.equal(1e-6);
  });
});
