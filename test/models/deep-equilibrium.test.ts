import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  deepEquilibriumNetwork,
  fixedPointCorrection,
  jacobianLoss,
  monotoneDense,
  monotoneWeight,
  multiScaleDeepEquilibriumNetwork,
  multiScaleNeuralODE,
  multiScaleSkipDeepEquilibriumNetwork,
  skipDeepEquilibriumNetwork,
  spectralRadius,
} from '../../models/index.js';
import {
  anderson,
  implicitAdjoint,
  jacobianFree,
  picard,
  readNonlinearStatistics,
  rk4,
  steadyState,
  tsit5,
} from '../../solvers/index.js';
import {
  adam,
  chain,
  compile,
  constant,
  dense,
  disposeTrainState,
  disposeTree,
  dropout,
  grad,
  jacobian,
  key,
  layerToString,
  mse,
  noOpLayer,
  parallel,
  setup,
  testMode,
  train,
  trainState,
  type Tensor,
  type TrainingError,
} from '../../src/index.js';
import { expectClose } from '../support/close.js';
import { centralDifference } from '../support/differences.js';
import { isFloat64, tolerance } from '../support/precision.js';

const tanhOfSum = (a: Tensor, b: Tensor): Tensor => tf.tanh(tf.add(a, b));
const cell = parallel(tanhOfSum, dense(4, 4), dense(3, 4));
const input = (): Tensor => constant([[0.1, 0.2, 0.3], [0.5, -0.3, 0.2]]); // prettier-ignore
const exact = {
  shape: [4],
  norm: 'max',
  abstol: tolerance({ float32: 1e-6, float64: 1e-12 }),
  reltol: 0,
  maxIters: 200,
  throwOnFailure: true,
  adjoint: implicitAdjoint({ reltol: tolerance({ float32: 1e-6, float64: 1e-12 }) }),
} as const;

