/**
 * Matrix products: transpositions are strides; a right operand whose rows do not lie along memory is copied first where
 * that pays.
 */
import type { Node } from '../graph/graph.js';
import { sizeOf } from '../graph/graph.js';
import { transposed, type MatMulSpec } from './emit/matmul.js';
import type { Planner } from './plan.js';
import { broadcastStrides, rowMajor, transposeView, whole, type View } from './views.js';

const swapLast = (view: View): View => {
  const n = view.shape.length;
  return transposeView(view, view.shape.map((_, i) => (i < n - 2 ? i : i === n - 2 ? n - 1 : n - 2))); // prettier-ignore
};

/** Columns that would leave lanes empty. */
const NARROW = 2;
/** Copying a right operand pays from this many rows on. */
const FEW_ROWS = 4;

export function planMatMul(planner: Planner, node: Node): boolean {
  if (node.kernel !== 'BatchMatMul') return false;
  const [x, y] = node.inputs;
  const [out] = node.outputs;
  if (x.dtype !== 'float32' || y.dtype !== 'float32') return false;
  const { transposeA, transposeB } = node.attrs;
  let a = transposeA === true ? swapLast(planner.view(x)) : planner.view(x);
  let b = transposeB === true ? swapLast(planner.view(y)) : planner.view(y);
  const rank = out.shape.length;
  const [rows, columns] = out.shape.slice(-2);
  const inner = a.shape[a.shape.length - 1];
  if (inner === 0) return false;
  const last = (view: View, axis: number): number => view.strides[view.strides.length - 2 + axis];

  if (rows >= FEW_ROWS && last(b, 1) !== 1 && columns > 1 && (last(b, 0) !== 1 || columns >= 8)) {
    const copy = planner.scratch('float', b.shape);
    planner.copy(b, copy);
    b = copy;
  }
  // A result narrower than a vector: sums along memory, if both lie so; else the transposed product.
  const isNarrow = columns <= NARROW && rows >= FEW_ROWS;
  const isTurned = isNarrow && last(a, 0) === 1 && last(a, 1) !== 1;
  if (isNarrow && last(a, 1) === 1 && last(b, 0) !== 1) {
    const turned = swapLast(b);
    const copy = planner.scratch('float', turned.shape);
    planner.copy(turned, copy);
    b = swapLast(copy);
  }
  if (last(a, 0) !== 1 && last(a, 1) !== 1 && inner > 1 && rows > 1) {
    const copy = planner.scratch('float', a.shape);
    planner.copy(a, copy);
    a = copy;
  }

  const batch = out.shape.slice(0, -2);
  const result = planner.define(out);
  const upright: MatMulSpec = {
    rows,
    inner,
    columns,
    a: [last(a, 0), last(a, 1)],
    b: [last(b, 0), last(b, 1)],
    c: [columns, 1],
  };
  const spec = isTurned ? transposed(upright) : upright;
  const outer = (view: View): number[] => broadcastStrides({ ...view, shape: view.shape.slice(0, -2), strides: view.strides.slice(0, -2) }, batch); // prettier-ignore
  const [aBatch, bBatch] = [outer(a), outer(b)];
  const cBatch = rowMajor(out.shape).slice(0, rank - 2);
  const wholes = [whole(result.buffer, out.shape), a, b] as const;
  for (let i = 0; i < sizeOf(batch); i++) {
    const at = index(i, batch);
    const moved = (view: View, strides: readonly number[]): View => ({ ...view, offset: view.offset + at.reduce((n, k, j) => n + k * strides[j], 0) }); // prettier-ignore
    planner.steps.push({
      type: 'matmul',
      spec,
      views: isTurned
        ? [moved(wholes[0], cBatch), moved(wholes[2], bBatch), moved(wholes[1], aBatch)]
        : [moved(wholes[0], cBatch), moved(wholes[1], aBatch), moved(wholes[2], bBatch)],
    });
  }
  return true;
}

function index(flat: number, shape: readonly number[]): number[] {
  const at: number[] = [];
  let rest = flat;
  for (let i = shape.length - 1; i >= 0; i--) {
    at.unshift(rest % shape[i]);
    rest = Math.floor(rest / shape[i]);
  }
  return at;
}
