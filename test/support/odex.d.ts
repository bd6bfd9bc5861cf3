/**
 * What the tests use of odex. The package ships its TypeScript sources beside the compiled ones and no declarations, so
 * that the compiler would otherwise check those sources by our rules (tsconfig.test.json sends it here).
 */
export class Solver {
  /** @param n Dimension of the system. */
  constructor(n: number);
  maxSteps: number;
  relativeTolerance: number | number[];
  absoluteTolerance: number | number[];
  solve(
    f: (x: number, y: number[]) => number[],
    x0: number,
    y0: number[],
    xEnd: number,
  ): {
    readonly y: number[];
    /** 0 when it converged. */
    readonly outcome: number;
  };
}