describe('deepEquilibriumNetwork', () => {
  it('returns the equilibrium of its layer, and says in the state how it got there', () => {
    tf.tidy(() => {
      const model = deepEquilibriumNetwork(cell, exact);
      const [ps, st] = setup(key(1), model);
      const [z, after] = model.apply(input(), ps, st);
      const [image] = cell.apply([z, input()], ps.model, st.model);
      expectClose(image, z, { atol: 2 * exact.abstol });
      expect(z.shape).to.deep.equal([2, 4]);
      const [{ iterations, evaluations, retcode }] = readNonlinearStatistics(after.solution.statistics);
      expect(retcode).to.equal('Success');
      expect(evaluations).to.equal(iterations + 1);
      expect(iterations).to.be.within(3, 60);
      const residual = tf.max(tf.abs(tf.sub(image, z)));
      expectClose(after.solution.residual, residual, {
        rtol: 1e-3,
        atol: tolerance({ float32: 2e-7, float64: 1e-15 }),
      });
      expect(Number.isNaN(after.solution.spectralRadius.dataSync()[0])).to.equal(true);
      expectClose(after.solution.jacobianLoss, 0);
    });
  });

  it('has the gradient of the equilibrium for parameters and input', () => {
    tf.tidy(() => {
      const model = deepEquilibriumNetwork(cell, exact);
      const [ps, st] = setup(key(1), model);
      const value = (p: typeof ps, x: Tensor): tf.Scalar => tf.sum(tf.square(model.apply(x, p, st)[0]));
      const run = compile(value);
      const g = grad((p: typeof ps) => value(p, input()))(ps);
      const h = isFloat64 ? 1e-5 : 1e-2;
      const close = { atol: tolerance({ float32: 5e-3, float64: 1e-8 }) };
      const { layer1 } = ps.model;
      const moved = (weight: Tensor): typeof ps => ({ ...ps, model: { ...ps.model, layer1: { ...layer1, weight } } });
      expectClose(
        g.model.layer1.weight,
        centralDifference((w) => run(moved(w), input()), layer1.weight, h),
        close,
      );
      const dx = grad((x: Tensor) => value(ps, x))(input());
      expectClose(
        dx,
        centralDifference((x) => run(ps, x), input(), h),
        close,
      );
    });
  });

  it('prints, and needs no solve for a fixed depth', () => {
    tf.tidy(() => {
      const model = deepEquilibriumNetwork(cell, { shape: [4], fixedDepth: 3 });
      expect(layerToString(model)).to.contain('DeepEquilibriumNetwork(').and.to.contain('fixedDepth=3');
      const [ps, st] = setup(key(2), model);
      const [z, after] = model.apply(input(), ps, st);
      let expected: Tensor = tf.zeros([2, 4]);
      for (let k = 0; k < 3; k++) [expected] = cell.apply([expected, input()], ps.model, st.model);
      expectClose(z, expected, { atol: 1e-6 });
      expect(readNonlinearStatistics(after.solution.statistics)[0].iterations).to.equal(3);
      const [next] = cell.apply([z, input()], ps.model, st.model);
      const rms = tf.sqrt(tf.mean(tf.square(tf.sub(next, z))));
      expectClose(after.solution.residual, rms, { rtol: 1e-4 });
      // Differentiated through all three applications.
      const value = (x: Tensor): tf.Scalar => tf.sum(tf.square(model.apply(x, ps, st)[0]));
      const dx = grad(value)(input());
      expectClose(dx, centralDifference(value, input()), { atol: tolerance({ float32: 2e-3, float64: 1e-8 }) });
    });
  });

  it('starts from zeros, one evaluation, a learned layer or the previous equilibrium', () => {
    tf.tidy(() => {
      const count = (st: { solution: { statistics: Tensor } }): number =>
        readNonlinearStatistics(st.solution.statistics)[0].iterations;
      const plain = { shape: [4], algorithm: picard(), abstol: 1e-4, reltol: 0, maxIters: 300 };
      const zeros = deepEquilibriumNetwork(cell, plain);
      const [ps, st] = setup(key(1), zeros);
      const [, fromZeros] = zeros.apply(input(), ps, st);
      // One evaluation is what the first iteration from zeros makes.
      const once = skipDeepEquilibriumNetwork(cell, null, plain);
      const [, fromOnce] = once.apply(input(), ps, st);
      expect(count(fromOnce)).to.equal(count(fromZeros) - 1);

      const guess = dense(3, 4);
      const learned = skipDeepEquilibriumNetwork(cell, guess, plain);
      const [own, ownState] = setup(key(1), learned);
      expect(Object.keys(own.init)).to.deep.equal(['weight', 'bias']);
      const [z] = zeros.apply(input(), { model: own.model, init: {} }, st);
      expectClose(learned.apply(input(), own, ownState)[0], z, { atol: 1e-3 });

      const warm = deepEquilibriumNetwork(cell, { ...plain, warmStart: true });
      const [, first] = warm.apply(input(), ps, setup(key(1), warm)[1]);
      const [, second] = warm.apply(input(), ps, first);
      expect(count(first)).to.equal(count(fromZeros));
      expect(count(second)).to.equal(0);
      // Another batch starts anew.
      const [, other] = warm.apply(tf.slice(input(), 0, 1), ps, second);
      expect(count(other)).to.be.above(0);
    });
  });

  it('solves each row by itself with an independent batch', () => {
    tf.tidy(() => {
      const options = { ...exact, batch: 'independent' } as const;
      const model = deepEquilibriumNetwork(cell, options);
      const [ps, st] = setup(key(1), model);
      const [z, after] = model.apply(input(), ps, st);
      expect(after.solution.residual.shape).to.deep.equal([2]);
      expect(readNonlinearStatistics(after.solution.statistics)).to.have.length(2);
      const [joint] = deepEquilibriumNetwork(cell, exact).apply(input(), ps, st);
      expectClose(z, joint, { atol: 20 * exact.abstol });
    });
  });

  it('has other tolerances in test mode', () => {
    tf.tidy(() => {
      const model = deepEquilibriumNetwork(cell, {
        shape: [4],
        abstol: 1e-2,
        reltol: 0,
        test: { abstol: 1e-5, algorithm: picard(), maxIters: 500 },
      });
      const [ps, st] = setup(key(1), model);
      const [, trained] = model.apply(input(), ps, st);
      const [, tested] = model.apply(input(), ps, testMode(st));
      expect(trained.solution.residual.dataSync()[0]).to.be.within(1e-5, 1e-2);
      expect(tested.solution.residual.dataSync()[0]).to.be.below(1e-5);
    });
  });

  it('is the continuous model with an ODE method', () => {
    tf.tidy(() => {
      const flow = deepEquilibriumNetwork(cell, { ...exact, algorithm: steadyState(tsit5()) });
      const [ps, st] = setup(key(1), flow);
      const [z] = flow.apply(input(), ps, st);
      const [expected] = deepEquilibriumNetwork(cell, exact).apply(input(), ps, st);
      expectClose(z, expected, { atol: 20 * exact.abstol });
    });
  });

  it('keeps a dropout mask during a solve and renews it afterwards', () => {
    tf.tidy(() => {
      const wet = parallel(tanhOfSum, chain(dropout(0.5), dense(4, 4)), dense(3, 4));
      const model = deepEquilibriumNetwork(wet, exact);
      const [ps, st] = setup(key(5), model);
      const [z, after] = model.apply(input(), ps, st);
      const [again] = model.apply(input(), ps, st);
      const [other] = model.apply(input(), ps, after);
      expectClose(again, z);
      const [image] = wet.apply([z, input()], ps.model, st.model);
      expectClose(image, z, { atol: 2 * exact.abstol });
      expect(tf.max(tf.abs(tf.sub(other, z))).dataSync()[0]).to.be.above(1e-3);
    });
  });

  it('returns states on the way for the fixed-point correction', () => {
    tf.tidy(() => {
      const model = deepEquilibriumNetwork(cell, { shape: [4], algorithm: picard(), abstol: 0, reltol: 1e-9, maxIters: 6, states: 3 });
      const [ps, st] = setup(key(1), model);
      const [z, { solution }] = model.apply(input(), ps, st);
      expect(solution.states).to.have.length(3);
      expectClose(solution.states[2], z);
      let expected: Tensor = tf.zeros([2, 4]);
      for (let k = 0; k < 2; k++) [expected] = cell.apply([expected, input()], ps.model, st.model);
      expectClose(solution.states[0], expected, { atol: 1e-6 });
      const sizes = solution.states.map((s) => tf.sum(s).dataSync()[0]);
      const loss = (options: Parameters<typeof fixedPointCorrection>[2]): number =>
        fixedPointCorrection((s: Tensor) => tf.sum(s), solution.states, options).dataSync()[0];
      const close = { rtol: tolerance({ float32: 1e-5, float64: 1e-12 }) };
      expectClose(loss({}), 0.64 * sizes[0] + 0.8 * sizes[1] + sizes[2], close);
      expectClose(loss({ weights: 'linear' }), 0.4 * sizes[0] + 0.7 * sizes[1] + sizes[2], close);
      expectClose(loss({ weights: 'constant', gamma: 0.3 }), 0.3 * sizes[0] + 0.3 * sizes[1] + sizes[2], close);
    }); // prettier-ignore
  });

  it('trains in a compiled loop and leaks nothing', async () => {
    const x = tf.tensor2d(Array.from({ length: 16 }, (_, i) => [Math.sin(i), Math.cos(2 * i), 0.1 * i - 0.8]));
    const y = tf.tidy(() => tf.slice(tf.tanh(tf.matMul(x, tf.tensor2d([[1, -1], [0.5, 0.3], [0.2, 0.9]]))), 0)); // prettier-ignore
    const model = chain(
      deepEquilibriumNetwork(cell, { shape: [4], jacobianRegularization: 1, spectralRadius: true }),
      dense(4, 2),
    );
    const seed = key(4);
    const [ps, st] = setup(seed, model);
    const objective = (m: typeof model, p: typeof ps, s: typeof st, batch: { x: Tensor; y: Tensor }) => {
      const [found, next] = m.apply(batch.x, p, s);
      const { jacobianLoss: penalty } = next.layer1.solution;
      return [tf.add<tf.Scalar>(mse(found, batch.y), tf.mul(penalty, 0.01)), next, {}] as const;
    };
    const start = trainState(model, ps, st, adam(0.02));
    const data = { x, y };
    const warm = await train(objective, data, start, { steps: 2 });
    const between = tf.memory().numTensors;
    const { trainState: end, losses } = await train(objective, data, warm.trainState, { steps: 60 });
    disposeTrainState(warm.trainState);
    expect(tf.memory().numTensors).to.equal(between);
    expect(losses[losses.length - 1]).to.be.below(0.3 * losses[0]);
    disposeTrainState(end);
    disposeTrainState(start);
    disposeTree([x, y, seed]);
  });

  for (const batch of ['joint', 'independent'] as const) {
    const options = { shape: [4], batch, adjoint: implicitAdjoint({ onFailure: 'ignore' }) } as const;
    const finite = (t: Tensor): boolean[] => Array.from(t.dataSync(), (v) => Number.isFinite(v));

    it(`is NaN where its input or its parameters are (${batch} batch)`, () => {
      tf.tidy(() => {
        const model = deepEquilibriumNetwork(cell, { ...options, warmStart: true, states: 2 });
        const [ps, st] = setup(key(1), model);
        const eager = (x: Tensor, p: typeof ps, s: typeof st) => model.apply(x, p, s);
        const broken = tf.add(input(), constant([[0], [NaN]]));
        for (const apply of [eager, compile(eager)]) {
          const [z, after] = apply(broken, ps, st);
          const fine = batch === 'independent';
          expect(finite(z)).to.deep.equal(Array.from({ length: 8 }, (_, i) => fine && i < 4));
          expect(finite(after.solution.states[1])).to.deep.equal(finite(z));
          if (fine) expectClose(tf.slice(z, 0, 1), tf.slice(model.apply(input(), ps, st)[0], 0, 1), { atol: 2e-2 });
          // The next solve starts from numbers.
          expect(finite(model.apply(input(), ps, after)[0])).not.to.include(false);
          const { layer1 } = ps.model;
          const lost = { ...ps, model: { ...ps.model, layer1: { ...layer1, bias: constant([0, 0, NaN, 0]) } } };
          expect(finite(apply(input(), lost, st)[0])).not.to.include(true);
        }
      });
    });

    it(`has unchanged derivatives, and NaN where it is NaN (${batch} batch)`, () => {
      tf.tidy(() => {
        const model = deepEquilibriumNetwork(cell, { ...exact, batch });
        const [ps, st] = setup(key(1), model);
        const value = (x: Tensor): tf.Scalar => tf.sum(tf.square(model.apply(x, ps, st)[0]));
        const slope = (x: Tensor): tf.Scalar => tf.sum(tf.square(grad(value)(x)));
        const run = compile(slope);
        const h = isFloat64 ? 1e-5 : 1e-2;
        expectClose(grad(slope)(input()), centralDifference((x) => run(x), input(), h), { atol: tolerance({ float32: 2e-2, float64: 1e-7 }) });
        const lenient = deepEquilibriumNetwork(cell, options);
        const loss = (x: Tensor): tf.Scalar => tf.sum(tf.square(lenient.apply(x, ps, st)[0]));
        const broken = tf.add(input(), constant([[0], [NaN]]));
        expect(finite(loss(broken))).to.deep.equal([false]);
        expect(finite(tf.slice(grad(loss)(broken), 1, 1))).to.deep.equal([false, false, false]);
      });
    }); // prettier-ignore

    it(`stops training with finite parameters where its input is NaN (${batch} batch)`, async () => {
      const model = deepEquilibriumNetwork(cell, options);
      const seed = key(4);
      const [ps, st] = setup(seed, model);
      const objective = (m: typeof model, p: typeof ps, s: typeof st, x: Tensor) => {
        const [z, next] = m.apply(x, p, s);
        return [tf.mean<tf.Scalar>(tf.square(z)), next, {}] as const;
      };
      const start = trainState(model, ps, st, adam(0.01));
      const data = (step: number): Tensor => (step < 2 ? input() : tf.add(input(), constant([[0], [NaN]])));
      const before = tf.memory().numTensors;
      const error = await train(objective, data, start, { steps: 5 }).then(
        () => undefined,
        (e: unknown) => e as TrainingError,
      );
      expect(error?.message).to.match(/the loss is NaN at step 3/);
      const good = error?.trainState as typeof start;
      expect(good.step).to.equal(1);
      expect(finite(good.parameters.model.layer1.weight)).not.to.include(false);
      disposeTrainState(good);
      expect(tf.memory().numTensors).to.equal(before);
      disposeTrainState(start);
      seed.dispose();
    });
  }

  it('says at construction what is wrong', () => {
    expect(() => deepEquilibriumNetwork({} as never)).to.throw(/the first argument must be a layer that takes \[z, x\]/);
    expect(() => deepEquilibriumNetwork(cell, { algoritm: 1 } as never)).to.throw(/did you mean "algorithm"/);
    expect(() => deepEquilibriumNetwork(cell, { algorithm: tsit5() as never })).to.throw(/an algorithm for fixed points/);
    expect(() => deepEquilibriumNetwork(cell, { patience: -1 })).to.throw(/"patience"/);
    const wrong = deepEquilibriumNetwork(cell, {});
    expect(() => tf.tidy(() => wrong.apply(input(), setup(key(0), wrong)[0], setup(key(0), wrong)[1])[0])).to.throw(
      /Dense\(4 => 4\)/,
    );
    expect(() => {
      const model = deepEquilibriumNetwork(parallel((a: Tensor, b: Tensor) => tf.mul(3, tf.add(a, b)), dense(4, 4), dense(3, 4)), { shape: [4], algorithm: picard(), throwOnFailure: true, maxIters: 20 });
      tf.tidy(() => model.apply(input(), ...setup(key(0), model))[0]);
    }).to.throw(/The map does not contract there: the spectral radius of df\/du is about/);
  }); // prettier-ignore
});

