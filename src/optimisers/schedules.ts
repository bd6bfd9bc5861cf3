/**
 * Learning rates that change with the step. A schedule is a function of tensors, so that the compiled step computes it.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { switched, learningRate, nonNegative, optionsOf, required, type Schedule } from './arguments.js';

/** The same rate at every step. (A plain number does the same and can be changed by {@link setRate}.) */
export function constantSchedule(rate: number): Schedule {
  learningRate(rate, 'constantSchedule');
  return named(`constantSchedule(${rate})`, () => constant(rate));
}

export interface ExponentialDecayOptions {
  /** The factor of each period. */
  readonly decay: number;
  /** The length of a period in steps. */
  readonly every: number;
  /** Change only at the end of each period. Default false: the rate falls a little at every step. */
  readonly staircase?: boolean | undefined;
  /** The rate never falls below this. Default 0. */
  readonly minimum?: number | undefined;
}

const exponentialOptions = {
  decay: required('positive'),
  every: required('positive'),
  staircase: switched(false),
  minimum: nonNegative(0),
};

/** `initial * decay ** (step / every)`. */
export function exponentialDecay(initial: number, options: ExponentialDecayOptions): Schedule {
  learningRate(initial, 'exponentialDecay');
  const { decay, every, staircase, minimum } = optionsOf(exponentialOptions, options, 'exponentialDecay');
  return named(`exponentialDecay(${initial}, ${JSON.stringify(options)})`, (step) => {
    const periods = tf.div(step, constant(every));
    const exponent = tf.mul(staircase ? tf.floor(periods) : periods, constant(Math.log(decay)));
    const rate = tf.mul(constant(initial), tf.exp(exponent));
    return minimum === 0 ? rate : tf.maximum(rate, constant(minimum));
  });
}

export interface CosineDecayOptions {
  /** The step at which the final rate is reached, warm-up included. */
  readonly steps: number;
  /** Over how many first steps the rate rises linearly. Default 0. */
  readonly warmup?: number | undefined;
  /** The rate at step 0 of the warm-up. Default 0. */
  readonly start?: number | undefined;
  /** The rate at the end and after it. Default 0. */
  readonly final?: number | undefined;
}

const cosineOptions = {
  steps: required('positive'),
  warmup: nonNegative(0),
  start: nonNegative(0),
  final: nonNegative(0),
};

/**
 * From `peak` along half a cosine to `final`, after an optional linear rise from `start` to `peak`:
 * `final + (peak - final) (1 + cos(pi t)) / 2` with t from 0 at the end of the warm-up to 1 at `steps` (Loshchilov and
 * Hutter, SGDR, 2017, without restarts).
 */
export function cosineDecay(peak: number, options: CosineDecayOptions): Schedule {
  learningRate(peak, 'cosineDecay');
  const { steps, warmup, start, final } = optionsOf(cosineOptions, options, 'cosineDecay');
  if (warmup >= steps) throw new RangeError(`cosineDecay: warmup (${warmup}) must be less than steps (${steps})`);
  return named(`cosineDecay(${peak}, ${JSON.stringify(options)})`, (step) => {
    const t = tf.clipByValue(tf.div(tf.sub(step, constant(warmup)), constant(steps - warmup)), 0, 1);
    const wave = tf.add(tf.cos(tf.mul(t, constant(Math.PI))), constant(1));
    const falling = tf.add(tf.mul(wave, constant((peak - final) / 2)), constant(final));
    if (warmup === 0) return falling;
    const rising = tf.add(tf.mul(step, constant((peak - start) / warmup)), constant(start));
    return tf.where(tf.less(step, constant(warmup)), rising, falling);
  });
}

/** A schedule prints as what made it. */
function named(name: string, schedule: Schedule): Schedule {
  return Object.defineProperty(schedule, 'name', { value: name });
}
