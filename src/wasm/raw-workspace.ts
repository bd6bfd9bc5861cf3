/**
 * A workspace on the compiled backend: a cell is an address, and a run is a table of addresses and one call.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { sizeOf } from '../graph/graph.js';
import type { RunContext } from '../graph/primitive.js';
import type { Cell, LoopExecutable, LoopProgram, Rows, Workspace } from '../graph/workspace.js';
import type { NullclineBackend } from './backend.js';
import type { RawProgram } from './raw.js';

interface RawCell extends Cell {
  /** 0 where there is nothing yet. */
  pointer: number;
  readonly bytes: number;
}

/** What a workspace holds on the heap; apart from it, so that it can be freed after the workspace is gone. */
interface Held {
  readonly backend: NullclineBackend;
  readonly pointers: Set<number>;
}

function free({ backend, pointers }: Held): void {
  for (const pointer of pointers) backend.heap.release(pointer);
  pointers.clear();
}

const forgotten = new FinalizationRegistry<Held>(free);

/** Nothing is compiled for it: it holds values that generated code cannot. */
const UNCOMPILED = Symbol('uncompiled');

export class RawWorkspace implements Workspace {
  readonly immediate = true;
  readonly compiles = true;
  private readonly held: Held;
  private readonly programs = new Map<LoopProgram, RawProgram | typeof UNCOMPILED>();

  constructor(
    readonly backend: NullclineBackend,
    private readonly rawOf: (executable: LoopExecutable) => RawProgram | undefined,
  ) {
    this.held = { backend, pointers: new Set() };
    forgotten.register(this, this.held, this);
  }

  cell(shape: readonly number[], dtype: tf.DataType = 'float32'): Cell {
    const cell = this.slot(shape, dtype);
    cell.pointer = this.allocate(cell.bytes);
    return cell;
  }

  slot(shape: readonly number[], dtype: tf.DataType = 'float32'): RawCell {
    return { shape, dtype, pointer: 0, bytes: sizeOf(shape) * this.bytesOf(dtype) };
  }

  bind(slot: Cell, { dataId, dtype }: tf.TensorInfo): void {
    (slot as RawCell).pointer = this.backend.pointerOf(dataId, dtype);
  }

  part(slot: Cell, whole: Cell, first: number): void {
    const { shape, pointer, dtype } = whole as RawCell;
    (slot as RawCell).pointer = pointer + first * sizeOf(shape.slice(1)) * this.bytesOf(dtype);
  }

  swap(a: Cell, b: Cell): void {
    const x = a as RawCell;
    const y = b as RawCell;
    const { pointer } = x;
    x.pointer = y.pointer;
    y.pointer = pointer;
  }

  run(program: LoopProgram, inputs: readonly Cell[], outputs: readonly Cell[], context: RunContext): void {
    let raw = this.programs.get(program);
    if (raw === undefined || (raw !== UNCOMPILED && raw.disposed)) {
      raw = this.rawOf(program.executable()) ?? UNCOMPILED;
      this.programs.set(program, raw);
    }
    if (raw === UNCOMPILED) {
      this.runOnBuffers(program, inputs, outputs, context);
      return;
    }
    let at = raw.table;
    // Fetched first: finding them may move memory.
    const captured = raw.capturedCount === 0 ? [] : this.pointersOf(program.capturedBuffers());
    const words = this.backend.heap.i32;
    for (let i = 0; i < inputs.length; i++) words[at++] = (inputs[i] as RawCell).pointer;
    for (let i = 0; i < captured.length; i++) words[at++] = captured[i];
    for (let i = 0; i < outputs.length; i++) words[at++] = (outputs[i] as RawCell).pointer;
    raw.run(context);
  }

  private pointersOf(buffers: readonly tf.TensorInfo[]): number[] {
    return buffers.map(({ dataId, dtype }) => this.backend.pointerOf(dataId, dtype));
  }

