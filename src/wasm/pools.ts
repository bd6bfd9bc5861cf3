/**
 * Pooling in two and three dimensions: reductions over windows. The gradient of a maximum goes to the first of the largest
 * elements of each window (tfjs's convention).
 */
import * as tf from '@tensorflow/tfjs-core';
import { CONSTANT, makeNode, sizeOf, type Node, type Value } from '../graph/graph.js';
import { apply, constant, loadLeaf, type Term } from './emit/terms.js';
import { fill, inputsOf } from './indirect.js';
import type { Planner } from './steps.js';
import { reduceInto } from './reductions.js';
import { transposeView, whole, type View } from './views.js';
import { atPlace, axesOf, bordered, extents, interior, isInside, placesOf, windows, type Axis } from './windows.js';

type Plan = (planner: Planner, node: Node) => boolean;

/** No place: larger than every number of one. */
const NOWHERE = 2 ** 31 - 1;

function geometry({ attrs }: Node, shape: readonly number[]): Axis[] | undefined {
  const { filterSize, strides, pad, dimRoundingMode, dataFormat } = attrs;
  if (typeof dataFormat === 'string' && dataFormat.startsWith('NC')) return undefined;
  const rounding = dimRoundingMode as 'floor' | undefined;
  const info =
    shape.length === 4
      ? tf.backend_util.computePool2DInfo(
          [...shape] as [number, number, number, number],
          filterSize as number,
          strides as number,
          (attrs.dilations as number | undefined) ?? 1,
          pad as 'same',
          rounding,
        )
      : tf.backend_util.computePool3DInfo(
          [...shape] as [number, number, number, number, number],
          filterSize as number,
          strides as number,
          1,
          pad as 'same',
          rounding,
        );
  return axesOf(info, shape.length === 4 ? 2 : 3);
}

const isFloat = (node: Node): boolean => node.inputs.every(({ dtype }) => dtype === 'float32');
const positionsOf = (shape: readonly number[], axes: readonly Axis[]): number[] => [shape[0], ...axes.map(({ output }) => output), shape[shape.length - 1]]; // prettier-ignore

function numbers(values: readonly number[], shape: readonly number[], dtype: 'float32' | 'int32'): Value {
  const stored = dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values);
  return makeNode(CONSTANT, [], null, { values: stored }, [{ shape, dtype }], '').outputs[0];
}

/** [batch, ...positions, channels, ...window]: what is reduced comes last. */
function windowLast(view: View, axes: readonly Axis[]): View {
  const n = axes.length;
  const inner = axes.map((_, i) => i);
  return transposeView(view, [0, ...inner.map((i) => i + 1), 2 * n + 1, ...inner.map((i) => i + n + 1)]);
}

/** A view [batch, ...positions, channels] repeated over the window. */
const overWindow = (view: View, axes: readonly Axis[]): View => ({
  ...view,
  shape: [...view.shape, ...axes.map(({ window }) => window)],
  strides: [...view.strides, ...axes.map(() => 0)],
});

const load = (i: number): Term => loadLeaf('float', i);

/** Windows of so many places at most are one term: no loops within the loop. */
const FEW_PLACES = 9;

/** Each window reduced to one element. */
function pooled(planner: Planner, op: 'add' | 'max', border: number, x: View, axes: readonly Axis[], to: View): void {
  const seen = windows(bordered(planner, x, axes, border), axes);
  const places = placesOf(axes);
  if (places.length <= FEW_PLACES) {
    const leaves = places.map((place) => atPlace(seen, place));
    const term = leaves
      .map((_, i) => load(i))
      .reduce((one, next) => apply('float', op === 'max' ? 'larger' : op, one, next));
    planner.compute({ shape: to.shape, term, leaves }, to);
    return;
  }
  const last = windowLast(seen, axes);
  reduceInto(planner, op, { shape: last.shape, term: load(0), leaves: [last] }, axes.length, to);
}

