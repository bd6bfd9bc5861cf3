/**
 * A layer whose output is a fixed point of another layer: the one mechanism behind all deep equilibrium models.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import { ravel } from '../../src/core/flatten.js';
import { applyChild, type Layer } from '../../src/core/layer.js';
import { defineLayer } from '../../src/core/print.js';
import { split, type Key } from '../../src/core/random.js';
import { scopeNote } from '../../src/core/scope.js';
import {
  checkSameTree,
  isTensor,
  leaves,
  treeMap,
  type StateTree,
  type Tensor,
  type Tree,
} from '../../src/core/tree.js';
import { scan, stopGradient } from '../../src/graph/index.js';
import { tidy } from '../../src/layers/tidy.js';
import { fixedPointProblem } from '../../solvers/index.js';
import { NONLINEAR_RETCODES } from '../../solvers/retcode.js';
import { solve } from '../../solvers/solve.js';
import { jacobianLoss, spectralRadius } from './jacobian.js';
import { parseEquilibriumOptions, type EquilibriumOptions, type SolveSettings } from './options.js';

/** What the latest solve reached, as tensors. */
export interface EquilibriumSolution<Z extends Tree> {
  /** The norm of `f(z) - z`: a scalar, or one for each row of an independent batch. */
  readonly residual: Tensor;
  /** `[iterations, evaluations, retcode, bestAt]`, by rows for an independent batch; see `readNonlinearStatistics`. */
  readonly statistics: Tensor;
  /** The estimate of `|J|_F^2 / n`: to be added to a loss. 0 where it was not asked for. */
  readonly jacobianLoss: Tensor;
  /** NaN where it was not asked for. */
  readonly spectralRadius: Tensor;
  /** With the option `states` above 1: that many states, the equilibrium last. */
  readonly states: readonly Z[];
  readonly [name: string]: StateTree;
}

export interface EquilibriumState<S extends StateTree, I extends StateTree, Z extends Tree> {
  readonly model: S;
  readonly init: I;
  readonly solution: EquilibriumSolution<Z>;
  readonly training: boolean;
  /** Decides the random vectors of the Jacobian's estimates. */
  readonly key: Key;
  /** The previous equilibrium, with `warmStart`. */
  readonly previous: Z | null;
  readonly [name: string]: StateTree;
}

export type EquilibriumParameters<P extends Tree, I extends Tree> = { readonly model: P; readonly init: I };

/** Where a solve starts: from zeros, from one application of the model to zeros, or from what a layer makes of the input. */
export type Start<X, Z, I extends Tree, SI extends StateTree> = 'zeros' | 'evaluation' | Layer<X, Z, I, SI>;

export interface Definition<
  X,
  Z extends Tree,
  P extends Tree,
  S extends StateTree,
  I extends Tree,
  SI extends StateTree,
> {
  readonly name: string;
  readonly where: string;
  /** Takes the pair of equilibrium and input. */
  readonly layer: Layer<[Z, X], Z, P, S>;
  readonly start: Start<X, Z, I, SI>;
  readonly zeros: (x: X) => Z;
  readonly options: EquilibriumOptions;
}

const EMPTY = Object.freeze({});

function sameShapes(a: Tree, b: Tree): boolean {
  try {
    checkSameTree(a, b, '');
    return true;
  } catch {
    return false;
  }
}

/** A function of a tree as one of a vector, and the vector. */
function flattened<Z extends Tree>(f: (z: Z) => Z, z: Z): [(v: Tensor) => Tensor, Tensor] {
  if (isTensor(z)) return [f as unknown as (v: Tensor) => Tensor, z];
  const [vector, unravel] = ravel(z);
  return [(v) => ravel(f(unravel(v)))[0], vector];
}

/**
 * NaN wherever the residual is not finite. A solver that meets no finite residual returns its start, which would pass for a result: a
 * loss of it is finite while its gradients are not. `residual` is a scalar, or one for each row.
 */
function orNaN<Z extends Tree>(u: Z, residual: Tensor): Z {
  const [zero, nan] = [constant(0), constant(NaN)];
  const mark = tf.where(tf.isFinite(stopGradient(residual)), zero, nan);
  return treeMap(u, (leaf) => {
    const rows = mark.rank === 0 ? mark : tf.reshape(mark, [mark.size, ...leaf.shape.slice(1).fill(1)]);
    return tf.add(leaf, rows);
  });
}

/** The same with zeros in the place of NaN: the next solve can start there. */
const asStart = <Z extends Tree>(z: Z): Z =>
  treeMap(z, (leaf) => stopGradient(tf.where(tf.isFinite(leaf), leaf, tf.zerosLike(leaf))));

export function equilibriumLayer<
  X,
  Z extends Tree,
  P extends Tree,
  S extends StateTree,
  I extends Tree,
  SI extends StateTree,
