/**
 * Picking and placing elements by index. A gather is undone by a scatter that adds, and the other way round; tfjs's own
 * rule for gather uses a kernel whose work grows with the number of rows of the table.
 */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf } from '../graph.js';
import type { Rule, RuleTable } from './rule.js';
import { integers, kernel, reshaped, unbroadcast, where, type Tensor } from './tools.js';

const scatter = (indices: Tensor, updates: Tensor, shape: readonly number[]): Tensor =>
  kernel('ScatterNd', { indices, updates }, { shape: [...shape] });

const gatherNd = (params: Tensor, indices: Tensor): Tensor => kernel('GatherNd', { params, indices });

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Rows of one table: batch and gathered axis in one, everything else in another. */
const gather: Rule = ({ inputs: { x, indices }, dys: [dy], attrs }) => ({
  x: () => {
    const batchDims = (attrs.batchDims as number | undefined) ?? 0;
    const given = (attrs.axis as number | undefined) ?? 0;
    const axis = given < 0 ? given + x.rank : given;
    const before = axis - batchDims; // axes between the batch and the gathered one
    const own = indices.rank - batchDims; // axes that the indices put in its place
    const batch = sizeOf(x.shape.slice(0, batchDims));
    const rows = x.shape[axis];
    const rest = [...x.shape.slice(batchDims, axis), ...x.shape.slice(axis + 1)];

    // dy is [batch, before, own, after]; the rows of the scatter are [batch, own] and its columns [before, after].
    const toRows = [
      ...count(batchDims),
      ...count(own).map((i) => batchDims + before + i),
      ...count(before).map((i) => batchDims + i),
      ...count(x.rank - axis - 1).map((i) => batchDims + before + own + i),
    ];
    const moved = before === 0 ? dy : tf.transpose(dy, toRows);
    const updates = tf.reshape(moved, [indices.size, sizeOf(rest)]);
    const offsets = count(batch).flatMap((b) => Array.from({ length: indices.size / batch }, () => b * rows));
    const flat = tf.reshape(indices, [indices.size, 1]);
    const places = batch === 1 ? flat : tf.add(flat, integers(offsets, [indices.size, 1]));
    const table = tf.reshape(scatter(places, updates, [batch * rows, sizeOf(rest)]), [
      ...x.shape.slice(0, batchDims),
      rows,
      ...rest,
    ]);
    if (before === 0) return reshaped(table, x.shape);
    const back = [
      ...count(batchDims),
      ...count(before).map((i) => batchDims + 1 + i),
      batchDims,
      ...count(x.rank - axis - 1).map((i) => axis + 1 + i),
    ];
    return tf.transpose(table, back);
  },
});

/** `x` at the rows `ids`; zero for ids outside it, which a segment sum leaves out. */
function rowsAt(x: Tensor, ids: Tensor): Tensor {
  const n = x.shape[0];
  const inside = tf.logicalAnd(tf.greaterEqual(ids, tf.scalar(0, 'int32')), tf.less(ids, tf.scalar(n, 'int32')));
  const rows = tf.gather(x, tf.mul<tf.Tensor1D>(ids, tf.cast(inside, 'int32')));
  const shape = [...inside.shape, ...Array.from({ length: rows.rank - inside.rank }, () => 1)];
  return where(tf.broadcastTo(tf.reshape(inside, shape), rows.shape), rows);
}

/** The values of the k largest stay where they were. */
const topK: Rule = ({ inputs: { x }, outputs: [, indices], dys: [dy] }) => ({
  x: () => {
    const n = x.shape[x.rank - 1];
    const k = indices.shape[indices.rank - 1];
    const offsets = Array.from({ length: indices.size }, (_, i) => Math.floor(i / k) * n);
    const places = tf.add(tf.reshape(indices, [indices.size, 1]), integers(offsets, [indices.size, 1]));
    return tf.reshape(scatter(places, tf.reshape(dy, [indices.size]), [x.size]), x.shape);
  },
});

export const INDEXING: RuleTable = {
  GatherV2: gather,
  GatherNd: ({ inputs: { params, indices }, dys: [dy] }) => ({ params: () => scatter(indices, dy, params.shape) }),
  ScatterNd: ({ inputs: { indices }, dys: [dy] }) => ({ updates: () => gatherNd(dy, indices) }),
  TensorScatterUpdate: ({ inputs: { indices, updates }, dys: [dy] }) => ({
    tensor: () => kernel('TensorScatterUpdate', { tensor: dy, indices, updates: tf.zeros(updates.shape) }),
    updates: () => gatherNd(dy, indices),
  }),
  SparseToDense: ({ inputs: { sparseIndices, sparseValues, defaultValue }, dys: [dy] }) => {
    const shape: readonly number[] = sparseIndices.shape;
    const depth = shape.length > 1 ? shape[1] : 1;
    const indices = (): Tensor => tf.reshape(sparseIndices, [sparseIndices.size / depth, depth]);
    return {
      sparseValues: () => unbroadcast(gatherNd(dy, indices()), sparseValues.shape),
      defaultValue: () => {
        const at = indices();
        const rest = kernel('TensorScatterUpdate', { tensor: dy, indices: at, updates: tf.zeros([at.shape[0]]) });
        return reshaped(tf.sum(rest), defaultValue.shape);
      },
    };
  },
  UnsortedSegmentSum: ({ inputs: { segmentIds }, dys: [dy] }) => ({ x: () => rowsAt(dy, segmentIds) }),
  TopK: topK,
  Bincount: ({ inputs: { x, weights }, dys: [dy] }) => ({
    weights: () => (weights.size === 0 ? null : rowsAt(dy, x)),
  }),
  DenseBincount: ({ inputs: { x, weights }, dys: [dy], attrs }) => ({
    weights: () => {
      if (weights.size === 0 || attrs.binaryOutput === true) return null;
      if (x.rank === 1) return rowsAt(dy, x);
      const size = attrs.size as number;
      const perRow = x.size / x.shape[0];
      const offsets = Array.from({ length: x.size }, (_, i) => Math.floor(i / perRow) * size);
      const flat = tf.add(tf.reshape(x, [x.size]), integers(offsets, [x.size]));
      const inside = tf.less(tf.reshape(x, [x.size]), tf.scalar(size, 'int32'));
      const outside = tf.scalar(dy.size, 'int32');
      const places = kernel('Select', { condition: inside, t: flat, e: tf.broadcastTo(outside, [x.size]) });
      return tf.reshape(rowsAt(tf.reshape(dy, [dy.size]), places), weights.shape);
    },
  }),
};
