export { neuralODE, type NeuralOdeOptions, type NeuralOdeState } from './neural-ode.js';
export { visionTransformer, type VisionTransformerName, type VisionTransformerOptions } from './vision-transformer.js';
export * from './vision/index.js';
