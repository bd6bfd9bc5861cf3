/**
 * A model in training: the layer, its parameters and states, the optimiser and its state, and how many steps were taken.
 *
 * A step is a function from one train state to the next. Forward pass, gradient and update are one compiled function.
 */
import { layerToString } from '../core/print.js';
import { flag, OptionError, parseOptions, z } from '../core/options.js';
import { parameterLength, stateLength, type AnyLayer, type ParametersOf, type StatesOf } from '../core/layer.js';
import { checkSameTree, disposeTree, type StateTree, type Tensor } from '../core/tree.js';
import { describe } from '../core/value.js';
import { compile, valueAndGrad, type Compiled } from '../graph/index.js';
import type { Optimiser, OptimiserState } from '../optimisers/index.js';
import type { Objective, TrainState } from './contract.js';
import { TrainingError } from './errors.js';

/**
 * A train state at step 0, with a fresh optimiser state.
 *
 * @param ps Parameters of the model, from `setup`.
 * @param st Its states, from `setup`.
 */
export function trainState<M extends AnyLayer>(
  model: M,
  ps: ParametersOf<M>,
  st: StatesOf<M>,
  optimiser: Optimiser,
): TrainState<M> {
  if (!isLayer(model)) {
    throw new TypeError(`trainState: the first argument must be a layer, got ${describe(model)}; trainState(model, ps, st, optimiser)`); // prettier-ignore
  }
  if (typeof (optimiser as Partial<Optimiser> | undefined)?.update !== 'function') {
    throw new TypeError(
      'trainState: the fourth argument must be an optimiser, such as adam(1e-3), got ' + describe(optimiser),
    );
  }
  const parameters = ps as unknown;
  return makeTrainState({
    model,
    parameters: ps,
    states: st,
    optimiser,
    optimiserState: optimiser.init(parameters as Parameters<Optimiser['init']>[0]),
    step: 0,
  });
}

const isLayer = (x: unknown): boolean => typeof (x as Partial<AnyLayer> | null | undefined)?.apply === 'function';

/** What the types do not hold back in a JavaScript program. */
export function checkTrainState(ts: unknown, what: string): void {
  const { model, optimiser, step } = (ts ?? {}) as Partial<TrainState>;
  if (isLayer(model) && typeof step === 'number' && typeof optimiser?.update === 'function') return;
  throw new TypeError(`${what} must be a train state, as trainState(model, ps, st, optimiser) makes, got ${describe(ts)}`); // prettier-ignore
}

