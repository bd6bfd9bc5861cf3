/**
 * Derivatives of functions of trees: any order, nestable in each other, inside `compile` or alone.
 */
import * as tf from '@tensorflow/tfjs-core';
import {
  checkSameTree,
  flatten,
  formatPath,
  isRecord,
  isTensor,
  leavesWithPaths,
  treeZip,
  type Tensor,
  type Tree,
} from '../core/tree.js';
import { flag, nonNegativeInteger, parseOptions, z } from '../core/options.js';
import { describe } from '../core/value.js';
import { runOnce } from './compile.js';
import { backpropagate } from './differentiate.js';
import { currentTrace, Trace } from './trace.js';

/** A function whose first result may be the scalar to differentiate; `aux` is anything else it returns. */
export interface GradOptions {
  /** The position of the argument to differentiate for, or several. Default 0. */
  readonly argnums?: number | readonly number[];
  /** The function returns `[loss, aux]`; `aux` is passed through as it is. Default false. */
  readonly hasAux?: boolean;
}

export class GradientError extends Error {
  override readonly name = 'GradientError';
}

function tracing(): Trace {
  return currentTrace() as Trace;
}

/** Whether a tree without tensors is empty all the way down: of a layer without parameters, and not a number or an array of them. */
const isEmpty = (tree: unknown): boolean =>
  Array.isArray(tree) ? tree.every(isEmpty) : isRecord(tree) && Object.values(tree).every(isEmpty);

function checkFloating(tree: unknown, what: string): void {
  const found = leavesWithPaths(tree);
  if (found.length === 0 && !isEmpty(tree)) {
    throw new GradientError(
      `${what}: expected a tensor or a tree of tensors, got ${describe(tree)}; a number becomes one by tf.scalar(x) or constant(x)`,
    );
  }
  for (const { leaf, path } of found) {
    if (leaf.dtype === 'float32') continue;
    throw new GradientError(
      `${what}: the tensor at ${formatPath(path)} is ${leaf.dtype}; only float32 has a derivative`,
    );
  }
}

/** Fresh names for the tensors of a tree, so that only what is computed from them from here on is differentiated. */
function fresh<T>(tree: T): T {
  const { leaves, unflatten } = flatten(tree);
  const trace = tracing();
  return unflatten(leaves.map((x) => trace.tensorOf(trace.record('Identity', { x }).outputs[0])));
}

/** Pull cotangents of `ys` back to the tensors of `x`; zeros where nothing depends on one. */
function pullback<T>(ys: readonly Tensor[], dys: readonly Tensor[], x: T, since: number, until?: number): T {
  const trace = tracing();
  const { leaves, unflatten } = flatten(x);
  const targets = ys.map((y, i) => ({ value: trace.valueOf(y), dy: dys[i] }));
  const grads = backpropagate(trace, targets, leaves.map((t) => trace.valueOf(t)), since, until); // prettier-ignore
  // Integers and booleans (an index, a key, a mask) have no derivative: theirs is zero, as is an unused argument's.
  return unflatten(grads.map((g, i) => g ?? tf.zeros(leaves[i].shape, leaves[i].dtype)));
}

const OPTIONS = z.strictObject({
  argnums: z.union([nonNegativeInteger, z.array(nonNegativeInteger)]).default(0),
  hasAux: flag.default(false),
});

function checkFunction(f: unknown, where: string): void {
  if (typeof f !== 'function') throw new TypeError(`${where}: the first argument must be a function, got ${typeof f}`);
}

function checkArguments(xs: unknown, where: string): void {
  if (Array.isArray(xs)) return;
  throw new TypeError(`${where}: the second argument must be the array of the function's arguments, such as [x], got ${describe(xs)}`); // prettier-ignore
}

function scalar(y: unknown, what: string): Tensor {
  if (!isTensor(y)) throw new GradientError(`${what}: the function must return a scalar tensor, got ${describe(y)}`);
  if (y.size !== 1)
    throw new GradientError(`${what}: the function must return a scalar, got shape [${y.shape.join(', ')}]`);
  if (y.dtype !== 'float32') throw new GradientError(`${what}: the function must return float32, got ${y.dtype}`);
  return y;
}

type Argnums = number | readonly number[];

