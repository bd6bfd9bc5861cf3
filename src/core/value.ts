/**
 * What a value is, and how an error names it.
 */
import * as tf from '@tensorflow/tfjs-core';

export function isTensor(x: unknown): x is tf.Tensor {
  return x instanceof tf.Tensor;
}

/** Plain records only: a class instance is a leaf, never a branch. */
export function isRecord(x: unknown): x is Readonly<Record<string, unknown>> {
  if (typeof x !== 'object' || x === null || Array.isArray(x) || isTensor(x)) return false;
  const prototype: unknown = Object.getPrototypeOf(x);
  return prototype === Object.prototype || prototype === null;
}

export const formatShape = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

export const withArticle = (word: string): string => `${/^[aeiou]/i.test(word) ? 'an' : 'a'} ${word}`;

/** Longer lists are counted. */
const MOST_ELEMENTS = 8;
const MOST_CHARACTERS = 60;

/** A list of plain values as it is written; undefined where it holds anything else or is long. */
function listText(list: readonly unknown[]): string | undefined {
  if (list.length > MOST_ELEMENTS) return undefined;
  const parts: string[] = [];
  for (const x of list) {
    const isPlain = x === null || (typeof x !== 'object' && typeof x !== 'function');
    const text = Array.isArray(x) ? listText(x) : isPlain ? describe(x) : undefined;
    if (text === undefined) return undefined;
    parts.push(text);
  }
  const text = `[${parts.join(', ')}]`;
  return text.length > MOST_CHARACTERS ? undefined : text;
}

/** `Dense(2 => 50)` for a layer that can print itself. */
function layerText({ apply, display }: Readonly<Record<string, unknown>>): string | undefined {
  if (typeof apply !== 'function' || !isRecord(display)) return undefined;
  const { name, summary } = display as { readonly name: string; readonly summary?: string };
  return summary === undefined ? name : `${name}(${summary})`;
}

/** A value in a few words, for messages that say what was given: a model or a tensor would print as a page. */
export function describe(x: unknown): string {
  if (typeof x === 'string') return JSON.stringify(x);
  if (typeof x === 'function') return x.name === '' ? 'a function' : `the function ${x.name}`;
  if (isTensor(x)) return `${withArticle(x.dtype)} tensor ${formatShape(x.shape)}`;
  if (Array.isArray(x)) return listText(x) ?? `an array of ${x.length}`;
  if (isRecord(x)) {
    const layer = layerText(x);
    return layer === undefined ? `an object {${Object.keys(x).join(', ')}}` : `the layer ${layer}`;
  }
  if (typeof x === 'object' && x !== null) return withArticle(x.constructor.name);
  return String(x);
}
