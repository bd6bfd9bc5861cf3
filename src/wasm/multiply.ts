/**
 * One matrix product between views, for operations that are made of several.
 */
import { transposed, type MatMulSpec } from './emit/matmul.js';
import type { Planner } from './plan.js';
import type { View } from './views.js';

/** C = A B. Fewer columns than a vector has lanes, and more rows: the transposed product fills the lanes. */
const NARROW = 4;

/** Write the product of `a` [rows, inner] and `b` [inner, columns] to `c`, whose sum must not be empty. */
export function multiply(planner: Planner, c: View, a: View, b: View): void {
  const [rows, inner] = a.shape;
  const columns = b.shape[1];
  if (rows * columns === 0) return;
  const pair = ({ strides }: View): [number, number] => [strides[0], strides[1]];
  const spec: MatMulSpec = { rows, inner, columns, a: pair(a), b: pair(b), c: pair(c) };
  const isTurned = columns < NARROW && a.strides[0] === 1 && a.strides[1] !== 1;
  planner.steps.push({ type: 'matmul', spec: isTurned ? transposed(spec) : spec, views: isTurned ? [c, b, a] : [c, a, b] }); // prettier-ignore
}
