/**
 * Two tanh networks, 2-50-2 on the cube of its input and 64-256-64, forward and with gradients: nullcline on addresses (as
 * solvers call it) and through ordinary tensors, beside the hand-written limit, plain tfjs and `@jax-js/jax`.
 *
 *   npx tsx bench/mlp.ts [directory of limit32.wasm and limit64.wasm]
 */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import type { Graph, Spec } from '../src/graph/graph.js';
import { simplify } from '../src/graph/simplify.js';
import { traceGraph } from '../src/graph/trace.js';
import { compile } from '../src/index.js';
import { registerNullcline } from '../src/wasm/register.js';
import { loadJax } from './support/jax.js';
import { fastest, Limit } from './support/limit.js';
import { race, report, Table, type Contestant } from './support/measure.js';
import { rawCall } from './support/raw.js';

tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('cpu');
const jax = await loadJax();

const BATCHES = [1, 20, 512];

interface Network {
  readonly name: string;
  readonly inputs: number;
  readonly hidden: number;
  /** The first network takes the cube of its input. */
  readonly cubed: boolean;
  /** How many of (input, weight, bias, weight, bias) are differentiated, from the first on: as the limit does. */
  readonly gradients: number;
}

const NETWORKS: readonly Network[] = [
  { name: '2-50-2', inputs: 2, hidden: 50, cubed: true, gradients: 5 },
  { name: '64-256-64', inputs: 64, hidden: 256, cubed: false, gradients: 1 },
];

type Parameters = readonly [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];

const value = ({ cubed }: Network, [x, w1, b1, w2, b2]: Parameters): tf.Tensor =>
  tf.add(tf.matMul(tf.tanh(tf.add(tf.matMul(cubed ? tf.pow(x, 3) : x, w1), b1)), w2), b2);

/** The value, and the cotangents of the differentiated operands for that of the value. */
function gradients(net: Network, given: Parameters, dy: tf.Tensor): tf.Tensor[] {
  const fixed = given.slice(net.gradients);
  const f = (...xs: tf.Tensor[]): tf.Tensor => value(net, [...xs, ...fixed] as unknown as Parameters);
  return [value(net, given), ...tf.grads(f)(given.slice(0, net.gradients), dy)];
}

const shapes = ({ inputs, hidden }: Network, batch: number): number[][] => [[batch, inputs], [inputs, hidden], [hidden], [hidden, inputs], [inputs]]; // prettier-ignore

function graphOf(net: Network, batch: number, withGradients: boolean): Graph {
  const specs = shapes(net, batch).map((shape): Spec => ({ shape, dtype: 'float32' }));
  const all: Spec[] = withGradients ? [...specs, specs[0]] : specs;
  return simplify(
    traceGraph(all, (xs) => {
      const given = xs.slice(0, 5) as unknown as Parameters;
      return withGradients ? gradients(net, given, xs[5]) : [value(net, given)];
    }),
  );
}

const draw = (shape: number[], seed: number): tf.Tensor => tf.randomUniform(shape, -0.25, 0.25, 'float32', seed);

/** The same through ordinary tensors on a backend: compiled on ours, op by op on tfjs's. */
async function withTensors(
  backend: string,
  net: Network,
  batch: number,
  withGradients: boolean,
): Promise<Contestant & { dispose(): void }> {
  // prettier-ignore
  await tf.setBackend(backend);
  const all = shapes(net, batch).map(draw);
  const dy = draw(all[0].shape, 9);
  const parameters = all as unknown as Parameters;
  const forward = (...xs: tf.Tensor[]): tf.Tensor[] => [value(net, xs as unknown as Parameters)];
  const both = (...xs: tf.Tensor[]): tf.Tensor[] => gradients(net, xs.slice(0, 5) as unknown as Parameters, xs[5]);
  const f = withGradients ? both : forward;
  const own = backend.startsWith('nullcline') ? compile(f) : f;
  const given = withGradients ? [...parameters, dy] : [...parameters];
  return {
    name: backend,
    enter: () => tf.setBackend(backend),
    run: backend.startsWith('nullcline')
      ? () => {
          for (const y of own(...given)) y.dispose();
        }
      : () => {
          tf.tidy(() => {
            own(...given);
          });
        },
    dispose: () => {
      tf.dispose([...given, dy]);
    },
  };
}

