/**
 * The optimiser contract: a frozen record of pure functions.
 *
 * An optimiser turns gradients into steps (`transform`), and a step is what is subtracted from the parameters (`update`).
 * Because one optimiser's steps may be the next one's gradients, optimisers compose: see {@link optimiserChain}. Names,
 * defaults and this way of composing are those of Optimisers.jl.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { checkSameTree, isRecord, leaves, treeZip, type Tensor, type Tree } from '../core/tree.js';
import { amount } from './arguments.js';

/** What an optimiser remembers: tensors only, so that a compiled step never has to be traced again. */
export type OptimiserState = Tree;

export interface Optimiser {
  /** The constructor's name: `adam`. */
  readonly name: string;
  /** The state before the first step, for parameters of any structure (one flat vector, too). */
  init(ps: Tree): OptimiserState;
  /**
   * What the optimiser would subtract from the parameters, and its next state.
   *
   * @throws TreeError when the gradients differ from the parameters in structure or shape.
   */
  transform<P extends Tree>(grads: P, os: OptimiserState, ps: P): [P, OptimiserState];
  /**
   * New parameters and the next state; the arguments are left as they are.
   *
   * @throws TreeError when the gradients differ from the parameters in structure or shape.
   */
  update<P extends Tree>(grads: P, os: OptimiserState, ps: P): [P, OptimiserState];
  /** The learning rate of the next step as a scalar tensor; undefined for an optimiser without one. */
  rate(os: OptimiserState): Tensor | undefined;
  /** As it would be typed: `adam(0.001, { beta: [0.9, 0.999], epsilon: 1e-8 })`. */
  toString(): string;
}

export interface OptimiserParts {
  readonly name: string;
  /** The arguments in the order of the constructor, for printing. */
  readonly shown: readonly unknown[];
  readonly init: (ps: Tree) => OptimiserState;
  readonly transform: (grads: Tree, os: OptimiserState, ps: Tree) => [Tree, OptimiserState];
  readonly rate?: (os: OptimiserState) => Tensor | undefined;
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** An optimiser from its parts: checks, subtraction, tidying up and printing are the same for all. */
export function defineOptimiser({ name, shown, init, transform, rate }: OptimiserParts): Optimiser {
  const text = `${name}(${shown.map(show).join(', ')})`;
  const checked = (grads: Tree, os: OptimiserState, ps: Tree): [Tree, OptimiserState] => {
    checkSameTree(ps, grads, `${name}: gradients`);
    return transform(grads, os, ps);
  };
  const optimiser = {
    name,
    init: (ps: Tree): OptimiserState => tidied(() => init(ps)),
    transform: (grads: Tree, os: OptimiserState, ps: Tree) => tidied(() => checked(grads, os, ps)),
    update: (grads: Tree, os: OptimiserState, ps: Tree) =>
      tidied((): [Tree, OptimiserState] => {
        const [steps, next] = checked(grads, os, ps);
        return [treeZip(ps, [steps], ([x, dx]) => tf.sub(x, dx)), next];
      }),
    rate: (os: OptimiserState): Tensor | undefined => (rate === undefined ? undefined : tidied(() => rate(os))),
  };
  // Not enumerable: printing an optimiser is not part of what it is.
  Object.defineProperty(optimiser, 'toString', { value: () => text });
  Object.defineProperty(optimiser, INSPECT, { value: () => text });
  return Object.freeze(optimiser) as Optimiser;
}

/** `tf.tidy` for a result of any structure. */
function tidied<T>(f: () => T): T {
  const box: { result?: T } = {};
  tf.tidy(() => {
    box.result = f();
    return leaves(box.result);
  });
  return box.result as T;
}

function show(x: unknown): string {
  if (typeof x === 'function') return x.name === '' ? 'schedule' : x.name;
  if (Array.isArray(x)) return `[${x.map(show).join(', ')}]`;
  if (!isRecord(x) || Object.hasOwn(x, 'toString')) return String(x);
  return `{ ${Object.entries(x).map(([name, value]) => `${name}: ${show(value)}`).join(', ')} }`; // prettier-ignore
}

/**
 * The optimiser state with another learning rate, in every member of a chain that has one. The compiled step is not traced
 * again for it. The counterpart of Optimisers.jl's `adjust!`.
 *
 * @throws TypeError when the state holds no rate: the optimiser has none, or a schedule sets it.
 */
export function setRate<S extends OptimiserState>(os: S, rate: number): S {
  amount(rate, 'setRate', 'rate');
  const rates: Tensor[] = [];
  // A chain's state is a list; anything deeper is shaped like the parameters, which may have a `rate` of their own.
  const visit = (x: unknown): unknown => {
    if (Array.isArray(x)) return x.map(visit);
    if (!isRecord(x) || x[RATE] === undefined) return x;
    const own = constant(rate);
    rates.push(own);
    return { ...x, [RATE]: own };
  };
  const changed = visit(os) as S;
  if (rates.length === 0) {
    throw new TypeError('setRate: this optimiser state holds no learning rate (a schedule sets it, or there is none)');
  }
  return changed;
}

/** The field of the state that holds a constant learning rate. */
export const RATE = 'rate';
