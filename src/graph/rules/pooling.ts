/**
 * Pooling in two and three dimensions.
 *
 * Maximum: the cotangent of each window goes to its first maximum (tfjs's convention), and the transpose of that
 * scattering is a gathering at the same places. Mean: tfjs's backward kernel divides by the full window everywhere, also
 * at a padded border where fewer elements were averaged; dividing dy by the true count beforehand mends it.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import { defineHostKernel, upload } from '../../core/host-kernel.js';
import type { Attrs } from '../engine.js';
import { sizeOf } from '../graph.js';
import type { Rule, RuleTable } from './rule.js';
import { kernel, type Tensor } from './tools.js';

type Pad = number | 'valid' | 'same' | tf.backend_util.ExplicitPadding;
type Rounding = 'floor' | 'round' | 'ceil' | undefined;

/** How one axis is cut into windows. */
interface Axis {
  readonly input: number;
  readonly output: number;
  readonly window: number;
  readonly stride: number;
  readonly before: number;
}

/** The two or three pooled axes of an input of shape [batch, ...axes, channels]. */
function windowAxes(shape: readonly number[], attrs: Attrs): Axis[] {
  const { filterSize, strides, pad, dimRoundingMode } = attrs;
  const rounding = dimRoundingMode as Rounding;
  const names = shape.length === 4 ? (['Height', 'Width'] as const) : (['Depth', 'Height', 'Width'] as const);
  const info =
    shape.length === 4
      ? tf.backend_util.computePool2DInfo(
          shape as [number, number, number, number],
          filterSize as number,
          strides as number,
          1,
          pad as Pad,
          rounding,
        )
      : tf.backend_util.computePool3DInfo(
          shape as [number, number, number, number, number],
          filterSize as number,
          strides as number,
          1,
          pad as 'valid' | 'same',
          rounding,
        );
  const fields = info as unknown as Readonly<Record<string, number>>;
  const padding = info.padInfo as unknown as Readonly<Record<string, number>>;
  const sides = { Depth: 'front', Height: 'top', Width: 'left' };
  return names.map((name) => ({
    input: fields[`in${name}`],
    output: fields[`out${name}`],
    window: fields[`filter${name}`],
    stride: fields[`stride${name}`],
    before: padding[sides[name]],
  }));
}

/** First and last input (exclusive) of window `o`. */
function range({ input, window, stride, before }: Axis, o: number): [number, number] {
  const start = o * stride - before;
  return [Math.max(0, start), Math.min(input, start + window)];
}

/** Where in the flat input each window's first maximum lies. */
const argMax = defineHostKernel({
  name: 'NullclinePoolArgMax',
  outputs: ([x], attrs) => {
    const axes = windowAxes(x.shape, attrs);
    const shape = [x.shape[0], ...axes.map((a) => a.output), x.shape[x.shape.length - 1]];
    return [{ shape, dtype: 'int32' }];
  },
  run: ({ inputs: [x], attrs, backend }) => {
    const values = backend.readSync(x.dataId) as Float32Array;
    const axes = windowAxes(x.shape, attrs);
    const still: Axis = { input: 1, output: 1, window: 1, stride: 1, before: 0 };
    const [depth, height, width] = axes.length === 2 ? [still, ...axes] : axes;
    const batch = x.shape[0];
    const channels = x.shape[x.shape.length - 1];
    const shape = [batch, ...axes.map((a) => a.output), channels];
    const places = new Int32Array(sizeOf(shape));
    let next = 0;
    for (let b = 0; b < batch; b++) {
      for (let oz = 0; oz < depth.output; oz++) {
        for (let oy = 0; oy < height.output; oy++) {
          for (let ox = 0; ox < width.output; ox++) {
            const [z0, z1] = range(depth, oz);
            const [y0, y1] = range(height, oy);
            const [x0, x1] = range(width, ox);
            for (let c = 0; c < channels; c++) {
              let best = Number.NEGATIVE_INFINITY;
              let place = -1;
              for (let z = z0; z < z1; z++) {
                for (let y = y0; y < y1; y++) {
                  for (let xx = x0; xx < x1; xx++) {
                    const index = (((b * depth.input + z) * height.input + y) * width.input + xx) * channels + c;
                    if (values[index] > best || place < 0) {
                      best = values[index];
                      place = index;
                    }
                  }
                }
              }
              places[next++] = place;
            }
          }
        }
      }
    }
    return [upload(backend, places, shape, 'int32')];
  },
});

/** The window attributes alone, so that equal poolings merge in the graph. */
const windowAttrs = ({ filterSize, strides, pad, dimRoundingMode }: Attrs): Attrs => ({
  filterSize,
  strides,
  pad,
  dimRoundingMode,
});

/** MaxPoolGrad is linear in dy; where the maxima lie does not change with x but for jumps. */
const maxPoolGrad: Rule = ({ inputs: { input }, dys: [g], attrs }) => ({
  dy: () => {
    const [places] = argMax([input], windowAttrs(attrs));
    return tf.gather(tf.reshape(g, [-1]), places);
  },
});

/** Ratio of the full window to what of it lies inside the input, per output element; null where that is 1 throughout. */
function padCorrection(shape: readonly number[], attrs: Attrs): Tensor | null {
  const axes = windowAxes(shape, attrs);
  let ratios = [1];
  for (const axis of axes) {
    const own = Array.from({ length: axis.output }, (_, o) => {
      const [first, last] = range(axis, o);
      return axis.window / (last - first);
    });
    ratios = ratios.flatMap((r) => own.map((s) => r * s));
  }
  if (ratios.every((r) => r === 1)) return null;
  return constant(ratios, [1, ...axes.map((a) => a.output), 1]);
}

const avgPool =
  (backward: string): Rule =>
  ({ inputs: { x }, dys: [dy], attrs }) => ({
    x: () => {
      const correction = padCorrection(x.shape, attrs);
      const corrected = correction === null ? dy : tf.mul(dy, correction);
      return kernel(backward, { dy: corrected, input: x }, windowAttrs(attrs));
    },
  });

const avgPoolGrad =
  (forward: string, format: Attrs): Rule =>
  ({ inputs: { input }, dys: [g], attrs }) => ({
    dy: () => {
      const correction = padCorrection(input.shape, attrs);
      const mean = kernel(forward, { x: g }, { ...windowAttrs(attrs), ...format });
      return correction === null ? mean : tf.div(mean, correction);
    },
  });

const maxPool =
  (backward: string): Rule =>
  ({ inputs: { x }, outputs: [y], dys: [dy], attrs }) => ({
    x: () => kernel(backward, { dy, input: x, output: y }, windowAttrs(attrs)),
  });

export const POOLING: RuleTable = {
  MaxPool: maxPool('MaxPoolGrad'),
  MaxPool3D: maxPool('MaxPool3DGrad'),
  MaxPoolWithArgmax: maxPool('MaxPoolGrad'),
  MaxPoolGrad: maxPoolGrad,
  MaxPool3DGrad: maxPoolGrad,
  AvgPool: avgPool('AvgPoolGrad'),
  AvgPool3D: avgPool('AvgPool3DGrad'),
  AvgPoolGrad: avgPoolGrad('AvgPool', {}),
  AvgPool3DGrad: avgPoolGrad('AvgPool3D', { dataFormat: 'NDHWC' }),
};
