/**
 * What the derivative rules are written with: kernels called by name, broadcasting and its transpose, exact constants.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import { engineInternals, type Attrs, type KernelInputs } from '../engine.js';
import { sameShape, sizeOf, splatOf } from '../graph.js';
import { currentTrace } from '../trace.js';
import type { Rule } from './rule.js';

export type Tensor = tf.Tensor;
export type Inputs = Readonly<Record<string, Tensor>>;

/** Run a kernel of one output by its name, where tfjs's op would add casts, reshapes or checks. */
export function kernel(name: string, inputs: KernelInputs, attrs: Attrs = {}): Tensor {
  return engineInternals().runKernel(name, inputs, attrs) as Tensor;
}

/** A kernel on floats as a function: tfjs's operation of that name serves all others, with its casts and checks. */
const binary =
  (name: string, otherwise: (a: Tensor, b: Tensor) => Tensor) =>
  (a: Tensor, b: Tensor): Tensor =>
    a.dtype === 'float32' && b.dtype === 'float32' ? kernel(name, { a, b }) : otherwise(a, b);
const unary =
  (name: string, otherwise: (x: Tensor) => Tensor) =>
  (x: Tensor): Tensor =>
    x.dtype === 'float32' ? kernel(name, { x }) : otherwise(x);

export const add = binary('Add', tf.add);
export const sub = binary('Sub', tf.sub);
export const mul = binary('Multiply', tf.mul);
export const div = binary('RealDiv', tf.div);
export const neg = unary('Neg', tf.neg);
export const square = unary('Square', tf.square);
export const sqrt = unary('Sqrt', tf.sqrt);

/** The one value of all elements, where the tensor is a constant of this trace that has one. */
export function constantOf(x: Tensor): number | undefined {
  const trace = currentTrace();
  return trace === undefined ? undefined : splatOf(trace.valueOf(x));
}

export const isComplex = (x: Tensor): boolean => x.dtype === 'complex64';

/** Re and Im treated alike, where a kernel knows real tensors only. */
export function byParts(x: Tensor, f: (part: Tensor) => Tensor): Tensor {
  return isComplex(x) ? tf.complex(f(tf.real(x)), f(tf.imag(x))) : f(x);
}

/** `c x`, with all the digits of `c`. */
export function times(x: Tensor, c: number): Tensor {
  return c === 1 ? x : byParts(x, (part) => mul(part, constant(c)));
}

export const negative = (x: Tensor): Tensor => byParts(x, neg);

export const reshaped = (x: Tensor, shape: readonly number[]): Tensor =>
  sameShape(x.shape, shape) ? x : kernel('Reshape', { x }, { shape: [...shape] });

/** The transpose of broadcasting from `shape`: one sum over every axis that was stretched. */
export function unbroadcast(dy: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(dy.shape, shape)) return dy;
  const added = dy.shape.length - shape.length;
  const axes = dy.shape.flatMap((n, i) => (i < added || (shape[i - added] === 1 && n !== 1) ? [i] : []));
  const sum = axes.length === 0 ? dy : byParts(dy, (x) => kernel('Sum', { x }, { axis: axes, keepDims: axes.some((i) => i >= added) })); // prettier-ignore
  return reshaped(sum, shape);
}

/** `x`, whose axes are 1 or as long as those of `shape`, repeated to fill `shape`. */
export function stretched(x: Tensor, shape: readonly number[]): Tensor {
  const given = [...Array.from({ length: shape.length - x.rank }, () => 1), ...x.shape];
  const reps = shape.map((n, i) => (given[i] === n ? 1 : n));
  const aligned = reshaped(x, given);
  return reps.every((r) => r === 1) ? aligned : kernel('Tile', { x: aligned }, { reps });
}

/** Axes of a reduction, none negative, in order. */
export function axesOf(axis: unknown, shape: readonly number[]): number[] {
  return tf.util.parseAxisParam(axis as number | number[], [...shape]).sort((a, b) => a - b);
}

