/**
 * The derivative of the iterations that a solve made: one backward sweep over them, each state computed again or undone.
 *
 * The sweep is linear in the cotangent that it pulls back, and its transpose pushes tangents along the iterations. An iteration is
 * a linear combination of states and their images, so state and tangent side by side are iterated in the same way, by the map of both:
 * the derivative of a sweep is a sweep over those, and so on to any order.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { backpropagate } from '../../src/graph/differentiate.js';
import type { Spec } from '../../src/graph/graph.js';
import type { Buffer } from '../../src/graph/executor.js';
import { atOnce, type Gradual, type Primitive, type RunContext, type VjpCall } from '../../src/graph/primitive.js';
import { currentTrace, type Trace } from '../../src/graph/trace.js';
import { retainable } from '../../src/graph/sessions.js';
import { reading, type Cell, type Loop } from '../../src/graph/workspace.js';
import { bindAll, NEEDS_VALUES } from '../nonlinear/run.js';
import { sessionsOf, type Session, type Step } from '../nonlinear/session.js';
import { fresh } from '../nonlinear/system.js';
import { Clock, moved, tangentOf, type Iterations } from './iterations.js';

/** The cells and steps of one sweep. */
class Sweep {
  private readonly load: Step[];
  private readonly seed: Step;
  private readonly total: Step;
  private readonly advance: Step;
  private readonly pull: Step;
  private readonly retreat: Step | null;
  private readonly state: Cell[];
  private readonly next: Cell[];
  private readonly cotangents: Cell[];
  private readonly nextCotangents: Cell[];
  private readonly sums: Cell[];
  private readonly nextSums: Cell[];
  /** The states of every so many iterations. */
  private readonly kept: Cell[][] = [];
  private readonly every: number;
  readonly clock: Clock;
  readonly dy: Cell;
  /** The cotangent of the start. */
  private readonly start: Cell;

  constructor(
    readonly session: Session,
    iterations: Iterations,
    wanted: readonly number[],
  ) {
    const { recorded, keepEvery, rows } = iterations;
    this.every = recorded.retreat === undefined ? 1 : keepEvery;
    const { ws, system } = session;
    const { copies, advance, retreat } = recorded;
    const places = (count: number): Cell[] => Array.from({ length: count }, () => session.cell());
    const sums = (): Cell[] => wanted.map((i) => ws.cell(system.operands[i].shape));
    [this.state, this.next] = [places(copies), places(copies)];
    [this.cotangents, this.nextCotangents] = [places(copies), places(copies)];
    [this.sums, this.nextSums] = [sums(), sums()];
    this.clock = new Clock(ws, iterations);
    const { cells } = this.clock;
    this.dy = ws.slot(system.state.shape);
    this.start = session.cell();
    this.load = this.state.map((cell) => session.loader(cell));
    this.seed = session.step('cotangent', [this.dy], [this.cotangents[copies - 1]], ([dy]) => [tf.clone(dy)]);
    this.total = session.step('total', this.cotangents, [this.start], (own) => [
      copies === 1 ? tf.clone(own[0]) : tf.addN(own.slice(0, copies)),
    ]);
    this.advance = session.step('advance', [...this.state, ...cells], this.next, (own, maps) => {
      const state = own.slice(0, copies);
      return moved(state, advance(state, maps), own.slice(copies), rows);
    });
    this.retreat = retreat === undefined ? null : session.step('retreat', [...this.next, ...cells], this.state, (own, maps) => {
      const state = own.slice(0, copies);
      return moved(state, retreat(state, maps), own.slice(copies), rows);
    }); // prettier-ignore
    this.pull = session.step(
      `pull ${wanted.join()}`,
      [...this.state, ...this.cotangents, ...this.sums, ...cells],
      [...this.nextCotangents, ...this.nextSums],
      (own, maps) => {
        const trace = currentTrace() as Trace;
        const state = own.slice(0, copies);
        const since = trace.nodes.length;
        const clock = own.slice(own.length - cells.length);
        const after = moved(state, advance(state, maps), clock, rows);
        const targets = after.map((x, i) => ({ value: trace.valueOf(x), dy: own[copies + i] }));
        const xs = [...state, ...wanted.map((i) => maps.operands[i])];
        const grads = backpropagate(trace, targets, xs.map((x) => trace.valueOf(x)), since); // prettier-ignore
        const filled = grads.map((g, i) => g ?? tf.zeros(xs[i].shape));
        return filled.map((g, i) => (i < copies ? g : tf.add(own[2 * copies + i - copies], g)));
      },
    );
  }

