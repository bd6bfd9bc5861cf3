/**
 * Broyden's good method on a few vectors: the inverse Jacobian is a multiple of the identity and a sum of corrections
 * of rank one,
 * which are applied and never multiplied out.
 */
import * as tf from '@tensorflow/tfjs-core';
import { parseOptions, positiveInteger, z } from '../../src/core/options.js';
import type { Tensor } from '../../src/core/tree.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { divided, firstScale, inner, nonZero } from './broyden.js';
import { Iterate } from './iterate.js';
import type { Session } from './session.js';
import type { Watch } from './termination.js';

const LIMITED = z.strictObject({ memory: positiveInteger.default(10), alpha: nonZero.optional() });

/**
 * Broyden's good method on as many correction vectors as `memory` says; when they are full, it starts them anew from
 * the multiple of the
 * identity that fits the last step best.
 * For large states; on fixed points `anderson()` is usually as quick.
 *
 * @param options.memory Corrections that are kept. Default 10.
 * @param options.alpha As of {@link broyden}.
 */
export function limitedMemoryBroyden(
  options: { readonly memory?: number; readonly alpha?: number } = {},
): NonlinearAlgorithm {
  const { memory: m, alpha } = parseOptions(LIMITED, options, 'limitedMemoryBroyden');

  const open = (session: Session, watch: Watch): (() => Solving) => {
    const { ws, system } = session;
    const places = (count: number) => Array.from({ length: count }, () => session.cell());
    const [left, right] = [places(m), places(m)];
    const iterate = new Iterate(session, watch);
    const { u, r, next, nextR } = iterate;
    const [s, nextS, newLeft, newRight] = places(4);
    const [scale, secant] = [session.cell([]), session.cell([])];
    const numbers = session.numbers(2);

    // A first guess of the inverse Jacobian, without corrections, and the step by it.
    const guess = session.step(
      `limited broyden guess ${m} ${alpha}`,
      [u, r],
      [scale, s, ...left, ...right],
      ([x, residual]) => {
        const h = firstScale(x, residual, system.kind, alpha);
        const zero = tf.zerosLike(x);
        return [h, tf.neg(tf.mul(residual, h)), ...Array.from({ length: 2 * m }, () => zero)];
      },
    );
    // And one that knows the last step.
    const reset = session.step(
      `limited broyden reset ${m}`,
      [r, secant],
      [scale, s, ...left, ...right],
      ([residual, h]) => {
        const zero = tf.zerosLike(residual);
        return [tf.clone(h), tf.neg(tf.mul(residual, h)), ...Array.from({ length: 2 * m }, () => zero)];
      },
    );
    const step = session.step(
      `limited broyden ${m} ${watch.termination.norm}`,
      [u, r, s, scale, ...left, ...right],
      [next, nextR, nextS, secant, newLeft, newRight, ...numbers.cells],
      ([x, residual, by, h, ...corrections], maps) => {
        const [as, bs] = [corrections.slice(0, m), corrections.slice(m)];
        const sum = (start: Tensor, along: readonly Tensor[], against: readonly Tensor[], v: Tensor): Tensor =>
          along.reduce((total, a, i) => tf.add(total, tf.mul(a, inner(against[i], v))), start);
        const at = tf.add(x, by);
        const image = maps.image(at);
        const after = maps.residual(at, image);
        const y = tf.sub(after, residual);
        const b = sum(tf.mul(by, h), bs, as, by);
        const a = divided(tf.sub(by, sum(tf.mul(y, h), as, bs, y)), inner(b, y));
        const following = tf.neg(tf.add(sum(tf.mul(after, h), as, bs, after), tf.mul(a, inner(b, after))));
        return [
          at,
          after,
          following,
          divided(inner(by, y), inner(y, y)),
          a,
          b,
          ...numbers.pack(watch.measure(after, image)),
        ];
      },
    );

    return function* (): Solving {
      let retcode = yield* iterate.start();
      if (retcode !== null) return iterate.end(retcode);
      let used = 0;
      guess.run();
      for (;;) {
        step.run();
        watch.evaluations++;
        if (ws.immediate) numbers.read();
        else numbers.accept(yield numbers.cells[0]);
        retcode = iterate.advance(numbers.values[0], numbers.values[1]);
        if (retcode !== null) return iterate.end(retcode);
        if (used === m) {
          used = 0;
          reset.run();
          continue;
        }
        ws.swap(s, nextS);
        ws.swap(left[used], newLeft);
        ws.swap(right[used], newRight);
        used++;
      }
    };
  };
  return defineAlgorithm({ name: 'limitedMemoryBroyden', solves: ['fixedPoint', 'nonlinear'], open });
}
