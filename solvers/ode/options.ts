/**
 * The options of `solve` for ODE problems, validated at the edge.
 */
import { parseOptions, z } from '../../src/core/options.js';
import { isTensor, type Tensor } from '../../src/core/tree.js';
import { discreteAdjoint, type Adjoint } from '../sensitivity/adjoint.js';
import type { OdeAlgorithm } from './algorithm.js';
import type { PidController } from './control.js';
import type { Stepping } from './plan.js';

export interface OdeOptions {
  /** Absolute tolerance per component. Default 1e-6. */
  readonly abstol?: number;
  /** Relative tolerance. Default 1e-3. */
  readonly reltol?: number;
  /** Times at which to save the state, in the order of integration, within the span. Default: the final state alone. */
  readonly saveAt?: readonly number[] | Float32Array | Float64Array;
  /**
   * The size of every step, or of the first when the steps adapt; positive, whichever way the integration runs. A scalar tensor
   * is differentiable: of the first step of adapted ones, and the sizes of the others stay what they are. Default of the first:
   * where the error estimate is expected to be a quarter of what is tolerated, by the slopes at the start and a little later.
   */
  readonly dt?: number | Tensor;
  /** Adapt the step to the tolerances. Default: true where the method has an error estimate. */
  readonly adaptive?: boolean;
  /** Default `{ pcoeff: 0, icoeff: 1, dcoeff: 0, safety: 0.9, factorMin: 0.2, factorMax: 10 }`. */
  readonly controller?: Partial<PidController>;
  /** Steps tried, accepted or not, before giving up. Default 10 000. */
  readonly maxIters?: number;
  /** The smallest step before giving up. Default: 16 roundings of the larger end time in double precision. */
  readonly dtMin?: number;
  /** How the solve is differentiated. Default `discreteAdjoint()`. */
  readonly adjoint?: Adjoint;
  /** Throw a `SolveError` on failure (the default), or return what there is with its `retcode`. */
  readonly throwOnFailure?: boolean;
}

const times = z
  .custom<ArrayLike<number>>(
    (v) => Array.isArray(v) || v instanceof Float32Array || v instanceof Float64Array,
    'expected an array of times',
  )
  .transform((v) => Array.from(v))
  .pipe(z.array(z.number()).min(1, 'expected at least one time'));

const schema = z.strictObject({
  abstol: z.number().nonnegative().default(1e-6),
  reltol: z.number().nonnegative().default(1e-3),
  saveAt: times.optional(),
  dt: z
    .custom<number | Tensor>(
      (v) => (typeof v === 'number' && v > 0 && v < Infinity) || (isTensor(v) && v.size === 1 && v.dtype === 'float32'),
      'expected a positive number, or a scalar tensor',
    )
    .optional(),
  adaptive: z.boolean().optional(),
  controller: z
    .strictObject({
      pcoeff: z.number().default(0),
      icoeff: z.number().default(1),
      dcoeff: z.number().default(0),
      safety: z.number().positive().max(1).default(0.9),
      factorMin: z.number().positive().max(1).default(0.2),
      factorMax: z.number().min(1).default(10),
    })
    .default({ pcoeff: 0, icoeff: 1, dcoeff: 0, safety: 0.9, factorMin: 0.2, factorMax: 10 }),
  maxIters: z.int().positive().default(10_000),
  dtMin: z.number().nonnegative().optional(),
  adjoint: z
    .custom<Adjoint>((v) => (v as Partial<Adjoint> | null)?.kind === 'discreteAdjoint', 'expected discreteAdjoint()')
    .optional(),
  throwOnFailure: z.boolean().default(true),
});

export interface ParsedOdeOptions {
  readonly abstol: number;
  readonly reltol: number;
  readonly saveAt: readonly number[] | null;
  readonly stepping: Stepping;
  readonly maxIters: number;
  readonly dtMin: number | null;
  /** Where it is a tensor. */
  readonly dtTensor: Tensor | null;
  readonly adjoint: Adjoint;
  readonly throwOnFailure: boolean;
}

/**
 * @param where - Whose options these are, for messages.
 * @param others - Options of the caller's own, which are not looked at here.
 */
export function parseOdeOptions(
  algorithm: OdeAlgorithm,
  options: OdeOptions,
  where = 'solve',
  others: readonly string[] = [],
): ParsedOdeOptions {
  const all = others.length === 0 ? schema : schema.extend(Object.fromEntries(others.map((name) => [name, z.unknown().optional()]))); // prettier-ignore
  const given = parseOptions(all, options, where) as z.output<typeof schema>;
  const { tableau, name } = algorithm;
  const adaptive = given.adaptive ?? tableau.e !== undefined;
  if (adaptive && tableau.e === undefined) {
    throw new TypeError(`${where}: ${name} has no error estimate; it takes fixed steps (adaptive: false, dt: ...)`);
  }
  if (!adaptive && given.dt === undefined) {
    throw new TypeError(`${where}: ${name} with fixed steps needs dt, the size of a step`);
  }
  if (adaptive && given.abstol === 0 && given.reltol === 0) {
    throw new RangeError(`${where}: abstol and reltol are both 0; at least one must be positive`);
  }
  const { controller } = given;
  const dtTensor = isTensor(given.dt) ? given.dt : null;
  // The number of a tensor is known when the program runs.
  const dt = typeof given.dt === 'number' ? given.dt : undefined;
  const stepping: Stepping = adaptive
    ? { kind: 'adaptive', controller, ...(dt === undefined ? {} : { dt }) }
    : { kind: 'fixed', dt: dt ?? NaN };
  return {
    abstol: given.abstol,
    reltol: given.reltol,
    saveAt: given.saveAt ?? null,
    stepping,
    maxIters: given.maxIters,
    dtMin: given.dtMin ?? null,
    dtTensor,
    adjoint: given.adjoint ?? discreteAdjoint(),
    throwOnFailure: given.throwOnFailure,
  };
}

/** Saved times in order and within the span, as far as its ends are known (null: a tensor, known when the solve runs). */
export function checkSaveAt(saveAt: readonly number[] | null, t0: number | null, t1: number | null): void {
  if (saveAt === null) return;
  const forwards = t0 !== null && t1 !== null ? t1 >= t0 : saveAt[saveAt.length - 1] >= saveAt[0];
  saveAt.forEach((t, i) => {
    if (i === 0 || (forwards ? t >= saveAt[i - 1] : t <= saveAt[i - 1])) return;
    throw new RangeError(
      `solve: saveAt must be sorted in the direction of integration; saveAt[${i}] = ${t} follows ${saveAt[i - 1]}`,
    );
  });
  if (t0 === null || t1 === null) return;
  const outside = saveAt.find((t) => t < Math.min(t0, t1) || t > Math.max(t0, t1));
  if (outside !== undefined) throw new RangeError(`solve: saveAt ${outside} lies outside the span [${t0}, ${t1}]`);
}
