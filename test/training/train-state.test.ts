import '../support/backend.js';
import { inspect } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { disposeTree, leaves } from '../../src/core/tree.js';
import { adam, descent, setRate } from '../../src/optimisers/index.js';
import {
  applyGradients,
  computeGradients,
  disposeTrainState,
  singleTrainStep,
  trainState,
  TrainingError,
  type Objective,
  type TrainState,
} from '../../src/training/index.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';
import { byHand, line, meanSquare, points, type Batch, type Line } from './support.js';

const rtol = tolerance({ float32: 2e-6, float64: 1e-13 });
const key = (): tf.Tensor1D => tf.tensor1d([0, 0], 'int32');
const begin = (optimiser = descent(0.1)): TrainState<Line> =>
  trainState(line, line.initialParameters(key()), line.initialStates(key()), optimiser);

describe('train state', () => {
  it("is a frozen record at step 0 that prints like Lux's", () => {
    const ts = begin(adam(0.01));
    expect(Object.isFrozen(ts)).to.be.true;
    expect(Object.keys(ts)).to.deep.equal(['model', 'parameters', 'states', 'optimiser', 'optimiserState', 'step']);
    expect(inspect(ts)).to.equal(String(ts));
    const lines = String(ts).split('\n');
    expect(lines[0]).to.equal('TrainState(');
    expect(lines[1]).to.match(/^ {4}Line\(2 => 1\)/);
    expect(lines.slice(2)).to.deep.equal([
      '    number of parameters: 3',
      '    number of states: 2',
      '    optimiser: adam(0.01, { beta: [0.9, 0.999], epsilon: 1e-8 })',
      '    step: 0',
      ')',
    ]);
    expect(() => trainState(line, ts.parameters, ts.states, undefined as never)).to.throw(
      TypeError,
      /optimiser.* got undefined/,
    );
  });

  it('arguments in the wrong place are named, with what was given', () => {
    const ts = begin();
    const saved = { parameters: ts.parameters, states: ts.states };
    const cases: [() => unknown, RegExp][] = [
      [() => trainState(ts.parameters as never, line as never, ts.states as never, descent(0.1)), /^trainState: the first argument must be a layer, got an object \{weight, bias\}/],
      [() => singleTrainStep(points() as never, meanSquare as never, ts), /^singleTrainStep: the first argument must be the objective, .* got an array of 2/],
      [() => singleTrainStep(meanSquare, points(), saved as never), /^singleTrainStep: the third argument must be a train state, .* got an object \{parameters, states\}/],
      [() => singleTrainStep(meanSquare, points(), ts, { returnGradient: true } as never), /^singleTrainStep: unknown option "returnGradient"; did you mean "returnGradients"\?/],
      [() => computeGradients(meanSquare, points(), null as never), /^computeGradients: the third argument must be a train state, .* got null/],
      [() => applyGradients(ts.parameters as never, ts as never), /^applyGradients: the first argument must be a train state/],
    ]; // prettier-ignore
    for (const [f, message] of cases) expect(f).to.throw(TypeError, message);
    disposeTrainState(ts);
  });

  it('a step of descent is the one computed by hand; its arguments stay', () => {
    const ts = begin();
    const hand = byHand([0.5, -0.25], 0.1);
    const {
      loss,
      stats,
      grads,
      trainState: next,
    } = singleTrainStep(meanSquare, points(), ts, { returnGradients: true });
    expectClose(loss, hand.loss, { rtol });
    expectClose(grads!.weight, hand.weight, { rtol });
    expectClose(grads!.bias, hand.bias, { rtol });
    expectClose(next.parameters.weight, [0.5 - 0.1 * hand.weight[0], -0.25 - 0.1 * hand.weight[1]], { rtol });
    expectClose(next.parameters.bias, 0.1 - 0.1 * hand.bias, { rtol });
    expectClose(next.states.seen, 4);
    expect(next.states.training).to.equal(true);
    expectClose(stats.largest, 2.475, { rtol });
    expect(next.step).to.equal(1);
    expectClose(ts.parameters.weight, [0.5, -0.25]);
    expectClose(ts.states.seen, 0);
    expect(ts.step).to.equal(0);
    expect('grads' in singleTrainStep(meanSquare, points(), ts)).to.equal(false);
  });

  it('computeGradients and applyGradients are the two halves of it', () => {
    const ts = begin(adam(0.1));
    const whole = singleTrainStep(meanSquare, points(), ts);
    const { grads, loss, stats, trainState: same } = computeGradients(meanSquare, points(), ts);
    const halves = applyGradients(same, grads);
    expectClose(loss, whole.loss);
    expectClose(stats.largest, whole.stats.largest);
    expect(same.step).to.equal(0);
    expect(halves.step).to.equal(1);
    leaves([whole.trainState.parameters, whole.trainState.states, whole.trainState.optimiserState]).forEach((x, i) => {
      expectClose(leaves([halves.parameters, halves.states, halves.optimiserState])[i], x, { rtol: 1e-7 });
    });
    expect(() => applyGradients(ts, { ...grads, bias: tf.zeros([2]) })).to.throw(
      /applyGradients: gradients: shapes differ at bias/,
    );
  });

  it('is traced once for a model, an objective and an optimiser, also when the rate changes', () => {
    let calls = 0;
    const counted: typeof meanSquare = (...args) => {
      calls++;
      return meanSquare(...args);
    };
    let ts = begin();
    for (let i = 0; i < 5; i++) ts = singleTrainStep(counted, points(), ts).trainState;
    ts = { ...ts, optimiserState: setRate(ts.optimiserState, 0.01) };
    ts = singleTrainStep(counted, points(), ts).trainState;
    expect(calls).to.equal(1);
    const [x, y] = points();
    singleTrainStep(counted, [tf.slice(x, 0, 2), tf.slice(y, 0, 2)], ts);
    expect(calls).to.equal(2);
  });

  it('makes what it returns and nothing else', () => {
    const ts = begin(adam(0.1));
    const data = points();
    disposeTree(Object.values(singleTrainStep(meanSquare, data, ts)).map((x) => (x instanceof tf.Tensor ? x : []))); // traces
    const before = tf.memory().numTensors;
    const { loss, stats, trainState: next } = singleTrainStep(meanSquare, data, ts);
    loss.dispose();
    disposeTree(stats);
    disposeTrainState(next);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('a donated state is given up to the next, and nothing else is', () => {
    const tensorsOf = (ts: TrainState<Line>): tf.Tensor[] => leaves([ts.parameters, ts.states, ts.optimiserState]);
    const [given, pure] = [begin(adam(0.1)), begin(adam(0.1))];
    const kept = tf.clone(given.parameters.weight);
    const data = points();
    singleTrainStep(meanSquare, data, pure); // traces
    const before = tf.memory().numTensors;
    const first = singleTrainStep(meanSquare, data, given, { donate: true });
    const second = singleTrainStep(meanSquare, data, first.trainState, { donate: true });
    disposeTree([first.loss, first.stats, second.loss, second.stats]);
    expect(tf.memory().numTensors).to.equal(before);
    expect(tensorsOf(given).every((t) => t.isDisposed)).to.equal(true);
    expect(() => given.parameters.weight.dataSync()).to.throw(/donated/);
    expect(() => singleTrainStep(meanSquare, data, given)).to.throw(/donated/);
    expectClose(kept, [0.5, -0.25]);
    const twice = singleTrainStep(meanSquare, data, singleTrainStep(meanSquare, data, pure).trainState).trainState;
    tensorsOf(second.trainState).forEach((x, i) => {
      expectClose(x, tensorsOf(twice)[i], { rtol: 1e-7 });
    });
    disposeTrainState(given); // does nothing
    expect(() => singleTrainStep(meanSquare, data, twice, { donate: true, checkFinite: true })).to.throw(
      /singleTrainStep: options "donate" and "checkFinite" exclude each other/,
    );
  });

  it('a loss that is not finite is an error that carries the state', () => {
    const ts = begin();
    const broken: Objective<Line, Batch, {}> = (model, ps, st, data) => {
      const [loss, states] = meanSquare(model, ps, st, data);
      return [tf.div(loss, tf.scalar(0)), states, {}];
    };
    const before = tf.memory().numTensors;
    const data = points();
    let error: unknown;
    try {
      singleTrainStep(broken, data, ts, { checkFinite: true });
    } catch (e) {
      error = e;
    }
    expect(error).to.be.instanceOf(TrainingError);
    const { message, trainState: carried, step } = error as TrainingError;
    expect(message).to.match(/the loss is Infinity at step 1\. A smaller learning rate/);
    expect(carried).to.equal(ts);
    expect(step).to.equal(1);
    disposeTree(data);
    expect(tf.memory().numTensors).to.equal(before);
  });

  it('an objective of another form is an error that says so', () => {
    const ts = begin();
    const bad = (() => tf.scalar(1)) as unknown as typeof meanSquare;
    expect(() => singleTrainStep(bad, points(), ts)).to.throw(
      TypeError,
      /the objective must return \[loss, new states, stats\]/,
    );
    const vector: typeof meanSquare = (model, ps, st, [x, y]) => {
      const [prediction, states] = model.apply(x, ps, st);
      return [tf.sub(prediction, y), states, { largest: tf.scalar(0) }];
    };
    expect(() => singleTrainStep(vector, points(), ts)).to.throw(/must return a scalar, got shape \[4, 1\]/);
  });
});
