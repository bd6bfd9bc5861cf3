export type { Data } from './batches.js';
export {
  CheckpointError,
  loadCheckpoint,
  restoreTrainState,
  saveCheckpoint,
  type Checkpoint,
  type CheckpointContent,
  type CheckpointLike,
  type LoadCheckpointOptions,
} from './checkpoint.js';
export type { Objective, TrainState } from './contract.js';
export { TrainingError } from './errors.js';
export type { ProgressOptions, ProgressStream } from './progress.js';
export {
  readSafetensors,
  SafetensorsError,
  writeSafetensors,
  type SafetensorsDtype,
  type SafetensorsEntry,
  type SafetensorsFile,
  type SafetensorsMetadata,
  type SafetensorsPlace,
} from './safetensors.js';
export { train, type StepReport, type TrainOptions, type TrainResult } from './train.js';
export {
  applyGradients,
  computeGradients,
  disposeTrainState,
  singleTrainStep,
  singleTrainStepAsync,
  trainState,
  type ComputedGradients,
  type TrainStep,
  type TrainStepOptions,
} from './train-state.js';
