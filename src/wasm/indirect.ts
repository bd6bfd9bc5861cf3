/**
 * Operations whose operands say where to read or write: gathers, scatters and sums by segment.
 */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf, type Node, type Value } from '../graph/graph.js';
import { kindOf } from './elementwise.js';
import { SITES, type MoveSpec } from './emit/indirect.js';
import { constant } from './emit/terms.js';
import type { Planner } from './steps.js';
import { rowMajor, type View } from './views.js';

type Plan = (planner: Planner, node: Node) => boolean;

/** The node's inputs by the kernel's names for them. */
export function inputsOf(node: Node): Readonly<Record<string, Value>> {
  return Object.fromEntries((node.inputNames ?? []).map((name, i) => [name, node.inputs[i]]));
}

export const fill = (planner: Planner, to: View, value: number): void => {
  planner.compute({ shape: to.shape, term: constant(to.buffer.kind, value), leaves: [] }, to);
};

const siteOf = (node: Node): number => (SITES as readonly string[]).indexOf(node.kernel);

function move(planner: Planner, spec: MoveSpec, result: View, source: View, indices: View): void {
  if (spec.count > 0 && spec.slice > 0) planner.steps.push({ type: 'move', spec, views: [result, source, indices] });
}

const gather: Plan = (planner, node) => {
  const { x, indices } = inputsOf(node);
  const [out] = node.outputs;
  const kind = kindOf(x.dtype);
  if (kind === undefined || indices.dtype !== 'int32') return false;
  const axis = tf.util.parseAxisParam(node.attrs.axis as number, [...x.shape])[0];
  const batchDims = (node.attrs.batchDims as number | undefined) ?? 0;
  const batch = sizeOf(x.shape.slice(0, batchDims));
  const outer = sizeOf(x.shape.slice(batchDims, axis));
  const limit = x.shape[axis];
  const slice = sizeOf(x.shape.slice(axis + 1));
  const count = sizeOf(indices.shape) / batch;
  const [source, places] = [planner.contiguous(x), planner.contiguous(indices)];
  const spec: MoveSpec = {
    mode: 'gather',
    kind,
    outer: [
      { size: batch, strides: [outer * count * slice, outer * limit * slice, count] },
      { size: outer, strides: [count * slice, limit * slice, 0] },
    ],
    count,
    steps: [1],
    limit,
    slice,
    site: siteOf(node),
  };
  move(planner, spec, planner.define(out), source, places);
  return true;
};

/** Places in the leading axes of `shape`, as rows of the indices. */
function rows(
  indices: Value,
  shape: readonly number[],
): Pick<MoveSpec, 'outer' | 'count' | 'steps' | 'limit' | 'slice'> {
  const depth = indices.shape.length === 0 ? 1 : indices.shape[indices.shape.length - 1];
  const lead = shape.slice(0, depth);
  return {
    outer: [],
    count: depth === 0 ? 0 : sizeOf(indices.shape) / depth,
    steps: rowMajor(lead),
    limit: sizeOf(lead),
    slice: sizeOf(shape.slice(depth)),
  };
}

const gatherNd: Plan = (planner, node) => {
  const { params, indices } = inputsOf(node);
  const kind = kindOf(params.dtype);
  if (kind === undefined || indices.dtype !== 'int32' || indices.shape.at(-1) === 0) return false;
  const [source, places] = [planner.contiguous(params), planner.contiguous(indices)];
  const spec: MoveSpec = { mode: 'gather', kind, ...rows(indices, params.shape), site: siteOf(node) };
  move(planner, spec, planner.define(node.outputs[0]), source, places);
  return true;
};

/** Scatter into what `begin` writes to the result. */
function scatter(planner: Planner, node: Node, mode: 'put' | 'add', begin: (result: View) => void): boolean {
  const { indices, updates } = inputsOf(node);
  const [out] = node.outputs;
  const kind = kindOf(out.dtype);
  const places = rows(indices, out.shape);
  const fits = sizeOf(updates.shape) === places.count * places.slice;
  if (kind === undefined || kind === 'bool' || updates.dtype !== out.dtype || indices.dtype !== 'int32' || !fits)
    return false;
  if (indices.shape.at(-1) === 0 || indices.shape.length < 2) return false;
  const [source, numbers] = [planner.contiguous(updates), planner.contiguous(indices)];
  const result = planner.define(out);
  begin(result);
  move(planner, { mode, kind, ...places, site: siteOf(node) }, result, source, numbers);
  return true;
}

const scatterNd: Plan = (planner, node) =>
  scatter(planner, node, 'add', (result) => {
    fill(planner, result, 0);
  });

const scatterUpdate: Plan = (planner, node) => {
  const { tensor } = inputsOf(node);
  const from = planner.view(tensor);
  return scatter(planner, node, 'put', (result) => {
    planner.copy(from, result);
  });
};

/** A segment that does not exist is passed over. */
const segmentSum: Plan = (planner, node) => {
  const { x, segmentIds } = inputsOf(node);
  const [out] = node.outputs;
  if (x.dtype !== 'float32' || out.dtype !== 'float32') return false;
  if (segmentIds.shape.length !== 1 || segmentIds.dtype !== 'int32') return false;
  const [source, ids] = [planner.contiguous(x), planner.contiguous(segmentIds)];
  const result = planner.define(out);
  fill(planner, result, 0);
  const spec: MoveSpec = {
    mode: 'add',
    kind: 'float',
    outer: [],
    count: x.shape[0],
    steps: [1],
    limit: node.attrs.numSegments as number,
    slice: sizeOf(x.shape.slice(1)),
    site: -1,
  };
  move(planner, spec, result, source, ids);
  return true;
};

export const INDIRECT: ReadonlyMap<string, Plan> = new Map<string, Plan>([
  ['GatherV2', gather],
  ['GatherNd', gatherNd],
  ['ScatterNd', scatterNd],
  ['TensorScatterUpdate', scatterUpdate],
  ['UnsortedSegmentSum', segmentSum],
]);
