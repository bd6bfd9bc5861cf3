/** The arguments of optimisers and schedules: their kinds, checks and defaults. */
import {
  flag,
  nonNegativeNumber,
  numberThat,
  parseOptions,
  positiveNumber,
  positiveOrInfinite,
  z,
} from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { describe, isRecord } from '../core/value.js';

/** The rate of a step, both scalar tensors; the first step is number 0. Made of tf operations, without reading values. */
export type Schedule = (step: Tensor) => Tensor;

/** A learning rate: a number, or a function of the step. */
export type Rate = number | Schedule;

const EXPECTED = {
  fraction: 'a number from 0 to below 1',
  nonNegative: 'a non-negative number',
  positive: 'a positive number',
};

const kinds = {
  fraction: numberThat((x) => x >= 0 && x < 1, EXPECTED.fraction),
  nonNegative: nonNegativeNumber,
  positive: positiveNumber,
};

/** At least 0 and below 1. */
export const fraction = (byDefault: number) => kinds.fraction.default(byDefault);
export const nonNegative = (byDefault: number) => kinds.nonNegative.default(byDefault);
export const positive = (byDefault: number) => kinds.positive.default(byDefault);
export const power = (byDefault: number) => positiveOrInfinite.default(byDefault);
export const switched = (byDefault: boolean) => flag.default(byDefault);

/** Two of a kind. */
export const pairOf = (kind: keyof typeof kinds, byDefault: readonly [number, number]) =>
  z.tuple([kinds[kind], kinds[kind]], { error: `a pair, each ${EXPECTED[kind]}` }).default([...byDefault]);

/** A number that must be given. */
export const required = (kind: keyof typeof kinds) => kinds[kind];

/** The options with their defaults. @throws OptionError naming the constructor and what is wrong. */
export function optionsOf<Shape extends z.ZodRawShape>(
  shape: Shape,
  options: unknown,
  where: string,
): z.output<z.ZodObject<Shape>> {
  return parseOptions(z.strictObject(shape), options, where);
}

/** A rate that is a schedule, or a number that is finite and not negative. @throws TypeError otherwise. */
export function learningRate<R extends Rate>(rate: R, where: string): R {
  return typeof rate === 'function' ? rate : amount(rate, where, 'rate', 'a schedule or ', RATE_FIRST);
}

const RATE_FIRST = '; options come after the rate';

/** A number that is finite and not negative. @throws TypeError otherwise, for an object with the hint. */
export function amount<N>(x: N, where: string, what: string, orElse = '', hint = ''): N {
  if (typeof x === 'number' && Number.isFinite(x) && x >= 0) return x;
  throw new TypeError(
    `${where}: the ${what} must be ${orElse}a number that is finite and not negative, got ${describe(x)}${isRecord(x) ? hint : ''}`,
  );
}
