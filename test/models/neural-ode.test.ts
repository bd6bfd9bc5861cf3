import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { neuralODE } from '../../models/index.js';
import { readStatistics, rk4, SolveError, tsit5 } from '../../solvers/index.js';
import {
  adam,
  chain,
  compact,
  compile,
  dense,
  disposeTrainState,
  disposeTree,
  dropout,
  grad,
  key,
  layerToString,
  mse,
  parameterLength,
  setup,
  train,
  trainState,
  type Tensor,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { centralDifference } from '../support/differences.js';
import { isFloat64, tolerance } from '../support/precision.js';

const field = chain(dense(2, 6, 'tanh'), dense(6, 2));
const fixed = { algorithm: rk4(), dt: 0.25 } as const;
const x0 = (): tf.Tensor2D => tf.tensor2d([[0.4, -0.2], [1, 0.3], [-0.5, 0.8]]); // prettier-ignore

describe('neuralODE', () => {
  it('returns the final state, or the saved states with time first', () => {
    tf.tidy(() => {
      const last = neuralODE(field, { tspan: [0, 1], ...fixed });
      const path = neuralODE(field, { tspan: [0, 1], saveAt: [0, 0.4, 1], ...fixed });
      const [ps, st] = setup(key(1), last);
      const [y] = last.apply(x0(), ps, st);
      const [rows] = path.apply(x0(), ps, st);
      expect(y.shape).to.deep.equal([3, 2]);
      expect(rows.shape).to.deep.equal([3, 3, 2]);
      expectClose(tf.slice(rows, 0, 1), x0());
      expectClose(tf.slice(rows, 2, 1), y, { rtol: 1e-6 });
    });
  });

  it('solves what its layer says: u" = -u against sine and cosine', () => {
    tf.tidy(() => {
      const rotation = compact({ name: 'Rotation' }, (u: Tensor) => {
        const [a, b] = tf.split(u, 2, 1);
        return tf.concat([b, tf.neg(a)], 1);
      });
      const tight = {
        reltol: tolerance({ float32: 1e-6, float64: 1e-10 }),
        abstol: tolerance({ float32: 1e-7, float64: 1e-12 }),
      };
      const model = neuralODE(rotation, { tspan: [0, 2], ...tight });
      const [ps, st] = setup(key(0), model);
      const [y, next] = model.apply(tf.tensor2d([[1, 0]]), ps, st);
      expectClose(y, [Math.cos(2), -Math.sin(2)], { atol: tolerance({ float32: 3e-6, float64: 1e-9 }) });
      expect(readStatistics(next.statistics)).to.include({ retcode: 'Success' });
      expect(readStatistics(next.statistics).steps).to.be.above(3);
    });
  });

  it("hands time to a layer that wants it: u' = cos t", () => {
    tf.tidy(() => {
      const forced = compact({ name: 'Forced' }, ([u, t]: [Tensor, Tensor]) => tf.mul(tf.cos(t), tf.onesLike(u)));
      const model = neuralODE(forced, { tspan: [0, 1.5], timeDependent: true, algorithm: rk4(), dt: 0.05 });
      const [y] = model.apply(tf.zeros([1, 1]), {}, setup(key(0), model)[1]);
      expectClose(y, Math.sin(1.5), { atol: 1e-6 });
    });
  });

  it('has the parameters of its layer, and prints them', () => {
    const model = neuralODE(field, { tspan: [0, 1], saveAt: [0.5, 1] });
    expect(parameterLength(model)).to.equal(32);
    expect(layerToString(model)).to.match(/^NeuralODE\(/);
    expect(layerToString(model)).to.include('[0, 1], Tsit5, saveAt=2 times');
    expect(layerToString(model)).to.include('Dense(2 => 6, tanh)');
    expect(layerToString(model)).to.include('# Total: 32 parameters');
  });

  it('has gradients of two orders equal to central differences', function () {
    if (!isFloat64) return this.skip();
    tf.tidy(() => {
      for (const options of [fixed, { ...fixed, saveAt: [0.1, 0.5, 1] }]) {
        const model = neuralODE(field, { tspan: [0, 1], ...options });
        const [ps, st] = setup(key(3), model);
        const weight = ps.layer1.weight;
        const loss = (w: Tensor): Tensor => {
          const at = { ...ps, layer1: { ...ps.layer1, weight: w } };
          return tf.mean(tf.square(model.apply(x0(), at, st)[0]));
        };
        expectClose(grad(loss)(weight), centralDifference(loss, weight), { rtol: 1e-7, atol: 1e-9 });
        const direction = tf.cos(tf.range(0, weight.size)).reshape(weight.shape);
        const slope = (w: Tensor): Tensor => tf.sum(tf.mul(direction, grad(loss)(w)));
        expectClose(grad(slope)(weight), centralDifference(slope, weight), { rtol: 1e-5, atol: 1e-8 });
      }
    });
    return undefined;
  });

  it('keeps a dropout mask during a solve and renews it afterwards, and is pure', () => {
    tf.tidy(() => {
      const noisy = chain(dense(2, 16, 'tanh'), dropout(0.5), dense(16, 2));
      const model = neuralODE(noisy, { tspan: [0, 1], algorithm: tsit5() });
      const [ps, st] = setup(key(5), model);
      const [first, next] = model.apply(x0(), ps, st);
      const [again] = model.apply(x0(), ps, st);
      const [second] = model.apply(x0(), ps, next);
      expectClose(again, first);
      expect(tf.max(tf.abs(tf.sub(first, second))).dataSync()[0]).to.be.above(1e-3);
      // With a mask drawn anew at each evaluation no adaptive method would get past its first step.
      expect(readStatistics(next.statistics).rejected).to.be.at.most(3);
    });
  });

  it('computes the same inside compile, tracing once', () => {
    const model = neuralODE(field, { tspan: [0, 1] });
    const seed = key(7);
    const [ps, st] = setup(seed, model);
    seed.dispose();
    const run = compile((x: Tensor, p: typeof ps, s: typeof st) => model.apply(x as tf.Tensor2D, p, s));
    const x = x0();
    const [eager, eagerState] = model.apply(x, ps, st);
    for (let i = 0; i < 3; i++) {
      const [y, next] = run(x, ps, st);
      expectClose(y, eager, { rtol: 1e-6 });
      expect(next.statistics.arraySync()).to.deep.equal(eagerState.statistics.arraySync());
      disposeTree([y, next]);
    }
    expect(run.stats).to.deep.equal({ traces: 1, hits: 2 });
    disposeTree([ps, st, x, eager, eagerState]);
  });

  it('trains 1,000 steps without leaking a tensor, and learns', async () => {
    const before = [tf.memory().numTensors, tf.backend().numDataIds()];
    const model = neuralODE(field, { tspan: [0, 0.5], algorithm: tsit5() });
    const seed = key(11);
    const [ps, st] = setup(seed, model);
    seed.dispose();
    const data = { x: x0(), y: tf.tidy(() => tf.mul(x0(), 0.5)) };
    const objective = (m: typeof model, p: typeof ps, s: typeof st, { x, y }: typeof data) => {
      const [found, next] = m.apply(x, p, s);
      return [mse(found, y), next, {}] as const;
    };
    const start = trainState(model, ps, st, adam(1e-2));
    const warm = await train(objective, data, start, { steps: 2 });
    const between = [tf.memory().numTensors, tf.backend().numDataIds()];
    const { trainState: end, losses } = await train(objective, data, warm.trainState, { steps: 1000 });
    disposeTrainState(warm.trainState);
    expect(tf.memory().numTensors).to.equal(between[0]);
    // Constants of programs that other tests forgot may be collected meanwhile.
    expect(tf.backend().numDataIds()).to.be.at.most(between[1]);
    expect(losses.at(-1)).to.be.below(losses[0] / 100);
    disposeTrainState(end);
    disposeTrainState(start);
    disposeTree(data);
    expect(tf.memory().numTensors).to.equal(before[0]);
  }).timeout(60_000);

  it('says what is wrong with its arguments at construction', () => {
    const misspelt = { tspan: [0, 1] as const, relto: 1e-3 } as never;
    expect(() => neuralODE(dense(2, 2), misspelt)).to.throw(
      /^neuralODE: unknown option "relto"; did you mean "reltol"\?/,
    );
    expect(() => neuralODE(dense(2, 2), { tspan: [0, 1], zzzzzzzz: 1 } as never)).to.throw(
      /it takes .*tspan, algorithm/,
    );
    expect(() => neuralODE(3 as never, { tspan: [0, 1] })).to.throw(/first argument must be a layer/);
    expect(() => neuralODE(field, { tspan: [0] as never })).to.throw(/tspan must be two finite numbers/);
    expect(() => neuralODE(field, { tspan: [0, 1], reltoll: 1 } as never)).to.throw(/reltoll.*reltol/s);
    expect(() => neuralODE(field, { tspan: [0, 1], algorithm: rk4() })).to.throw(/RK4 with fixed steps needs dt/);
    expect(() => neuralODE(field, { tspan: [0, 1], saveAt: [2] })).to.throw(/saveAt 2 lies outside the span \[0, 1\]/);
  });

  it('names the layer in which a shape does not fit, and throws SolveError when a solve fails', () => {
    tf.tidy(() => {
      const model = neuralODE(field, { tspan: [0, 1] });
      const [ps, st] = setup(key(0), model);
      expect(() => model.apply(tf.ones<tf.Rank.R2>([4, 3]), ps, st)).to.throw(/Dense\(2 => 6.*model\.layer1/s);
      const wild = neuralODE(
        compact({ name: 'Square' }, (u: Tensor) => tf.square(u)),
        { tspan: [0, 2] },
      );
      expect(() => wild.apply(tf.ones([1, 1]), {}, setup(key(0), wild)[1])).to.throw(SolveError, /grows without bound/);
    });
  });
});
