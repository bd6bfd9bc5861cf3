import '../support/backend.js';
import '../../src/index.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { simplify } from '../../src/graph/simplify.js';
import type { Spec } from '../../src/graph/graph.js';
import { lower } from '../../src/wasm/lower.js';
import { Planner } from '../../src/wasm/plan.js';
import type { Step } from '../../src/wasm/steps.js';
import { gradients } from './compile-gradients.js';
import { checkCases, F, type Case } from './compile-cases.js';
import { trace } from './compile-support.js';

type Image = tf.Tensor4D;
type Pad = 'same' | 'valid' | number | [[number, number], [number, number], [number, number], [number, number]];

interface Window {
  readonly strides?: number | [number, number];
  readonly pad?: Pad;
  readonly dilations?: number | [number, number];
}

const conv =
  ({ strides = 1, pad = 'same', dilations = 1 }: Window) =>
  (x: tf.Tensor, w: tf.Tensor): tf.Tensor =>
    tf.conv2d(x as Image, w as Image, strides, pad, 'NHWC', dilations);

const uneven: Pad = [
  [0, 0],
  [2, 0],
  [1, 3],
  [0, 0],
];

/** Every number of channels for which the lanes are filled in another way, in singles and in doubles. */
const everyChannels: Case[] = [];
const windows: readonly Window[] = [
  {},
  { pad: 'valid' },
  { pad: uneven },
  { strides: 2 },
  { strides: [2, 1], pad: 'valid' },
  { dilations: 2 },
  { dilations: [1, 3], pad: 'valid' },
];
for (let channels = 1; channels <= 17; channels++) {
  const inputs = 1 + (channels % 5);
  const window = windows[channels % windows.length];
  const specs = [F(2, 9, 11, inputs), F(3, 3, inputs, channels)];
  const what = `${inputs} to ${channels} channels, ${JSON.stringify(window)}`;
  everyChannels.push({ what, specs, f: conv(window), slack: 3 });
}
for (const channels of [1, 2, 3, 6]) {
  for (const window of windows) {
    const specs = [F(1, 7, 10, 2), F(3, 2, 2, channels)];
    everyChannels.push({ what: `2 to ${channels} channels, window of 3 by 2, ${JSON.stringify(window)}`, specs, f: conv(window), slack: 3 }); // prettier-ignore
  }
}

const everySize: Case[] = [];
// Lines of the result with every rest of positions and lanes, and windows of one to many places along either axis.
for (let size = 1; size <= 13; size++) {
  for (const [high, wide] of [[1, 3], [5, 1], [2, 7]]) {
    for (const channels of [3, 12]) {
      const specs = [F(2, size, 14 - size, 3), F(high, wide, 3, channels)];
      everySize.push({ what: `[${size}, ${14 - size}] by [${high}, ${wide}] to ${channels} channels`, specs, f: conv({}), slack: 3 }); // prettier-ignore
    }
  }
} // prettier-ignore
everySize.push(
  { what: 'a window of 15 places', specs: [F(1, 3, 40, 2), F(1, 15, 2, 9)], f: conv({}), slack: 3 },
  { what: 'a high window of few channels', specs: [F(1, 30, 6, 2), F(13, 2, 2, 2)], f: conv({}), slack: 3 },
  { what: 'weights in panels', specs: [F(2, 9, 10, 40), F(3, 3, 40, 29)], f: conv({}), slack: 30 },
  { what: 'weights in panels of whole vectors', specs: [F(2, 9, 9, 48), F(3, 3, 48, 24)], f: conv({}), slack: 30 },
  {
    what: 'three axes, few channels',
    specs: [F(2, 4, 5, 9, 2), F(3, 2, 3, 2, 2)],
    f: (x, w) => tf.conv3d(x as tf.Tensor5D, w as tf.Tensor5D, [1, 2, 1], 'same'),
    slack: 3,
  },
);

const operands: Case[] = [];
for (const channels of [2, 3, 8]) {
  const specs = [F(2, 6, 5, 3), F(3, 3, 3, channels), F(channels), F(2, 6, 5, channels)];
  operands.push(
    { what: `${channels} channels with bias and ReLU`, specs, f: (x, w, b) => tf.relu(tf.add(conv({})(x, w), b)), slack: 3 }, // prettier-ignore
    { what: `${channels} channels with a residual`, specs, f: (x, w, _, y) => tf.sub(y, conv({})(x, w)), slack: 3 },
    { what: `${channels} channels, each number twice`, specs, f: (x, w) => { const y = conv({})(x, w); return tf.mul(y, tf.add(y, 1)); }, slack: 30 }, // prettier-ignore
    { what: `${channels} channels of an image that lies otherwise`, specs: [F(5, 3, 2, 6), specs[1]], f: (x, w) => conv({})(x.transpose([2, 3, 0, 1]).reverse(1), w), slack: 3 }, // prettier-ignore
    { what: `${channels} channels into a part of a tensor`, specs, f: (x, w, _, y) => tf.concat([y, tf.neg(conv({})(x, w))], 2), slack: 3 }, // prettier-ignore
    { what: `${channels} channels with a bias of whole images`, specs: [specs[0], specs[1], F(2, 1, 1, channels), F(1, 6, 5, 1)], f: (x, w, a, b) => tf.add(tf.mul(conv({})(x, w), a), b), slack: 3 }, // prettier-ignore
  );
}
for (const [inputs, channels] of [[3, 2], [2, 8], [40, 16], [3, 9]] as const) {
  const size = 9 * inputs * channels;
  const cut = (v: tf.Tensor): tf.Tensor => tf.slice(v, [5], [size]).reshape([3, 3, inputs, channels]);
  const f = (x: tf.Tensor, v: tf.Tensor): tf.Tensor => conv({})(tf.slice(x, [1, 0, 0, 0], [2, 9, 8, inputs]), cut(v));
  const specs = [F(3, 9, 8, inputs), F(5 + size)];
  operands.push(
    { what: `${inputs} to ${channels} channels of parts of tensors`, specs, f, slack: 30 },
    { what: `its derivatives, ${inputs} to ${channels} channels`, specs, f: (...xs) => gradients(f, xs), slack: 100 },
  );
} // prettier-ignore
operands.push({
  what: 'a sequence with bias',
  specs: [F(2, 19, 3), F(4, 3, 5), F(5)],
  f: (x, w, b) => tf.relu(tf.add(tf.conv1d(x as tf.Tensor3D, w as tf.Tensor3D, 1, 'same'), b)),
  slack: 3,
});