/** The gradient for one argument, or a list of those for several. */
type GradOf<A extends unknown[], N extends Argnums> = N extends readonly number[]
  ? { -readonly [I in keyof N]: A[N[I] & keyof A] }
  : N extends number
    ? A[N]
    : never;

/**
 * Value and gradient of a scalar function, the gradient shaped like the differentiated argument; a list of gradients where
 * `argnums` is one.
 */
export function valueAndGrad<A extends unknown[], const N extends Argnums = 0>(
  f: (...args: A) => Tensor,
  options?: { readonly argnums?: N; readonly hasAux?: false },
): (...args: A) => { value: Tensor; grad: GradOf<A, N> };
export function valueAndGrad<A extends unknown[], X, const N extends Argnums = 0>(
  f: (...args: A) => [Tensor, X],
  options: { readonly argnums?: N; readonly hasAux: true },
): (...args: A) => { value: Tensor; grad: GradOf<A, N>; aux: X };
export function valueAndGrad(
  f: (...args: never[]) => unknown,
  options: GradOptions = {},
): (...args: never[]) => unknown {
  return differentiate(f, options, 'valueAndGrad');
}

/** {@link valueAndGrad} under the name `where` in its errors. */
function differentiate(
  f: (...args: never[]) => unknown,
  options: GradOptions,
  where: string,
): (...args: never[]) => unknown {
  checkFunction(f, where);
  const { argnums, hasAux } = parseOptions(OPTIONS, options, where);
  const positions = typeof argnums === 'number' ? [argnums] : argnums;
  const differentiated = (...args: unknown[]): unknown => {
    for (const n of positions) {
      if (!Number.isInteger(n) || n < 0 || n >= args.length) {
        throw new GradientError(`${where}: argnums ${n} with ${args.length} argument(s)`);
      }
    }
    const own = [...args];
    for (const n of positions) {
      checkFloating(args[n], `${where}: argument ${n}`);
      own[n] = fresh(args[n]);
    }
    const since = tracing().nodes.length;
    const result = f(...(own as never[]));
    if (hasAux && (!Array.isArray(result) || result.length !== 2)) {
      throw new GradientError(`${where}: with hasAux the function must return [loss, aux], got ${describe(result)}`);
    }
    const [loss, aux] = hasAux ? (result as [unknown, unknown]) : [result, undefined];
    const value = scalar(loss, where);
    const wanted = positions.map((n) => own[n]);
    const grads = pullback([value], [tf.ones(value.shape)], wanted, since);
    const grad = typeof argnums === 'number' ? grads[0] : grads;
    return hasAux ? { value, grad, aux } : { value, grad };
  };
  return (...args) => runOnce(differentiated as (...args: never[]) => unknown, args);
}

/**
 * The gradient of a scalar function, shaped like its first argument (or like that of `argnums`, or a list for a list of them).
 * With `hasAux` the pair `[gradient, aux]`, as in JAX.
 */
export function grad<A extends unknown[], const N extends Argnums = 0>(
  f: (...args: A) => Tensor,
  options?: { readonly argnums?: N; readonly hasAux?: false },
): (...args: A) => GradOf<A, N>;
export function grad<A extends unknown[], X, const N extends Argnums = 0>(
  f: (...args: A) => [Tensor, X],
  options: { readonly argnums?: N; readonly hasAux: true },
): (...args: A) => [GradOf<A, N>, X];
export function grad(f: (...args: never[]) => unknown, options: GradOptions = {}): (...args: never[]) => unknown {
  const both = differentiate(f, options, 'grad') as (...args: unknown[]) => { readonly grad: unknown; readonly aux?: unknown }; // prettier-ignore
  // The value does not leave the trace, so that what only it needs is dropped.
  const gradient = (...given: unknown[]): unknown => {
    const { grad, aux } = both(...given);
    return options.hasAux === true ? [grad, aux] : grad;
  };
  return (...args) => runOnce(gradient as (...args: never[]) => unknown, args);
}

/**
 * The value of `f` and its pullback: `pull(dy)` gives the cotangents of all arguments, `dy` shaped like the value.
 *
 * Nothing is kept between the two: the pullback computes the value again, so there is nothing to dispose of.
 */
