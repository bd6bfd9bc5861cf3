/**
 * Graph to smaller graph with the same values: dead nodes go, equal nodes merge, views of views collapse, and arithmetic
 * with constants of one value folds where IEEE arithmetic allows it.
 */
import type { Attrs } from './engine.js';
import {
  CONSTANT,
  INPUT,
  liveNodes,
  makeNode,
  PRIMITIVE,
  sameShape,
  splatAttrs,
  splatOf,
  type ConstantAttrs,
  type Graph,
  type Node,
  type Value,
} from './graph.js';

/** A rewritten value, or undefined where the rule does not apply. */
type Rewrite = (inputs: readonly Value[], node: Node) => Value | undefined;

const keeps = (x: Value, out: Value): boolean => sameShape(x.shape, out.shape) && x.dtype === out.dtype;

/** The node is its first input under another name. */
const alias: Rewrite = ([x], { outputs: [out] }) => (keeps(x, out) ? x : undefined);

const splat = (value: number, { shape, dtype }: Value, scope: string): Value =>
  makeNode(CONSTANT, [], null, { ...splatAttrs(value, shape, dtype) }, [{ shape, dtype }], scope).outputs[0];

/** A constant of one value, whatever the input holds. */
const filled =
  (value: (node: Node) => number): Rewrite =>
  (_, node) =>
    splat(value(node), node.outputs[0], node.scope);

/** The result of moving elements of a constant of one value about is that constant in another shape. */
const rearranged: Rewrite = ([x], node) => {
  const value = splatOf(x);
  return value === undefined ? undefined : splat(value, node.outputs[0], node.scope);
};

const first =
  (...rules: Rewrite[]): Rewrite =>
  (inputs, node) => {
    for (const rule of rules) {
      const value = rule(inputs, node);
      if (value !== undefined) return value;
    }
    return undefined;
  };

/** `x op neutral = x`, on the sides where that holds, and the operation on two constants of one value. */
const arithmetic =
  (f: (a: number, b: number) => number, neutral: number, sides: 'both' | 'right'): Rewrite =>
  ([a, b], node) => {
    const [out] = node.outputs;
    const left = splatOf(a);
    const right = splatOf(b);
    if (left !== undefined && right !== undefined && out.dtype === 'float32') return splat(f(left, right), out, node.scope);
    // x + 0 is x but for the sign of a zero; everything else here is exact.
    if (right === neutral && keeps(a, out)) return a;
    if (sides === 'both' && left === neutral && keeps(b, out)) return b;
    return undefined;
  };

const negated: Rewrite = ([x], node) => {
  const value = splatOf(x);
  if (value !== undefined) return splat(-value, node.outputs[0], node.scope);
  return x.node.kernel === 'Neg' ? x.node.inputs[0] : undefined;
};

const REWRITES: ReadonlyMap<string, Rewrite> = new Map<string, Rewrite>([
  ['Identity', alias],
  ['Cast', first(alias, ([x], node) => (x.dtype === 'bool' || node.outputs[0].dtype !== 'float32' ? undefined : rearranged([x], node)))],
  ['Reshape', first(alias, rearranged)],
  ['ExpandDims', rearranged],
  ['Transpose', first(([x], n) => ((n.attrs.perm as number[]).every((p, i) => p === i) ? x : undefined), rearranged)],
  ['Tile', first(([x], n) => ((n.attrs.reps as number[]).every((r) => r === 1) ? x : undefined), rearranged)],
  ['Slice', first(alias, rearranged)],
  ['Reverse', rearranged],
  ['ZerosLike', filled(() => 0)],
  ['OnesLike', filled(() => 1)],
  ['Fill', (inputs, node) => (typeof node.attrs.value === 'number' ? filled((n) => n.attrs.value as number)(inputs, node) : undefined)],
  ['Add', arithmetic((a, b) => a + b, 0, 'both')],
  ['Sub', arithmetic((a, b) => a - b, 0, 'right')],
  ['Multiply', arithmetic((a, b) => a * b, 1, 'both')],
  ['RealDiv', arithmetic((a, b) => a / b, 1, 'right')],
  ['Neg', negated],
]); // prettier-ignore

