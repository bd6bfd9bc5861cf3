/**
 * A fixed-point iteration that can be run backwards: two copies of the state take turns,
 *
 *     y <- (1 - damping) y + damping f(z),   z <- (1 - damping) z + damping f(y),
 *
 * and each line can be undone. (S. McCallum and others, Reversible Deep Equilibrium Models, arXiv 2509.12917, 2025.)
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import { numberThat, parseOptions, z } from '../../src/core/options.js';
import type { Tensor } from '../../src/core/tree.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import type { Session } from './session.js';
import type { Watch } from './termination.js';

const OPTIONS = z.strictObject({ damping: numberThat((x) => x > 0 && x < 1, 'a number between 0 and 1').default(0.5) });

/** `(1 - damping) x + damping fx`. */
const mixed = (x: Tensor, fx: Tensor, damping: number): Tensor =>
  tf.add(tf.mul(x, constant(1 - damping)), tf.mul(fx, constant(damping)));

/** `x`, given `mixed(x, fx)`. */
const unmixed = (x: Tensor, fx: Tensor, damping: number): Tensor =>
  tf.div(tf.sub(x, tf.mul(fx, constant(damping))), constant(1 - damping));

/**
 * The reversible iteration: with `adjoint: unrolled()` its exact gradient needs memory for few of its states, because
 * the backward pass
 * undoes iterations. Undoing amplifies rounding by `1 / (1 - damping)` per line, which is why some are kept.
 *
 * @param options.damping Between 0 and 1; default 0.5.
 */
export function reversible(options: { readonly damping?: number } = {}): NonlinearAlgorithm {
  const { damping } = parseOptions(OPTIONS, options, 'reversible');

  const open = (session: Session, watch: Watch): (() => Solving) => {
    const { ws } = session;
    const [y, u, nextY, next, best] = Array.from({ length: 5 }, () => session.cell());
    const numbers = session.numbers(2);
    const loads = [session.loader(y), session.loader(u)];
    const step = session.step(
      `reversible ${damping} ${watch.termination.norm}`,
      [y, u],
      [nextY, next, ...numbers.cells],
      ([a, b], maps) => {
        const image = maps.image(b);
        const first = mixed(a, image, damping);
        const sizes = watch.measure(maps.residual(b, image), image);
        return [first, mixed(b, maps.image(first), damping), ...numbers.pack(sizes)];
      },
    );
    return function* (): Solving {
      for (const load of loads) load.run();
      for (;;) {
        step.run();
        watch.evaluations += 2;
        if (ws.immediate) numbers.read();
        else numbers.accept(yield numbers.cells[0]);
        const retcode = watch.judge(numbers.values[0], numbers.values[1]);
        if (watch.improved) ws.swap(u, best);
        if (retcode !== null) return { u: best, retcode };
        ws.swap(u, next);
        ws.swap(y, nextY);
      }
    };
  };
  return defineAlgorithm({
    name: 'reversible',
    solves: ['fixedPoint'],
    open,
    recorded: {
      copies: 2,
      advance: ([a, b], maps) => {
        const first = mixed(a, maps.image(b), damping);
        return [first, mixed(b, maps.image(first), damping)];
      },
      retreat: ([a, b], maps) => {
        const before = unmixed(b, maps.image(a), damping);
        return [unmixed(a, maps.image(before), damping), before];
      },
    },
  });
}
