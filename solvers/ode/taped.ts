/**
 * A step that keeps what its derivative needs of its stages, and the derivative that starts from there: the backward pass
 * then evaluates nothing again.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import { PRIMITIVE, type Graph, type Spec, type Value } from '../../src/graph/graph.js';
import { partition, selectOutputs, totalSize } from '../../src/graph/partition.js';
import { Program } from '../../src/graph/program.js';
import { simplify } from '../../src/graph/simplify.js';
import { currentTrace, traceGraph, type Trace } from '../../src/graph/trace.js';
import { SCALAR } from './field.js';
import type { StepPrograms } from './programs.js';

export interface TapedPrograms {
  /** (t, h, u, k1, ...operands) -> [error norm if adaptive, u1, slopes, ...residuals]. */
  readonly step: Program;
  readonly residuals: readonly Spec[];
  readonly residualBytes: number;
  /**
   * (t, h, u, ...operands, du1, dk, dK, dV, ...sums, ...residuals) -> [du, dk1, ...sums + contributions].
   *
   * `dk` is the cotangent of the last slope from the next step, whose first it is, and `dk1` that of this step's first
   * (FSAL methods; others compute their first slope themselves and have no `dk1`). `dK` and `dV` are the cotangents
   * of all slopes and of the state that the dense outputs of this step leave; the plain form is without them.
   */
  readonly plain: Program;
  readonly dense: Program;
}

/** The taped programs of one solve. */
export class Tapes {
  private readonly made = new Map<string, TapedPrograms>();

  constructor(private readonly programs: StepPrograms) {}

  /** Null where the steps of this solve cannot be taped. */
  of(adaptive: boolean, needed: readonly boolean[]): TapedPrograms | null {
    if (!canTape(this.programs)) return null;
    const name = `${adaptive} ${needed.join()}`;
    let taped = this.made.get(name);
    if (taped === undefined) {
      const make = (): TapedGraphs => tapedGraphs(this.programs, adaptive, needed);
      const { step, residuals, plain, dense } = this.programs.derived(`taped ${name}`, make);
      taped = {
        step: new Program(step, true),
        residuals,
        residualBytes: 4 * totalSize(residuals),
        plain: new Program(plain, true),
        dense: new Program(dense, true),
      };
      this.made.set(name, taped);
    }
    return taped;
  }

  /** Free what the programs hold between runs. */
  dispose(): void {
    for (const { step, plain, dense } of this.made.values()) {
      for (const program of [step, plain, dense]) program.dispose();
    }
  }
}

function canTape({ field, tableau, denseStages }: StepPrograms): boolean {
  // A primitive keeps a record of its run by itself; Hermite's interpolant wants a slope that no stage has.
  return denseStages <= tableau.c.length && field.graph.nodes.every(({ kernel }) => kernel !== PRIMITIVE);
}

interface TapedGraphs {
  readonly step: Graph;
  readonly residuals: readonly Spec[];
  readonly plain: Graph;
  readonly dense: Graph;
}

/** @param needed - Which operands' cotangents are wanted. */
function tapedGraphs(programs: StepPrograms, adaptive: boolean, needed: readonly boolean[]): TapedGraphs {
  const { field, tableau } = programs;
  const { state, operands } = field;
  const stages = tableau.c.length;
  const all: Spec = { shape: [stages, ...state.shape], dtype: state.dtype };
  const specs = [
    SCALAR,
    SCALAR,
    state,
    state,
    ...operands,
    state,
    state,
    all,
    state,
    ...operands.filter((_, i) => needed[i]),
  ];
  let early = 0;
  let late = 0;
  const joint = traceGraph(specs, (inputs) => {
    const trace = currentTrace() as Trace;
    const [t, h, u, first] = inputs;
    const ops = inputs.slice(4, 4 + operands.length);
    const [du1, dk, dK, dV, ...sums] = inputs.slice(4 + operands.length);
    const since = trace.nodes.length;
    const k1 = tableau.fsal ? first : programs.slope(u, t, ops);
    const { hk, ks, u1 } = programs.advance(t, h, u, k1, ops);
    const until = trace.nodes.length;
    const forward = [...(adaptive ? [programs.errorNorm(hk, u, u1)] : []), u1, ...ks.slice(tableau.fsal ? 1 : 0)];
    const xs = [u, ...(tableau.fsal ? [k1] : []), ...ops.filter((_, i) => needed[i])];
    const cotangents = (targets: readonly { y: Tensor; dy: Tensor }[], more: Tensor | null): Tensor[] => {
      const given = targets.map(({ y, dy }) => ({ value: trace.valueOf(y), dy }));
      const found = backpropagate(trace, given, xs.map((x) => trace.valueOf(x)), since, until); // prettier-ignore
      const [du, ...rest] = found.map((g, i) => g ?? tf.zeros(xs[i].shape));
      const own = tableau.fsal ? 1 : 0;
      const total = rest.map((g, i) => (i < own ? g : tf.add(sums[i - own], g)));
      return [more === null ? du : tf.add(du, more), ...total];
    };
    const ends = [{ y: u1, dy: du1 }, ...(tableau.fsal ? [{ y: ks[stages - 1], dy: dk }] : [])];
    const slopes = tf.unstack(dK).map((dy, i) => ({ y: ks[i], dy }));
    const plain = cotangents(ends, null);
    const dense = cotangents([...ends, ...slopes], dV);
    [early, late] = [forward.length, plain.length];
    return [...forward, ...plain, ...dense];
  });
  const parts = partition(simplify(joint), early);
  // The cotangents of dense outputs are the dense form's; the first slope itself serves neither.
  const without = (...dropped: number[]): readonly Value[] => parts.late.inputs.filter((_, i) => !dropped.includes(i));
  const dense = { ...selectOutputs(parts.late, late, 2 * late), inputs: without(3) };
  const plain = { ...selectOutputs(parts.late, 0, late), inputs: without(3, 6 + operands.length, 7 + operands.length) };
  const step = { ...parts.early, inputs: parts.early.inputs.slice(0, 4 + operands.length) };
  return { step, residuals: parts.residuals, plain, dense };
}
