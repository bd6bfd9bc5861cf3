/**
 * Reductions: the reduced axes go to the end of the nest.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Node } from '../graph/graph.js';
import { sizeOf } from '../graph/graph.js';
import { kindOf } from './elementwise.js';
import type { ReduceOp } from './emit/nest.js';
import { cast } from './emit/terms.js';
import type { Lazy, Planner } from './steps.js';
import { broadcastStrides, rowMajor, type View } from './views.js';

const OPS: Readonly<Record<string, ReduceOp | undefined>> = {
  Sum: 'add',
  Prod: 'mul',
  Max: 'max',
  Min: 'min',
  All: 'and',
  Any: 'or',
};

export function planReduction(planner: Planner, node: Node): boolean {
  const op = OPS[node.kernel];
  if (op === undefined) return false;
  const [x] = node.inputs;
  const [out] = node.outputs;
  const kind = kindOf(out.dtype);
  if (kind === undefined || kindOf(x.dtype) === undefined || sizeOf(x.shape) === 0) return false;
  const isLogical = op === 'and' || op === 'or';
  if ((kind === 'bool') !== isLogical) return false;
  const given = node.attrs[node.kernel === 'Max' ? 'reductionIndices' : 'axis'];
  const axes = tf.util.parseAxisParam(given as number | number[], [...x.shape]);
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const order = [...kept, ...x.shape.map((_, i) => i).filter((i) => axes.includes(i))];

  const leaves: View[] = [];
  const term = cast(kind, planner.argument(x, x.shape, leaves));
  const result = planner.define(out);
  const outStrides = rowMajor(kept.map((i) => x.shape[i]));
  planner.steps.push({
    type: 'nest',
    spec: {
      sizes: order.map((i) => x.shape[i]),
      out: { kind, strides: order.map((_, k) => (k < kept.length ? outStrides[k] : 0)) },
      operands: leaves.map((l) => {
        const strides = broadcastStrides(l, x.shape);
        return { kind: l.buffer.kind, strides: order.map((i) => strides[i]) };
      }),
      term,
      reduce: { op, axes: axes.length },
    },
    views: [result, ...leaves],
  });
  return true;
}

/** Reduce a term over the last `count` axes of its shape into a view of the others. */
export function reduceInto(
  planner: Planner,
  op: ReduceOp,
  { shape, term, leaves }: Lazy,
  count: number,
  to: View,
): void {
  if (sizeOf(to.shape) === 0) return;
  planner.steps.push({
    type: 'nest',
    spec: {
      sizes: shape,
      out: { kind: to.buffer.kind, strides: [...to.strides, ...new Array<number>(count).fill(0)] },
      operands: leaves.map((l) => ({ kind: l.buffer.kind, strides: broadcastStrides(l, shape) })),
      term,
      reduce: { op, axes: count },
    },
    views: [to, ...leaves],
  });
}
