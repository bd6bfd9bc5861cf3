/**
 * The form of a derivative rule: data beside the kernel it belongs to.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Attrs } from '../engine.js';

export interface RuleCall {
  /** The kernel's inputs by name; by position ('0', '1', ...) where the kernel takes a list. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: readonly Tensor[];
  /** Cotangents of the outputs; zeros where an output does not influence the result. */
  readonly dys: readonly Tensor[];
  readonly attrs: Attrs;
}

/**
 * Cotangents of the inputs, each computed when asked for, from traced tensors by ordinary tf operations: so the rule
 * itself has a derivative. Null means zero.
 */
export type Rule = (call: RuleCall) => Readonly<Record<string, (() => Tensor | null) | undefined>>;

export type RuleTable = Readonly<Record<string, Rule>>;
