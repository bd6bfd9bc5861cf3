/**
 * One block of memory for all intermediates of a program: each lives from the step that writes it to the last that reads
 * it, and two that do not live at the same time may lie in the same place.
 */
import type { Step } from './steps.js';
import type { BufferSlot } from './views.js';

const ALIGNMENT = 64;

interface Life {
  readonly buffer: BufferSlot;
  readonly from: number;
  to: number;
}

function lives(steps: readonly Step[]): Life[] {
  const byBuffer = new Map<BufferSlot, Life>();
  steps.forEach((step, at) => {
    const touched =
      step.type === 'call'
        ? [...step.outputs, ...step.inputs.map(({ buffer }) => buffer)]
        : step.views.map(({ buffer }) => buffer);
    for (const buffer of touched) {
      if (buffer.home !== 'arena') continue;
      const life = byBuffer.get(buffer);
      if (life === undefined) byBuffer.set(buffer, { buffer, from: at, to: at });
      else life.to = at;
    }
  });
  return [...byBuffer.values()];
}

export interface Arena {
  readonly bytes: number;
  readonly offsets: ReadonlyMap<BufferSlot, number>;
}

/** Largest first, each at the lowest place that is free throughout its life. */
export function layOut(steps: readonly Step[]): Arena {
  const offsets = new Map<BufferSlot, number>();
  const placed: { life: Life; start: number; end: number }[] = [];
  let bytes = 0;
  const sorted = lives(steps).sort((x, y) => y.buffer.bytes - x.buffer.bytes || x.from - y.from);
  for (const life of sorted) {
    let start = 0;
    const size = Math.ceil(Math.max(life.buffer.bytes, 1) / ALIGNMENT) * ALIGNMENT;
    for (const other of placed) {
      if (other.life.to < life.from || life.to < other.life.from) continue;
      if (other.start >= start + size) break;
      start = Math.max(start, other.end);
    }
    offsets.set(life.buffer, start);
    const end = start + size;
    const at = placed.findIndex((p) => p.start > start);
    placed.splice(at < 0 ? placed.length : at, 0, { life, start, end });
    bytes = Math.max(bytes, end);
  }
  return { bytes, offsets };
}
