export { neuralODE, type NeuralOdeOptions, type NeuralOdeState } from './neural-ode.js';
export { visionTransformer, type VisionTransformerName, type VisionTransformerOptions } from './vision-transformer.js';
export * from './vision/index.js';
export { fixedPointCorrection, type CorrectionOptions } from './deep-equilibrium/correction.js';
export type { EquilibriumParameters, EquilibriumSolution, EquilibriumState } from './deep-equilibrium/equilibrium.js';
export { jacobianLoss, spectralRadius } from './deep-equilibrium/jacobian.js';
export {
  monotoneDense,
  monotoneWeight,
  type MonotoneOptions,
  type MonotoneParameters,
} from './deep-equilibrium/monotone.js';
export {
  multiScaleDeepEquilibriumNetwork,
  multiScaleNeuralODE,
  multiScaleSkipDeepEquilibriumNetwork,
  type MultiScaleNeuralOdeOptions,
  type Scales,
} from './deep-equilibrium/multi-scale.js';
export { deepEquilibriumNetwork, skipDeepEquilibriumNetwork } from './deep-equilibrium/network.js';
export type { EquilibriumOptions, TestOptions } from './deep-equilibrium/options.js';
export {
  gruODE,
  gruODEField,
  odeRNN,
  type GruOdeOptions,
  type IrregularSeries,
  type OdeRnnOptions,
} from './ode-rnn.js';
