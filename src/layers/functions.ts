/**
 * Layers without parameters: functions in the form of a layer.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Empty } from '../core/layer.js';
import { parseOptions, positiveInteger, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import type { Tensor } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { functionName } from '../functional/function-name.js';
import { checkInput, fail } from './check.js';
import { tidy } from './tidy.js';
import type { Stateless } from './types.js';

/** A layer from a function of its input alone; it has no parameters and no states. */
export function functionLayer<X, Y>(name: string, summary: string, f: (x: X) => Y): Stateless<X, Y> {
  return defineLayer({
    display: Object.freeze({ name, summary }),
    initialParameters: (): Empty => ({}),
    initialStates: (): Empty => ({}),
    apply: (x: X, _ps: Empty, st: Empty): [Y, Empty] => [tidy(() => f(x)), st],
  });
}

/** Gives back what it gets. */
export function noOpLayer<X = Tensor>(): Stateless<X, X> {
  return functionLayer<X, X>('NoOpLayer', '', (x) => x);
}

/**
 * A function as a layer. Containers do this to functions by themselves.
 *
 * @param f A pure function.
 * @param name As it prints. Default: the function's own name.
 */
export function wrappedFunction<X, Y>(f: (x: X) => Y, name?: string): Stateless<X, Y> {
  if (typeof f !== 'function') throw new TypeError(`wrappedFunction: expected a function, got ${describe(f)}`);
  return functionLayer<X, Y>('WrappedFunction', name ?? functionName(f), (x) => f(x));
}

/**
 * Gives each sample another shape: `[batch, ...]` to `[batch, ...shape]`.
 *
 * @param shape The shape of one sample; one of its sizes may be -1, which is what is left.
 */
export function reshapeLayer(shape: readonly number[]): Stateless {
  const given: unknown = shape; // Array.isArray makes an any[] of a readonly array
  if (!Array.isArray(given)) {
    throw new TypeError(`reshapeLayer: the shape must be an array of integers, got ${describe(given)}`);
  }
  const wild = shape.filter((n) => n === -1).length;
  if (wild > 1 || shape.some((n) => n !== -1 && !(Number.isSafeInteger(n) && n > 0))) {
    throw new TypeError(
      `reshapeLayer: the shape must be positive integers, one of them -1 at most, got ${formatShape(shape)}`,
    );
  }
  const known = shape.reduce((n, m) => (m === -1 ? n : n * m), 1);
  const summary = `(${shape.map((n) => (n === -1 ? ':' : String(n))).join(', ')}, :)`;
  const title = `ReshapeLayer(${summary})`;
  return functionLayer('ReshapeLayer', summary, (x: Tensor) => {
    checkInput(title, x, { rank: [1, Infinity], dtype: null });
    const each = x.shape.slice(1).reduce((n, m) => n * m, 1);
    if (wild === 0 ? each !== known : each % known !== 0) {
      fail(
        title,
        `cannot give samples of ${each} elements the shape ${formatShape(shape)}, got shape ${formatShape(x.shape)}`,
      );
    }
    return tf.reshape(x, [x.shape[0], ...shape.map((n) => (n === -1 ? each / known : n))]);
  });
}

const FLATTEN = z.strictObject({ axes: positiveInteger.optional() });

export interface FlattenOptions {
  /** How many of the last axes become one. Default: all but the first. */
  readonly axes?: number;
}

/** Makes one axis of all but the first: `[batch, 28, 28, 1]` to `[batch, 784]`. */
export function flattenLayer(options?: FlattenOptions): Stateless {
  const { axes } = parseOptions(FLATTEN, options, 'flattenLayer');
  const summary = axes === undefined ? '' : `axes=${axes}`;
  const title = `FlattenLayer(${summary})`;
  return functionLayer('FlattenLayer', summary, (x: Tensor) => {
    checkInput(title, x, { rank: [axes === undefined ? 1 : axes, Infinity], dtype: null });
    const kept = axes === undefined ? 1 : x.rank - axes;
    const size = x.shape.slice(kept).reduce((n, m) => n * m, 1);
    return tf.reshape(x, [...x.shape.slice(0, kept), size]);
  });
}

/**
 * Takes one slice: entry `index` along axis `dim`, which goes. Negative numbers count from the end.
 *
 * @param dim The axis; 0 is the batch.
 */
export function selectDim(dim: number, index: number): Stateless {
  if (!Number.isSafeInteger(dim) || !Number.isSafeInteger(index)) {
    throw new TypeError(`selectDim: axis and index must be integers, got ${dim} and ${index}`);
  }
  const summary = `dim=${dim}, index=${index}`;
  const title = `SelectDim(${summary})`;
  return functionLayer('SelectDim', summary, (x: Tensor) => {
    checkInput(title, x, { dtype: null });
    const axis = dim < 0 ? dim + x.rank : dim;
    if (axis < 0 || axis >= x.rank) fail(title, `the input has no axis ${dim}, got shape ${formatShape(x.shape)}`);
    const at = index < 0 ? index + x.shape[axis] : index;
    if (at < 0 || at >= x.shape[axis]) {
      fail(title, `axis ${dim} has no entry ${index}, got shape ${formatShape(x.shape)}`);
    }
    const begin = x.shape.map((_, i) => (i === axis ? at : 0));
    const size = x.shape.map((n, i) => (i === axis ? 1 : n));
    const shape = x.shape.filter((_, i) => i !== axis);
    return tf.reshape(tf.slice(x, begin, size), shape);
  });
}

/** Turns an axis round. @param axis Default 1: time, when samples come first. */
export function reverseSequence(axis = 1): Stateless {
  if (!Number.isSafeInteger(axis)) throw new TypeError(`reverseSequence: the axis must be an integer, got ${axis}`);
  const title = `ReverseSequence(${axis})`;
  return functionLayer('ReverseSequence', String(axis), (x: Tensor) => {
    checkInput(title, x, { dtype: null });
    const along = axis < 0 ? axis + x.rank : axis;
    if (along < 0 || along >= x.rank) fail(title, `the input has no axis ${axis}, got shape ${formatShape(x.shape)}`);
    return tf.reverse(x, along);
  });
}
