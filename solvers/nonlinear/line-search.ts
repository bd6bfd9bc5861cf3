/**
 * How far to go along a direction of descent.
 */
import { parseOptions, positiveInteger, probability, z } from '../../src/core/options.js';
import type { Cell } from '../../src/graph/workspace.js';

/** The merit `|f|^2 / 2` at a fraction of the step. */
export type Merit = (alpha: number) => Generator<Cell, number, number[]>;

export type Searching = Generator<Cell, number | null, number[]>;

export interface LineSearch {
  readonly kind: 'lineSearch';
  readonly name: string;
  /**
   * The fraction of the step to take, null where none will do. The merit was evaluated last at what is returned.
   *
   * @param merit0, slope The merit and its derivative at 0.
   */
  readonly search: (merit: Merit, merit0: number, slope: number) => Searching;
}

/** Always the whole step. */
export function noLineSearch(options: Readonly<Record<string, never>> = {}): LineSearch {
  parseOptions(z.strictObject({}), options, 'noLineSearch');
  return Object.freeze({
    kind: 'lineSearch',
    name: 'none',
    *search(merit: Merit): Searching {
      yield* merit(1);
      return 1;
    },
  });
}

export interface BacktrackingOptions {
  /** The decrease asked for, as a part of what the slope promises. Default 1e-4. */
  readonly sufficient?: number;
  /** A step is cut at least to `upper` and at most to `lower` of its length. Defaults 0.5 and 0.1. */
  readonly lower?: number;
  readonly upper?: number;
  /** Trials before it gives up. Default 40. */
  readonly maxIters?: number;
}

const BACKTRACKING = z.strictObject({
  sufficient: probability.default(1e-4),
  lower: probability.default(0.1),
  upper: probability.default(0.5),
  maxIters: positiveInteger.default(40),
});

/**
 * Backtracking to a sufficient decrease, along a parabola and then cubics through the merits met (J. E. Dennis, R. B. Schnabel,
 * Numerical Methods for Unconstrained Optimization and Nonlinear Equations, 1983, algorithm A6.3.1).
 */
export function backtracking(options: BacktrackingOptions = {}): LineSearch {
  const { sufficient, lower, upper, maxIters } = parseOptions(BACKTRACKING, options, 'backtracking');
  if (lower > upper) throw new RangeError(`backtracking: lower = ${lower} must not be above upper = ${upper}`);
  return Object.freeze({
    kind: 'lineSearch',
    name: 'backtracking',
    *search(merit: Merit, merit0: number, slope: number): Searching {
      if (!(slope < 0)) return null;
      let alpha = 1;
      let previous: { readonly alpha: number; readonly value: number } | null = null;
      for (let k = 0; k < maxIters; k++) {
        const value: number = yield* merit(alpha);
        if (value <= merit0 + sufficient * alpha * slope) return alpha;
        const finite = value < Infinity;
        const wanted: number = finite ? minimiser(alpha, value, previous, merit0, slope) : upper * alpha;
        if (finite) previous = { alpha, value };
        // A comparison with NaN is false: then the longer cut.
        alpha = wanted >= lower * alpha ? Math.min(wanted, upper * alpha) : lower * alpha;
      }
      return null;
    },
  });
}

/** Where the interpolant of the merits met so far is least. */
function minimiser(
  alpha: number,
  value: number,
  previous: { readonly alpha: number; readonly value: number } | null,
  merit0: number,
  slope: number,
): number {
  if (previous === null) return (-slope * alpha * alpha) / (2 * (value - merit0 - slope * alpha));
  const r1 = (value - merit0 - slope * alpha) / (alpha * alpha);
  const r2 = (previous.value - merit0 - slope * previous.alpha) / (previous.alpha * previous.alpha);
  const a = (r1 - r2) / (alpha - previous.alpha);
  const b = (alpha * r2 - previous.alpha * r1) / (alpha - previous.alpha);
  if (a === 0) return -slope / (2 * b);
  const root = b * b - 3 * a * slope;
  return root < 0 ? alpha / 2 : (-b + Math.sqrt(root)) / (3 * a);
}

const isLineSearch = (x: unknown): x is LineSearch =>
  (x as Partial<LineSearch> | null | undefined)?.kind === 'lineSearch';

export const lineSearchOption = z.custom<LineSearch>(isLineSearch, {
  error: 'a line search, such as backtracking() or noLineSearch()',
});
