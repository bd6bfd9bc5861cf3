/**
 * Layers beside plain `tf.layers`, forward and with the gradient of all parameters, on the best of tfjs's CPU backends
 * (cpu, and wasm where it has the kernels). Ours is compiled on the nullcline backend. Both sides return tensors.
 *
 *   npx tsx bench/layers.ts [words that the case's name must contain]
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import {
  apply,
  batchNorm,
  chain,
  compile,
  conv,
  dense,
  disposeTree,
  key,
  lstmCell,
  multiHeadAttention,
  recurrence,
  setup,
  testMode,
  valueAndGrad,
  type Layer,
  type StateTree,
  type Tensor,
  type Tree,
} from '../src/index.js';
import { leNet5 } from '../models/index.js';
import { registerNullcline } from '../src/wasm/register.js';
import { race, report, Table, type Contestant } from './support/measure.js';

tf.env().set('PROD', true);
registerNullcline();

/** A model of tfjs: its forward pass and what its gradients are taken of. */
interface Plain {
  readonly forward: (x: Tensor, training: boolean) => Tensor;
}

interface Case {
  readonly input: readonly number[];
  readonly layer: () => Layer<Tensor, Tensor, Tree, StateTree>;
  /** Made anew on each backend. */
  readonly plain: () => Plain;
  /** Few rounds for what takes long. */
  readonly rounds: number;
}

const model = (...layers: tf.layers.Layer[]): Plain => {
  const sequential = tf.sequential({ layers });
  return { forward: (x, training) => sequential.apply(x, { training }) as Tensor };
};

const layers = tf.layers;

const denseCase = (n: number): Case => ({
  input: [32, n],
  layer: () => dense(n, n, 'tanh'),
  plain: () => model(layers.dense({ units: n, activation: 'tanh', inputShape: [n] })),
  rounds: 11,
});

const convCase = (channels: number): Case => ({
  input: [1, 64, 64, channels],
  layer: () => conv([3, 3], channels, channels, 'relu', { pad: 'same' }),
  plain: () =>
    model(
      layers.conv2d({ filters: channels, kernelSize: 3, padding: 'same', activation: 'relu', inputShape: [64, 64, channels] }), // prettier-ignore
    ),
  rounds: channels < 32 ? 9 : 3,
});

/** Multi-head attention in tfjs's own operations, since tf.layers has no layer of it. */
function plainAttention(features: number, heads: number): Plain {
  const weights = Array.from({ length: 4 }, () => tf.variable(tf.randomNormal([features, features], 0, 0.1)));
  const [q, k, v, out] = weights;
  const each = features / heads;
  return {
    forward: (x) => {
      const [batch, time] = x.shape;
      const project = (w: Tensor): Tensor => tf.matMul(tf.reshape(x, [batch * time, features]), w);
      const split = (y: Tensor): Tensor => tf.transpose(tf.reshape(y, [batch, time, heads, each]), [0, 2, 1, 3]);
      const scores = tf.mul(tf.matMul(split(project(q)), split(project(k)), false, true), 1 / Math.sqrt(each));
      const mixed = tf.matMul(tf.softmax(scores), split(project(v)));
      const joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch * time, features]);
      return tf.reshape(tf.matMul(joined, out), [batch, time, features]);
    },
  };
}

