import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { constantSchedule, cosineDecay, descent, exponentialDecay, type Schedule } from '../../src/optimisers/index.js';
import { compile } from '../../src/graph/index.js';
import type { Tree } from '../../src/core/tree.js';
import { expectClose } from '../support/close.js';
import { tolerance } from '../support/precision.js';

const at = (schedule: Schedule, step: number): number => tf.tidy(() => schedule(tf.scalar(step)).dataSync()[0]);
const rtol = tolerance({ float32: 1e-6, float64: 1e-13 });

describe('schedules', () => {
  it('constantSchedule', () => {
    expectClose(at(constantSchedule(0.3), 17), 0.3, { rtol });
  });

  it('exponentialDecay: smooth, in steps, and with a floor', () => {
    for (const n of [0, 1, 99, 100, 250]) {
      expectClose(at(exponentialDecay(0.1, { decay: 0.5, every: 100 }), n), 0.1 * 0.5 ** (n / 100), { rtol });
      const stairs = exponentialDecay(0.1, { decay: 0.5, every: 100, staircase: true });
      expectClose(at(stairs, n), 0.1 * 0.5 ** Math.floor(n / 100), { rtol });
      const floor = exponentialDecay(0.1, { decay: 0.5, every: 100, minimum: 0.03 });
      expectClose(at(floor, n), Math.max(0.03, 0.1 * 0.5 ** (n / 100)), { rtol });
    }
  });

  it('cosineDecay with warm-up: start, peak, middle, end and after', () => {
    const s = cosineDecay(1, { steps: 110, warmup: 10, start: 0.2, final: 0.1 });
    expectClose(at(s, 0), 0.2, { rtol });
    expectClose(at(s, 5), 0.6, { rtol });
    expectClose(at(s, 10), 1, { rtol });
    expectClose(at(s, 35), 0.1 + 0.9 * 0.5 * (1 + Math.SQRT1_2), { rtol });
    expectClose(at(s, 60), 0.55, { rtol });
    expectClose(at(s, 110), 0.1, { rtol: tolerance({ float32: 1e-5, float64: 1e-13 }) });
    expectClose(at(s, 1000), 0.1, { rtol: tolerance({ float32: 1e-5, float64: 1e-13 }) });
  });

  it('the first update uses step 0, and the rate asked for is that of the next', () => {
    const schedule = cosineDecay(1, { steps: 4 });
    const o = descent(schedule);
    const update = compile((g: tf.Tensor, os: Tree, x: tf.Tensor) => o.update(g, os, x));
    const g = tf.scalar(1);
    let x: tf.Tensor = tf.scalar(0);
    let os = o.init(x);
    let expected = 0;
    for (let n = 0; n < 6; n++) {
      expectClose(o.rate(os)!, at(schedule, n), { rtol, atol: 1e-7 });
      [x, os] = update(g, os, x);
      expected -= 0.5 * (1 + Math.cos((Math.PI * Math.min(n, 4)) / 4));
      expectClose(x, expected, { rtol: tolerance({ float32: 1e-6, float64: 1e-12 }) });
    }
    expect(update.stats.traces).to.equal(1);
  });

  it('rejects what makes no schedule', () => {
    expect(() => cosineDecay(1, { steps: 10, warmup: 10 })).to.throw(RangeError, /warmup \(10\) must be less than steps \(10\)/);
    expect(() => cosineDecay(1, {} as { steps: number })).to.throw(/cosineDecay: option "steps"/);
    expect(() => exponentialDecay(1, { decay: 0, every: 1 })).to.throw(/exponentialDecay: option "decay"/);
    expect(() => constantSchedule(NaN)).to.throw(/constantSchedule: the rate/);
  }); // prettier-ignore
});
