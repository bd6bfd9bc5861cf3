/**
 * The programs of which a Runge-Kutta integration is made: each a small traced function, made when first needed.
 *
 * Inputs come in one order everywhere: time, step, state, slopes or cotangents, then the operands of the field.
 */
import * as tf from '@tensorflow/tfjs-core';
import { constant } from '../../src/core/constant.js';
import type { Tensor } from '../../src/core/tree.js';
import { identity } from '../../src/graph/arguments.js';
import { derived } from '../../src/graph/derived.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import type { Spec } from '../../src/graph/graph.js';
import { Program } from '../../src/graph/program.js';
import { simplify } from '../../src/graph/simplify.js';
import { currentTrace, type Trace, traceGraph } from '../../src/graph/trace.js';
import { NOTHING } from './control.js';
import { DenseOutput, denseProduct } from './dense-output.js';
import { evaluateField, SCALAR, type Field } from './field.js';
import { denseWeights, errorTerm, evaluate, type ErrorTerm, type Polynomial, type Tableau } from './tableau.js';

export interface Tolerance {
  readonly abstol: number;
  readonly reltol: number;
}

const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : tf.mul(x, constant(factor)));

/** `sum_i weights_i xs_i`, or null when all weights are zero. */
function combination(weights: readonly number[], xs: readonly Tensor[]): Tensor | null {
  let sum: Tensor | null = null;
  weights.forEach((w, i) => {
    if (w === 0) return;
    const term = scaled(xs[i], w);
    sum = sum === null ? term : tf.add(sum, term);
  });
  return sum;
}

const rms = (x: Tensor): Tensor => tf.sqrt(tf.mean(tf.square(x)));

export class StepPrograms {
  private readonly made = new Map<string, Program>();
  private readonly stages: number;
  private readonly weights: readonly Polynomial[];
  readonly errorTerm: ErrorTerm;
  readonly dense: DenseOutput;

  constructor(
    readonly field: Field,
    readonly tableau: Tableau,
    readonly tolerance: Tolerance,
  ) {
    this.stages = tableau.c.length;
    this.weights = denseWeights(tableau);
    this.errorTerm = errorTerm(tableau);
    this.dense = new DenseOutput(this, this.weights);
  }

  /** Free what the programs hold between runs. */
  dispose(): void {
    for (const program of this.made.values()) program.dispose();
  }

  /** (t, u, dk, ...operands, du, ...sums) -> [du + contribution, ...sums + contributions]: the derivative of a slope. */
  slopePullback(needed: readonly boolean[]): Program {
    const { state, operands } = this.field;
    const wanted = operands.filter((_, i) => needed[i]);
    const specs = [SCALAR, state, state, ...operands, state, ...wanted];
    return this.cached(`slope pullback ${needed.join()}`, specs, ([t, u, dk, ...rest]) => {
      const trace = currentTrace() as Trace;
      const ops = rest.slice(0, operands.length);
      const sums = rest.slice(operands.length);
      const since = trace.nodes.length;
      const k = this.slope(u, t, ops);
      const xs = [u, ...ops.filter((_, i) => needed[i])];
      const grads = backpropagate(trace, [{ value: trace.valueOf(k), dy: dk }], xs.map((x) => trace.valueOf(x)), since); // prettier-ignore
      return grads.map((g, i) => (g === null ? sums[i] : tf.add(sums[i], g)));
    });
  }

  /** The program of that name, traced when first asked for. */
  cached(name: string, specs: readonly Spec[], f: (inputs: Tensor[]) => Tensor[]): Program {
    let program = this.made.get(name);
    if (program === undefined) {
      const graph = this.derived(name, () => simplify(traceGraph(specs, f)));
      this.made.set(name, (program = new Program(graph, true)));
    }
    return program;
  }

