/**
 * A node that passes its input on and looks at the numbers when the program runs: for finding where NaN comes from.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../core/tree.js';
import { runOnce } from './compile.js';
import { share, type Buffer } from './executor.js';
import type { Gradual, Primitive, RunContext } from './primitive.js';
import { currentTrace, type Trace } from './trace.js';

/** Called with the index of the first NaN when there is one: throws. Null: nobody looks. */
export type OnNaN = ((index: number) => never) | null;

const look = (values: ArrayLike<number>, onNaN: OnNaN): void => {
  if (onNaN === null) return;
  for (let i = 0; i < values.length; i++) if (Number.isNaN(values[i])) onNaN(i);
};

function guardPrimitive(x: Tensor, forward: OnNaN, backward: OnNaN): Primitive {
  const shape = [...x.shape];
  return {
    name: 'nan guard',
    outputs: [{ shape, dtype: 'float32' }],
    run: ([input], { backend }) => {
      const values = backend.readSync(input.dataId) as Float32Array;
      look(values, forward);
      return [{ dataId: backend.write(values.slice(), shape, 'float32'), shape, dtype: 'float32' }];
    },
    *gradually([input]: readonly tf.TensorInfo[], { backend }: RunContext): Gradual<Buffer[]> {
      look(yield async () => Array.from((await backend.read(input.dataId)) as Float32Array), forward);
      return [share(backend, input)];
    },
    // The cotangent passes a guard of its own, whose derivative is a guard again.
    vjp: ({ dys: [dy] }) => [dy === null ? null : nanGuard(dy, backward, backward)],
  };
}

/**
 * `x`, with `forward` called when a number of it is NaN as the program runs, and `backward` when one of its cotangent is.
 */
export function nanGuard(x: Tensor, forward: OnNaN, backward: OnNaN): Tensor {
  const record = (y: Tensor): Tensor =>
    (currentTrace() as Trace).primitive(guardPrimitive(y, forward, backward), [y])[0];
  return currentTrace() === undefined ? runOnce(record, [x]) : record(x);
}
