/**
 * How a solve is differentiated: the record given as `options.adjoint`.
 */
import { parseOptions, z } from '../../src/core/options.js';

export interface DiscreteAdjoint {
  readonly kind: 'discreteAdjoint';
  /** The state of every k-th accepted step is kept; those between are computed again in the backward pass. */
  readonly keepEvery: number;
  /** What steps keep of their stages may take this many bytes; later steps keep their state alone. */
  readonly tapeBytes: number;
}

export type Adjoint = DiscreteAdjoint;

export interface DiscreteAdjointOptions {
  readonly keepEvery?: number;
  readonly tapeBytes?: number;
}

const OPTIONS = z.strictObject({
  keepEvery: z.int().positive().default(1),
  tapeBytes: z
    .int()
    .nonnegative()
    .default(2 ** 28),
});

/**
 * The exact gradient of what was computed: the backward pass runs the derivative of each accepted step in reverse. Step
 * sizes count as constants; only the last step, which ends at t1, changes with t0 and t1.
 *
 * @param options.keepEvery - Keep the state of every k-th step (default 1: of each). Memory falls by k, and each step
 * is computed once more when k > 1.
 * @param options.tapeBytes - Room for what steps keep of their stages besides (default 2^28 bytes, 0 for none), so that the
 * backward pass need not compute them again. Used where k = 1 and the end times are not differentiated.
 */
export function discreteAdjoint(options: DiscreteAdjointOptions = {}): DiscreteAdjoint {
  return Object.freeze({ kind: 'discreteAdjoint', ...parseOptions(OPTIONS, options, 'discreteAdjoint') });
}
