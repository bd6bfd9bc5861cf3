/**
 * The precision of a backend, and the tolerance that suits it.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { storesDoubles } from '../../src/core/floats.js';

/** Does this backend compute in doubles, by its own word or because Float32Array has been replaced? */
export const computesInDoubles = (backend: tf.KernelBackend): boolean =>
  storesDoubles(backend) || new Float32Array(1).BYTES_PER_ELEMENT === 8;

/** `eps^(4/5)`: SciML's default tolerance of equations. */
export const defaultTolerance = (doubles: boolean): number => (doubles ? 2 ** -52 : 2 ** -23) ** 0.8;
