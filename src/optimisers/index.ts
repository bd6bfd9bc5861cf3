export { setRate, type Optimiser, type OptimiserState } from './optimiser.js';
export type { Rate, Schedule } from './arguments.js';
export { descent, momentum, nesterov, type MomentumOptions } from './descent.js';
export {
  adaDelta,
  adaGrad,
  rmsProp,
  rprop,
  type AdaDeltaOptions,
  type AdaGradOptions,
  type RMSPropOptions,
  type RpropOptions,
} from './adaptive.js';
export {
  adaBelief,
  adam,
  adaMax,
  adamW,
  amsGrad,
  lion,
  nAdam,
  rAdam,
  type AdamOptions,
  type AdamWOptions,
  type LionOptions,
} from './adam.js';
export { clipGrad, clipNorm, optimiserChain, signDecay, weightDecay, type ClipNormOptions } from './transforms.js';
export {
  constantSchedule,
  cosineDecay,
  exponentialDecay,
  type CosineDecayOptions,
  type ExponentialDecayOptions,
} from './schedules.js';
