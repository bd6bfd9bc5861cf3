/**
 * Which results may be written where a donated argument lies: those that are first written after it was last read, or by the
 * very loop that reads it last, at the same index. The code is right whether they do or not, so each run decides for itself.
 */
import { isAligned, walksOf } from './in-place.js';
import type { Step } from './steps.js';
import { livesOf } from './lives.js';
import type { BufferSlot } from './views.js';

/** May a step fail, once it has begun? */
const mayFail = (step: Step): boolean => step.type === 'call' || (step.type === 'move' && step.spec.site >= 0);

/**
 * For each result the number of the argument whose place it may take, each named once.
 *
 * @param inputs The memory of the arguments that are donated, by their numbers.
 * @param outputs That of the results; null for one that is not written.
 */
export function donorsOf(
  steps: readonly Step[],
  inputs: ReadonlyMap<number, BufferSlot>,
  outputs: readonly (BufferSlot | null)[],
  floatBytes: number,
): (number | null)[] {
  const lives = livesOf(steps);
  // A run that fails leaves its arguments as they were.
  const safeFrom = steps.reduce((last, step, at) => (mayFail(step) ? at + 1 : last), 0);
  const free = new Map(inputs);

  const fits = (given: BufferSlot, result: BufferSlot): 'there' | 'before' | undefined => {
    const from = lives.get(result)?.from;
    const to = lives.get(given)?.to ?? -1;
    if (from === undefined || from < safeFrom || to > from || given.bytes !== result.bytes) return undefined;
    if (to < from) return 'before';
    const walks = walksOf(steps[from]);
    const target = walks?.written.filter(({ view }) => view.buffer === result) ?? [];
    if (walks === undefined || target.length !== 1 || walks.others.some(({ buffer }) => buffer === given)) return undefined; // prettier-ignore
    const readThere = walks.read.filter(({ view }) => view.buffer === given);
    return readThere.every((walk) => isAligned(walk, target[0], walks.sizes, floatBytes)) ? 'there' : undefined;
  };
  const donors = outputs.map((): number | null => null);
  // First those that are read where they are written: what was read is in the cache.
  for (const how of ['there', 'before'] as const) {
    outputs.forEach((result, i) => {
      if (result === null || donors[i] !== null) return;
      const found = [...free].find(([, given]) => fits(given, result) === how);
      if (found === undefined) return;
      donors[i] = found[0];
      free.delete(found[0]);
    });
  }
  return donors;
}
