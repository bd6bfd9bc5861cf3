import { expect } from 'chai';
import { describe, it } from 'mocha';
import { formatNumber, formatTable } from '../../examples/support/table.js';

describe('a console table', () => {
  it('lines numbers up to the right and words to the left', () => {
    const rows = [
      { method: 'Tsit5', steps: 12, error: 1.23456e-7 },
      { method: 'Euler', steps: 1000, error: 0.0125, remark: 'slow' },
    ];
    expect(formatTable(rows).split('\n')).to.deep.equal([
      'method  steps     error  remark',
      '------  -----  --------  ------',
      'Tsit5      12  1.235e-7',
      'Euler    1000   0.01250  slow',
    ]);
    expect(formatTable([])).to.equal('');
  });

  const numbers: readonly [x: number, text: string][] = [
    [0, '0'],
    [123456, '123456'],
    [Math.PI, '3.142'],
    [-0.001, '-0.001000'],
    [9.99e-4, '9.990e-4'],
    [1234567.5, '1.235e+6'],
    [NaN, 'NaN'],
    [-Infinity, '-Infinity'],
  ];
  for (const [x, text] of numbers) {
    it(`writes ${x} as ${text}`, () => {
      expect(formatNumber(x)).to.equal(text);
    });
  }
});
