/**
 * Powell's dog leg in a trust region, with a dense Jacobian.
 *
 * M. J. D. Powell, A hybrid method for nonlinear equations, in: Numerical Methods for Nonlinear Algebraic Equations (1970); J. Nocedal,
 * S. J. Wright, Numerical Optimization (2006), chapter 11.
 */
import { oneOf, parseOptions, positiveInteger, positiveNumber, probability, z } from '../../src/core/options.js';
import { along, dotProduct, euclidean, factorLU, multiply, multiplyTransposed, type Dense } from '../linear/dense.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { HostEquation, largest } from './host.js';
import { describeSingular } from './newton.js';

export type RadiusUpdate = 'simple' | 'nocedalWright' | 'nlsolve' | 'hei' | 'fan' | 'bastin';

export interface TrustRegionOptions {
  /** How the radius follows the ratio of the actual to the predicted reduction. Default 'simple'. */
  readonly radiusUpdate?: RadiusUpdate;
  /** Default: that of the update scheme. */
  readonly initialRadius?: number;
  /** A step is taken when the ratio exceeds this. Default 1e-4. */
  readonly stepThreshold?: number;
  /** Default 32: the radius may shrink so often in a row before the solve fails. */
  readonly maxShrinks?: number;
}

interface Trial {
  /** Actual over predicted reduction. */
  readonly ratio: number;
  readonly step: number;
  readonly accepted: boolean;
  /** |f| at the point where the next step begins. */
  readonly residual: number;
  /** The same ratio, of the model at the new point, looking back. */
  readonly backward: number;
}

/** Carries what it needs between updates. */
interface Radius {
  readonly initial: number;
  /** The next radius, after a trial with this one. */
  update(radius: number, trial: Trial): number;
  /** Does it look at `backward`? That costs a Jacobian. */
  readonly retrospective?: true;
}

interface Start {
  readonly u: readonly number[];
  readonly residual: number;
}

const spread = (u: readonly number[]): number => u.reduce((m, x) => Math.max(m, x), -Infinity) - u.reduce((m, x) => Math.min(m, x), Infinity); // prettier-ignore

const thresholds =
  (largestRadius: number) =>
  (radius: number, { ratio, step }: Trial): number => {
    if (!(ratio >= 0.25)) return radius / 4;
    // The region was in the way.
    return ratio > 0.75 && step >= 0.999 * radius ? Math.min(2 * radius, largestRadius) : radius;
  };

/** Hei's function of the ratio: about 1 where the model is right, M at most, beta at least. */
function heiFactor(ratio: number): number {
  const [M, beta, gamma1, gamma2] = [5, 0.1, 0.15, 0.15];
  return ratio >= 0
    ? (2 / Math.PI) * (M - 1 - gamma2) * Math.atan(ratio) + 1 + gamma2
    : (1 - gamma1 - beta) * Math.exp(ratio) + beta;
}

const UPDATES: Readonly<Record<RadiusUpdate, (start: Start) => Radius>> = {
  /** As Nocedal and Wright's, begun small and bounded by the size of the problem, as in NonlinearSolve.jl (whose bound is a hundredth of this). */
  simple: ({ u, residual }) => {
    const bound = Math.max(residual, spread(u));
    return { initial: bound / 11, update: thresholds(100 * Math.max(bound, 1)) };
  },
  /** Numerical Optimization, algorithm 4.1. */
  nocedalWright: () => ({ initial: 1, update: thresholds(Infinity) }),
  /** As NLsolve.jl does it: by the length of the step. */
  nlsolve: ({ u }) => ({
    initial: euclidean(u) || 1,
    update: (radius, { ratio, step }) =>
      ratio >= 0.9 ? 2 * step : ratio >= 0.5 ? Math.max(radius, 2 * step) : ratio >= 0.1 ? radius : radius / 2,
  }),
  /** L. Hei, A self-adaptive trust region algorithm, J. Comput. Math. 21 (2003). */
  hei: () => ({ initial: 1, update: (_, { ratio, step }) => heiFactor(ratio) * step }),
  /** J.-Y. Fan, Convergence rate of the trust region method for nonlinear equations under local error bound condition (2006). */
  fan: ({ residual: first }) => {
    let scale = 0.1;
    return {
      initial: scale * first ** 0.99,
      update: (_, { ratio, residual }) => {
        if (!(ratio >= 0.25)) scale *= 0.25;
        else if (ratio > 0.75) scale = Math.min(12 * scale, 1e18);
        return scale * residual ** 0.99;
      },
    };
  },
  /** F. Bastin, V. Malmedy, M. Mouffe, Ph. Toint, D. Tomanos, A retrospective trust-region method, Math. Program. 123 (2010). */
  bastin: () => ({
    initial: 1,
    retrospective: true,
    update: (radius, { accepted, backward, step }) => {
      if (!accepted) return radius / 4;
      return backward >= 0.9 ? Math.max(2.5 * step, radius) : radius;
    },
  }),
};

const SCHEMA = z.strictObject({
  radiusUpdate: oneOf('simple', 'nocedalWright', 'nlsolve', 'hei', 'fan', 'bastin').default('simple'),
  initialRadius: positiveNumber.optional(),
  stepThreshold: probability.default(1e-4),
  maxShrinks: positiveInteger.default(32),
});