export function vjp<A extends unknown[], Y extends Tree>(f: (...args: A) => Y, ...xs: A): [Y, (dy: Y) => A] {
  const value = runOnce(f as unknown as (...args: never[]) => Y, xs);
  const pull = (dy: Y): A => {
    checkSameTree(value, dy, 'vjp: cotangent');
    return runOnce(
      (given: A, seed: Y) => {
        const own = fresh(given);
        const since = tracing().nodes.length;
        const y = f(...own);
        return pullback(flatten(y).leaves, flatten(seed).leaves, own, since);
      },
      [xs, dy],
    );
  };
  return [value, pull];
}

/**
 * The value of `f` at `xs` and its derivative in the direction `vs`.
 *
 * The pullback is linear in its cotangent; its own pullback is the Jacobian-vector product (double reverse mode), and
 * what the first one computed only for that is dead and removed.
 */
export function jvp<A extends unknown[], Y extends Tree>(f: (...args: A) => Y, xs: A, vs: A): [Y, Y] {
  checkArguments(xs, 'jvp');
  checkSameTree(xs, vs, 'jvp: tangent');
  return runOnce(
    (given: A, tangents: A) => {
      const own = fresh(given);
      const since = tracing().nodes.length;
      const y = f(...own);
      const { leaves: ys, unflatten } = flatten(y);
      const trace = tracing();
      const zeros = ys.map((t) => trace.tensorOf(trace.record('Identity', { x: tf.zeros(t.shape) }).outputs[0]));
      const transposedSince = trace.nodes.length;
      const pulled = pullback(ys, zeros, own, since);
      const pushed = pullback(flatten(pulled).leaves, flatten(tangents).leaves, zeros, transposedSince);
      return [y, unflatten(pushed)];
    },
    [xs, vs],
  );
}

/**
 * The Jacobian of `f` at `x`: for each tensor of `x`, a tensor of shape `[...shape of f(x), ...shape of that tensor]`.
 *
 * @param f A function of one tree that returns one tensor.
 */
export function jacobian<X extends Tree>(f: (x: X) => Tensor): (x: X) => X {
  checkFunction(f, 'jacobian');
  return (x) =>
    runOnce(
      (given: X) => {
        const own = fresh(given);
        const since = tracing().nodes.length;
        const y = f(own);
        if (!isTensor(y)) throw new GradientError('jacobian: the function must return one tensor');
        const until = tracing().nodes.length;
        const rows = Array.from({ length: y.size }, (_, i) => {
          const unit = new Float32Array(y.size);
          unit[i] = 1;
          const seed = tf.tensor(unit, y.shape);
          return flatten(pullback([y], [seed], own, since, until)).leaves;
        });
        const { leaves, unflatten } = flatten(own);
        return unflatten(
          leaves.map((leaf, j) => {
            const shape = [...y.shape, ...leaf.shape];
            return rows.length === 0 ? tf.zeros(shape) : tf.reshape(tf.stack(rows.map((row) => row[j])), shape);
          }),
        );
      },
      [x],
    );
}

/** The Hessian of a scalar function times `vs`, for all arguments at once: the gradient of (gradient . vs). */
export function hvp<A extends unknown[]>(f: (...args: A) => Tensor, xs: A, vs: A): A {
  checkArguments(xs, 'hvp');
  checkSameTree(xs, vs, 'hvp: direction');
  return runOnce(
    (given: A, directions: A) => {
      const slope = (...at: A): Tensor => {
        const gradients = grad((all: A) => f(...all))(at);
        const products: Tensor[] = [];
        treeZip(gradients, [directions], ([g, v]) => {
          products.push(tf.sum(tf.mul(g, v)));
          return g;
        });
        return products.length === 1 ? products[0] : tf.addN(products);
      };
      return grad((all: A) => slope(...all))(given);
    },
    [xs, vs],
  );
}

/** The same value, treated as a constant by every derivative. */
export function stopGradient<T>(tree: T): T {
  const { leaves, unflatten } = flatten(tree);
  return unflatten(leaves.map((x) => stopped(x)));
}

const stopped = (x: Tensor): Tensor =>
  tf.customGrad((y) => ({ value: tf.clone(y as Tensor), gradFunc: (dy: Tensor) => tf.zerosLike(dy) }))(x);
