export * from './core/index.js';
export * from './backend/index.js';
export * from './graph/index.js';
export * from './functional/index.js';
export * from './layers/index.js';
export * from './optimisers/index.js';
export * from './training/index.js';
export * from './interop/index.js';
