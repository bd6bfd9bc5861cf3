/**
 * A rest point as where a flow comes to rest: `du/dt = f(u) - u` for a fixed point, `du/dt = f(u)` for a root,
 * integrated until the
 * right-hand side, which is the residual, is small.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import { parseOptions, positiveNumber, z } from '../../src/core/options.js';
import { identity } from '../../src/graph/arguments.js';
import type { Tensor } from '../../src/core/tree.js';
import { checkAlgorithm, type OdeAlgorithm } from '../ode/algorithm.js';
import { decide, initialMemory } from '../ode/control.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { Iterate } from './iterate.js';
import type { Session } from './session.js';
import type { Watch } from './termination.js';

export interface SteadyStateOptions {
  /**
   * The error allowed in a step, relative to how far the step goes: how closely the flow is followed, not where it
   * ends. Default 0.1.
   */
  readonly reltol?: number;
  /** The first step. Default 0.1. */
  readonly dt?: number;
}

const OPTIONS = z.strictObject({
  reltol: positiveNumber.default(0.1),
  dt: positiveNumber.default(0.1),
});

/** The square of a step that goes nowhere. */
const TINY = 1e-35;

const CONTROLLER = { pcoeff: 0, icoeff: 1, dcoeff: 0, safety: 0.9, factorMin: 0.2, factorMax: 10 };

function combination(weights: readonly number[], xs: readonly Tensor[]): Tensor | null {
  return weights.reduce<Tensor | null>((sum, w, i) => {
    if (w === 0) return sum;
    const term = tf.mul(xs[i], constant(w));
    return sum === null ? term : tf.add(sum, term);
  }, null);
}

/**
 * The steady state of a flow, found by an ODE method with an error estimate (the continuous deep equilibrium model).
 * It converges wherever the rest
 * point is stable, also where plain iteration would not, and slowly: {@link anderson} first, this where it fails.
 * `maxIters` counts steps, accepted
 * or not.
 *
 * @param algorithm An explicit Runge-Kutta method with an error estimate, such as `bs3()`.
 */
export function steadyState(algorithm: OdeAlgorithm, options: SteadyStateOptions = {}): NonlinearAlgorithm {
  checkAlgorithm(algorithm, 'steadyState: the first argument');
  const { reltol, dt } = parseOptions(OPTIONS, options, 'steadyState');
  const { tableau } = algorithm;
  const weights = tableau.e;
  if (weights === undefined) {
    throw new TypeError(`steadyState: ${algorithm.name} has no error estimate; take one that has, such as bs3()`);
  }

  const open = (session: Session, watch: Watch): (() => Solving) => {
    const { ws } = session;
    // The residual is the slope of the flow.
    const iterate = new Iterate(session, watch);
    const { u, r: slope, next, nextR: nextSlope } = iterate;
    const size = session.coefficients(1);
    const numbers = session.numbers(3);
    const h = new Float64Array(1);
    const stages = tableau.c.length;
    const step = session.step(
      `steady ${identity(tableau)} ${reltol} ${watch.termination.norm}`,
      [u, slope, ...size.cells],
      [next, nextSlope, ...numbers.cells],
      ([x, k1, ...rest], maps) => {
        const [dt] = size.unpack(rest);
        const hk = [tf.mul(k1, dt)];
        let last = x;
        for (let i = 1; i < stages; i++) {
          const increment = combination(tableau.a[i], hk);
          last = increment === null ? x : tf.add(x, increment);
          hk.push(tf.mul(maps.residual(last), dt));
        }
        const end = tableau.fsal ? last : tf.add(x, combination(tableau.b, hk) as Tensor);
        const image = maps.image(end);
        const residual = maps.residual(end, image);
        // The flow slows down as it comes to rest, and the errors allowed with it.
        const allowed = tf.mul(tf.sum(tf.square(hk[0])), constant(reltol ** 2));
        const made = tf.sum(tf.square(combination(weights, hk) as Tensor));
        const error = tf.sqrt(tf.div(made, tf.add(allowed, constant(TINY))));
        return [end, residual, ...numbers.pack([error, ...watch.measure(residual, image)])];
      },
    );
    return function* (): Solving {
      let retcode = yield* iterate.start();
      if (retcode !== null) return iterate.end(retcode);
      let memory = initialMemory;
      h[0] = dt;
      for (let tried = 0; tried < watch.termination.maxIters; tried++) {
        size.write(h);
        step.run();
        watch.evaluations += stages - 1 + (tableau.fsal ? 0 : 1);
        if (ws.immediate) numbers.read();
        else numbers.accept(yield numbers.cells[0]);
        const decision = decide(CONTROLLER, tableau.order, numbers.values[0], memory);
        memory = decision.memory;
        h[0] *= decision.factor;
        if (!decision.accepted) continue;
        retcode = iterate.advance(numbers.values[1], numbers.values[2]);
        if (retcode !== null) return iterate.end(retcode);
      }
      return iterate.end('MaxIters');
    };
  };
  return defineAlgorithm({ name: `steadyState(${algorithm.name})`, solves: ['fixedPoint', 'nonlinear'], open });
}