  /** The cotangents of the start and of the operands that are wanted. */
  *run(): Loop<readonly Cell[]> {
    const { session, state, next, cotangents, nextCotangents, sums, nextSums, clock } = this;
    const { ws } = session;
    session.epoch++;
    const steps = yield* clock.steps();
    for (const load of this.load) load.run();
    for (let k = 0; k < steps; k++) {
      clock.set(k);
      this.advance.run();
      if (k % this.every === 0) {
        this.kept[k / this.every] ??= state.map((cell) => ws.cell(cell.shape));
        state.forEach((cell, i) => { ws.swap(cell, this.kept[k / this.every][i]); }); // prettier-ignore
      }
      state.forEach((cell, i) => { ws.swap(cell, next[i]); }); // prettier-ignore
    }
    for (const cell of [...cotangents, ...sums]) ws.fill(cell, 0);
    this.seed.run();
    for (let k = steps - 1; k >= 0; k--) {
      clock.set(k);
      if (k % this.every === 0) {
        state.forEach((cell, i) => { ws.swap(cell, this.kept[k / this.every][i]); }); // prettier-ignore
      } else {
        state.forEach((cell, i) => { ws.swap(cell, next[i]); }); // prettier-ignore
        this.retreat?.run();
      }
      this.pull.run();
      cotangents.forEach((cell, i) => { ws.swap(cell, nextCotangents[i]); }); // prettier-ignore
      sums.forEach((cell, i) => { ws.swap(cell, nextSums[i]); }); // prettier-ignore
    }
    this.total.run();
    return [this.start, ...sums];
  }

  /** Keep no more states than a session may between runs. */
  trim(): void {
    for (const cells of this.kept.splice(retainable(this.state))) this.session.ws.free(cells);
  }
}

/**
 * (u0, cotangent of u, statistics, ...operands) -> cotangent of u0, then those of the operands numbered in `wanted`.
 */
export function unrolledAdjoint(iterations: Iterations, wanted: readonly number[]): Primitive {
  const { system } = iterations;
  const outputs: Spec[] = [system.state, ...wanted.map((i) => system.operands[i])];
  const sessions = sessionsOf(system, (session) => new Sweep(session, iterations, wanted));
  function* run([u0, dy, statistics, ...operands]: readonly Buffer[], context: RunContext): Gradual<Buffer[]> {
    const sweep = sessions.acquire(context);
    const { ws } = sweep.session;
    try {
      bindAll(sweep.session, u0, operands);
      ws.bind(sweep.dy, dy);
      ws.bind(sweep.clock.statistics, statistics);
      const cotangents = yield* reading(ws, sweep.run());
      return cotangents.map((cell) => ws.copy(cell));
    } finally {
      sweep.trim();
      sessions.release(sweep);
    }
  }
  return {
    name: 'unrolled adjoint',
    outputs,
    run: (inputs, context) => atOnce(run(inputs, context), NEEDS_VALUES),
    gradually: run,
    vjp: (call) => sweepVjp(iterations, wanted, call),
    dispose: () => {
      sessions.dispose();
      system.dispose();
    },
  };
}

