/** Cases of generated code: compared with the cpu backend's kernels, in single precision and in double. */
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { interpreter } from '../../src/graph/interpret.js';
import type { Graph, Spec } from '../../src/graph/graph.js';
import { simplify } from '../../src/graph/simplify.js';
import { lower } from '../../src/wasm/lower.js';
import { Planner } from '../../src/wasm/plan.js';
import { expectClose } from '../support/close.js';
import { compiledBackend, randomValues, repeatable, runOn, trace, type Values } from './compile-support.js';

export const F = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });
export const I = (...shape: number[]): Spec => ({ shape, dtype: 'int32' });
export const B = (...shape: number[]): Spec => ({ shape, dtype: 'bool' });

export interface Case {
  readonly what: string;
  readonly specs: readonly Spec[];
  readonly f: (...xs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];
  /** Values of an input instead of random ones, by its position. */
  readonly given?: Readonly<Record<number, readonly number[]>>;
  /** Relative to a factor that the lengths of sums explain; default 1. */
  readonly slack?: number;
}

/** The kernels of a graph that run as calls of the host, in order. */
export function hostCalls(graph: Graph, floatBytes: 4 | 8 = 4): string[] {
  return new Planner(lower(graph), floatBytes).plan().steps.flatMap((step) => (step.type === 'call' ? [step.node.kernel] : [])); // prettier-ignore
}

function inputsOf({ specs, given }: Case, seed: number, doubles: boolean): Values[] {
  const random = repeatable(seed);
  return specs.map((s, i) => {
    const own = given?.[i];
    if (own === undefined) return randomValues(s, random, doubles);
    if (s.dtype === 'int32') return Int32Array.from(own);
    if (s.dtype === 'bool') return Uint8Array.from(own);
    return doubles ? Float64Array.from(own) : Float32Array.from(own);
  });
}

/** Each case computes what the cpu backend's kernels compute, and nothing of it is left to the host. */
export function checkCases(cases: readonly Case[]): void {
  for (const one of cases) {
    const { what, specs, f, slack = 1 } = one;
    it(`${what}, float32`, () => {
      compiledBackend('nullcline');
      const graph = simplify(trace((xs) => f(...xs), specs));
      expect(hostCalls(graph), 'host calls').to.deep.equal([]);
      const inputs = inputsOf(one, 7, false);
      const expected = runOn(graph, inputs, 'cpu');
      runOn(graph, inputs, 'nullcline').forEach((y, i) => {
        expectClose(y, expected[i], { rtol: 2e-5 * slack, atol: 2e-5 * slack }, `${what}, output ${i}`);
      });
    });
    it(`${what}, float64`, () => {
      const backend = compiledBackend('nullcline64');
      const graph = simplify(trace((xs) => f(...xs), specs));
      expect(hostCalls(graph, 8), 'host calls').to.deep.equal([]);
      const inputs = inputsOf(one, 8, true);
      // The cpu backend's kernels, one by one, storing doubles.
      const oneByOne = interpreter.prepare(graph, backend, 'nullcline64');
      const expected = runOn(graph, inputs, 'nullcline64', oneByOne);
      runOn(graph, inputs, 'nullcline64').forEach((y, i) => {
        expectClose(y, expected[i], { rtol: 1e-12 * slack, atol: 1e-12 * slack }, `${what}, output ${i}`);
      });
      oneByOne.dispose();
    });
  }
}
