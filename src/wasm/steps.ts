/**
 * The steps of a program, and what a family of operations asks of the planner that collects them.
 */
import type { Node, Value } from '../graph/graph.js';
import type { Kind } from './emit/access.js';
import type { ConvolutionSpec } from './emit/convolution-tile.js';
import type { MoveSpec } from './emit/indirect.js';
import type { MatMulSpec } from './emit/matmul.js';
import type { NestSpec } from './emit/nest.js';
import type { RandomSpec } from './emit/random.js';
import type { Term } from './emit/terms.js';
import type { BufferSlot, View } from './views.js';

export interface NestStep {
  readonly type: 'nest';
  readonly spec: NestSpec;
  /** The results first, then the operands. */
  readonly views: readonly View[];
}

export interface MatMulStep {
  readonly type: 'matmul';
  readonly spec: MatMulSpec;
  /** C, A, B, and the operands of the epilogue. */
  readonly views: readonly [View, View, View, ...View[]];
}

export interface ConvolutionStep {
  readonly type: 'convolution';
  readonly spec: ConvolutionSpec;
  /** The result, the input, the weights, and the operands of the epilogue. */
  readonly views: readonly [View, View, View, ...View[]];
}

/** Slices moved to or from places that are numbers in memory. */
export interface MoveStep {
  readonly type: 'move';
  readonly spec: MoveSpec;
  /** The result, what is moved, the indices. */
  readonly views: readonly [View, View, View];
}

/** Random numbers of one key. */
export interface RandomStep {
  readonly type: 'random';
  readonly spec: RandomSpec;
  /** The result, the key. */
  readonly views: readonly [View, View];
}

/** Run by the host, between two stretches of generated code. */
export interface CallStep {
  readonly type: 'call';
  readonly node: Node;
  readonly inputs: readonly View[];
  readonly outputs: readonly BufferSlot[];
}

export type Step = NestStep | MatMulStep | ConvolutionStep | MoveStep | RandomStep | CallStep;

export interface Plan {
  readonly steps: readonly Step[];
  readonly constants: readonly Value[];
  /** Outputs that are an input or a captured tensor as they are: the table's entry; null where the program writes them. */
  readonly shared: readonly (number | null)[];
  /** For each output the input in whose place it may be written, where that was donated. */
  readonly donors: readonly (number | null)[];
  readonly inputCount: number;
  readonly capturedCount: number;
}

/** A term, and the views that its leaves read, as tensors of `shape`. */
export interface Lazy {
  readonly shape: readonly number[];
  readonly term: Term;
  readonly leaves: readonly View[];
}

/** Where values lie, and the steps so far: families of operations add theirs. */
export interface Planner {
  readonly steps: Step[];
  readonly floatBytes: number;
  /** A buffer in the arena. */
  scratch(kind: Kind, shape: readonly number[]): View;
  /** A buffer for a value: its place in the results if it is one, else in the arena. */
  define(v: Value): View;
  /** The value lies there. */
  setView(v: Value, view: View): void;
  /** An operand as a term over `shape`: its own term where it is pending, a constant, or a load. */
  argument(v: Value, shape: readonly number[], leaves: View[]): Term;
  /** Emit the loops that write a term to a view. */
  compute(lazy: Lazy, out: View): void;
  copy(from: View, to: View): void;
  /** A copy of a view in another order, which is made once for all who ask for the same. */
  once(from: View, order: string, make: () => View): View;
  /** A copy of a view with its elements in row-major order, made once likewise. */
  copied(from: View): View;
  /** The nodes that read a value. */
  users(v: Value): readonly Node[];
  /** Where a value lies; one that is pending or a constant is put somewhere. */
  view(v: Value): View;
  /** The value with its elements in row-major order from offset 0 on. */
  contiguous(v: Value): View;
  reshaped(v: Value, shape: readonly number[]): View;
}
