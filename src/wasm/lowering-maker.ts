/**
 * Writing a kernel in terms of others: nodes made one by one.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { CONSTANT, constantAttrs, makeNode, splatAttrs, type Node, type Value } from '../graph/graph.js';

/** What stands for the node of a kernel, or undefined where it stays. */
export type Lowering = (node: Node, inputs: readonly Value[]) => Value | undefined;

export type Attrs = Node['attrs'];
type Operands = readonly Value[] | Readonly<Record<string, Value>>;

/** Makes nodes for one node that is taken apart. */
export class Maker {
  constructor(private readonly scope: string) {}

  op(kernel: string, inputs: Operands, attrs: Attrs, shape: readonly number[], dtype: tf.DataType = 'float32'): Value {
    const names = Array.isArray(inputs) ? null : Object.keys(inputs);
    const values = Object.values<Value>(inputs);
    return makeNode(kernel, values, names, attrs, [{ shape, dtype }], this.scope).outputs[0];
  }

  constant(values: readonly number[], shape: readonly number[], dtype: tf.DataType): Value {
    // Doubles, which a backend of single precision rounds.
    const stored = dtype === 'int32' ? Int32Array.from(values) : (Float64Array.from(values) as unknown as Float32Array);
    return this.op(CONSTANT, [], constantAttrs(stored), shape, dtype);
  }

  splat(value: number, dtype: tf.DataType): Value {
    return this.op(CONSTANT, [], splatAttrs(value, [], dtype) as unknown as Attrs, [], dtype);
  }

  /** 0, 1, 2, ... along one axis of so many. */
  positions(n: number, axis: number, rank: number): Value {
    const shape = Array.from({ length: rank }, (_, i) => (i === axis ? n : 1));
    return this.constant(Array.from({ length: n }, (_, i) => i), shape, 'int32'); // prettier-ignore
  }

  reshape(x: Value, shape: readonly number[]): Value {
    return this.op('Reshape', { x }, { shape: [...shape] }, shape, x.dtype);
  }

  select(condition: Value, t: Value, e: Value, shape: readonly number[], dtype: tf.DataType): Value {
    return this.op('Select', { condition, t, e }, {}, shape, dtype);
  }

  binary(kernel: string, a: Value, b: Value, shape: readonly number[], dtype: tf.DataType = 'float32'): Value {
    return this.op(kernel, { a, b }, {}, shape, dtype);
  }

  gather(x: Value, indices: readonly number[], axis: number): Value {
    const places = this.constant(indices, [indices.length], 'int32');
    const shape = x.shape.map((n, i) => (i === axis ? indices.length : n));
    return this.op('GatherV2', { x, indices: places }, { axis, batchDims: 0 }, shape, x.dtype);
  }
}

export const by =
  (
    rule: (make: Maker, inputs: Readonly<Record<string, Value | undefined>>, node: Node) => Value | undefined,
  ): Lowering =>
  (node, inputs) => {
    const named = Object.fromEntries((node.inputNames ?? []).map((name, i) => [name, inputs[i]]));
    return rule(new Maker(node.scope), named, node);
  };

export const countTo = <T>(n: number, f: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => f(i));
