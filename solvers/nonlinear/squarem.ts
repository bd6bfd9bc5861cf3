/**
 * SQUAREM: two plain iterations, and a leap along the parabola through them.
 *
 * R. Varadhan, C. Roland, Scand. J. Statist. 35, 2008, scheme SqS3: with `r = f(u) - u` and `v = f(f(u)) - 2 f(u) + u`,
 *
 *     alpha = -|r| / |v|,   u <- f(u - 2 alpha r + alpha^2 v).
 */
import * as tf from '@tensorflow/tfjs-core';
import { parseOptions, z } from '../../src/core/options.js';
import { numberThat } from '../../src/core/options.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import type { Session } from './session.js';
import type { Watch } from './termination.js';

const OPTIONS = z.strictObject({
  safeguard: numberThat((x) => x >= 1, 'a number from 1 on, or Infinity').default(2),
});

/**
 * SQUAREM, an accelerator without memory of its own: three evaluations per iteration. For maps that converge slowly
 * and monotonically
 * (EM algorithms); {@link anderson} is the better choice elsewhere.
 *
 * @param options.safeguard A leap that makes the residual larger than before by this factor is taken back, and two
 * plain iterations
 * stand in its place. Default 2; Infinity never.
 */
export function squarem(options: { readonly safeguard?: number } = {}): NonlinearAlgorithm {
  const { safeguard } = parseOptions(OPTIONS, options, 'squarem');

  const open = (session: Session, watch: Watch): (() => Solving) => {
    const { ws } = session;
    const [u, leap, plain, before, best] = Array.from({ length: 5 }, () => session.cell());
    const numbers = session.numbers(2);
    const { values } = numbers;
    const load = session.loader(u);
    const step = session.step(
      `squarem ${watch.termination.norm}`,
      [u],
      [leap, plain, ...numbers.cells],
      ([x], maps) => {
        const first = maps.image(x);
        const r = maps.residual(x, first);
        const second = maps.image(first);
        const v = tf.sub(tf.sub(second, first), r);
        const curvature = tf.sum(tf.square(v));
        const straight = tf.cast(tf.equal(curvature, 0), 'float32');
        // At least 1, the plain iteration.
        const length = tf.maximum(tf.sqrt(tf.div(tf.sum(tf.square(r)), tf.add(curvature, straight))), 1);
        const far = tf.add(tf.add(x, tf.mul(r, tf.mul(length, 2))), tf.mul(v, tf.square(length)));
        return [maps.image(far), second, ...numbers.pack(watch.measure(r, first))];
      },
    );
    return function* (): Solving {
      load.run();
      let previous = Infinity;
      let leapt = false;
      for (;;) {
        step.run();
        watch.evaluations += 3;
        if (ws.immediate) numbers.read();
        else numbers.accept(yield numbers.cells[0]);
        const retcode = watch.judge(values[0], values[1]);
        const bad = leapt && !(watch.last <= safeguard * previous);
        if (watch.improved) ws.swap(u, best);
        if (retcode !== null && !(bad && retcode === 'Unstable')) return { u: best, retcode };
        if (bad) {
          ws.swap(u, before);
          leapt = false;
          continue;
        }
        previous = watch.last;
        leapt = true;
        ws.swap(u, leap);
        ws.swap(before, plain);
      }
    };
  };
  return defineAlgorithm({ name: 'squarem', solves: ['fixedPoint'], open });
}
