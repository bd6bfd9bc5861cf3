export { convBatchNormActivation, convNormActivation, type ConvNormOptions } from './conv-norm.js';
export { convMixer, type ConvMixerOptions } from './conv-mixer.js';
export { leNet5, type LeNetOptions } from './le-net.js';
export { mlp, type MlpOptions, type NormLayer } from './mlp.js';
export type { Network } from './network.js';
export { resNet, resNet18, resNet34, resNet50, type ResNetDepth, type ResNetOptions } from './res-net.js';
export { vgg, type VggDepth, type VggOptions } from './vgg.js';
