/**
 * Operations that are computed as others, the same ones that stand for them in a traced function.
 */
import * as tf from '@tensorflow/tfjs-core';
import { engineInternals } from '../../graph/engine.js';
import { LOWERINGS } from '../../graph/lowering.js';
import type { NullclineBackend } from '../backend.js';

/** The kernel of that name in terms of others where there is a rule; the given one otherwise. */
export function rewritten(name: string, otherwise: tf.KernelFunc): tf.KernelFunc {
  const rule = LOWERINGS.get(name);
  if (rule === undefined) return otherwise;
  return (args) => {
    if ((args.backend as unknown as NullclineBackend).hosting) return otherwise(args);
    const inputs = args.inputs as Readonly<Record<string, tf.Tensor>>;
    const engine = engineInternals();
    // A temporary scope; its result is the engine's already.
    engine.startScope(name);
    let result: tf.Tensor | undefined;
    try {
      result = rule(inputs, args.attrs ?? {}, (kernel, operands, attrs) => engine.runKernel(kernel, operands, attrs) as tf.Tensor); // prettier-ignore
    } finally {
      engine.endScope(result);
    }
    return result ?? otherwise(args);
  };
}
