/**
 * What steps read and write, and how long what they write is wanted.
 */
import type { CallStep, Step } from './steps.js';
import type { BufferSlot, View } from './views.js';

/** How many of the views are results: they come first. */
const resultCount = (step: Exclude<Step, CallStep>): number => 1 + (step.type === 'nest' ? (step.spec.more?.length ?? 0) : 0); // prettier-ignore

/** The views through which a step writes, of which a call of the host has none. */
export const resultsIn = (step: Exclude<Step, CallStep>): readonly View[] => step.views.slice(0, resultCount(step));

export const writesOf = (step: Step): readonly BufferSlot[] =>
  step.type === 'call' ? step.outputs : resultsIn(step).map(({ buffer }) => buffer);

export const readsOf = (step: Step): readonly View[] =>
  step.type === 'call' ? step.inputs : step.views.slice(resultCount(step));

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
