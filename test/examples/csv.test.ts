import { expect } from 'chai';
import { describe, it } from 'mocha';
import { CsvError, parseColumns, readColumns } from '../../examples/support/csv.js';

describe('columns of a CSV file', () => {
  it('come in the order asked for, whatever their order in the file', () => {
    const columns = parseColumns('\uFEFFyear, hare ,lynx\r\n1900,30,4\r\n1901,4.72e1,6.1\r\n', ['lynx', 'hare']);
    expect(columns).to.deep.equal({ lynx: [4, 6.1], hare: [30, 47.2] });
  });

  const mistakes: readonly [what: string, text: string, message: RegExp][] = [
    ['an empty file', '', /^t\.csv: the file is empty$/],
    ['a header alone', 'a,b\n', /^t\.csv: no rows below the header$/],
    ['a missing column', 'aa,c\n1,2\n', /^t\.csv: no column "a"; did you mean "aa"\?; the file has aa, c$/],
    ['a word', 'a,b\n1,2\nx,3\n', /^t\.csv: line 3, column "a": expected a number, got "x"$/],
    ['NaN', 'a,b\n1,NaN\n', /^t\.csv: line 2, column "b": expected a number, got "NaN"$/],
    ['an empty cell', 'a,b\n1,\n', /^t\.csv: line 2, column "b": expected a number, got ""$/],
    ['a short line', 'a,b\n1,2\n3\n', /^t\.csv: line 3 has 1 fields, the header 2$/],
  ];
  for (const [what, text, message] of mistakes) {
    it(`refuses ${what}`, () => {
      expect(() => parseColumns(text, ['a', 'b'], 't.csv')).to.throw(CsvError, message);
    });
  }
});

describe('lynx-hare.csv', () => {
  it('holds 21 years, with the sums of the published series', () => {
    const { year, hare, lynx } = readColumns('examples/data/lynx-hare.csv', ['year', 'hare', 'lynx']);
    expect(year).to.deep.equal(Array.from({ length: 21 }, (_, i) => 1900 + i));
    const sum = (values: readonly number[]): number => Math.round(10 * values.reduce((a, b) => a + b, 0)) / 10;
    // Howard 2009; Carpenter 2018: 30.0 + 47.2 + ... + 24.7 and 4.0 + 6.1 + ... + 8.6.
    expect([sum(hare), sum(lynx)]).to.deep.equal([715.7, 423.5]);
    expect([Math.max(...hare), Math.max(...lynx)]).to.deep.equal([77.4, 59.4]);
  });
});
