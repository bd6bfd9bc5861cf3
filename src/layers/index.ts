export {
  multiHeadAttention,
  scaledDotProductAttention,
  type AttentionInput,
  type AttentionParameters,
  type AttentionSizes,
  type AttentionState,
  type MultiHeadAttentionOptions,
  type ScaledDotProductOptions,
} from './attention.js';
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
  type BranchOptions,
  type RepeatedOptions,
} from './containers.js';
export type { AffineOptions, AffineParameters } from './affine.js';
export {
  conv,
  convTranspose,
  depthwiseConv,
  flipKernel,
  type ConvOptions,
  type ConvTransposeOptions,
} from './convolution.js';
export { bilinear, dense, scale } from './dense.js';
export {
  alphaDropout,
  dropout,
  variationalHiddenDropout,
  type DropoutOptions,
  type DropoutState,
  type VariationalDropoutState,
} from './dropout.js';
export {
  flattenLayer,
  noOpLayer,
  reshapeLayer,
  reverseSequence,
  selectDim,
  wrappedFunction,
  type FlattenOptions,
} from './functions.js';
export type {
  CellInput,
  CellOptions,
  CellParameters,
  CellState,
  GateInitialiser,
  HiddenCarry,
  MemoryCarry,
  RecurrentCell,
  SplitCell,
} from './cell.js';
export { recurrence, statefulRecurrentCell, type RecurrenceOptions, type TimeAxis } from './recurrence.js';
export { gruCell, lstmCell, rnnCell, type LstmCellOptions } from './recurrent.js';
export {
  bidirectionalRNN,
  stackedRNN,
  type BidirectionalOptions,
  type MergeMode,
  type StackedRnnOptions,
} from './stacked.js';
export {
  batchNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  rmsNorm,
  type BatchNormStates,
  type LayerNormOptions,
  type NormOptions,
  type NormParameters,
  type RmsNormOptions,
  type RmsNormParameters,
  type RunningStates,
  type TrackingOptions,
} from './normalisation.js';
export {
  adaptiveLpPool,
  adaptiveMaxPool,
  adaptiveMeanPool,
  globalLpPool,
  globalMaxPool,
  globalMeanPool,
  lpPool,
  maxPool,
  meanPool,
  type MeanPoolOptions,
  type NormOption,
  type PoolOptions,
} from './pooling.js';
export { pixelShuffle, upsample, type UpsampleMode, type UpsampleOptions } from './upsample.js';
export {
  spectralNorm,
  weightNorm,
  type SpectralNormOptions,
  type SpectralNormStates,
  type WeightNormOptions,
  type WeightNormParameters,
} from './weight-norm.js';
export type { Pad, PerAxis } from './windows.js';
export { embedding, type EmbeddingOptions } from './embedding.js';
export {
  applyRotaryEmbedding,
  computeRotaryEmbeddingParams,
  positionEmbedding,
  rotaryPositionalEmbedding,
  sinusoidalPositionalEmbedding,
  type RotaryLayerOptions,
  type RotaryOptions,
  type RotaryParameters,
  type SinusoidalOptions,
} from './positional.js';
export {
  classTokens,
  patchEmbedding,
  transformerEncoderBlock,
  type TransformerEncoderBlockOptions,
} from './transformer.js';
export {
  chebyshevBasis,
  cosBasis,
  fourierBasis,
  legendreBasis,
  periodicEmbedding,
  polynomialBasis,
  sinBasis,
  tensorProductLayer,
  type Basis,
} from './basis.js';
export {
  kolmogorovArnold,
  type KolmogorovArnoldBasis,
  type KolmogorovArnoldOptions,
  type KolmogorovArnoldParameters,
} from './kolmogorov-arnold.js';
export { positiveDefinite, shiftTo, type PositiveDefiniteOptions } from './lyapunov.js';
export { splineLayer, type SplineBasis, type SplineOptions } from './spline.js';
export type { Container, NamedParts, Part, Stateless } from './types.js';
export { DebugError, debugMode, type DebugOptions } from './tools/debug.js';
export { freeze, frozenLayer, tieParameters, unfreeze, type FrozenLayer, type FrozenStates } from './tools/freeze.js';
export { layerMap, type LayerMapper, type LayerWithTrees } from './tools/layer-map.js';
export { outputShape, type OutputShapeOptions, type ShapeTree } from './tools/output-shape.js';
export { statefulLayer, type StatefulLayer } from './tools/stateful.js';