/** Reshape of reshape and transpose of transpose are one step; returns the node's replacement inputs and attributes. */
function collapse(node: Node, inputs: readonly Value[]): { inputs: readonly Value[]; attrs: Attrs } {
  const [x] = inputs;
  if (node.kernel === 'Reshape' && x.node.kernel === 'Reshape') {
    return { inputs: [x.node.inputs[0]], attrs: { shape: node.outputs[0].shape } };
  }
  if (node.kernel === 'Transpose' && x.node.kernel === 'Transpose') {
    const inner = x.node.attrs.perm as number[];
    return { inputs: [x.node.inputs[0]], attrs: { perm: (node.attrs.perm as number[]).map((p) => inner[p]) } };
  }
  return { inputs, attrs: node.attrs };
}

/** Text equal for nodes that compute the same; null for nodes that must stay apart. */
function signature(node: Node, inputs: readonly Value[], attrs: Attrs): string | null {
  if (node.kernel === PRIMITIVE || node.kernel === INPUT) return null;
  if (node.kernel === CONSTANT) {
    const { values, splat: value } = attrs as unknown as ConstantAttrs;
    const { shape, dtype } = node.outputs[0];
    if (value === undefined && values.length > 32) return null;
    const content = value === undefined ? Array.from(values as ArrayLike<number>, number).join() : number(value);
    return `${CONSTANT}|${dtype}|${shape.join()}|${content}`;
  }
  if (node.inputs.length === 0 && 'tensor' in attrs) return null;
  const operands = inputs.map((v) => `${v.node.id}.${v.index}`).join();
  return `${node.kernel}|${operands}|${node.inputNames?.join() ?? ''}|${JSON.stringify(attrs)}`;
}

const number = (x: number): string => (Object.is(x, -0) ? '-0' : String(x));

export function simplify(graph: Graph): Graph {
  const replaced = new Map<Value, Value>();
  const bySignature = new Map<string, Node>();
  const resolve = (v: Value): Value => replaced.get(v) ?? v;

  for (const node of liveNodes(graph.outputs)) {
    const collapsed = collapse(node, node.inputs.map(resolve));
    const { inputs } = collapsed;
    const rewritten = REWRITES.get(node.kernel)?.(inputs, { ...node, attrs: collapsed.attrs });
    if (rewritten !== undefined) {
      replaced.set(node.outputs[0], canonical(rewritten, bySignature));
      continue;
    }
    const changed = inputs.length !== node.inputs.length || inputs.some((v, i) => v !== node.inputs[i]);
    const next = changed || collapsed.attrs !== node.attrs
      ? makeNode(node.kernel, inputs, node.inputNames, collapsed.attrs, node.outputs, node.scope)
      : node; // prettier-ignore
    const key = signature(next, inputs, next.attrs);
    const equal = key === null ? undefined : bySignature.get(key);
    if (key !== null && equal === undefined) bySignature.set(key, next);
    const kept = equal ?? next;
    if (kept !== node) node.outputs.forEach((v, i) => replaced.set(v, kept.outputs[i]));
  }
  const outputs = graph.outputs.map(resolve);
  return { nodes: liveNodes(outputs), inputs: graph.inputs, outputs };
}

/** New constants merge like any other node. */
function canonical(value: Value, bySignature: Map<string, Node>): Value {
  if (value.node.kernel !== CONSTANT) return value;
  const key = signature(value.node, [], value.node.attrs);
  if (key === null) return value;
  const known = bySignature.get(key);
  if (known === undefined) bySignature.set(key, value.node);
  return (known ?? value.node).outputs[0];
}
