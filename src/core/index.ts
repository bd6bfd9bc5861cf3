export { constant, type NestedNumbers, type NumericArray } from './constant.js';
export { ravel, type Unravel } from './flatten.js';
export * from './initialisers.js';
export {
  apply,
  applyChild,
  initialParameters,
  initialStates,
  parameterLength,
  setup,
  stateLength,
  testMode,
  trainMode,
  updateState,
  type AnyLayer,
  type Empty,
  type InputOf,
  type Layer,
  type LayerDisplay,
  type OutputOf,
  type ParametersOf,
  type StatesOf,
} from './layer.js';
export { OptionError } from './options.js';
export { defineLayer, layerToString } from './print.js';
export * from './random.js';
export { getIn, mapIn, setIn, shareParameters, type PathIn, type ValueAt } from './surgery.js';
export {
  disposeTree,
  flatten,
  formatPath,
  isTensor,
  leaves,
  leavesWithPaths,
  treeMap,
  treeZip,
  TreeError,
  type Path,
  type StateTree,
  type Static,
  type Tensor,
  type Tree,
} from './tree.js';
