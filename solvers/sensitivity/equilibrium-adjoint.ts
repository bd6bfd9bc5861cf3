/**
 * How the solution of an equation is differentiated: the record given as `options.adjoint`.
 */
import { numberThat, oneOf, parseOptions, positiveInteger, z } from '../../src/core/options.js';
import type { NonlinearAlgorithm } from '../nonlinear/algorithm.js';

export interface ImplicitAdjoint {
  readonly kind: 'implicitAdjoint';
  /** Null for the default. */
  readonly linearSolver: NonlinearAlgorithm | null;
  readonly abstol: number;
  /** Null for the default, which depends on the precision. */
  readonly reltol: number | null;
  readonly maxIters: number;
  readonly onFailure: 'error' | 'warn' | 'ignore';
}

export interface Unrolled {
  readonly kind: 'unrolled';
  readonly keepEvery: number;
}

export interface PhantomGradient {
  readonly kind: 'phantom';
  readonly steps: number;
  readonly damping: number;
}

export type EquilibriumAdjoint = ImplicitAdjoint | Unrolled | PhantomGradient;

export interface ImplicitAdjointOptions {
  /**
   * An algorithm that solves the linear system; it is given as the equation `b - M x = 0`, or as the fixed point of `x
   * -> b + J' x` to
   * one that takes only those. Default for fixed points: reduced rank extrapolation of the plain iteration, which spends hardly more than the
   * products with J', and GMRES where that will not do; for roots: GMRES.
   */
  readonly linearSolver?: NonlinearAlgorithm;
  /** Absolute tolerance of the residual of the linear system, as a root mean square. Default 0. */
  readonly abstol?: number;
  /**
   * Relative to the solution of the linear system. Default: that of the solve which is differentiated, and where that is 0 `eps^(4/5)` of
   * the running precision, 2.9e-6 or 3.0e-13.
   */
  readonly reltol?: number;
  /** Default 1000. */
  readonly maxIters?: number;
  /** What to do when the linear system is not solved to its tolerance. Default 'error'. */
  readonly onFailure?: 'error' | 'warn' | 'ignore';
}

const IMPLICIT = z.strictObject({
  linearSolver: z
    .custom<NonlinearAlgorithm>(
      (x) => (x as Partial<NonlinearAlgorithm> | null)?.kind === 'nonlinearAlgorithm',
      'an algorithm, such as anderson() or gmres()',
    )
    .optional(),
  abstol: numberThat((x) => x >= 0 && x < Infinity, 'a non-negative number').default(0),
  reltol: numberThat((x) => x >= 0 && x < Infinity, 'a non-negative number').optional(),
  maxIters: positiveInteger.default(1000),
  onFailure: oneOf('error', 'warn', 'ignore').default('error'),
});

/**
 * The derivative of the exact solution, by the implicit function theorem: with `M = I - df/du` at a fixed point
 * (`-df/du` at a root), the
 * cotangent of the parameters is `(df/dp)' w` where `M' w` is the cotangent of the solution. Nothing of the iteration
 * is kept, any order of
 * derivative and forward mode work, and the gradient is as good as the solution is converged.
 *
 * The linear system is solved to a checked residual: an error says when it cannot be. The default solver for fixed points knows the residual before its last
 * multiplication by `J'`, and counts on that for as much as the multiplications before have gained, at most a factor of 3.
 */
export function implicitAdjoint(options: ImplicitAdjointOptions = {}): ImplicitAdjoint {
  const { linearSolver, reltol, ...rest } = parseOptions(IMPLICIT, options, 'implicitAdjoint');
  return Object.freeze({
    kind: 'implicitAdjoint',
    linearSolver: linearSolver ?? null,
    reltol: reltol ?? null,
    ...rest,
  });
}

const UNROLLED = z.strictObject({
  keepEvery: numberThat(
    (x) => x === Infinity || (Number.isSafeInteger(x) && x > 0),
    'a positive integer or Infinity',
  ).default(8),
});

/**
 * The exact derivative of the iterations that were made, also with respect to the start, for an algorithm whose
 * iterations can be recorded:
 * `picard()`, whose states are all kept, and `reversible()`, whose states between kept ones are found by undoing iterations.
 * It has derivatives of any order itself. Each row of an independent batch is differentiated through the iterations that it made.
 *
 * @param options.keepEvery For `reversible()`: keep every k-th state. Default 8. Infinity keeps none: constant memory,
 * but undoing many
 * iterations amplifies rounding.
 */
export function unrolled(options: { readonly keepEvery?: number } = {}): Unrolled {
  return Object.freeze({ kind: 'unrolled', ...parseOptions(UNROLLED, options, 'unrolled') });
}

const PHANTOM = z.strictObject({
  steps: positiveInteger.default(5),
  damping: numberThat((x) => x > 0 && x <= 1, 'a number in (0, 1]').default(1),
});

/**
 * The phantom gradient: that of `u <- (1 - damping) u + damping f(u)`, taken `steps` times from the solution, which
 * counts as a
 * constant (Z. Geng, X.-Y. Zhang, S. Bai, Y. Wang, Z. Lin, On Training Implicit Models, NeurIPS 2021). An
 * approximation, cheaper than the implicit
 * gradient and defined also where that is not; for fixed points.
 *
 * @param options.steps Default 5.
 * @param options.damping In (0, 1]; default 1.
 */
export function phantom(options: { readonly steps?: number; readonly damping?: number } = {}): PhantomGradient {
  return Object.freeze({ kind: 'phantom', ...parseOptions(PHANTOM, options, 'phantom') });
}

/**
 * The Jacobian-free gradient: that of one application of f at the solution, `(df/dp)' v` (S. W. Fung and others, JFB:
 * Jacobian-Free
 * Backpropagation, AAAI 2022). The cheapest, and only a descent direction where f contracts strongly: a component may
 * have the wrong sign.
 */
export function jacobianFree(options: Readonly<Record<string, never>> = {}): PhantomGradient {
  parseOptions(z.strictObject({}), options, 'jacobianFree');
  return phantom({ steps: 1 });
}
