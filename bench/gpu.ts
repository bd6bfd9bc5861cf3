/**
 * A training step on a graphics card beside the compiled backend, in one run: the spiral demo's network through fixed
 * steps and through steps that adapt, a neural ODE of MNIST's shape, and deep equilibrium layers of 512 and 2048 units at batch 512,
 * with a fixed number of iterations and by Anderson's method with the implicit gradient.
 *
 *   npm run bench:gpu                        WebGPU beside nullcline
 *   npm run bench:gpu -- tensorflow-gpu      another backend (any name of useBackend)
 *   npm run bench:gpu -- webgpu --only       without nullcline, which is slow on the large ones
 *
 * Prints a table and one JSON line per row. A device is read once per block of steps, so that what is timed is its work and
 * not the waiting; the blocks are long enough to hide the reading. Rows marked "waits" read a few numbers in every step or
 * iteration, on a device as promises. Compare with torchdiffeq and torchdeq on the same card:
 * the shapes, the numbers of steps and of iterations are in the JSON.
 */
import * as tf from '@tensorflow/tfjs';
import {
  adam,
  backendReport,
  chain,
  compact,
  compile,
  dense,
  key,
  leaves,
  normal,
  parallel,
  setup,
  useBackend,
  valueAndGrad,
  type AnyLayer,
  type BackendName,
  type StateTree,
  type Tensor,
  type Tree,
} from 'nullcline';
import { deepEquilibriumNetwork, neuralODE } from 'nullcline/models';
import { anderson, dopri5, implicitAdjoint, rk4 } from 'nullcline/solvers';

/** z <- tanh(W z + U x + b), so many times from zero: the unrolled form of an equilibrium layer. */
const equilibrium = (units: number, iterations: number): AnyLayer =>
  compact(
    {
      name: 'FixedPoint',
      layers: { inner: dense(units, units, 'identity', { initWeight: (k, shape) => tf.mul(normal(k, shape), 0.3 / Math.sqrt(units)) }), outer: dense(units, units) },
    },
    (x: Tensor, { layer }) => {
      const drive = layer.outer(x);
      let z: Tensor = tf.zerosLike(x);
      for (let i = 0; i < iterations; i++) z = tf.tanh(tf.add(layer.inner(z), drive));
      return z;
    },
  ); // prettier-ignore

/** The same layer, its equilibrium found and differentiated as it should be. */
const solved = (units: number): AnyLayer =>
  deepEquilibriumNetwork(
    parallel(
      (z: Tensor, x: Tensor) => tf.tanh(tf.add(z, x)),
      dense(units, units, 'identity', { initWeight: (k, shape) => tf.mul(normal(k, shape), 0.3 / Math.sqrt(units)) }),
      dense(units, units),
    ),
    { algorithm: anderson(), abstol: 1e-4, reltol: 1e-4, adjoint: implicitAdjoint({ reltol: 1e-4 }) },
  );

interface Case {
  readonly name: string;
  /** Does a step need numbers on its way? */
  readonly waits?: true;
  readonly model: AnyLayer;
  readonly shape: readonly [batch: number, features: number];
  readonly detail: Readonly<Record<string, number>>;
}

const ode = (features: number, hidden: number, steps: number): AnyLayer =>
  neuralODE(chain(dense(features, hidden, 'tanh'), dense(hidden, features)), {
    tspan: [0, 1],
    algorithm: rk4(),
    dt: 1 / steps,
  });

const adaptive = (features: number, hidden: number): AnyLayer =>
  neuralODE(chain(dense(features, hidden, 'tanh'), dense(hidden, features)), {
    tspan: [0, 1],
    algorithm: dopri5(),
    reltol: 1e-3,
    abstol: 1e-6,
  });

