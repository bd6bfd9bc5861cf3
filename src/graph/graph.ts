/**
 * The graph: immutable nodes, each one kernel applied to values; a value is one output of a node.
 *
 * Inputs, constants and captured tensors are nodes without inputs whose `kernel` is one of {@link SOURCES}; a primitive
 * of our own (a solve, a rule written by hand) is a node whose `kernel` is `'Primitive'`, its definition in `attrs`.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Attrs } from './engine.js';

export { formatShape } from '../core/value.js';

export interface Value {
  readonly node: Node;
  readonly index: number;
  readonly shape: number[];
  readonly dtype: tf.DataType;
}

export interface Node {
  readonly id: number;
  /** A tfjs kernel name, or `Input`, `Constant`, `Captured`, `Primitive`. */
  readonly kernel: string;
  readonly inputs: readonly Value[];
  /** The kernel's names for its inputs; null when it takes a plain list (Concat, AddN, Pack, ...). */
  readonly inputNames: readonly string[] | null;
  readonly attrs: Attrs;
  readonly outputs: readonly Value[];
  /** The layer that was being applied, for messages. */
  readonly scope: string;
}

export const INPUT = 'Input';
export const CONSTANT = 'Constant';
export const CAPTURED = 'Captured';
export const PRIMITIVE = 'Primitive';
export const SOURCES: ReadonlySet<string> = new Set([INPUT, CONSTANT, CAPTURED]);

export interface ConstantAttrs {
  readonly values: tf.backend_util.BackendValues;
  /** The one value of all elements, where there is one. */
  readonly splat?: number;
}

export interface CapturedAttrs {
  /** Read afresh at each run: a variable that has been assigned since is seen with its new value. */
  readonly tensor: tf.Tensor;
}

export interface Spec {
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
}

let nextNodeId = 0;

export function makeNode(
  kernel: string,
  inputs: readonly Value[],
  inputNames: readonly string[] | null,
  attrs: Attrs,
  outputs: readonly Spec[],
  scope: string,
): Node {
  const values: Value[] = [];
  const node: Node = { id: nextNodeId++, kernel, inputs, inputNames, attrs, outputs: values, scope };
  outputs.forEach(({ shape, dtype }, index) => values.push({ node, index, shape: [...shape], dtype }));
  return node;
}

/** A traced function: nodes in an order in which every input precedes its use. */
export interface Graph {
  readonly nodes: readonly Node[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

/** The nodes that `outputs` need, in topological order. */
export function liveNodes(outputs: readonly Value[]): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack: { node: Node; next: number }[] = [];
  for (const { node } of outputs) {
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push({ node, next: 0 });
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      if (top.next < top.node.inputs.length) {
        const child = top.node.inputs[top.next++].node;
        if (!seen.has(child)) {
          seen.add(child);
          stack.push({ node: child, next: 0 });
        }
      } else {
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}

/** Kernel inputs in the form its author expects: by name, or as a list. */
export function arrangeInputs<T>(node: Node, values: readonly T[]): Record<string, T> | T[] {
  if (node.inputNames === null) return [...values];
  const named: Record<string, T> = {};
  node.inputNames.forEach((name, i) => (named[name] = values[i]));
  return named;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

export const sameShape = (a: readonly number[], b: readonly number[]): boolean => {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

/** The value all elements of a constant share, or undefined. */
export function splatOf({ node }: Value): number | undefined {
  return node.kernel === CONSTANT ? (node.attrs as unknown as ConstantAttrs).splat : undefined;
}

/** Attributes of a constant whose elements are `values`. */
export function constantAttrs(values: tf.backend_util.BackendValues): { values: unknown; splat?: number } {
  const first: unknown = values[0];
  if (typeof first !== 'number') return { values };
  for (let i = 1; i < values.length; i++) if (!Object.is(values[i], first)) return { values };
  return { values, splat: first };
}

/** Attributes of a constant of that shape filled with one value. */
export function splatAttrs(value: number, shape: readonly number[], dtype: tf.DataType): ConstantAttrs {
  const size = sizeOf(shape);
  const values =
    dtype === 'int32'
      ? new Int32Array(size).fill(value)
      : dtype === 'bool'
        ? new Uint8Array(size).fill(value)
        : new Float32Array(size).fill(value);
  return { values, splat: value };
}
