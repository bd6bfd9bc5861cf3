/**
 * Anderson acceleration in difference form.
 *
 * With residuals `r = f(u) - u`, and `dF`, `dG` the last m differences of residuals and of images,
 *
 *     gamma = argmin |r_k - dF gamma|,   u_{k+1} = f(u_k) - dG gamma - (1 - damping) (r_k - dF gamma).
 *
 * D. G. Anderson, J. ACM 12, 1965; this form: H. Fang, Y. Saad, Numer. Linear Algebra Appl. 16, 2009; H. F. Walker, P.
 * Ni, SIAM J. Numer. Anal.
 * 49, 2011. On an affine map it is, with a memory that is long enough, GMRES. The least-squares problem is solved by
 * its normal equations with columns
 * scaled to length one, so that nothing in it depends on how far the residual has fallen.
 *
 * An iteration is one program: the update with the coefficients of the iteration before, the map, the new differences
 * and their inner
 * products. Between two of them the host solves the m by m system.
 *
 * At a local minimum of `|r|` that is not zero acceleration is caught, as Newton's method is, where plain iteration goes through (see
 * termination.ts). So plain iteration takes over when acceleration gets no further, until the residual is smaller than ever before.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import { nonNegativeNumber, numberThat, parseOptions, positiveInteger, z } from '../../src/core/options.js';
import type { Tensor } from '../../src/core/tree.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { Mixing } from './mixing.js';
import { computesInDoubles } from './precision.js';
import type { Session, Step } from './session.js';
import type { Watch } from './termination.js';

export interface AndersonOptions {
  /** Differences that are kept, m. Default 5. */
  readonly memory?: number;
  /** The part of the residual that is added, in (0, 1]. Default 1. */
  readonly damping?: number;
  /** Added to the diagonal of the scaled Gram matrix. Default: 1e-14 in double and 1e-7 in single precision. */
  readonly ridge?: number;
  /** Forget the differences after that many iterations. Default: never. */
  readonly restart?: number;
  /** Forget them also when the residual is larger than the best so far by this factor. Default 100; Infinity never. */
  readonly safeguard?: number;
}

const OPTIONS = z.strictObject({
  memory: positiveInteger.default(5),
  damping: numberThat((x) => x > 0 && x <= 1, 'a number in (0, 1]').default(1),
  ridge: nonNegativeNumber.optional(),
  restart: positiveInteger.optional(),
  safeguard: numberThat((x) => x > 1, 'a number above 1 or Infinity').default(100),
});

/** Plain iteration takes over when the best residual has not fallen for that many iterations, */
const WAIT = 20;

/** and goes on until it has fallen to this fraction. */
const LOWER = 0.9;

const inner = (a: Tensor, b: Tensor): Tensor => tf.sum(tf.mul(a, b));

/** `x - sum_i gamma_i d_i`. */
function less(x: Tensor, gammas: readonly Tensor[], differences: readonly Tensor[]): Tensor {
  return gammas.reduce((sum, gamma, i) => tf.sub(sum, tf.mul(gamma, differences[i])), x);
}

/**
 * Anderson acceleration: the first choice for fixed points. It also converges for many maps that do not contract.
 */