/** The same under the `jit` of jax-js, its results read back, for it returns before they are computed. */
function withJax(net: Network, batch: number, withGradients: boolean, bits: 32 | 64): Contestant | undefined {
  if (jax === undefined) return undefined;
  const { numpy: np, jit, vjp } = jax;
  type A = ReturnType<typeof np.zeros>;
  const dtype = bits === 64 ? np.float64 : np.float32;
  const arrays = shapes(net, batch).map((shape) => {
    const n = shape.reduce((a, d) => a * d, 1);
    const values = Array.from({ length: n }, () => (Math.random() - 0.5) / 2);
    return np.array(values, { dtype }).reshape(shape);
  });
  const dy = np.zeros([batch, net.inputs], { dtype }).add(0.1);
  const f = (x: A, w1: A, b1: A, w2: A, b2: A): A => {
    const z = net.cubed ? x.ref.mul(x.ref).mul(x) : x;
    return np.matmul(np.tanh(np.matmul(z, w1).add(b1)), w2).add(b2);
  };
  const given = (): A[] => arrays.map((a) => a.ref);
  if (!withGradients) {
    const forward = jit((...xs: A[]): A => f(...(xs as [A, A, A, A, A])));
    return { name: 'jax-js', run: () => { forward(...given()).dataSync(); } }; // prettier-ignore
  }
  const both = jit((...xs: A[]): A[] => {
    const [differentiated, fixed, cotangent] = [xs.slice(0, net.gradients), xs.slice(net.gradients, 5), xs[5]];
    const part = (...some: A[]): A => f(...([...some, ...fixed.map((a) => a.ref)] as [A, A, A, A, A]));
    const [y, pullback] = vjp(part, differentiated);
    const cotangents = pullback(cotangent);
    for (const a of fixed) a.dispose();
    return [y, ...cotangents];
  });
  return {
    name: 'jax-js',
    run: () => {
      for (const a of both(...given(), dy.ref)) a.dataSync();
    },
  };
}

for (const bits of [32, 64] as const) {
  const table = new Table(
    `networks, float${bits}, µs`,
    ['network', 'batch', 'raw', 'limit', 'raw/limit', 'tensors', 'more', 'cpu', 'wasm', 'jax-js', 'wasm/ours', 'jax/ours'], // prettier-ignore
    26,
  );
  const backend = bits === 32 ? 'nullcline' : 'nullcline64';
  const limits = Limit.load(bits);
  for (const net of NETWORKS) {
    for (const withGradients of [false, true]) {
      for (const batch of BATCHES) {
        const raw = rawCall(graphOf(net, batch, withGradients), backend);
        const tensors = [await withTensors(backend, net, batch, withGradients)];
        // tfjs knows no doubles.
        if (bits === 32) for (const peer of ['cpu', 'wasm']) tensors.push(await withTensors(peer, net, batch, withGradients)); // prettier-ignore
        const peer = withJax(net, batch, withGradients, bits);
        const kernel = `${net.name} ${withGradients ? 'gradients' : 'forward'}`;
        const all: Contestant[] = [
          { name: 'raw', run: raw.run },
          ...(limits?.contestants(kernel, batch) ?? []),
          ...tensors,
          ...(peer === undefined ? [] : [peer]),
        ];
        const slow = net.hidden * net.inputs * batch > 1e6;
        const times = await race(all, slow ? { rounds: 7, warmMs: 40 } : {});
        const names = ['raw', 'limit', backend, 'cpu', 'wasm', 'jax-js'];
        const [ours, limit, through, cpu, wasm, js] = names.map((name) => fastest(name, all, times));
        table.row(`${net.name} ${withGradients ? 'with gradients' : 'forward'}`, batch, ours, limit, ours / limit, through, through - ours, cpu, wasm, js, wasm / through, js / through); // prettier-ignore
        report('mlp', { network: net.name, gradients: withGradients, batch, bits, raw_us: ours, limit_us: limit, raw_over_limit: ours / limit, tensors_us: through, tfjs_cpu_us: cpu, tfjs_wasm_us: wasm, jax_js_us: js }); // prettier-ignore
        raw.dispose();
        for (const t of tensors) t.dispose();
      }
    }
  }
}
