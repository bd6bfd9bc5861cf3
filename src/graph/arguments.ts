/**
 * Arguments and results of any structure, as lists of tensors.
 */
import { formatPath, isRecord, isTensor, type Path, type Tensor } from '../core/tree.js';
import { sameShape, type Spec } from './graph.js';

/** The structure of a value: what stays when the numbers in its tensors change. */
type Pattern =
  | { readonly kind: 'tensor'; readonly shape: readonly number[]; readonly dtype: string; readonly index: number }
  | { readonly kind: 'array'; readonly items: readonly Pattern[] }
  | { readonly kind: 'record'; readonly names: readonly string[]; readonly items: readonly Pattern[] }
  | { readonly kind: 'plain'; readonly value: unknown };

export interface Flattened {
  readonly tensors: readonly Tensor[];
  readonly pattern: Pattern;
  /** The same structure around other tensors. */
  readonly rebuild: (tensors: readonly Tensor[]) => unknown;
  /** Of arguments: where the tensor of that index stands, `argument 2.layer1.weight`. */
  readonly nameOf: (index: number) => string;
}

function patternOf(x: unknown, tensors: Tensor[]): Pattern {
  if (isTensor(x)) return { kind: 'tensor', shape: x.shape, dtype: x.dtype, index: tensors.push(x) - 1 };
  if (Array.isArray(x)) return { kind: 'array', items: x.map((child) => patternOf(child, tensors)) };
  if (!isRecord(x)) return { kind: 'plain', value: x };
  const names = Object.keys(x);
  return { kind: 'record', names, items: names.map((name) => patternOf(x[name], tensors)) };
}

function build(pattern: Pattern, tensors: readonly Tensor[]): unknown {
  switch (pattern.kind) {
    case 'tensor':
      return tensors[pattern.index];
    case 'plain':
      return pattern.value;
    case 'array': {
      const { items } = pattern;
      const out = new Array<unknown>(items.length);
      for (let i = 0; i < items.length; i++) out[i] = build(items[i], tensors);
      return out;
    }
    case 'record': {
      const { names, items } = pattern;
      const out: Record<string, unknown> = {};
      for (let i = 0; i < names.length; i++) out[names[i]] = build(items[i], tensors);
      return out;
    }
  }
}

/** Where the tensor of that index stands. */
function pathTo(pattern: Pattern, index: number): Path | undefined {
  if (pattern.kind === 'tensor') return pattern.index === index ? [] : undefined;
  if (pattern.kind === 'plain') return undefined;
  for (const [i, item] of pattern.items.entries()) {
    const rest = pathTo(item, index);
    if (rest !== undefined) return [pattern.kind === 'record' ? pattern.names[i] : i, ...rest];
  }
  return undefined;
}

/** In the list of a function's arguments, which count from 0 as `argnums` does. */
function argumentName(pattern: Pattern, index: number): string {
  const [position, ...rest] = pathTo(pattern, index) ?? [];
  if (rest.length === 0) return `argument ${position}`;
  return `argument ${position}${typeof rest[0] === 'number' ? '' : '.'}${formatPath(rest)}`;
}

/** The tensors of a value into `tensors` by their indices, if it has that pattern: structure, shapes, dtypes and plain values. */
export function matches(pattern: Pattern, x: unknown, tensors: Tensor[]): boolean {
  switch (pattern.kind) {
    case 'tensor':
      if (!isTensor(x) || x.dtype !== pattern.dtype || !sameShape(x.shape, pattern.shape)) return false;
      tensors[pattern.index] = x;
      return true;
    case 'plain':
      return Object.is(x, pattern.value);
    case 'array': {
      const { items } = pattern;
      if (!Array.isArray(x) || x.length !== items.length) return false;
      for (let i = 0; i < items.length; i++) if (!matches(items[i], x[i], tensors)) return false;
      return true;
    }
    case 'record': {
      if (!isRecord(x)) return false;
      const { names, items } = pattern;
      const given = Object.keys(x);
      if (given.length !== names.length) return false;
      for (let i = 0; i < names.length; i++) {
        if (given[i] !== names[i] || !matches(items[i], x[given[i]], tensors)) return false;
      }
      return true;
    }
  }
}

let nextIdentity = 0;
const identities = new WeakMap<object, number>();

/** A number for a function or object: plain values of this kind are equal when they are the same object. */
export function identity(x: object): number {
  let id = identities.get(x);
  if (id === undefined) identities.set(x, (id = nextIdentity++));
  return id;
}

function plain(x: unknown): string {
  if (typeof x === 'function' || (typeof x === 'object' && x !== null)) return `#${identity(x)}`;
  if (typeof x === 'string') return JSON.stringify(x);
  if (typeof x === 'bigint') return `${x}n`;
  return Object.is(x, -0) ? '-0' : String(x);
}

/** Text that is equal exactly for equal patterns. */
export function signatureOf(pattern: Pattern): string {
  switch (pattern.kind) {
    case 'tensor':
      return `${pattern.dtype}(${pattern.shape.join()})`;
    case 'plain':
      return plain(pattern.value);
    case 'array':
      return `[${pattern.items.map(signatureOf).join()}]`;
    case 'record':
      return `{${pattern.items.map((item, i) => `${JSON.stringify(pattern.names[i])}:${signatureOf(item)}`).join()}}`;
  }
}

export function flattenArguments(value: unknown): Flattened {
  const tensors: Tensor[] = [];
  const pattern = patternOf(value, tensors);
  return {
    tensors,
    pattern,
    rebuild: (given) => build(pattern, given),
    nameOf: (index) => argumentName(pattern, index),
  };
}

export const specsOf = (tensors: readonly Tensor[]): Spec[] => tensors.map(({ shape, dtype }) => ({ shape, dtype }));