>(definition: Definition<X, Z, P, S, I, SI>): Layer<X, Z, EquilibriumParameters<P, I>, EquilibriumState<S, SI, Z>> {
  const { name, where, layer, start, zeros, options } = definition;
  if (typeof (layer as Partial<typeof layer> | undefined)?.apply !== 'function') {
    throw new TypeError(`${where}: the first argument must be a layer that takes [z, x]`);
  }
  const parsed = parseEquilibriumOptions(options, where);
  const guess = typeof start === 'object' ? start : null;
  const { fixedDepth, states } = parsed;

  const empty = (): EquilibriumSolution<Z> => ({
    residual: tf.scalar(0),
    statistics: tf.zeros([4], 'int32'),
    jacobianLoss: tf.scalar(0),
    spectralRadius: tf.scalar(NaN),
    states: [],
  });

  interface Found {
    readonly z: Z;
    readonly residual: Tensor;
    readonly statistics: Tensor;
    readonly states: readonly Z[];
  }
  type Given = { readonly ps: P; readonly x: X };
  type Map = (z: Z, given: Given) => Z;

  /** The layer applied again and again, without a solve. */
  function repeated(f: Map, start: Z, given: Given): Found {
    const [z] = scan((at: Z) => [f(at, given), {}] as const, start, {}, { length: fixedDepth });
    const [onVector, vector] = flattened((at: Z) => f(at, given), z);
    const at = stopGradient(vector);
    const numbers = [fixedDepth, fixedDepth + 1, NONLINEAR_RETCODES.indexOf('Success'), fixedDepth];
    return {
      z,
      residual: stopGradient(tf.sqrt(tf.mean(tf.square(tf.sub(onVector(at), at))))),
      statistics: tf.tensor1d(numbers, 'int32'),
      states: [],
    };
  }

  /** The equilibrium, in one solve or in as many as states are wanted, each going on from the last. */
  function solved(f: Map, start: Z, given: Given, { algorithm, options: settings }: SolveSettings): Found {
    const along = settings.batch === 'independent' ? { along: (p: Given) => p.x } : {};
    const maxIters = Math.ceil(settings.maxIters / states);
    const reached: Z[] = [];
    for (;;) {
      const isLast = reached.length === states - 1;
      const z = reached.at(-1) ?? start;
      const failing = isLast ? {} : { throwOnFailure: false };
      const problem = fixedPointProblem(f, z, given);
      const { u, residual, statistics } = solve(problem, algorithm, { ...settings, ...along, ...failing, maxIters });
      reached.push(isLast ? orNaN(u, residual) : u);
      if (isLast) return { z: reached[states - 1], residual, statistics, states: states > 1 ? reached : [] };
    }
  }

  function apply(
    x: X,
    ps: EquilibriumParameters<P, I>,
    st: EquilibriumState<S, SI, Z>,
  ): [Z, EquilibriumState<S, SI, Z>] {
    const evaluate = (z: Z, p: P, input: X): [Z, S] => applyChild('model', layer, [z, input], p, st.model);
    const f = (z: Z, given: Given): Z => evaluate(z, given.ps, given.x)[0];
    const given: Given = { ps: ps.model, x };

    let init = st.init;
    let z: Z;
    if (st.previous !== null && sameShapes(zeros(x), st.previous))
      z = treeMap(st.previous, (leaf) => stopGradient(leaf));
    else if (guess !== null) [z, init] = applyChild('init', guess, x, ps.init, st.init);
    else z = start === 'evaluation' ? f(zeros(x), given) : zeros(x);

    const settings = st.training ? parsed.training : parsed.testing;
    const found = fixedDepth > 0 ? repeated(f, z, given) : solved(f, z, given, settings);
    z = found.z;

    const wantsLoss = st.training && parsed.jacobianRegularization > 0;
    const [mine, next, forPower] = wantsLoss || parsed.spectralRadius ? split(st.key, 3) : [st.key, st.key, st.key];
    const [onVector, vector] = flattened((at: Z) => f(at, given), z);
    const loss = wantsLoss ? jacobianLoss(onVector, vector, mine, parsed.jacobianRegularization) : tf.scalar(0);
    const radius = parsed.spectralRadius ? spectralRadius(onVector, vector, forPower) : tf.scalar(NaN);
    const renewed = leaves(st.model).length === 0 ? st.model : evaluate(z, ps.model, x)[1];
    return [
      z,
      {
        model: renewed,
        init,
        solution: {
          residual: found.residual,
          statistics: found.statistics,
          jacobianLoss: loss,
          spectralRadius: radius,
          states: found.states,
        },
        training: st.training,
        key: next,
        previous: parsed.warmStart ? asStart(z) : null,
      },
    ];
  }

  return defineLayer({
    initialParameters: (key: Key): EquilibriumParameters<P, I> =>
      tidy(() => {
        const [forModel, forInit] = split(key, 2);
        return { model: layer.initialParameters(forModel), init: (guess?.initialParameters(forInit) ?? EMPTY) as I };
      }),
    initialStates: (key: Key): EquilibriumState<S, SI, Z> =>
      tidy(() => {
        const [forModel, forInit, own] = split(key, 3);
        return {
          model: layer.initialStates(forModel),
          init: (guess?.initialStates(forInit) ?? EMPTY) as SI,
          solution: empty(),
          training: true,
          key: own,
          previous: null,
        };
      }),
    apply: (x: X, ps: EquilibriumParameters<P, I>, st: EquilibriumState<S, SI, Z>) => tidy(() => apply(x, ps, st)),
    display: {
      name,
      summary: fixedDepth > 0 ? `fixedDepth=${fixedDepth}` : parsed.training.algorithm.name,
      children: guess === null ? { model: layer } : { model: layer, init: guess },
    },
  });
}

/** The first tensor of an input: its first axis is the batch. */
export function firstTensor(x: unknown, where: string): Tensor {
  const [first] = leaves(x) as (Tensor | undefined)[];
  if (first === undefined || first.shape.length === 0) {
    throw new TypeError(`${where}: the input must be a tensor [batch, ...] or a tree of such${scopeNote()}`);
  }
  return first;
}