/** The gradient is zero to working precision when no column of the Jacobian makes a larger cosine with the residual. */
const STATIONARY = 1e-12;

/**
 * Newton's method made safe: of the Newton step and the steepest descent, the combination that is best within the radius where the linear
 * model can be trusted. Converges from far away, and where the Jacobian is singular on the way; ends at a local minimum of `|f|` at worst.
 *
 * @throws OptionError for bad options.
 */
export function trustRegion(options: TrustRegionOptions = {}): NonlinearAlgorithm {
  const { radiusUpdate, initialRadius, stepThreshold, maxShrinks } = parseOptions(SCHEMA, options, 'trustRegion');
  const name = `trustRegion (${radiusUpdate})`;
  return defineAlgorithm({
    name,
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const equation = new HostEquation(session, watch);
      equation.checkSquare(name);
      return function* (): Solving {
        equation.reset();
        let u = yield* equation.start();
        let r = yield* equation.residual(u);
        let retcode = equation.judge(r);
        if (retcode !== null) return equation.end(retcode);
        const rule = UPDATES[radiusUpdate]({ u, residual: euclidean(r) });
        let radius = initialRadius ?? rule.initial;
        let shrinks = 0;
        let J = yield* equation.jacobian();
        let legs: Legs | null = null;
        for (;;) {
          if (legs === null) {
            if (!J.values.every(Number.isFinite))
              return equation.end('Unstable', describeSingular(J, watch.iterations));
            legs = legsOf(J, r);
            if (isStationary(J, r, legs.gradient)) return equation.endAtMinimum();
          }
          const step = dogleg(legs, radius);
          const length = euclidean(step);
          const size = dotProduct(r, r) / 2;
          const model = along(r, 1, multiply(J, step));
          const predicted = size - dotProduct(model, model) / 2;
          const trial = along(u, 1, step);
          const rTrial = yield* equation.residual(trial);
          const after = dotProduct(rTrial, rTrial) / 2;
          const ratio = (size - after) / predicted;
          const accepted = ratio > stepThreshold && after < Infinity;
          let backward = ratio;
          const JOld = J;
          if (accepted) {
            [u, r] = [trial, rTrial];
            retcode = equation.judge(r);
            if (retcode !== null) return equation.end(retcode);
            J = yield* equation.jacobian();
            legs = null;
            if (rule.retrospective) {
              const back = along(r, -1, multiply(J, step));
              backward = (size - after) / (dotProduct(back, back) / 2 - after);
            }
          } else {
            retcode = equation.judgeAgain(r);
            if (retcode !== null) return equation.end(retcode);
          }
          const next = rule.update(radius, { ratio, step: length, accepted, residual: euclidean(r), backward });
          shrinks = next < radius && !accepted ? shrinks + 1 : 0;
          radius = next;
          const scale = largest(u) + Number.MIN_VALUE;
          if (shrinks > maxShrinks || (!accepted && length < Number.EPSILON * scale)) {
            return isStationary(JOld, r, multiplyTransposed(JOld, r), 1e-6)
              ? equation.endAtMinimum()
              : equation.end('ShrinkThresholdExceeded');
          }
        }
      };
    },
  });
}

interface Legs {
  readonly gradient: readonly number[];
  /** The minimum of the model along the steepest descent. */
  readonly cauchy: readonly number[];
  /** Null where the Jacobian is singular. */
  readonly newton: readonly number[] | null;
}

function legsOf(J: Dense, r: readonly number[]): Legs {
  const gradient = multiplyTransposed(J, r);
  const Jg = multiply(J, gradient);
  const length = dotProduct(gradient, gradient) / dotProduct(Jg, Jg);
  const newton = factorLU(J)?.solve(r.map((x) => -x));
  return {
    gradient,
    cauchy: gradient.map((g) => -length * g),
    newton: newton?.every(Number.isFinite) === true ? newton : null,
  };
}

/** The point within the radius on the path from 0 over the Cauchy point to the Newton point. */
function dogleg({ cauchy, newton }: Legs, radius: number): number[] {
  if (newton !== null && euclidean(newton) <= radius) return [...newton];
  const c = euclidean(cauchy);
  if (c >= radius) return cauchy.map((x) => (x * radius) / c);
  if (newton === null) return [...cauchy];
  const leg = along(newton, -1, cauchy);
  const a = dotProduct(leg, leg);
  const b = dotProduct(cauchy, leg);
  const gap = radius * radius - c * c;
  // The positive root of |cauchy + t leg| = radius, written so that nothing cancels.
  const root = Math.sqrt(b * b + a * gap);
  const t = b > 0 ? gap / (b + root) : (root - b) / a;
  return along(cauchy, t, leg);
}

/** Is no column of J at an angle to r that differs from a right one? */
export function isStationary(
  J: Dense,
  r: readonly number[],
  gradient: readonly number[],
  tolerance = STATIONARY,
): boolean {
  const size = euclidean(r);
  return gradient.every((g, j) => {
    let column = 0;
    for (let i = 0; i < J.m; i++) column += J.values[i * J.n + j] ** 2;
    return Math.abs(g) <= tolerance * Math.sqrt(column) * size;
  });
}
