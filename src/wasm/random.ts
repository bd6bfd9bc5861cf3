/**
 * The random primitives (src/core/random.ts) by generated code.
 */
import { normalCdf } from '../core/gaussian.js';
import { sizeOf, type Node } from '../graph/graph.js';
import type { Form } from './emit/random.js';
import type { Planner } from './steps.js';
import type { View } from './views.js';

type Plan = (planner: Planner, node: Node) => boolean;

const WORD = 2 ** 32;

function draw(planner: Planner, node: Node, of: Form, to: View, start = 0): boolean {
  const count = of.form === 'words' ? sizeOf(to.shape) / 2 : sizeOf(to.shape);
  if (count === 0) return true;
  const key = planner.contiguous(node.inputs[0]);
  const spec = { of, count, high: Math.floor(start / WORD) | 0, low: (start % WORD) | 0 };
  planner.steps.push({ type: 'random', spec, views: [to, key] });
  return true;
}

const sampler =
  (formOf: (attrs: Readonly<Record<string, number>>) => Form): Plan =>
  (planner, node) =>
    draw(planner, node, formOf(node.attrs as Readonly<Record<string, number>>), planner.define(node.outputs[0]));

/** As in core/random.ts: an interval above the mean is drawn as its mirror image below. */
function truncated({ mean, std, lower, upper }: Readonly<Record<string, number>>): Form {
  const isMirrored = lower + upper > 2 * mean;
  const [low, high] = isMirrored
    ? [(mean - upper) / std, (mean - lower) / std]
    : [(lower - mean) / std, (upper - mean) / std];
  const below = normalCdf(low);
  const within = normalCdf(high) - below;
  return { form: 'normal', mean, scale: isMirrored ? -std : std, cut: { below, within, isMirrored, lower, upper } };
}

/** All keys lie in one buffer; each output is a view of its two words. */
const split: Plan = (planner, node) => {
  const { start, count } = node.attrs as { start: number; count: number };
  // `count` is the counter after the last.
  const n = count - start;
  if (Math.floor(start / WORD) !== Math.floor((count - 1) / WORD)) return false;
  const keys = planner.scratch('int', [n, 2]);
  draw(planner, node, { form: 'words' }, keys, start);
  node.outputs.forEach((v, k) => {
    planner.setView(v, { buffer: keys.buffer, offset: 2 * k, shape: [2], strides: [1] });
  });
  return true;
};

export const RANDOM: ReadonlyMap<string, Plan> = new Map<string, Plan>([
  ['NullclineSplit', split],
  ['NullclineUniform', sampler(({ minval, maxval }) => ({ form: 'uniform', minval, range: maxval - minval }))],
  ['NullclineBernoulli', sampler(({ p }) => ({ form: 'bernoulli', p }))],
  ['NullclineNormal', sampler(({ mean, std }) => ({ form: 'normal', mean, scale: std }))],
  ['NullclineTruncatedNormal', sampler(truncated)],
  ['NullclineRandint', sampler(({ minval, maxval }) => ({ form: 'integers', minval, range: maxval - minval }))],
]);
