/**
 * DF-SANE: the spectral residual method without derivatives.
 *
 * W. La Cruz, J. M. Martinez, M. Raydan, Spectral residual method without gradient information for solving large-scale nonlinear
 * systems of equations, Math. Comput. 75 (2006).
 */
import * as tf from '@tensorflow/tfjs-core';
import { parseOptions, positiveInteger, positiveNumber, probability, z } from '../../src/core/options.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';

export interface DFSaneOptions {
  /** Bounds of the spectral coefficient's magnitude, and its first value. Defaults 1e-10, 1e10 and 1. */
  readonly sigmaMin?: number;
  readonly sigmaMax?: number;
  readonly sigma1?: number;
  /** The merit may rise up to the largest of the last so many. Default 10. */
  readonly memory?: number;
  /** The decrease asked for. Default 1e-4. */
  readonly gamma?: number;
  /** A trial that fails is cut at least to `tauMax` and at most to `tauMin` of its length. Defaults 0.5 and 0.1. */
  readonly tauMin?: number;
  readonly tauMax?: number;
  /** Trials along one direction. Default 100. */
  readonly maxTrials?: number;
}

const SCHEMA = z.strictObject({
  sigmaMin: positiveNumber.default(1e-10),
  sigmaMax: positiveNumber.default(1e10),
  sigma1: positiveNumber.default(1),
  memory: positiveInteger.default(10),
  gamma: probability.default(1e-4),
  tauMin: probability.default(0.1),
  tauMax: probability.default(0.5),
  maxTrials: positiveInteger.default(100),
});

/**
 * Steps along the residual itself, of a length that the last step suggests (Barzilai and Borwein's), with a search that lets the merit rise
 * now and then. No derivative and no matrix, O(n) memory: for very large systems whose Jacobian has definite symmetric part.
 *
 * @throws OptionError for bad options.
 */
export function dfSane(options: DFSaneOptions = {}): NonlinearAlgorithm {
  const parsed = parseOptions(SCHEMA, options, 'dfSane');
  const { sigmaMin, sigmaMax, sigma1, memory, gamma, tauMin, tauMax, maxTrials } = parsed;
  if (sigmaMin > sigmaMax)
    throw new RangeError(`dfSane: sigmaMin = ${sigmaMin} must not be above sigmaMax = ${sigmaMax}`);
  return defineAlgorithm({
    name: 'dfSane',
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const { ws, system } = session;
      if (system.state.shape.join() !== system.image.shape.join()) {
        throw new TypeError(
          `dfSane: f must return a residual of the state's shape: the state is [${system.state.shape.join(', ')}], the residual [${system.image.shape.join(', ')}]`,
        );
      }
      const [u, r, best] = [session.cell(), session.cell(), session.cell()];
      const [uNext, rNext] = [session.cell(), session.cell()];
      const [length, shift] = [session.cell([]), session.cell([])];
      const numbers = session.numbers(5);
      const load = session.loader(u);
      // A trial from u along -+ the residual r, whose first difference the numbers describe.
      const move = session.step(
        `dfSane move ${watch.termination.norm}`,
        [u, r, length, shift],
        [uNext, rNext, ...numbers.cells],
        ([x, direction, step, old], maps) => {
          const next = tf.add(x, tf.mul(step, direction));
          const y = maps.image(next);
          const residual = maps.residual(next, y);
          const change = tf.sub(residual, tf.mul(old, direction));
          return [
            next,
            residual,
            ...numbers.pack([
              ...watch.measure(residual, y),
              tf.sum(tf.square(residual)),
              tf.sum(tf.mul(direction, change)),
              tf.sum(tf.square(direction)),
            ]),
          ];
        },
      );
      const trial = function* (alpha: number, old: number): Generator<typeof u, void, number[]> {
        ws.put(length, alpha);
        ws.put(shift, old);
        move.inputs[0] = u;
        move.inputs[1] = r;
        move.outputs[0] = uNext;
        move.outputs[1] = rNext;
        move.run();
        watch.evaluations++;
        if (ws.immediate) numbers.read();
        else numbers.accept(yield numbers.cells[0]);
      };
      return function* (): Solving {
        load.run();
        ws.fill(r, 0);
        yield* trial(0, 0);
        const [v] = [numbers.values];
        const take = (): void => {
          ws.swap(u, uNext);
          ws.swap(r, rNext);
        };
        const keep = session.step('dfSane keep', [u], [best], ([x]) => [tf.clone(x)]);
        const judge = () => {
          const retcode = watch.judge(v[0], v[1]);
          if (watch.improved) {
            keep.inputs[0] = u;
            keep.outputs[0] = best;
            keep.run();
          }
          return retcode;
        };
        take();
        let retcode = judge();
        let merit = v[2];
        const first = Math.sqrt(merit);
        const recent = [merit];
        let sigma = sigma1;
        for (let k = 0; retcode === null; k++) {
          const bar = Math.max(...recent) + first / (1 + k) ** 2;
          let plus = 1;
          let minus = 1;
          let found = 0;
          for (let i = 0; i < maxTrials && found === 0; i++) {
            yield* trial(-plus * sigma, 1);
            if (v[2] <= bar - gamma * plus * plus * merit) found = -plus * sigma;
            else {
              plus = shorten(plus, v[2], merit, tauMin, tauMax);
              yield* trial(minus * sigma, 1);
              if (v[2] <= bar - gamma * minus * minus * merit) found = minus * sigma;
              else minus = shorten(minus, v[2], merit, tauMin, tauMax);
            }
          }
          if (found === 0) return { u: best, retcode: 'InternalLineSearchFailed' };
          // <s, s> / <s, y> of the step s = found r.
          const [, , next, curvature, square] = v;
          sigma = (found * square) / curvature;
          const size = Math.abs(sigma);
          if (!(size >= sigmaMin && size <= sigmaMax)) {
            const norm = Math.sqrt(next);
            sigma = norm > 1 ? 1 : norm >= 1e-5 ? 1 / norm : 1e5;
          }
          take();
          retcode = judge();
          merit = next;
          recent.push(merit);
          if (recent.length > memory) recent.shift();
        }
        return { u: best, retcode };
      };
    },
  });
}

/** Where the parabola through the merits is least, within the bounds. */
function shorten(alpha: number, merit: number, merit0: number, tauMin: number, tauMax: number): number {
  const wanted = (alpha * alpha * merit0) / (merit + (2 * alpha - 1) * merit0);
  if (!(wanted >= tauMin * alpha)) return tauMin * alpha;
  return Math.min(wanted, tauMax * alpha);
}