function largest(planner: Planner, x: View, axes: readonly Axis[], to: View): void {
  pooled(planner, 'max', -Infinity, x, axes, to);
}

const maxPool: Plan = (planner, node) => {
  const { x } = inputsOf(node);
  const axes = isFloat(node) ? geometry(node, x.shape) : undefined;
  if (axes === undefined || node.outputs.length !== 1) return false;
  const view = planner.view(x);
  largest(planner, view, axes, planner.define(node.outputs[0]));
  return true;
};

/** How many elements of the input each window has: [1, ...positions, 1]. */
function counts(axes: readonly Axis[]): number[] {
  return axes.reduce<number[]>(
    (sofar, { input, output, window, stride, dilation, before }) =>
      sofar.flatMap((n) =>
        Array.from({ length: output }, (_, o) => {
          const places = Array.from({ length: window }, (__, k) => o * stride - before + k * dilation);
          return n * places.filter((p) => p >= 0 && p < input).length;
        }),
      ),
    [1],
  );
}

const avgPool: Plan = (planner, node) => {
  const { x } = inputsOf(node);
  const axes = isFloat(node) ? geometry(node, x.shape) : undefined;
  if (axes === undefined) return false;
  const view = planner.view(x);
  const result = planner.define(node.outputs[0]);
  pooled(planner, 'add', 0, view, axes, result);
  const found = counts(axes);
  const isEven = found.every((n) => n === found[0]);
  const shape = [1, ...axes.map(({ output }) => output), 1];
  const leaves = isEven ? [result] : [result, planner.view(numbers(found, shape, 'float32'))];
  const divisor = isEven ? constant('float', found[0]) : load(1);
  planner.compute({ shape: result.shape, term: apply('float', 'div', load(0), divisor), leaves }, result);
  return true;
};

/** For each place of the window in turn, what every window gives to its element there. */
function spread(
  planner: Planner,
  axes: readonly Axis[],
  out: Value,
  share: (number: number) => { term: Term; leaves: readonly View[] },
): void {
  const result = planner.define(out);
  const [batch, channels] = [out.shape[0], out.shape[out.shape.length - 1]];
  const target = isInside(axes) ? result : planner.scratch('float', [batch, ...extents(axes), channels]);
  const seen = windows(target, axes);
  // Every element lies in one window: it is written once and never read.
  const isTiled = axes.every((a) => a.window === a.stride && a.dilation === 1 && a.output * a.window === a.input && a.before === 0); // prettier-ignore
  if (!isTiled) fill(planner, target, 0);
  placesOf(axes).forEach((place, k) => {
    const to = atPlace(seen, place);
    const { term, leaves } = share(k);
    const own = loadLeaf('float', leaves.length);
    planner.compute(
      isTiled
        ? { shape: to.shape, term, leaves }
        : { shape: to.shape, term: apply('float', 'add', own, term), leaves: [...leaves, to] },
      to,
    );
  });
  if (target !== result) planner.copy(interior(target, axes), result);
}

const avgPoolGrad: Plan = (planner, node) => {
  const { dy, input } = inputsOf(node);
  const axes = isFloat(node) ? geometry(node, input.shape) : undefined;
  if (axes === undefined) return false;
  const from = planner.view(dy);
  const factor = 1 / sizeOf(axes.map(({ window }) => window));
  const term = apply('float', 'mul', load(0), constant('float', factor));
  spread(planner, axes, node.outputs[0], () => ({ term, leaves: [from] }));
  return true;
};

/** In each window the least of the numbers that stand where `x` is the window's largest. */
function firstLargest(planner: Planner, x: View, y: View, number: View, axes: readonly Axis[], to: View): void {
  const seen = windowLast(windows(bordered(planner, x, axes, -Infinity), axes), axes);
  // A window with a NaN has no largest element: its first stands for it.
  const isLargest = apply('bool', 'or', apply('bool', 'eq', load(0), load(1)), apply('bool', 'ne', load(1), load(1)));
  const term = apply('int', 'select', isLargest, loadLeaf('int', 2), constant('int', NOWHERE));
  const leaves = [seen, overWindow(y, axes), number];
  reduceInto(planner, 'min', { shape: seen.shape, term, leaves }, axes.length, to);
}

