/**
 * The deep equilibrium model `z = tanh(z W + x)` with W = 0.9 times an orthogonal matrix, solved by Anderson
 * acceleration (memory 5) to 1e-4 relative: forward, and with the implicit gradient for W and x. Beside it the same
 * algorithm in plain tfjs operations, and published figures of torchdeq, of hand-written jax and of C for 128-bit vectors, scaled by the hand-written limit
 * measured in the same races.
 *
 *   npx tsx bench/deq.ts [directory of limit32.wasm]
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { Mixing } from '../solvers/nonlinear/mixing.js';
import { anderson, fixedPointProblem, readNonlinearStatistics, solve } from '../solvers/index.js';
import { compile, grad, key, orthogonal, type Tensor } from '../src/index.js';
import { registerNullcline } from '../src/wasm/register.js';
import { fastest, Limit } from './support/limit.js';
import { race, report, Table, type Contestant } from './support/measure.js';

tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('cpu');

const MEMORY = 5;
const RELATIVE = 1e-4;

interface Published {
  readonly forward: number;
  readonly gradient: number;
}

/** Microseconds on a host where the limit took `limit`; one thread, float32. */
interface Case {
  readonly d: number;
  readonly batch: number;
  /** The kernel of the limit that resembles this case, and what it took there. */
  readonly limit: { readonly batch: number; readonly time: number };
  readonly torchdeq?: Published;
  readonly jax?: Published;
  readonly c?: Published;
}

const ONE = { batch: 1, time: 2.6 };
const MANY = { batch: 512, time: 1041 };
const CASES: readonly Case[] = [
  {
    d: 32,
    batch: 1,
    limit: ONE,
    torchdeq: { forward: 2370, gradient: 6810 },
    jax: { forward: 53, gradient: 91 },
    c: { forward: 3.8, gradient: 6.7 },
  },
  { d: 128, batch: 1, limit: ONE },
  {
    d: 128,
    batch: 64,
    limit: MANY,
    torchdeq: { forward: 9820, gradient: 34_900 },
    jax: { forward: 933, gradient: 1893 },
    c: { forward: 1460, gradient: 2650 },
  },
  {
    d: 512,
    batch: 64,
    limit: MANY,
    torchdeq: { forward: 27_700, gradient: 92_800 },
    jax: { forward: 5030, gradient: 9640 },
    c: { forward: 15_900, gradient: 33_000 },
  },
];

interface Data {
  readonly w: tf.Tensor2D;
  readonly x: tf.Tensor2D;
}

const f = (z: Tensor, { w, x }: { w: Tensor; x: Tensor }): Tensor => tf.tanh(tf.add(tf.matMul(z, w), x));

function dataOf({ d, batch }: Case): Data {
  return tf.tidy(() => ({
    w: tf.mul<tf.Tensor2D>(orthogonal()(key(d), [d, d]), 0.9),
    x: tf.randomNormal<tf.Rank.R2>([batch, d], 0, 1, 'float32', 7),
  }));
}

/** Difference-form Anderson, operation by operation; its small system by the same host code as ours. */
function plainAnderson(map: (z: Tensor) => Tensor, start: Tensor): Tensor {
  const mixing = new Mixing(MEMORY, 1e-7);
  const { gram, projections, gamma } = mixing;
  return tf.tidy(() => {
    const n = start.size;
    const [dF, dG]: Tensor[][] = [[], []];
    let z = start;
    let [before, imageBefore]: Tensor[] = [];
    let newest = -1;
    for (let k = 0; k < 100; k++) {
      const y = map(z);
      const r = tf.sub(y, z);
      const [rr, yy] = tf.stack([tf.sum(tf.square(r)), tf.sum(tf.square(y))]).dataSync();
      if (Math.sqrt(rr) <= RELATIVE * Math.sqrt(yy)) return z;
      if (k > 0) {
        newest = (newest + 1) % MEMORY;
        dF[newest] = tf.reshape(tf.sub(r, before), [n]);
        dG[newest] = tf.reshape(tf.sub(y, imageBefore), [n]);
        const all = tf.stack(dF);
        const products = tf.matMul(all, tf.stack([dF[newest], tf.reshape(r, [n])]), false, true).dataSync();
        for (let j = 0; j < dF.length; j++) {
          gram[newest * MEMORY + j] = gram[j * MEMORY + newest] = products[2 * j];
          projections[j] = products[2 * j + 1];
        }
      }
      mixing.solve(dF.length, newest);
      [before, imageBefore] = [r, y];
      z = y;
      if (dG.length > 0) {
        const weights = tf.tensor2d(gamma.subarray(0, dG.length) as unknown as Float32Array, [1, dG.length]);
        z = tf.sub(y, tf.reshape(tf.matMul(weights, tf.stack(dG) as tf.Tensor2D), y.shape));
      }
    }
    throw new Error('plain Anderson did not converge');
  });
}