/** The first and the third argument of `where`. */
export function checkObjective(objective: unknown, ts: unknown, where: string): void {
  if (typeof objective !== 'function') {
    throw new TypeError(
      `${where}: the first argument must be the objective, a function (model, ps, st, batch) => [loss, new states, stats], got ${describe(objective)}`,
    );
  }
  checkTrainState(ts, `${where}: the third argument`);
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** A train state from its fields, for one that was read from a checkpoint. It prints like Lux's. */
export function makeTrainState<M extends AnyLayer>(fields: TrainState<M>): TrainState<M> {
  const { model, parameters, states, optimiser, optimiserState, step } = fields;
  const ts = { model, parameters, states, optimiser, optimiserState, step };
  const print = (): string => printTrainState(ts);
  Object.defineProperty(ts, 'toString', { value: print });
  Object.defineProperty(ts, INSPECT, { value: print });
  return Object.freeze(ts);
}

function printTrainState({ model, parameters, states, optimiser, step }: TrainState): string {
  const lines = [
    ...layerToString(model).split('\n'),
    `number of parameters: ${parameterLength(parameters as never)}`,
    `number of states: ${stateLength(states as never)}`,
    `optimiser: ${String(optimiser)}`,
    `step: ${step}`,
  ];
  return `TrainState(\n${lines.map((line) => `    ${line}`).join('\n')}\n)`;
}

/** Free the tensors of a train state that is no longer wanted. */
export function disposeTrainState({ parameters, states, optimiserState }: TrainState): void {
  disposeTree([parameters, states, optimiserState]);
}

type AnyObjective = (model: AnyLayer, ps: unknown, st: unknown, data: unknown) => readonly [Tensor, unknown, unknown];

interface Gradients {
  readonly loss: Tensor;
  readonly stats: unknown;
  readonly states: unknown;
  readonly grads: unknown;
}

interface Stepped extends Gradients {
  readonly parameters: unknown;
  readonly optimiserState: OptimiserState;
}

type Step = (ps: unknown, st: unknown, os: OptimiserState, data: unknown, returnGradients: boolean) => Stepped;

interface CompiledSteps {
  readonly gradients: (ps: unknown, st: unknown, data: unknown) => Gradients;
  readonly step: Compiled<Step>;
  /** The same, in the place of the old parameters, states and optimiser's state. */
  readonly donatingStep: Compiled<Step>;
}

const compiledSteps = new WeakMap<object, WeakMap<object, WeakMap<object, CompiledSteps>>>();
const compiledUpdates = new WeakMap<Optimiser, Optimiser['update']>();

function entry<K extends object, V>(map: WeakMap<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

/** The compiled functions of one model, objective and optimiser; they live as long as all three. */
function stepsOf(model: AnyLayer, objective: AnyObjective, optimiser: Optimiser): CompiledSteps {
  const ofModel = entry(compiledSteps, model, () => new WeakMap<object, WeakMap<object, CompiledSteps>>());
  const ofObjective = entry(ofModel, objective, () => new WeakMap<object, CompiledSteps>());
  return entry(ofObjective, optimiser, () => {
    const gradients = gradientFunction(model, objective);
    const step: Step = (ps, st, os, data, returnGradients) => {
      const { grads, ...rest } = gradients(ps, st, data);
      const [parameters, optimiserState] = optimiser.update(grads as never, os, ps as never);
      return { ...rest, parameters, optimiserState, grads: returnGradients ? grads : null };
    };
    return {
      gradients: compile(gradients),
      step: compile(step),
      donatingStep: compile(step, { donateArgnums: [0, 1, 2] }),
    };
  });
}

function gradientFunction(model: AnyLayer, objective: AnyObjective): CompiledSteps['gradients'] {
  const lossOf = (ps: unknown, st: unknown, data: unknown): [Tensor, { states: unknown; stats: unknown }] => {
    const result = objective(model, ps, st, data) as unknown;
    if (!Array.isArray(result) || result.length !== 3) {
      throw new TypeError(
        `the objective must return [loss, new states, stats] (stats may be {}), got ${describe(result)}`,
      );
    }
    const [loss, states, stats] = result as [Tensor, unknown, unknown];
    return [loss, { states, stats }];
  };
  const differentiated = valueAndGrad(lossOf, { hasAux: true });
  return (ps, st, data) => {
    const { value, grad, aux } = differentiated(ps, st, data);
    return { loss: value, grads: grad, ...aux };
  };
}

export interface ComputedGradients<M extends AnyLayer, S extends StateTree> {
  /** Shaped like the parameters. */
  readonly grads: ParametersOf<M>;
  readonly loss: Tensor;
  readonly stats: S;
  /** With the new states; parameters and optimiser are as they were. */
  readonly trainState: TrainState<M>;
}

/** Loss and gradients of one batch, without an update: for gradients that are gathered over several batches. */
export function computeGradients<M extends AnyLayer, D, S extends StateTree>(
  objective: Objective<M, D, S>,
  data: D,
  ts: TrainState<M>,
): ComputedGradients<M, S> {
  checkObjective(objective, ts, 'computeGradients');
  const { gradients } = stepsOf(ts.model, objective as unknown as AnyObjective, ts.optimiser);
  const { loss, stats, states, grads } = gradients(ts.parameters, ts.states, data);
  return Object.freeze({
    grads: grads as ParametersOf<M>,
    loss,
    stats: stats as S,
    trainState: makeTrainState({ ...ts, states: states as StatesOf<M> }),
  });
}

/**
 * The train state after one update with these gradients.
 *
 * @throws TreeError when the gradients differ from the parameters in structure or shape.
 */
export function applyGradients<M extends AnyLayer>(ts: TrainState<M>, grads: ParametersOf<M>): TrainState<M> {
  checkTrainState(ts, 'applyGradients: the first argument');
  checkSameTree(ts.parameters, grads, 'applyGradients: gradients');
  const { optimiser } = ts;
  const update = entry(compiledUpdates, optimiser, () =>
    compile((g: never, os: OptimiserState, ps: never) => optimiser.update(g, os, ps)),
  );
  const [parameters, optimiserState] = update(grads as never, ts.optimiserState, ts.parameters as never);
  return makeTrainState({ ...ts, parameters, optimiserState, step: ts.step + 1 });
}

export interface TrainStepOptions {
  /** Return the gradients too. Default false: then they need not outlive the update. */
  readonly returnGradients?: boolean | undefined;
  /** Read the loss, and throw a {@link TrainingError} when it is not finite. Default false: reading waits for the device. */
  readonly checkFinite?: boolean | undefined;
  /**
   * Give up `ts`: its tensors are freed, and on the compiled backend the new state is written in their place, which saves
   * memory and time where the parameters are many. Using `ts` afterwards is an error. What somebody else holds too (a clone) is
   * left alone, and a step that fails leaves `ts` as it was. Not together with `checkFinite`, which gives `ts` back. Default false.
   */
  readonly donate?: boolean | undefined;
}

const stepOptions = z.strictObject({
  returnGradients: flag.default(false),
  checkFinite: flag.default(false),
  donate: flag.default(false),
});

/** @throws OptionError where the state is to be given up and to be given back. */
function parseStepOptions(options: TrainStepOptions, where: string): z.output<typeof stepOptions> {
  const parsed = parseOptions(stepOptions, options, where);
  if (parsed.donate && parsed.checkFinite) {
    throw new OptionError(where, ['options "donate" and "checkFinite" exclude each other: the error for a loss that is not finite carries the state']); // prettier-ignore
  }
  return parsed;
}

export interface TrainStep<M extends AnyLayer, S extends StateTree> {
  readonly loss: Tensor;
  readonly stats: S;
  /** With `returnGradients`; shaped like the parameters. */
  readonly grads?: ParametersOf<M>;
  readonly trainState: TrainState<M>;
}

/**
 * One step of training: loss, gradients and update, as one compiled function, traced at the first call for this model,
 * objective and optimiser (and for each new shape of the data).
 *
 * Pure: the tensors of `ts` stay, and whoever holds them frees them (`disposeTrainState`), unless they are given up with the
 * option `donate`; {@link train} does this itself.
 *
 * @throws TrainingError with `checkFinite`, when the loss is not finite; it carries `ts`.
 */
export function singleTrainStep<M extends AnyLayer, D, S extends StateTree>(
  objective: Objective<M, D, S>,
  data: D,
  ts: TrainState<M>,
  options: TrainStepOptions = {},
): TrainStep<M, S> {
  checkObjective(objective, ts, 'singleTrainStep');
  const { returnGradients, checkFinite, donate } = parseStepOptions(options, 'singleTrainStep');
  const { step, donatingStep } = stepsOf(ts.model, objective as unknown as AnyObjective, ts.optimiser);
  const result = (donate ? donatingStep : step)(ts.parameters, ts.states, ts.optimiserState, data, returnGradients);
  if (checkFinite) refuse(result, result.loss.dataSync()[0], ts);
  return stepped(result, ts, returnGradients);
}

/**
 * {@link singleTrainStep} as a promise, for backends whose numbers cannot be read at once (WebGPU) when the model solves
 * something. No `tf.tidy` reaches its tensors.
 */
export async function singleTrainStepAsync<M extends AnyLayer, D, S extends StateTree>(
  objective: Objective<M, D, S>,
  data: D,
  ts: TrainState<M>,
  options: TrainStepOptions = {},
): Promise<TrainStep<M, S>> {
  checkObjective(objective, ts, 'singleTrainStepAsync');
  const { returnGradients, checkFinite, donate } = parseStepOptions(options, 'singleTrainStepAsync');
  const { step, donatingStep } = stepsOf(ts.model, objective as unknown as AnyObjective, ts.optimiser);
  const result = await (donate ? donatingStep : step).async(
    ts.parameters,
    ts.states,
    ts.optimiserState,
    data,
    returnGradients,
  );
  if (checkFinite) refuse(result, (await result.loss.data())[0], ts);
  return stepped(result, ts, returnGradients);
}

/** @throws TrainingError for a loss that is not finite, after freeing what the step made. */
function refuse<M extends AnyLayer>(result: Stepped, loss: number, ts: TrainState<M>): void {
  if (Number.isFinite(loss)) return;
  disposeTree(result);
  throw TrainingError.notFinite(loss, ts.step + 1, ts);
}

function stepped<M extends AnyLayer, S extends StateTree>(
  { loss, stats, states, grads, parameters, optimiserState }: Stepped,
  ts: TrainState<M>,
  returnGradients: boolean,
): TrainStep<M, S> {
  return Object.freeze({
    loss,
    stats: stats as S,
    ...(returnGradients ? { grads: grads as ParametersOf<M> } : {}),
    trainState: makeTrainState({
      ...ts,
      parameters: parameters as ParametersOf<M>,
      states: states as StatesOf<M>,
      optimiserState,
      step: ts.step + 1,
    }),
  });
}
