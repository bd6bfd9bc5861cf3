/**
 * The training loop: step after step, with reports, checkpoints and a way to stop, and without losing what was reached.
 *
 * A step is synchronous. The loop around it is not: losses are read as promises, so that backends that cannot wait
 * (WebGPU) work, and the event loop gets its turn, so that an abort signal is heard.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyLayer } from '../core/layer.js';
import {
  flag,
  functionOption,
  numberThat,
  objectOption,
  OptionError,
  parseOptions,
  positiveInteger,
  positiveNumber,
  z,
} from '../core/options.js';
import { disposeTree, leaves, treeMap, type StateTree, type Tensor } from '../core/tree.js';
import { batchesOf, type Batches, type Data } from './batches.js';
import { saveCheckpoint } from './checkpoint.js';
import type { Objective, TrainState } from './contract.js';
import { TrainingError } from './errors.js';
import { startProgress, type Progress, type ProgressOptions, type ProgressStream, type Standing } from './progress.js';
import { readsAtOnce } from '../graph/buffer-workspace.js';
import {
  checkObjective,
  disposeTrainState,
  makeTrainState,
  singleTrainStep,
  singleTrainStepAsync,
} from './train-state.js';

/** What {@link TrainOptions.onStep} is told. Tensors in it are freed after the call; clone what should live longer. */
export interface StepReport<M extends AnyLayer, S extends StateTree> {
  /** The number of the step, counted from 1 and including those of the state that training began with. */
  readonly step: number;
  /** Before this step's update. */
  readonly loss: number;
  readonly stats: S;
  /** After this step's update. */
  readonly trainState: TrainState<M>;
}

export interface TrainOptions<M extends AnyLayer = AnyLayer, S extends StateTree = StateTree> {
  /** How many steps to make. */
  readonly steps: number;
  /** Called after each step, and waited for. */
  readonly onStep?: ((report: StepReport<M, S>) => void | Promise<void>) | undefined;
  /** Show progress: a bar in a terminal, lines elsewhere. Default false. */
  readonly progress?: boolean | ProgressOptions | undefined;
  /**
   * A file to save to at the end, when aborted, and every {@link checkpointEvery} steps. A state whose parameters are not finite is
   * never saved: training stops with an error, and the file stays as it is.
   */
  readonly checkpoint?: string | undefined;
  /** Needs {@link checkpoint}. Default: only at the end. */
  readonly checkpointEvery?: number | undefined;
  /** Stops training between two steps; what was reached is returned. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Read the loss every so many steps, for devices on which each reading means waiting. Default 1. With `onStep` it is
   * read at each step in any case.
   */
  readonly readEvery?: number | undefined;
  /**
   * Stop with an error when a loss is not finite, for which the last states are kept. Default true. When false each state is
   * given up to the next step, which writes its own in that place: see `donate` of {@link singleTrainStep}.
   */
  readonly checkFinite?: boolean | undefined;
}

export interface TrainResult<M extends AnyLayer> {
  readonly trainState: TrainState<M>;
  /** The loss of each step, before its update. */
  readonly losses: readonly number[];
  /** Why training ended: all steps made, the signal, or no more data. */
  readonly reason: 'steps' | 'aborted' | 'data ended';
}

const progressOptions = z.strictObject({
  label: z.string().optional(),
  stream: objectOption<ProgressStream>('a stream with a write method').optional(),
  interval: positiveNumber.optional(),
});

const trainOptions = z.strictObject({
  steps: numberThat((x) => Number.isSafeInteger(x) && x >= 0, 'a number of steps'),
  onStep: functionOption().optional(),
  progress: z.union([flag, progressOptions]).default(false),
  checkpoint: z.string().min(1).optional(),
  checkpointEvery: positiveInteger.optional(),
  signal: objectOption<AbortSignal>('an AbortSignal').optional(),
  readEvery: positiveInteger.default(1),
  checkFinite: flag.default(true),
});

/** `T`, without being a place from which TypeScript infers it. */
type Given<T> = [T][T extends unknown ? 0 : never];