  /** What the field, the method and the tolerances alone decide is made once for all solves that have them in common. */
  derived<T>(name: string, make: () => T): T {
    const { field, tableau, tolerance } = this;
    return derived(field.graph, `${identity(tableau)} ${tolerance.abstol} ${tolerance.reltol} ${name}`, make);
  }

  /** (t, u, ...) -> slope. */
  get rhs(): Program {
    const { field } = this;
    return this.cached('rhs', [SCALAR, field.state, ...field.operands], ([t, u, ...ops]) => [
      evaluateField(field, u, t, ops),
    ]);
  }

  /** (a, b) -> a + b, of states. */
  get sum(): Program {
    const { state } = this.field;
    return this.cached('sum', [state, state], ([a, b]) => [tf.add(a, b)]);
  }

  /** f(u, t), recorded in the active trace. */
  slope(u: Tensor, t: Tensor, ops: readonly Tensor[]): Tensor {
    return evaluateField(this.field, u, t, ops);
  }

  /** The slopes `k_1 ... k_s` times h, given the first, and the new state; recorded in the active trace. */
  advance(
    t: Tensor,
    h: Tensor,
    u: Tensor,
    k1: Tensor,
    ops: readonly Tensor[],
  ): { hk: Tensor[]; ks: Tensor[]; u1: Tensor } {
    const { tableau, field } = this;
    const ks = [k1];
    const hk = [tf.mul(h, k1)];
    let last = u;
    for (let i = 1; i < this.stages; i++) {
      const increment = combination(tableau.a[i], hk);
      last = increment === null ? u : tf.add(u, increment);
      const time = tf.add(t, scaled(h, tableau.c[i]));
      ks.push(evaluateField(field, last, time, ops));
      hk.push(tf.mul(h, ks[i]));
    }
    // The last stage of a FSAL method is evaluated at the new state.
    const u1 = tableau.fsal ? last : tf.add(u, combination(tableau.b, hk) as Tensor);
    return { hk, ks, u1 };
  }

  /** The root-mean-square of the scaled error estimate; recorded in the active trace. */
  errorNorm(hk: readonly Tensor[], u: Tensor, u1: Tensor): Tensor {
    const error = combination(this.tableau.e as readonly number[], hk) as Tensor;
    return rms(tf.div(error, this.scale(u, u1)));
  }

  private scale(u: Tensor, u1: Tensor): Tensor {
    const { abstol, reltol } = this.tolerance;
    return tf.add(scaled(tf.maximum(tf.abs(u), tf.abs(u1)), reltol), constant(abstol));
  }

  /** (t, h, u, k1, ...) -> [u1, k2, ..., ks] and, with an error estimate, its scaled norm in front. */
  step(adaptive: boolean): Program {
    const { field } = this;
    return this.cached(
      `step ${adaptive}`,
      [SCALAR, SCALAR, field.state, field.state, ...field.operands],
      ([t, h, u, k1, ...ops]) => {
        const { hk, ks, u1 } = this.advance(t, h, u, k1, ops);
        const rest = [u1, ...ks.slice(1)];
        return adaptive ? [this.errorNorm(hk, u, u1), ...rest] : rest;
      },
    );
  }

  /** (t, h, u, u1, k1, ..., ks) -> the scaled error of each component: what to blame when a solve fails. */
  get componentErrors(): Program {
    const { field, tableau } = this;
    const slopes = Array.from({ length: this.stages }, () => field.state);
    return this.cached('component errors', [SCALAR, field.state, field.state, ...slopes], ([h, u, u1, ...ks]) => [
      tf.abs(tf.div(tf.mul(h, combination(tableau.e as readonly number[], ks) as Tensor), this.scale(u, u1))),
    ]);
  }

