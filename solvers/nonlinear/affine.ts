/**
 * Krylov methods as algorithms for an equation whose residual is affine, `b - A u`: the linear systems of implicit derivatives.
 */
import * as tf from '@tensorflow/tfjs';
import { sizeOf } from '../../src/graph/graph.js';
import { openGmres } from '../linear/gmres.js';
import type { CellOperator, OpenKrylov } from '../linear/krylov.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';

/** The equation must be affine: nothing here would notice if it were not. */
export function affineSolver(name: string, openKrylov: OpenKrylov): NonlinearAlgorithm {
  return defineAlgorithm({
    name,
    solves: ['nonlinear'],
    open: (session, watch) => {
      const solver = openKrylov(session);
      const [b, x] = [session.cell(), session.cell()];
      const rightHandSide = session.step('affine right-hand side', [session.u0], [b], ([u], maps) => [
        maps.residual(tf.zerosLike(u)),
      ]);
      const forwards = session.step('affine map', [x], [b], ([v], maps) => [tf.neg(maps.jvp(tf.zerosLike(v), v))]);
      const backwards = session.step('affine transpose', [x], [b], ([v], maps) => [
        tf.neg(maps.vjp(tf.zerosLike(v), v)),
      ]);
      const operator: CellOperator = {
        apply: (from, to) => {
          forwards.inputs[0] = from;
          forwards.outputs[0] = to;
          forwards.run();
        },
        transpose: (from, to) => {
          backwards.inputs[0] = from;
          backwards.outputs[0] = to;
          backwards.run();
        },
      };
      const { norm, abstol, reltol, maxIters } = watch.termination;
      // The Krylov methods measure in the Euclidean norm.
      const weight = norm === 'rms' ? Math.sqrt(sizeOf(session.system.state.shape)) : 1;
      return function* (): Solving {
        rightHandSide.run();
        const result = yield* solver.solve(operator, b, x, { abstol: abstol * weight, reltol, maxIters });
        watch.evaluations = result.applications;
        watch.iterations = watch.bestAt = result.iterations;
        watch.best = watch.last = result.residual / weight;
        watch.scale = reltol > 0 ? (result.target / weight - abstol) / reltol : 0;
        if (result.converged) return { u: x, retcode: 'Success' };
        const { retcode = 'ConvergenceFailure', reason } = result.failure ?? {};
        return { u: x, retcode: watch.orNearly(retcode), ...(reason === undefined ? {} : { reason }) };
      };
    },
  });
}

/** GMRES with that restart. */
export const affineGmres = (restart = 60): NonlinearAlgorithm =>
  affineSolver(`gmres(${restart})`, (session) => openGmres(session, restart));