export function anderson(options: AndersonOptions = {}): NonlinearAlgorithm {
  const { memory: m, damping, ridge, restart = Infinity, safeguard } = parseOptions(OPTIONS, options, 'anderson');

  const open = (session: Session, watch: Watch): (() => Solving) => {
    const { ws } = session;
    const places = (count: number) => Array.from({ length: count }, () => session.cell());
    const [dF, dG] = [places(m), places(m)];
    const [u, y, r, yBefore, rBefore, newF, newG, best] = places(8);
    const gammas = session.coefficients(m);
    const mixing = new Mixing(m, ridge ?? (computesInDoubles(ws.backend) ? 1e-14 : 1e-7));
    const { gram, projections, gamma } = mixing;
    const maximal = watch.termination.norm === 'max';
    // <dF_i, new>, <dF_i, r>, <new, new>, <new, r>, sizes of the residual and the image.
    const numbers = session.numbers(2 * m + 4);
    const { values } = numbers;

    const start = session.step(`anderson start ${m}`, [session.u0], [yBefore, rBefore, ...dF, ...dG], ([u0]) => {
      const zero = tf.zerosLike(u0);
      return [tf.clone(u0), ...Array.from({ length: 2 * m + 1 }, () => zero)];
    });
    /** Goes back to the best state. Seldom needed, and so traced when it is. */
    let back: Step | undefined;
    const name = `anderson ${m} ${damping} ${maximal}`;
    const step = session.step(
      name,
      [yBefore, rBefore, ...dF, ...dG, ...gammas.cells],
      [u, y, r, newF, newG, ...numbers.cells],
      ([y0, r0, ...rest], maps) => {
        const [residuals, images] = [rest.slice(0, m), rest.slice(m, 2 * m)];
        const weights = gammas.unpack(rest.slice(2 * m));
        const full = less(y0, weights, images);
        const at = damping === 1 ? full : tf.sub(full, tf.mul(less(r0, weights, residuals), constant(1 - damping)));
        const image = maps.image(at);
        const residual = maps.residual(at, image);
        const [toResidual, toImage] = [tf.sub(residual, r0), tf.sub(image, y0)];
        const products = [
          ...residuals.map((d) => inner(d, toResidual)),
          ...residuals.map((d) => inner(d, residual)),
          inner(toResidual, toResidual),
          inner(toResidual, residual),
          ...watch.measure(residual, image),
        ];
        return [at, image, residual, toResidual, toImage, ...numbers.pack(products)];
      },
    );

    return function* (): Solving {
      let used = 0;
      let newest = -1;
      let since = 0;
      let plain = false;
      /** The best residual when plain iteration last took over. */
      let turn = Infinity;
      gamma.fill(0);
      start.run();
      for (;;) {
        gammas.write(gamma);
        step.run();
        watch.evaluations++;
        if (ws.immediate) numbers.read();
        else numbers.accept(yield numbers.cells[0]);
        const retcode = watch.judge(values[2 * m + 2], values[2 * m + 3]);
        if (watch.improved) ws.swap(u, best);
        const lost: boolean = plain && retcode === 'Unstable';
        if (retcode !== null && !lost) return { u: best, retcode, ...(watch.improved ? { image: y } : {}) };
        const far = safeguard * Math.max(watch.first, safeguard * watch.best);
        const astray: boolean = lost || (plain && watch.last > far);
        const fallen = watch.best < LOWER * turn;
        if (plain) plain = !astray && !fallen;
        else if (fallen && watch.iterations - watch.fellAt >= WAIT) {
          plain = true;
          turn = watch.best;
          watch.renewPatience();
        }
        if (plain || astray || watch.last > safeguard * watch.best || since >= restart) {
          used = since = 0;
          newest = -1;
        } else if (watch.iterations > 0 && since++ >= 0 && values[2 * m] > 0) {
          newest = (newest + 1) % m;
          used = Math.min(used + 1, m);
          ws.swap(dF[newest], newF);
          ws.swap(dG[newest], newG);
          for (let j = 0; j < used; j++) {
            gram[newest * m + j] = gram[j * m + newest] = values[j];
            projections[j] = values[m + j];
          }
          gram[newest * m + newest] = values[2 * m];
          projections[newest] = values[2 * m + 1];
        }
        mixing.solve(used, newest);
        ws.swap(y, yBefore);
        ws.swap(r, rBefore);
        if (astray) {
          back ??= session.step('anderson back', [best], [yBefore, rBefore], ([x]) => [tf.clone(x), tf.zerosLike(x)]);
          back.run();
        }
      }
    };
  };
  return defineAlgorithm({ name: 'anderson', solves: ['fixedPoint'], open, keepsImage: true });
}
