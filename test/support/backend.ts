/** Selects the tfjs cpu backend for a test file, without tfjs's advertisement of its native backend. */
import * as tf from '@tensorflow/tfjs';
import { before } from 'mocha';

tf.env().set('PROD', true);

before(async () => {
  await tf.setBackend(process.env.NULLCLINE_TEST_BACKEND ?? 'cpu');
  await tf.ready();
});
