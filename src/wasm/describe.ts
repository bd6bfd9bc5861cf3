/**
 * A compiled program as text: what runs one after the other, what it costs, and what the host runs.
 */
import { formatShape, PRIMITIVE, sizeOf } from '../graph/graph.js';
import type { PrimitiveAttrs } from '../graph/primitive.js';
import { resultsOf } from './emit/nest.js';
import type { Term } from './emit/terms.js';
import { readsOf, resultsIn } from './lives.js';
import type { CallStep, ConvolutionStep, MatMulStep, MoveStep, NestStep, Plan, RandomStep, Step } from './steps.js';
import type { View } from './views.js';

export interface Sizes {
  readonly arenaBytes: number;
  readonly moduleBytes: number;
  readonly precision: number;
  /** Default 1. */
  readonly threads?: number;
  /** Of the kernels, those that several threads compute together. */
  readonly sharedKernels?: number;
}

interface Line {
  readonly text: string;
  /** Arithmetic operations; a mathematical function counts as one. */
  readonly flops: number;
}

/** What a buffer is called: `in0`, `out1`, `const2`, `arena` with the bytes it takes there. */
type Naming = (view: View) => string;

/** The term as a formula. What has a name already, is called by it. */
function formula(term: Term, leaves: readonly string[], known: ReadonlyMap<Term, string> = new Map()): string {
  const name = known.get(term);
  if (name !== undefined) return name;
  if (term.op === 'load') return leaves[term.leaf ?? 0];
  if (term.op === 'const') return String(term.value);
  return `${term.op}(${term.args.map((arg) => formula(arg, leaves, known)).join(', ')})`;
}

/** How many operations terms have; what they share counts once. */
function flopsOf(terms: readonly Term[], counted = new Set<Term>()): number {
  return terms.reduce((n, term) => {
    if (counted.has(term)) return n;
    counted.add(term);
    const own = term.kind === 'float' && !['load', 'const', 'cast'].includes(term.op) ? 1 : 0;
    return n + own + flopsOf(term.args, counted);
  }, 0);
}

function nest(step: NestStep, nameOf: Naming): Line {
  const { spec } = step;
  const terms = resultsOf(spec).map(({ term }) => term);
  const count = sizeOf(spec.sizes);
  const { reduce } = spec;
  const over = reduce === undefined ? '' : ` reduced by ${reduce.op} over the last ${reduce.axes}`;
  const leaves = readsOf(step).map(nameOf);
  const known = new Map<Term, string>();
  const results = resultsIn(step).map((view, i) => {
    // Everything is read before anything is written: what other results call by the name of an operand is primed.
    const name = terms.length > 1 && leaves.includes(nameOf(view)) ? `${nameOf(view)}'` : nameOf(view);
    const text = `${name} = ${formula(terms[i], leaves, known)}`;
    if (terms[i].args.length > 0) known.set(terms[i], name);
    return text;
  });
  return {
    text: `${results.join('; ')} for ${formatShape(spec.sizes)}${over}`,
    flops: count * (flopsOf(terms) + (reduce === undefined ? 0 : 1)),
  };
}

function matmul({ spec, views }: MatMulStep, nameOf: Naming): Line {
  const { rows, inner, columns, epilogue } = spec;
  const [c, a, b, ...rest] = views.map(nameOf);
  const matrices = sizeOf(views[0].shape) / Math.max(rows * columns, 1);
  const product = `${a} (${rows} x ${inner}) . ${b} (${inner} x ${columns})`;
  const batch = matrices > 1 ? ` for ${matrices} matrices` : '';
  const ended = epilogue === undefined ? product : formula(epilogue.term, [product, ...rest]);
  const after = epilogue === undefined ? 0 : flopsOf([epilogue.term]);
  const panels = [...(spec.aPanels === true ? ['A'] : []), ...(spec.bPanels === true ? ['B'] : [])];
  const packed = panels.length === 0 ? '' : `, ${panels.join(' and ')} in panels`;
  return {
    text: `${c} = ${ended}${batch}${packed}`,
    flops: matrices * rows * columns * (2 * inner + after),
  };
}

