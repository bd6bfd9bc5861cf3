/**
 * Kernels that move elements about: each is undone by moving the cotangents back.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Attrs } from '../engine.js';
import { sliceOf } from '../strided-slice.js';
import type { Rule, RuleTable } from './rule.js';
import { byParts, dilated, kernel, linear, reshaped, through, unbroadcast, type Inputs, type Tensor } from './tools.js';

const toShape: Rule = ({ inputs, dys: [dy] }) =>
  Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, () => reshaped(dy, x.shape)]));

function padded(dy: Tensor, begin: readonly number[], shape: readonly number[]): Tensor {
  const paddings = shape.map((n, i): [number, number] => [begin[i], n - begin[i] - dy.shape[i]]);
  if (paddings.every(([lo, hi]) => lo === 0 && hi === 0)) return dy;
  return byParts(dy, (x) => kernel('PadV2', { x }, { paddings, constantValue: 0 }));
}

const normalAxis = (axis: unknown, rank: number): number => {
  const given = (axis as number | undefined) ?? 0;
  return given < 0 ? given + rank : given;
};

const concat: Rule = ({ inputs, dys: [dy], attrs }) => {
  const axis = normalAxis(attrs.axis, dy.rank);
  let offset = 0;
  return Object.fromEntries(
    Object.entries(inputs).map(([name, x]) => {
      const begin = x.shape.map((_, i) => (i === axis ? offset : 0));
      offset += x.shape[axis];
      return [name, () => byParts(dy, (part) => tf.slice(part, begin, x.shape))];
    }),
  );
};

const pack: Rule = ({ inputs, dys: [dy], attrs }) => {
  const axis = normalAxis(attrs.axis, dy.rank);
  return Object.fromEntries(
    Object.entries(inputs).map(([name, x], k) => [
      name,
      () => {
        const begin = dy.shape.map((_, i) => (i === axis ? k : 0));
        const size = dy.shape.map((n, i) => (i === axis ? 1 : n));
        return byParts(dy, (part) => tf.reshape(tf.slice(part, begin, size), x.shape));
      },
    ]),
  );
};

const slice: Rule = ({ inputs: { x }, dys: [dy], attrs }) => ({
  x: () => {
    const [begin] = sliceOf(x.shape, attrs);
    return padded(dy, begin, x.shape);
  },
});

/** Negative strides are positive ones of a reversed slice; what the slice stepped over gets zeros. */
const stridedSlice: Rule = ({ inputs: { x }, dys: [dy], attrs }) => ({
  x: () => {
    if (dy.size === 0) return null;
    const a = attrs as Record<'begin' | 'end' | 'strides', number[]> & Record<string, number>;
    const { begin, end, strides } = tf.slice_util.sliceInfo(
      x.shape,
      a.begin,
      a.end,
      a.strides,
      a.beginMask,
      a.endMask,
      a.ellipsisMask,
      a.newAxisMask,
      a.shrinkAxisMask,
    );
    // Per axis of x: an axis that was dropped counts as sliced to one element.
    const lengths = x.shape.map((_, i) => Math.ceil((end[i] - begin[i]) / strides[i]));
    const aligned = reshaped(dy, lengths);
    const backwards = strides.flatMap((s, i) => (s < 0 ? [i] : []));
    const forwards = backwards.length === 0 ? aligned : tf.reverse(aligned, backwards);
    const first = begin.map((b, i) => (strides[i] < 0 ? b + (lengths[i] - 1) * strides[i] : b));
    const axes = x.shape.map((_, i) => i);
    return padded(dilated(forwards, axes, strides.map(Math.abs)), first, x.shape); // prettier-ignore
  },
});

/** A reflection at both ends of each padded axis. */
function mirrorPad({ x }: Inputs, attrs: Attrs): Tensor {
  const edge = attrs.mode === 'reflect' ? 1 : 0; // whether the border itself is left out of its image
  let y = x;
  (attrs.paddings as [number, number][]).forEach(([lo, hi], axis) => {
    const n = y.shape[axis];
    const piece = (begin: number, length: number): Tensor => {
      const at = y.shape.map((_, i) => (i === axis ? begin : 0));
      const size = y.shape.map((m, i) => (i === axis ? length : m));
      return tf.reverse(tf.slice(y, at, size), axis);
    };
    const pieces = [...(lo > 0 ? [piece(edge, lo)] : []), y, ...(hi > 0 ? [piece(n - edge - hi, hi)] : [])];
    y = pieces.length === 1 ? y : tf.concat(pieces, axis);
  });
  return y;
}

function depthToSpace({ x }: Inputs, { blockSize, dataFormat }: Attrs): Tensor {
  const block = blockSize as number;
  if (dataFormat === 'NCHW') {
    const [batch, channels, height, width] = x.shape;
    const depth = channels / (block * block);
    const cut = tf.reshape(x, [batch, block, block, depth, height, width]);
    return tf.reshape(tf.transpose(cut, [0, 3, 4, 1, 5, 2]), [batch, depth, height * block, width * block]);
  }
  const [batch, height, width, channels] = x.shape;
  const depth = channels / (block * block);
  const cut = tf.reshape(x, [batch, height, width, block, block, depth]);
  return tf.reshape(tf.transpose(cut, [0, 1, 3, 2, 4, 5]), [batch, height * block, width * block, depth]);
}

export const ARRANGEMENT: RuleTable = {
  Reshape: toShape,
  ExpandDims: toShape,
  Transpose: linear('x', (dy, _, { perm }) => {
    const order = perm as number[];
    return tf.transpose(dy, order.map((_, i) => order.indexOf(i))); // prettier-ignore
  }),
  Reverse: linear('x', (dy, _, { dims }) => kernel('Reverse', { x: dy }, { dims })),
  FlipLeftRight: linear('image', (dy) => tf.reverse(dy, 2)),
  Concat: concat,
  Pack: pack,
  Unpack: ({ inputs: { value }, dys, attrs }) => ({
    value: () => tf.stack([...dys], normalAxis(attrs.axis, value.rank)),
  }),
  SplitV: ({ inputs: { x }, dys, attrs }) => ({ x: () => tf.concat([...dys], normalAxis(attrs.axis, x.rank)) }),
  Slice: slice,
  StridedSlice: stridedSlice,
  PadV2: linear(
    'x',
    (dy, x, { paddings }) =>
    tf.slice(dy, (paddings as [number, number][]).map(([lo]) => lo), x.shape), // prettier-ignore
  ),
  MirrorPad: through(mirrorPad),
  Tile: linear('x', (dy, x, { reps }) => {
    const repeats = reps as number[];
    const repeated = repeats.flatMap((r, i) => (r > 1 ? [i] : []));
    // An axis of length 1 is itself the axis of copies.
    if (repeated.every((i) => x.shape[i] === 1)) return repeated.length === 0 ? dy : tf.sum(dy, repeated, true);
    const copies = tf.reshape(dy, x.shape.flatMap((n, i) => [repeats[i], n])); // prettier-ignore
    return tf.sum(copies, x.shape.map((_, i) => 2 * i)); // prettier-ignore
  }),
  BroadcastTo: linear('x', (dy, x) => unbroadcast(dy, x.shape)),
  SpaceToBatchND: linear('x', (x, _, { blockShape, paddings }) =>
    kernel('BatchToSpaceND', { x }, { blockShape, crops: paddings }),
  ),
  BatchToSpaceND: linear('x', (x, _, { blockShape, crops }) =>
    kernel('SpaceToBatchND', { x }, { blockShape, paddings: crops }),
  ),
  DepthToSpace: through(depthToSpace),
};
