/**
 * Linear systems `A x = b`, with a matrix or a function for A.
 */
import * as tf from '@tensorflow/tfjs-core';
import { isTensor, leaves, treeMap, treeZip, type Tensor, type Tree } from '../../src/core/tree.js';
import { formatShape } from '../../src/graph/graph.js';
import { nonlinearProblem, type NonlinearProblem } from '../nonlinear/problem.js';

/** What a linear problem has for parameters. */
export interface LinearParameters<B extends Tree, P> {
  readonly A: P;
  readonly b: B;
}

/**
 * The system `A x = b`, to be solved by {@link lu}, {@link qr}, {@link cg}, {@link bicgstab}, {@link gmres} or {@link normalCg}; differentiable in A and b to any
 * order (the derivative solves with the transposed operator).
 *
 * @param A - A matrix `[m, n]`; b is then `[m]` or `[m, k]` (k systems, solved as one) and x `[n]` or `[n, k]`.
 * @param b - The right-hand side.
 * @throws TypeError when A and b do not fit, naming both shapes.
 */
export function linearProblem(
  A: tf.Tensor,
  b: Tensor,
  options?: { readonly x0?: Tensor },
): NonlinearProblem<Tensor, LinearParameters<Tensor, tf.Tensor>>;
/**
 * The same without a matrix.
 *
 * @param A - A linear function `(x, p) => A x`, of x alone or with parameters (in which the solution can then be differentiated; so
 * it can in tensors that the function closes over). Its transpose is taken from the graph where it is needed.
 * @param b - The right-hand side: a tensor or a tree of tensors, like `A(x)`.
 * @param options.x0 - Where to start, like x. Default: zeros like b.
 * @param options.p - Parameters of A.
 */
export function linearProblem<B extends Tree, P = undefined>(
  A: (x: B, p: P) => B,
  b: B,
  options?: { readonly x0?: B; readonly p?: P },
): NonlinearProblem<B, LinearParameters<B, P>>;
export function linearProblem(
  A: tf.Tensor | ((x: never, p: never) => Tree),
  b: Tree,
  { x0, p }: { readonly x0?: Tree; readonly p?: unknown } = {},
): unknown {
  if (typeof A === 'function') {
    const start = x0 ?? treeMap(b, (leaf) => tf.zerosLike(leaf));
    const apply = A as (x: Tree, p: unknown) => Tree;
    return nonlinearProblem(
      (x: Tree, given: LinearParameters<Tree, unknown>) => minus(apply(x, given.A), given.b),
      start,
      { A: p, b },
    );
  }
  if (!isTensor(A))
    throw new TypeError(`linearProblem: A must be a matrix or a function (x, p) => A x, got ${typeof A}`);
  if (A.shape.length !== 2)
    throw new TypeError(`linearProblem: A must be a matrix [m, n], got shape ${formatShape(A.shape)}`);
  if (!isTensor(b) || b.shape.length < 1 || b.shape.length > 2 || b.shape[0] !== A.shape[0]) {
    const given = isTensor(b) ? `shape ${formatShape(b.shape)}` : 'no tensor';
    throw new TypeError(`linearProblem: b must be [${A.shape[0]}] or [${A.shape[0]}, k] to go with A ${formatShape(A.shape)}, got ${given}`); // prettier-ignore
  }
  const shape = [A.shape[1], ...b.shape.slice(1)];
  const f = (x: Tree, { A: matrix, b: right }: LinearParameters<Tree, unknown>): Tree => {
    const columns = tf.reshape<tf.Rank.R2>(x as Tensor, [shape[0], -1]);
    const image = tf.matMul(matrix as tf.Tensor2D, columns);
    return tf.sub(tf.reshape(image, (right as Tensor).shape), right as Tensor);
  };
  return nonlinearProblem(f, x0 ?? tf.zeros(shape), { A, b });
}

/** `image - b`, or an error that says what differs. */
function minus(image: Tree, b: Tree): Tree {
  const [given, expected] = [leaves(image), leaves(b)];
  const fits =
    given.length === expected.length && given.every((y, i) => formatShape(y.shape) === formatShape(expected[i].shape));
  if (!fits) {
    const list = (ts: readonly Tensor[]): string => ts.map(({ shape }) => formatShape(shape)).join(', ');
    throw new TypeError(`linearProblem: A(x) must be like b: b is ${list(expected)}, A(x) is ${list(given)}`);
  }
  return treeZip(image, [b], ([y, right]) => tf.sub(y, right));
}
