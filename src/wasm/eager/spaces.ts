/**
 * Blocks of an image as images of a batch, and back, where that is too small to be worth a program of its own.
 */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf, type EagerKernel } from './eager.js';
import { MOVEMENTS } from './movement.js';
import { reshaped, Steps } from './steps.js';

/** From how many elements on a compiled program is faster. */
const LARGEST = 1024;

const { PadV2: pad, Slice: slice, Transpose: transpose } = MOVEMENTS;

const spaceToBatch: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (x === undefined || sizeOf(x.shape) >= LARGEST) return undefined;
  const block = attrs.blockShape as number[];
  const paddings = [[0, 0], ...(attrs.paddings as number[][])];
  while (paddings.length < x.shape.length) paddings.push([0, 0]);
  const { getReshaped, getPermuted, getReshapedPermuted } = tf.backend_util;
  const steps = new Steps(backend);
  let result: tf.TensorInfo | undefined;
  try {
    const padded = steps.run(pad, { x }, { paddings, constantValue: 0 });
    if (padded === undefined) return undefined;
    const split = getReshaped(padded.shape, block, sizeOf(block), false);
    result = steps.run(
      transpose,
      { x: reshaped(padded, split) },
      { perm: getPermuted(split.length, block.length, false) },
    );
    return result && reshaped(result, getReshapedPermuted(padded.shape, block, sizeOf(block), false));
  } finally {
    steps.end(result !== undefined);
  }
};

const batchToSpace: EagerKernel = ({ backend, inputs: { x }, attrs }) => {
  if (x === undefined || sizeOf(x.shape) >= LARGEST) return undefined;
  const block = attrs.blockShape as number[];
  const crops = attrs.crops as number[][];
  const { getReshaped, getPermuted, getReshapedPermuted, getSliceBeginCoords, getSliceSize } = tf.backend_util;
  const split = getReshaped(x.shape, block, sizeOf(block));
  const whole = getReshapedPermuted(x.shape, block, sizeOf(block));
  const steps = new Steps(backend);
  let result: tf.TensorInfo | undefined;
  try {
    const turned = steps.run(transpose, { x: reshaped(x, split) }, { perm: getPermuted(split.length, block.length) });
    if (turned === undefined) return undefined;
    const attributes = {
      begin: getSliceBeginCoords(crops, block.length),
      size: getSliceSize(whole, crops, block.length),
    };
    result = steps.run(slice, { x: reshaped(turned, whole) }, attributes);
    return result;
  } finally {
    steps.end(result !== undefined);
  }
};

export const SPACES: Readonly<Record<string, EagerKernel>> = {
  SpaceToBatchND: spaceToBatch,
  BatchToSpaceND: batchToSpace,
};