/**
 * Train for a number of steps.
 *
 * `ts` and its tensors stay as they are, and the caller's; of the train states in between, everything is freed. The result
 * has the last one, which is the caller's to free (`disposeTrainState`), also when no step was made.
 *
 * @param objective `(model, ps, st, batch) => [loss, new states, stats]`, pure and made of tf operations.
 * @param data A tree for all steps, an iterable of batches or a function `step => batch`; see {@link Data}.
 * @throws TrainingError when a step, a callback or a checkpoint fails or a loss is not finite. It carries the last good train
 *   state (for a loss that is not finite: the last one whose loss was; `ts` where the parameters of that are not finite) and the losses
 *   so far.
 * @throws OptionError for options that do not fit; TypeError for other arguments that do not.
 */
export async function train<M extends AnyLayer, D, S extends StateTree>(
  objective: Objective<M, D, S>,
  data: Data<Given<D>>,
  ts: TrainState<M>,
  options: TrainOptions<M, S>,
): Promise<TrainResult<M>> {
  checkObjective(objective, ts, 'train');
  const { progress, ...checked } = parseOptions(trainOptions, options, 'train');
  if (checked.checkpointEvery !== undefined && checked.checkpoint === undefined) {
    throw new OptionError('train', ['option "checkpointEvery" needs option "checkpoint", the file to save to']);
  }
  const settings: Settings<M, S> = { ...checked, onStep: options.onStep };
  const training = new Training(objective, batchesOf(data as Data<D>), ts, settings);
  const shown = progress === false ? undefined : await startProgress(settings.steps, progress === true ? {} : progress);
  return training.run(shown);
}

type Settings<M extends AnyLayer, S extends StateTree> = Omit<z.output<typeof trainOptions>, 'progress' | 'onStep'> &
  Pick<TrainOptions<M, S>, 'onStep'>;

/** The event loop gets its turn this often. */
const PAUSE_AFTER = 25;

const pause = (): Promise<void> =>
  new Promise((resolve) => {
    const { setImmediate: soon } = globalThis as { setImmediate?: (f: () => void) => unknown };
    if (soon === undefined) setTimeout(resolve, 0);
    else soon(resolve);
  });

async function hasFiniteParameters({ parameters }: TrainState): Promise<boolean> {
  const finite = tf.tidy(() => {
    const floats = leaves(parameters).filter(({ dtype }) => dtype === 'float32');
    const each = floats.map((x) => tf.all(tf.isFinite(x)));
    return each.length === 0 ? tf.scalar(true, 'bool') : tf.all(tf.stack(each));
  });
  const [all] = await finite.data();
  finite.dispose();
  return all !== 0;
}

class Training<M extends AnyLayer, D, S extends StateTree> {
  private current: TrainState<M>;
  /** What the last step was computed from: proven good as soon as the loss of that step has been read. */
  private input: TrainState<M>;
  /** The last state whose loss was seen to be finite. */
  private proven: TrainState<M>;
  private stats: S | undefined;
  private readonly unread: Tensor[] = [];
  private readonly losses: number[] = [];
  private savedAt: number;
  /** The number of the step that is being made or reported. */
  private working: number;

  constructor(
    private readonly objective: Objective<M, D, S>,
    private readonly batches: Batches<D>,
    private readonly initial: TrainState<M>,
    private readonly settings: Settings<M, S>,
  ) {
    this.current = this.input = this.proven = initial;
    this.savedAt = this.working = initial.step;
  }

