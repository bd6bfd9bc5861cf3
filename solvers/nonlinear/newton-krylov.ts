/**
 * Newton's method without a matrix: each step is found by a Krylov method, as exactly as it is worth.
 *
 * R. S. Dembo, S. C. Eisenstat, T. Steihaug, Inexact Newton methods, SIAM J. Numer. Anal. 19 (1982); S. C. Eisenstat, H. F. Walker,
 * Choosing the forcing terms in an inexact Newton method, SIAM J. Sci. Comput. 17 (1996): their second choice.
 */
import * as tf from '@tensorflow/tfjs-core';
import { parseOptions, positiveNumber, probability, z } from '../../src/core/options.js';
import { sizeOf } from '../../src/graph/graph.js';
import type { Cell } from '../../src/graph/workspace.js';
import { euclideanFactor, gmres, operatorOf, type KrylovAlgorithm } from '../linear/algorithms.js';
import { valuesOf } from '../linear/krylov.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { backtracking, lineSearchOption, type LineSearch, type Merit } from './line-search.js';
import { Linearised } from './linearised.js';

export interface Forcing {
  /** The first linear system is solved to this part of its right-hand side, none less exactly than `max`. Defaults 0.5 and 0.9. */
  readonly first?: number;
  readonly max?: number;
  /** Later ones to `gamma (|f| / |f before|)^alpha`. Defaults 0.9 and 2. */
  readonly gamma?: number;
  readonly alpha?: number;
}

export interface NewtonKrylovOptions {
  /** `gmres()` (the default) or another matrix-free method, with its preconditioner. */
  readonly linearSolver?: KrylovAlgorithm;
  /** Eisenstat and Walker's constants. */
  readonly forcing?: Forcing;
  /** Default `backtracking()`. */
  readonly lineSearch?: LineSearch;
}

const FORCING = z.strictObject({
  first: probability.default(0.5),
  max: probability.default(0.9),
  gamma: probability.default(0.9),
  alpha: positiveNumber.default(2),
});

const SCHEMA = z.strictObject({
  linearSolver: z
    .custom<KrylovAlgorithm>((x) => typeof (x as Partial<KrylovAlgorithm> | null)?.openKrylov === 'function', {
      error: 'a matrix-free method, such as gmres()',
    })
    .optional(),
  forcing: FORCING.prefault({}),
  lineSearch: lineSearchOption.optional(),
});

/** The forcing term falls no faster than this allows, as long as the bound is above SAFEGUARD. */
const SAFEGUARD = 0.1;

/**
 * Newton's method for large systems: only products of the Jacobian with vectors, which the graph gives exactly.
 *
 * @throws OptionError for bad options.
 */
export function newtonKrylov(options: NewtonKrylovOptions = {}): NonlinearAlgorithm {
  const parsed = parseOptions(SCHEMA, options, 'newtonKrylov');
  const linearSolver = parsed.linearSolver ?? gmres();
  const lineSearch = parsed.lineSearch ?? backtracking();
  const { first, max, gamma, alpha } = parsed.forcing;
  const name = `newtonKrylov (${linearSolver.name})`;
  return defineAlgorithm({
    name,
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const { ws, system } = session;
      const n = sizeOf(system.image.shape);
      if (n !== sizeOf(system.state.shape)) {
        throw new TypeError(`${name}: f must return as many equations as the state has unknowns: the state is [${system.state.shape.join(', ')}], the residual [${system.image.shape.join(', ')}]`); // prettier-ignore
      }
      const [u, best, d, next] = [session.cell(), session.cell(), session.cell(), session.cell()];
      const [b, bNext] = [session.cell(system.image.shape), session.cell(system.image.shape)];
      const fraction = session.cell([]);
      const sizes = session.cell([3]);
      const load = session.loader(u);
      const keep = session.step('newtonKrylov keep', [u], [best], ([x]) => [tf.clone(x)]);
      const move = session.step(
        `newtonKrylov move ${watch.termination.norm}`,
        [u, d, fraction],
        [next, bNext, sizes],
        ([x, direction, part], maps) => {
          const at = tf.add(x, tf.mul(part, direction));
          const y = maps.image(at);
          const r = maps.residual(at, y);
          return [at, tf.neg(r), tf.stack([...watch.measure(r, y), tf.sum(tf.square(r))])];
        },
      );
      const map = new Linearised(session, u);
      const operator = operatorOf(linearSolver, session, map);
      const solver = linearSolver.openKrylov(session);
      let measured: number[] = [];
      const trial = function* (part: number): Generator<Cell, number, number[]> {
        ws.put(fraction, part);
        [move.inputs[0], move.inputs[1]] = [u, d];
        [move.outputs[0], move.outputs[1]] = [next, bNext];
        move.run();
        watch.evaluations++;
        measured = yield* valuesOf(session, sizes);
        return measured[2] / 2;
      };
      const take = () => {
        ws.swap(u, next);
        ws.swap(b, bNext);
        map.settle();
        const retcode = watch.judge(measured[0], measured[1]);
        if (watch.improved) {
          keep.inputs[0] = u;
          keep.outputs[0] = best;
          keep.run();
        }
        return retcode;
      };
      const merit: Merit = trial;
      return function* (): Solving {
        load.run();
        ws.fill(d, 0);
        let square = 2 * (yield* trial(0));
        let retcode = take();
        let eta = first;
        while (retcode === null) {
          const size = Math.sqrt(square);
          // The last system need not be solved beyond the tolerance of the whole.
          const enough = (0.5 * watch.tolerance * euclideanFactor(watch, n)) / size;
          const result = yield* solver.solve(operator, b, d, {
            abstol: 0,
            reltol: Math.min(max, Math.max(eta, enough)),
            maxIters: linearSolver.maxIters === Infinity ? Math.max(100, 2 * n) : linearSolver.maxIters,
          });
          watch.evaluations += result.applications;
          const left = result.residual / size;
          if (!(left < 1)) {
            const { retcode: code, reason } = result.failure ?? { retcode: 'InternalLinearSolveFailed', reason: '' };
            const failed = code === 'Unstable' ? 'Unstable' : 'InternalLinearSolveFailed';
            return {
              u: best,
              retcode: failed,
              reason: `the linear system of iteration ${watch.iterations} was not solved: ${reason}`,
            };
          }
          // The slope of |f|^2 / 2 along d is -|f|^2 + f (f + J d), at most this.
          const step = yield* lineSearch.search(merit, square / 2, -(1 - left) * square);
          if (step === null) return { u: best, retcode: 'InternalLineSearchFailed' };
          const after = measured[2];
          retcode = take();
          const bound = gamma * eta ** alpha;
          eta = gamma * Math.sqrt(after / square) ** alpha;
          if (bound > SAFEGUARD) eta = Math.max(eta, bound);
          square = after;
        }
        return { u: best, retcode };
      };
    },
  });
}
