/**
 * The options of `solve` for equations, validated at the edge.
 */
import {
  flag,
  functionOption,
  nonNegativeNumber,
  numberThat,
  oneOf,
  parseOptions,
  positiveInteger,
  z,
} from '../../src/core/options.js';
import { implicitAdjoint, type EquilibriumAdjoint } from '../sensitivity/equilibrium-adjoint.js';
import type { ResidualNorm } from './termination.js';

export interface NonlinearOptions {
  /** Absolute tolerance of the residual. Default: `eps^(4/5)` of the running precision, 2.9e-6 or 3.0e-13. */
  readonly abstol?: number;
  /**
   * Tolerance relative to `f(u)` for a fixed point, and to the residual at the start for a root. Default: `eps^(4/5)`
   * too.
   */
  readonly reltol?: number;
  /**
   * The norm in which tolerances are meant: the root mean square (as for ODEs), the Euclidean norm or the largest magnitude.
   * Default 'rms'.
   */
  readonly norm?: ResidualNorm;
  /** Updates of the state before giving up. Default 1000. */
  readonly maxIters?: number;
  /**
   * Iterations without progress before the solve counts as stalled. Default 100. Progress is a best residual that falls by a thousandth, or a
   * residual that steadily falls or rises: on the way through a bottleneck it rises for long.
   */
  readonly patience?: number;
  /**
   * A residual this many times the first counts as divergence; Infinity never. Default 1e8 for fixed points, Infinity
   * for roots: a step of Newton's
   * method may go far astray and come back.
   */
  readonly divergence?: number;
  /** How the solution is differentiated. Default `implicitAdjoint()`. */
  readonly adjoint?: EquilibriumAdjoint;
  /** Throw an error on failure (the default), or return the best state with its `retcode`. */
  readonly throwOnFailure?: boolean;
  /**
   * 'joint' (the default): one equation, one residual. 'independent': each row of the state (its first axis) is an
   * equation of its own,
   * which starts, stops and reports by itself, exactly as it would alone. The rows are solved one after the other, so
   * that a row
   * that is done costs nothing; on a backend where an operation costs more than the work in it, 'joint' is faster.
   */
  readonly batch?: 'joint' | 'independent';
  /**
   * With `batch: 'independent'`: the tensors of `p` that run along the batch too, as a function that picks them, such
   * as `(p) => p.x`. Each row
   * then sees its own row of them; everything else is the same for all rows.
   */
  readonly along?: (p: never) => unknown;
  /** Keep the norm of every residual: `solution.trace`. Default false. */
  readonly storeTrace?: boolean;
}

const tolerance = nonNegativeNumber.optional();

const SCHEMA = z.strictObject({
  abstol: tolerance,
  reltol: tolerance,
  norm: oneOf('rms', 'l2', 'max').default('rms'),
  maxIters: positiveInteger.default(1000),
  patience: numberThat(
    (x) => x === Infinity || (Number.isSafeInteger(x) && x > 0),
    'a positive integer or Infinity',
  ).default(100),
  divergence: numberThat((x) => x > 1, 'a number above 1 or Infinity').optional(),
  adjoint: z
    .custom<EquilibriumAdjoint>(
      (x) => ['implicitAdjoint', 'unrolled', 'phantom'].includes((x as Partial<EquilibriumAdjoint> | null)?.kind ?? ''),
      'implicitAdjoint(), phantom(), jacobianFree() or unrolled()',
    )
    .optional(),
  throwOnFailure: flag.default(true),
  batch: oneOf('joint', 'independent').default('joint'),
  along: functionOption<(p: never) => unknown>('a function (p) => tensors of p').optional(),
  storeTrace: flag.default(false),
});

export interface ParsedNonlinearOptions {
  /** Null for the default of the running precision. */
  readonly abstol: number | null;
  readonly reltol: number | null;
  readonly norm: ResidualNorm;
  readonly maxIters: number;
  readonly patience: number;
  /** Null for the default of the kind of problem. */
  readonly divergence: number | null;
  readonly adjoint: EquilibriumAdjoint;
  readonly throwOnFailure: boolean;
  readonly batch: 'joint' | 'independent';
  readonly along: ((p: never) => unknown) | null;
  readonly storeTrace: boolean;
}

export function parseNonlinearOptions(options: NonlinearOptions, where = 'solve'): ParsedNonlinearOptions {
  const { abstol, reltol, adjoint, along, divergence, ...rest } = parseOptions(SCHEMA, options, where);
  if (abstol === 0 && reltol === 0) {
    throw new RangeError(`${where}: abstol and reltol are both 0; at least one must be positive`);
  }
  if (along !== undefined && rest.batch !== 'independent') {
    throw new TypeError(`${where}: option "along" says what runs along the batch; it goes with batch: 'independent'`);
  }
  return {
    ...rest,
    abstol: abstol ?? null,
    reltol: reltol ?? null,
    divergence: divergence ?? null,
    adjoint: adjoint ?? implicitAdjoint(),
    along: along ?? null,
  };
}