export const keptShape = (shape: readonly number[], axes: readonly number[]): number[] =>
  shape.map((n, i) => (axes.includes(i) ? 1 : n));

export const countOf = (shape: readonly number[], axes: readonly number[]): number => sizeOf(axes.map((i) => shape[i]));

/** `dy` where the condition holds, zero elsewhere: unlike a product with the mask, it lets no NaN through. */
export const where = (condition: Tensor, dy: Tensor): Tensor =>
  kernel('Select', { condition, t: dy, e: tf.zeros(dy.shape) });

export const whereNot = (condition: Tensor, dy: Tensor): Tensor =>
  kernel('Select', { condition, t: tf.zeros(dy.shape), e: dy });

/** Int32 constant of any shape. */
export const integers = (values: ArrayLike<number>, shape: readonly number[]): Tensor =>
  tf.tensor(Int32Array.from(values), [...shape], 'int32');

/**
 * `x` with `steps[k] - 1` zeros between its neighbours along `axes[k]`: a filter of that dilation, or the transpose of
 * a slice with that stride.
 */
export function dilated(x: Tensor, axes: readonly number[], steps: readonly number[]): Tensor {
  if (steps.every((s) => s === 1)) return x;
  // Only these axes are split: backends pad tensors of six axes at most.
  const stepOf = new Map(axes.flatMap((axis, k): [number, number][] => (steps[k] === 1 ? [] : [[axis, steps[k]]])));
  const split = x.shape.flatMap((n, i) => (stepOf.has(i) ? [n, 1] : [n]));
  const paddings = x.shape.flatMap((_, i): [number, number][] => {
    const step = stepOf.get(i);
    return step === undefined ? [[0, 0]] : [[0, 0], [0, step - 1]]; // prettier-ignore
  });
  const wide = x.shape.map((n, i) => n * (stepOf.get(i) ?? 1));
  const trimmed = x.shape.map((n, i) => (n === 0 ? 0 : (n - 1) * (stepOf.get(i) ?? 1) + 1));
  const padded = kernel('PadV2', { x: tf.reshape(x, split) }, { paddings, constantValue: 0 });
  return tf.slice(tf.reshape(padded, wide), trimmed.map(() => 0), trimmed); // prettier-ignore
}

/** Undoes `dilated`: every `steps[k]`-th element along `axes[k]`. */
export function thinned(x: Tensor, axes: readonly number[], steps: readonly number[]): Tensor {
  if (steps.every((s) => s === 1)) return x;
  const strides = x.shape.map((_, i) => (axes.includes(i) ? steps[axes.indexOf(i)] : 1));
  return tf.stridedSlice(x, strides.map(() => 0), x.shape, strides); // prettier-ignore
}

/**
 * The rule of a kernel that is a plain expression in other operations: the derivative of that expression. What the
 * derivative does not need of it is dead and removed.
 */
export function through(expression: (inputs: Inputs, attrs: Attrs) => Tensor): Rule {
  return ({ inputs, dys: [dy], attrs }) => {
    const names = Object.keys(inputs).filter((name) => inputs[name].dtype === 'float32');
    let gradients: (Tensor | null)[] | undefined;
    const compute = (): (Tensor | null)[] => {
      // Under names of their own, so that one tensor given as two inputs keeps two cotangents.
      const own: Record<string, Tensor> = { ...inputs };
      for (const name of names) own[name] = tf.clone(inputs[name]);
      const xs = names.map((name) => own[name]);
      return engineInternals().gradients(() => expression(own, attrs), xs, dy).grads;
    };
    return Object.fromEntries(names.map((name, i) => [name, () => (gradients ??= compute())[i]]));
  };
}

/** No input has a derivative other than zero. */
export const zero: Rule = () => ({});

/** A kernel of one input `name` whose cotangent is `f(dy)`. */
export const linear =
  (name: string, f: (dy: Tensor, x: Tensor, attrs: Attrs) => Tensor): Rule =>
  ({ inputs, dys: [dy], attrs }) => ({ [name]: () => f(dy, inputs[name], attrs) });
