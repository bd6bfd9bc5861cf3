/**
 * Kernels that are recorded as other kernels, because tfjs computes them wrongly in some cases or not on every backend.
 *
 * `Einsum` exists on the cpu backend only, materialises the whole product before it sums, and gives a result of the wrong
 * shape when it sums over a label of one operand (`ij,jk->k`): it becomes sums, transpositions and one matrix product.
 * `BatchMatMul` on the cpu backend stretches batch axes only at the front of the shape: any other way is written out.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Attrs } from './engine.js';
import { sameShape, sizeOf } from './graph.js';

type Tensor = tf.Tensor;
/** Record a kernel of one output as it is. */
export type RecordOne = (name: string, inputs: Readonly<Record<string, Tensor>>, attrs: Attrs) => Tensor;

/** The tensor of this kernel call in terms of other kernels, or undefined to record the kernel itself. */
export type Lowering = (inputs: Readonly<Record<string, Tensor>>, attrs: Attrs, run: RecordOne) => Tensor | undefined;

interface Term {
  readonly labels: string;
  readonly tensor: Tensor;
}

const chosen = (labels: string, test: (label: string) => boolean): string => Array.from(labels).filter(test).join('');

/** Sum over the labels that are in no other operand and not in the result. */
function summed({ labels, tensor }: Term, elsewhere: string): Term {
  const kept = chosen(labels, (l) => elsewhere.includes(l));
  const axes = Array.from(labels).flatMap((l, i) => (elsewhere.includes(l) ? [] : [i]));
  return axes.length === 0 ? { labels, tensor } : { labels: kept, tensor: tf.sum(tensor, axes) };
}

function arranged({ labels, tensor }: Term, order: string): Tensor {
  return labels === order ? tensor : tf.transpose(tensor, Array.from(order, (l) => labels.indexOf(l))); // prettier-ignore
}

const shaped = (x: Tensor, shape: number[]): Tensor => (sameShape(x.shape, shape) ? x : tf.reshape(x, shape));

const einsum: Lowering = (inputs, { equation }) => {
  const operands = Object.values(inputs);
  const text = (equation as string).replace(/\s/g, '');
  const { allDims, idDims } = tf.backend_util.decodeEinsumEquation(text, operands.length);
  tf.backend_util.checkEinsumDimSizes(allDims.length, idDims, operands);
  const [left, out] = text.split('->');
  const terms = left.split(',').map((labels, i): Term => ({ labels, tensor: operands[i] }));
  if (terms.length === 1) {
    const only = summed(terms[0], out);
    return tf.clone(arranged(only, out));
  }
  const a = summed(terms[0], terms[1].labels + out);
  const b = summed(terms[1], terms[0].labels + out);
  const batch = chosen(a.labels, (l) => b.labels.includes(l) && out.includes(l));
  const inner = chosen(a.labels, (l) => b.labels.includes(l) && !out.includes(l));
  const rows = chosen(a.labels, (l) => !b.labels.includes(l));
  const columns = chosen(b.labels, (l) => !a.labels.includes(l));
  const sizes = new Map<string, number>();
  for (const { labels, tensor } of [a, b]) Array.from(labels).forEach((l, i) => sizes.set(l, tensor.shape[i]));
  const lengths = (labels: string): number[] => Array.from(labels, (l) => sizes.get(l) ?? 1);
  const length = (labels: string): number => sizeOf(lengths(labels));

  // An operand that already lies the other way round is multiplied transposed instead of being moved.
  const matrices = (term: Term, first: string, second: string): { x: Tensor; transposed: boolean } => {
    const transposed = term.labels === batch + second + first && first !== '' && second !== '';
    const [r, c] = transposed ? [second, first] : [first, second];
    const group = batch === '' ? [] : [length(batch)];
    return { x: shaped(arranged(term, batch + r + c), [...group, length(r), length(c)]), transposed };
  };
  const leftSide = matrices(a, rows, inner);
  const rightSide = matrices(b, inner, columns);
  const product = tf.matMul(leftSide.x, rightSide.x, leftSide.transposed, rightSide.transposed);
  const labels = batch + rows + columns;
  return arranged({ labels, tensor: shaped(product, lengths(labels)) }, out);
};

const batchMatMul: Lowering = ({ a, b }, attrs, run) => {
  const batchA = a.shape.slice(0, -2);
  const batchB = b.shape.slice(0, -2);
  if (sameShape(batchA, batchB) || sizeOf(batchA) === 1 || sizeOf(batchB) === 1) return undefined;
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(batchA, batchB);
  const whole = (x: Tensor): Tensor => {
    const shape = [...batch, ...x.shape.slice(-2)];
    return sameShape(x.shape, shape) ? x : tf.broadcastTo(x, shape);
  };
  return run('BatchMatMul', { a: whole(a), b: whole(b) }, attrs);
};

export const LOWERINGS: ReadonlyMap<string, Lowering> = new Map([
  ['Einsum', einsum],
  ['BatchMatMul', batchMatMul],
]);