  async run(progress: Progress | undefined): Promise<TrainResult<M>> {
    let reason: TrainResult<M>['reason'] | 'failed' = 'failed';
    try {
      reason = await this.loop(progress);
      await this.settle();
      const { checkFinite, checkpoint } = this.settings;
      // No step follows the last that would show what its update did.
      if (checkFinite && this.current !== this.initial) await this.checkParameters(this.current);
      if (checkpoint !== undefined) await this.save(checkpoint, this.current);
      this.batches.close();
      return Object.freeze({ trainState: this.owned(), losses: this.losses, reason });
    } catch (error) {
      reason = 'failed';
      throw await this.failure(error);
    } finally {
      this.closeAfterFailure();
      disposeTree([this.unread, this.stats]);
      const standing = await this.standing();
      progress?.end(standing, reason === 'steps' ? 'done' : reason);
      // On success everything but the current state goes; on failure the error carries what is to stay.
      if (reason !== 'failed') this.keepOnly(this.current);
    }
  }

  private async loop(progress: Progress | undefined): Promise<TrainResult<M>['reason']> {
    const { steps, signal, onStep, readEvery } = this.settings;
    let paused = performance.now();
    for (let done = 0; done < steps; done++) {
      if (signal?.aborted === true) return 'aborted';
      this.working = this.current.step + 1;
      const goesOn = readsAtOnce(tf.backend()) ? this.advance() : await this.advanceLater();
      if (!goesOn) return 'data ended';
      const showing = progress?.due() === true ? progress : undefined;
      if (showing !== undefined || onStep !== undefined || this.unread.length >= readEvery) await this.settle();
      if (onStep !== undefined) await onStep(this.report());
      const standing = showing === undefined ? undefined : await this.standing();
      if (standing !== undefined) showing?.show(standing);
      await this.saveIfDue();
      if (performance.now() - paused > PAUSE_AFTER) {
        await pause();
        paused = performance.now();
      }
    }
    return 'steps';
  }

  /** One step; false when there is no more data. */
  private advance(): boolean {
    const made: { step?: ReturnType<typeof singleTrainStep<M, D, S>> } = {};
    tf.tidy(() => {
      const next = this.batches.next(this.current.step);
      if (next === undefined) return [];
      const step = (made.step = singleTrainStep(this.objective, next.batch, this.current, { donate: this.donates }));
      const { parameters, states, optimiserState } = step.trainState;
      return leaves([step.loss, step.stats, parameters, states, optimiserState]);
    });
    if (made.step === undefined) return false;
    this.take(made.step);
    return true;
  }

  /** The same where a step may have to wait for numbers, and so no tidy can hold it. */
  private async advanceLater(): Promise<boolean> {
    const before = tf.tidy(() => tf.scalar(0).id);
    const given: { batch?: D } = {};
    const made = tf.tidy(() => {
      const next = this.batches.next(this.current.step);
      if (next === undefined) return [];
      given.batch = next.batch;
      return leaves(next.batch);
    });
    if (!('batch' in given)) return false;
    try {
      this.take(await singleTrainStepAsync(this.objective, given.batch, this.current, { donate: this.donates }));
    } finally {
      // What the source made for this batch goes with it; its own tensors stay.
      for (const t of new Set(made)) if (t.id > before && !t.kept) t.dispose();
    }
    return true;
  }

  /** Is the present state of no use after the next step? */
  private get donates(): boolean {
    return !this.settings.checkFinite && this.current !== this.initial;
  }

  private take({ loss, stats, trainState }: ReturnType<typeof singleTrainStep<M, D, S>>): void {
    this.unread.push(loss);
    disposeTree(this.stats);
    this.stats = stats;
    const old = this.input;
    if (this.donates) {
      this.current = this.input = this.proven = trainState;
    } else {
      this.input = this.current;
      this.current = trainState;
    }
    this.free(old);
  }

  /** Read the losses of the steps since the last time; with them, what those steps were computed from is proven. */
  private async settle(): Promise<void> {
    const { unread, losses, settings } = this;
    if (unread.length === 0) return;
    const values = await Promise.all(unread.map((loss) => loss.data()));
    disposeTree(unread.splice(0));
    for (const [value] of values) {
      if (settings.checkFinite && !Number.isFinite(value)) {
        const good = await this.lastGood();
        throw TrainingError.notFinite(value, this.initial.step + losses.length + 1, good, [...losses]);
      }
      losses.push(value);
    }
    const old = this.proven;
    this.proven = this.input;
    this.free(old);
  }

