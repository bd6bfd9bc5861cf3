/**
 * Results in the place of what is read for the last time: an elementwise loop, or the loop that a product ends in, reads
 * every element just before it writes the one with the same index, so its result needs no memory besides that of an operand
 * that dies there. Where the result is an output of the program, the operand lives in the output's memory from its beginning.
 */
import { resultsOf } from './emit/nest.js';
import type { MatMulStep, NestStep, Step } from './steps.js';
import { livesOf, readsOf, resultsIn } from './lives.js';
import type { BufferSlot, View } from './views.js';

/** Where in memory a loop finds the elements of a result or an operand. */
export interface Walk {
  readonly view: View;
  /** In elements, along the axes of the loop. */
  readonly strides: readonly number[];
}

/** Results and operands of a step that may read and write them in any order of the elements, and how it walks along them. */
export interface Walks {
  readonly sizes: readonly number[];
  readonly written: readonly Walk[];
  /** Read at the index that is written next. */
  readonly read: readonly Walk[];
  /** Read at other indices too. */
  readonly others: readonly View[];
}

function nestWalks(step: NestStep): Walks | undefined {
  const { spec } = step;
  if (spec.reduce !== undefined || spec.isSequential === true) return undefined;
  const results = resultsOf(spec);
  return {
    sizes: spec.sizes,
    written: resultsIn(step).map((view, i) => ({ view, strides: results[i].out.strides })),
    read: readsOf(step).map((view, i) => ({ view, strides: spec.operands[i].strides })),
    others: [],
  };
}

function matMulWalks({ spec, views }: MatMulStep): Walks | undefined {
  if (spec.epilogue === undefined) return undefined;
  const [c, a, b, ...rest] = views;
  const { operands } = spec.epilogue;
  return {
    sizes: [spec.rows, spec.columns],
    written: [{ view: c, strides: spec.c }],
    read: rest.map((view, i) => ({ view, strides: operands[i] })),
    others: [a, b],
  };
}

export const walksOf = (step: Step): Walks | undefined =>
  step.type === 'nest' ? nestWalks(step) : step.type === 'matmul' ? matMulWalks(step) : undefined;

/** Do both go through the same places in the same order, if their buffers begin at the same place? */
export function isAligned(x: Walk, y: Walk, sizes: readonly number[], floatBytes: number): boolean {
  const bytes = ({ view: { buffer } }: Walk): number => (buffer.kind === 'float' ? floatBytes : buffer.kind === 'int' ? 4 : 1); // prettier-ignore
  return (
    bytes(x) === bytes(y) &&
    x.view.offset === y.view.offset &&
    sizes.every((size, axis) => size === 1 || x.strides[axis] === y.strides[axis])
  );
}

/**
 * The steps with such results in such places. What would then copy a value to where it is, is gone.
 *
 * @param reserved Memory that holds something else until its first result is written.
 */
export function inPlace(
  steps: readonly Step[],
  floatBytes: number,
  reserved: ReadonlySet<BufferSlot> = new Set(),
): Step[] {
  const lives = livesOf(steps);
  const moved = new Map<BufferSlot, BufferSlot>();
  const place = (buffer: BufferSlot): BufferSlot => {
    const to = moved.get(buffer);
    return to === undefined ? buffer : place(to);
  };
  const dies = ({ buffer }: View, at: number): boolean => buffer.home === 'arena' && lives.get(buffer)?.to === at;
  steps.forEach((step, at) => {
    const walks = readsOf(step).some((view) => dies(view, at)) ? walksOf(step) : undefined;
    if (walks === undefined) return;
    const { sizes, written, read, others } = walks;
    const taken = new Set<BufferSlot>(others.map(({ buffer }) => buffer));
    for (const result of written) {
      const { buffer } = result.view;
      if (reserved.has(buffer)) continue;
      if (lives.get(buffer)?.from !== at || written.filter(({ view }) => view.buffer === buffer).length > 1) continue;
      const dying = read.find(
        ({ view, view: { buffer: given } }) =>
          dies(view, at) &&
          given.bytes === buffer.bytes &&
          !taken.has(given) &&
          read.every((walk) => walk.view.buffer !== given || isAligned(walk, result, sizes, floatBytes)),
      );
      if (dying === undefined) continue;
      const given = dying.view.buffer;
      taken.add(given);
      if (buffer.home === 'table') moved.set(place(given), buffer);
      else moved.set(buffer, given);
    }
  });
  if (moved.size === 0) return [...steps];
  const there = (view: View): View => (moved.has(view.buffer) ? { ...view, buffer: place(view.buffer) } : view);
  return steps.map((step) => relocated(step, there, place)).filter((step) => !isIdle(step, floatBytes));
}

function relocated(step: Step, there: (view: View) => View, place: (buffer: BufferSlot) => BufferSlot): Step {
  switch (step.type) {
    case 'call':
      return { ...step, inputs: step.inputs.map(there), outputs: step.outputs.map(place) };
    case 'nest':
      return { ...step, views: step.views.map(there) };
    default:
      return { ...step, views: step.views.map(there) } as unknown as Step;
  }
}

/** Does it copy what is there already? */
function isIdle(step: Step, floatBytes: number): boolean {
  if (step.type !== 'nest' || step.spec.term.op !== 'load' || step.spec.more !== undefined) return false;
  const walks = nestWalks(step);
  if (walks === undefined) return false;
  const [to] = walks.written;
  const from = walks.read[step.spec.term.leaf ?? 0];
  return to.view.buffer === from.view.buffer && isAligned(from, to, walks.sizes, floatBytes);
}
