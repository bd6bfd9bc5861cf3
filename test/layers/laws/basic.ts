/**
 * Dense layers, containers, functions and dropout.
 */
import * as tf from '@tensorflow/tfjs';
import {
  alphaDropout,
  bilinear,
  branchLayer,
  chain,
  compact,
  constant,
  debugMode,
  dense,
  dropout,
  flattenLayer,
  frozenLayer,
  maxout,
  noOpLayer,
  normal,
  pairwiseFusion,
  parallel,
  repeatedLayer,
  reshapeLayer,
  reverseSequence,
  scale,
  selectDim,
  skipConnection,
  tieParameters,
  wrappedFunction,
  type Tensor,
} from '../../../src/index.js';
import type { Law } from './law.js';

const add = (a: Tensor, b: Tensor): Tensor => tf.add(a, b);

const gated = compact(
  {
    name: 'Gated',
    layers: { inner: dense(3, 3, 'tanh') },
    parameters: (k) => ({ gate: normal(k, [3]) }),
    states: (): { calls: Tensor } => ({ calls: constant(0) }),
  },
  (x, { ps, st, layer, update }) => {
    update({ calls: tf.add(st.calls, 1) });
    return tf.add(x, tf.mul(tf.sigmoid(ps.gate), layer.inner(layer.inner(x))));
  },
);

