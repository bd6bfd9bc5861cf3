/** A process of its own: large products on two threads beside one, and then nothing that would end it. */
import * as tf from '@tensorflow/tfjs';
import { compile } from '../../../src/index.js';
import type { NullclineBackend } from '../../../src/wasm/backend.js';
import { registerNullcline } from '../../../src/wasm/register.js';

tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('nullcline');
const [a, b] = [1, 2].map((seed) => tf.randomUniform([300, 300], -1, 1, 'float32', seed));
const product = compile((x: tf.Tensor, y: tf.Tensor) => tf.matMul(x, y));
const expected = product(a, b).dataSync();
(tf.backend() as NullclineBackend).useThreads(2);
let isSame = true;
for (let i = 0; i < 50; i++)
  isSame &&= product(a, b)
    .dataSync()
    .every((x, k) => x === expected[k]);
console.log(isSame ? 'same' : 'different');
