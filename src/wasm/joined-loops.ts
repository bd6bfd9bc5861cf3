/**
 * Several results from one loop: elementwise loops over the same elements, of which one reads what the other reads or writes,
 * become one that loads each operand once and need not load what it has just computed. A value that no other step reads is
 * then not stored at all. Adam's two averages and its step are one such loop.
 */
import { sameShape } from '../graph/graph.js';
import { resultsOf, type Operand, type Result } from './emit/nest.js';
import { loadLeaf, type Term } from './emit/terms.js';
import type { NestStep, Step } from './steps.js';
import { readsOf, resultsIn, writesOf } from './lives.js';
import type { BufferSlot, View } from './views.js';

/** More operands and results at once would not stay in registers. */
const MOST_OPERANDS = 12;
const MOST_RESULTS = 8;
const LONGEST = 200;
/** How many steps one may pass by to reach its partner. */
const FARTHEST = 40;

const isLoop = (step: Step | null): step is NestStep =>
  step?.type === 'nest' && step.spec.reduce === undefined && step.spec.isSequential !== true;

/** What decides quickly whether two steps have anything in common: most pairs have not, and somebody waits for the program. */
interface Facts {
  readonly reads: readonly BufferSlot[];
  readonly writes: readonly BufferSlot[];
  /** Memory that a loop goes along, rather than reading one place of it for all elements. */
  readonly along: readonly BufferSlot[];
}

function factsOf(step: Step): Facts {
  const views = readsOf(step);
  const reads = views.map(({ buffer }) => buffer);
  const along = isLoop(step) ? reads.filter((_, i) => step.spec.operands[i].strides.some((s) => s !== 0)) : [];
  return { reads, writes: writesOf(step), along };
}

function meet(some: readonly BufferSlot[], others: readonly BufferSlot[]): boolean {
  for (const buffer of some) if (others.includes(buffer)) return true;
  return false;
}

/** May the second of two steps not run before the first? */
const inOrder = (first: Facts, second: Facts): boolean =>
  meet(first.writes, second.reads) || meet(first.writes, second.writes) || meet(first.reads, second.writes);

/** May the second of two loops find something there that the first has loaded or computed? */
const mayGain = (first: Facts, second: Facts): boolean =>
  meet(first.along, second.along) || meet(first.writes, second.reads);

interface Loop {
  readonly sizes: readonly number[];
  readonly results: readonly (Result & { readonly view: View })[];
  readonly operands: readonly (Operand & { readonly view: View })[];
}

function loopOf(step: NestStep): Loop {
  const results = resultsOf(step.spec);
  return {
    sizes: step.spec.sizes,
    results: resultsIn(step).map((view, i) => ({ ...results[i], view })),
    operands: readsOf(step).map((view, i) => ({ ...step.spec.operands[i], view })),
  };
}

function stepOf({ sizes, results, operands }: Loop): NestStep {
  const [first, ...more] = results.map(({ out, term }): Result => ({ out, term }));
  return {
    type: 'nest',
    spec: {
      sizes,
      ...first,
      operands: operands.map(({ kind, strides }) => ({ kind, strides })),
      ...(more.length > 0 ? { more } : {}),
    },
    views: [...results, ...operands].map(({ view }) => view),
  };
}

/** Terms with something else for their loads; what they share stays shared. */
function moving(load: (t: Term) => Term): (t: Term) => Term {
  const done = new Map<Term, Term>();
  const moved = (t: Term): Term => {
    let copy = done.get(t);
    if (copy === undefined) {
      copy = t.op === 'load' ? load(t) : { ...t, args: t.args.map(moved) };
      done.set(t, copy);
    }
    return copy;
  };
  return moved;
}

const sizeOfTerm = (t: Term): number => t.args.reduce((n, x) => n + sizeOfTerm(x), 1);

/** Are these the same elements in the same order? */
const isSame = (
  a: { strides: readonly number[]; view: View },
  b: { strides: readonly number[]; view: View },
): boolean => a.view.buffer === b.view.buffer && a.view.offset === b.view.offset && sameShape(a.strides, b.strides);

/** Do two results surely write to different places of one buffer, as the parts of a concatenation do? */
function areApart(a: Loop['results'][number], b: Loop['results'][number], sizes: readonly number[]): boolean {
  const { strides } = a.out;
  if (!sameShape(strides, b.out.strides) || strides.some((s) => s < 0)) return false;
  const axes = sizes.map((size, axis) => ({ size, stride: strides[axis] })).filter(({ size }) => size > 1);
  const extent = (within: typeof axes): number => within.reduce((n, { size, stride }) => n + (size - 1) * stride, 1);
  const [low, high] = [a.view.offset, b.view.offset].sort((x, y) => x - y);
  if (low + extent(axes) <= high) return true;
  if (axes.length === 0) return false;
  // Side by side along rows that are longer than both.
  const [outer, ...inner] = axes.sort((x, y) => y.stride - x.stride);
  const [one, two] = [low % outer.stride, high % outer.stride].sort((x, y) => x - y);
  const length = extent(inner);
  return one + length <= two && two + length <= outer.stride;
}

