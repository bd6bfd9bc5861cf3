/**
 * Recurrent cells: one step of a recurrent network, from input and carry to output and carry.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import type { Initialiser } from '../core/initialisers.js';
import { flag, functionOption, parseOptions } from '../core/options.js';
import type { Tensor } from '../core/tree.js';
import { resolveActivation, type Activation } from '../functional/activations.js';
import {
  CELL_OPTIONS,
  defineCell,
  type CellOptions,
  type CellParameters,
  type CellState,
  type HiddenCarry,
  type MemoryCarry,
  type SplitCell,
} from './cell.js';

export interface LstmCellOptions extends CellOptions {
  /** The first memory is a parameter, `memory`. Default false. */
  readonly trainMemory?: boolean;
  /** The first memory, in the way of `initState`. Default: zeros. */
  readonly initMemory?: Initialiser;
}

const LSTM_OPTIONS = CELL_OPTIONS.extend({
  trainMemory: flag.default(false),
  initMemory: functionOption<Initialiser>('an initialiser').optional(),
});

const gatesOf = (x: Tensor, n: number): Tensor[] => tf.split(x, n, -1);

/**
 * The simple recurrent cell: `h' = activation(x W_ih + b_ih + h W_hh + b_hh)`. Elman 1990.
 *
 * It takes `x` or `[x, [h]]`, and returns `[h', [h']]`; `x` is `[batch, inputs]`, or `[inputs]` for one sample. Parameters:
 * `weightIh [inputs, outputs]`, `weightHh [outputs, outputs]`, `biasIh`, `biasHh [outputs]`, and with `trainState` the
 * first `hiddenState [outputs]`. (Lux's and PyTorch's matrices are these transposed.)
 *
 * @param activation Default tanh.
 * @throws TypeError for sizes that are not positive integers and for an unknown activation or option; `apply` throws a
 * LayerError for an input, a carry or parameters that do not fit.
 */
export function rnnCell(
  inputs: number,
  outputs: number,
  activation: Activation = 'tanh',
  options?: CellOptions,
): SplitCell<HiddenCarry, CellParameters, CellState> {
  const resolved = resolveActivation(activation, 'rnnCell');
  const parsed = parseOptions(CELL_OPTIONS, options, 'rnnCell');
  return defineCell<HiddenCarry>({
    where: 'rnnCell',
    name: 'RNNCell',
    inputs,
    outputs,
    words: [resolved.name],
    gates: 1,
    starts: [{ name: 'hiddenState', trained: parsed.trainState, init: parsed.initState }],
    options: parsed,
    biasesMeet: true,
    next: (ofInput, ofHidden) => [resolved.apply(tf.add(ofInput, ofHidden))],
  });
}

/**
 * Long short-term memory. With `z = x W_ih + b_ih + h W_hh + b_hh` cut into the gates i, f, g, o in that order:
 * `c' = σ(f) c + σ(i) tanh(g)`, `h' = σ(o) tanh(c')`. Hochreiter and Schmidhuber 1997; Gers et al. 2000 for the gate f.
 *
 * It takes `x` or `[x, [h, c]]`, and returns `[h', [h', c']]`. Parameters: `weightIh [inputs, 4 outputs]`,
 * `weightHh [outputs, 4 outputs]`, `biasIh`, `biasHh [4 outputs]`, and with `trainState` and `trainMemory` the first
 * `hiddenState` and `memory [outputs]`. Order of gates and shapes are Lux's and PyTorch's, the matrices transposed.
 */
export function lstmCell(
  inputs: number,
  outputs: number,
  options?: LstmCellOptions,
): SplitCell<MemoryCarry, CellParameters, CellState> {
  const { trainMemory, initMemory, ...parsed } = parseOptions(LSTM_OPTIONS, options, 'lstmCell');
  return defineCell<MemoryCarry>({
    where: 'lstmCell',
    name: 'LSTMCell',
    inputs,
    outputs,
    words: [],
    gates: 4,
    starts: [
      { name: 'hiddenState', trained: parsed.trainState, init: parsed.initState },
      { name: 'memory', trained: trainMemory, init: initMemory },
    ],
    options: parsed,
    biasesMeet: true,
    next: (ofInput, ofHidden, [, memory]) => {
      const [i, f, g, o] = gatesOf(tf.add(ofInput, ofHidden), 4);
      const c = tf.add(tf.mul(tf.sigmoid(f), memory), tf.mul(tf.sigmoid(i), tf.tanh(g)));
      return [tf.mul(tf.sigmoid(o), tf.tanh(c)), c];
    },
  });
}

/**
 * The gated recurrent unit. With the gates r, z, n in that order,
 * `r = σ(x W_ir + b_ir + h W_hr + b_hr)`, `z` alike, `n = tanh(x W_in + b_in + r (h W_hn + b_hn))`,
 * `h' = (1 - z) n + z h`. Cho et al. 2014, in the form of cuDNN, where r multiplies the product.
 *
 * It takes `x` or `[x, [h]]`, and returns `[h', [h']]`. Parameters: `weightIh [inputs, 3 outputs]`,
 * `weightHh [outputs, 3 outputs]`, `biasIh`, `biasHh [3 outputs]`, and with `trainState` the first `hiddenState`.
 */
export function gruCell(
  inputs: number,
  outputs: number,
  options?: CellOptions,
): SplitCell<HiddenCarry, CellParameters, CellState> {
  const parsed = parseOptions(CELL_OPTIONS, options, 'gruCell');
  return defineCell<HiddenCarry>({
    where: 'gruCell',
    name: 'GRUCell',
    inputs,
    outputs,
    words: [],
    gates: 3,
    starts: [{ name: 'hiddenState', trained: parsed.trainState, init: parsed.initState }],
    options: parsed,
    biasesMeet: false,
    next: (ofInput, ofHidden, [h]) => {
      const [xr, xz, xn] = gatesOf(ofInput, 3);
      const [hr, hz, hn] = gatesOf(ofHidden, 3);
      const update = tf.sigmoid(tf.add(xz, hz));
      const proposal = tf.tanh(tf.add(xn, tf.mul(tf.sigmoid(tf.add(xr, hr)), hn)));
      return [tf.add(tf.mul(tf.sub(constant(1), update), proposal), tf.mul(update, h))];
    },
  });
}
