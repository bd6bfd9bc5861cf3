/**
 * A Runge-Kutta method of the user's own.
 */
import { parseOptions, z } from '../../src/core/options.js';
import type { OdeAlgorithm } from './algorithm.js';
import type { Tableau } from './tableau.js';

const numbers = z.array(z.number());

const schema = z
  .strictObject({
    name: z.string().min(1),
    source: z.string().default('given by the user'),
    order: z.int().positive(),
    c: numbers.min(1, 'expected at least one stage'),
    a: z.array(numbers),
    b: numbers,
    e: numbers.optional(),
    fsal: z.boolean().default(false),
    interpolant: z.array(numbers).optional(),
  })
  .superRefine(({ c, a, b, e, fsal, interpolant }, context) => {
    const problem = (path: (string | number)[], message: string): void => {
      context.addIssue({ code: 'custom', path, message });
    };
    const stages = c.length;
    const near = (x: number, y: number): boolean => Math.abs(x - y) <= 1e-10 * Math.max(1, Math.abs(y));
    const sum = (xs: readonly number[]): number => xs.reduce((s, x) => s + x, 0);
    for (const [name, given] of [['a', a], ['b', b], ['e', e ?? b], ['interpolant', interpolant ?? b]] as const) {
      if (given.length !== stages) problem([name], `${stages} entries, one per stage`);
    } // prettier-ignore
    a.forEach((row, i) => {
      if (row.length !== i) problem(['a', i], `${i} weights, one for each stage before`);
      else if (i < stages && !near(sum(row), c[i])) problem(['a', i], `weights that sum to c[${i}] = ${c[i]}`);
    }); // prettier-ignore
    if (!near(sum(b), 1)) problem(['b'], 'weights that sum to 1');
    if (e !== undefined && !near(sum(e) + 1, 1)) problem(['e'], 'weights that sum to 0');
    if (e?.every((x) => x === 0) === true)
      problem(['e'], 'at least one weight that is not 0; leave e out for fixed steps');
    const last = a.at(-1) ?? [];
    if (fsal && !(c.at(-1) === 1 && b.at(-1) === 0 && last.every((x, i) => near(x, b[i])))) {
      problem(['fsal'], 'a method whose last stage is evaluated at the new state (its row of a equals b, its c is 1)');
    } // prettier-ignore
    interpolant?.forEach((p, i) => {
      if (i < b.length && !near(sum(p), b[i])) problem(['interpolant', i], `coefficients that sum to b[${i}] = ${b[i]}`);
    }); // prettier-ignore
  });

/** The coefficients of an explicit Runge-Kutta method, as {@link explicitRungeKutta} takes them. */
export interface ExplicitTableau extends Omit<Tableau, 'source' | 'fsal'> {
  readonly source?: string;
  readonly fsal?: boolean;
}

/**
 * An explicit Runge-Kutta method with coefficients of your own:
 *
 *     k_i = f(u + h sum_(j<i) a_ij k_j, t + c_i h),   u1 = u + h sum_i b_i k_i
 *
 * with the error estimate `h sum_i e_i k_i` (absent: fixed steps only) and dense output `u + h sum_i w_i(theta) k_i`, where
 * `interpolant[i]` holds the coefficients of theta, theta^2, ... in `w_i` (absent: the cubic Hermite interpolant).
 * `fsal: true` says that the last stage is the slope at the new state, and so serves as the first of the next step.
 *
 * @throws OptionError when the coefficients do not fit together: rows of the wrong length, or weights with a wrong sum.
 */
export function explicitRungeKutta(tableau: ExplicitTableau): OdeAlgorithm {
  const { e, interpolant, ...rest } = parseOptions(schema, tableau, 'explicitRungeKutta');
  const checked: Tableau = {
    ...rest,
    ...(e === undefined ? {} : { e }),
    ...(interpolant === undefined ? {} : { interpolant }),
  };
  return Object.freeze({ kind: 'explicitRungeKutta', name: checked.name, tableau: Object.freeze(checked) });
}