  private runOnBuffers(
    program: LoopProgram,
    inputs: readonly Cell[],
    outputs: readonly Cell[],
    context: RunContext,
  ): void {
    const { backend } = this;
    const made = inputs.map((cell) => this.copy(cell));
    try {
      const results = program.executable().run(made.slice(), program.capturedBuffers(), context);
      made.push(...results);
      results.forEach(({ dataId }, i) => {
        const from = backend.pointerOf(dataId);
        const { pointer, bytes } = outputs[i] as RawCell;
        backend.heap.u8.copyWithin(pointer, from, from + bytes);
      });
    } finally {
      for (const { dataId } of made) backend.disposeData(dataId);
    }
  }

  put(cell: Cell, value: number): void {
    const { pointer } = cell as RawCell;
    const { heap, precision } = this.backend;
    if (precision === 32) heap.f32[pointer >>> 2] = value;
    else heap.f64[pointer >>> 3] = value;
  }

  write(cell: Cell, values: readonly number[]): void {
    this.view(cell).set(values);
  }

  fill(cell: Cell, value: number): void {
    (this.view(cell) as Float32Array).fill(value);
  }

  scalar(cell: Cell): number {
    const { pointer } = cell as RawCell;
    const { heap, precision } = this.backend;
    return precision === 32 ? heap.f32[pointer >>> 2] : heap.f64[pointer >>> 3];
  }

  read(cell: Cell): number[] {
    // Array.from takes many times as long.
    const view = this.view(cell);
    const values = new Array<number>(view.length);
    for (let i = 0; i < view.length; i++) values[i] = view[i];
    return values;
  }

  later(cell: Cell): Promise<number[]> {
    return Promise.resolve(this.read(cell));
  }

  copy(cell: Cell): tf.TensorInfo {
    const { pointer, bytes, shape, dtype } = cell as RawCell;
    const { heap } = this.backend;
    const place = heap.allocate(bytes);
    heap.u8.copyWithin(place, pointer, pointer + bytes);
    return this.backend.adopt(place, shape, dtype);
  }

  rows(count: number, shape: readonly number[], dtype: tf.DataType = 'float32'): Rows {
    const { heap } = this.backend;
    const whole = this.slot([count, ...shape], dtype);
    const rowBytes = whole.bytes / count;
    let pointer = (whole.pointer = heap.allocate(whole.bytes));
    this.fill(whole, NaN);
    return {
      at: (first, n): RawCell => ({
        shape: [n, ...shape],
        dtype,
        pointer: pointer + first * rowBytes,
        bytes: n * rowBytes,
      }),
      set: (row, value) => {
        const from = (value as RawCell).pointer;
        heap.u8.copyWithin(pointer + row * rowBytes, from, from + rowBytes);
      },
      take: () => {
        const all = this.backend.adopt(pointer, whole.shape, dtype);
        pointer = 0;
        return all;
      },
      discard: () => {
        if (pointer !== 0) heap.release(pointer);
        pointer = 0;
      },
    };
  }

  rest(): void {
    // Memory is kept for the next run.
  }

  free(cells: readonly Cell[]): void {
    for (const { pointer } of cells as readonly RawCell[]) {
      if (this.held.pointers.delete(pointer)) this.backend.heap.release(pointer);
    }
  }

  dispose(): void {
    forgotten.unregister(this);
    free(this.held);
  }

  private allocate(bytes: number): number {
    const pointer = this.backend.heap.allocate(bytes);
    this.held.pointers.add(pointer);
    return pointer;
  }

  private bytesOf(dtype: tf.DataType): number {
    return dtype === 'float32' ? this.backend.precision / 8 : dtype === 'int32' ? 4 : 1;
  }

  private view(cell: Cell): Float32Array | Float64Array | Int32Array | Uint8Array {
    const { pointer, shape, dtype } = cell as RawCell;
    const { heap, precision } = this.backend;
    const at = pointer / this.bytesOf(dtype);
    const all = dtype === 'int32' ? heap.i32 : dtype === 'bool' ? heap.u8 : precision === 32 ? heap.f32 : heap.f64;
    return all.subarray(at, at + sizeOf(shape));
  }
}
