/**
 * Picard iteration: `u <- u + damping (f(u) - u)`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import { numberThat, parseOptions, z } from '../../src/core/options.js';
import type { Tensor } from '../../src/core/tree.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import type { Session } from './session.js';
import type { Watch } from './termination.js';

const OPTIONS = z.strictObject({ damping: numberThat((x) => x > 0 && x <= 1, 'a number in (0, 1]').default(1) });

/**
 * Picard iteration, for a map that contracts: the error falls by the spectral radius of `I + damping (df/du - I)` at each
 * step. The simplest method; {@link anderson} needs fewer evaluations on nearly every problem.
 *
 * @param options.damping In (0, 1]; default 1, the plain iteration. Less of it can make a map contract whose Jacobian has
 * eigenvalues below -1.
 */
export function picard(options: { readonly damping?: number } = {}): NonlinearAlgorithm {
  const { damping } = parseOptions(OPTIONS, options, 'picard');
  const isPlain = damping === 1;
  const advanced = (x: Tensor, y: Tensor): Tensor => (isPlain ? y : tf.add(x, tf.mul(tf.sub(y, x), constant(damping))));
  const open = (session: Session, watch: Watch): (() => Solving) => {
    const { ws } = session;
    const [u, next, best] = [session.cell(), session.cell(), session.cell()];
    const sizes = session.numbers(2);
    const load = session.loader(u);
    const step = session.step(`picard ${damping}`, [u], [next, ...sizes.cells], ([x], maps) => {
      const y = maps.image(x);
      return [advanced(x, y), ...sizes.pack(watch.measure(maps.residual(x, y), y))];
    });
    return function* (): Solving {
      load.run();
      for (;;) {
        step.run();
        watch.evaluations++;
        if (ws.immediate) sizes.read();
        else sizes.accept(yield sizes.cells[0]);
        const retcode = watch.judge(sizes.values[0], sizes.values[1]);
        if (watch.improved) ws.swap(u, best);
        if (retcode !== null) return { u: best, retcode, ...(isPlain && watch.improved ? { image: next } : {}) };
        ws.swap(u, next);
      }
    };
  };
  return defineAlgorithm({
    name: 'picard',
    solves: ['fixedPoint'],
    open,
    keepsImage: isPlain,
    recorded: { copies: 1, advance: ([x], maps) => [advanced(x, maps.image(x))] },
  });
}