describe('the Jacobian at the equilibrium', () => {
  const f = (z: Tensor): Tensor => tf.tanh(tf.matMul(z as tf.Tensor2D, constant([[0.5, -0.3, 0.2], [0.1, 0.7, 0.4], [-0.6, 0.2, 0.3]]) as tf.Tensor2D)); // prettier-ignore
  const z = (): Tensor => constant([[0.3, -0.2, 0.5]]);

  it('has the loss |J|_F^2 / n, in the mean over random vectors', () => {
    tf.tidy(() => {
      const dense9 = tf.sum(tf.square(jacobian(f)(z()))).dataSync()[0] / 3;
      const estimate = compile((k: tf.Tensor1D) => jacobianLoss(f, z(), k, 60));
      const [found] = estimate(key(7)).dataSync();
      // Sixty vectors: the standard deviation of the estimate is about 14 %.
      expect(Math.abs(found - dense9)).to.be.below(0.45 * dense9);
      // For a multiple of an orthogonal matrix J, the mean of |J' v|^2 over v is exactly what one v says of |v|^2.
      const rotation = (u: Tensor): Tensor => tf.mul(0.5, tf.reverse(u, 1));
      const all = Array.from({ length: 50 }, (_, i) => jacobianLoss(rotation, z(), key(i), 4).dataSync()[0]);
      expect(Math.min(...all)).to.be.above(0);
      expect(Math.abs(all.reduce((a, b) => a + b) / 50 - 0.25)).to.be.below(0.04);
    });
  });

  it('has a loss that can be differentiated', () => {
    tf.tidy(() => {
      const w = constant([[0.5, -0.3], [0.1, 0.7]]); // prettier-ignore
      const at = constant([[0.3, -0.2]]);
      const loss = (v: Tensor): Tensor => jacobianLoss((u) => tf.tanh(tf.matMul(u as tf.Tensor2D, v as tf.Tensor2D)), at, key(3), 2); // prettier-ignore
      expectClose(grad(loss)(w), centralDifference(loss, w), { atol: tolerance({ float32: 2e-3, float64: 1e-9 }) });
    });
  });

  it('has a spectral radius', () => {
    tf.tidy(() => {
      const symmetric = constant([[0.6, 0.2, 0], [0.2, -0.5, 0.1], [0, 0.1, 0.3]]); // prettier-ignore
      const linear = (u: Tensor): Tensor => tf.matMul(u, symmetric);
      // The largest root of det(A - x I) = -x^3 + 0.4 x^2 + 0.32 x - 0.084 ... by bisection: 0.6357.
      const p = (x: number): number => (0.6 - x) * ((-0.5 - x) * (0.3 - x) - 0.01) - 0.2 * (0.2 * (0.3 - x));
      let [low, high] = [0.61, 0.7];
      for (let k = 0; k < 60; k++) {
        const middle = (low + high) / 2;
        if (p(low) * p(middle) <= 0) high = middle;
        else low = middle;
      }
      const found = spectralRadius(linear, z(), key(1), { iterations: 300 });
      expectClose(found, low, { rtol: 1e-4 });
      // A pair of complex eigenvalues 0.8 e^(+-i): single ratios swing, their mean does not.
      const turn = constant([[0.8 * Math.cos(1), 1.6 * Math.sin(1)], [-0.4 * Math.sin(1), 0.8 * Math.cos(1)]]); // prettier-ignore
      const spiral = (u: Tensor): Tensor => tf.matMul(u, turn);
      expectClose(spectralRadius(spiral, constant([[1, 2]]), key(2), { iterations: 200 }), 0.8, { rtol: 0.01 });
      expectClose(
        spectralRadius((u) => tf.mul(u, 0), z(), key(1)),
        0,
      );
    });
  });

  it('is reported in the state of the layer', () => {
    tf.tidy(() => {
      const model = deepEquilibriumNetwork(cell, { ...exact, jacobianRegularization: 40, spectralRadius: true });
      const [ps, st] = setup(key(1), model);
      const x = tf.slice(input(), 0, 1);
      const [zStar, { solution, key: next }] = model.apply(x, ps, st);
      const j = tf.reshape(jacobian((u: Tensor) => cell.apply([u, x], ps.model, st.model)[0])(zStar), [4, 4]);
      const size = tf.sum(tf.square(j)).dataSync()[0] / 4;
      expect(Math.abs(solution.jacobianLoss.dataSync()[0] - size)).to.be.below(0.5 * size);
      let v: Tensor = tf.ones([4, 1]);
      let ratio = 0;
      for (let k = 0; k < 200; k++) {
        const w = tf.matMul(j, v);
        const norm = tf.norm(w).dataSync()[0];
        if (k >= 100) ratio += Math.log(norm) / 100;
        v = tf.div(w, norm);
      }
      expectClose(solution.spectralRadius, Math.exp(ratio), { rtol: 0.05 });
      expect(Array.from(next.dataSync())).not.to.deep.equal(Array.from(st.key.dataSync()));
      expectClose(model.apply(x, ps, testMode(st))[1].solution.jacobianLoss, 0);
    });
  });
});

