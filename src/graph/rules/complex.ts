/**
 * Complex tensors. The cotangent of z = x + iy is g = dL/dx + i dL/dy, so that a real function of z changes by
 * Re(conj(g) dz); a linear map is pulled back by its conjugate transpose.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { RuleTable } from './rule.js';
import { isComplex, kernel, times, where, type Tensor } from './tools.js';

const withZero = (part: Tensor): Tensor => tf.complex(part, tf.zeros(part.shape));
const lastAxis = (x: Tensor): number => x.shape[x.rank - 1];

export const COMPLEX: RuleTable = {
  Complex: ({ dys: [g] }) => ({ real: () => tf.real(g), imag: () => tf.imag(g) }),
  Real: ({ dys: [g] }) => ({ input: () => withZero(g) }),
  Imag: ({ dys: [g] }) => ({ input: () => tf.complex(tf.zeros(g.shape), g) }),
  // z / |z|, and 0 at 0.
  ComplexAbs: ({ inputs: { x }, outputs: [y], dys: [g] }) => ({
    x: () => {
      const inside = tf.greater(y, 0);
      const scaled = where(inside, tf.div(g, tf.where(inside, y, tf.onesLike(y))));
      return tf.complex(tf.mul(scaled, tf.real(x)), tf.mul(scaled, tf.imag(x)));
    },
  }),
  // The discrete Fourier matrix F has conj(F)^T = n F^-1.
  FFT: ({ inputs: { input }, dys: [g] }) => ({
    input: () => times(kernel('IFFT', { input: g }), lastAxis(input)),
  }),
  IFFT: ({ inputs: { input }, dys: [g] }) => ({
    input: () => times(kernel('FFT', { input: g }), 1 / lastAxis(input)),
  }),
  Cast: ({ inputs: { x }, dys: [g] }) => ({
    x: () => {
      if (isComplex(x) === isComplex(g)) return g;
      return isComplex(x) ? withZero(g) : tf.real(g);
    },
  }),
};
