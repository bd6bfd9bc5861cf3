/**
 * Pseudo-transient continuation.
 */
import { oneOf, parseOptions, positiveNumber, z } from '../../src/core/options.js';
import { along, euclidean, factorLU } from '../linear/dense.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { HostEquation } from './host.js';
import { describeSingular } from './newton.js';

export interface PseudoTransientOptions {
  /** The first time step. Default 1; smaller follows the flow more closely, in more steps. */
  readonly initialStep?: number;
  /**
   * Which flow to follow: `du/dt = r` ('forward') or `du/dt = -r` ('backward'), where r is the residual. Default: 'backward' for roots, as
   * NonlinearSolve.jl has it and as suits a residual that is a gradient; 'forward' for fixed points, whose residual is `f(u) - u`.
   */
  readonly flow?: 'forward' | 'backward';
}

const DEFAULT_FLOW = { nonlinear: 'backward', fixedPoint: 'forward' } as const;

const SCHEMA = z.strictObject({
  initialStep: positiveNumber.default(1),
  flow: oneOf('forward', 'backward').optional(),
});

/**
 * The rest point of a flow along the residual: linearly implicit Euler steps `(1/h -+ J) d = +-r`, whose time step h grows as the residual falls
 * (switched evolution relaxation), so that the end is Newton's method. For equations that are the steady state of something: it follows the
 * flow, and so finds the rest point which belongs to the start, where that is stable.
 *
 * C. T. Kelley, D. E. Keyes, Convergence analysis of pseudo-transient continuation, SIAM J. Numer. Anal. 35 (1998).
 *
 * @throws OptionError for bad options.
 */
export function pseudoTransient(options: PseudoTransientOptions = {}): NonlinearAlgorithm {
  const { initialStep, flow } = parseOptions(SCHEMA, options, 'pseudoTransient');
  return defineAlgorithm({
    name: 'pseudoTransient',
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const equation = new HostEquation(session, watch);
      equation.checkSquare('pseudoTransient');
      return function* (): Solving {
        equation.reset();
        let u = yield* equation.start();
        let r = yield* equation.residual(u);
        let retcode = equation.judge(r);
        let h = initialStep;
        const sign = (flow ?? DEFAULT_FLOW[session.system.kind]) === 'forward' ? -1 : 1;
        while (retcode === null) {
          const J = yield* equation.jacobian();
          for (let i = 0; i < J.n; i++) J.values[i * J.n + i] += sign / h;
          const factored = factorLU(J);
          if (factored === null)
            return equation.end('InternalLinearSolveFailed', describeSingular(J, watch.iterations));
          const size = euclidean(r);
          u = along(u, -1, factored.solve(r));
          r = yield* equation.residual(u);
          retcode = equation.judge(r);
          h *= size / euclidean(r);
        }
        return equation.end(retcode);
      };
    },
  });
}