const maxPoolGrad: Plan = (planner, node) => {
  const { dy, input } = inputsOf(node);
  const axes = isFloat(node) ? geometry(node, input.shape) : undefined;
  if (axes === undefined) return false;
  const x = planner.view(input);
  const from = planner.view(dy);
  const shape = positionsOf(input.shape, axes);
  const y = planner.scratch('float', shape);
  largest(planner, x, axes, y);
  const lengths = axes.map(({ window }) => window);
  const order = planner.view(numbers(Array.from({ length: sizeOf(lengths) }, (_, i) => i), lengths, 'int32')); // prettier-ignore
  const places = planner.scratch('int', shape);
  firstLargest(planner, x, y, order, axes, places);
  spread(planner, axes, node.outputs[0], (k) => {
    const isHere = apply('bool', 'eq', loadLeaf('int', 0), constant('int', k));
    return { term: apply('float', 'select', isHere, load(1), constant('float', 0)), leaves: [places, from] };
  });
  return true;
};

/** Where in the flat input each window's first maximum lies. */
const argMax: Plan = (planner, node) => {
  const [x] = node.inputs;
  const axes = isFloat(node) ? geometry(node, x.shape) : undefined;
  if (axes === undefined) return false;
  const [batch, channels] = [x.shape[0], x.shape[x.shape.length - 1]];
  const lengths = extents(axes);
  const inputs = axes.map(({ input }) => input);
  const spatial = Array.from({ length: sizeOf(lengths) }, (_, flat) => {
    let place = 0;
    let [rest, scale] = [flat, channels];
    for (let i = axes.length - 1; i >= 0; i--) {
      const k = (rest % lengths[i]) - axes[i].before;
      rest = Math.floor(rest / lengths[i]);
      if (k < 0 || k >= inputs[i]) return NOWHERE;
      place += k * scale;
      scale *= inputs[i];
    }
    return place;
  });
  const image = sizeOf(inputs) * channels;
  const bases = Array.from({ length: batch * channels }, (_, i) => Math.floor(i / channels) * image + (i % channels));
  const number = windows(planner.view(numbers(spatial, [1, ...lengths, 1], 'int32')), axes);
  const repeated: View = { ...number, strides: number.strides.map((s, i) => (i === 0 || i === number.shape.length - 1 ? 0 : s)) }; // prettier-ignore
  const base = planner.view(numbers(bases, [batch, ...axes.map(() => 1), channels], 'int32'));
  const view = planner.view(x);
  const shape = positionsOf(x.shape, axes);
  const y = planner.scratch('float', shape);
  largest(planner, view, axes, y);
  const result = whole(planner.define(node.outputs[0]).buffer, shape);
  const seen = { ...repeated, shape: repeated.shape.map((n, i) => (i === 0 ? batch : i === number.shape.length - 1 ? channels : n)) }; // prettier-ignore
  firstLargest(planner, view, y, windowLast(seen, axes), axes, result);
  const term = apply('int', 'add', loadLeaf('int', 0), loadLeaf('int', 1));
  planner.compute({ shape, term, leaves: [result, base] }, result);
  return true;
};

export const POOLS: ReadonlyMap<string, Plan> = new Map<string, Plan>([
  ['MaxPool', maxPool],
  ['MaxPool3D', maxPool],
  ['AvgPool', avgPool],
  ['AvgPool3D', avgPool],
  ['MaxPoolGrad', maxPoolGrad],
  ['MaxPool3DGrad', maxPoolGrad],
  ['AvgPoolGrad', avgPoolGrad],
  ['AvgPool3DGrad', avgPoolGrad],
  ['NullclinePoolArgMax', argMax],
]);
