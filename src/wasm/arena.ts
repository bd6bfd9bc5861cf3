/**
 * One block of memory for all intermediates of a program: each lives from the step that writes it to the last that reads
 * it, and two that do not live at the same time may lie in the same place.
 */
import { livesOf, type Life } from './lives.js';
import type { Step } from './steps.js';
import type { BufferSlot } from './views.js';

const ALIGNMENT = 64;

export interface Arena {
  readonly bytes: number;
  readonly offsets: ReadonlyMap<BufferSlot, number>;
}

/** Largest first, each at the lowest place that is free throughout its life. */
export function layOut(steps: readonly Step[]): Arena {
  const offsets = new Map<BufferSlot, number>();
  const placed: { life: Life; start: number; end: number }[] = [];
  let bytes = 0;
  const lives = [...livesOf(steps)].filter(([{ home }]) => home === 'arena');
  for (const [buffer, life] of lives.sort(([x, a], [y, b]) => y.bytes - x.bytes || a.from - b.from)) {
    let start = 0;
    const size = Math.ceil(Math.max(buffer.bytes, 1) / ALIGNMENT) * ALIGNMENT;
    for (const other of placed) {
      if (other.life.to < life.from || life.to < other.life.from) continue;
      if (other.start >= start + size) break;
      start = Math.max(start, other.end);
    }
    offsets.set(buffer, start);
    const end = start + size;
    const at = placed.findIndex((p) => p.start > start);
    placed.splice(at < 0 ? placed.length : at, 0, { life, start, end });
    bytes = Math.max(bytes, end);
  }
  return { bytes, offsets };
}
