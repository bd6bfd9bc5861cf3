import '../../support/backend.js';
import '../../../src/index.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { after, before, describe, it } from 'mocha';
import {
  apply,
  bernoulli,
  conv,
  key,
  randint,
  setup,
  split,
  uniform,
  valueAndGrad,
  type Key,
  type Tensor,
} from '../../../src/index.js';
import type { Graph, Spec } from '../../../src/graph/graph.js';
import { simplify } from '../../../src/graph/simplify.js';
import { NullclineBackend } from '../../../src/wasm/backend.js';
import { wasmExecutor, type WasmExecutable } from '../../../src/wasm/executor.js';
import type { Team } from '../../../src/wasm/threads/team.js';
import { isFloat64 } from '../../support/precision.js';
import { F, I, type Case } from '../compile-cases.js';
import { compiledBackend, contextOf, randomValues, repeatable, trace, type Values } from '../compile-support.js';

const [layer] = [conv([3, 3], 5, 7, 'tanh', { pad: 'same' })];
const [ps, st] = setup(key(1), layer);

/** What cuts loops and products along every kind of axis, with rests that are no whole vector or tile. */
const CASES: readonly Case[] = [
  { what: 'a product of panels', specs: [F(301, 260), F(260, 270)], f: (a, b) => tf.matMul(a, b) },
  { what: 'a product of the transposed', specs: [F(260, 133), F(270, 260)], f: (a, b) => tf.matMul(a, b, true, true) },
  { what: 'a product with bias and relu', specs: [F(67, 33), F(33, 45), F(45)], f: (a, b, c) => tf.relu(tf.add(tf.matMul(a, b), c)) },
  { what: 'a row times a matrix', specs: [F(1, 70), F(70, 301)], f: (a, b) => tf.matMul(a, b) },
  { what: 'a product with two columns', specs: [F(203, 50), F(50, 2)], f: (a, b) => tf.matMul(a, b) },
  { what: 'sums along memory', specs: [F(41, 64), F(37, 64)], f: (a, b) => tf.matMul(a, b, false, true) },
  { what: 'a row of products', specs: [F(3, 13, 21, 17), F(3, 13, 17, 19)], f: (a, b) => tf.matMul(a, b) },
  { what: 'functions of a vector', specs: [F(4001)], f: (x) => [tf.tanh(x), tf.erf(x), tf.pow(tf.abs(x), 1.5)] },
  // Large arguments go to the host, a vector at a time.
  { what: 'sines of large numbers', specs: [F(9001)], f: (x) => tf.sin(tf.mul(tf.exp(tf.mul(x, 8)), x)) },
  { what: 'remainders', specs: [F(7, 99), F(7, 1)], f: (x, y) => tf.mod(x, tf.mul(y, 1e-9)) },
  { what: 'broadcasting', specs: [F(3, 1, 500), F(40, 1)], f: (x, y) => tf.mul(x, y) },
  { what: 'a transposition', specs: [F(67, 129)], f: (x) => tf.exp(tf.transpose(x)) },
  { what: 'sums of rows and columns', specs: [F(130, 81)], f: (x) => [tf.sum(x, 0), tf.sum(x, 1), tf.sum(x)] },
  { what: 'sums of a middle axis', specs: [F(17, 30, 33)], f: (x) => [tf.sum(tf.exp(x), 1), tf.max(x, [0, 2])] },
  { what: 'softmax', specs: [F(300, 10)], f: (x) => tf.softmax(x) },
  { what: 'cumulative sums', specs: [F(40, 300)], f: (x) => [tf.cumsum(x, 0), tf.cumsum(x, 1)] },
  { what: 'pooling', specs: [F(3, 17, 19, 5)], f: (x) => [tf.maxPool(x as tf.Tensor4D, 3, 2, 'same'), tf.avgPool(x as tf.Tensor4D, 2, 1, 'valid')] },
  { what: 'comparisons', specs: [F(1000), F(1000)], f: (x, y) => [tf.greater(x, y), tf.where(tf.less(x, y), x, y)] },
  { what: 'pieces put together', specs: [F(50, 33), F(50, 20)], f: (x, y) => tf.concat([tf.exp(x), tf.reverse(y, 1)], 1) },
  { what: 'random numbers', specs: [I(2)], f: (k) => [uniform(k as Key, [1003]), bernoulli(k as Key, 0.3, [77, 5]), randint(k as Key, [500], -5, 90), ...split(k as Key, 200)] },
  { what: 'convolution of many images', specs: [F(9, 8, 8, 3), F(3, 3, 3, 8)], f: (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same') },
  { what: 'convolution with strides', specs: [F(2, 15, 14, 4), F(3, 2, 4, 6)], f: (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, [2, 1], 'valid') },
  { what: 'gradients of a convolution', specs: [F(2, 12, 11, 5)], f: (x) => Object.values(valueAndGrad((p: typeof ps, z: Tensor) => tf.sum(tf.square(apply(layer, z, p, st)[0])))(ps, x).grad) },
]; // prettier-ignore

const bytesOf = (values: Values): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

for (const bits of isFloat64 ? ([64] as const) : ([32, 64] as const)) {
  const name = bits === 32 ? 'nullcline' : 'nullcline64';

  describe(`programs on three threads, float${bits}`, () => {
    let one: NullclineBackend;
    let three: NullclineBackend;
    /** Parts computed by all threads and by the main one. */
    let [all, own] = [0, 0];
    before(() => {
      compiledBackend(name);
      one = new NullclineBackend(bits);
      three = new NullclineBackend(bits);
      three.useThreads(3, 0); // whatever can be cut
      slowDown(three.team as Team);
    });
    after(() => {
      three.dispose();
      expect(all).to.be.greaterThan(0);
      expect(own, `parts that the main thread computed, of ${all}`).to.be.lessThan(all);
    });

    /** Let the main thread dawdle before each part that it computes, so that the workers get some. */
    function slowDown(team: Team): void {
      const make = team.program.bind(team);
      team.program = (module, jobs) => {
        const program = make(module, jobs);
        const slow = (job: (part: number) => void) => (part: number) => {
          own++;
          for (const until = performance.now() + 0.2; performance.now() < until;);
          job(part);
        };
        return {
          ...program,
          parallel: (job) => {
            all += jobs[job].parts;
            program.parallel(job);
          },
          link: (exports) => {
            program.link(Object.fromEntries(Object.entries(exports).map(([key, f]) => [key, slow(f as () => void)])));
          },
        };
      };
    }

    function run(graph: Graph, inputs: readonly Values[], backend: NullclineBackend): { values: Values[]; text: string } {
      const executable = wasmExecutor.prepare(graph, backend, name) as WasmExecutable;
      const captured = graph.nodes.filter(({ kernel }) => kernel === 'Captured').map(({ attrs }) => attrs.tensor as Tensor);
      const all: [Spec, Values][] = [...graph.inputs.map((spec, i): [Spec, Values] => [spec, inputs[i]]), ...captured.map((t): [Spec, Values] => [t, t.dataSync() as Values])];
      const buffers = all.map(([{ shape, dtype }, values]) => ({ dataId: backend.write(values as Float32Array, [...shape], dtype), shape: [...shape], dtype }));
      const [given, held] = [buffers.slice(0, inputs.length), buffers.slice(inputs.length)];
      const outputs = executable.run(given, held, contextOf(backend, name));
      const values = outputs.map(({ dataId }) => backend.readSync(dataId) as Values);
      const text = executable.describe();
      for (const { dataId } of [...buffers, ...outputs]) backend.disposeData(dataId);
      executable.dispose();
      return { values, text };
    } // prettier-ignore

    for (const { what, specs, f } of CASES) {
      it(`${what}: the same bits as on one`, () => {
        const graph = simplify(trace((xs) => f(...xs), specs));
        const inputs = specs.map((spec, i) => randomValues(spec, repeatable(i + 1), bits === 64));
        const expected = run(graph, inputs, one);
        expect(expected.text).to.not.include('threads');
        for (let again = 0; again < 3; again++) {
          const { values, text } = run(graph, inputs, three);
          expect(text).to.match(/kernels \(\d+ on 3 threads\)/);
          values.forEach((y, i) => {
            expect(Buffer.compare(bytesOf(y), bytesOf(expected.values[i])), `output ${i}`).to.equal(0);
          });
        }
        expect(three.numDataIds(), 'buffers left').to.equal(0);
      });
    }
  });
}
