/**
 * Sums and products of all elements so far: each element of the result is the one before it and one of the input.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Node } from '../graph/graph.js';
import { sizeOf } from '../graph/graph.js';
import { kindOf } from './elementwise.js';
import { apply, cast, constant, loadLeaf } from './emit/terms.js';
import type { Planner } from './steps.js';
import { broadcastStrides, reverseView, sliceView, transposeView, type View } from './views.js';

type Plan = (planner: Planner, node: Node) => boolean;

const cumulative =
  (op: 'add' | 'mul', start: 0 | 1): Plan =>
  (planner, node) => {
    const [x] = node.inputs;
    const [out] = node.outputs;
    const [from, kind] = [kindOf(x.dtype), kindOf(out.dtype)];
    if (from === undefined || kind === undefined || kind === 'bool') return false;
    const rank = x.shape.length;
    if (rank === 0) return false;
    const [axis] = tf.util.parseAxisParam(node.attrs.axis as number, [...x.shape]);
    const first = [axis, ...x.shape.map((_, i) => i).filter((i) => i !== axis)];
    const turned = (view: View): View => transposeView(node.attrs.reverse === true ? reverseView(view, [axis]) : view, first); // prettier-ignore
    const given = turned(planner.view(x));
    const result = turned(planner.define(out));
    const n = given.shape[0];
    const rows = (view: View, begin: number, size: number): View =>
      sliceView(view, view.shape.map((_, i) => (i === 0 ? begin : 0)), [size, ...view.shape.slice(1)]); // prettier-ignore
    const shape = [1, ...given.shape.slice(1)];
    const isExclusive = node.attrs.exclusive === true;
    const element = cast(kind, loadLeaf(from, 0));
    planner.compute(
      isExclusive
        ? { shape, term: constant(kind, start), leaves: [] }
        : { shape, term: element, leaves: [rows(given, 0, 1)] },
      rows(result, 0, 1),
    );
    if (n < 2 || sizeOf(x.shape) === 0) return true;
    const [to, before] = [rows(result, 1, n - 1), rows(result, 0, n - 1)];
    const added = rows(given, isExclusive ? 0 : 1, n - 1);
    planner.steps.push({
      type: 'nest',
      spec: {
        sizes: to.shape,
        out: { kind, strides: broadcastStrides(to, to.shape) },
        operands: [added, before].map((l) => ({ kind: l.buffer.kind, strides: broadcastStrides(l, to.shape) })),
        term: apply(kind, op, element, loadLeaf(kind, 1)),
        isSequential: true,
      },
      views: [to, added, before],
    });
    return true;
  };

export const SCANS: ReadonlyMap<string, Plan> = new Map<string, Plan>([
  ['Cumsum', cumulative('add', 0)],
  ['Cumprod', cumulative('mul', 1)],
]);
