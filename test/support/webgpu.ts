/**
 * What the tests on WebGPU share: the same function on the compiled backend, whose values are checked elsewhere, and on
 * WebGPU, read as promises; and the list of what tfjs's WebGPU backend cannot do.
 */
import * as tf from '@tensorflow/tfjs';
import { leaves } from '../../src/index.js';
import { expectClose } from './close.js';

/** On tfjs's WebGPU backend every float is single precision, summed in another order, with the driver's own exp and sin. */
export const CLOSE = { rtol: 1e-4, atol: 1e-5 };

/** Operations of the tests' tables that tfjs 4.22's WebGPU backend does not have, or has and computes wrongly. */
export const NOT_ON_WEBGPU: Readonly<Record<string, string>> = {
  mod: 'has no kernel Mod',
  tensorScatterUpdate: 'its kernel overwrites its input, and a copy of that would have to be read',
  sparseToDense: 'reads a value synchronously',
  'cumsum, exclusive and reversed': 'its kernel gives wrong sums for the two options together',
  'prod over two axes': 'its product of a reduced axis is off in the third digit',
  'conv2d dilated': 'the gradient pads an array of rank 6, which its kernel Pad cannot',
  'conv2d dilated, same': 'the gradient pads an array of rank 6, which its kernel Pad cannot',
  'depthwiseConv2d dilated': 'the gradient pads an array of rank 6, which its kernel Pad cannot',
  'conv3d dilated': 'the gradient transposes an array of rank 8, and its kernels end at rank 6',
};

const VEC5 = 'its elementwise kernels of rank 5 that broadcast are no valid programs';

/** The same for layers of the laws' tables. */
export const LAYERS_NOT_ON_WEBGPU: Readonly<Record<string, string>> = {
  'conv of three axes': VEC5,
  'conv of three axes with stride and dilation': VEC5,
  'conv of three axes in groups': VEC5,
  'conv with dilation': 'its kernel Pad of rank 6 is no valid program',
  'convTranspose of three axes': 'its transposed convolution in three dimensions asks for a shape that does not fit',
  'convTranspose with same padding': VEC5,
  'maxPool with dilation': 'its kernel Pad of rank 6 is no valid program',
  debugMode: 'not tfjs: it looks at values as it runs, which needs a backend that can be read at once',
  globalLpPool: 'its kernel Select ends at rank 4',
  variationalHiddenDropout: 'a choice between two keys is made on the device, and draws need theirs on the host',
  'variationalHiddenDropout of features':
    'a choice between two keys is made on the device, and draws need theirs on the host',
};

/** WGSL promises an absolute error of 6.77e-5 for asin and acos (its specification, 15.7.4.1), and drivers take it. */
export const INEXACT: Readonly<Record<string, { rtol: number; atol: number }>> = {
  asin: { rtol: 1e-3, atol: 1e-3 },
  acos: { rtol: 1e-3, atol: 1e-3 },
};

async function on<T>(backend: string, f: () => T): Promise<T> {
  await tf.setBackend(backend);
  return f();
}

/** Every value of a tree, read asynchronously. */
export const read = async (tree: unknown): Promise<number[]> =>
  (await Promise.all(leaves(tree).map((t) => t.data()))).flatMap((values) => Array.from(values));

/** What `make` and then `f` give on a backend; everything they made is freed. */
async function result<A>(backend: string, make: () => A, f: (given: A) => unknown): Promise<number[]> {
  return on(backend, async () => {
    const given = make();
    const found = f(given);
    try {
      return await read(found);
    } finally {
      for (const t of new Set([...leaves(given), ...leaves(found)])) t.dispose();
    }
  });
}

/** The same numbers on WebGPU as on the compiled backend, and no tensor left on either. */
export async function expectSame<A>(
  make: () => A,
  f: (given: A) => unknown,
  what: string,
  close: { rtol: number; atol: number } = CLOSE,
): Promise<void> {
  const expected = await result('nullcline', make, f);
  const before = tf.memory().numTensors;
  const actual = await result('webgpu', make, f);
  const left = tf.memory().numTensors - before;
  const scale = Math.max(1, ...expected.filter(Number.isFinite).map(Math.abs));
  expectClose(actual, expected, { rtol: close.rtol, atol: close.atol * scale }, what);
  if (left !== 0) throw new Error(`${what}: ${left} tensors left on WebGPU`);
}
