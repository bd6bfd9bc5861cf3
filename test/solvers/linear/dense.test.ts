import { expect } from 'chai';
import {
  dense,
  factorLU,
  factorQR,
  multiply,
  multiplyTransposed,
  pseudoSolve,
  type Dense,
} from '../../../solvers/linear/dense.js';
import { expectClose } from '../../support/close.js';

const of = (rows: number[][]): Dense => {
  const A = dense(rows.length, rows[0].length);
  A.values.set(rows.flat());
  return A;
};

describe('dense matrices on the host', () => {
  // The Hilbert matrix, whose inverse has integer entries: the solution for (1, 0, 0, 0) is its first column.
  const hilbert = of(Array.from({ length: 4 }, (_, i) => Array.from({ length: 4 }, (__, j) => 1 / (i + j + 1))));
  const first = [16, -120, 240, -140];

  it('LU and QR solve with the Hilbert matrix', () => {
    expectClose(factorLU(hilbert)?.solve([1, 0, 0, 0]) ?? [], first, { rtol: 1e-10 });
    expectClose(factorQR(hilbert)?.solve([1, 0, 0, 0]) ?? [], first, { rtol: 1e-10 });
    expectClose(multiply(hilbert, first), [1, 0, 0, 0], { atol: 1e-12 });
  });

  it('LU takes rows and columns of very unlike units', () => {
    const A = of([[0, 1e-20], [1e20, 1]]); // prettier-ignore
    expectClose(factorLU(A)?.solve([1e-20, 3]) ?? [], [2e-20, 1], { rtol: 1e-12 });
  });

  it('LU and QR notice a singular matrix, and one that is not finite', () => {
    for (const factor of [factorLU, factorQR]) {
      expect(factor(of([[1, 2], [2, 4]])), factor.name).to.equal(null); // prettier-ignore
      expect(factor(of([[1, 2], [0, 0]])), factor.name).to.equal(null); // prettier-ignore
      expect(factor(of([[1, NaN], [2, 4]])), factor.name).to.equal(null); // prettier-ignore
      expect(factor(of([[1, 2], [2, 4.001]])), factor.name).not.to.equal(null); // prettier-ignore
    }
    expect(factorQR(of([[1, 2]]))).to.equal(null);
  });

  it('the pseudo-inverse gives the shortest of the least-squares solutions', () => {
    expectClose(pseudoSolve(of([[1, 2], [2, 4]]), [5, 10]) ?? [], [1, 2], { rtol: 1e-12 }); // prettier-ignore
    expectClose(pseudoSolve(of([[3, 4]]), [25]) ?? [], [3, 4], { rtol: 1e-12 });
    expect(pseudoSolve(of([[Infinity]]), [1])).to.equal(null);
  });

  it('multiplies by the transpose', () => {
    expect(multiplyTransposed(of([[1, 2, 3], [4, 5, 6]]), [1, 10])).to.deep.equal([41, 52, 63]); // prettier-ignore
  });
});
