/**
 * Algorithms in a row: the next one begins where the last one gave up.
 */
import { sizeOf } from '../../src/graph/graph.js';
import { z, parseOptions } from '../../src/core/options.js';
import { defineAlgorithm, type Ending, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { isSuccessful } from '../retcode.js';
import { broyden } from './broyden.js';
import { klement } from './klement.js';
import { levenbergMarquardt } from './levenberg-marquardt.js';
import { backtracking } from './line-search.js';
import { newtonRaphson } from './newton.js';
import { trustRegion } from './trust-region.js';
import type { System } from './system.js';
import { Watch } from './termination.js';

/**
 * Try one algorithm after another, each from the start, until one succeeds; the counts are those of all together.
 *
 * @param algorithms In order: the cheapest first.
 * @throws RangeError when there is none, TypeError when an element is no algorithm for equations.
 */
export function polyalgorithm(algorithms: readonly NonlinearAlgorithm[], name = 'polyalgorithm'): NonlinearAlgorithm {
  if (algorithms.length === 0) throw new RangeError('polyalgorithm: at least one algorithm is needed');
  algorithms.forEach((x, i) => {
    if ((x as Partial<NonlinearAlgorithm> | undefined)?.kind === 'nonlinearAlgorithm') return;
    throw new TypeError(`polyalgorithm: element ${i} must be an algorithm, such as newtonRaphson(), got ${typeof x}`);
  });
  return switching(name, () => algorithms, algorithms);
}

/**
 * For difficult problems: trust regions, Newton's method with and without a line search, and Levenberg-Marquardt, until one succeeds. Robust
 * from the first attempt on, and so slower on easy problems than {@link fastShortcut}.
 */
export function robustMultiNewton(options: Readonly<Record<string, never>> = {}): NonlinearAlgorithm {
  parseOptions(z.strictObject({}), options, 'robustMultiNewton');
  return polyalgorithm(
    [
      trustRegion(),
      trustRegion({ radiusUpdate: 'bastin' }),
      newtonRaphson({ lineSearch: backtracking() }),
      newtonRaphson(),
      trustRegion({ radiusUpdate: 'nlsolve' }),
      klement(),
      levenbergMarquardt(),
    ],
    'robustMultiNewton',
  );
}

/** With fewer unknowns a Jacobian costs less than the iterations that it saves. */
const SMALL = 25;

/**
 * The default choice: quasi-Newton methods first, which need no Jacobian, then Newton's, then trust regions and Levenberg-Marquardt, until one
 * succeeds. With at most 25 unknowns it begins at Newton's method.
 */
export function fastShortcut(options: Readonly<Record<string, never>> = {}): NonlinearAlgorithm {
  parseOptions(z.strictObject({}), options, 'fastShortcut');
  const small = [
    newtonRaphson(),
    trustRegion(),
    trustRegion({ radiusUpdate: 'bastin' }),
    klement(),
    levenbergMarquardt(),
    newtonRaphson({ lineSearch: backtracking() }),
  ];
  const all = [broyden(), klement(), ...small.filter(({ name }) => name !== 'klement')];
  return switching('fastShortcut', ({ state }) => (sizeOf(state.shape) <= SMALL ? small : all), all);
}

function switching(
  name: string,
  choose: (system: System) => readonly NonlinearAlgorithm[],
  all: readonly NonlinearAlgorithm[],
): NonlinearAlgorithm {
  const kinds = ['nonlinear', 'fixedPoint'] as const;
  return defineAlgorithm({
    name,
    solves: kinds.filter((kind) => all.every(({ solves }) => solves.includes(kind))),
    open: (session, watch) => {
      const { system } = session;
      const algorithms = choose(system);
      const opened: { readonly own: Watch; readonly begin: () => Solving }[] = [];
      return function* (): Solving {
        const tried: string[] = [];
        let [iterations, evaluations] = [0, 0];
        let least: { readonly own: Watch; readonly ending: Ending } | undefined;
        for (let i = 0; i < algorithms.length; i++) {
          if (i >= opened.length) {
            const own = new Watch(watch.termination, system);
            opened.push({ own, begin: algorithms[i].open(session, own) });
          }
          const { own, begin } = opened[i];
          own.start();
          const ending = yield* begin();
          iterations += own.iterations;
          evaluations += own.evaluations;
          tried.push(`${algorithms[i].name}: ${ending.retcode}`);
          const succeeded = isSuccessful(ending.retcode);
          if (succeeded || least === undefined || own.best < least.own.best) least = { own, ending };
          if (succeeded) break;
        }
        const { own, ending } = least as NonNullable<typeof least>;
        watch.adopt(own);
        [watch.iterations, watch.evaluations] = [iterations, evaluations];
        if (isSuccessful(ending.retcode)) return ending;
        return { ...ending, reason: `none of its algorithms found a solution (${tried.join(', ')})` };
      };
    },
  });
}
