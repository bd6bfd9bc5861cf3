/**
 * What recurrent cells share: two products, of the input and of the hidden state, give each gate its argument. What a cell
 * does with these is its own.
 */
import * as tf from '@tensorflow/tfjs-core';
import { uniformInit, zerosInit, type Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { flag, functionOption, z } from '../core/options.js';
import { defineLayer } from '../core/print.js';
import { split, type Key } from '../core/random.js';
import { isTensor, type StateTree, type Tensor, type Tree } from '../core/tree.js';
import { describe, formatShape } from '../core/value.js';
import { checkFields, checkInput, checkParameters, checkSize, checkTuple, fail } from './check.js';
import { tidy } from './tidy.js';

/** What a cell takes: an input, with the carry of the step before, or without one at the start. */
export type CellInput<C> = Tensor | readonly [Tensor, C];

/** A layer from input and carry to output and carry. Anything of this form can stand in a `recurrence`. */
export type RecurrentCell<C extends StateTree, P extends Tree, S extends StateTree> = Layer<
  CellInput<C>,
  [Tensor, C],
  P,
  S
>;

/**
 * What the cells of this package offer beyond `apply`: the product of the inputs can be taken for a whole sequence at once,
 * and only what depends on the step before is left to the loop.
 */
export interface SplitCell<C extends StateTree, P extends Tree, S extends StateTree> extends RecurrentCell<C, P, S> {
  /** The share of the inputs `[..., inputs]` in the gates. */
  project(x: Tensor, ps: P): Tensor;
  /** The first carry for so many samples. */
  start(batch: number, ps: P, st: S): [C, S];
  /** One step from the projected input. The output is the first part of the carry. */
  step(projected: Tensor, carry: C, ps: P): C;
  /** Of parameters, states and the input that {@link project} is to take, in whatever order its axes are. @throws LayerError */
  check(ps: P, st: S, x?: Tensor): void;
}

/** The hidden state `[batch, outputs]` alone. */
export type HiddenCarry = readonly [hidden: Tensor];
/** The hidden state and the memory, both `[batch, outputs]`. */
export type MemoryCarry = readonly [hidden: Tensor, memory: Tensor];

/** Empty, but where the first carry is drawn at random: then the key of the next draw. */
export type CellState = Empty | { key: Key; training: boolean };

export type CellParameters = {
  /** `[inputs, gates * outputs]` */
  weightIh: Tensor;
  /** `[outputs, gates * outputs]` */
  weightHh: Tensor;
  /** `[gates * outputs]`; absent where `useBias` is false. */
  biasIh?: Tensor;
  /** `[gates * outputs]`; absent where `useBias` is false. */
  biasHh?: Tensor;
  /** `[outputs]`; there where `trainState` is true. */
  hiddenState?: Tensor;
  /** `[outputs]`; there where `trainMemory` is true. */
  memory?: Tensor;
} & { [name: string]: Tensor };

/** One initialiser for all gates, or one for each in their order. Each gate is initialised by itself. */
export type GateInitialiser = Initialiser | readonly Initialiser[];

export interface CellOptions {
  /** Add biases, one to each product. Default true. */
  readonly useBias?: boolean;
  /** The first hidden state is a parameter, `hiddenState`. Default false. */
  readonly trainState?: boolean;
  /** How the weights of the inputs start. Default: uniform within `± 1 / √outputs`. */
  readonly initWeight?: GateInitialiser;
  /** How the weights of the hidden state start. Default: uniform within `± 1 / √outputs`. */
  readonly initRecurrentWeight?: GateInitialiser;
  /** How the biases start. Default: uniform within `± 1 / √outputs`. */
  readonly initBias?: GateInitialiser;
  /**
   * The first hidden state. Default: zeros. A parameter starts with it; otherwise it is drawn anew, `[batch, outputs]`, each
   * time a sequence begins, from a key in the state (in test mode from the same key each time).
   */
  readonly initState?: Initialiser;
}

const initialiser = functionOption<Initialiser>('an initialiser').optional();
const perGate = z
  .custom<GateInitialiser>(
    (x) => typeof x === 'function' || (Array.isArray(x) && x.every((f) => typeof f === 'function')),
    {
      error: 'an initialiser, or an array with one for each gate',
    },
  )
  .optional();

/** The schema of {@link CellOptions}. */
export const CELL_OPTIONS = z.strictObject({
  useBias: flag.default(true),
  trainState: flag.default(false),
  initWeight: perGate,
  initRecurrentWeight: perGate,
  initBias: perGate,
  initState: initialiser,
});

/** A first value that is carried: its parameter's name, whether it is one, and how it starts. */
interface Start {
  readonly name: 'hiddenState' | 'memory';
  readonly trained: boolean;
  readonly init: Initialiser | undefined;
}

export interface CellDefinition<C> {
  readonly where: string;
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly words: readonly string[];
  /** How many gates there are. */
  readonly gates: number;
  readonly starts: readonly Start[];
  readonly options: z.output<typeof CELL_OPTIONS>;
  /** May both biases be added to the product of the inputs? Not where a gate multiplies one product first. */
  readonly biasesMeet: boolean;
  /** The next carry from the two products, one gate beside the other. */
  readonly next?: (ofInput: Tensor, ofHidden: Tensor, carry: C) => C;
  /** In its place, where a product of the hidden state waits for a gate: the next carry, from `weightHh` itself. */
  readonly recur?: (ofInput: Tensor, carry: C, weightHh: Tensor) => C;
}

/** `x @ weight` over the last axis. */
function matMul(x: Tensor, weight: Tensor): Tensor {
  if (x.rank === 2) return tf.matMul(x, weight);
  const [inputs, outputs] = weight.shape;
  return tf.reshape(tf.matMul(tf.reshape(x, [x.size / inputs, inputs]), weight), [...x.shape.slice(0, -1), outputs]);
}

function eachGate(
  where: string,
  option: string,
  given: GateInitialiser | undefined,
  gates: number,
  otherwise: Initialiser,
): Initialiser[] {
  if (given === undefined || typeof given === 'function')
    return Array.from({ length: gates }, () => given ?? otherwise);
  if (given.length === gates) return [...given];
  throw new TypeError(
    `${where}: option "${option}": expected ${gates} initialisers, one for each gate, got ${given.length}`,
  );
}

/** The initialisers of the gates side by side, as one of a parameter `[..., gates * outputs]`. */
const beside =
  (each: readonly Initialiser[]) =>
  (key: Key, leading: readonly number[], outputs: number): Tensor => {
    const keys = split(key, each.length);
    return tf.concat(each.map((init, i) => init(keys[i], [...leading, outputs])), -1); // prettier-ignore
  };

/** A cell from its sizes, its options and what it does with its gates. */
export function defineCell<C extends readonly Tensor[]>(
  definition: CellDefinition<C>,
): SplitCell<C, CellParameters, CellState> {
  const { where, name, inputs, outputs, gates, starts, options, biasesMeet, next, recur } = definition;
  checkSize(where, 'the number of inputs', inputs);
  checkSize(where, 'the number of outputs', outputs);
  const { useBias } = options;
  const bound = uniformInit(1 / Math.sqrt(outputs));
  const [initWeight, initRecurrentWeight, initBias] = (['initWeight', 'initRecurrentWeight', 'initBias'] as const).map(
    (option) => beside(eachGate(where, option, options[option], gates, bound)),
  );
  const trained = starts.filter((s) => s.trained);
  const isRandom = starts.some((s) => !s.trained && s.init !== undefined);
  const summary = [
    `${inputs} => ${outputs}`,
    ...definition.words,
    ...(useBias ? [] : ['useBias=false']),
    ...trained.map((s) => (s.name === 'memory' ? 'trainMemory=true' : 'trainState=true')),
  ].join(', ');
  const title = `${name}(${summary})`;
  const wide = gates * outputs;
  const shapes: Record<string, readonly number[]> = {
    weightIh: [inputs, wide],
    weightHh: [outputs, wide],
    ...(useBias ? { biasIh: [wide], biasHh: [wide] } : {}),
    ...Object.fromEntries(trained.map((s) => [s.name, [outputs]])),
  };

  const check = (ps: CellParameters, st: CellState, x?: Tensor): void => {
    if (x !== undefined) checkInput(title, x, { features: inputs, rank: [1, 3] });
    checkParameters(title, ps, shapes);
    checkFields(title, st, isRandom ? ['key', 'training'] : [], 'states');
  };
  const project = (x: Tensor, ps: CellParameters): Tensor => {
    checkInput(title, x, { features: inputs });
    const product = matMul(x, ps.weightIh);
    const { biasIh, biasHh } = ps;
    if (biasIh === undefined || biasHh === undefined) return product;
    return tf.add(product, biasesMeet ? tf.add(biasIh, biasHh) : biasIh);
  };
  const step = (projected: Tensor, carry: C, ps: CellParameters): C => {
    if (recur !== undefined) return recur(projected, carry, ps.weightHh);
    if (next === undefined) throw new TypeError(`${where}: a cell needs "next" or "recur"`);
    const product = tf.matMul(carry[0], ps.weightHh);
    const { biasHh } = ps;
    return next(projected, biasHh === undefined || biasesMeet ? product : tf.add(product, biasHh), carry);
  };
  const start = (batch: number, ps: CellParameters, st: CellState): [C, CellState] => {
    const keys = 'key' in st ? split(st.key, starts.length + 1) : [];
    const carry = starts.map(({ name: field, init, trained: isParameter }, i) => {
      if (isParameter) return tf.broadcastTo(tf.reshape(ps[field] as Tensor, [1, outputs]), [batch, outputs]);
      return init === undefined ? tf.zeros([batch, outputs]) : init(keys[i], [batch, outputs]);
    });
    const after = 'key' in st && st.training ? { key: keys[starts.length], training: true } : st;
    return [carry as readonly Tensor[] as C, after];
  };

  return defineLayer({
    display: Object.freeze({ name, summary }),
    countParameters: () => Object.values(shapes).reduce((n, shape) => n + shape.reduce((a, b) => a * b, 1), 0),
    initialParameters: (key: Key) =>
      tidy(() => {
        const keys = split(key, 4 + trained.length);
        const ps: Record<string, Tensor> = {
          weightIh: initWeight(keys[0], [inputs], outputs),
          weightHh: initRecurrentWeight(keys[1], [outputs], outputs),
        };
        if (useBias)
          for (const [i, field] of ['biasIh', 'biasHh'].entries()) ps[field] = initBias(keys[2 + i], [], outputs);
        trained.forEach(({ name: field, init = zerosInit() }, i) => (ps[field] = init(keys[4 + i], [outputs])));
        checkParameters(title, ps, shapes);
        return ps as CellParameters;
      }),
    initialStates: (key: Key): CellState => (isRandom ? { key: tf.clone(key), training: true } : {}),
    project,
    start,
    step,
    check,
    apply: (x: CellInput<C>, ps: CellParameters, st: CellState): [[Tensor, C], CellState] => {
      check(ps, st);
      const pair = isTensor(x) ? undefined : x;
      if (pair !== undefined) checkTuple(title, pair, 2);
      const input = pair === undefined ? (x as Tensor) : pair[0];
      checkInput(title, input, { features: inputs, rank: [1, 2] });
      const batch = input.rank === 1 ? 1 : input.shape[0];
      const whole = (t: Tensor, features: number): Tensor => (t.rank === 1 ? tf.reshape(t, [1, features]) : t);
      return tidy((): [[Tensor, C], CellState] => {
        const [before, after] = pair === undefined ? start(batch, ps, st) : [given(pair[1], input), st];
        const carry = before.map((t) => whole(t, outputs)) as readonly Tensor[] as C;
        const result = step(whole(project(input, ps), wide), carry, ps);
        const own = result.map((t) => (input.rank === 1 ? tf.reshape(t, [outputs]) : t)) as readonly Tensor[] as C;
        return [[own[0], own], after];
      });
    },
  });

  /** A carry that somebody handed over. */
  function given(carry: unknown, input: Tensor): C {
    const wanted = [...input.shape.slice(0, -1), outputs];
    const words = starts.map((s) => (s.name === 'memory' ? 'memory' : 'hidden state')).join(', ');
    const fits =
      Array.isArray(carry) &&
      carry.length === starts.length &&
      carry.every((t) => isTensor(t) && t.dtype === 'float32' && formatShape(t.shape) === formatShape(wanted));
    if (fits) return carry as readonly unknown[] as C;
    const got = Array.isArray(carry) ? `[${carry.map(describe).join(', ')}]` : describe(carry);
    return fail(title, `the carry must be [${words}] of shape ${formatShape(wanted)}, got ${got}`);
  }
}
