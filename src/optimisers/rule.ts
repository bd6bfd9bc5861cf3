/**
 * Optimisers that treat each tensor of the parameters alone: what differs between them is data and two small functions.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { flatten, isTensor, treeMap, type Tensor, type Tree } from '../core/tree.js';
import { defineOptimiser, RATE, type Optimiser, type OptimiserState } from './optimiser.js';
import type { Schedule } from './arguments.js';

/** Tensors by name. */
type Named<Name extends string> = Record<Name, Tensor>;

/**
 * @typeParam Slot - what is remembered of each parameter, a tensor of its shape
 * @typeParam Counter - what is remembered once, a scalar
 * @typeParam Coefficient - scalars of one step that all tensors share
 */
export interface Rule<Slot extends string, Counter extends string, Coefficient extends string> {
  readonly name: string;
  readonly shown: readonly unknown[];
  /** A number, a schedule, or null for a rule without a learning rate. */
  readonly rate: number | Schedule | null;
  /** The value that fills each slot at first. */
  readonly slots: Readonly<Record<Slot, number>>;
  readonly counters: Readonly<Record<Counter, number>>;
  /** Once per step: the next counters, and what {@link step} needs of them and of the rate (1 without one). */
  readonly advance: (counters: Named<Counter>, rate: Tensor) => [Named<Counter>, Named<Coefficient>];
  /** For each tensor: what to subtract from it, and its next slots. */
  readonly step: (g: Tensor, slots: Named<Slot>, coefficients: Named<Coefficient>, x: Tensor) => [Tensor, Named<Slot>];
}

/** The field of the state that counts the steps for a schedule. */
const STEP = 'step';

export function optimiserFromRule<Slot extends string, Counter extends string, Coefficient extends string>(
  rule: Rule<Slot, Counter, Coefficient>,
): Optimiser {
  const { name, shown, rate } = rule;
  const slotNames = Object.keys(rule.slots) as Slot[];
  const counterNames = Object.keys(rule.counters) as Counter[];

  return defineOptimiser({
    name,
    shown,
    init: (ps) => ({
      ...initialRate(rate),
      ...named(counterNames, (counter) => constant(rule.counters[counter])),
      ...named(slotNames, (slot) => treeMap(ps, (x) => filled(x, rule.slots[slot]))),
    }),
    transform: (grads, os, ps) => {
      const state = checkedState(os, [...rateFields(rate), ...counterNames, ...slotNames], name);
      const counters = named(counterNames, (counter) => state[counter] as Tensor);
      const [nextCounters, coefficients] = rule.advance(counters, currentRate(rate, state));
      const { leaves: xs, unflatten } = flatten(ps);
      const gradients = flatten(grads).leaves;
      const slotLeaves = slotNames.map((slot) => flatten(state[slot]).leaves);
      const results = xs.map((x, i) => {
        const slots = Object.fromEntries(slotNames.map((slot, j) => [slot, slotLeaves[j][i]])) as Named<Slot>;
        return rule.step(gradients[i], slots, coefficients, x);
      });
      const next = {
        ...nextRate(rate, state),
        ...nextCounters,
        ...named(slotNames, (slot) => unflatten(results.map(([, slots]) => slots[slot]))),
      };
      return [unflatten(results.map(([dx]) => dx)), next];
    },
    ...(rate === null ? {} : { rate: (os) => tf.clone(currentRate(rate, checkedState(os, rateFields(rate), name))) }),
  });
}

type Rate = number | Schedule | null;

const rateFields = (rate: Rate): string[] => (rate === null ? [] : [typeof rate === 'function' ? STEP : RATE]);

function initialRate(rate: Rate): Record<string, Tensor> {
  if (rate === null) return {};
  return typeof rate === 'function' ? { [STEP]: constant(0) } : { [RATE]: constant(rate) };
}

function currentRate(rate: Rate, state: Record<string, Tree>): Tensor {
  if (rate === null) return constant(1);
  return typeof rate === 'function' ? rate(state[STEP] as Tensor) : (state[RATE] as Tensor);
}

function nextRate(rate: Rate, state: Record<string, Tree>): Record<string, Tree> {
  if (rate === null) return {};
  return typeof rate === 'function' ? { [STEP]: tf.add(state[STEP] as Tensor, constant(1)) } : { [RATE]: state[RATE] };
}

function checkedState(os: OptimiserState, fields: readonly string[], name: string): Record<string, Tree> {
  const state = os as Record<string, Tree>;
  const given = isTensor(os) ? [] : Object.keys(os);
  const missing = fields.find((field) => !given.includes(field));
  if (missing !== undefined) {
    throw new TypeError(
      `${name}: the optimiser state has no field "${missing}" (it has ${given.join(', ') || 'none'}); it must come from init of this optimiser`,
    );
  }
  return state;
}

const named = <Name extends string, T>(names: readonly Name[], value: (name: Name) => T): Record<Name, T> =>
  Object.fromEntries(names.map((name) => [name, value(name)])) as Record<Name, T>;

const filled = (x: Tensor, value: number): Tensor =>
  value === 0 ? tf.zerosLike(x) : tf.add(tf.zerosLike(x), constant(value));