function convolution({ spec, views }: ConvolutionStep, nameOf: Naming): Line {
  const { sizes, window, lanes, epilogue } = spec;
  const [c, x, w, ...rest] = views.map(nameOf);
  const places = window.map(({ size }) => size);
  const sum = `convolution of ${x} with ${w}`;
  const ended = epilogue === undefined ? sum : formula(epilogue.term, [sum, ...rest]);
  const after = epilogue === undefined ? 0 : flopsOf([epilogue.term]);
  return {
    text: `${c} = ${ended} for ${formatShape(sizes)} over ${formatShape(places)}, lanes along ${lanes}`,
    flops: sizeOf(sizes) * (2 * sizeOf(places) + after),
  };
}

const move = ({ spec, views }: MoveStep, nameOf: Naming): Line => ({
  text: `${nameOf(views[0])} = ${spec.mode} ${nameOf(views[1])} at ${nameOf(views[2])}: ${spec.count} slices of ${spec.slice}`,
  flops: spec.mode === 'add' ? spec.count * spec.slice : 0,
});

const random = ({ spec, views }: RandomStep, nameOf: Naming): Line => ({
  text: `${nameOf(views[0])} = ${spec.count} random numbers of the key ${nameOf(views[1])}`,
  flops: 0,
});

function call({ node, inputs }: CallStep, nameOf: Naming): Line {
  const isPrimitive = node.kernel === PRIMITIVE;
  const name = isPrimitive ? (node.attrs as unknown as PrimitiveAttrs).primitive.name : node.kernel;
  const why = isPrimitive ? 'a computation of its own' : 'no generated code: the cpu kernel on copies';
  const types = node.inputs.map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`).join(', ');
  return { text: `call ${name}(${inputs.map(nameOf).join(', ')}) of ${types}  # ${why}`, flops: 0 };
}

function line(step: Step, nameOf: Naming): Line {
  switch (step.type) {
    case 'nest':
      return nest(step, nameOf);
    case 'matmul':
      return matmul(step, nameOf);
    case 'convolution':
      return convolution(step, nameOf);
    case 'move':
      return move(step, nameOf);
    case 'random':
      return random(step, nameOf);
    case 'call':
      return call(step, nameOf);
  }
}

const viewsOf = (step: Step): readonly View[] => (step.type === 'call' ? step.inputs : step.views);

/** The steps of a plan, with totals in front. */
export function describePlan(
  plan: Plan,
  { arenaBytes, moduleBytes, precision, threads = 1, sharedKernels = 0 }: Sizes,
): string {
  const { steps, inputCount, capturedCount, donors } = plan;
  const arena = new Map<object, number>();
  const nameOf: Naming = ({ buffer }) => {
    if (buffer.home === 'constant') return `const${buffer.index}`;
    if (buffer.home === 'table') {
      const { index } = buffer;
      if (index < inputCount) return `in${index}`;
      return index < inputCount + capturedCount ? `captured${index - inputCount}` : `out${index - inputCount - capturedCount}`;
    }
    let number = arena.get(buffer);
    if (number === undefined) arena.set(buffer, (number = arena.size));
    return `t${number}`;
  }; // prettier-ignore
  const lines = steps.map((step) => line(step, nameOf));
  const donated = donors.flatMap((donor, i) => (donor === null ? [] : [`out${i} takes the place of in${donor}`]));
  const flops = lines.reduce((n, l) => n + l.flops, 0);
  const touched = steps.flatMap(viewsOf).reduce((n, { buffer }) => n + buffer.bytes, 0);
  const calls = steps.filter(({ type }) => type === 'call').length;
  const shared = sharedKernels === 0 ? '' : ` (${sharedKernels} on ${threads} threads)`;
  return [
    `compiled in float${precision}: ${steps.length - calls} kernels${shared}, ${calls} calls of the host, arena of ${arenaBytes} bytes for ${arena.size} intermediates, ` +
      `module of ${moduleBytes} bytes, ${flops} flops, ${touched} bytes read and written`,
    ...(donated.length === 0 ? [] : [`donated: ${donated.join(', ')}`]),
    ...lines.map(({ text }, i) => `${String(i).padStart(3)}  ${text}`),
  ].join('\n');
}
