/**
 * Normalisation: over which axes, times which statistics.
 *
 * Every layer here is `activation(scale * (x - centre) / spread + bias)`. They differ in the axes that centre and spread
 * are taken over, in whether those come from the input or from running averages, and (`rmsNorm`) in having no centre.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { onesInit, zerosInit, type Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, functionOption, parseOptions, positiveNumber, probability, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import { split, type Key } from '../core/random.js';
import type { StateTree, Tensor, Tree } from '../core/tree.js';
import { formatShape } from '../core/value.js';
import { resolveActivation, type Activation, type ResolvedActivation } from '../functional/activations.js';
import { sizeOf } from './affine.js';
import { checkFields, checkInput, checkParameters, checkSize, fail } from './check.js';
import { tidy } from './tidy.js';

/** `{ scale, bias }`, or nothing where `affine` is false. */
export type NormParameters<A extends boolean> = A extends false ? Empty : { scale: Tensor; bias: Tensor };

/** Running statistics, both `[channels]`. `testMode(st)` and `trainMode(st)` set `training`. */
export type RunningStates = { runningMean: Tensor; runningVar: Tensor; training: boolean };

/** {@link RunningStates}, or without `trackStats` what `batchNorm` needs to know all the same. */
export type BatchNormStates<T extends boolean> = T extends false ? { training: boolean } : RunningStates;

export interface NormOptions<A extends boolean = boolean> {
  /** Learn a scale and a bias. */
  readonly affine?: A;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
  /** How the scale starts. Default: ones. */
  readonly initScale?: Initialiser;
  /** How the bias starts. Default: zeros. */
  readonly initBias?: Initialiser;
}

export interface TrackingOptions<A extends boolean = boolean, T extends boolean = boolean> extends NormOptions<A> {
  /** Keep running statistics and use them in test mode. */
  readonly trackStats?: T;
  /** Weight of the newest batch in the running statistics, from 0 to 1. Default 0.1. */
  readonly momentum?: number;
}

const initialiser = functionOption<Initialiser>('an initialiser').optional();
const NORM = z.strictObject({
  affine: flag.optional(),
  epsilon: positiveNumber.default(1e-5),
  initScale: initialiser,
  initBias: initialiser,
});
const TRACKING = NORM.extend({ trackStats: flag.optional(), momentum: probability.default(0.1) });

/** What the normalised input is, and the states afterwards; given the title for messages. */
type Normalise = (title: string, x: Tensor, st: StateTree) => [Tensor, StateTree];

interface Definition {
  readonly name: string;
  readonly words: readonly string[];
  readonly activation: ResolvedActivation;
  /** The parameters by name, each of shape `shape`. */
  readonly parameters: Readonly<Record<string, Initialiser>>;
  readonly shape: readonly number[];
  readonly states?: () => StateTree;
  readonly normalise: Normalise;
}

/** A normalising layer: what the layers of this file are. */
function defineNorm<P extends Tree, S extends StateTree>(parts: Definition): Layer<Tensor, Tensor, P, S> {
  const { name, activation, parameters, shape, states = (): Empty => ({}), normalise } = parts;
  const summary = [...parts.words, ...(activation.name === 'identity' ? [] : [activation.name])];
  const shown = [...summary.slice(0, 1), ...summary.slice(parts.words.length), ...summary.slice(1, parts.words.length)].join(', '); // prettier-ignore
  const title = `${name}(${shown})`;
  const names = Object.keys(parameters);
  const shapes = Object.fromEntries(names.map((field) => [field, shape]));
  return defineLayer({
    display: Object.freeze({ name, summary: shown }),
    isCell: false,
    countParameters: () => names.length * sizeOf(shape),
    initialParameters: (key: Key) =>
      tidy(() => {
        if (names.length === 0) return {} as P;
        const keys = split(key, names.length);
        const ps = Object.fromEntries(names.map((field, i) => [field, parameters[field](keys[i], [...shape])]));
        checkParameters(title, ps, shapes);
        return ps as unknown as P;
      }),
    initialStates: () => states() as S,
    apply: (x: Tensor, ps: P, st: S): [Tensor, S] => {
      checkParameters(title, ps, shapes);
      return tidy(() => {
        const [normal, next] = normalise(title, x, st);
        const { scale, bias } = ps as Readonly<Record<string, Tensor | undefined>>;
        const scaled = scale === undefined ? normal : tf.mul(normal, scale);
        return [activation.apply(bias === undefined ? scaled : tf.add(scaled, bias)), next as S];
      });
    },
  });
}

