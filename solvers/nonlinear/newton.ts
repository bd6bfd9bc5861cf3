/**
 * Newton's method with a dense Jacobian: evaluated at every iterate, now and then (chord), or with more equations than unknowns
 * (Gauss-Newton).
 */
import { numberThat, parseOptions, z } from '../../src/core/options.js';
import {
  along,
  dotProduct,
  euclidean,
  factorLU,
  factorQR,
  multiply,
  type Dense,
  type Factored,
} from '../linear/dense.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { HostEquation } from './host.js';
import { lineSearchOption, noLineSearch, type LineSearch, type Merit } from './line-search.js';

export interface NewtonOptions {
  /** Default `noLineSearch()`: always the whole step. `backtracking()` converges from farther away. */
  readonly lineSearch?: LineSearch;
}

interface Variant {
  readonly name: string;
  readonly lineSearch: LineSearch;
  /** A Jacobian serves as long as each step reduces the residual at least to this fraction; 0: for one step. */
  readonly keepWhile: number;
  readonly leastSquares: boolean;
}

/** A least-squares solution: what the linearised problem could still take off the residual, as a part of it. */
const STATIONARY = 1e-9;

const NEWTON = z.strictObject({ lineSearch: lineSearchOption.optional() });

/**
 * Newton's method, with the dense Jacobian of the traced function (exact, by forward mode) and an LU factorisation on the host. Quadratic
 * convergence near a root; for up to a few hundred unknowns. Larger systems: {@link newtonKrylov}.
 *
 * @throws OptionError for bad options.
 */
export function newtonRaphson(options: NewtonOptions = {}): NonlinearAlgorithm {
  const { lineSearch } = parseOptions(NEWTON, options, 'newtonRaphson');
  return newtonLike({
    name: 'newtonRaphson',
    lineSearch: lineSearch ?? noLineSearch(),
    keepWhile: 0,
    leastSquares: false,
  });
}

export interface ChordOptions {
  /**
   * A Jacobian is used again as long as the residual falls at least to this fraction in each step. Default 0.5; Infinity keeps the first one for
   * good.
   */
  readonly keepWhile?: number;
}

const CHORD = z.strictObject({
  keepWhile: numberThat((x) => x >= 0, 'a non-negative number or Infinity').default(0.5),
});

/**
 * Newton's method with a Jacobian that is kept as long as it serves: linear convergence, each step for one evaluation of f and two triangular
 * solves. For problems that are nearly linear or start near their root, such as the stages of implicit methods.
 */
export function chord(options: ChordOptions = {}): NonlinearAlgorithm {
  const { keepWhile } = parseOptions(CHORD, options, 'chord');
  return newtonLike({ name: 'chord', lineSearch: noLineSearch(), keepWhile, leastSquares: false });
}

/**
 * The Gauss-Newton method for least squares: `f` may have more equations than unknowns, and the step minimises the linearised residual (by
 * QR). Where the smallest residual is not zero, it ends with retcode 'StalledSuccess' at a minimum of `|f|`.
 *
 * For a poor start or a Jacobian without full rank take {@link levenbergMarquardt}.
 */
export function gaussNewton(options: NewtonOptions = {}): NonlinearAlgorithm {
  const { lineSearch } = parseOptions(NEWTON, options, 'gaussNewton');
  return newtonLike({
    name: 'gaussNewton',
    lineSearch: lineSearch ?? noLineSearch(),
    keepWhile: 0,
    leastSquares: true,
  });
}

function newtonLike({ name, lineSearch, keepWhile, leastSquares }: Variant): NonlinearAlgorithm {
  return defineAlgorithm({
    name,
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const equation = new HostEquation(session, watch);
      const { m, n } = equation;
      if (!leastSquares) equation.checkSquare(name);
      else if (m < n)
        throw new TypeError(`${name}: fewer equations (${m}) than unknowns (${n}); take levenbergMarquardt()`);
      const factor = leastSquares ? factorQR : factorLU;
      return function* (): Solving {
        equation.reset();
        let u = yield* equation.start();
        let r = yield* equation.residual(u);
        let retcode = equation.judge(r);
        let J: Dense | null = null;
        let factored: Factored | null = null;
        while (retcode === null) {
          const fresh = factored === null;
          if (factored === null) {
            J = yield* equation.jacobian();
            factored = factor(J);
            if (factored === null)
              return equation.end('InternalLinearSolveFailed', describeSingular(J, watch.iterations));
          }
          const step = factored.solve(r.map((x) => -x));
          const slopes = leastSquares && J !== null ? multiply(J, step) : r.map((x) => -x);
          const size = euclidean(r);
          if (leastSquares && fresh && euclidean(slopes) <= STATIONARY * size) return equation.endAtMinimum();
          const from: number[] = u;
          const merit: Merit = function* (alpha) {
            u = along(from, alpha, step);
            const trial: number[] = yield* equation.residual(u);
            r = trial;
            return dotProduct(trial, trial) / 2;
          };
          const alpha = yield* lineSearch.search(
            merit,
            (size * size) / 2,
            leastSquares ? dotProduct(r, slopes) : -size * size,
          );
          if (alpha === null && fresh) return equation.end('InternalLineSearchFailed');
          retcode = equation.judge(r);
          if (!(euclidean(r) < keepWhile * size)) factored = null;
        }
        return equation.end(retcode);
      };
    },
  });
}

/** The singular Jacobian in words. */
export function describeSingular(J: Dense, iteration: number): string {
  return `the Jacobian ${whySingular(J, `at iteration ${iteration}`)}. Start elsewhere, or take trustRegion() or levenbergMarquardt()`;
}

/** What is wrong with a matrix that could not be factored; the column or row that says it best. */
export function whySingular({ m, n, values }: Dense, where = ''): string {
  const place = where === '' ? '' : ` ${where}`;
  if (!values.every(Number.isFinite)) return `is not finite${place}`;
  const columns = Array.from({ length: n }, (_, j) => j);
  const rows = Array.from({ length: m }, (_, i) => i);
  const empty = columns.find((j) => rows.every((i) => values[i * n + j] === 0));
  if (empty !== undefined) return `is singular${place}: f does not depend on unknown ${empty} there`;
  const idle = rows.find((i) => columns.every((j) => values[i * n + j] === 0));
  return `is singular${place}${idle === undefined ? '' : `: equation ${idle} depends on no unknown there`}`;
}