  private report(): StepReport<M, S> {
    const { current, losses, stats } = this;
    return { step: current.step, loss: losses[losses.length - 1], stats: stats as S, trainState: current };
  }

  private async standing(): Promise<Standing | undefined> {
    const { losses, current } = this;
    if (losses.length === 0) return undefined;
    const rate = current.optimiser.rate(current.optimiserState);
    const value = rate === undefined ? undefined : (await rate.data())[0];
    rate?.dispose();
    return { done: current.step - this.initial.step, loss: losses[losses.length - 1], rate: value };
  }

  /** A state is saved when its own loss has been read: the file never holds one that had already failed. */
  private async saveIfDue(): Promise<void> {
    const { checkpoint, checkpointEvery } = this.settings;
    if (checkpoint === undefined || checkpointEvery === undefined) return;
    if (this.proven.step - this.savedAt < checkpointEvery) return;
    this.savedAt = this.proven.step;
    await this.save(checkpoint, this.proven);
  }

  private async save(path: string, ts: TrainState<M>): Promise<void> {
    await this.checkParameters(ts);
    await saveCheckpoint(path, ts);
  }

  private async checkParameters(ts: TrainState<M>): Promise<void> {
    if (await hasFiniteParameters(ts)) return;
    const message = `the parameters are not finite after step ${ts.step}`;
    throw new TrainingError(message, ts.step, await this.lastGood(), [...this.losses]);
  }

  /** What is proven, if its parameters are finite: a loss can be finite although they are not, where they take no part in it. */
  private async lastGood(): Promise<TrainState<M>> {
    const old = this.proven;
    if (old !== this.initial && !(await hasFiniteParameters(old))) {
      this.proven = this.initial;
      this.free(old);
    }
    return this.proven;
  }

  private async failure(error: unknown): Promise<TrainingError> {
    if ((error as Partial<Error> | null)?.name === 'TrainingError') {
      this.keepOnly(this.proven);
      return error as TrainingError;
    }
    try {
      await this.settle();
    } catch (worse) {
      this.keepOnly(this.proven);
      return worse as TrainingError;
    }
    const step = this.working;
    const isFirst = this.current === this.initial && step > this.initial.step;
    const hint = isFirst && this.batches.hint !== undefined ? ` (${this.batches.hint})` : '';
    // Where the device no longer computes, nothing says otherwise.
    const isGood = await hasFiniteParameters(this.current).catch(() => true);
    const note = isGood ? hint : ` (the parameters are not finite after step ${this.current.step})`;
    const message = `training stopped at step ${step}: ${error instanceof Error ? error.message : String(error)}${note}`;
    this.keepOnly(isGood ? this.current : await this.lastGood());
    return new TrainingError(message, step, this.current, [...this.losses], { cause: error });
  }

  /** The last state, for the caller to free: the one that training began with is shared, so that freeing both is right. */
  private owned(): TrainState<M> {
    const { current, initial } = this;
    if (current !== initial) return current;
    const copy = <T>(tree: T): T => treeMap(tree, (x) => tf.clone(x));
    const { parameters, states, optimiserState } = current;
    return makeTrainState({
      ...current,
      parameters: copy(parameters),
      states: copy(states),
      optimiserState: copy(optimiserState),
    });
  }

  /** An error of the source's own clean-up must not hide the one that stopped training. */
  private closeAfterFailure(): void {
    try {
      this.batches.close();
    } catch {
      // The first error is already on its way.
    }
  }

  private keepOnly(kept: TrainState<M>): void {
    const others = new Set([this.current, this.input, this.proven]);
    others.delete(kept);
    this.current = this.input = this.proven = kept;
    for (const ts of others) this.free(ts);
  }

  /** Free a state that training made, unless it is still one of the three. */
  private free(ts: TrainState<M>): void {
    const needed = [this.initial, this.current, this.input, this.proven];
    if (!needed.includes(ts)) disposeTrainState(ts);
  }
}
