/**
 * Storage for loops: a solver runs the same few programs on the same few places again and again, and allocates nothing on
 * the way where the backend can help it.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Gradual, RunContext } from './primitive.js';

/** A place for one tensor. A workspace made it, and only that workspace can use it. */
export interface Cell {
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
}

/** What a workspace runs. (Program is one.) */
export interface LoopProgram {
  /** As the active backend runs it. */
  executable(): LoopExecutable;
  capturedBuffers(): tf.TensorInfo[];
}

export interface LoopExecutable {
  run(inputs: readonly tf.TensorInfo[], captured: readonly tf.TensorInfo[], context: RunContext): tf.TensorInfo[];
}

/** A result that is made piece by piece along its first axis. */
export interface Rows {
  /** The place of `count` rows from `first` on, `[count, ...shape]`; to be written by the next run alone. */
  at(first: number, count: number): Cell;
  /** Set one row to a cell's value. */
  set(row: number, value: Cell): void;
  /** The whole, which is the caller's from now on; rows that were never written hold NaN (0 where they are integers). */
  take(): tf.TensorInfo;
  /** Free what there is. */
  discard(): void;
}

export interface Workspace {
  readonly backend: tf.KernelBackend;
  /** Can values be read at once? Where not, {@link read} throws and {@link later} is the way. */
  readonly immediate: boolean;
  /** Does a program take long before its first run, and each of its operations next to nothing afterwards? */
  readonly compiles: boolean;
  /** A place with storage of its own, until the workspace is disposed of or the cell is given back. */
  cell(shape: readonly number[], dtype?: tf.DataType): Cell;
  /** A place without storage, which will stand for a caller's buffer or for a part of another cell. */
  slot(shape: readonly number[], dtype?: tf.DataType): Cell;
  /** From now on the slot stands for that buffer, which stays the caller's. */
  bind(slot: Cell, buffer: tf.TensorInfo): void;
  /**
   * From now on the slot stands for rows of `whole` from `first` on: as many as its first dimension says, or one where the slot has the
   * shape of a row.
   */
  part(slot: Cell, whole: Cell, first: number): void;
  /** Exchange what two cells of one shape stand for. */
  swap(a: Cell, b: Cell): void;
  /** Run a program. No output may be an input. */
  run(program: LoopProgram, inputs: readonly Cell[], outputs: readonly Cell[], context: RunContext): void;
  /** Set a scalar. */
  put(cell: Cell, value: number): void;
  write(cell: Cell, values: readonly number[]): void;
  /** Set every element. */
  fill(cell: Cell, value: number): void;
  /** The value of a scalar. */
  scalar(cell: Cell): number;
  read(cell: Cell): number[];
  later(cell: Cell): Promise<number[]>;
  /** A buffer with the cell's present value, for the caller to free. */
  copy(cell: Cell): tf.TensorInfo;
  rows(count: number, shape: readonly number[], dtype?: tf.DataType): Rows;
  /** What the cells hold is no longer needed; they will be written before they are read again. */
  rest(): void;
  /** Give cells back. */
  free(cells: readonly Cell[]): void;
  dispose(): void;
}

/** A loop around programs: yields cells that it must know where they cannot be read at once, and receives their values. */
export type Loop<T> = Generator<Cell, T, readonly number[]>;

/** A loop as a computation that says how its cells are read. */
export function* reading<T>(ws: Workspace, loop: Loop<T>): Gradual<T> {
  let turn = loop.next();
  while (turn.done !== true) {
    const cell = turn.value;
    let values: readonly number[];
    try {
      values = yield () => ws.later(cell);
    } catch (error) {
      turn = loop.throw(error);
      continue;
    }
    turn = loop.next(values);
  }
  return turn.value;
}
