/**
 * Members of a chain that have no rate of their own: they change the gradient on its way to the next member.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../core/constant.js';
import { leaves, treeMap, treeZip, type Tensor, type Tree } from '../core/tree.js';
import { amount, switched, optionsOf, power } from './arguments.js';
import { defineOptimiser, type Optimiser } from './optimiser.js';

/** Without memory: a function of the gradients and the parameters. */
function stateless(name: string, shown: readonly unknown[], f: (grads: Tree, ps: Tree) => Tree): Optimiser {
  return defineOptimiser({ name, shown, init: () => ({}), transform: (grads, os, ps) => [f(grads, ps), os] });
}

/** Limit every element of the gradient to [-delta, delta]. Default 10. */
export function clipGrad(delta = 10): Optimiser {
  amount(delta, 'clipGrad', 'limit');
  return stateless('clipGrad', [delta], (grads) => treeMap(grads, (g) => tf.clipByValue(g, -delta, delta)));
}

export interface ClipNormOptions {
  /** Which norm: 1, 2, Infinity or any other power. Default 2. */
  readonly p?: number | undefined;
  /**
   * False, the default, as in Optimisers.jl: each tensor has its own norm. True: one norm of the whole gradient, which keeps
   * its direction, as in PyTorch's `clip_grad_norm_` and optax's `clip_by_global_norm`.
   */
  readonly global?: boolean | undefined;
}

/**
 * Scale a gradient whose norm exceeds `omega` down to that norm. A norm that is not finite makes the step not finite, which
 * `train` reports as an error.
 *
 * @param omega Default 10.
 */
export function clipNorm(omega = 10, options: ClipNormOptions = {}): Optimiser {
  amount(omega, 'clipNorm', 'limit');
  const { p, global } = optionsOf({ p: power(2), global: switched(false) }, options, 'clipNorm');
  const factor = (total: Tensor): Tensor => tf.minimum(tf.div(constant(omega), total), constant(1));
  return stateless('clipNorm', [omega, { p, global }], (grads) => {
    if (!global) return treeMap(grads, (g) => tf.mul(g, factor(norm([g], p))));
    const all = leaves(grads);
    if (all.length === 0) return grads;
    const shared = factor(norm(all, p));
    return treeMap(grads, (g) => tf.mul(g, shared));
  });
}

/** The p-norm of all elements of some tensors. */
function norm(xs: readonly Tensor[], p: number): Tensor {
  const combine = (pieces: Tensor[], f: (a: Tensor, b: Tensor) => Tensor): Tensor => pieces.reduce((a, b) => f(a, b));
  if (p === Infinity) return combine(xs.map((x) => tf.max(tf.abs(x))), (a, b) => tf.maximum(a, b)); // prettier-ignore
  const raised = (x: Tensor): Tensor => (p === 2 ? tf.square(x) : p === 1 ? tf.abs(x) : tf.pow(tf.abs(x), constant(p)));
  const total = combine(xs.map((x) => tf.sum(raised(x))), (a, b) => tf.add(a, b)); // prettier-ignore
  return p === 2 ? tf.sqrt(total) : p === 1 ? total : tf.pow(total, constant(1 / p));
}

/** `g + lambda x`: the gradient of an added `lambda / 2 * sum(x²)`. Default 5e-4. */
export function weightDecay(lambda = 5e-4): Optimiser {
  amount(lambda, 'weightDecay', 'strength');
  return stateless('weightDecay', [lambda], (grads, ps) =>
    treeZip(grads, [ps], ([g, x]) => tf.add(g, tf.mul(constant(lambda), x))),
  );
}

/** `g + lambda sign(x)`: the gradient of an added `lambda * sum(|x|)`. Default 1e-3. */
export function signDecay(lambda = 1e-3): Optimiser {
  amount(lambda, 'signDecay', 'strength');
  return stateless('signDecay', [lambda], (grads, ps) =>
    treeZip(grads, [ps], ([g, x]) => tf.add(g, tf.mul(constant(lambda), tf.sign(x)))),
  );
}

/**
 * Optimisers one after the other: what the first would subtract is the gradient of the second, and so on. What the last
 * would subtract is subtracted: `optimiserChain(clipNorm(1), weightDecay(1e-4), adam(1e-3))`. Its state is the list of theirs.
 */
export function optimiserChain(...members: readonly Optimiser[]): Optimiser {
  if (members.length === 0) throw new TypeError('optimiserChain: expected at least one optimiser');
  members.forEach((member, i) => {
    if (typeof (member as Partial<Optimiser> | undefined)?.transform !== 'function') {
      throw new TypeError(`optimiserChain: member ${i} is not an optimiser`);
    }
  });
  return defineOptimiser({
    name: 'optimiserChain',
    shown: members,
    init: (ps) => members.map((member) => member.init(ps)),
    transform: (grads, os, ps) => {
      if (!Array.isArray(os) || os.length !== members.length) {
        throw new TypeError(`optimiserChain: the state must be a list of ${members.length}, one for each member`);
      }
      const next: Tree[] = [];
      let steps = grads;
      members.forEach((member, i) => {
        const [changed, state] = member.transform(steps, os[i] as Tree, ps);
        steps = changed;
        next.push(state);
      });
      return [steps, next];
    },
    rate: (os) => {
      for (const [i, member] of members.entries()) {
        const rate = member.rate((os as readonly Tree[])[i]);
        if (rate !== undefined) return rate;
      }
      return undefined;
    },
  });
}