export const BASIC: Readonly<Record<string, Law>> = {
  dense: { layer: dense(3, 2, 'tanh'), input: [4, 3], parameters: 8, prints: 'Dense(3 => 2, tanh)', output: [4, 2] },
  'dense without bias': { layer: dense(3, 2, 'swish', { useBias: false }), input: [4, 3], parameters: 6, prints: 'Dense(3 => 2, swish, useBias=false)', output: [4, 2] },
  'dense on one sample': { layer: dense(3, 2), input: [3], parameters: 8, prints: 'Dense(3 => 2)', output: [2] },
  'dense on a sequence': { layer: dense(3, 2, 'sigmoid'), input: [2, 4, 3], parameters: 8, prints: 'Dense(3 => 2, sigmoid)', output: [2, 4, 2] },
  scale: { layer: scale(3, 'tanh'), input: [4, 3], parameters: 6, prints: 'Scale(3, tanh)', output: [4, 3] },
  'scale of two axes': { layer: scale([2, 3]), input: [4, 2, 3], parameters: 12, prints: 'Scale(2, 3)', output: [4, 2, 3] },
  bilinear: { layer: bilinear([3, 2], 2, 'tanh'), input: [[4, 3], [4, 2]], parameters: 14, prints: 'Bilinear((3, 2) => 2, tanh)', output: [4, 2] },
  'bilinear of one input': { layer: bilinear(2, 3), input: [2, 3, 2], parameters: 15, prints: 'Bilinear((2, 2) => 3)', output: [2, 3, 3] },
  chain: { layer: chain(dense(2, 4, 'tanh'), (x: Tensor) => tf.square(x), dense(4, 1)), input: [3, 2], parameters: 17, prints: 'Chain(', output: [3, 1] },
  'named chain': { layer: chain({ encoder: dense(2, 3, 'tanh'), decoder: chain(dense(3, 2)) }), input: [3, 2], parameters: 17, prints: 'Chain(', output: [3, 2] },
  'empty chain': { layer: chain(), input: [3, 2], parameters: 0, prints: 'NoOpLayer()', output: [3, 2] },
  parallel: { layer: parallel(null, dense(2, 3, 'tanh'), dense(2, 1)), input: [4, 2], parameters: 12, prints: 'Parallel(', output: [[4, 3], [4, 1]] },
  'parallel on a tuple': { layer: parallel(add, dense(2, 3, 'tanh'), dense(1, 3)), input: [[4, 2], [4, 1]], parameters: 15, prints: 'Parallel(', output: [4, 3] },
  'parallel with a layer': { layer: parallel(bilinear(2, 2), dense(3, 2, 'tanh'), dense(3, 2)), input: [4, 3], parameters: 26, prints: 'Parallel(', output: [4, 2] },
  branchLayer: { layer: branchLayer(dense(2, 3, 'tanh'), noOpLayer()), input: [4, 2], parameters: 9, prints: 'BranchLayer(', output: [[4, 3], [4, 2]] },
  skipConnection: { layer: skipConnection(dense(2, 2, 'tanh'), add), input: [4, 2], parameters: 6, prints: 'SkipConnection(', output: [4, 2] },
  'skip with a layer': { layer: skipConnection(dense(2, 3, 'tanh'), bilinear([3, 2], 2)), input: [4, 2], parameters: 23, prints: 'SkipConnection(', output: [4, 2] },
  pairwiseFusion: { layer: pairwiseFusion(add, dense(2, 3, 'tanh'), dense(3, 2)), input: [[4, 2], [4, 3], [4, 2]], parameters: 17, prints: 'PairwiseFusion(', output: [4, 2] },
  'pairwiseFusion of one input': { layer: pairwiseFusion((a: Tensor, b: Tensor): Tensor => tf.mul(a, b), dense(2, 2, 'tanh'), dense(2, 2)), input: [4, 2], parameters: 12, prints: 'PairwiseFusion(', output: [4, 2] },
  repeatedLayer: { layer: repeatedLayer(dense(2, 2, 'tanh'), { repeats: 3 }), input: [4, 2], parameters: 6, prints: 'RepeatedLayer(', output: [4, 2] },
  'repeatedLayer with injection': { layer: repeatedLayer(parallel(add, dense(2, 2, 'tanh'), dense(2, 2)), { repeats: 3, inputInjection: true }), input: [4, 2], parameters: 12, prints: 'RepeatedLayer(', output: [4, 2] },
  maxout: { layer: maxout(() => dense(2, 3), 4), input: [3, 2], parameters: 36, prints: 'Maxout(', output: [3, 3] },
  wrappedFunction: { layer: wrappedFunction((x: Tensor) => tf.sin(x), 'sine'), input: [2, 3], parameters: 0, prints: 'WrappedFunction(sine)', output: [2, 3] },
  noOpLayer: { layer: noOpLayer(), input: [2, 3], parameters: 0, prints: 'NoOpLayer()', output: [2, 3] },
  reshapeLayer: { layer: reshapeLayer([2, -1]), input: [3, 6], parameters: 0, prints: 'ReshapeLayer((2, :, :))', output: [3, 2, 3] },
  flattenLayer: { layer: flattenLayer(), input: [2, 3, 2], parameters: 0, prints: 'FlattenLayer()', output: [2, 6] },
  'flattenLayer of two axes': { layer: flattenLayer({ axes: 2 }), input: [2, 3, 2, 2], parameters: 0, prints: 'FlattenLayer(axes=2)', output: [2, 3, 4] },
  selectDim: { layer: selectDim(1, -1), input: [2, 3, 2], parameters: 0, prints: 'SelectDim(dim=1, index=-1)', output: [2, 2] },
  reverseSequence: { layer: reverseSequence(), input: [2, 3, 2], parameters: 0, prints: 'ReverseSequence(1)', output: [2, 3, 2] },
  dropout: { layer: dropout(0.4), input: [4, 5], parameters: 0, states: 3, prints: 'Dropout(0.4)', output: [4, 5] },
  'dropout of channels': { layer: dropout(0.5, { dims: [0, 3] }), input: [2, 2, 2, 3], parameters: 0, states: 3, prints: 'Dropout(0.5, dims=[0, 3])', output: [2, 2, 2, 3] },
  'dropout of nothing': { layer: dropout(0), input: [4, 5], parameters: 0, prints: 'NoOpLayer()', output: [4, 5] },
  alphaDropout: { layer: alphaDropout(0.3), input: [4, 5], parameters: 0, states: 3, prints: 'AlphaDropout(0.3)', output: [4, 5] },
  'dropout in a chain': { layer: chain(dense(3, 4, 'tanh'), dropout(0.5), repeatedLayer(dropout(0.2), { repeats: 2 }), dense(4, 2)), input: [2, 3], parameters: 26, states: 6, prints: 'Chain(', output: [2, 2] },
  'branchLayer with fusion': { layer: branchLayer(dense(2, 3, 'tanh'), dense(2, 3), { fusion: add }), input: [4, 2], parameters: 18, prints: 'BranchLayer(', output: [4, 3] },
  'branchLayer with a layer as fusion': { layer: branchLayer(dense(2, 3), dense(2, 2), { fusion: bilinear([3, 2], 2) }), input: [4, 2], parameters: 9 + 6 + 14, prints: 'BranchLayer(', output: [4, 2] },
  debugMode: { layer: debugMode(chain(dense(2, 3, 'tanh'), dropout(0.3), dense(3, 2))), input: [4, 2], parameters: 17, states: 3, prints: 'DebugLayer(', output: [4, 2] },
  frozenLayer: { layer: frozenLayer(chain(dense(2, 3, 'tanh'), dropout(0.3), dense(3, 2)), ['layer1', 'layer3.bias']), input: [4, 2], parameters: 6, states: 14, prints: 'FrozenLayer(', output: [4, 2] },
  tieParameters: { layer: tieParameters(chain(dense(3, 3, 'tanh'), dense(3, 3, 'tanh'), dense(3, 1)), [['layer1', 'layer2']]), input: [4, 3], parameters: 16, prints: 'TiedParameters(', output: [4, 1] },
  compact: { layer: gated, input: [2, 3], parameters: 15, states: 1, remembers: true, prints: 'Gated(', output: [2, 3] },
}; // prettier-ignore
