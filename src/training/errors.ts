import type { TrainState } from './contract.js';

/** Training stopped by an error. What was reached before it is not lost: it is here. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';

  constructor(
    message: string,
    /** The step that failed, counted from 1 and including the steps of the state that training began with. */
    readonly step: number,
    /** The last good train state; its tensors are the caller's to free. */
    readonly trainState: TrainState,
    /** The losses read before the failure. */
    readonly losses: readonly number[],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  static notFinite(loss: number, step: number, trainState: TrainState, losses: readonly number[] = []): TrainingError {
    return new TrainingError(
      `the loss is ${loss} at step ${step}. A smaller learning rate, clipNorm before the optimiser, or a look at the data ` +
        'of that step usually finds the reason',
      step,
      trainState,
      losses,
    );
  }
}
