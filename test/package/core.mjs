// Where nothing but the package and what npm installs with it is there: tfjs-core, and its cpu backend.
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { backendReport, grad, useBackend } from 'nullcline';
import { odeProblem, solve, tsit5 } from 'nullcline/solvers';

const { cache } = createRequire(import.meta.url);
const files = Object.keys(cache).filter((file) => /[\\/]node_modules[\\/]nullcline[\\/]/.test(file));
// Hundreds, if they were not bundled: finding and compiling each takes time.
if (files.length === 0 || files.length > 8) throw new Error(`loaded ${files.length} files of nullcline`);

const near = (found, expected, what) => {
  if (!(Math.abs(found - expected) < 1e-5)) throw new Error(`${what} is ${found}, not ${expected}`);
};
const silu = (x) => tf.sum(tf.mul(x, tf.sigmoid(x)));
const flow = (a) => tf.sum(solve(odeProblem((u, p) => tf.mul(u, p), tf.ones([1]), [0, 1], a), tsit5(), { reltol: 1e-6, abstol: 1e-6 }).u); // prettier-ignore
for (const backend of ['cpu', 'nullcline']) {
  await useBackend(backend);
  near(grad(grad(silu))(tf.scalar(0.7)).dataSync()[0], 0.391221, `silu''(0.7) on ${backend}`);
  near(grad(flow)(tf.scalar(0.3)).dataSync()[0], Math.exp(0.3), `the derivative of a solve on ${backend}`);
}

// Threads start from the text of a function, which the bundle must leave as it is.
const a = tf.randomUniform([300, 300], -1, 1, 'float32', 1);
const product = async (threads) => {
  await useBackend('nullcline', { threads });
  return Array.from(tf.matMul(a, a).dataSync());
};
const [one, two] = [await product(1), await product(2)];
if (one.some((x, i) => x !== two[i])) throw new Error('two threads compute something else than one');

const { backends } = await backendReport();
for (const name of ['wasm', 'webgl', 'webgpu', 'tensorflow', 'tensorflow-gpu']) {
  const { installed, reason } = backends.find((backend) => backend.name === name);
  if (!installed && !/needs the package/.test(reason)) throw new Error(`backend "${name}": ${reason}`);
}
process.exit(0); // the threads