function plain(backend: string, data: Data, withGradient: boolean): Contestant {
  const { w, x } = data;
  return {
    name: backend,
    enter: () => tf.setBackend(backend),
    run: () => {
      tf.tidy(() => {
        const z = plainAnderson((at) => f(at, data), tf.zerosLike(x)) as tf.Tensor2D;
        if (!withGradient) return;
        const slope = tf.sub(1, tf.square(tf.tanh(tf.add(tf.matMul(z, w), x))));
        const dz = tf.onesLike(z);
        const back = (v: Tensor): Tensor => tf.add(dz, tf.matMul(tf.mul(v, slope), w, false, true));
        const dx = tf.mul<tf.Tensor2D>(plainAnderson(back, dz), slope);
        tf.matMul(z, dx, true);
      });
    },
  };
}

const problem = (given: Data) => fixedPointProblem(f, tf.zerosLike(given.x), given);
const options = { abstol: 1e-12, reltol: RELATIVE, norm: 'l2' } as const;

const table = new Table(
  `deep equilibrium models, float32, µs`,
  ['case', 'iterations', 'ours', 'limit', 'torchdeq', 'jax', 'C 128', 'cpu', 'wasm', 'torchdeq/ours', 'jax/ours', 'ours/C', 'tfjs/ours'], // prettier-ignore
  26,
);
const limits = Limit.load(32);
for (const given of CASES) {
  await tf.setBackend('nullcline');
  const ours = dataOf(given);
  const forward = compile((data: Data) => {
    const { u, statistics } = solve(problem(data), anderson({ memory: MEMORY }), options);
    return { u, statistics };
  });
  const gradient = compile(grad((data: Data) => tf.sum(solve(problem(data), anderson({ memory: MEMORY }), options).u)));
  const first = forward(ours);
  const [{ iterations }] = readNonlinearStatistics(first.statistics);
  tf.dispose(first);
  const own = (withGradient: boolean): Contestant => ({
    name: 'ours',
    enter: () => tf.setBackend('nullcline'),
    run: () => {
      tf.dispose((withGradient ? gradient(ours) : forward(ours)) as unknown as tf.TensorContainer);
    },
  });
  // Against each other: the garbage of others would fall to one of them more than to the other.
  const [alone, withBackward] = await race([own(false), own(true)], { rounds: 45, warmMs: 200 });
  for (const withGradient of [false, true]) {
    const contestants: Contestant[] = [
      own(withGradient),
      ...(limits?.contestants('64-256-64 forward', given.limit.batch) ?? []),
    ];
    const copies: Data[] = [];
    for (const backend of given.d * given.batch < 10_000 ? ['cpu', 'wasm'] : []) {
      await tf.setBackend(backend);
      const copy = dataOf(given);
      copies.push(copy);
      contestants.push(plain(backend, copy, withGradient));
    }
    const measured = await race(contestants, { rounds: 15 });
    tf.dispose(copies as unknown as tf.TensorContainer);
    const at = (name: string): number => fastest(name, contestants, measured);
    const scale = at('limit') / given.limit.time;
    const published = (of: Published | undefined): number =>
      of === undefined ? NaN : scale * (withGradient ? of.gradient : of.forward);
    const [torchdeq, jax, c] = [given.torchdeq, given.jax, given.c].map(published);
    const us = at('ours');
    const tfjs = Math.min(...[at('cpu'), at('wasm')].filter((t) => !Number.isNaN(t)));
    const name = `d ${given.d}, batch ${given.batch}${withGradient ? ', gradient' : ''}`;
    table.row(name, iterations, us, at('limit'), torchdeq, jax, c, at('cpu'), at('wasm'), torchdeq / us, jax / us, us / c, tfjs / us); // prettier-ignore
    report('deq', {
      d: given.d,
      batch: given.batch,
      gradient: withGradient,
      iterations,
      ours_us: us,
      limit_scale: scale,
      torchdeq_ratio: torchdeq / us,
      jax_ratio: jax / us,
      c_ratio: us / c,
      tfjs_ratio: tfjs / us,
    });
  }
  const backward = (withBackward - alone) / alone;
  console.log(`  the implicit backward pass takes ${backward.toFixed(2)} of the forward solve`);
  report('deq-backward', { d: given.d, batch: given.batch, forward_us: alone, gradient_us: withBackward, backward_over_forward: backward }); // prettier-ignore
}
