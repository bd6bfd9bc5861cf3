/**
 * `einsum` as sums, transpositions and one matrix product, worked out from the labels and lengths alone.
 */
import * as tf from '@tensorflow/tfjs';
import { sizeOf } from './graph.js';

/** What becomes of an operand, in this order. */
export interface EinsumTerm {
  /** Axes that are summed over; perhaps none. */
  readonly sum: readonly number[];
  /** The axes that are left in another order; null where they have it. */
  readonly order: readonly number[] | null;
  /** The shape then: of a matrix, or a list of them. */
  readonly shape: readonly number[];
  /** The matrix is multiplied transposed. */
  readonly isTransposed: boolean;
}

export interface EinsumPlan {
  readonly first: EinsumTerm;
  /** Absent where there is one operand and no product. */
  readonly second?: EinsumTerm;
  /** The shape of the product with an axis for each label. */
  readonly shape: readonly number[];
  /** The axes of the result in terms of those; null where they are the same. */
  readonly order: readonly number[] | null;
}

const chosen = (labels: string, test: (label: string) => boolean): string => Array.from(labels).filter(test).join('');

const orderOf = (labels: string, wanted: string): number[] | null => (labels === wanted ? null : Array.from(wanted, (l) => labels.indexOf(l))); // prettier-ignore

/** Axes of labels that are in no other operand and not in the result. */
const lonelyAxes = (labels: string, elsewhere: string): number[] =>
  Array.from(labels).flatMap((l, i) => (elsewhere.includes(l) ? [] : [i]));

/** @throws Error of tfjs where the equation is wrong, or lengths do not agree. */
export function einsumPlan(equation: string, shapes: readonly (readonly number[])[]): EinsumPlan {
  const text = equation.replace(/\s/g, '');
  const { allDims, idDims } = tf.backend_util.decodeEinsumEquation(text, shapes.length);
  tf.backend_util.checkEinsumDimSizes(allDims.length, idDims, shapes.map((shape) => ({ shape })) as unknown as tf.Tensor[]); // prettier-ignore
  const [operands, out] = text.split('->');
  const sizes = new Map<string, number>();
  const given = operands.split(',');
  given.forEach((labels, k) => {
    Array.from(labels).forEach((l, i) => sizes.set(l, shapes[k][i]));
  });
  const lengths = (labels: string): number[] => Array.from(labels, (l) => sizes.get(l) ?? 1);
  const length = (labels: string): number => sizeOf(lengths(labels));
  if (given.length === 1) {
    const kept = chosen(given[0], (l) => out.includes(l));
    const first = { sum: lonelyAxes(given[0], out), order: null, shape: lengths(kept), isTransposed: false };
    return { first, shape: lengths(kept), order: orderOf(kept, out) };
  }
  const elsewhere = [given[1] + out, given[0] + out];
  const [a, b] = given.map((labels, k) => chosen(labels, (l) => elsewhere[k].includes(l)));
  const batch = chosen(a, (l) => b.includes(l) && out.includes(l));
  const inner = chosen(a, (l) => b.includes(l) && !out.includes(l));
  const rows = chosen(a, (l) => !b.includes(l));
  const columns = chosen(b, (l) => !a.includes(l));
  // An operand that already lies the other way round is multiplied transposed instead of being moved.
  const matrix = (k: 0 | 1, top: string, side: string): EinsumTerm => {
    const labels = [a, b][k];
    const isTransposed = labels === batch + side + top && top !== '' && side !== '';
    const [r, c] = isTransposed ? [side, top] : [top, side];
    return {
      sum: lonelyAxes(given[k], elsewhere[k]),
      order: orderOf(labels, batch + r + c),
      shape: [...(batch === '' ? [] : [length(batch)]), length(r), length(c)],
      isTransposed,
    };
  };
  const labels = batch + rows + columns;
  return { first: matrix(0, rows, inner), second: matrix(1, inner, columns), shape: lengths(labels), order: orderOf(labels, out) }; // prettier-ignore
}
