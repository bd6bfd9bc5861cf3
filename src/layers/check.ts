/**
 * What a layer says when it is given something that does not fit: itself, where it stands in the model, what it got and
 * what it wanted.
 */
import { scopeNote } from '../core/scope.js';
import type { Tensor } from '../core/tree.js';
import { describe, formatShape, isRecord, isTensor, withArticle } from '../core/value.js';
import { donationOf } from '../graph/donation.js';

/** An input, a parameter tree or a state tree that does not fit the layer it was given to. */
export class LayerError extends Error {
  override readonly name = 'LayerError';
}

/** Throw a {@link LayerError}: `Dense(2 => 50): message (in layer layer2)`. */
export function fail(layer: string, message: string): never {
  throw new LayerError(`${layer}: ${message}${scopeNote()}`);
}

export interface InputNeeds {
  /** Size of the last axis. */
  readonly features?: number;
  /** Number of axes, or the least and the greatest. */
  readonly rank?: number | readonly [number, number];
  /** Default `'float32'`; null for any. */
  readonly dtype?: 'float32' | 'int32' | 'bool' | null;
}

const axes = (n: number): string => `${n} ${n === 1 ? 'axis' : 'axes'}`;

/** Check one input tensor. @throws LayerError */
export function checkInput(
  layer: string,
  x: unknown,
  { features, rank, dtype = 'float32' }: InputNeeds = {},
): asserts x is Tensor {
  if (!isTensor(x)) fail(layer, `expected a tensor as input, got ${describe(x)}`);
  const { shape } = x;
  if (x.isDisposed) {
    const donation = donationOf(x);
    fail(layer, `the input ${formatShape(shape)}${donation === undefined ? ' has been disposed' : `: ${donation}`}`);
  }
  if (dtype !== null && x.dtype !== dtype) fail(layer, `expected ${withArticle(dtype)} input, got ${describe(x)}`);
  if (rank !== undefined) {
    const [least, most] = typeof rank === 'number' ? [rank, rank] : rank;
    if (shape.length < least || shape.length > most) {
      const wanted =
        least === most ? axes(least) : most === Infinity ? `${axes(least)} or more` : `${least} to ${axes(most)}`;
      fail(layer, `expected an input with ${wanted}, got shape ${formatShape(shape)}`);
    }
  }
  if (features !== undefined && shape.at(-1) !== features) {
    const wanted = `${features} feature${features === 1 ? '' : 's'}`;
    fail(layer, `expected an input with ${wanted} in its last axis, got shape ${formatShape(shape)}`);
  }
}

/** Check a tuple of inputs. @throws LayerError */
export function checkTuple(layer: string, x: unknown, length: number): asserts x is readonly unknown[] {
  if (!Array.isArray(x) || x.length !== length) {
    fail(layer, `expected an array of ${length} inputs, got ${describe(x)}`);
  }
}

/** The fields of a parameter or state tree must be exactly these. @throws LayerError */
export function checkFields(
  layer: string,
  tree: unknown,
  names: readonly string[],
  what: 'parameters' | 'states',
): asserts tree is Readonly<Record<string, unknown>> {
  if (!isRecord(tree)) {
    fail(layer, `expected a record of ${what} {${names.join(', ')}}, got ${describe(tree)}`);
  }
  const hint = `expected {${names.join(', ')}}, got {${Object.keys(tree).join(', ')}}; are these the ${what} of another model?`;
  for (const name of names) {
    if (!Object.hasOwn(tree, name)) fail(layer, `the ${what} have no field "${name}": ${hint}`);
  }
  for (const name of Object.keys(tree)) {
    if (!names.includes(name)) fail(layer, `the ${what} have an unexpected field "${name}": ${hint}`);
  }
}

/** Each parameter must be there, have its shape, and be float32; there must be no other. @throws LayerError */
export function checkParameters(
  layer: string,
  ps: unknown,
  shapes: Readonly<Record<string, readonly number[]>>,
): asserts ps is Readonly<Record<string, Tensor>> {
  checkFields(layer, ps, Object.keys(shapes), 'parameters');
  for (const [name, shape] of Object.entries(shapes)) {
    const given = ps[name];
    const fits =
      isTensor(given) &&
      given.dtype === 'float32' &&
      given.shape.length === shape.length &&
      given.shape.every((n, i) => n === shape[i]);
    if (!fits) {
      fail(layer, `parameter "${name}" must be a float32 tensor ${formatShape(shape)}, got ${describe(given)}`);
    }
  }
}

/** A size that a constructor was given. @throws TypeError */
export function checkSize(where: string, what: string, n: unknown): number {
  if (Number.isSafeInteger(n) && (n as number) > 0) return n as number;
  throw new TypeError(`${where}: ${what} must be a positive integer, got ${describe(n)}`);
}