const CASES: readonly Case[] = [
  { name: 'spiral, 2-50-2', model: ode(2, 50, 10), shape: [20, 2], detail: { rk4Steps: 10, hidden: 50 } },
  { name: 'spiral, 2-50-2, dopri5, waits', waits: true, model: adaptive(2, 50), shape: [20, 2], detail: { reltol: 1e-3, abstol: 1e-6, hidden: 50 } }, // prettier-ignore
  { name: 'MNIST-shaped, 784-512-784', model: ode(784, 512, 10), shape: [512, 784], detail: { rk4Steps: 10, hidden: 512 } }, // prettier-ignore
  { name: 'equilibrium, 512', model: equilibrium(512, 20), shape: [512, 512], detail: { iterations: 20 } },
  { name: 'equilibrium, 2048', model: equilibrium(2048, 20), shape: [512, 2048], detail: { iterations: 20 } },
  {
    name: 'equilibrium, 512, waits',
    waits: true,
    model: solved(512),
    shape: [512, 512],
    detail: { reltol: 1e-4, memory: 5 },
  },
  { name: 'equilibrium, 2048, waits', waits: true, model: solved(2048), shape: [512, 2048], detail: { reltol: 1e-4, memory: 5 } }, // prettier-ignore
];

const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[xs.length >> 1];

/** Milliseconds of a training step on the active backend. */
async function measure({ model, shape, waits }: Case): Promise<number> {
  const [ps, st] = setup(key(0), model) as [Tree, StateTree];
  const optimiser = adam(1e-3);
  const x = normal(key(1), shape);
  const loss = (p: Tree, s: StateTree, input: Tensor): Tensor =>
    tf.mean(tf.square((model.apply(input, p, s) as [Tensor, unknown])[0]));
  const step = compile((p: Tree, os: Tree, s: StateTree, input: Tensor): [Tensor, Tree, Tree] => {
    const { value, grad } = valueAndGrad(loss)(p, s, input);
    const [next, nextState] = optimiser.update(grad as never, os, p as never);
    return [value, next, nextState];
  });
  let now: [Tree, Tree] = [ps, optimiser.init(ps)];
  const block = async (count: number): Promise<number> => {
    const start = performance.now();
    let value: Tensor | undefined;
    for (let i = 0; i < count; i++) {
      const before = now;
      value?.dispose();
      const [made, ...next] = waits ? await step.async(...before, st, x) : step(...before, st, x);
      now = next;
      value = made;
      tf.dispose(leaves(before));
      // The event loop frees what a driver holds for each dispatch.
      if (i % 20 === 19) await new Promise((resolve) => setImmediate(resolve));
    }
    await value?.data();
    value?.dispose();
    return (performance.now() - start) / count;
  };
  const first = await block(2).then(() => block(1));
  const count = Math.min(200, Math.max(2, Math.ceil(500 / first)));
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await block(count));
  tf.dispose([...leaves(now), ...leaves(st), x]);
  return median(times);
}

const [wanted = 'webgpu', flag] = process.argv.slice(2);
const { backends } = await backendReport();
const device = backends.find(({ name }) => name === wanted);
if (device?.usable !== true) {
  console.error(`bench:gpu: ${device?.reason ?? `no backend "${wanted}"`}`);
  process.exit(1);
}
console.log(`${wanted}: ${device.device}\n`);
const names: readonly BackendName[] = flag === '--only' ? [device.name] : ['nullcline', device.name];
console.log(['', ...names].map((text, i) => (i === 0 ? text.padEnd(32) : `${text}, ms`.padStart(16))).join(''));
for (const row of CASES) {
  const times: number[] = [];
  for (const name of names) {
    await useBackend(name);
    times.push(await measure(row));
  }
  console.log(row.name.padEnd(32) + times.map((ms) => ms.toPrecision(3).padStart(16)).join(''));
  const { name, shape, detail } = row;
  console.log(JSON.stringify({ name, batch: shape[0], features: shape[1], ...detail, device: device.device, ms: Object.fromEntries(names.map((n, i) => [n, times[i]])) })); // prettier-ignore
}
process.exit(0);
