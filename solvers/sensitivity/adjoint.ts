/**
 * How a solve is differentiated: the record given as `options.adjoint`.
 */
import { parseOptions, z } from '../../src/core/options.js';

export interface DiscreteAdjoint {
  readonly kind: 'discreteAdjoint';
  /** The state of every k-th accepted step is kept; those between are computed again in the backward pass. */
  readonly keepEvery: number;
}

export type Adjoint = DiscreteAdjoint;

/**
 * The exact gradient of what was computed: the backward pass runs the derivative of each accepted step in reverse. Step
 * sizes count as constants; only the last step, which ends at t1, changes with t0 and t1.
 *
 * @param options.keepEvery - Keep the state of every k-th step (default 1: of each). Memory falls by k, and each step
 * is computed once more when k > 1.
 */
export function discreteAdjoint(options: { readonly keepEvery?: number } = {}): DiscreteAdjoint {
  const { keepEvery } = parseOptions(
    z.strictObject({ keepEvery: z.int().positive().default(1) }),
    options,
    'discreteAdjoint',
  );
  return Object.freeze({ kind: 'discreteAdjoint', keepEvery });
}
