/**
 * Operations that are several kernels, one after the other.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import type { Call, EagerKernel } from './eager.js';

/** What they make on the way is freed at the end. */
export class Steps {
  private readonly made: object[] = [];

  constructor(private readonly backend: NullclineBackend) {}

  run(kernel: EagerKernel, inputs: Call['inputs'], attrs: Call['attrs']): tf.TensorInfo | undefined {
    const result = kernel({ backend: this.backend, inputs, attrs });
    if (result !== undefined) this.made.push(result.dataId);
    return result;
  }

  /** Free all but the last, if that is the result. */
  end(isComplete: boolean): void {
    if (isComplete) this.made.pop();
    for (const dataId of this.made) this.backend.disposeData(dataId);
  }
}

/** The same numbers under another shape; not another reference to them. */
export const reshaped = ({ dataId, dtype }: tf.TensorInfo, shape: readonly number[]): tf.TensorInfo => ({ dataId, dtype, shape: [...shape] }); // prettier-ignore
