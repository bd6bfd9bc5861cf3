/**
 * A step that keeps what its derivative needs of its stages, and the derivative that starts from there: the backward pass
 * then evaluates nothing again.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import { PRIMITIVE, type Graph, type Spec } from '../../src/graph/graph.js';
import { partition, totalSize } from '../../src/graph/partition.js';
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
   * of all slopes and of the state that the dense outputs of this step leave; the plain form is without them, and is made when a
   * step first asks for it.
   */
  readonly dense: Program;
  readonly plain: Program;
}

class Taped implements TapedPrograms {
  readonly step: Program;
  readonly residuals: readonly Spec[];
  readonly residualBytes: number;
  readonly dense: Program;
  private made: Program | undefined;

  constructor(
    { step, residuals, dense }: TapedGraphs,
    private readonly plainGraph: () => Graph,
  ) {
    this.step = new Program(step, true);
    this.residuals = residuals;
    this.residualBytes = 4 * totalSize(residuals);
    this.dense = new Program(dense, true);
  }

  get plain(): Program {
    return (this.made ??= new Program(this.plainGraph(), true));
  }

  dispose(): void {
    for (const program of [this.step, this.dense, this.made]) program?.dispose();
  }
}

/** The taped programs of one solve. */
export class Tapes {
  private readonly made = new Map<string, Taped>();

  constructor(private readonly programs: StepPrograms) {}

  /** Null where the steps of this solve cannot be taped. */
  of(adaptive: boolean, needed: readonly boolean[]): TapedPrograms | null {
    if (!canTape(this.programs)) return null;
    const name = `${adaptive} ${needed.join()}`;
    let taped = this.made.get(name);
    if (taped === undefined) {
      const { programs } = this;
      const graphs = programs.derived(`taped ${name}`, () => tapedGraphs(programs, adaptive, needed));
      taped = new Taped(graphs, () => programs.derived(`plain ${name}`, () => plainGraph(programs, graphs)));
      this.made.set(name, taped);
    }
    return taped;
  }

  /** Free what the programs hold between runs. */
  dispose(): void {
    for (const taped of this.made.values()) taped.dispose();
  }
}

function canTape({ field, tableau, denseStages }: StepPrograms): boolean {
  // A primitive keeps a record of its run by itself; Hermite's interpolant wants a slope that no stage has.
  return denseStages <= tableau.c.length && field.graph.nodes.every(({ kernel }) => kernel !== PRIMITIVE);
}

interface TapedGraphs {
  readonly step: Graph;
  readonly residuals: readonly Spec[];
  readonly dense: Graph;
}

/** Where the first slope is among the inputs of a step. */
const FIRST = 3;

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
    const targets = [{ y: u1, dy: du1 }, ...(tableau.fsal ? [{ y: ks[stages - 1], dy: dk }] : [])];
    // Sliced rather than unstacked: slices of zeros vanish from the plain form.
    const row = (i: number): Tensor => tf.reshape(tf.slice(dK, [i], [1]), state.shape as number[]);
    programs.dense.used.forEach((isUsed, i) => isUsed && targets.push({ y: ks[i], dy: row(i) }));
    const given = targets.map(({ y, dy }) => ({ value: trace.valueOf(y), dy }));
    const found = backpropagate(trace, given, xs.map((x) => trace.valueOf(x)), since, until); // prettier-ignore
    const [du, ...rest] = found.map((g, i) => g ?? tf.zeros(xs[i].shape));
    const own = tableau.fsal ? 1 : 0;
    early = forward.length;
    return [...forward, tf.add(du, dV), ...rest.map((g, i) => (i < own ? g : tf.add(sums[i - own], g)))];
  });
  const parts = partition(simplify(joint), early);
  // The first slope itself serves no derivative.
  const dense = { ...parts.late, inputs: parts.late.inputs.filter((_, i) => i !== FIRST) };
  const step = { ...parts.early, inputs: parts.early.inputs.slice(0, 4 + operands.length) };
  return { step, residuals: parts.residuals, dense };
}

/** The dense form where no output lies within the step. */
function plainGraph({ field: { operands } }: StepPrograms, { dense }: TapedGraphs): Graph {
  const first = FIRST + operands.length + 2;
  return simplify(dense, dense.inputs.slice(first, first + 2));
}
