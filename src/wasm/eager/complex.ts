/**
 * Complex tensors: two real ones under one name, apart and together, and their Fourier transforms.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { NullclineBackend } from '../backend.js';
import { sameShape, sizeOf, type EagerKernel } from './eager.js';
import { fourier } from './fourier.js';

/** The numbers of a real tensor in a buffer that goes its own way: neither is ever written to. */
const again = (backend: NullclineBackend, { dataId }: tf.TensorInfo, shape: number[]): tf.TensorInfo =>
  backend.part({ dataId, shape, dtype: 'float32' }, 0, shape);

const complex: EagerKernel = ({ backend, inputs: { real, imag } }) => {
  if (real?.dtype !== 'float32' || imag?.dtype !== 'float32' || !sameShape(real.shape, imag.shape)) return undefined;
  for (const { dataId, dtype } of [real, imag]) backend.pointerOf(dataId, dtype);
  return backend.paired(again(backend, real, real.shape), again(backend, imag, imag.shape));
};

const partOf =
  (name: 'real' | 'imag'): EagerKernel =>
  ({ backend, inputs: { input } }) => {
    const parts = input === undefined ? undefined : backend.partsOf(input.dataId);
    return parts === undefined || input === undefined ? undefined : again(backend, parts[name], input.shape);
  };

/** Along the last axis. */
const transform =
  (isInverse: boolean): EagerKernel =>
  ({ backend, inputs: { input } }) => {
    const parts = input === undefined ? undefined : backend.partsOf(input.dataId);
    if (parts === undefined || input === undefined || input.shape.length === 0) return undefined;
    const { shape } = input;
    const size = sizeOf(shape);
    if (size === 0) return undefined;
    const n = shape[shape.length - 1];
    const scale = isInverse ? 1 / n : 1;
    // The inverse is the transform with both parts exchanged, before and after.
    const [first, second] = isInverse ? [parts.imag, parts.real] : [parts.real, parts.imag];
    const from = [backend.pointerOf(first.dataId, 'float32'), backend.pointerOf(second.dataId, 'float32')];
    // One block for both parts: each is a half of it.
    const both = backend.adopt(backend.allocateFor(2 * size, 'float32'), [2, ...shape], 'float32');
    const to = [backend.part(both, 0, shape), backend.part(both, size, shape)];
    backend.disposeData(both.dataId);
    const places = to.map(({ dataId }) => backend.pointerOf(dataId));
    const values = backend.elements('float32');
    const bytes = values.BYTES_PER_ELEMENT;
    const [re, im] = [new Float64Array(n), new Float64Array(n)];
    const run = fourier(n);
    for (let row = 0; row < size; row += n) {
      [re, im].forEach((part, k) => {
        const start = from[k] / bytes + row;
        for (let i = 0; i < n; i++) part[i] = values[start + i];
      });
      run(re, im);
      [re, im].forEach((part, k) => {
        const start = places[k] / bytes + row;
        for (let i = 0; i < n; i++) values[start + i] = part[i] * scale;
      });
    }
    return isInverse ? backend.paired(to[1], to[0]) : backend.paired(to[0], to[1]);
  };

export const COMPLEX: Readonly<Record<string, EagerKernel>> = {
  Complex: complex,
  Real: partOf('real'),
  Imag: partOf('imag'),
  FFT: transform(false),
  IFFT: transform(true),
};
