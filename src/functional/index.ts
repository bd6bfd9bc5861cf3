export * from './activations.js';
export * from './losses.js';
export * from './padding.js';
