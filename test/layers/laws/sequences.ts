/**
 * Recurrent layers, embeddings, attention.
 */
import * as tf from '@tensorflow/tfjs';
import {
  bidirectionalRNN,
  chain,
  compact,
  dense,
  glorotNormal,
  gruCell,
  lstmCell,
  normalInit,
  orthogonal,
  recurrence,
  rnnCell,
  stackedRNN,
  statefulRecurrentCell,
  multiHeadAttention,
  transformerEncoderBlock,
  positionEmbedding,
  patchEmbedding,
  classTokens,
  embedding,
  sinusoidalPositionalEmbedding,
  rotaryPositionalEmbedding,
  type Tensor,
} from '../../../src/index.js';
import type { Law } from './law.js';

/** A cell of a user's own: a sum that forgets, made of other layers. */
const forgetful = compact(
  { name: 'Forgetful', layers: { gate: dense(2, 2, 'sigmoid') } },
  (x: Tensor | readonly [Tensor, Tensor], { layer }): [Tensor, Tensor] => {
    const [input, sum] = x instanceof tf.Tensor ? [x, tf.zerosLike(x)] : x;
    const next = tf.add(tf.mul(layer.gate(input), sum), input);
    return [next, next];
  },
);

const random = normalInit(0.5);

/** A cell with its first carry among the inputs. */
const twoStates = compact(
  { name: 'Two', layers: { cell: lstmCell(2, 3) } },
  ([x, h, c]: readonly [Tensor, Tensor, Tensor], { layer }) => {
    const [y, [, memory]] = layer.cell([x, [h, c]]);
    return [y, memory];
  },
);

