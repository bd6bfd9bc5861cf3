import '../support/backend.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import type { Spec } from '../../src/graph/graph.js';
import { simplify } from '../../src/graph/simplify.js';
import { adam } from '../../src/optimisers/index.js';
import { describePlan } from '../../src/wasm/describe.js';
import { Planner } from '../../src/wasm/plan.js';
import { expectClose } from '../support/close.js';
import { compiledBackend, randomValues, repeatable, runOn, trace, type Traced } from './compile-support.js';

const float = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });

function kernels(f: Traced, ...specs: Spec[]): string[] {
  const plan = new Planner(simplify(trace(f, specs)), 4).plan();
  const text = describePlan(plan, { arenaBytes: 0, moduleBytes: 0, precision: 32 });
  return text.split('\n').slice(1).map((line) => line.slice(5)); // prettier-ignore
}

/** In doubles, beside the cpu backend's single precision where there is no other reference. */
function agrees(f: Traced, ...specs: Spec[]): void {
  compiledBackend('nullcline64');
  const graph = simplify(trace(f, specs));
  const random = repeatable(7);
  const inputs = specs.map((spec) => randomValues(spec, random, false));
  const expected = runOn(graph, inputs, 'cpu');
  const doubles = inputs.map((x) => (x instanceof Float32Array ? Float64Array.from(x) : x));
  runOn(graph, doubles, 'nullcline64').forEach((y, i) => {
    expectClose(y, expected[i], { rtol: 1e-5, atol: 1e-5 });
  });
}

describe('several results of one loop', () => {
  it('come from loops that read the same', () => {
    const f: Traced = ([x, y]) => [tf.mul(x, y), tf.sub(x, y)];
    expect(kernels(f, float(5, 7), float(5, 7))).to.deep.equal([
      'out0 = mul(in0, in1); out1 = sub(in0, in1) for [5, 7]',
    ]);
    agrees(f, float(5, 7), float(5, 7));
  });

  it('come from a loop and one that reads its result', () => {
    const f: Traced = ([x]) => {
      const y = tf.tanh(x);
      return [y, tf.sub(1, tf.square(y))];
    };
    expect(kernels(f, float(19))).to.deep.equal(['out0 = tanh(in0); out1 = sub(1, mul(out0, out0)) for [19]']);
    agrees(f, float(19));
  });

  it('are not stored where only the loop itself wants them', () => {
    const f: Traced = ([x, y]) => {
      const z = tf.mul(x, y);
      return [tf.add(z, x), tf.sub(z, y)];
    };
    const [one, ...others] = kernels(f, float(9), float(9));
    expect(others).to.deep.equal([]);
    expect(one).to.equal('out0 = add(mul(in0, in1), in0); out1 = sub(mul(in0, in1), in1) for [9]');
    agrees(f, float(9), float(9));
  });

  it('may wait for the last of them, or come to the first', () => {
    const waits: Traced = ([x, y]) => {
      const s = tf.sum(y);
      return [tf.sin(x), s, tf.mul(tf.cos(x), s)];
    };
    expect(kernels(waits, float(9), float(4))).to.have.length(2);
    const comes: Traced = ([x]) => {
      const y = tf.sin(x);
      return [y, tf.sum(y), tf.cos(x)];
    };
    expect(kernels(comes, float(9))).to.have.length(2);
    agrees(waits, float(9), float(4));
    agrees(comes, float(9));
  });

  it('stay apart where the second needs what comes of the first in between', () => {
    const f: Traced = ([x]) => {
      const y = tf.exp(x);
      return [y, tf.div(y, tf.sum(y))];
    };
    expect(kernels(f, float(9))).to.have.length(3);
    agrees(f, float(9));
  });

  it('stay apart where one reads the other elsewhere than it writes', () => {
    const f: Traced = ([x]) => {
      const y = tf.sin(x);
      return [y, tf.add(tf.reverse(y), x)];
    };
    expect(kernels(f, float(9))).to.have.length(2);
    agrees(f, float(9));
  });

  it('may be parts of one concatenation, side by side or one after the other', () => {
    for (const axis of [0, 1]) {
      const f: Traced = ([x, y]) => tf.concat([tf.sin(tf.add(x, y)), tf.cos(tf.add(x, y)), tf.mul(x, y)], axis);
      expect(kernels(f, float(5, 6), float(5, 6)), `axis ${axis}`).to.have.length(1);
      agrees(f, float(5, 6), float(5, 6));
    }
  });

  it('stay apart where what one writes lies among what the other does', () => {
    // The border first, and then what is within it.
    const f: Traced = ([x]) => tf.pad(tf.sin(x), [[1, 1], [2, 0]], 3); // prettier-ignore
    agrees(f, float(5, 6));
  });

  it('are Adam: averages and step in one loop for each parameter', () => {
    const optimiser = adam(1e-3);
    const f: Traced = ([g, x, m, v, c1, c2]) => {
      const [ps, os] = optimiser.update(g, { rate: tf.scalar(1e-3), c1, c2, m, v }, x);
      const { m: nextM, v: nextV } = os as { m: tf.Tensor; v: tf.Tensor };
      return [ps, nextM, nextV];
    };
    const w = float(6, 7);
    const loops = kernels(f, w, w, w, w, float(), float()).filter((line) => line.endsWith('for [6, 7]'));
    expect(loops).to.have.length(1);
    expect(loops[0].split('; ')).to.have.length(3);
    agrees(f, w, w, w, w, float(), float());
  });

  it('of booleans and integers besides floats', () => {
    const f: Traced = ([x, n]) => {
      const m = tf.mul(n, tf.scalar(3, 'int32'));
      return [
        tf.greater(x, 0),
        m,
        tf.where(tf.greater(x, 0), tf.cast(m, 'float32'), x),
        tf.cast(tf.mul(x, 2), 'int32'),
      ];
    };
    const specs = [float(13), { shape: [13], dtype: 'int32' }] as const;
    expect(kernels(f, ...specs)).to.have.length(1);
    agrees(f, ...specs);
  });
});
