/**
 * Selects the tfjs backend for a test file (the cpu one by default), without tfjs's advertisement of its native backend.
 */
import * as tf from '@tensorflow/tfjs';
import { before, beforeEach } from 'mocha';
import { useBackend, type BackendName } from '../../src/backend/index.js';
import { registerNullcline } from '../../src/wasm/register.js';

tf.env().set('PROD', true);
registerNullcline();

/** The one this run is about. */
export const testBackend = process.env.NULLCLINE_TEST_BACKEND ?? 'cpu';

/** Backends that a package registers, by the name of `useBackend`. */
const PACKAGED: readonly string[] = ['wasm', 'webgpu', 'tensorflow', 'tensorflow-gpu'] satisfies BackendName[];

before(async function () {
  this.timeout(0);
  if (PACKAGED.includes(testBackend)) await useBackend(testBackend as BackendName);
  else await tf.setBackend(testBackend);
  await tf.ready();
});

/** Tests that a backend of tfjs cannot pass, by the end of their full title, and what it lacks. */
const BEYOND: Readonly<Record<string, { readonly why: string; readonly tests: RegExp } | undefined>> = {
  wasm: {
    why: 'tfjs has no complex numbers on wasm',
    tests:
      /(tf operations (complex\b.*|spectral\..*|signal\.frame): first order|checkpoints are written whole or not at all)$/,
  },
};

beforeEach(function () {
  if (BEYOND[testBackend]?.tests.test(this.currentTest?.fullTitle() ?? '') === true) this.skip();
});
