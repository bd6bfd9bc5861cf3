/**
 * The iterations of a solve as a loop that can be run again: how many there were, and which rows of an independent batch took part in each.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import type { Cell, Loop, Workspace } from '../../src/graph/workspace.js';
import type { Recorded } from '../nonlinear/algorithm.js';
import type { System } from '../nonlinear/system.js';

/** Where the statistics of a solve say which iterate was returned, and how many numbers they are, for each row of an independent batch. */
const BEST_AT = 3;
const EACH = 4;

/** The iterations of a solve. */
export interface Iterations {
  readonly system: System;
  readonly recorded: Recorded;
  /** The states of every so many are kept, where the others can be computed back. */
  readonly keepEvery: number;
  /** The axis of the state along which rows make as many iterations as each has needed; null where all is one equation. */
  readonly rows: number | null;
}

/** Those of state and tangent side by side. */
export const tangentOf = ({ system, recorded, keepEvery, rows }: Iterations): Iterations => ({
  system: system.tangent(),
  recorded,
  keepEvery,
  rows: rows === null ? null : rows + 1,
});

/** How many iterations were made, of the row that made most. */
const stepsIn = (statistics: readonly number[]): number =>
  statistics.reduce((most, n, i) => (i % EACH === BEST_AT ? Math.max(most, n) : most), 0);

/** What decides which rows move: the number of the iteration, and the statistics. */
export class Clock {
  readonly statistics: Cell;
  /** Inputs of the steps that move states. */
  readonly cells: readonly Cell[];
  private readonly now: Cell;

  constructor(
    private readonly ws: Workspace,
    { system, rows }: Iterations,
  ) {
    this.statistics = ws.slot(rows === null ? [EACH] : [system.state.shape[rows], EACH], 'int32');
    this.now = ws.cell([]);
    this.cells = rows === null ? [] : [this.now, this.statistics];
  }

  set(k: number): void {
    if (this.cells.length > 0) this.ws.put(this.now, k);
  }

  *steps(): Loop<number> {
    const { ws, statistics } = this;
    return stepsIn(ws.immediate ? ws.read(statistics) : yield statistics);
  }
}

/** In a trace: states after a step, which only those rows have made that have as many before them. */
export function moved(
  before: readonly Tensor[],
  after: readonly Tensor[],
  [now, statistics]: readonly Tensor[],
  rows: number | null,
): readonly Tensor[] {
  if (rows === null) return after;
  const { shape } = before[0];
  const count = shape[rows];
  const made = tf.cast(tf.slice(statistics, [0, BEST_AT], [count, 1]), 'float32');
  const moves = tf.reshape(tf.greater(made, now), shape.map((_, axis) => (axis === rows ? count : 1))); // prettier-ignore
  return after.map((x, i) => tf.where(tf.broadcastTo(moves, shape), x, before[i]));
}
