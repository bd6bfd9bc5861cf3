/**
 * The Levenberg-Marquardt method with geodesic acceleration.
 *
 * D. W. Marquardt, An algorithm for least-squares estimation of nonlinear parameters (1963); M. K. Transtrum, J. P. Sethna,
 * Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares minimization, arXiv 1201.5885 (2012), which is where the
 * acceleration and the test that lets a step go uphill are from.
 */
import { nonNegativeNumber, numberThat, parseOptions, positiveNumber, z } from '../../src/core/options.js';
import { along, dense, dotProduct, euclidean, factorQR, multiplyTransposed, type Dense } from '../linear/dense.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { HostEquation, largest } from './host.js';
import { describeSingular } from './newton.js';
import { isStationary } from './trust-region.js';

export interface LevenbergMarquardtOptions {
  /** The damping at the start. Default 1. */
  readonly dampingInitial?: number;
  /** A refused step multiplies the damping by this. Default 2. */
  readonly dampingIncrease?: number;
  /** A step that was taken divides it by this. Default 3. */
  readonly dampingDecrease?: number;
  /** The acceleration is used when it is at most this part of the velocity; 0 turns it off. Default 0.75. */
  readonly geodesic?: number;
  /** The least scale of an unknown. Default 1e-8. */
  readonly minScale?: number;
  /**
   * How readily a step is taken that increases |f| while it turns little: 0 (the default) never, 1 or 2. NonlinearSolve.jl takes 1, which lets the
   * scaling grow without bound on the chained Rosenbrock equations.
   */
  readonly uphill?: number;
}

const above1 = numberThat((x) => x > 1 && x < Infinity, 'a number above 1');

const SCHEMA = z.strictObject({
  dampingInitial: positiveNumber.default(1),
  dampingIncrease: above1.default(2),
  dampingDecrease: above1.default(3),
  geodesic: nonNegativeNumber.default(0.75),
  minScale: positiveNumber.default(1e-8),
  uphill: nonNegativeNumber.default(0),
});

/** Damping beyond which no step changes anything. */
const MOST_DAMPING = 1e30;

/**
 * Least squares by a blend of Gauss-Newton and scaled steepest descent: the step solves `(J'J + lambda D) v = -J'f`. Converges from far away
 * and with a Jacobian without full rank, for as many equations as unknowns or more (or fewer). At a minimum of `|f|` that is not zero it
 * ends with 'StalledSuccess' where there are more equations than unknowns, and with 'Stalled' where there are not.
 *
 * The second directional derivative that the acceleration needs is exact.
 *
 * @throws OptionError for bad options.
 */
export function levenbergMarquardt(options: LevenbergMarquardtOptions = {}): NonlinearAlgorithm {
  const parsed = parseOptions(SCHEMA, options, 'levenbergMarquardt');
  const { dampingInitial, dampingIncrease, dampingDecrease, geodesic, minScale, uphill } = parsed;
  return defineAlgorithm({
    name: 'levenbergMarquardt',
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const equation = new HostEquation(session, watch);
      return function* (): Solving {
        equation.reset();
        let u = yield* equation.start();
        let r = yield* equation.residual(u);
        let retcode = equation.judge(r);
        let lambda = dampingInitial;
        let J: Dense | null = null;
        const scale = new Array<number>(equation.n).fill(minScale);
        let before: readonly number[] | null = null;
        let least = euclidean(r);
        while (retcode === null) {
          if (J === null) {
            J = yield* equation.jacobian();
            if (!J.values.every(Number.isFinite))
              return equation.end('Unstable', describeSingular(J, watch.iterations));
            grow(scale, J);
            if (isStationary(J, r, multiplyTransposed(J, r))) return equation.endAtMinimum();
          }
          const solve = damped(J, scale, lambda);
          const velocity = solve(r);
          if (velocity === null)
            return equation.end('InternalLinearSolveFailed', describeSingular(J, watch.iterations));
          let step = velocity;
          if (geodesic > 0) {
            const bend = yield* equation.curvature(velocity);
            const acceleration = solve(bend);
            if (acceleration !== null && 2 * euclidean(acceleration) <= geodesic * euclidean(velocity)) {
              step = along(velocity, 0.5, acceleration);
            }
          }
          const trial = along(u, 1, step);
          const rTrial = yield* equation.residual(trial);
          const size = euclidean(rTrial);
          const turn = before === null ? 0 : cosine(velocity, before);
          const accepted =
            size < Infinity &&
            (uphill === 0 ? size < least : Math.max(0, 1 - turn) ** uphill * size ** 2 <= least ** 2);
          if (accepted) {
            [u, r, before, J] = [trial, rTrial, velocity, null];
            least = Math.min(least, size);
            lambda /= dampingDecrease;
            retcode = equation.judge(r);
          } else {
            lambda *= dampingIncrease;
            equation.moveTo(u);
            retcode = equation.judgeAgain(r);
            if (lambda > MOST_DAMPING || euclidean(step) <= Number.EPSILON * 0.01 * largest(u))
              return equation.endAtMinimum();
          }
        }
        return equation.end(retcode);
      };
    },
  });
}

/** The largest column norms met so far: Marquardt's scaling, which makes the method blind to units. */
function grow(scale: number[], { m, n, values }: Dense): void {
  for (let j = 0; j < n; j++) {
    let size = 0;
    for (let i = 0; i < m; i++) size += values[i * n + j] ** 2;
    scale[j] = Math.max(scale[j], size);
  }
}

/** `b -> argmin |J v + b|^2 + lambda |sqrt(D) v|^2`, as one least-squares problem: squaring J would lose half of the digits. */
function damped(J: Dense, scale: readonly number[], lambda: number): (b: readonly number[]) => number[] | null {
  const { m, n } = J;
  const stacked = dense(m + n, n);
  stacked.values.set(J.values);
  for (let j = 0; j < n; j++) stacked.values[(m + j) * n + j] = Math.sqrt(lambda * scale[j]);
  const factored = factorQR(stacked);
  const zeros = new Array<number>(n).fill(0);
  return (b) => factored?.solve([...b.map((x) => -x), ...zeros]) ?? null;
}

const cosine = (a: readonly number[], b: readonly number[]): number => {
  const size = euclidean(a) * euclidean(b);
  return size === 0 ? 0 : dotProduct(a, b) / size;
};
