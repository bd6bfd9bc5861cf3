/**
 * A workspace on any tfjs backend: a cell holds a buffer, and a run puts new ones into the cells it writes.
 */
import * as tf from '@tensorflow/tfjs-core';
import { floatsFor } from '../core/floats.js';
import { share, type Buffer } from './executor.js';
import { sizeOf } from './graph.js';
import type { RunContext } from './primitive.js';
import type { Cell, LoopProgram, Rows, Workspace } from './workspace.js';

interface BufferCell extends Cell {
  buffer: Buffer | undefined;
}

export class BufferWorkspace implements Workspace {
  readonly immediate: boolean;
  readonly compiles = false;
  private readonly cells = new Set<BufferCell>();

  constructor(
    readonly backend: tf.KernelBackend,
    private readonly backendName: string,
  ) {
    this.immediate = readsAtOnce(backend);
  }

  cell(shape: readonly number[], dtype: tf.DataType = 'float32'): BufferCell {
    const cell: BufferCell = { shape, dtype, buffer: undefined };
    this.cells.add(cell);
    return cell;
  }

  slot(shape: readonly number[], dtype: tf.DataType = 'float32'): Cell {
    return this.cell(shape, dtype);
  }

  bind(slot: Cell, buffer: Buffer): void {
    this.set(slot, share(this.backend, buffer));
  }

  part(slot: Cell, whole: Cell, first: number): void {
    const x = bufferIn(whole);
    const rows = [slot.shape.length < x.shape.length ? 1 : slot.shape[0], ...x.shape.slice(1)];
    const begin = x.shape.map((_, i) => (i === 0 ? first : 0));
    this.set(slot, this.kernel('Slice', { x }, { begin, size: rows }));
  }

  swap(a: Cell, b: Cell): void {
    const [x, y] = [a as BufferCell, b as BufferCell];
    [x.buffer, y.buffer] = [y.buffer, x.buffer];
  }

  run(program: LoopProgram, inputs: readonly Cell[], outputs: readonly Cell[], context: RunContext): void {
    const results = program.executable().run(inputs.map(bufferIn), program.capturedBuffers(), context);
    results.forEach((buffer, i) => {
      this.set(outputs[i], buffer);
    });
  }

  put(cell: Cell, value: number): void {
    this.write(cell, [value]);
  }

  write(cell: Cell, values: readonly number[]): void {
    const shape = [...cell.shape];
    const data = cell.dtype === 'int32' ? new Int32Array(values.length) : floatsFor(this.backend, values.length);
    data.set(values);
    this.set(cell, { dataId: this.backend.write(data, shape, cell.dtype), shape, dtype: cell.dtype });
  }

  fill(cell: Cell, value: number): void {
    this.write(cell, new Array<number>(sizeOf(cell.shape)).fill(value));
  }

  scalar(cell: Cell): number {
    return this.read(cell)[0];
  }

  read(cell: Cell): number[] {
    return Array.from(this.backend.readSync(bufferIn(cell).dataId) as Float32Array);
  }

  async later(cell: Cell): Promise<number[]> {
    return Array.from((await this.backend.read(bufferIn(cell).dataId)) as Float32Array);
  }

  copy(cell: Cell): Buffer {
    return { ...share(this.backend, bufferIn(cell)), shape: [...cell.shape] };
  }

  rows(count: number, shape: readonly number[], dtype: tf.DataType = 'float32'): Rows {
    const pieces: { first: number; cell: BufferCell }[] = [];
    const at = (first: number, n: number): BufferCell => {
      const cell = this.cell([n, ...shape], dtype);
      pieces.push({ first, cell });
      return cell;
    };
    const discard = (): void => {
      this.free(pieces.splice(0).map(({ cell }) => cell));
    };
    return {
      at,
      set: (row, value) => {
        this.set(at(row, 1), { ...share(this.backend, bufferIn(value)), shape: [1, ...shape] });
      },
      take: () => {
        const written = pieces.filter(({ cell }) => cell.buffer !== undefined).sort((a, b) => a.first - b.first);
        const last = written.at(-1);
        const end = last === undefined ? 0 : last.first + last.cell.shape[0];
        if (end < count) {
          const rest = at(end, count - end);
          this.fill(rest, NaN);
          written.push({ first: end, cell: rest });
        }
        const buffers = written.map(({ cell }) => bufferIn(cell));
        const all =
          buffers.length === 1 ? share(this.backend, buffers[0]) : this.kernel('Concat', buffers, { axis: 0 });
        discard();
        return { ...all, shape: [count, ...shape] };
      },
      discard,
    };
  }

  rest(): void {
    for (const cell of this.cells) this.set(cell, undefined);
  }

  free(cells: readonly Cell[]): void {
    for (const cell of cells) {
      this.set(cell, undefined);
      this.cells.delete(cell as BufferCell);
    }
  }

  dispose(): void {
    this.free([...this.cells]);
  }

  private set(cell: Cell, buffer: Buffer | undefined): void {
    const place = cell as BufferCell;
    if (place.buffer !== undefined) this.backend.disposeData(place.buffer.dataId);
    place.buffer = buffer;
  }

  private kernel(name: string, inputs: Record<string, Buffer> | Buffer[], attrs: Record<string, unknown>): Buffer {
    const { kernelFunc } = tf.getKernel(name, this.backendName);
    return kernelFunc({
      inputs: inputs as tf.NamedTensorInfoMap,
      attrs: attrs as tf.NamedAttrMap,
      backend: this.backend,
    }) as Buffer;
  }
}

function bufferIn(cell: Cell): Buffer {
  const { buffer, shape } = cell as BufferCell;
  if (buffer === undefined) throw new Error('a cell was read before anything was written to it');
  return { dataId: buffer.dataId, shape: [...shape], dtype: buffer.dtype };
}

/** tfjs's WebGPU backend has `readSync` only for what already lies in host memory. */
export function readsAtOnce(backend: tf.KernelBackend): boolean {
  return !('device' in backend && 'queue' in backend);
}
