/**
 * Embedding: rows of a table, picked by integers.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { functionOption, parseOptions, z } from '../core/options.js';
import { uniform } from '../core/random.js';
import { isTensor, type Tensor } from '../core/tree.js';
import { formatShape } from '../core/value.js';
import { checkInput, checkSize, checkTuple, fail } from './check.js';
import { parametricLayer } from './parametric.js';

export interface EmbeddingOptions {
  /** How the table starts. Default: uniform in [0, 1), as in Lux.jl. */
  readonly initWeight?: Initialiser;
}

const OPTIONS = z.strictObject({ initWeight: functionOption<Initialiser>('an initialiser').optional() });

const unitUniform: Initialiser = (key, shape) => uniform(key, shape);

/**
 * Puts a vector of `outputs` numbers in the place of each integer: `[...]` (int32) to `[..., outputs]`.
 *
 * Parameters: `weight [inputs, outputs]`. With several sizes, `weight [...inputs, outputs]` is picked from by a tuple of
 * int32 tensors of one shape, one for each size. The derivative adds up at the rows that were picked.
 *
 * @param inputs How many vectors there are, or the sizes of a table of more axes.
 * @param outputs The length of the vectors.
 * @throws TypeError for bad sizes or options; `apply` throws a LayerError for an input that is not int32. What an index out
 * of range does depends on the backend: keep indices in `[0, inputs)`.
 */
export function embedding(
  inputs: number,
  outputs: number,
  options?: EmbeddingOptions,
): Layer<Tensor, Tensor, { weight: Tensor }, Empty>;
export function embedding(
  inputs: readonly number[],
  outputs: number,
  options?: EmbeddingOptions,
): Layer<readonly Tensor[], Tensor, { weight: Tensor }, Empty>;
export function embedding(
  inputs: number | readonly number[],
  outputs: number,
  options?: EmbeddingOptions,
): Layer<never, Tensor, { weight: Tensor }, Empty> {
  const given: readonly unknown[] = Array.isArray(inputs) ? inputs : [inputs];
  const sizes = given.map((n) => checkSize('embedding', 'each number of inputs', n));
  if (sizes.length === 0) throw new TypeError('embedding: the number of inputs must be a positive integer, got []');
  checkSize('embedding', 'the number of outputs', outputs);
  const { initWeight = unitUniform } = parseOptions(OPTIONS, options, 'embedding');
  const rows = sizes.reduce((n, m) => n * m, 1);
  return parametricLayer<unknown, Tensor, { weight: Tensor }>({
    name: 'Embedding',
    summary: `${Array.isArray(inputs) ? `(${sizes.join(', ')})` : String(inputs)} => ${outputs}`,
    parameters: { weight: { shape: [...sizes, outputs], init: initWeight } },
    forward: (title, x, { weight }) => {
      const indices = Array.isArray(inputs) ? flatIndex(title, x, sizes) : x;
      checkInput(title, indices, { dtype: 'int32' });
      const table = tf.reshape(weight, [rows, outputs]);
      const picked = tf.gather(table, tf.reshape(indices, [indices.size]));
      return tf.reshape(picked, [...indices.shape, outputs]);
    },
  });
}

/** The place in row-major order of a tuple of indices. */
function flatIndex(title: string, x: unknown, sizes: readonly number[]): Tensor {
  checkTuple(title, x, sizes.length);
  for (const index of x) {
    checkInput(title, index, { dtype: 'int32' });
    if (isTensor(x[0]) && formatShape(x[0].shape) !== formatShape(index.shape)) {
      fail(
        title,
        `expected index tensors of one shape, got ${formatShape(x[0].shape)} and ${formatShape(index.shape)}`,
      );
    }
  }
  const [first, ...rest] = x as readonly Tensor[];
  return rest.reduce((at, index, i) => tf.add(tf.mul(at, tf.scalar(sizes[i + 1], 'int32')), index), first);
}
