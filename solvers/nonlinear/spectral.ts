/**
 * The spectral radius of a map's derivative by power iteration: what decides whether plain iteration converges.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Cell, Loop } from '../../src/graph/workspace.js';
import { sizeOf } from '../../src/graph/graph.js';
import type { Session } from './session.js';

/** Iterations, and how many of the last ones are averaged: a pair of complex eigenvalues makes single ratios swing. */
const ITERATIONS = 60;
const AVERAGED = 30;

/** Numbers that are no eigenvector of anything in particular, the same at each call. */
function start(n: number): number[] {
  const golden = (Math.sqrt(5) - 1) / 2;
  const values = Array.from({ length: n }, (_, i) => (((i + 1) * golden) % 1) - 0.5);
  const norm = Math.hypot(...values.slice(0, 1 << 16));
  return values.map((x) => x / (norm || 1));
}

/** An estimate of the spectral radius of df/du at `u`; NaN where the derivative is not finite. */
export function* spectralRadius(session: Session, u: Cell): Loop<number> {
  const { ws } = session;
  const [v, next] = [session.cell(), session.cell()];
  const norm = session.numbers(1);
  const step = session.step('power iteration', [u, v], [next, ...norm.cells], ([at, direction], maps) => {
    const jv = tf.add(maps.jvp(at, direction), direction);
    const size = tf.sqrt(tf.sum(tf.square(jv)));
    const safe = tf.add(size, tf.cast(tf.equal(size, 0), 'float32'));
    return [tf.div(jv, safe), ...norm.pack([size])];
  });
  ws.write(v, start(sizeOf(v.shape)));
  let logs = 0;
  for (let k = 0; k < ITERATIONS; k++) {
    step.run();
    if (ws.immediate) norm.read();
    else norm.accept(yield norm.cells[0]);
    const [size] = norm.values;
    if (!(size < Infinity)) return NaN;
    if (size === 0) return 0;
    if (k >= ITERATIONS - AVERAGED) logs += Math.log(size);
    step.inputs[1] = step.outputs[0];
    step.outputs[0] = step.inputs[1] === v ? next : v;
  }
  ws.free([v, next]);
  return Math.exp(logs / AVERAGED);
}
