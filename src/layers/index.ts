export { LayerError } from './check.js';
export { compact, type CompactLayer, type CompactOptions, type CompactScope } from './compact.js';
export {
  branchLayer,
  chain,
  maxout,
  pairwiseFusion,
  parallel,
  repeatedLayer,
  skipConnection,
  type RepeatedOptions,
} from './containers.js';
export type { AffineOptions, AffineParameters } from './affine.js';
export { bilinear, dense, scale } from './dense.js';
export { alphaDropout, dropout, type DropoutOptions, type DropoutState } from './dropout.js';
export {
  flattenLayer,
  noOpLayer,
  reshapeLayer,
  reverseSequence,
  selectDim,
  wrappedFunction,
  type FlattenOptions,
} from './functions.js';
export type { Container, NamedParts, Part, Stateless } from './types.js';