  /**
   * (t, direction, u0, ...) -> k1 and [d0, d1, h0, change]: what the starting step is found by (E. Hairer, S. P. Norsett, G. Wanner, II.4).
   * With d0 and d1 the scaled sizes of state and slope, an Euler step of size `h0 = 0.01 d0 / d1` changes the slope by `change`,
   * scaled likewise.
   */
  get start(): Program {
    const { field } = this;
    return this.cached('start', [SCALAR, SCALAR, field.state, ...field.operands], ([t, direction, u, ...ops]) => {
      const k = evaluateField(field, u, t, ops);
      const scale = this.scale(u, u);
      const [d0, d1] = [rms(tf.div(u, scale)), rms(tf.div(k, scale))];
      const small = constant(NOTHING);
      const isSmall = tf.logicalOr(tf.less(d0, small), tf.less(d1, small));
      const h0 = tf.where(isSmall, constant(1e-6), tf.div(scaled(d0, 0.01), d1));
      const h = tf.mul(h0, direction);
      const ahead = evaluateField(field, tf.add(u, tf.mul(h, k)), tf.add(t, h), ops);
      return [k, tf.stack([d0, d1, h0, rms(tf.div(tf.sub(ahead, k), scale))])];
    });
  }

  /** Number of slopes the dense output combines: the stages, and the slope at the end where it is not among them. */
  get denseStages(): number {
    return this.weights.length;
  }

  /** Dense-output weights times h for `count` of the fractions `thetas`: row-major [count, slopes]. */
  denseMatrix(h: number, thetas: readonly number[], first = 0, count = thetas.length): number[] {
    const { weights } = this;
    const matrix: number[] = [];
    for (let i = first; i < first + count; i++) for (const w of weights) matrix.push(h * evaluate(w, thetas[i]));
    return matrix;
  }

  /**
   * The vector-Jacobian product of one step, its stages computed again from the state it started at:
   *
   * (t, h, u, du1, [W, dV], ...operands, ...sums) -> [du, ...sums + contributions, [dt, dh], [dW]].
   *
   * `dV` are the cotangents of m dense outputs of this step; `needed` says which operands' cotangents are wanted.
   */
  pullback(m: number, needed: readonly boolean[], time: boolean): Program {
    const { field } = this;
    const slopes = this.denseStages;
    const wanted = field.operands.filter((_, i) => needed[i]);
    const saved: Spec[] = m === 0 ? [] : [
      { shape: [m, slopes], dtype: 'float32' },
      { shape: [m, ...field.state.shape], dtype: 'float32' },
    ]; // prettier-ignore
    const specs = [SCALAR, SCALAR, field.state, field.state, ...saved, ...field.operands, ...wanted];
    return this.cached(`pullback ${m} ${needed.join()} ${time}`, specs, (inputs) => {
      const trace = currentTrace() as Trace;
      const [t, h, u, du1] = inputs;
      const [w, dv] = m === 0 ? [] : inputs.slice(4, 6);
      const ops = inputs.slice(4 + saved.length, 4 + saved.length + field.operands.length);
      const sums = inputs.slice(4 + saved.length + field.operands.length);
      const since = trace.nodes.length;
      const { ks, u1 } = this.advance(t, h, u, evaluateField(field, u, t, ops), ops);
      const targets = [{ value: trace.valueOf(u1), dy: du1 }];
      if (m > 0) {
        const slopeAtEnd = slopes > ks.length ? [evaluateField(field, u1, tf.add(t, h), ops)] : [];
        targets.push({ value: trace.valueOf(denseProduct(w, u, [...ks, ...slopeAtEnd])), dy: dv });
      }
      const xs = [u, ...ops.filter((_, i) => needed[i]), ...(time ? [t, h] : []), ...(time && m > 0 ? [w] : [])];
      const grads = backpropagate(trace, targets, xs.map((x) => trace.valueOf(x)), since); // prettier-ignore
      const [du, ...rest] = grads.map((g, i) => g ?? tf.zeros(xs[i].shape));
      return [du, ...rest.map((g, i) => (i < sums.length ? tf.add(sums[i], g) : g))];
    });
  }
}
