/**
 * Broyden's methods: the inverse Jacobian of the residual is guessed and corrected by what each step teaches.
 *
 * C. G. Broyden, Math. Comp. 19, 1965. With `s` the step and `y` the change of the residual, H the inverse Jacobian:
 *
 *     good: H <- H + (s - H y) s'H / (s'H y)        bad: H <- H + (s - H y) y' / (y'y)
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import { nonNegativeInteger, numberThat, oneOf, parseOptions, z } from '../../src/core/options.js';
import type { Tensor } from '../../src/core/tree.js';
import { sizeOf } from '../../src/graph/graph.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { Iterate } from './iterate.js';
import { computesInDoubles } from './precision.js';
import type { Session } from './session.js';
import type { Maps } from './system.js';
import type { Watch } from './termination.js';

export interface BroydenOptions {
  /** Which of the two corrections. Default 'good'. */
  readonly update?: 'good' | 'bad';
  /**
   * Start from a multiple of the identity (the default), or from the true Jacobian, which costs as many derivatives as
   * there are unknowns.
   */
  readonly initialJacobian?: 'identity' | 'true';
  /** The multiple. Default: -1 for a fixed point, `2 |f(u)| / max(|u|, 1)` for a root. */
  readonly alpha?: number;
  /** How often the approximation may be given up for a new one when it leads nowhere. Default 100. */
  readonly maxResets?: number;
}

export const nonZero = numberThat((x) => Number.isFinite(x) && x !== 0, 'a number other than 0');

const OPTIONS = z.strictObject({
  update: oneOf('good', 'bad').default('good'),
  initialJacobian: oneOf('identity', 'true').default('identity'),
  alpha: nonZero.optional(),
  maxResets: nonNegativeInteger.default(100),
});

/** So many steps in a row that change nothing make a reset (NonlinearSolve.jl's rule). */
const IDLE_STEPS = 3;

export const inner = (a: Tensor, b: Tensor): Tensor => tf.sum(tf.mul(a, b));

/** Never divide by zero: a step that teaches nothing corrects nothing. */
export const divided = (a: Tensor, b: Tensor): Tensor => {
  const zero = tf.equal(b, 0);
  return tf.where(tf.broadcastTo(zero, a.shape), tf.zerosLike(a), tf.div(a, tf.add(b, tf.cast(zero, 'float32'))));
};

const column = (x: Tensor): tf.Tensor2D => tf.reshape(x, [x.size, 1]);
const row = (x: Tensor): tf.Tensor2D => tf.reshape(x, [1, x.size]);

/** The first guess of the inverse Jacobian is this multiple of the identity. */
export function firstScale(u: Tensor, r: Tensor, kind: 'fixedPoint' | 'nonlinear', alpha: number | undefined): Tensor {
  if (alpha !== undefined) return constant(1 / alpha);
  if (kind === 'fixedPoint') return constant(-1);
  const norm = tf.sqrt(inner(r, r));
  const size = tf.maximum(tf.sqrt(inner(u, u)), 1);
  const small = tf.less(norm, 1e-5);
  return tf.where(small, tf.onesLike(norm), tf.div(size, tf.mul(tf.add(norm, tf.cast(small, 'float32')), 2)));
}

/** The Jacobian of the residual, one column for each unknown. */
function jacobian(u: Tensor, maps: Maps): tf.Tensor2D {
  const n = u.size;
  const columns = Array.from({ length: n }, (_, i) => {
    const unit = new Float32Array(n);
    unit[i] = 1;
    return tf.reshape(maps.jvp(u, tf.tensor(unit, u.shape)), [n]);
  });
  return tf.stack(columns, 1) as tf.Tensor2D;
}