/** Mean and biased variance, in the same number of axes. */
function moments(x: Tensor, axes: number[]): { centred: Tensor; mean: Tensor; variance: Tensor } {
  const mean = tf.mean(x, axes, true);
  const centred = tf.sub(x, mean);
  return { centred, mean, variance: tf.mean(tf.square(centred), axes, true) };
}

const overSpread = (centred: Tensor, variance: Tensor, epsilon: number): Tensor =>
  tf.mul(centred, tf.rsqrt(tf.add(variance, constant(epsilon))));

/** By the statistics of the input itself. */
function standardised(x: Tensor, axes: number[], epsilon: number): Tensor {
  const { centred, variance } = moments(x, axes);
  return overSpread(centred, variance, epsilon);
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const affineOf = (options: z.output<typeof NORM>, affine: boolean): Definition['parameters'] =>
  affine ? { scale: options.initScale ?? onesInit(), bias: options.initBias ?? zerosInit() } : {};

/** What differs from the defaults, as it prints. */
function words(given: Readonly<Record<string, unknown>>, defaults: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(defaults)
    .filter((name) => given[name] !== undefined && given[name] !== defaults[name])
    .map((name) => `${name}=${String(given[name])}`);
}

/** `(1 - momentum) old + momentum new`. */
const blend = (old: Tensor, latest: Tensor, momentum: number): Tensor =>
  tf.add(old, tf.mul(tf.sub(latest, old), constant(momentum)));

const freshRunning =
  (channels: number) =>
  (): RunningStates => ({ runningMean: tf.zeros([channels]), runningVar: tf.ones([channels]), training: true }); // prettier-ignore

/** Running statistics that fit. @throws LayerError */
function checkRunning(title: string, st: StateTree, channels: number): asserts st is RunningStates {
  checkFields(title, st, ['runningMean', 'runningVar', 'training'], 'states');
  for (const name of ['runningMean', 'runningVar']) {
    const value = st[name] as Tensor;
    if (value.shape.length !== 1 || value.shape[0] !== channels) {
      fail(title, `state "${name}" must have shape [${channels}], got ${formatShape(value.shape)}`);
    }
  }
}

/** Over these axes of the input; in test mode, and only there, by the running statistics. */
function tracked(title: string, x: Tensor, st: RunningStates, axes: number[], epsilon: number, momentum: number): [Tensor, StateTree] {
  const { runningMean, runningVar } = st;
  if (!st.training) return [overSpread(tf.sub(x, runningMean), runningVar, epsilon), st];
  const { centred, mean, variance } = moments(x, axes);
  const count = sizeOf(axes.map((axis) => x.shape[axis]));
  if (count === 1) {
    fail(title, `a variance needs more than one element for each channel in training, got shape ${formatShape(x.shape)}`); // prettier-ignore
  }
  // One number for each channel: where samples are normalised apart, their statistics are averaged.
  const channel = (y: Tensor): Tensor => tf.mean(y, range(0, y.rank - 1));
  const unbiased = tf.mul(channel(variance), constant(count / (count - 1)));
  const next = {
    runningMean: blend(runningMean, channel(mean), momentum),
    runningVar: blend(runningVar, unbiased, momentum),
    training: true,
  };
  return [overSpread(centred, variance, epsilon), next];
} // prettier-ignore

/**
 * Normalises each channel (last axis) over batch and all other axes: in training by the statistics of the batch, in test
 * mode by running ones. Ioffe and Szegedy 2015.
 *
 * The batch is divided by its biased variance; the running variance takes the unbiased one, `n / (n - 1)` times as large
 * (as in Lux.jl and PyTorch).
 *
 * Parameters: `scale` and `bias`, both `[channels]`. States: `{ runningMean, runningVar, training }`; without `trackStats`
 * `{ training }` alone, and then the batch's own statistics serve in test mode, too.
 *
 * @param channels Size of the last axis.
 * @param activation A name or a function. Default: none.
 * @param options `affine` (default true), `trackStats` (default true), `epsilon`, `momentum`, `initScale`, `initBias`.
 * @throws TypeError for bad sizes or options; `apply` throws a LayerError for a batch of one in training, which has no
 * variance to speak of, and for an input that does not fit.
 */
export function batchNorm<A extends boolean = true, T extends boolean = true>(
  channels: number,
  activation: Activation = 'identity',
  options?: TrackingOptions<A, T>,
): Layer<Tensor, Tensor, NormParameters<A>, BatchNormStates<T>> {
  checkSize('batchNorm', 'the number of channels', channels);
  const parsed = parseOptions(TRACKING, options, 'batchNorm');
  const { affine = true, trackStats = true, epsilon, momentum } = parsed;
  return defineNorm({
    name: 'BatchNorm',
    words: [String(channels), ...words(parsed, { affine: true, trackStats: true, epsilon: 1e-5, momentum: 0.1 })],
    activation: resolveActivation(activation, 'batchNorm'),
    parameters: affineOf(parsed, affine),
    shape: [channels],
    states: trackStats ? freshRunning(channels) : () => ({ training: true }),
    normalise: (title, x, st) => {
      checkInput(title, x, { features: channels, rank: [2, Infinity] });
      const axes = range(0, x.rank - 1);
      if (trackStats) checkRunning(title, st, channels);
      else checkFields(title, st, ['training'], 'states');
      if (st.training === true && x.shape[0] === 1) {
        fail(
          title,
          `a batch of one cannot be normalised in training, got shape ${formatShape(x.shape)}; ` +
            'use testMode(st), a larger batch, or groupNorm, instanceNorm or layerNorm',
        );
      }
      if (trackStats) return tracked(title, x, st as RunningStates, axes, epsilon, momentum);
      return [standardised(x, axes, epsilon), st];
    },
  });
}

/**
 * Normalises each sample over groups of channels and all axes between batch and channels. Wu and He 2018.
 *
 * Parameters: `scale` and `bias`, both `[channels]`.
 *
 * @param groups How many; they divide the channels.
 * @param options `affine` (default true), `epsilon`, `initScale`, `initBias`.
 * @throws TypeError for bad sizes or options; `apply` throws a LayerError for an input that does not fit.
 */
export function groupNorm<A extends boolean = true>(
  channels: number,
  groups: number,
  activation: Activation = 'identity',
  options?: NormOptions<A>,
): Layer<Tensor, Tensor, NormParameters<A>, Empty> {
  checkSize('groupNorm', 'the number of channels', channels);
  checkSize('groupNorm', 'the number of groups', groups);
  if (channels % groups !== 0) {
    throw new TypeError(`groupNorm: ${groups} groups must divide the channels, got ${channels}`);
  }
  const parsed = parseOptions(NORM, options, 'groupNorm');
  const { affine = true, epsilon } = parsed;
  return defineNorm({
    name: 'GroupNorm',
    words: [`${channels}, ${groups}`, ...words(parsed, { affine: true, epsilon: 1e-5 })],
    activation: resolveActivation(activation, 'groupNorm'),
    parameters: affineOf(parsed, affine),
    shape: [channels],
    normalise: (title, x, st) => {
      checkInput(title, x, { features: channels, rank: [2, Infinity] });
      const between = sizeOf(x.shape.slice(1, -1));
      const apart = tf.reshape(x, [x.shape[0], between, groups, channels / groups]);
      return [tf.reshape(standardised(apart, [1, 3], epsilon), x.shape), st];
    },
  });
}

/**
 * Normalises each channel of each sample over the axes between. Ulyanov, Vedaldi and Lempitsky 2016.
 *
 * Parameters: none, or with `affine` `scale` and `bias`, both `[channels]`. States: none, or with `trackStats`
 * `{ runningMean, runningVar, training }`, which then serve in test mode as in {@link batchNorm}.
 *
 * @param options `affine` (default false), `trackStats` (default false), `epsilon`, `momentum`, `initScale`, `initBias`.
 */
export function instanceNorm<A extends boolean = false, T extends boolean = false>(
  channels: number,
  activation: Activation = 'identity',
  options?: TrackingOptions<A, T>,
): Layer<Tensor, Tensor, NormParameters<A>, T extends false ? Empty : RunningStates> {
  checkSize('instanceNorm', 'the number of channels', channels);
  const parsed = parseOptions(TRACKING, options, 'instanceNorm');
  const { affine = false, trackStats = false, epsilon, momentum } = parsed;
  return defineNorm({
    name: 'InstanceNorm',
    words: [String(channels), ...words(parsed, { affine: false, trackStats: false, epsilon: 1e-5, momentum: 0.1 })],
    activation: resolveActivation(activation, 'instanceNorm'),
    parameters: affineOf(parsed, affine),
    shape: [channels],
    ...(trackStats ? { states: freshRunning(channels) } : {}),
    normalise: (title, x, st) => {
      checkInput(title, x, { features: channels, rank: [3, Infinity] });
      const axes = range(1, x.rank - 1);
      if (!trackStats) return [standardised(x, axes, epsilon), st];
      checkRunning(title, st, channels);
      return tracked(title, x, st, axes, epsilon, momentum);
    },
  });
}

/** The sizes of the last axes. @throws TypeError */
function lastAxes(where: string, shape: number | readonly number[]): number[] {
  const sizes: readonly unknown[] = Array.isArray(shape) ? shape : [shape];
  if (sizes.length === 0) throw new TypeError(`${where}: the shape needs one size or more, got []`);
  return sizes.map((n) => checkSize(where, 'each size', n));
}

/** An input whose shape ends with `shape`. @throws LayerError */
function checkLast(title: string, x: unknown, shape: readonly number[]): asserts x is Tensor {
  checkInput(title, x, { rank: [shape.length, Infinity] });
  if (x.shape.slice(x.rank - shape.length).some((n, i) => n !== shape[i])) {
    fail(title, `expected an input whose shape ends with ${formatShape(shape)}, got shape ${formatShape(x.shape)}`);
  }
}

export interface LayerNormOptions<A extends boolean = boolean> extends NormOptions<A> {
  /** Over which axes of the input; negative numbers count from the end. Default: those of `shape`. */
  readonly dims?: number | readonly number[];
}

const LAYER = NORM.extend({ dims: z.union([z.int(), z.array(z.int())]).optional() });

/**
 * Normalises each sample over its last axes. Ba, Kiros and Hinton 2016.
 *
 * (Lux.jl's default takes the whole array, batch and all; PyTorch's is this one.)
 *
 * Parameters: `scale` and `bias`, both of shape `shape`.
 *
 * @param shape The sizes of the last axes; a number for one axis.
 * @param options `affine` (default true), `dims`, `epsilon`, `initScale`, `initBias`.
 * @throws TypeError for bad sizes or options; `apply` throws a LayerError for an input that does not fit.
 */
export function layerNorm<A extends boolean = true>(
  shape: number | readonly number[],
  activation: Activation = 'identity',
  options?: LayerNormOptions<A>,
): Layer<Tensor, Tensor, NormParameters<A>, Empty> {
  const sizes = lastAxes('layerNorm', shape);
  const parsed = parseOptions(LAYER, options, 'layerNorm');
  const { affine = true, epsilon, dims } = parsed;
  const given = typeof dims === 'number' ? [dims] : dims;
  return defineNorm({
    name: 'LayerNorm',
    words: [
      sizes.join(', '),
      ...words(parsed, { affine: true, epsilon: 1e-5 }),
      ...(given === undefined ? [] : [`dims=[${given.join(', ')}]`]),
    ],
    activation: resolveActivation(activation, 'layerNorm'),
    parameters: affineOf(parsed, affine),
    shape: sizes,
    normalise: (title, x, st) => {
      checkLast(title, x, sizes);
      const axes = given?.map((axis) => (axis < 0 ? axis + x.rank : axis)) ?? range(x.rank - sizes.length, x.rank);
      const missing = axes.findIndex((axis) => axis < 0 || axis >= x.rank);
      if (missing >= 0) fail(title, `the input has no axis ${given?.[missing]}, got shape ${formatShape(x.shape)}`);
      return [standardised(x, axes, epsilon), st];
    },
  });
}

/** {@link RmsNormOptions.affine} false leaves no parameters. */
export type RmsNormParameters<A extends boolean> = A extends false ? Empty : { scale: Tensor };

export type RmsNormOptions<A extends boolean = boolean> = Omit<NormOptions<A>, 'initBias'>;

const RMS = NORM.omit({ initBias: true });

/**
 * `scale * x / √(mean(x²) + epsilon)` over the last axes: {@link layerNorm} without a centre. Zhang and Sennrich 2019.
 *
 * Parameters: `scale` of shape `shape`.
 *
 * @param shape The sizes of the last axes; a number for one axis.
 * @param options `affine` (default true), `epsilon`, `initScale`.
 */
export function rmsNorm<A extends boolean = true>(
  shape: number | readonly number[],
  options?: RmsNormOptions<A>,
): Layer<Tensor, Tensor, RmsNormParameters<A>, Empty> {
  const sizes = lastAxes('rmsNorm', shape);
  const parsed = parseOptions(RMS, options, 'rmsNorm');
  const { affine = true, epsilon, initScale = onesInit() } = parsed;
  return defineNorm({
    name: 'RMSNorm',
    words: [sizes.join(', '), ...words(parsed, { affine: true, epsilon: 1e-5 })],
    activation: resolveActivation('identity', 'rmsNorm'),
    parameters: affine ? { scale: initScale } : {},
    shape: sizes,
    normalise: (title, x, st) => {
      checkLast(title, x, sizes);
      const axes = range(x.rank - sizes.length, x.rank);
      return [overSpread(x, tf.mean(tf.square(x), axes, true), epsilon), st];
    },
  });
}
