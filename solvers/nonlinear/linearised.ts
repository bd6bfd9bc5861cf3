/**
 * The derivative of the residual at one point, applied again and again: what depends on the point alone is computed once.
 */
import type { Tensor } from '../../src/core/tree.js';
import { sizeOf } from '../../src/graph/graph.js';
import type { Cell } from '../../src/graph/workspace.js';
import { dense, type Dense } from '../linear/dense.js';
import { valuesOf, type CellOperator } from '../linear/krylov.js';
import type { Session } from './session.js';
import type { LoopPrograms, Maps } from './system.js';

/** A program whose first input changes, and whose second is the point. */
class Derivative {
  private readonly ahead: Cell[];
  private readonly fixed: readonly Cell[];
  private readonly inputs: Cell[];
  private readonly outputs: Cell[];
  private readonly programs: LoopPrograms;
  private stale = true;

  constructor(
    private readonly session: Session,
    name: string,
    from: Cell,
    to: Cell,
    point: Cell,
    build: (own: Tensor[], maps: Maps) => readonly Tensor[],
  ) {
    const { ws, operands } = session;
    this.programs = session.program(name, [from, point], build, 1);
    const { prologue, used } = this.programs;
    this.ahead = prologue === null ? [] : prologue.graph.outputs.map(({ shape, dtype }) => ws.cell(shape, dtype));
    this.fixed = [point, ...operands];
    this.inputs = [from, ...used.map((i) => this.fixed[i]), ...this.ahead];
    this.outputs = [to];
  }

  settle(): void {
    this.stale = true;
  }

  run(from: Cell, to: Cell): void {
    const { session, programs, inputs, outputs } = this;
    const { ws, context } = session;
    if (this.stale && programs.prologue !== null) ws.run(programs.prologue, this.fixed, this.ahead, context);
    this.stale = false;
    inputs[0] = from;
    outputs[0] = to;
    ws.run(programs.loop, inputs, outputs, context);
  }
}

export class Linearised implements CellOperator {
  private readonly unit: Cell;
  private readonly column: Cell;
  private forward: Derivative | undefined;
  private backward: Derivative | undefined;

  /** @param point Where: call {@link settle} whenever its value has changed. */
  constructor(
    private readonly session: Session,
    private readonly point: Cell,
  ) {
    this.unit = session.cell();
    this.column = session.cell(session.system.image.shape);
  }

  settle(): void {
    this.forward?.settle();
    this.backward?.settle();
  }

  /** `to <- J from` */
  apply(from: Cell, to: Cell): void {
    this.forward ??= new Derivative(
      this.session,
      'linearised forward',
      this.unit,
      this.column,
      this.point,
      ([v, u], maps) => [maps.jvp(u, v)],
    );
    this.forward.run(from, to);
  }

  /** `to <- J' from` */
  transpose(from: Cell, to: Cell): void {
    this.backward ??= new Derivative(
      this.session,
      'linearised backward',
      this.column,
      this.unit,
      this.point,
      ([w, u], maps) => [maps.vjp(u, w)],
    );
    this.backward.run(from, to);
  }

  /** The whole Jacobian, column by column. */
  *dense(): Generator<Cell, Dense, number[]> {
    const { session, unit, column } = this;
    const m = sizeOf(column.shape);
    const n = sizeOf(unit.shape);
    const J = dense(m, n);
    const e = new Array<number>(n).fill(0);
    for (let j = 0; j < n; j++) {
      e[j] = 1;
      session.ws.write(unit, e);
      e[j] = 0;
      this.apply(unit, column);
      const values = yield* valuesOf(session, column);
      for (let i = 0; i < m; i++) J.values[i * n + j] = values[i];
    }
    return J;
  }
}