const CASES: Readonly<Record<string, Case>> = {
  'dense 16': denseCase(16),
  'dense 128': denseCase(128),
  'dense 512': denseCase(512),
  'conv 3x3, 2 channels': convCase(2),
  'conv 3x3, 32 channels': convCase(32),
  'conv 3x3, 64 channels': convCase(64),
  'LeNet-5': {
    input: [8, 28, 28, 1],
    layer: () => leNet5(),
    plain: () =>
      model(
        layers.conv2d({ filters: 6, kernelSize: 5, padding: 'same', activation: 'relu', inputShape: [28, 28, 1] }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.conv2d({ filters: 16, kernelSize: 5, activation: 'relu' }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.flatten(),
        layers.dense({ units: 120, activation: 'relu' }),
        layers.dense({ units: 84, activation: 'relu' }),
        layers.dense({ units: 10 }),
      ),
    rounds: 7,
  },
  'batch-norm MLP': {
    input: [32, 64],
    layer: () => chain(dense(64, 64), batchNorm(64, 'relu'), dense(64, 10), batchNorm(10)),
    plain: () =>
      model(
        layers.dense({ units: 64, inputShape: [64] }),
        layers.batchNormalization(),
        layers.activation({ activation: 'relu' }),
        layers.dense({ units: 10 }),
        layers.batchNormalization(),
      ),
    rounds: 11,
  },
  'LSTM, 50 steps': {
    input: [8, 50, 16],
    layer: () => recurrence(lstmCell(16, 32)),
    plain: () => model(layers.lstm({ units: 32, recurrentActivation: 'sigmoid', inputShape: [50, 16] })),
    rounds: 5,
  },
  'attention 64 x 8': {
    input: [4, 32, 64],
    layer: () => chain(multiHeadAttention(64, { nheads: 8 }), ([y]: [Tensor, Tensor]) => y),
    plain: () => plainAttention(64, 8),
    rounds: 7,
  },
};

const draw = (shape: readonly number[]): Tensor => tf.randomNormal([...shape], 0, 1, 'float32', 7);

async function ours(c: Case): Promise<Record<'forward' | 'gradient', Contestant>> {
  await tf.setBackend('nullcline');
  const layer = c.layer();
  const [ps, st] = setup(key(0), layer);
  const x = draw(c.input);
  const output = (p: Tree, input: Tensor, states: StateTree): Tensor =>
    apply<Tensor, Tensor, Tree, StateTree>(layer, input, p, states)[0];
  const tested = testMode(st);
  const forward = compile((p: Tree, input: Tensor) => output(p, input, tested));
  const loss = compile(valueAndGrad((p: Tree, input: Tensor) => tf.mean(tf.square(output(p, input, st)))));
  const enter = (): Promise<boolean> => tf.setBackend('nullcline');
  return {
    forward: {
      name: 'nullcline',
      enter,
      run: () => {
        forward(ps, x).dispose();
      },
    },
    gradient: {
      name: 'nullcline',
      enter,
      run: () => {
        disposeTree(loss(ps, x));
      },
    },
  };
}

async function theirs(c: Case, backend: string): Promise<Record<'forward' | 'gradient', Contestant>> {
  await tf.setBackend(backend);
  const plain = c.plain();
  const x = draw(c.input);
  const enter = (): Promise<boolean> => tf.setBackend(backend);
  return {
    forward: {
      name: backend,
      enter,
      run: () => {
        tf.tidy(() => {
          plain.forward(x, false);
        });
      },
    },
    gradient: {
      name: backend,
      enter,
      run: () => {
        const { value, grads } = tf.variableGrads(() => tf.mean(tf.square(plain.forward(x, true))));
        tf.dispose([value, grads]);
      },
    },
  };
}

/** What takes longer is not run again and again: its first call says enough. */
const SLOW = 300_000;

/** Microseconds of one call, NaN where the backend cannot do it: wasm lacks kernels that some gradients need. */
async function once({ enter, run }: Contestant): Promise<number> {
  await enter?.();
  const timed = (): number => {
    const start = performance.now();
    run();
    return (performance.now() - start) * 1000;
  };
  try {
    const first = timed();
    return first < SLOW ? timed() : first;
  } catch {
    return NaN;
  }
}

/** Microseconds per call of each, NaN for what cannot be done. */
async function compare(contestants: readonly Contestant[], rounds: number): Promise<number[]> {
  const times: number[] = [];
  for (const contestant of contestants) times.push(await once(contestant));
  const quick = contestants.filter((_, i) => times[i] < SLOW);
  const raced = await race(quick, { rounds, warmMs: 100, roundMs: 10 });
  return times.map((t, i) => (t < SLOW ? raced[quick.indexOf(contestants[i])] : t));
}

const wanted = process.argv.slice(2).join(' ');
const table = new Table(
  'compiled layers beside tf.layers: microseconds, and how many times faster than its best backend',
  ['layer', 'pass', 'nullcline', 'tfjs cpu', 'tfjs wasm', 'ratio'],
);
for (const [name, c] of Object.entries(CASES)) {
  if (!name.includes(wanted)) continue;
  const us = await ours(c);
  const cpu = await theirs(c, 'cpu');
  const wasm = await theirs(c, 'wasm');
  for (const pass of ['forward', 'gradient'] as const) {
    const [own, onCpu, onWasm] = await compare([us[pass], cpu[pass], wasm[pass]], c.rounds);
    const ratio = Math.min(...[onCpu, onWasm].filter((t) => !Number.isNaN(t))) / own;
    table.row(name, pass, own, onCpu, onWasm, ratio);
    report(`layers: ${name}, ${pass}`, {
      nullclineUs: own,
      cpuUs: onCpu,
      ...(Number.isNaN(onWasm) ? {} : { wasmUs: onWasm }),
      ratio,
    });
  }
}
