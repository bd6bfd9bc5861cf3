/**
 * Bias and activation into the product: an elementwise loop that is all that reads a product is computed where the product
 * has its sums in registers, so that the result is written once and never read again.
 */
import type { Epilogue, MatMulSpec } from './emit/matmul.js';
import { isHeavy, type Term } from './emit/terms.js';
import type { MatMulStep, NestStep, Step } from './plan.js';
import { readsOf, writesOf } from './steps.js';
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

/** Strides between rows and columns, of an operand of a loop over `[1, ..., rows, columns]`. */
const lastTwo = (strides: readonly number[]): [number, number] => [strides[strides.length - 2], strides[strides.length - 1]]; // prettier-ignore

/** Is this operand of the loop the product, element by element? */
function isProduct({ offset }: View, strides: readonly number[], { rows, columns, c }: MatMulSpec): boolean {
  const [down, along] = lastTwo(strides);
  return offset === 0 && (rows === 1 || down === c[0]) && (columns === 1 || along === c[1]);
}

const renumbered = (term: Term, places: readonly number[]): Term =>
  term.op === 'load' ? { ...term, leaf: places[term.leaf ?? 0] } : { ...term, args: term.args.map((t) => renumbered(t, places)) }; // prettier-ignore

function merged(product: MatMulStep, loop: NestStep): MatMulStep | undefined {
  const { spec } = product;
  const { sizes, out, operands, term, reduce } = loop.spec;
  const rank = sizes.length;
  if (reduce !== undefined || out.kind !== 'float' || operands.some(({ kind }) => kind !== 'float')) return undefined;
  if (spec.repeat !== undefined) return undefined;
  if (rank < 2 || sizes[rank - 2] !== spec.rows || sizes[rank - 1] !== spec.columns) return undefined;
  if (sizes.slice(0, -2).some((n) => n !== 1)) return undefined;
  // Exponentials and the like need the registers that the sums are in: their own loop is quicker.
  if (isHeavy(term)) return undefined;
  const [target, ...given] = loop.views;
  const { buffer } = product.views[0];
  const isOurs = given.map((view) => view.buffer === buffer);
  if (!given.every((view, i) => !isOurs[i] || isProduct(view, operands[i].strides, spec))) return undefined;
  let next = 1;
  const places = isOurs.map((ours) => (ours ? 0 : next++));
  const others = given.filter((_, i) => !isOurs[i]);
  // What the loop reads elsewhere must not lie where it writes: a tile is read after its neighbours were written.
  if (others.some((view) => view.buffer === target.buffer)) return undefined;
  const epilogue: Epilogue = {
    term: renumbered(term, places),
    operands: operands.filter((_, i) => !isOurs[i]).map(({ strides }) => lastTwo(strides)),
  };
  const [, a, b] = product.views;
  return { type: 'matmul', spec: { ...spec, c: lastTwo(out.strides), epilogue }, views: [target, a, b, ...others] };
}

/** The steps with such loops gone. A product moves to where its loop was, for that may read what comes in between. */
export function fuseEpilogues(steps: readonly Step[]): Step[] {
  const uses = usesOf(steps);
  const waiting = new Map<BufferSlot, { at: number; step: MatMulStep }>();
  const result: (Step | null)[] = [];
  next: for (const step of steps) {
    if (step.type === 'matmul') {
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
