/** Selects the tfjs backend for a test file (the cpu one by default), without tfjs's advertisement of its native backend. */
import * as tf from '@tensorflow/tfjs';
import { before } from 'mocha';
import { registerNullcline } from '../../src/wasm/register.js';

tf.env().set('PROD', true);
registerNullcline();

before(async () => {
  await tf.setBackend(process.env.NULLCLINE_TEST_BACKEND ?? 'cpu');
  await tf.ready();
});
