/**
 * What steps read and write, and how long what they write is wanted.
 */
import type { Step } from './plan.js';
import type { BufferSlot, View } from './views.js';

export const writesOf = (step: Step): readonly BufferSlot[] => (step.type === 'call' ? step.outputs : [step.views[0].buffer]); // prettier-ignore

export const readsOf = (step: Step): readonly View[] => (step.type === 'call' ? step.inputs : step.views.slice(1));

/** Numbers of the first and of the last step that touches a buffer. */
export interface Life {
  readonly from: number;
  to: number;
}

export function livesOf(steps: readonly Step[]): Map<BufferSlot, Life> {
  const lives = new Map<BufferSlot, Life>();
  steps.forEach((step, at) => {
    for (const buffer of [...writesOf(step), ...readsOf(step).map((view) => view.buffer)]) {
      const life = lives.get(buffer);
      if (life === undefined) lives.set(buffer, { from: at, to: at });
      else life.to = at;
    }
  });
  return lives;
}
