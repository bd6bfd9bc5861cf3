/**
 * Graph to smaller graph with the same values: dead nodes go, equal nodes merge, and each node is replaced by what its
 * rule in rewrites.ts puts in its place.
 */
import {
  CAPTURED,
  CONSTANT,
  INPUT,
  liveNodes,
  makeNode,
  PRIMITIVE,
  splatAttrs,
  type ConstantAttrs,
  type Graph,
  type Node,
  type Value,
} from './graph.js';
import type { PrimitiveAttrs } from './primitive.js';
import { REWRITES } from './rewrites.js';
import { attributeText, constantText } from './structure.js';

/** Larger constants are not compared. */
const MOST_ELEMENTS = 32;

/** Text equal for nodes that compute the same; null for nodes that must stay apart. */
function signature({ kernel, inputs, inputNames, attrs, outputs }: Node): string | null {
  if (kernel === PRIMITIVE || kernel === INPUT || kernel === CAPTURED) return null;
  if (kernel === CONSTANT) {
    const { shape, dtype } = outputs[0];
    const content = constantText(attrs as unknown as ConstantAttrs, MOST_ELEMENTS);
    return content === null ? null : `${CONSTANT}|${dtype}|${shape.join()}|${content}`;
  }
  const operands = inputs.map((v) => `${v.node.id}.${v.index}`).join();
  const settings = attributeText(attrs);
  return settings === null ? null : `${kernel}|${operands}|${inputNames?.join() ?? ''}|${settings}`;
}

/** @param zeros - Inputs that are all zero: the result is without them. */
export function simplify(graph: Graph, zeros: readonly Value[] = []): Graph {
  const replaced = new Map<Value, Value>();
  const bySignature = new Map<string, Node>();
  const settled = new Set<Node>();
  const resolve = (v: Value): Value => replaced.get(v) ?? v;

  /** The one node that computes what this one does. */
  const merged = (node: Node): Node => {
    const key = signature(node);
    const equal = key === null ? undefined : bySignature.get(key);
    if (equal !== undefined) return equal;
    if (key !== null) bySignature.set(key, node);
    settled.add(node);
    return node;
  };

  /** The outputs of `node`, whose inputs are settled, by the shortest way. A rule's result may fall under a rule again. */
  const settle = (node: Node): readonly Value[] => {
    const rewritten = REWRITES.get(node.kernel)?.(node.inputs, node);
    if (rewritten === undefined) return merged(node).outputs;
    if (settled.has(rewritten.node)) return [rewritten];
    return [settle(withSettledInputs(rewritten.node))[rewritten.index]];
  };

  /** New nodes may have new nodes (constants) as inputs. */
  const withSettledInputs = (node: Node): Node =>
    withInputs(node, node.inputs.map((v) => (settled.has(v.node) ? v : settle(v.node)[v.index]))); // prettier-ignore

  for (const v of zeros) replaced.set(v, merged(zerosLike(v)).outputs[0]);
  for (const node of liveNodes(graph.outputs)) {
    const outputs = settle(withInputs(node, node.inputs.map(resolve))); // prettier-ignore
    node.outputs.forEach((v, i) => outputs[i] !== v && replaced.set(v, outputs[i]));
  }
  const outputs = graph.outputs.map(resolve);
  const inputs = zeros.length === 0 ? graph.inputs : graph.inputs.filter((v) => !zeros.includes(v));
  return { nodes: liveNodes(outputs), inputs, outputs };
}

const zerosLike = (v: Value): Node =>
  makeNode(CONSTANT, [], null, { ...splatAttrs(0, v.shape, v.dtype) }, [v], v.node.scope);

function withInputs(node: Node, inputs: readonly Value[]): Node {
  if (inputs.every((v, i) => v === node.inputs[i])) return node;
  return makeNode(node.kernel, inputs, node.inputNames, node.attrs, node.outputs, node.scope);
}

const passesThrough = ({ kernel, attrs }: Node): boolean =>
  kernel === PRIMITIVE && (attrs as unknown as PrimitiveAttrs).primitive.passesThrough === true;

/**
 * The graph to run: without what only a derivative would want. Its captured tensors are still all there, in order.
 */
export function forRunning(graph: Graph): Graph {
  if (!graph.nodes.some(passesThrough)) return graph;
  const replaced = new Map<Value, Value>();
  const resolve = (v: Value): Value => replaced.get(v) ?? v;
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(resolve);
    if (passesThrough(node)) {
      replaced.set(node.outputs[0], inputs[0]);
      continue;
    }
    const next = withInputs(node, inputs);
    if (next !== node) node.outputs.forEach((v, i) => replaced.set(v, next.outputs[i]));
  }
  const outputs = graph.outputs.map(resolve);
  const isCaptured = ({ kernel }: Node): boolean => kernel === CAPTURED;
  const live = liveNodes(outputs).filter((node) => !isCaptured(node));
  return { nodes: [...graph.nodes.filter(isCaptured), ...live], inputs: graph.inputs, outputs };
}
