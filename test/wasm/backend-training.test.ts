import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { compile, type Compiled } from '../../src/graph/compile.js';
import { valueAndGrad } from '../../src/graph/transform.js';
import type { NullclineBackend } from '../../src/wasm/backend.js';
import { expectClose } from '../support/close.js';

const suite = Float32Array.BYTES_PER_ELEMENT === 4 ? describe : describe.skip;

type Network = [w1: tf.Tensor2D, b1: tf.Tensor1D, w2: tf.Tensor2D];

const waves = (n: number, m: number): tf.Tensor2D =>
  tf.tensor2d(
    Array.from({ length: n * m }, (_, i) => Math.sin(3.1 * i + 0.5)),
    [n, m],
  );
const start = (): Network => [waves(2, 16), tf.zeros([16]), waves(16, 2)];

/** A 2-16-2 tanh network is to exchange its two inputs. */
const loss = ([w1, b1, w2]: Network, x: tf.Tensor2D): tf.Tensor => {
  const hidden = tf.tanh(tf.add(tf.matMul(x, w1), b1));
  return tf.mean(tf.squaredDifference(tf.matMul(hidden as tf.Tensor2D, w2), tf.reverse(x, 1)));
};

const descend = (network: Network, x: tf.Tensor2D): [tf.Tensor, Network] => {
  const { value, grad } = valueAndGrad(loss)(network, x);
  return [value, network.map((p, i) => tf.sub(p, tf.mul(0.05, grad[i]))) as Network];
};

/** Free what a compiled step holds between calls. */
function forget(compiled: Compiled<typeof descend>): void {
  const network = start();
  const x = waves(20, 2);
  compiled.programFor(network, x).dispose();
  tf.dispose([network, x]);
}

type Step = (network: Network, x: tf.Tensor2D) => [tf.Tensor, Network];

function train(steps: number, step: Step, watch?: (i: number) => void): number[] {
  let network = start();
  const x = waves(20, 2);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const [value, next] = step(network, x);
    losses.push(value.dataSync()[0]);
    tf.dispose([value, network]);
    network = next;
    watch?.(i);
  }
  tf.dispose([network, x]);
  return losses;
}

for (const name of ['nullcline', 'nullcline64']) {
  suite(`training on ${name}`, () => {
    let previous: string;
    before(() => {
      previous = tf.getBackend();
    });
    after(async () => {
      await tf.setBackend(previous);
    });
    const heap = (): NullclineBackend['heap'] => (tf.backend() as NullclineBackend).heap;

    it('follows the cpu backend, compiled or not', async () => {
      await tf.setBackend('cpu');
      const expected = train(50, compile(descend));
      expect(expected[49]).to.be.lessThan(0.1 * expected[0]);
      await tf.setBackend(name);
      const compiled = compile(descend);
      expectClose(train(50, compiled), expected, { rtol: 1e-4 }, 'compiled');
      forget(compiled);
      expectClose(
        train(50, (network, x) => tf.tidy(() => descend(network, x))),
        expected,
        { rtol: 1e-4 },
        'op by op',
      );
    });

    it('holds no more after 1,000 compiled steps than after one', async () => {
      await tf.setBackend(name);
      const compiled = compile(descend);
      const was = { bytes: heap().bytesInUse, ids: tf.backend().numDataIds(), tensors: tf.memory().numTensors };
      let settled: unknown;
      train(1000, compiled, (i) => {
        const now = { bytes: heap().bytesInUse, size: heap().size, tensors: tf.memory().numTensors };
        if (i === 2) settled = now;
        if (i > 2) expect(now).to.deep.equal(settled);
      });
      forget(compiled);
      expect({
        bytes: heap().bytesInUse,
        ids: tf.backend().numDataIds(),
        tensors: tf.memory().numTensors,
      }).to.deep.equal(was);
    });

    it("takes part in tfjs's own training", async () => {
      const fit = (): number => {
        const variables = start().map((p) => tf.variable(p)) as unknown as Network;
        const x = waves(20, 2);
        const optimizer = tf.train.adam(0.02);
        for (let i = 0; i < 30; i++) optimizer.minimize(() => loss(variables, x) as tf.Scalar);
        const value = tf.tidy(() => loss(variables, x).dataSync()[0]);
        tf.dispose([variables, x]);
        optimizer.dispose();
        return value;
      };
      await tf.setBackend('cpu');
      const expected = tf.tidy(fit);
      await tf.setBackend(name);
      expectClose(tf.tidy(fit), expected, { rtol: 1e-4 });
    });
  });
}
