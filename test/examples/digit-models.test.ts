import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { adam, disposeTrainState, key, parameterLength, setup, train, trainState } from 'nullcline';
import { picard } from 'nullcline/solvers';
import {
  classification,
  equilibriumClassifier,
  equilibriumObjective,
  neuralOdeClassifier,
} from '../../examples/support/digit-models.js';
import { asTensors, shuffled } from '../../examples/support/digits.js';
import { drawGlyphs } from '../../examples/support/glyphs.js';
import { residualPanel, residuals } from '../../examples/support/residuals.js';

const mean = (xs: readonly number[]): number => xs.reduce((a, b) => a + b, 0) / xs.length;

describe('the classifiers of digits', () => {
  it('have the sizes of their description', () => {
    // 784 20 + 20 + (20 10 + 10) + (10 10 + 10) + (10 20 + 20) + (20 10 + 10).
    expect(parameterLength(neuralOdeClassifier(28))).to.equal(16450);
    const [x8, x28] = [tf.zeros([2, 8, 8, 1]), tf.zeros([2, 28, 28, 1])];
    for (const x of [x8, x28]) {
      const { model } = equilibriumClassifier(x.shape[1] as number, { channels: 3 });
      const [ps, st] = setup(key(0), model);
      const [scores] = model.apply(x, ps, st);
      expect(scores.shape).to.deep.equal([2, 10]);
    }
  });

  it('learn: a neural ODE', async () => {
    const data = asTensors(await drawGlyphs(key(1), 40, 8));
    const { batch } = shuffled(data, 20, key(2));
    const model = neuralOdeClassifier(8);
    const [ps, st] = setup(key(3), model);
    const start = trainState(model, ps, st, adam(1e-2));
    const { losses, trainState: trained } = await train(classification<typeof model>(), batch, start, { steps: 24 });
    expect(mean(losses.slice(-4))).to.be.below(0.8 * mean(losses.slice(0, 4)));
    disposeTrainState(trained);
    tf.dispose([data.images, data.labels]);
  });

  it('learn: a deep equilibrium model', async () => {
    const data = asTensors(await drawGlyphs(key(1), 40, 8));
    const { batch } = shuffled(data, 20, key(2));
    const { model } = equilibriumClassifier(8, { channels: 3 });
    const [ps, st] = setup(key(3), model);
    const start = trainState(model, ps, st, adam(3e-2));
    const { losses, trainState: trained } = await train(equilibriumObjective(), batch, start, { steps: 12 });
    expect(mean(losses.slice(-4))).to.be.below(0.8 * mean(losses.slice(0, 4)));
    const [residual] = trained.states.equilibrium.solution.residual.dataSync();
    expect(residual).to.be.within(0, 2e-3);
    disposeTrainState(trained);
    tf.dispose([data.images, data.labels]);
  });
});

describe('residual curves', () => {
  it('fall by the factor of the map', async () => {
    const start = tf.zeros([1, 3]);
    const p = { b: tf.tensor2d([[1, 1, 1]]) };
    const curve = await residuals((z, { b }) => tf.add(tf.mul(z, 0.5), b), start, p, picard(), {
      maxIters: 12,
      tolerance: 1e-2,
    });
    // |f(z_k) - z_k| = 2^-k for z <- z / 2 + 1 from zero, until it is below 1e-2.
    expect(curve).to.deep.equal(Array.from({ length: 8 }, (_, k) => 2 ** -k));
    const panel = residualPanel('r', [
      { name: 'a', curves: [curve, [1, 0.5]] },
      { name: 'b', curves: [[1]] },
    ]);
    expect(panel.series.map(({ name, kind }) => [name, kind])).to.deep.equal([
      ['a', 'line'],
      ['b', 'dashed'],
    ]);
    const [{ points }] = panel.series;
    expect(points.length).to.equal(8 + 1 + 2 + 1);
    expect(points.slice(9, 11)).to.deep.equal([
      [0, 0],
      [1, Math.log10(0.5)],
    ]);
    expect(Number.isNaN(points[8][0])).to.equal(true);
    tf.dispose([start, p.b]);
  });
});