describe('monotoneDense', () => {
  it('has a unique equilibrium, whatever its parameters', () => {
    tf.tidy(() => {
      for (const activation of ['relu', 'tanh'] as const) {
        const layer = monotoneDense(3, 4, activation, { margin: 0.5 });
        const options = { ...exact, algorithm: anderson({ damping: 0.5 }), maxIters: 2000 };
        const model = skipDeepEquilibriumNetwork(layer, dense(3, 4), options);
        const [ps, st] = setup(key(1), model);
        const { symmetric, skew } = ps.model;
        const big = { ...ps.model, symmetric: tf.mul(symmetric, 2), skew: tf.mul(skew, 2) };
        const found = [1, 2, 3].map((seed) => {
          const [{ init }] = setup(key(seed), model);
          return model.apply(input(), { model: big, init: { ...init, bias: tf.add(init.bias, seed) } }, st)[0];
        });
        expectClose(layer.apply([found[0], input()], big, {})[0], found[0], { atol: 2 * exact.abstol });
        expectClose(found[1], found[0], { atol: 50 * exact.abstol });
        expectClose(found[2], found[0], { atol: 50 * exact.abstol });
      }
    });
  });

  it('keeps I - W at least as monotone as its margin', () => {
    tf.tidy(() => {
      const [ps] = setup(key(1), monotoneDense(3, 4));
      const w = monotoneWeight({ ...ps, symmetric: tf.mul(ps.symmetric, 5), skew: tf.mul(ps.skew, 5) }, 0.3);
      for (let i = 0; i < 20; i++) {
        const v = tf.randomNormal<tf.Rank.R2>([1, 4], 0, 1, 'float32', i);
        const form = tf.sum(tf.mul(v, tf.sub(v, tf.matMul(v, w)))).dataSync()[0];
        const size = tf.sum(tf.square(v)).dataSync()[0];
        expect(form).to.be.at.least((0.3 - 1e-5) * size);
      }
    });
  });

  it('has a damped form with the same equilibrium, which plain iteration finds', () => {
    tf.tidy(() => {
      const [ps, st] = setup(key(1), monotoneDense(3, 4));
      const given = { ...ps, symmetric: tf.mul(ps.symmetric, 2), skew: tf.mul(ps.skew, 2) };
      const damped = monotoneDense(3, 4, 'relu', { step: 0.05 });
      const layer = monotoneDense(3, 4);
      const model = deepEquilibriumNetwork(damped, { ...exact, algorithm: picard(), maxIters: 5000 });
      const [z] = model.apply(input(), { model: given, init: {} }, setup(key(1), model)[1]);
      expectClose(layer.apply([z, input()], given, st)[0], z, { atol: 100 * exact.abstol });
      expect(() => monotoneDense(3, 4, 'tanh', { step: 0.5 })).to.throw(/moves the equilibrium of tanh/);
    });
  });
});

