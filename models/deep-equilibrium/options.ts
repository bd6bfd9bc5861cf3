/**
 * The options of the deep equilibrium layers, validated at construction.
 */
import {
  flag,
  nonNegativeInteger,
  nonNegativeNumber,
  objectOption,
  oneOf,
  parseOptions,
  positiveInteger,
  shapeOption,
  z,
} from '../../src/core/options.js';
import { anderson, implicitAdjoint, type NonlinearAlgorithm, type NonlinearOptions } from '../../solvers/index.js';
import { checkNonlinearAlgorithm } from '../../solvers/nonlinear/algorithm.js';
import { parseNonlinearOptions } from '../../solvers/nonlinear/options.js';

/** What may differ when the layer is tested. */
export interface TestOptions {
  readonly algorithm?: NonlinearAlgorithm;
  readonly abstol?: number;
  readonly reltol?: number;
  readonly maxIters?: number;
}

export interface EquilibriumOptions extends Omit<NonlinearOptions, 'along' | 'storeTrace'> {
  /** Default `anderson()`. An ODE method makes the continuous model: `steadyState(tsit5())`. */
  readonly algorithm?: NonlinearAlgorithm;
  /** Default 1e-3. */
  readonly abstol?: number;
  /** Default 1e-3. */
  readonly reltol?: number;
  /** Default 32. */
  readonly maxIters?: number;
  /**
   * Default false: what a solve reached is in the state, and training goes on. Where the layer is not finite at the start of the solve
   * (a row of an independent batch by itself), nothing was reached: the equilibrium is NaN.
   */
  readonly throwOnFailure?: boolean;
  /** Shape of the equilibrium without the batch axis. Default: that of the input. */
  readonly shape?: readonly number[];
  /**
   * With this many applications of the layer, and no solve, in its place: for the first steps of training. Default 0:
   * solve.
   */
  readonly fixedDepth?: number;
  /**
   * Random vectors for the estimate of `|J|_F^2 / n` at the equilibrium, in training: `solution.jacobianLoss`. Default
   * 0: none.
   */
  readonly jacobianRegularization?: number;
  /**
   * Estimate the spectral radius of the layer's Jacobian at the equilibrium: `solution.spectralRadius`. Default false:
   * NaN.
   */
  readonly spectralRadius?: boolean;
  /** Start from the previous equilibrium where the batch has the same size. Default false. */
  readonly warmStart?: boolean;
  /**
   * How many states the solve returns, for {@link fixedPointCorrection}: the equilibrium, and before it what the solve
   * had reached after
   * equal shares of `maxIters`. Default 1.
   */
  readonly states?: number;
  /** What differs in test mode. */
  readonly test?: TestOptions;
}

const isAlgorithm = z.custom<NonlinearAlgorithm>(
  (x) => (x as Partial<NonlinearAlgorithm> | null)?.kind === 'nonlinearAlgorithm',
  'an algorithm for fixed points, such as anderson()',
);

const SCHEMA = z.strictObject({
  algorithm: isAlgorithm.optional(),
  abstol: nonNegativeNumber.default(1e-3),
  reltol: nonNegativeNumber.default(1e-3),
  maxIters: positiveInteger.default(32),
  norm: oneOf('rms', 'l2', 'max').optional(),
  patience: z.custom<number>().optional(),
  divergence: z.custom<number>().optional(),
  adjoint: objectOption<NonNullable<NonlinearOptions['adjoint']>>('an adjoint, such as implicitAdjoint()').optional(),
  throwOnFailure: flag.default(false),
  batch: oneOf('joint', 'independent').optional(),
  shape: shapeOption.optional(),
  fixedDepth: nonNegativeInteger.default(0),
  jacobianRegularization: nonNegativeInteger.default(0),
  spectralRadius: flag.default(false),
  warmStart: flag.default(false),
  states: positiveInteger.default(1),
  test: z
    .strictObject({
      algorithm: isAlgorithm.optional(),
      abstol: nonNegativeNumber.optional(),
      reltol: nonNegativeNumber.optional(),
      maxIters: positiveInteger.optional(),
    })
    .optional(),
});

export interface SolveSettings {
  readonly algorithm: NonlinearAlgorithm;
  readonly options: NonlinearOptions & { readonly maxIters: number };
}

export interface ParsedEquilibriumOptions {
  readonly training: SolveSettings;
  readonly testing: SolveSettings;
  readonly shape: readonly number[] | undefined;
  readonly fixedDepth: number;
  readonly jacobianRegularization: number;
  readonly spectralRadius: boolean;
  readonly warmStart: boolean;
  readonly states: number;
}

/** What is not given must not be there: the schema of `solve` is strict. */
const given = <T extends object>(record: T): T =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;

export function parseEquilibriumOptions(options: EquilibriumOptions, where: string): ParsedEquilibriumOptions {
  const parsed = parseOptions(SCHEMA, options, where);
  const { shape, fixedDepth, jacobianRegularization, spectralRadius, warmStart, states, test, algorithm, ...rest } =
    parsed;
  // A linear system that is not solved to its tolerance is said, and does not end a training run.
  const adjoint = rest.adjoint ?? implicitAdjoint({ onFailure: rest.throwOnFailure ? 'error' : 'warn' });
  const training: SolveSettings = { algorithm: algorithm ?? anderson(), options: given({ ...rest, adjoint }) as never };
  const { algorithm: testAlgorithm, ...tolerances } = test ?? {};
  const testing: SolveSettings = {
    algorithm: testAlgorithm ?? training.algorithm,
    options: Object.assign({}, training.options, given(tolerances)),
  };
  for (const { algorithm: used, options: those } of [training, testing]) {
    checkNonlinearAlgorithm(used, 'fixedPoint', `${where}: option "algorithm"`);
    parseNonlinearOptions(those, where);
  }
  return { training, testing, shape, fixedDepth, jacobianRegularization, spectralRadius, warmStart, states };
}
