/**
 * Klement's quasi-Newton method.
 *
 * J. Klement, On using quasi-Newton algorithms of the Broyden class for model-to-test correlation, J. Aerosp. Technol. Manag. 6 (2014).
 */
import { nonNegativeInteger, oneOf, parseOptions, z } from '../../src/core/options.js';
import { along, dense, euclidean, factorLU, multiply, type Dense } from '../linear/dense.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { HostEquation } from './host.js';
import { describeSingular } from './newton.js';

export interface KlementOptions {
  /**
   * What to begin with, and begin again with: the Jacobian (the default) or the identity. An entry that is zero at first stays zero, so that from
   * the identity every unknown goes its own way, by the secant method.
   */
  readonly initialJacobian?: 'true' | 'identity';
  /** How often it may begin again when it makes no progress. Default 100. */
  readonly maxResets?: number;
}

const SCHEMA = z.strictObject({
  initialJacobian: oneOf('true', 'identity').default('true'),
  maxResets: nonNegativeInteger.default(100),
});

/** Steps in a row that may fail to reduce the least residual by a tenth before the Jacobian is renewed. */
const FRUITLESS = 5;

/**
 * A quasi-Newton method whose update changes each entry in proportion to its square, `J_ij += (df - J d)_i d_j J_ij^2 / sum_k (J_ik d_k)^2`: it keeps
 * the zeros of the Jacobian and does not mind unlike units. One evaluation of f per step.
 *
 * @throws OptionError for bad options.
 */
export function klement(options: KlementOptions = {}): NonlinearAlgorithm {
  const { initialJacobian, maxResets } = parseOptions(SCHEMA, options, 'klement');
  return defineAlgorithm({
    name: 'klement',
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const equation = new HostEquation(session, watch);
      equation.checkSquare('klement');
      return function* (): Solving {
        equation.reset();
        let u = yield* equation.start();
        let r = yield* equation.residual(u);
        let retcode = equation.judge(r);
        let J: Dense | null = null;
        let resets = -1;
        let fruitless = 0;
        let mark = euclidean(r);
        while (retcode === null) {
          const renewed: boolean = J === null;
          if (J === null) {
            if (++resets > maxResets)
              return equation.end('ConvergenceFailure', `it began again ${maxResets} times in vain`);
            J = initialJacobian === 'true' ? yield* equation.jacobian() : identity(equation.n);
            [fruitless, mark] = [0, euclidean(r)];
          }
          const factored = factorLU(J);
          if (factored === null) {
            if (renewed) return equation.end('InternalLinearSolveFailed', describeSingular(J, watch.iterations));
            J = null;
            equation.moveTo(u);
            continue;
          }
          const step = factored.solve(r.map((x) => -x));
          const next = along(u, 1, step);
          const rNext = yield* equation.residual(next);
          const size = euclidean(rNext);
          if (!renewed && !(size <= 10 * euclidean(r))) {
            // The old Jacobian leads astray; a new one here.
            equation.moveTo(u);
            retcode = equation.judgeAgain(r);
            J = null;
            continue;
          }
          update(J, step, along(along(rNext, -1, r), -1, multiply(J, step)));
          [u, r] = [next, rNext];
          retcode = equation.judge(r);
          fruitless = size < 0.9 * mark ? 0 : fruitless + 1;
          mark = Math.min(mark, size);
          if (fruitless >= FRUITLESS) J = null;
        }
        return equation.end(retcode);
      };
    },
  });
}

function identity(n: number): Dense {
  const I = dense(n, n);
  for (let i = 0; i < n; i++) I.values[i * n + i] = 1;
  return I;
}

/** @param defect What the Jacobian failed to predict. */
function update({ n, values }: Dense, step: readonly number[], defect: readonly number[]): void {
  for (let i = 0; i < n; i++) {
    let weight = 0;
    for (let j = 0; j < n; j++) weight += (values[i * n + j] * step[j]) ** 2;
    if (weight === 0) continue;
    for (let j = 0; j < n; j++) values[i * n + j] += (defect[i] * step[j] * values[i * n + j] ** 2) / weight;
  }
}