operands.push({
  what: 'two that differ in one number of what follows',
  specs: [F(1, 5, 5, 2), F(3, 3, 2, 4)],
  f: (x, w) => [-Infinity, Infinity].map((least, i) => tf.maximum(conv({})(tf.mul(x, i + 1), w), least).minimum(9)),
  slack: 3,
});

const derivatives: Case[] = [];
for (const [window, inputs, channels] of [
  [{}, 2, 2],
  [{}, 5, 3],
  [{}, 8, 6],
  [{ pad: 'valid' }, 3, 9],
  [{ pad: uneven }, 1, 4],
  [{ pad: 3 }, 2, 4],
  [{ strides: 2 }, 4, 3],
] as const) {
  derivatives.push({
    what: `${inputs} to ${channels} channels, ${JSON.stringify(window)}`,
    specs: [F(2, 14, 15, inputs), F(3, 3, inputs, channels)],
    f: (...xs) => gradients(conv(window), xs),
    slack: 30,
  });
}

function stepsOf(f: (...xs: tf.Tensor[]) => tf.Tensor, specs: readonly Spec[], floatBytes: 4 | 8 = 4): readonly Step[] {
  return new Planner(lower(simplify(trace((xs) => f(...xs), specs))), floatBytes).plan().steps;
}

describe('compiled convolutions', () => {
  describe('of every number of channels', () => {
    checkCases(everyChannels);
  });
  describe('of every size', () => {
    checkCases(everySize);
  });
  describe('with what comes before and after', () => {
    checkCases(operands);
  });
  describe('and their derivatives', () => {
    checkCases(derivatives);
  });

  describe('are planned', () => {
    const lanes = (channels: number, floatBytes: 4 | 8, window: Window = {}): string[] =>
      stepsOf(conv(window), [F(1, 12, 12, 3), F(3, 3, 3, channels)], floatBytes).flatMap((step) => (step.type === 'convolution' ? [step.spec.lanes] : [])); // prettier-ignore

    it('with lanes along the channels where those fill vectors, along the positions where not', () => {
      for (const channels of [1, 2, 3, 5, 6]) expect(lanes(channels, 4), `${channels}`).to.deep.equal(['positions']);
      for (const channels of [4, 7, 8, 16, 17]) expect(lanes(channels, 4), `${channels}`).to.deep.equal(['channels']);
      for (const channels of [1, 3]) expect(lanes(channels, 8), `${channels}`).to.deep.equal(['positions']);
      for (const channels of [2, 4, 5, 6]) expect(lanes(channels, 8), `${channels}`).to.deep.equal(['channels']);
    });

    it('with lanes along the channels where neighbouring positions are not neighbours in memory', () => {
      expect(lanes(2, 4, { strides: [1, 2] })).to.deep.equal(['channels']);
      expect(lanes(2, 4, { strides: [2, 1] })).to.deep.equal(['positions']);
    });

    it('with bias and activation in the same step', () => {
      for (const channels of [2, 8]) {
        const f = (x: tf.Tensor, w: tf.Tensor, b: tf.Tensor): tf.Tensor => tf.relu(tf.add(conv({ pad: 'valid' })(x, w), b)); // prettier-ignore
        const steps = stepsOf(f, [F(2, 9, 9, 3), F(3, 3, 3, channels), F(channels)]);
        expect(steps.filter(({ type }) => type === 'convolution')).to.have.length(1);
        const last = steps[steps.length - 1];
        expect(last.type === 'convolution' && last.spec.epilogue?.operands.length).to.equal(1);
      }
    });

    it('backwards as a convolution too, unless spreading needs far fewer positions', () => {
      const toInput = (size: number, pad: Pad): string[] =>
        stepsOf((x, w) => gradients((z) => conv({ pad })(z, w), [x])[0], [F(1, size, size, 8), F(5, 5, 8, 8)]).flatMap(({ type }) => (type === 'nest' ? [] : [type])); // prettier-ignore
      expect(toInput(64, 'valid')).to.deep.equal(['convolution']);
      expect(toInput(10, 'valid')).to.deep.equal(['matmul']);
      // A border wider than the window leaves windows that see nothing of the input.
      expect(toInput(10, 4)).to.deep.equal(['convolution']);
      expect(toInput(10, 5)).to.deep.equal(['matmul']);
    });
  });
});
