/**
 * Cutting large kernels into parts that several threads compute.
 *
 * A part is the same kernel on fewer rows, columns or images of the result: every element of a result is computed whole, by
 * the same operations in the same order as without threads, in a vector with the same neighbours (where one lane of a vector needs
 * the host, all go there). So results are the same to the last bit, whatever the number of threads.
 */
import { sizeOf } from '../../graph/graph.js';
import { collapse, resultsOf, type NestSpec, type Operand } from '../emit/nest.js';
import { tileAxis } from '../emit/convolution-tile.js';
import { PANEL_ROWS, type MatMulSpec } from '../emit/matmul.js';
import type { Term } from '../emit/terms.js';
import { readsOf, writesOf } from '../lives.js';
import { isMathFunction } from '../math/functions.js';
import type { ConvolutionStep, MatMulStep, NestStep, RandomStep, Step } from '../steps.js';
import type { BufferSlot, View } from '../views.js';

/** Steps that are independent of each other: any order gives the same. */
export interface ParallelStep {
  readonly type: 'parallel';
  /** Does nothing that it reads lie where it may write? Then a part that was left half done can be computed again. */
  readonly isRepeatable: boolean;
  /** Nanoseconds of one thread, roughly. */
  readonly cost: number;
  readonly parts: readonly (readonly PartStep[])[];
}

type PartStep = NestStep | MatMulStep | ConvolutionStep | RandomStep;

/** Nanoseconds of one thread from which on a kernel is cut. A job by itself takes about 500. */
export const WORTH = 5_000;
/** What a part takes at least, of that. */
const LEAST = 0.5;
/** Parts for each thread: who is done early, or was there first, takes more of them. */
const EACH = 4;

/** Nanoseconds of a multiplication and addition of a product, and of what an element of a loop needs, all in float32. */
const MULTIPLY = 0.05;
const ELEMENT = 0.08;
/** An operand whose elements are not neighbours. */
const SCATTERED = 0.5;
const RANDOM = 4;
const OPERATION = 0.03;
const FUNCTION = 8;
const QUICK: Readonly<Record<string, number | undefined>> = { exp: 0.6, tanh: 0.7, sigmoid: 0.7, log: 1 };

function operations(term: Term, seen: Set<Term>): number {
  if (term.args.length === 0 || seen.has(term)) return 0;
  seen.add(term);
  const own = isMathFunction(term.op) ? (QUICK[term.op] ?? FUNCTION) : OPERATION;
  return term.args.reduce((n, arg) => n + operations(arg, seen), own);
}

/** What the step takes on one thread, roughly, in nanoseconds. */
function costOf(step: PartStep, floatBytes: number): number {
  const width = floatBytes / 4;
  if (step.type === 'matmul') {
    const { rows, inner, columns } = step.spec;
    return rows * inner * columns * MULTIPLY * width;
  }
  if (step.type === 'convolution') {
    const { sizes, window } = step.spec;
    return sizeOf(sizes) * sizeOf(window.map(({ size }) => size)) * MULTIPLY * width;
  }
  if (step.type === 'random') return step.spec.count * RANDOM;
  const { sizes, operands } = step.spec;
  const scattered = operands.filter(({ strides }) => Math.abs(strides[strides.length - 1]) > 1).length;
  const seen = new Set<Term>();
  const each = resultsOf(step.spec).reduce(
    (n, { term }) => n + ELEMENT + operations(term, seen),
    scattered * SCATTERED,
  );
  return sizeOf(sizes) * each * width;
}

const moved = (view: View, elements: number): View => ({ ...view, offset: view.offset + elements });

interface Range {
  readonly begin: number;
  readonly size: number;
}

/** About that many ranges of equal size, a multiple of `grain`, and a rest. A rest of one element joins the last of them. */
function rangesOf(size: number, grain: number, count: number): Range[] {
  const each = Math.ceil(size / count / grain) * grain;
  const ranges: Range[] = [];
  for (let begin = 0; begin < size;) {
    const left = size - begin;
    const here = left === each + 1 ? left : Math.min(each, left);
    ranges.push({ begin, size: here });
    begin += here;
  }
  return ranges;
}

