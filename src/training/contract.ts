/** What training works on, and what it minimises. */
import type { AnyLayer, ParametersOf, StatesOf } from '../core/layer.js';
import type { StateTree, Tensor } from '../core/tree.js';
import type { Optimiser, OptimiserState } from '../optimisers/index.js';

/** A frozen record; a step makes a new one and leaves this one, and its tensors, as they are. */
export interface TrainState<M extends AnyLayer = AnyLayer> {
  readonly model: M;
  readonly parameters: ParametersOf<M>;
  readonly states: StatesOf<M>;
  readonly optimiser: Optimiser;
  readonly optimiserState: OptimiserState;
  /** Updates made so far. */
  readonly step: number;
  /** As Lux prints it: the model, the counts, the optimiser, the step. */
  toString(): string;
}

/**
 * What is trained: `(model, ps, st, data) => [loss, new states, stats]`. The loss is a scalar tensor; stats is a tree of
 * whatever else is worth reporting, `{}` if nothing is. Pure and made of tf operations, for it is compiled.
 *
 * Define it once: the compiled step belongs to the function object, and a new arrow function at each call is traced anew.
 */
export type Objective<M extends AnyLayer, D, S extends StateTree = StateTree> = (
  model: M,
  ps: ParametersOf<M>,
  st: StatesOf<M>,
  data: D,
) => readonly [Tensor, StatesOf<M>, S];