export const SEQUENCES: Readonly<Record<string, Law>> = {
  rnnCell: { layer: rnnCell(2, 3), input: [4, 2], parameters: 21, prints: 'RNNCell(2 => 3, tanh)', output: [[4, 3], [4, 3]] },
  'rnnCell without bias': { layer: rnnCell(2, 3, 'swish', { useBias: false, trainState: true, initState: random }), input: [4, 2], parameters: 18, prints: 'RNNCell(2 => 3, swish, useBias=false, trainState=true)', output: [[4, 3], [4, 3]] },
  lstmCell: { layer: lstmCell(2, 3), input: [4, 2], parameters: 84, prints: 'LSTMCell(2 => 3)', output: [[4, 3], [4, 3], [4, 3]] },
  'lstmCell with trained carry': { layer: lstmCell(2, 2, { trainState: true, trainMemory: true, initMemory: random }), input: [3, 2], parameters: 52, prints: 'LSTMCell(2 => 2, trainState=true, trainMemory=true)', output: [[3, 2], [3, 2], [3, 2]] },
  'lstmCell with random carry': { layer: lstmCell(2, 2, { initMemory: random }), input: [3, 2], parameters: 48, states: 3, prints: 'LSTMCell(2 => 2)', output: [[3, 2], [3, 2], [3, 2]] },
  'lstmCell from a carry': { layer: twoStates, input: [[2, 2], [2, 3], [2, 3]], parameters: 84, prints: 'Two(', output: [[2, 3], [2, 3]] },
  gruCell: { layer: gruCell(2, 3), input: [4, 2], parameters: 63, prints: 'GRUCell(2 => 3)', output: [[4, 3], [4, 3]] },
  'gruCell of one sample': { layer: gruCell(2, 3, { initWeight: [random, glorotNormal(), random], initRecurrentWeight: orthogonal() }), input: [2], parameters: 63, prints: 'GRUCell(2 => 3)', output: [[3], [3]] },
  recurrence: { layer: recurrence(lstmCell(2, 2)), input: [2, 4, 2], parameters: 48, prints: 'Recurrence(', output: [2, 2] },
  'recurrence of all steps': { layer: recurrence(gruCell(2, 2, { trainState: true }), { returnSequence: true }), input: [2, 3, 2], parameters: 38, prints: 'Recurrence(', output: [2, 3, 2] },
  'recurrence backwards': { layer: recurrence(rnnCell(2, 3), { returnSequence: true, timeAxis: 0, reverse: true, returnCarry: true }), input: [3, 2, 2], parameters: 21, prints: 'Recurrence(', output: [[3, 2, 3], [2, 3]] },
  'recurrence of one sequence': { layer: recurrence(rnnCell(2, 3), { returnSequence: true }), input: [4, 2], parameters: 21, prints: 'Recurrence(', output: [4, 3] },
  'recurrence with random carry': { layer: recurrence(rnnCell(2, 2, 'tanh', { initState: random })), input: [2, 3, 2], parameters: 12, states: 3, prints: 'Recurrence(', output: [2, 2] },
  'recurrence of any cell': { layer: recurrence(forgetful, { returnSequence: true }), input: [2, 4, 2], parameters: 6, prints: 'Recurrence(', output: [2, 4, 2] },
  'recurrence of any cell, backwards': { layer: recurrence(forgetful, { reverse: true }), input: [2, 4, 2], parameters: 6, prints: 'Recurrence(', output: [2, 2] },
  statefulRecurrentCell: { layer: statefulRecurrentCell(gruCell(2, 2)), input: [3, 2], parameters: 36, states: 1, remembers: true, prints: 'StatefulRecurrentCell(', output: [3, 2] },
  bidirectionalRNN: { layer: bidirectionalRNN(lstmCell(2, 2)), input: [2, 3, 2], parameters: 96, prints: 'BidirectionalRNN(', output: [2, 3, 4] },
  'bidirectionalRNN of two cells': { layer: bidirectionalRNN(rnnCell(2, 2), gruCell(2, 3), { mergeMode: null, returnSequence: false }), input: [2, 3, 2], parameters: 75, prints: 'BidirectionalRNN(', output: [[2, 2], [2, 3]] },
  stackedRNN: { layer: stackedRNN([gruCell(2, 2), rnnCell(2, 3)], { dropout: 0.4 }), input: [2, 3, 2], parameters: 57, states: 3, prints: 'StackedRNN(', output: [2, 3] },
  'stackedRNN in both directions': { layer: stackedRNN([[rnnCell(2, 2), rnnCell(2, 2)], rnnCell(4, 2)], { returnSequence: true }), input: [2, 3, 2], parameters: 40, prints: 'StackedRNN(', output: [2, 3, 2] },
  embedding: { layer: embedding(5, 3), input: [2, 4], indices: 5, parameters: 15, prints: 'Embedding(5 => 3)', output: [2, 4, 3] },
  'embedding of pairs': { layer: embedding([2, 3], 2, { initWeight: random }), input: [[4], [4]], indices: 2, parameters: 12, prints: 'Embedding((2, 3) => 2)', output: [4, 2] },
  sinusoidalPositionalEmbedding: { layer: sinusoidalPositionalEmbedding(6), input: [2, 3], parameters: 0, states: 3, prints: 'SinusoidalPositionalEmbedding(6)', output: [2, 3, 6] },
  rotaryPositionalEmbedding: { layer: rotaryPositionalEmbedding(4, { maxSequenceLength: 5 }), input: [2, 3, 2, 4], parameters: 0, states: 20, prints: 'RotaryPositionalEmbedding(4)', output: [2, 3, 2, 4] },
  'rotaryPositionalEmbedding of neighbours': { layer: rotaryPositionalEmbedding(4, { maxSequenceLength: 3, interleaved: true, sequenceAxis: 0 }), input: [3, 4], parameters: 0, states: 12, prints: 'RotaryPositionalEmbedding(4)', output: [3, 4] },
  positionEmbedding: { layer: positionEmbedding(3, 2), input: [2, 3, 2], parameters: 6, prints: 'PositionEmbedding(3, 2)', output: [2, 3, 2] },
  multiHeadAttention: { layer: multiHeadAttention(4, { nheads: 2, useBias: true }), input: [2, 3, 4], parameters: 80, prints: 'MultiHeadAttention(', output: [[2, 3, 4], [2, 2, 3, 3]] },
  'causal attention': { layer: multiHeadAttention(2, { isCausal: true, attentionDropoutProbability: 0.3 }), input: [2, 3, 2], parameters: 16, states: 3, prints: 'MultiHeadAttention(', output: [[2, 3, 2], [2, 1, 3, 3]] },
  'cross attention': { layer: multiHeadAttention({ q: 3, k: 2, v: 4, qk: 2, vInner: 6, out: 5 }, { nheads: 2 }), input: [[2, 3, 3], [2, 2, 2], [2, 2, 4]], parameters: 64, prints: 'MultiHeadAttention(', output: [[2, 3, 5], [2, 2, 3, 2]] },
  transformerEncoderBlock: { layer: transformerEncoderBlock(4, 2, { hidden: 5, activation: 'tanh' }), input: [2, 3, 4], parameters: 145, prints: 'TransformerEncoderBlock(', output: [2, 3, 4] },
  'transformerEncoderBlock, norms last': { layer: transformerEncoderBlock(4, 1, { hidden: 3, activation: 'swish', normFirst: false, dropout: 0.2, isCausal: true, useBias: false }), input: [2, 3, 4], parameters: 111, states: 9, prints: 'TransformerEncoderBlock(', output: [2, 3, 4] },
  patchEmbedding: { layer: patchEmbedding([4, 6], 2, 2, 3), input: [2, 4, 6, 2], parameters: 27, prints: 'PatchEmbedding((4, 6) by (2, 2), 2 => 3)', output: [2, 6, 3] },
  classTokens: { layer: classTokens(3, { initWeight: random }), input: [2, 4, 3], parameters: 3, prints: 'ClassTokens(3)', output: [2, 5, 3] },
  'encoder of a chain': { layer: chain(recurrence(rnnCell(2, 3)), dense(3, 1)), input: [2, 3, 2], parameters: 25, prints: 'Chain(', output: [2, 1] },
}; // prettier-ignore
