import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';

type Numbers = number | ArrayLike<number> | readonly unknown[] | tf.Tensor;

function flat(x: Numbers): number[] {
  if (typeof x === 'number') return [x];
  if (x instanceof tf.Tensor) return Array.from(x.dataSync() as ArrayLike<number>);
  return Array.from(x as ArrayLike<unknown>).flatMap((y) => flat(y as Numbers));
}

/** Every |actual - expected| at most atol + rtol |expected|; NaN and the infinities match nothing but themselves. */
export function expectClose(
  actual: Numbers,
  expected: Numbers,
  { rtol = 0, atol = 0 }: { rtol?: number; atol?: number } = {},
  what = 'value',
): void {
  const a = flat(actual);
  const b = flat(expected);
  expect(a.length, `${what}: number of elements`).to.equal(b.length);
  a.forEach((x, i) => {
    if (Object.is(x, b[i]) || x === b[i]) return;
    const error = Math.abs(x - b[i]);
    const allowed = atol + rtol * Math.abs(b[i]);
    if (!(error <= allowed) || !Number.isFinite(b[i])) {
      expect.fail(`${what}[${i}]: ${x} is not within ${allowed} of ${b[i]} (error ${error})`);
    }
  });
}
