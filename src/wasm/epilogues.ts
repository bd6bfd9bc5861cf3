/**
 * Bias and activation into the product or convolution: an elementwise loop that is all that reads it is computed where it
 * has its sums in registers, so that the result is written once and never read again.
 */
import { sameShape } from '../graph/graph.js';
import type { Epilogue } from './emit/matmul.js';
import { isHeavy, type Term } from './emit/terms.js';
import { readsOf, writesOf } from './lives.js';
import type { ConvolutionStep, MatMulStep, NestStep, Step } from './steps.js';
import type { BufferSlot, View } from './views.js';

interface Uses {
  writers: number;
  readers: number;
}

function usesOf(steps: readonly Step[]): Map<BufferSlot, Uses> {
  const uses = new Map<BufferSlot, Uses>();
  const of = (buffer: BufferSlot): Uses => {
    let found = uses.get(buffer);
    if (found === undefined) uses.set(buffer, (found = { writers: 0, readers: 0 }));
    return found;
  };
  for (const step of steps) {
    for (const buffer of writesOf(step)) of(buffer).writers++;
    for (const { buffer } of readsOf(step)) of(buffer).readers++;
  }
  return uses;
}

type SumStep = MatMulStep | ConvolutionStep;

const axesOf = ({ type, spec }: SumStep): readonly number[] =>
  type === 'matmul' ? [spec.rows, spec.columns] : spec.sizes;

/**
 * Of strides along the axes of a loop over the step's result the strides along the result's own axes; undefined where the
 * loop is over another shape. Axes of one element may come and go.
 */
function ownStrides(step: SumStep, sizes: readonly number[]): ((strides: readonly number[]) => number[]) | undefined {
  const own = axesOf(step);
  const axes = sizes.flatMap((n, i) => (n === 1 ? [] : [i]));
  if (!sameShape(axes.map((i) => sizes[i]), own.filter((n) => n !== 1))) return undefined; // prettier-ignore
  return (strides) => {
    let next = 0;
    return own.map((n) => (n === 1 ? 0 : strides[axes[next++]]));
  };
}

const renumbered = (term: Term, places: readonly number[]): Term =>
  term.op === 'load' ? { ...term, leaf: places[term.leaf ?? 0] } : { ...term, args: term.args.map((t) => renumbered(t, places)) }; // prettier-ignore

function merged(step: SumStep, loop: NestStep): SumStep | undefined {
  const { out, operands, term, reduce, sizes } = loop.spec;
  const strides = ownStrides(step, sizes);
  if (strides === undefined) return undefined;
  if (reduce !== undefined || out.kind !== 'float' || operands.some(({ kind }) => kind !== 'float')) return undefined;
  // Exponentials and the like need the registers that the sums are in: their own loop is quicker.
  if (isHeavy(term)) return undefined;
  const [target, ...given] = loop.views;
  const { buffer } = step.views[0];
  const isOurs = given.map((view) => view.buffer === buffer);
  const own = axesOf(step);
  const isResult = ({ offset }: View, along: readonly number[]): boolean => offset === 0 && along.every((s, i) => own[i] === 1 || s === step.spec.c[i]); // prettier-ignore
  if (!given.every((view, i) => !isOurs[i] || isResult(view, strides(operands[i].strides)))) return undefined;
  let next = 1;
  const places = isOurs.map((ours) => (ours ? 0 : next++));
  const others = given.filter((_, i) => !isOurs[i]);
  // What the loop reads elsewhere must not lie where it writes: a tile is read after its neighbours were written.
  if (others.some((view) => view.buffer === target.buffer)) return undefined;
  const epilogue: Epilogue = {
    term: renumbered(term, places),
    operands: operands.filter((_, i) => !isOurs[i]).map((operand) => strides(operand.strides)),
  };
  const [, x, y] = step.views;
  const views = [target, x, y, ...others] as const;
  const c = strides(out.strides);
  if (step.type === 'convolution') return { ...step, spec: { ...step.spec, c, epilogue }, views };
  return { ...step, spec: { ...step.spec, c: [c[0], c[1]], epilogue }, views };
}

/** The steps with such loops gone. A product moves to where its loop was, for that may read what comes in between. */
export function fuseEpilogues(steps: readonly Step[]): Step[] {
  const uses = usesOf(steps);
  const waiting = new Map<BufferSlot, { at: number; step: SumStep }>();
  const result: (Step | null)[] = [];
  next: for (const step of steps) {
    if (step.type === 'matmul' || step.type === 'convolution') {
      const { buffer } = step.views[0];
      const { writers, readers } = uses.get(buffer) ?? { writers: 0, readers: 0 };
      if (buffer.home === 'arena' && writers === 1 && readers > 0) waiting.set(buffer, { at: result.length, step });
    } else if (step.type === 'nest') {
      const operands = step.views.slice(1).map(({ buffer }) => buffer);
      const candidates = operands.filter((buffer) => uses.get(buffer)?.readers === operands.filter((b) => b === buffer).length); // prettier-ignore
      for (const buffer of candidates) {
        const product = waiting.get(buffer);
        const one = product && merged(product.step, step);
        if (product === undefined || one === undefined) continue;
        result[product.at] = null;
        waiting.delete(buffer);
        result.push(one);
        continue next;
      }
    }
    result.push(step);
  }
  return result.filter((step) => step !== null);
}
