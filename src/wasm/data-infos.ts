/**
 * What tfjs's engine knows of each buffer (its backend, shape and bytes), kept where it is found at once.
 *
 * tfjs keeps it in a `WeakMap` by data id and asks it five times in the life of a tensor, which is most of what a small tensor costs. Our data
 * ids are objects of our own class, so they can carry it themselves; it lives as long as its id, as in a `WeakMap`.
 */
import * as tf from '@tensorflow/tfjs-core';
import { engineInternals, type EngineInternals } from '../graph/engine.js';

export interface DataInfo {
  backend: tf.KernelBackend;
  readonly dtype: tf.DataType;
  readonly shape: readonly number[];
  /** The engine reads and changes it for texts only. */
  readonly bytes?: number;
}

/** A data id that is itself what the engine knows of it. */
export abstract class DataId {
  /** The backend where the engine knows it to be; undefined while it does not know it. */
  backend: tf.KernelBackend | undefined = undefined;
  /** Was its buffer freed by being donated? Set by `giveUp`; a field of every id, so that setting it is cheap. */
  isDonated = false;
  abstract readonly dtype: tf.DataType;
  abstract readonly shape: readonly number[];
}

const isKnown = (id: DataId): id is DataId & DataInfo => id.backend !== undefined;

/** Bytes of an element as tfjs counts them, for the dtypes that are counted so simply. */
const bytesOf = (dtype: tf.DataType): number =>
  dtype === 'float32' || dtype === 'int32' ? 4 : dtype === 'bool' ? 1 : 0;

/** The engine's table: numbers of ours are their own entry; all others, texts of ours among them, stay in the table that was there. */
class DataInfos {
  constructor(private readonly others: WeakMap<object, DataInfo>) {}

  has(id: object): boolean {
    return (id instanceof DataId && isKnown(id)) || this.others.has(id);
  }

  get(id: object): DataInfo | undefined {
    return id instanceof DataId && isKnown(id) ? id : this.others.get(id);
  }

  set(id: object, info: DataInfo): this {
    if (id instanceof DataId && bytesOf(info.dtype) > 0) id.backend = info.backend;
    else this.others.set(id, info);
    return this;
  }

  delete(id: object): boolean {
    if (!(id instanceof DataId && isKnown(id))) return this.others.delete(id);
    (id as DataId).backend = undefined;
    return true;
  }
}

const accounted = new WeakSet<EngineInternals>();

/** The engine's account of a tensor of ours, as its own `trackTensor` and `disposeTensor` keep it, without what other kinds need. */
function keepAccount(engine: EngineInternals): void {
  if (accounted.has(engine)) return;
  accounted.add(engine);
  const [track, dispose] = [engine.trackTensor.bind(engine), engine.disposeTensor.bind(engine)];
  engine.trackTensor = (tensor, backend) => {
    const { dataId, dtype, size } = tensor;
    const bytes = bytesOf(dtype) * size;
    if (!(dataId instanceof DataId) || bytes === 0 || backend == null) {
      track(tensor, backend);
      return;
    }
    const { state } = engine;
    state.numTensors++;
    state.numBytes += bytes;
    if (dataId.backend === undefined) {
      state.numDataBuffers++;
      dataId.backend = backend;
    }
    if (state.activeScope !== null && !(tensor instanceof tf.Variable)) engine.track(tensor);
  };
  engine.disposeTensor = (tensor) => {
    const { dataId, dtype, size } = tensor;
    const bytes = bytesOf(dtype) * size;
    if (!(dataId instanceof DataId) || bytes === 0 || dataId.backend === undefined) {
      dispose(tensor);
      return;
    }
    const { state } = engine;
    const { backend } = dataId;
    state.numTensors--;
    state.numBytes -= bytes;
    if (!backend.disposeData(dataId)) return;
    dataId.backend = undefined;
    state.numDataBuffers--;
  };
}

/** Let the engine keep its knowledge so. Calling it again does nothing, until the engine is reset. */
export function carryDataInfos(): void {
  const engine = engineInternals();
  const { state } = engine;
  if (state.tensorInfo instanceof DataInfos) return;
  keepAccount(engine);
  state.tensorInfo = new DataInfos(state.tensorInfo as WeakMap<object, DataInfo>) as unknown as WeakMap<object, DataInfo>; // prettier-ignore
}