/** (u0, statistics, ...operands) -> the state after as many iterations as the statistics say. */
function iterated(iterations: Iterations): Primitive {
  const { system, recorded, rows } = iterations;
  const { copies } = recorded;
  const open = (session: Session): { session: Session; clock: Clock; run: () => Loop<Cell> } => {
    const { ws } = session;
    const places = (): Cell[] => Array.from({ length: copies }, () => session.cell());
    const [state, next] = [places(), places()];
    const clock = new Clock(ws, iterations);
    const load = state.map((cell) => session.loader(cell));
    const advance = session.step('advance', [...state, ...clock.cells], next, (own, maps) => {
      const before = own.slice(0, copies);
      return moved(before, recorded.advance(before, maps), own.slice(copies), rows);
    });
    return {
      session,
      clock,
      *run(): Loop<Cell> {
        session.epoch++;
        const steps = yield* clock.steps();
        for (const step of load) step.run();
        for (let k = 0; k < steps; k++) {
          clock.set(k);
          advance.run();
          state.forEach((cell, i) => { ws.swap(cell, next[i]); }); // prettier-ignore
        }
        return state[state.length - 1];
      },
    };
  };
  const sessions = sessionsOf(system, open);
  function* run([u0, statistics, ...operands]: readonly Buffer[], context: RunContext): Gradual<Buffer[]> {
    const opened = sessions.acquire(context);
    const { ws } = opened.session;
    try {
      bindAll(opened.session, u0, operands);
      ws.bind(opened.clock.statistics, statistics);
      return [ws.copy(yield* reading(ws, opened.run()))];
    } finally {
      sessions.release(opened);
    }
  }
  return {
    name: 'iterations',
    outputs: [system.state],
    run: (inputs, context) => atOnce(run(inputs, context), NEEDS_VALUES),
    gradually: run,
    vjp: ({ inputs: [u0, statistics, ...operands], dys: [dy], needed: [startNeeded, , ...needed] }) => {
      if (dy === null) return [null, null, ...operands.map(() => null)];
      const point = [u0, ...operands];
      const [du0, ...rest] = unrolledDerivative(iterations, point, dy, statistics, [startNeeded, ...needed]);
      return [du0, null, ...rest];
    },
    dispose: () => {
      sessions.dispose();
      system.dispose();
    },
  };
}

/** Cotangents of the inputs (u0, dy, statistics, ...operands) of a sweep. */
function sweepVjp(
  iterations: Iterations,
  wanted: readonly number[],
  { inputs: [u0, dy, statistics, ...operands], dys: [seed, ...seeds], needed }: VjpCall,
): (Tensor | null)[] {
  const trace = currentTrace() as Trace;
  const own = [u0, ...operands].map(fresh);
  const since = trace.nodes.length;
  const [start, ...given] = own;
  const tangents = given.flatMap((x, i) => {
    if (x.dtype !== 'float32') return [];
    return [seeds[wanted.indexOf(i)] ?? tf.zeros(x.shape)];
  });
  const both = trace.primitive(iterated(tangentOf(iterations)), [
    tf.stack([start, seed ?? tf.zeros(start.shape)]),
    statistics,
    ...given,
    ...tangents,
  ]);
  const tangent = tf.unstack(both[0])[1];
  const asked = own.flatMap((x, i) => (x.dtype === 'float32' && needed[i === 0 ? 0 : i + 2] ? [i] : []));
  const found = backpropagate(trace, [{ value: trace.valueOf(tangent), dy }], asked.map((i) => trace.valueOf(own[i])), since); // prettier-ignore
  const cotangents = own.map((_, i) => found[asked.indexOf(i)] ?? null);
  return [cotangents[0], needed[1] ? tangent : null, null, ...cotangents.slice(1)];
}

/** Record the adjoint: cotangents of (u0, ...operands). */
export function unrolledDerivative(
  iterations: Iterations,
  [u0, ...operands]: readonly Tensor[],
  dy: Tensor,
  statistics: Tensor,
  needed: readonly boolean[],
): (Tensor | null)[] {
  const wanted = operands.flatMap((x, i) => (needed[i + 1] && x.dtype === 'float32' ? [i] : []));
  const trace = currentTrace() as Trace;
  const [du0, ...grads] = trace.primitive(unrolledAdjoint(iterations, wanted), [u0, dy, statistics, ...operands]);
  const result: (Tensor | null)[] = [du0, ...operands.map(() => null)];
  wanted.forEach((i, j) => (result[i + 1] = grads[j]));
  return result;
}
