/**
 * Ten steps of every optimiser on WebGPU as on the compiled backend.
 */
import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { describe, it } from 'mocha';
import * as nullcline from '../../src/index.js';
import { compile, grad, type Optimiser, type Tensor } from '../../src/index.js';
import { expectSame } from '../support/webgpu.js';

const RULES: Readonly<Record<string, () => Optimiser>> = {
  descent: () => nullcline.descent(0.1),
  momentum: () => nullcline.momentum(0.05),
  nesterov: () => nullcline.nesterov(0.05),
  rmsProp: () => nullcline.rmsProp(0.05),
  adam: () => nullcline.adam(0.05),
  adamW: () => nullcline.adamW(0.05),
  'adam with a schedule': () => nullcline.adam(nullcline.cosineDecay(0.1, { steps: 10 })),
  'clipped and chained': () => nullcline.optimiserChain(nullcline.clipNorm(0.5), nullcline.adam(0.05)),
};

interface Parameters {
  readonly a: Tensor;
  readonly b: Tensor;
}

/** A bowl with unequal axes, bent a little. */
const loss = ({ a, b }: Parameters): Tensor =>
  tf.add(tf.sum(tf.square(tf.sub(a, [1, -2, 3]))), tf.sum(tf.tanh(tf.square(b))));

describe('optimisers on WebGPU', () => {
  for (const [name, make] of Object.entries(RULES)) {
    it(name, async () => {
      const optimiser = make();
      const step = compile((ps: Parameters, os: unknown) => optimiser.update(grad(loss)(ps) as never, os as never, ps as never)); // prettier-ignore
      await expectSame(
        () => ({ a: tf.tensor1d([0.3, -0.4, 1.1]), b: tf.tensor2d([[0.2, -0.9], [1.3, 0.4]]) }), // prettier-ignore
        (ps) =>
          tf.tidy(() => {
            let now: [unknown, unknown] = [ps, optimiser.init(ps)];
            for (let i = 0; i < 10; i++) now = step(now[0] as Parameters, now[1]);
            return nullcline.leaves(now);
          }),
        name,
      );
    });
  }
});
