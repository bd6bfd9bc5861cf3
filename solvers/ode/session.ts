/**
 * The places in which one integration runs: made once, and used again by the next run of the same solve.
 */
import { openWorkspace, type Program } from '../../src/graph/program.js';
import type { Buffer } from '../../src/graph/executor.js';
import { nested, type RunContext } from '../../src/graph/primitive.js';
import { retainable, type Lendable } from '../../src/graph/sessions.js';
import type { Cell, Workspace } from '../../src/graph/workspace.js';
import { PRIMITIVE, type Spec } from '../../src/graph/graph.js';
import { SCALAR } from './field.js';
import type { StepPrograms } from './programs.js';

export class Session implements Lendable {
  readonly ws: Workspace;
  readonly t: Cell;
  readonly h: Cell;
  readonly error: Cell;
  /** What {@link StepPrograms.start} measures. */
  readonly start: Cell;
  readonly u0: Cell;
  readonly operands: readonly Cell[];
  /** The slopes k_1 ... k_s, and one for the end of the step where the dense output wants it. */
  readonly slopes: Cell[];
  private readonly states: Cell[] = [];
  private used = 0;
  private readonly tapes: Cell[][] = [];
  private tapesUsed = 0;
  private tapeSpecs: readonly Spec[] = [];
  private readonly named = new Map<string, Cell>();
  /** Is something within the field that leaves records of its runs? */
  private readonly nests: boolean;

  constructor(
    readonly programs: StepPrograms,
    /** Of the run that is using this session. */
    public context: RunContext,
  ) {
    const { field, tableau } = programs;
    const ws = openWorkspace(context);
    this.nests = field.graph.nodes.some(({ kernel }) => kernel === PRIMITIVE);
    this.ws = ws;
    const scalar = (): Cell => ws.cell(SCALAR.shape);
    [this.t, this.h, this.error] = [scalar(), scalar(), scalar()];
    this.start = ws.cell([4]);
    this.u0 = ws.slot(field.state.shape);
    this.operands = field.operands.map(({ shape, dtype }) => ws.slot(shape, dtype));
    const slopes = Math.max(programs.denseStages, tableau.c.length);
    this.slopes = Array.from({ length: slopes }, () => ws.cell(field.state.shape));
  }

  bind(u0: Buffer, operands: readonly Buffer[]): void {
    this.ws.bind(this.u0, u0);
    operands.forEach((buffer, i) => {
      this.ws.bind(this.operands[i], buffer);
    });
  }

  /** Run a program of this solve. What solves within the field leave behind is freed after it. */
  run(program: Program, inputs: readonly Cell[], outputs: readonly Cell[]): void {
    if (!this.nests) {
      this.ws.run(program, inputs, outputs, this.context);
      return;
    }
    const { context, end } = nested(this.context);
    try {
      this.ws.run(program, inputs, outputs, context);
    } finally {
      end();
    }
  }

  /** A place for a state that stays until the session is released. */
  state(): Cell {
    const cell = this.states[this.used] ?? this.ws.cell(this.programs.field.state.shape);
    this.states[this.used++] = cell;
    return cell;
  }

  /** Places for what one step keeps of its stages: one kind of tape at a time. */
  tape(specs: readonly Spec[]): readonly Cell[] {
    if (specs !== this.tapeSpecs) {
      for (const cells of this.tapes.splice(0)) this.ws.free(cells);
      this.tapeSpecs = specs;
    }
    const cells = this.tapes[this.tapesUsed] ?? specs.map(({ shape, dtype }) => this.ws.cell(shape, dtype));
    this.tapes[this.tapesUsed++] = cells;
    return cells;
  }

  /** The place of that name, made when it is first asked for. */
  place(name: string, shape: readonly number[]): Cell {
    return this.memo(name, () => this.ws.cell(shape));
  }

  /** The slot of that name. */
  slot(name: string, shape: readonly number[]): Cell {
    return this.memo(name, () => this.ws.slot(shape));
  }

  /** A place for the weights of dense output at m times. */
  weightsFor(m: number): Cell {
    return this.place(`weights ${m}`, [m, this.programs.denseStages]);
  }

  private memo(name: string, make: () => Cell): Cell {
    let cell = this.named.get(name);
    if (cell === undefined) this.named.set(name, (cell = make()));
    return cell;
  }

  /** Nothing refers to the states of this run any more. */
  release(): void {
    this.used = 0;
    this.tapesUsed = 0;
    this.ws.rest();
    const states = this.states.splice(retainable([this.programs.field.state]));
    for (const cells of [states, ...this.tapes.splice(retainable(this.tapeSpecs))]) this.ws.free(cells);
  }
}
