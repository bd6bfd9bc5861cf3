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
  readonly bytes: number;
}

/** A data id that has room for what the engine knows of it. */
export abstract class DataId {
  info: DataInfo | undefined = undefined;
}

/** The engine's table: ids of ours carry their entry, those of other backends stay in the table that was there. */
class DataInfos {
  constructor(private readonly others: WeakMap<object, DataInfo>) {}

  has(id: object): boolean {
    return id instanceof DataId ? id.info !== undefined : this.others.has(id);
  }

  get(id: object): DataInfo | undefined {
    return id instanceof DataId ? id.info : this.others.get(id);
  }

  set(id: object, info: DataInfo): this {
    if (id instanceof DataId) id.info = info;
    else this.others.set(id, info);
    return this;
  }

  delete(id: object): boolean {
    if (!(id instanceof DataId)) return this.others.delete(id);
    const had = id.info !== undefined;
    id.info = undefined;
    return had;
  }
}

const accounted = new WeakSet<EngineInternals>();

/** Bytes of an element as tfjs counts them, for the dtypes that are counted so simply. */
const bytesOf = (dtype: tf.DataType): number =>
  dtype === 'float32' || dtype === 'int32' ? 4 : dtype === 'bool' ? 1 : 0;

/** The engine's account of a tensor of ours, as its own `trackTensor` and `disposeTensor` keep it, without what other kinds need. */
function keepAccount(engine: EngineInternals): void {
  if (accounted.has(engine)) return;
  accounted.add(engine);
  const [track, dispose] = [engine.trackTensor.bind(engine), engine.disposeTensor.bind(engine)];
  engine.trackTensor = (tensor, backend) => {
    const { dataId, dtype, size, shape } = tensor;
    const bytes = bytesOf(dtype) * size;
    if (!(dataId instanceof DataId) || bytes === 0 || backend === undefined) {
      track(tensor, backend);
      return;
    }
    const { state } = engine;
    state.numTensors++;
    state.numBytes += bytes;
    if (dataId.info === undefined) {
      state.numDataBuffers++;
      dataId.info = { backend, dtype, shape, bytes };
    }
    if (state.activeScope !== null && !(tensor instanceof tf.Variable)) engine.track(tensor);
  };
  engine.disposeTensor = (tensor) => {
    const { dataId, dtype, size } = tensor;
    const bytes = bytesOf(dtype) * size;
    if (!(dataId instanceof DataId) || bytes === 0 || dataId.info === undefined) {
      dispose(tensor);
      return;
    }
    const { state } = engine;
    const { backend } = dataId.info;
    state.numTensors--;
    state.numBytes -= bytes;
    if (!backend.disposeData(dataId)) return;
    dataId.info = undefined;
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
