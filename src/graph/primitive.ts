/**
 * Operations of our own: a node with its own way to run and its own derivative. Solvers are built on this.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Spec } from './graph.js';

/**
 * Lives for one run of a program. A primitive leaves here what its derivative will want (a solve its steps), and says how to free it;
 * it hands the record's position to that derivative as an integer output, which any executor keeps.
 */
export interface RunContext {
  readonly backend: tf.KernelBackend;
  readonly backendName: string;
  readonly records: unknown[];
  /** Called once when the run ends, whether it succeeded or not. */
  onEnd(free: () => void): void;
}

/** Reads what must be waited for. */
export type Reading = () => Promise<readonly number[]>;

/** A computation that stops where it must know numbers: it yields how to read them and goes on with their values. */
export type Gradual<T> = Generator<Reading, T, readonly number[]>;

export interface Primitive {
  /** As it appears in messages and in the printed program. */
  readonly name: string;
  readonly outputs: readonly Spec[];
  /**
   * Compute the outputs. The inputs stay the caller's; an output must be a buffer of its own (see `share` in
   * interpret.ts for passing an input through).
   */
  run(inputs: readonly tf.TensorInfo[], context: RunContext): tf.TensorInfo[];
  /** The same for a run that can wait, where numbers cannot be read at once. Absent: `run` serves there, too. */
  gradually?(inputs: readonly tf.TensorInfo[], context: RunContext): Gradual<tf.TensorInfo[]>;
  /**
   * Cotangents of the inputs, as traced operations on traced tensors. `needed[i]` is false where nobody asks for that
   * input's cotangent. Absent when the primitive has no derivative.
   */
  vjp?(call: VjpCall): (tf.Tensor | null)[];
  /** Its only output is its first input; the rest is there for its derivative and need not be computed to run it. */
  readonly passesThrough?: true;
  /** Free what is held between runs. It may run again afterwards. */
  dispose?(): void;
}

export interface VjpCall {
  readonly inputs: readonly tf.Tensor[];
  readonly outputs: readonly tf.Tensor[];
  /** Null where the output does not influence the result. */
  readonly dys: readonly (tf.Tensor | null)[];
  readonly needed: readonly boolean[];
}

/** A context for a run within another one: its records come after those of the other, and `end` frees what was left in it. */
export function nested(outer: Pick<RunContext, 'backend' | 'backendName' | 'records'>): {
  readonly context: RunContext;
  readonly end: () => void;
} {
  const { backend, backendName, records } = outer;
  const before = records.length;
  const endings: (() => void)[] = [];
  const onEnd = (free: () => void): void => {
    endings.push(free);
  };
  const end = (): void => {
    for (const free of endings.splice(0)) free();
    records.length = before;
  };
  return { context: { backend, backendName, records, onEnd }, end };
}

/** For runs without primitives: nobody leaves a record, so nothing waits for the end. */
export function lonely(backend: tf.KernelBackend, backendName: string): RunContext {
  return { backend, backendName, records: [], onEnd: (free) => { free(); } }; // prettier-ignore
}

/** Run where nothing waits. `needsValues` is what is wrong when it would have to. */
export function atOnce<T>(computation: Gradual<T>, needsValues: string): T {
  const turn = computation.next();
  if (turn.done === true) return turn.value;
  const error = new Error(needsValues);
  computation.throw(error); // there, so that it frees what it holds
  throw error;
}

export interface PrimitiveAttrs {
  readonly primitive: Primitive;
}
