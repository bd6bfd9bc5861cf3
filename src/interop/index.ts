export { InteropError } from './errors.js';
export { fromLayersModel, type FromLayersModel, type FromLayersModelOptions } from './keras/index.js';
export {
  fromStateDict,
  readStateDict,
  toStateDict,
  writeStateDict,
  type FromStateDictOptions,
  type StateDict,
  type StateDictOptions,
} from './state-dict/index.js';