/** Along the rows or the columns. */
function cutMatMul({ spec, views }: MatMulStep, wanted: number, floatBytes: number): MatMulStep[] {
  const { rows, columns, inner, epilogue } = spec;
  const part = (more: Partial<MatMulSpec>, c: number, a: number, b: number, others: (i: number) => number): MatMulStep => ({
    type: 'matmul',
    spec: { ...spec, ...more },
    views: [moved(views[0], c), moved(views[1], a), moved(views[2], b), ...views.slice(3).map((v, i) => moved(v, others(i)))],
  }); // prettier-ignore
  const operands = epilogue?.operands ?? [];
  const wide = 4 * (16 / floatBytes);
  const [down, across] = [rows / PANEL_ROWS, columns / wide];
  // The longer way, so that each part reads little of the operand that all parts read; unless that gives too few.
  if (rows >= columns ? down >= Math.min(wanted, across) : across < Math.min(wanted, down)) {
    return rangesOf(rows, PANEL_ROWS, wanted).map(({ begin, size }) =>
      part({ rows: size }, begin * spec.c[0], begin * (spec.aPanels === true ? inner : spec.a[0]), 0, (i) => begin * operands[i][0]),
    ); // prettier-ignore
  }
  return rangesOf(columns, wide, wanted).map(({ begin, size }) =>
    part({ columns: size }, begin * spec.c[1], 0, begin * (spec.bPanels === true ? inner : spec.b[1]), (i) => begin * operands[i][1]),
  ); // prettier-ignore
}

/** Elements of whole vectors: lanes have the same neighbours in a part as in the whole. */
const VECTORS = 16;

/**
 * Along the first of the axes that are kept. An axis of one element vanishes, so the last one never gets that short: the loops
 * of a reduction run in another order without it.
 */
function cutNest({ spec: given, views }: NestStep, wanted: number): NestStep[] {
  const spec = collapse(given);
  const kept = spec.sizes.length - (spec.reduce?.axes ?? 0);
  const walked = walkedBy(spec);
  const whole: NestStep = { type: 'nest', spec, views };
  if (kept === 0 || spec.isSequential === true || !readsWhereItWrites(spec, views)) return [whole];
  const along = (begin: number, size: number): NestStep => ({
    type: 'nest',
    spec: { ...spec, sizes: [size, ...spec.sizes.slice(1)] },
    views: views.map((view, i) => moved(view, begin * walked[i].strides[0])),
  });
  const [first] = spec.sizes;
  if (kept === 1) return rangesOf(first, VECTORS, wanted).map(({ begin, size }) => along(begin, size));
  if (first >= wanted) return rangesOf(first, 1, wanted).map(({ begin, size }) => along(begin, size));
  return Array.from({ length: first }, (_, i) => cutNest(along(i, 1), Math.ceil(wanted / first))).flat();
}

/** Along the images, or the lines of each where there are few. */
function cutConvolution({ spec, views }: ConvolutionStep, wanted: number, axis = 0): ConvolutionStep[] {
  // The axes that a tile takes several elements of are left whole.
  if (axis >= tileAxis(spec)) return [{ type: 'convolution', spec, views }];
  const strides = [spec.c, spec.x, [], ...(spec.epilogue?.operands ?? [])];
  const along = (begin: number, size: number): ConvolutionStep => ({
    type: 'convolution',
    spec: { ...spec, sizes: spec.sizes.map((n, i) => (i === axis ? size : n)) },
    views: views.map((view, i) => moved(view, begin * (strides[i][axis] ?? 0))) as unknown as ConvolutionStep['views'],
  });
  const size = spec.sizes[axis];
  if (size >= wanted || axis === tileAxis(spec) - 1) return rangesOf(size, 1, wanted).map((range) => along(range.begin, range.size)); // prettier-ignore
  return Array.from({ length: size }, (_, i) => cutConvolution(along(i, 1), Math.ceil(wanted / size), axis + 1)).flat();
}

/** Along the counters, of which each gives a number or two words. */
function cutRandom({ spec, views: [to, key] }: RandomStep, wanted: number): RandomStep[] {
  const each = spec.of.form === 'words' ? 2 : 1;
  return rangesOf(spec.count, VECTORS, wanted).map(({ begin, size }) => ({
    type: 'random',
    spec: { ...spec, count: size, low: spec.low + begin },
    views: [moved(to, begin * each), key],
  }));
}

