/**
 * Reverse mode over the graph.
 *
 * The derivative of each node is recorded with ordinary tf operations into the same trace, so a derivative can be
 * differentiated again, to any order. (tfjs's own tape differentiates saved outputs wrongly at second order: its issue
 * 3252. The rules themselves are right when they are given traced values, which is what happens here.)
 */
import * as tf from '@tensorflow/tfjs-core';
import { atScope, scopeNote } from '../core/scope.js';
import { formatShape, PRIMITIVE, sameShape, splatOf, type Node, type Value } from './graph.js';
import type { PrimitiveAttrs } from './primitive.js';
import { findRule } from './rules/index.js';
import { add } from './rules/tools.js';
import { Trace, useDifferentiator } from './trace.js';

export class DifferentiationError extends Error {
  override readonly name = 'DifferentiationError';
}

interface GradConfig {
  inputsToSave?: string[];
  outputsToSave?: boolean[];
  saveAllInputs?: boolean;
  gradFunc: (dy: unknown, saved: tf.Tensor[], attrs: unknown) => Record<string, () => tf.Tensor>;
}

const carriesDerivative = (v: Value): boolean => v.dtype === 'float32' || v.dtype === 'complex64';

/** A cotangent of zero: complex for a complex value, real for any other. */
const zerosOf = ({ shape, dtype }: Value): tf.Tensor => tf.zeros(shape, dtype === 'complex64' ? dtype : 'float32');

const isZero = (v: Value): boolean => v.node.kernel === 'ZerosLike' || splatOf(v) === 0;

/**
 * Cotangents of `xs`, given those of `ys`: the vector-Jacobian product of everything recorded from node number `since` to `until`.
 * A null stands for zero.
 */
export function backpropagate(
  trace: Trace,
  ys: readonly { value: Value; dy: tf.Tensor }[],
  xs: readonly Value[],
  since: number,
  until: number = trace.nodes.length,
): (tf.Tensor | null)[] {
  const nodes = trace.nodes.slice(since, until);
  const active = new Set<Value>(xs);
  for (const node of nodes) {
    if (node.inputs.some((v) => active.has(v))) {
      for (const v of node.outputs) if (carriesDerivative(v)) active.add(v);
    }
  }
  const cotangents = new Map<Value, tf.Tensor>();
  const accumulate = (value: Value, dy: tf.Tensor): void => {
    const sum = cotangents.get(value);
    cotangents.set(value, sum === undefined ? dy : add(sum, dy));
  };
  for (const { value, dy } of ys) if (active.has(value)) accumulate(value, dy);

  for (const node of nodes.reverse()) {
    const dys = node.outputs.map((v) => cotangents.get(v) ?? null);
    if (dys.every((dy) => dy === null)) continue;
    const needed = node.inputs.map((v) => active.has(v));
    if (!needed.includes(true)) continue;
    const gradients = atScope(node.scope === '' ? [] : node.scope.split('.'), () => nodeVjp(trace, node, dys, needed));
    gradients.forEach((dx, i) => {
      if (dx === null || !needed[i] || isZero(trace.valueOf(dx))) return;
      const x = node.inputs[i];
      if (!sameShape(dx.shape, x.shape)) {
        throw new DifferentiationError(
          `the derivative rule of ${node.kernel}${scopeNote(node.scope)} gave a cotangent of shape ${formatShape(dx.shape)} for input ${i} of shape ${formatShape(x.shape)}`,
        );
      }
      accumulate(x, dx);
    });
  }
  return xs.map((x) => cotangents.get(x) ?? null);
}

function nodeVjp(
  trace: Trace,
  node: Node,
  dys: readonly (tf.Tensor | null)[],
  needed: readonly boolean[],
): (tf.Tensor | null)[] {
  const inputs = node.inputs.map((v) => trace.tensorOf(v));
  const outputs = node.outputs.map((v) => trace.tensorOf(v));
  if (node.kernel === PRIMITIVE) {
    const { primitive } = node.attrs as unknown as PrimitiveAttrs;
    if (primitive.vjp === undefined) throw noDerivative(`primitive "${primitive.name}"`, node);
    return primitive.vjp({ inputs, outputs, dys, needed });
  }
  const names = node.inputNames ?? inputs.map((_, i) => String(i));
  const filled = dys.map((dy, i) => dy ?? zerosOf(node.outputs[i]));
  const rule = findRule(node.kernel);
  const config = tf.getGradient(node.kernel) as GradConfig | undefined;
  if (rule !== undefined) {
    const named = Object.fromEntries(names.map((name, i) => [name, inputs[i]]));
    const gradients = rule({ inputs: named, outputs, dys: filled, attrs: node.attrs });
    return names.map((name, i) => (needed[i] ? (gradients[name]?.() ?? null) : null));
  }
  if (config == null) throw noDerivative(`op "${node.kernel}"`, node);
  const kept = config.saveAllInputs === true ? inputs : (config.inputsToSave ?? []).map((name) => inputs[names.indexOf(name)]); // prettier-ignore
  const saved = [...kept, ...outputs.filter((_, i) => config.outputsToSave?.[i] === true)];
  const gradients = config.gradFunc(filled.length > 1 ? filled : filled[0], saved, node.attrs);
  return names.map((name, i) => {
    if (!needed[i]) return null;
    const gradient = gradients[name] as (() => tf.Tensor) | undefined;
    if (gradient === undefined) throw noDerivative(`op "${node.kernel}" with respect to its input "${name}"`, node);
    return gradient();
  });
}

function noDerivative(what: string, node: Node): DifferentiationError {
  return new DifferentiationError(
    `${what}${scopeNote(node.scope)} has no derivative rule. Keep it off the path from the differentiated arguments ` +
      '(stopGradient), or give the function a derivative of your own with tf.customGrad',
  );
}

useDifferentiator((trace, f, xs, dy) => {
  const values = xs.map((x) => trace.valueOf(x));
  const since = trace.nodes.length;
  const value = f();
  const y = trace.valueOf(value);
  const grads = backpropagate(trace, [{ value: y, dy: dy ?? tf.ones(y.shape) }], values, since);
  return { value, grads: grads.map((g, i) => g ?? tf.zeros(values[i].shape)) };
});