/** Gauss-Jordan elimination with row exchanges, in traced operations; for the start only. */
function inverse(a: tf.Tensor2D): tf.Tensor2D {
  const n = a.shape[0];
  let left: Tensor = a;
  let right: Tensor = tf.eye(n);
  for (let i = 0; i < n; i++) {
    // The largest element left in the column is brought up: no branch on a value.
    const below = tf.concat([tf.zeros([i]), tf.ones([n - i])]);
    const size = tf.mul(tf.abs(tf.reshape(tf.slice(left, [0, i], [n, 1]), [n])), below);
    const chosen = tf.oneHot(tf.cast(tf.argMax(size), 'int32'), n);
    const unit = tf.oneHot(tf.scalar(i, 'int32'), n);
    // Exchanges the two rows; the identity where they are the same.
    const difference = tf.sub(unit, chosen);
    const swap = tf.sub<tf.Tensor2D>(tf.eye(n), tf.matMul(column(difference), row(difference)));
    left = tf.matMul(swap, left);
    right = tf.matMul(swap, right);
    const pivot = tf.slice(left, [i, i], [1, 1]);
    const [l, r] = [left, right].map((m) => tf.div(tf.slice(m, [i, 0], [1, n]), pivot));
    const others = tf.sub(tf.slice(left, [0, i], [n, 1]), column(unit));
    left = tf.sub(left, tf.matMul(others as tf.Tensor2D, l as tf.Tensor2D));
    right = tf.sub(right, tf.matMul(others as tf.Tensor2D, r as tf.Tensor2D));
  }
  return right as tf.Tensor2D;
}

/**
 * Broyden's method with a dense inverse Jacobian: for some dozens of unknowns whose derivative is dear or missing. It
 * keeps n by n
 * numbers; `limitedMemoryBroyden()` keeps a few vectors.
 */
export function broyden(options: BroydenOptions = {}): NonlinearAlgorithm {
  const { update, initialJacobian, alpha, maxResets } = parseOptions(OPTIONS, options, 'broyden');

  const open = (session: Session, watch: Watch): (() => Solving) => {
    const { ws, system } = session;
    const n = sizeOf(system.state.shape);
    const iterate = new Iterate(session, watch);
    const { u, r, next, nextR } = iterate;
    const [h, nextH] = [session.cell([n, n]), session.cell([n, n])];
    const numbers = session.numbers(4);
    const negligible = computesInDoubles(ws.backend) ? 2 ** -39 : 2 ** -17.25; // eps^(3/4)

    const guess = session.step(`broyden guess ${initialJacobian} ${alpha}`, [u, r], [h], ([x, residual], maps) => {
      if (initialJacobian === 'true') return [inverse(jacobian(x, maps))];
      return [tf.mul(tf.eye(n), firstScale(x, residual, system.kind, alpha))];
    });
    const step = session.step(
      `broyden ${update} ${watch.termination.norm}`,
      [u, r, h],
      [next, nextR, nextH, ...numbers.cells],
      ([x, residual, inverseJacobian], maps) => {
        const H = inverseJacobian as tf.Tensor2D;
        const s = tf.neg(tf.matMul(H, column(residual)));
        const at = tf.add(x, tf.reshape(s, x.shape));
        const image = maps.image(at);
        const after = maps.residual(at, image);
        const y = column(tf.sub(after, residual));
        const miss = tf.sub(s, tf.matMul(H, y));
        const direction = update === 'good' ? tf.matMul(s, H, true) : tf.transpose(y);
        const correction = divided(tf.matMul(miss, direction), inner(direction, tf.transpose(y)));
        const changes = [tf.max(tf.abs(s)), tf.max(tf.abs(y))];
        return [at, after, tf.add(H, correction), ...numbers.pack([...watch.measure(after, image), ...changes])];
      },
    );

    return function* (): Solving {
      let retcode = yield* iterate.start();
      if (retcode !== null) return iterate.end(retcode);
      let resets = 0;
      let idle = 0;
      guess.run();
      for (;;) {
        step.run();
        watch.evaluations++;
        if (ws.immediate) numbers.read();
        else numbers.accept(yield numbers.cells[0]);
        const [residual, image, moved, changed] = numbers.values;
        retcode = iterate.advance(residual, image);
        ws.swap(h, nextH);
        if (retcode !== null) return iterate.end(retcode);
        idle = moved < negligible || changed < negligible ? idle + 1 : 0;
        if (idle >= IDLE_STEPS) {
          if (resets++ >= maxResets) {
            const reason = `its approximation of the Jacobian was given up ${maxResets} times (maxResets)`;
            return iterate.end('ConvergenceFailure', reason);
          }
          idle = 0;
          guess.run();
        }
      }
    };
  };
  return defineAlgorithm({ name: 'broyden', solves: ['fixedPoint', 'nonlinear'], open });
}
