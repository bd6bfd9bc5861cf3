/**
 * Options are checked once, at the edge: a misspelt or impossible one is an error that says which, and what was meant.
 *
 * This is the one file that imports zod; other rooms take the schemas here, or `z` for one of their own.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { Tensor } from './tree.js';
import { describe, isTensor } from './value.js';

export { z };

/** An option that does not fit; the message names the function, the option, what was given and what was expected. */
export class OptionError extends TypeError {
  override readonly name = 'OptionError';
  constructor(
    /** The function that was called. */
    readonly where: string,
    /** What is wrong, one sentence for each option at fault. */
    readonly problems: readonly string[],
  ) {
    super(`${where}: ${problems.join('; ')}`);
  }
}

/** Levenshtein's distance: the least number of insertions, deletions and substitutions. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}

/** The known name nearest to `name` in spelling, if it is near enough to be meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.ceil(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

const at = (input: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((x, step) => (x as Record<PropertyKey, unknown> | undefined)?.[step], input);

const optionName = (path: readonly PropertyKey[]): string =>
  path.map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${String(step)}`)).join('');

/** zod says "Invalid input: expected number, received string"; what was received is said better by `describe`. */
function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_union') {
    const each = issue.errors.flatMap((branch) => branch.map((inner) => expectation(inner)));
    if (each.length > 0 && issue.message.startsWith('Invalid input')) return [...new Set(each)].join(' or ');
  }
  return issue.message.replace(/^[^:]*: /, '').replace(/^expected /, '').replace(/, received .*$/, ''); // prettier-ignore
}

function problemsOf(issue: z.core.$ZodIssue, known: readonly string[], input: unknown): string[] {
  if (issue.code === 'unrecognized_keys') {
    const inside = issue.path.length === 0 ? '' : ` in "${optionName(issue.path)}"`;
    return issue.keys.map((name) => {
      const meant = issue.path.length === 0 ? nearest(name, known) : undefined;
      if (meant !== undefined) return `unknown option "${name}"; did you mean "${meant}"?`;
      const list = known.length === 0 ? 'it takes none' : `it takes ${known.join(', ')}`;
      return `unknown option "${name}"${inside}${issue.path.length === 0 ? ` (${list})` : ''}`;
    });
  }
  if (issue.path.length === 0) return [`options: expected ${expectation(issue)}, got ${describe(input)}`];
  return [`option "${optionName(issue.path)}": expected ${expectation(issue)}, got ${describe(at(input, issue.path))}`];
}

/**
 * The options of a call, checked and with their defaults filled in.
 *
 * @param schema `z.strictObject({...})`, made once in the module that takes the options.
 * @param input What the caller gave; `undefined` is `{}`.
 * @param where The function to name in an error.
 * @throws OptionError naming every option at fault; for an unknown one, the known one that it resembles.
 */
export function parseOptions<S extends z.ZodObject>(schema: S, input: unknown, where: string): z.output<S> {
  const given = input ?? {};
  // A tensor is an object too, and its fields would be listed one by one.
  if (isTensor(given)) throw new OptionError(where, [`options: expected an object, got ${describe(given)}`]);
  // A parser of its own for each schema would take longer to compile than all that most programs ever check.
  const result = schema.safeParse(given, { jitless: true });
  if (result.success) return result.data;
  const known = Object.keys(schema.shape);
  throw new OptionError(where, result.error.issues.flatMap((issue) => problemsOf(issue, known, given))); // prettier-ignore
}

/** A number for which `test` holds; `expected` says so in words. */
export function numberThat(test: (x: number) => boolean, expected: string): z.ZodType<number, number> {
  return z.custom<number>((x) => typeof x === 'number' && test(x), { error: expected });
}

export const positiveNumber = numberThat((x) => x > 0 && x < Infinity, 'a positive number');
export const nonNegativeNumber = numberThat((x) => x >= 0 && x < Infinity, 'a non-negative number');
/** For bounds that may be lifted: a largest step, a number of steps. */
export const positiveOrInfinite = numberThat((x) => x > 0, 'a positive number or Infinity');
/** In [0, 1]. */
export const probability = numberThat((x) => x >= 0 && x <= 1, 'a number from 0 to 1');
export const positiveInteger = numberThat((x) => Number.isSafeInteger(x) && x > 0, 'a positive integer');
export const nonNegativeInteger = numberThat((x) => Number.isSafeInteger(x) && x >= 0, 'a non-negative integer');

/** true or false. */
export const flag = z.custom<boolean>((x) => typeof x === 'boolean', { error: 'true or false' });

/** A function, typed as its caller says. */
export function functionOption<F extends (...args: never[]) => unknown>(expected = 'a function'): z.ZodType<F, F> {
  return z.custom<F>((x) => typeof x === 'function', { error: expected });
}

export const tensorOption = z.custom<Tensor>(isTensor, { error: 'a tensor' });

export const keyOption = z.custom<tf.Tensor1D>(
  (x) => isTensor(x) && x.dtype === 'int32' && x.shape.length === 1 && x.shape[0] === 2,
  {
    error: 'a key, as key(seed) makes it',
  },
);

/** A shape: non-negative integers. */
export const shapeOption = z.custom<readonly number[]>(
  (x) => Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= 0),
  { error: 'a shape (an array of non-negative integers)' },
);

/** One of a few words. */
export function oneOf<const W extends string>(...words: readonly W[]): z.ZodType<W, W> {
  const list = words.map((w) => `"${w}"`).join(words.length === 2 ? ' or ' : ', ');
  return z.custom<W>((x) => (words as readonly unknown[]).includes(x), {
    error: words.length > 2 ? `one of ${list}` : list,
  });
}

/** Anything of a type that is checked elsewhere (a layer, an algorithm, a tree): it must only be an object. */
export function objectOption<T extends object>(expected: string): z.ZodType<T, T> {
  return z.custom<T>((x) => typeof x === 'object' && x !== null, { error: expected });
}