function cut(step: PartStep, wanted: number, floatBytes: number): PartStep[] {
  if (step.type === 'nest') return cutNest(step, wanted);
  if (step.type === 'convolution') return cutConvolution(step, wanted);
  return step.type === 'matmul' ? cutMatMul(step, wanted, floatBytes) : cutRandom(step, wanted);
}

/** May a worker compute it? The tails of the normal distribution are the main thread's. */
function isForAll(step: Step): step is PartStep {
  return step.type === 'random' ? step.spec.of.form !== 'normal' : step.type !== 'move' && step.type !== 'call';
}

/** Results and operands, as their views are. */
const walkedBy = (spec: NestSpec): readonly Operand[] => [...resultsOf(spec).map(({ out }) => out), ...spec.operands];

/** Do all that lie where a result does go through its elements in the same order? */
function readsWhereItWrites(spec: NestSpec, views: readonly View[]): boolean {
  const walked = walkedBy(spec);
  return resultsOf(spec).every(({ out }, r) =>
    views.every(
      ({ buffer, offset }, i) =>
        buffer !== views[r].buffer ||
        (offset === views[r].offset && walked[i].strides.every((s, axis) => s === out.strides[axis])),
    ),
  );
}

/** Elements of the result of a product, from its first one on. */
const extent = ({ rows, columns, c }: MatMulSpec): number => (rows - 1) * c[0] + (columns - 1) * c[1] + 1;

/** Is that another matrix of a row of products: of the same matrices in memory, at places of their own? */
function continues(group: readonly MatMulStep[], step: Step): step is MatMulStep {
  const [first] = group;
  const last = group[group.length - 1];
  if (step.type !== 'matmul' || step.spec !== first.spec) return false;
  const [c, ...operands] = step.views;
  return (
    step.views.every(({ buffer }, i) => buffer === first.views[i].buffer) &&
    operands.every(({ buffer }) => buffer !== c.buffer) &&
    c.offset >= last.views[0].offset + extent(last.spec)
  );
}

function chunks<T>(list: readonly T[], count: number): T[][] {
  return rangesOf(list.length, 1, count).map(({ begin, size }) => list.slice(begin, begin + size));
}

/** What a result may lie in the place of, besides itself: an argument that was donated. */
export type Donor = (result: BufferSlot) => BufferSlot | undefined;

function isRepeatable(group: readonly PartStep[], donorOf: Donor): boolean {
  const written = group.flatMap(writesOf).flatMap((buffer) => [buffer, donorOf(buffer)]);
  return group.flatMap(readsOf).every(({ buffer }) => !written.includes(buffer));
}

function inParts(
  group: readonly PartStep[],
  threads: number,
  worth: number,
  floatBytes: number,
  donorOf: Donor,
): ParallelStep | undefined {
  const cost = group.length * costOf(group[0], floatBytes);
  if (cost < worth) return undefined;
  const wanted = Math.min(EACH * threads, Math.floor(cost / (LEAST * worth)));
  const what = { type: 'parallel', cost, isRepeatable: isRepeatable(group, donorOf) } as const;
  if (group.length >= wanted) return { ...what, parts: chunks(group, wanted) };
  const each = Math.ceil(wanted / group.length);
  const parts = group.flatMap((step) => cut(step, each, floatBytes));
  return parts.length > 1 ? { ...what, parts: parts.map((part) => [part]) } : undefined;
}

/** The steps with those cut that take long enough. */
export function shareOut(
  steps: readonly Step[],
  { size, worth }: { readonly size: number; readonly worth: number },
  floatBytes: number,
  donorOf: Donor = () => undefined,
): (Step | ParallelStep)[] {
  const result: (Step | ParallelStep)[] = [];
  for (let at = 0; at < steps.length;) {
    const step = steps[at];
    if (!isForAll(step)) {
      result.push(step);
      at++;
      continue;
    }
    const group: PartStep[] = [step];
    if (step.type === 'matmul') {
      const products = group as MatMulStep[];
      for (let next = at + 1; next < steps.length && continues(products, steps[next]); next++) products.push(steps[next] as MatMulStep); // prettier-ignore
    }
    const parallel = inParts(group, size, worth, floatBytes, donorOf);
    if (parallel === undefined) result.push(...group);
    else result.push(parallel);
    at += group.length;
  }
  return result;
}