describe('multiscale models', () => {
  const scales = {
    main: [parallel(tanhOfSum, dense(4, 4), dense(3, 4)), dense(3, 3, 'tanh')],
    mapping: [
      [noOpLayer(), dense(4, 3)],
      [dense(3, 4), noOpLayer()],
    ],
    postFuse: [dense(4, 4, 'tanh'), dense(3, 3, 'tanh')],
    scales: [[4], [3]],
  } as const;

  it('returns one state for each scale, an equilibrium together', () => {
    tf.tidy(() => {
      const { shape: _, ...options } = exact;
      const model = multiScaleDeepEquilibriumNetwork(scales, options);
      const [ps, st] = setup(key(1), model);
      const [z, { solution }] = model.apply(input(), ps, st);
      expect(z.map(({ shape }) => shape)).to.deep.equal([[2, 4], [2, 3]]); // prettier-ignore
      expect(readNonlinearStatistics(solution.statistics)[0].retcode).to.equal('Success');
      const p = ps.model as unknown as Record<
        string,
        { weight: tf.Tensor2D; bias: Tensor; layer1: Affine; layer2: Affine }
      >;
      interface Affine { weight: tf.Tensor2D; bias: Tensor } // prettier-ignore
      const linear = (x: Tensor, { weight, bias }: Affine): Tensor => tf.add(tf.matMul(x as tf.Tensor2D, weight), bias);
      const m1 = tf.tanh(tf.add(linear(z[0], p.main1.layer1), linear(input(), p.main1.layer2)));
      const m2 = tf.tanh(linear(z[1], p.main2));
      const first = tf.tanh(linear(tf.add(m1, linear(m2, p.mapping21)), p.postFuse1));
      const second = tf.tanh(linear(tf.add(linear(m1, p.mapping12), m2), p.postFuse2));
      expectClose(first, z[0], { atol: 5 * exact.abstol });
      expectClose(second, z[1], { atol: 5 * exact.abstol });

      const value = (x: Tensor): tf.Scalar => tf.sum(tf.square(model.apply(x, ps, st)[0][1]));
      const dx = grad(value)(input());
      const run = compile(value);
      expectClose(
        dx,
        centralDifference((x) => run(x), input(), isFloat64 ? 1e-5 : 1e-2),
        {
          atol: tolerance({ float32: 2e-3, float64: 1e-8 }),
        },
      );

      const skip = multiScaleSkipDeepEquilibriumNetwork(scales, null, options);
      expectClose(skip.apply(input(), ps, st)[0][0], z[0], { atol: 20 * exact.abstol });
    });
  });

  it('follows the flow over a time span as a neural ODE', () => {
    tf.tidy(() => {
      const model = multiScaleNeuralODE(scales, { tspan: [0, 40], algorithm: rk4(), dt: 0.25 });
      const [ps, st] = setup(key(1), model);
      const [z] = model.apply(input(), ps, st);
      const { shape: _, ...options } = exact;
      const rest = multiScaleDeepEquilibriumNetwork(scales, options);
      const [equilibrium] = rest.apply(input(), { model: ps.model, init: {} }, setup(key(1), rest)[1]);
      expectClose(z[0], equilibrium[0], { atol: 1e-4 });
      expectClose(z[1], equilibrium[1], { atol: 1e-4 });
    });
  });

  it('says which list has the wrong length', () => {
    expect(() => multiScaleDeepEquilibriumNetwork({ ...scales, scales: [[4]] })).to.throw(/the main layers must be as many as there are scales \(1\), got 2/); // prettier-ignore
    expect(() => multiScaleDeepEquilibriumNetwork({ ...scales, mapping: [[noOpLayer()], [noOpLayer(), noOpLayer()]] })).to.throw(/the mapping layers of row 0/); // prettier-ignore
  });
});

describe('approximate gradients of a deep equilibrium network', () => {
  it('are there for the asking', () => {
    tf.tidy(() => {
      const model = deepEquilibriumNetwork(cell, { ...exact, adjoint: jacobianFree(), algorithm: anderson() });
      const [ps, st] = setup(key(1), model);
      const [z] = model.apply(input(), ps, st);
      const g = grad((p: typeof ps) => tf.sum(model.apply(input(), p, st)[0]))(ps);
      const once = grad((p: typeof ps) => tf.sum(cell.apply([z, input()], p.model, st.model)[0]))(ps);
      expectClose(g.model.layer1.weight, once.model.layer1.weight, {
        atol: tolerance({ float32: 1e-5, float64: 1e-10 }),
      });
    });
  });
});
