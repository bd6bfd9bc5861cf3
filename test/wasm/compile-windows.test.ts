import '../support/backend.js';
import '../../src/index.js';
import * as tf from '@tensorflow/tfjs';
import { gradients } from './compile-gradients.js';
import { checkCases, F, type Case } from './compile-cases.js';

const cases: Case[] = [];
type Image = tf.Tensor4D;

for (const [shape, filter, strides, pad, dilations] of [
  [[2, 6, 5, 3], [3, 3, 3, 4], 1, 'same', 1],
  [[2, 6, 5, 3], [3, 3, 3, 4], 1, 'valid', 1],
  [[1, 8, 8, 2], [3, 3, 2, 2], 1, 'same', 1],
  [[2, 7, 9, 2], [3, 2, 2, 5], [2, 3], 'same', 1],
  [[2, 7, 9, 2], [2, 3, 2, 5], 2, 'valid', 1],
  [[2, 7, 9, 1], [3, 3, 1, 1], 1, 'same', 2],
  [[3, 4, 4, 5], [1, 1, 5, 7], 1, 'valid', 1],
  [[3, 5, 5, 5], [1, 1, 5, 7], 2, 'valid', 1],
  [[2, 1, 12, 3], [1, 5, 3, 8], 1, 'same', 1],
  [[3, 9, 10, 4], [3, 2, 4, 9], [2, 1], 'same', 1],
  [[2, 8, 7, 3], [2, 3, 3, 4], [1, 2], 'valid', 1],
  [[1, 9, 9, 64], [3, 3, 64, 64], 1, 'same', 1],
  [
    [2, 5, 6, 2],
    [4, 4, 2, 3],
    1,
    [
      [0, 0],
      [2, 1],
      [1, 3],
      [0, 0],
    ],
    1,
  ],
] as const) {
  const conv = (x: tf.Tensor, w: tf.Tensor): tf.Tensor =>
    tf.conv2d(x as Image, w as Image, strides as number, pad as 'same', 'NHWC', dilations);
  const what = `convolution of [${shape.join()}] with [${filter.join()}], strides ${String(strides)}, ${String(pad)}, ${dilations}`;
  cases.push({ what, specs: [F(...shape), F(...filter)], f: (x, w) => conv(x, w), slack: 3 });
  cases.push({ what: `gradients of the ${what}`, specs: [F(...shape), F(...filter)], f: (...xs) => gradients(conv, xs), slack: 10 }); // prettier-ignore
}
cases.push({
  what: 'a transposed convolution',
  specs: [F(2, 4, 5, 3), F(3, 3, 2, 3)],
  f: (x, w) => tf.conv2dTranspose(x as Image, w as Image, [2, 8, 10, 2], 2, 'same'),
});
cases.push({
  what: 'a convolution in several blocks',
  specs: [F(3, 40, 40, 8), F(3, 3, 8, 3)],
  f: (...xs) => [tf.conv2d(xs[0] as Image, xs[1] as Image, 1, 'same'), ...gradients((x, w) => tf.conv2d(x as Image, w as Image, 1, 'same'), xs)], // prettier-ignore
  slack: 100,
});
cases.push({
  what: 'a convolution of a long sequence',
  specs: [F(1, 4000, 6), F(5, 6, 4)],
  f: (...xs) => [tf.conv1d(xs[0] as tf.Tensor3D, xs[1] as tf.Tensor3D, 1, 'same'), ...gradients((x, w) => tf.conv1d(x as tf.Tensor3D, w as tf.Tensor3D, 1, 'same'), xs)], // prettier-ignore
  slack: 200,
});

for (const [multiplier, strides, pad, dilations] of [
  [1, 1, 'same', 1],
  [3, 1, 'valid', 1],
  [1, 2, 'same', 1],
  [2, 2, 'valid', 1],
  [1, 1, 'same', 2],
] as const) {
  const conv = (x: tf.Tensor, w: tf.Tensor): tf.Tensor =>
    tf.depthwiseConv2d(x as Image, w as Image, strides, pad, 'NHWC', dilations);
  const what = `depthwise convolution, ${multiplier} each, strides ${strides}, ${pad}, ${dilations}`;
  const specs = [F(2, 7, 6, 5), F(3, 2, 5, multiplier)];
  cases.push({ what, specs, f: conv, slack: 3 });
  cases.push({ what: `gradients of the ${what}`, specs, f: (...xs) => gradients(conv, xs), slack: 10 });
}

for (const [strides, pad] of [
  [1, 'same'],
  [1, 'valid'],
  [2, 'same'],
] as const) {
  const conv = (x: tf.Tensor, w: tf.Tensor): tf.Tensor => tf.conv3d(x as tf.Tensor5D, w as tf.Tensor5D, strides, pad);
  const specs = [F(2, 4, 5, 4, 2), F(2, 3, 2, 2, 3)];
  cases.push({ what: `convolution in three dimensions, strides ${strides}, ${pad}`, specs, f: conv, slack: 3 });
  cases.push({
    what: `its gradients, strides ${strides}, ${pad}`,
    specs,
    f: (...xs) => gradients(conv, xs),
    slack: 10,
  });
}

for (const [window, strides, pad] of [
  [2, 2, 'valid'],
  [2, 2, 'same'],
  [3, 2, 'same'],
  [3, 1, 'same'],
  [[3, 2], [1, 3], 'valid'],
  [2, 1, 1],
] as const) {
  const specs = [F(2, 7, 6, 5)];
  const more = { window: window as number, strides: strides as number };
  const rounding = typeof pad === 'number' ? 'floor' : undefined;
  const max = (x: tf.Tensor): tf.Tensor => tf.maxPool(x as Image, more.window, more.strides, pad, rounding);
  const mean = (x: tf.Tensor): tf.Tensor => tf.avgPool(x as Image, more.window, more.strides, pad, rounding);
  const what = `window ${String(window)}, strides ${String(strides)}, ${pad}`;
  cases.push({ what: `maximum, ${what}`, specs, f: max });
  cases.push({ what: `mean, ${what}`, specs, f: mean });
  cases.push({ what: `gradient of the maximum, ${what}`, specs, f: (...xs) => gradients(max, xs), slack: 3 });
  cases.push({ what: `gradient of the mean, ${what}`, specs, f: (...xs) => gradients(mean, xs), slack: 3 });
  cases.push({
    what: `second derivative along a direction through the maximum, ${what}`,
    specs,
    f: (...xs) => gradients((x) => gradients((z) => max(z).square(), [x])[0].square(), xs),
    slack: 10,
  });
}
cases.push({
  what: 'maxima with ties',
  specs: [F(1, 6, 6, 3)],
  f: (x) => gradients((y) => tf.maxPool(tf.round(y) as Image, 3, 2, 'same').mul(3), [x.round()]),
});
cases.push({
  what: 'pooling in three dimensions',
  specs: [F(2, 5, 4, 6, 3)],
  f: (x) => [
    tf.maxPool3d(x as tf.Tensor5D, 2, 2, 'same'),
    tf.avgPool3d(x as tf.Tensor5D, 3, 2, 'valid'),
    ...gradients((y) => tf.maxPool3d(y as tf.Tensor5D, 3, 2, 'same'), [x]),
    ...gradients((y) => tf.avgPool3d(y as tf.Tensor5D, 2, [1, 2, 2], 'valid'), [x]),
  ],
  slack: 3,
});

describe('compiled windows', () => {
  checkCases(cases);
});
