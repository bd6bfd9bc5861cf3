/**
 * Recurrent cells with the activations that Keras leaves free, and its gated unit, whose gate r comes before the product.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../core/constant.js';
import { parseOptions } from '../../core/options.js';
import type { Tensor, Tree } from '../../core/tree.js';
import { resolveActivation } from '../../functional/activations.js';
import { CELL_OPTIONS, defineCell, type HiddenCarry, type MemoryCarry } from '../../layers/cell.js';
import type { AnyCell } from '../../layers/recurrence.js';
import { lstmCell, rnnCell } from '../../layers/recurrent.js';
import type { Source } from './source.js';

/** A cell, with its parameters in the shape of the cells here. */
export interface ConvertedCell {
  readonly cell: AnyCell;
  readonly ps: Tree;
}

const where = 'fromLayersModel';
const options = parseOptions(CELL_OPTIONS, {}, where);
const hidden = { name: 'hiddenState', trained: false, init: undefined } as const;
const memory = { name: 'memory', trained: false, init: undefined } as const;

type MakeCell = (source: Source, inputs: number, outputs: number) => unknown;

const simple: MakeCell = (source, inputs, outputs) => rnnCell(inputs, outputs, source.activation());

const lstm: MakeCell = (source, inputs, outputs) => {
  const [act, gate] = ['activation', 'recurrentActivation'].map((o) => resolveActivation(source.activation(o), where));
  if (act.name === 'tanh' && gate.name === 'sigmoid') return lstmCell(inputs, outputs);
  return defineCell<MemoryCarry>({
    where,
    name: 'LSTMCell',
    inputs,
    outputs,
    words: [act.name, gate.name],
    gates: 4,
    starts: [hidden, memory],
    options,
    biasesMeet: true,
    next: (ofInput, ofHidden, [, before]) => {
      const [i, f, g, o] = tf.split(tf.add(ofInput, ofHidden), 4, -1);
      const c = tf.add(tf.mul(gate.apply(f), before), tf.mul(gate.apply(i), act.apply(g)));
      return [tf.mul(gate.apply(o), act.apply(c)), c];
    },
  });
};

/** Gates z, r, h; `h' = z h + (1 - z) act(x W_h + b_h + (r h) U_h)`. Cho et al. 2014 in its first form. */
const gru: MakeCell = (source, inputs, outputs) => {
  source.needs({ resetAfter: false });
  const [act, gate] = ['activation', 'recurrentActivation'].map((o) => resolveActivation(source.activation(o), where));
  return defineCell<HiddenCarry>({
    where,
    name: 'GRUCell',
    inputs,
    outputs,
    words: [act.name, gate.name, 'resetAfter=false'],
    gates: 3,
    starts: [hidden],
    options,
    biasesMeet: true,
    recur: (ofInput, [h], weight) => {
      const [xz, xr, xh] = tf.split(ofInput, 3, -1);
      const [gates, proposal] = tf.split(weight, [2 * outputs, outputs], 1);
      const [hz, hr] = tf.split(tf.matMul(h as tf.Tensor2D, gates as tf.Tensor2D), 2, -1);
      const z = gate.apply(tf.add(xz, hz));
      const r = gate.apply(tf.add(xr, hr));
      const latest = act.apply(tf.add(xh, tf.matMul(tf.mul(r, h), proposal)));
      return [tf.add(tf.mul(z, h), tf.mul(tf.sub(constant(1), z), latest))];
    },
  });
};

const CELLS: Readonly<Record<string, MakeCell | undefined>> = { SimpleRNN: simple, LSTM: lstm, GRU: gru };

/** The cell of a recurrent layer. Keras has one bias where the cells here have two: the second is zero. */
export function convertCell(source: Source): ConvertedCell {
  const make = CELLS[source.kind] ?? source.fail('there is no counterpart of this recurrent layer');
  source.needs({ returnState: false, stateful: false, dropout: 0, recurrentDropout: 0 });
  if (source.inputShapes.length > 1) source.fail('a first state given as an input has no counterpart');
  const useBias = source.flag('useBias');
  const [kernel, recurrentKernel, bias] = source.take(useBias ? 3 : 2);
  const [inputs] = kernel.shape;
  const [outputs] = recurrentKernel.shape;
  const zeros = (): Tensor => tf.zeros([recurrentKernel.shape[1] as number]);
  const ps = {
    weightIh: tf.clone(kernel),
    weightHh: tf.clone(recurrentKernel),
    biasIh: useBias ? tf.clone(bias) : zeros(),
    biasHh: zeros(),
  };
  return { cell: make(source, inputs, outputs) as AnyCell, ps };
}
