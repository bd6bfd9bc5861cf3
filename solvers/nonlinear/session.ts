/**
 * The places in which one solve of an equation runs: made once, and used again by the next run of the same solve.
 */
import * as tf from '@tensorflow/tfjs-core';
import { openWorkspace } from '../../src/graph/program.js';
import { PRIMITIVE, type Spec } from '../../src/graph/graph.js';
import { nested, type RunContext } from '../../src/graph/primitive.js';
import { Sessions, type Lendable } from '../../src/graph/sessions.js';
import type { Cell, Workspace } from '../../src/graph/workspace.js';
import type { Tensor } from '../../src/core/tree.js';
import type { LoopPrograms, Maps, System } from './system.js';

/**
 * A program with the cells it reads and writes. Cells may be exchanged between runs: own inputs are `inputs[0 ...]` in
 * the order in which
 * they were given.
 */
export class Step {
  readonly inputs: Cell[];
  readonly outputs: Cell[];
  private readonly ahead: Cell[];
  private epoch = -1;

  constructor(
    private readonly session: Session,
    private readonly programs: LoopPrograms,
    own: readonly Cell[],
    outputs: readonly Cell[],
  ) {
    const { ws, operands } = session;
    this.ahead = programs.prologue === null ? [] : programs.prologue.graph.outputs.map(({ shape, dtype }) => ws.cell(shape, dtype)); // prettier-ignore
    this.inputs = [...own, ...programs.used.map((i) => operands[i]), ...this.ahead];
    this.outputs = [...outputs];
  }

  /** What does not change during a solve is computed at the first run of each. */
  run(): void {
    const { session, programs } = this;
    if (this.epoch !== session.epoch) {
      this.epoch = session.epoch;
      if (programs.prologue !== null) {
        session.ws.run(programs.prologue, session.operands, this.ahead, session.context);
      }
    }
    if (!session.nests) {
      session.ws.run(programs.loop, this.inputs, this.outputs, session.context);
      return;
    }
    // What solves within the map leave behind is freed after each run; the prologue's is wanted by every run of the loop.
    const { context, end } = nested(session.context);
    try {
      session.ws.run(programs.loop, this.inputs, this.outputs, context);
    } finally {
      end();
    }
  }
}

/** A few numbers that a step computes and the host reads, in a form that the workspace reads cheaply. */
export class Numbers {
  readonly values: Float64Array;
  /** Outputs of a step: one scalar each where they can be read at once, else one vector, since each reading waits. */
  readonly cells: readonly Cell[];

  constructor(
    private readonly ws: Workspace,
    count: number,
  ) {
    this.values = new Float64Array(count);
    this.cells = ws.immediate ? Array.from({ length: count }, () => ws.cell([])) : [ws.cell([count])];
  }

  /** In a program: the outputs for {@link cells}. */
  pack(scalars: readonly Tensor[]): readonly Tensor[] {
    return this.ws.immediate ? scalars : [tf.stack([...scalars])];
  }

  /** Where the workspace is immediate: fill {@link values}. */
  read(): void {
    const { ws, values, cells } = this;
    for (let i = 0; i < values.length; i++) values[i] = ws.scalar(cells[i]);
  }

  /** Where it is not: what was read of `cells[0]`. */
  accept(read: readonly number[]): void {
    this.values.set(read);
  }
}

/** A few numbers that the host writes and a step takes. */
export class Coefficients {
  /** Inputs of a step: one scalar each, or one vector where each writing is a transfer. */
  readonly cells: readonly Cell[];

  constructor(
    private readonly ws: Workspace,
    private readonly count: number,
  ) {
    this.cells = ws.immediate ? Array.from({ length: count }, () => ws.cell([])) : [ws.cell([count])];
  }

  /** In a program: the scalars, from the inputs that stand for {@link cells}. */
  unpack(inputs: readonly Tensor[]): readonly Tensor[] {
    return this.ws.immediate ? inputs : tf.unstack(inputs[0]);
  }

  write(values: Float64Array): void {
    const { ws, cells, count } = this;
    if (ws.immediate) for (let i = 0; i < count; i++) ws.put(cells[i], values[i]);
    else ws.write(cells[0], Array.from(values.subarray(0, count)));
  }
}

export class Session implements Lendable {
  readonly ws: Workspace;
  /** Where to start. It stands for the caller's buffer: read it, never write it. */
  readonly u0: Cell;
  readonly operands: readonly Cell[];
  /** Is something within the map that leaves records of its runs? */
  readonly nests: boolean;
  /** Counts the solves. */
  epoch = 0;

  constructor(
    readonly system: System,
    /** Of the run that is using this session. */
    public context: RunContext,
    /** What its steps depend on besides their names and the system: the norm; null where that is not all. */
    private readonly common: string | null,
  ) {
    this.ws = openWorkspace(context);
    this.nests = system.graph.nodes.some(({ kernel }) => kernel === PRIMITIVE);
    this.u0 = this.ws.slot(system.state.shape);
    this.operands = system.operands.map(({ shape, dtype }) => this.ws.slot(shape, dtype));
  }

  /** A place like the state, or of the given shape. */
  cell(shape: readonly number[] = this.system.state.shape): Cell {
    return this.ws.cell(shape);
  }

  numbers(count: number): Numbers {
    return new Numbers(this.ws, count);
  }

  coefficients(count: number): Coefficients {
    return new Coefficients(this.ws, count);
  }

  /** A step that sets `cell` to the start. */
  loader(cell: Cell): Step {
    return this.step('start', [this.u0], [cell], ([u]) => [tf.clone(u)]);
  }

  /**
   * A program on these cells.
   *
   * @param name Programs of one name are the same, in equal equations too: it must tell apart whatever `build` depends on but the norm.
   * @param build Records the outputs from the inputs and the maps of the system. What does not depend on `inputs` is
   * computed once per solve.
   */
  step(
    name: string,
    inputs: readonly Cell[],
    outputs: readonly Cell[],
    build: (own: Tensor[], maps: Maps) => readonly Tensor[],
  ): Step {
    return new Step(this, this.program(name, inputs, build), inputs, outputs);
  }

  /** The program of such a step; see {@link System.program}. */
  program(
    name: string,
    specs: readonly Spec[],
    build: (own: Tensor[], maps: Maps) => readonly Tensor[],
    changing?: number,
  ): LoopPrograms {
    // Numbers are packed otherwise where they must be waited for, and one system may run on both kinds of backend.
    const form = this.ws.immediate ? name : `${name}, packed`;
    return this.system.program(form, specs, build, changing, this.common);
  }

  /** Nothing refers to what this run computed any more. */
  release(): void {
    this.ws.rest();
  }
}

/** Sessions of one system, each with what `open` makes in it, which depends on no more than `common` besides the system. */
export function sessionsOf<T extends { readonly session: Session }>(
  system: System,
  open: (session: Session) => T,
  common: string | null = null,
): Sessions<T> {
  return new Sessions(
    (context) => {
      const session = new Session(system, context, common);
      try {
        return open(session);
      } catch (error) {
        session.ws.dispose();
        throw error;
      }
    },
    ({ session }) => session,
  );
}
