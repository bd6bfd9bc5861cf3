import { expect } from 'chai';
import { describe, it } from 'mocha';
import { normalCdf, normalQuantile } from '../../src/core/gaussian.js';
import { expectClose } from '../support/close.js';

describe('the standard normal distribution', () => {
  // The check values of Wichura's paper (Applied Statistics 37, 1988, p. 479); 0.975 is Abramowitz and Stegun's 1.959964.
  const QUANTILES: [number, number][] = [
    [0.25, -0.6744897501960817],
    [0.001, -3.090232306167814],
    [1e-20, -9.262340089798409],
    [0.975, 1.959963984540054],
    [0.5, 0],
  ];
  for (const [p, x] of QUANTILES) {
    it(`has quantile ${x} at ${p}`, () => {
      expectClose(normalQuantile(p), x, { rtol: 1e-15 });
    });
  }

  // The series of the distribution function (Abramowitz and Stegun 26.2.10), summed in 60-digit arithmetic.
  const CDF: [number, number][] = [
    [0, 0.5],
    [-1, 0.15865525393145705],
    [1, 0.8413447460685429],
    [-2.999, 0.0013543365337271066],
    [-5, 2.866515718791939e-7],
    [-10, 7.619853024160525e-24],
    [-Infinity, 0],
    [Infinity, 1],
  ];
  for (const [x, p] of CDF) {
    it(`lies below ${x} with probability ${p}`, () => {
      expectClose(normalCdf(x), p, { rtol: 5e-15 });
    });
  }

  it('has a quantile function that inverts the distribution function, far into the tail', () => {
    for (let x = -20; x <= 5; x += 0.37) {
      // p has a relative error of 1e-16, which moves the quantile by that over the hazard rate; near 1, p has few digits.
      const slack = x > 0 ? 1e-16 / Math.exp(-0.5 * x * x) : 0;
      expectClose(normalQuantile(normalCdf(x)), x, { atol: 2e-14 + 10 * slack });
    }
  });

  it('is symmetric', () => {
    for (const p of [1e-3, 0.01, 0.2, 0.4]) expectClose(normalQuantile(1 - p), -normalQuantile(p), { rtol: 1e-13 });
    expect(normalCdf(1.3) + normalCdf(-1.3)).to.equal(1);
  });
});