/** One loop for two over the same elements, of which the second follows the first; undefined where there is none, or it would gain nothing. */
function joined(first: Loop, second: Loop): Loop | undefined {
  const written = first.results.map(({ view }) => view.buffer);
  for (const result of second.results) {
    const { buffer } = result.view;
    if (first.operands.some(({ view }) => view.buffer === buffer)) return undefined;
    if (first.results.some((other) => other.view.buffer === buffer && !areApart(other, result, first.sizes))) return undefined; // prettier-ignore
  }
  const operands = [...first.operands];
  let gains = 0;
  const terms: Term[] = [];
  for (const operand of second.operands) {
    const source = first.results.find(({ out, view }) => isSame({ strides: out.strides, view }, operand));
    if (source === undefined && written.includes(operand.view.buffer)) return undefined;
    const known = operands.findIndex((other) => isSame(other, operand));
    if (source !== undefined || (known >= 0 && operand.strides.some((s) => s !== 0))) gains++;
    terms.push(source?.term ?? loadLeaf(operand.kind, known < 0 ? operands.push(operand) - 1 : known));
  }
  if (gains === 0) return undefined;
  const moved = moving((t) => terms[t.leaf ?? 0]);
  const results = [...first.results, ...second.results.map((result) => ({ ...result, term: moved(result.term) }))];
  if (operands.length > MOST_OPERANDS || results.length > MOST_RESULTS) return undefined;
  if (results.reduce((n, { term }) => n + sizeOfTerm(term), 0) > LONGEST) return undefined;
  return { sizes: first.sizes, results, operands };
}

/** The loop without results that nobody reads, nor the operands that only those needed. */
function withoutUnread({ sizes, ...loop }: Loop, isRead: (buffer: BufferSlot) => boolean): Loop {
  const isWanted = ({ view: { buffer } }: Loop['results'][number]): boolean => buffer.home !== 'arena' || isRead(buffer); // prettier-ignore
  const wanted = loop.results.filter((result, i) => i === loop.results.length - 1 || isWanted(result));
  const used = new Set<number>();
  const look = (t: Term): void => {
    if (t.op === 'load') used.add(t.leaf ?? 0);
    t.args.forEach(look);
  };
  wanted.forEach(({ term }) => {
    look(term);
  });
  const kept = [...used].sort((a, b) => a - b);
  const renumber = moving((t) => ({ ...t, leaf: kept.indexOf(t.leaf ?? 0) }));
  const results = wanted.map((result) => ({ ...result, term: renumber(result.term) }));
  return { sizes, results, operands: kept.map((i) => loop.operands[i]) };
}

/** The steps with such loops joined, where the first can wait for the second or the second come to the first. */
export function joinLoops(steps: readonly Step[]): Step[] {
  const result: (Step | null)[] = [];
  const readers = new Map<BufferSlot, number>();
  const count = (step: Step, by: 1 | -1): void => {
    for (const { buffer } of readsOf(step)) readers.set(buffer, (readers.get(buffer) ?? 0) + by);
  };
  for (const step of steps) count(step, 1);
  const known = new Map<Step, Facts>();
  const facts = (step: Step): Facts => {
    let found = known.get(step);
    if (found === undefined) known.set(step, (found = factsOf(step)));
    return found;
  };
  /** Does no step of the result after that place satisfy the test? */
  const noneAfter = (at: number, test: (other: Facts) => boolean): boolean => {
    for (let i = at + 1; i < result.length; i++) {
      const other = result[i];
      if (other !== null && test(facts(other))) return false;
    }
    return true;
  };
  next: for (const given of steps) {
    let step = given;
    for (let at = result.length - 1; at >= result.length - FARTHEST && at >= 0 && isLoop(step); at--) {
      const partner = result[at];
      if (!isLoop(partner) || !sameShape(partner.spec.sizes, step.spec.sizes)) continue;
      const [first, second] = [facts(partner), facts(step)];
      if (!mayGain(first, second)) continue;
      const canWait = noneAfter(at, (other) => inOrder(first, other));
      if (!canWait && !noneAfter(at, (other) => inOrder(other, second))) continue;
      const one = joined(loopOf(partner), loopOf(step));
      if (one === undefined) continue;
      count(partner, -1);
      count(step, -1);
      step = stepOf(withoutUnread(one, (buffer) => (readers.get(buffer) ?? 0) > 0));
      count(step, 1);
      result[at] = canWait ? null : step;
      if (!canWait) continue next;
    }
    result.push(step);
  }
  return result.filter((step) => step !== null);
}
