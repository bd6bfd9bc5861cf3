/**
 * Kernels that are several loops become the kernels of those loops, so that each can be fused with its neighbours.
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  CONSTANT,
  liveNodes,
  makeNode,
  sizeOf,
  splatAttrs,
  type Graph,
  type Node,
  type Value,
} from '../graph/graph.js';
import type { Lowering } from './lowering-maker.js';
import { MORE_LOWERINGS } from './lowerings.js';

const one = (node: Node): Value => node.outputs[0];

function make(
  node: Node,
  kernel: string,
  inputs: readonly Value[],
  attrs: Node['attrs'],
  like: { shape: readonly number[]; dtype?: tf.DataType },
): Value {
  const spec = { shape: like.shape, dtype: like.dtype ?? 'float32' } as const;
  return one(makeNode(kernel, inputs, null, attrs, [spec], node.scope));
}

const keptShape = (shape: readonly number[], axes: readonly number[]): number[] =>
  shape.map((n, i) => (axes.includes(i) ? 1 : n));

/** x less its largest along the last axis, and the sum of the exponentials of that. */
function shifted(node: Node, x: Value, axis: number): { z: Value; e: Value; sum: Value } {
  const kept = { shape: keptShape(x.shape, [axis]) };
  const largest = make(node, 'Max', [x], { reductionIndices: [axis], keepDims: true }, kept);
  const z = make(node, 'Sub', [x, largest], {}, x);
  const e = make(node, 'Exp', [z], {}, x);
  return { z, e, sum: make(node, 'Sum', [e], { axis: [axis], keepDims: true }, kept) };
}

/** What tfjs calls the activation of a fused kernel, and the kernel that computes it. */
const ACTIVATION_KERNELS: ReadonlyMap<string, string> = new Map([
  ['linear', ''],
  ['relu', 'Relu'],
  ['relu6', 'Relu6'],
  ['elu', 'Elu'],
  ['prelu', 'Prelu'],
  ['leakyrelu', 'LeakyRelu'],
  ['sigmoid', 'Sigmoid'],
]);

const LOWERINGS: ReadonlyMap<string, Lowering> = new Map<string, Lowering>([
  ...MORE_LOWERINGS,
  [
    'Softmax',
    (node, [x]) => {
      const dim = node.attrs.dim as number;
      const { e, sum } = shifted(node, x, dim < 0 ? dim + x.shape.length : dim);
      return make(node, 'RealDiv', [e, sum], {}, x);
    },
  ],
  [
    'LogSoftmax',
    (node, [x]) => {
      const axis = node.attrs.axis as number;
      const { z, sum } = shifted(node, x, axis < 0 ? axis + x.shape.length : axis);
      const log = make(node, 'Log', [sum], {}, sum);
      return make(node, 'Sub', [z, log], {}, x);
    },
  ],
  [
    'Mean',
    (node, [x]) => {
      const axes = tf.util.parseAxisParam(node.attrs.axis as number[], [...x.shape]);
      const count = sizeOf(axes.map((i) => x.shape[i]));
      const out = node.outputs[0];
      const floats = x.dtype === 'float32' ? x : make(node, 'Cast', [x], { dtype: 'float32' }, { shape: x.shape });
      const sum = make(node, 'Sum', [floats], node.attrs, out);
      const divisor = make(node, CONSTANT, [], splatAttrs(count, [], 'float32') as unknown as Node['attrs'], {
        shape: [],
      });
      return make(node, 'RealDiv', [sum, divisor], {}, out);
    },
  ],
  [
    '_FusedMatMul',
    (node, inputs) => {
      const { shape } = node.outputs[0];
      const { transposeA, transposeB, activation, leakyreluAlpha } = node.attrs;
      const of = (name: string): Value | undefined => {
        const at = node.inputNames?.indexOf(name) ?? -1;
        return at < 0 ? undefined : inputs[at];
      };
      const [a, b, bias, weights] = ['a', 'b', 'bias', 'preluActivationWeights'].map(of);
      const kernel = ACTIVATION_KERNELS.get((activation as string | undefined) ?? 'linear');
      if (a === undefined || b === undefined || kernel === undefined) return undefined;
      const product = make(node, 'BatchMatMul', [a, b], { transposeA, transposeB }, { shape });
      const sum = bias === undefined ? product : make(node, 'Add', [product, bias], {}, { shape });
      if (kernel === '') return sum;
      if (kernel === 'Prelu') return weights && make(node, kernel, [sum, weights], {}, { shape });
      return make(node, kernel, [sum], kernel === 'LeakyRelu' ? { alpha: leakyreluAlpha } : {}, { shape });
    },
  ],
  [
    'AddN',
    (node, inputs) => {
      const { shape, dtype } = node.outputs[0];
      return inputs.reduce((sum, x) => make(node, 'Add', [sum, x], {}, { shape, dtype }));
    },
  ],
]);

/** The graph with such kernels taken apart. Its inputs, its captured nodes and its outputs keep their order. */
export function lower(graph: Graph): Graph {
  if (!graph.nodes.some(({ kernel }) => LOWERINGS.has(kernel))) return graph;
  const replaced = new Map<Value, Value>();
  const resolve = (v: Value): Value => replaced.get(v) ?? v;
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(resolve);
    const value = LOWERINGS.get(node.kernel)?.(node, inputs);
    if (value !== undefined) {
      replaced.set(node.outputs[0], value);
    } else if (inputs.some((v, i) => v !== node.inputs[i])) {
      const copy = makeNode(node.kernel, inputs, node.inputNames, node.attrs, node.outputs, node.scope);
      node.outputs.forEach((v, i) => replaced.set(v, copy.outputs[i]));
    }
  }
  if (replaced.size === 0) return graph;
  const outputs = graph.outputs.map(resolve);
  const sources = graph.nodes.filter(({ inputs, kernel }) => inputs.length === 0 && kernel === 'Captured');
  const live = liveNodes(outputs).filter((node) => !sources.includes(node));
  return { nodes: [...sources, ...live], inputs: graph.inputs, outputs };
}
