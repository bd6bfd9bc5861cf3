/**
 * One solve of an equation on buffers: what the forward node and the adjoint node have in common.
 */
import type { Buffer } from '../../src/graph/executor.js';
import type { RunContext } from '../../src/graph/primitive.js';
import type { Cell } from '../../src/graph/workspace.js';
import { drive, type Ending, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { computesInDoubles, defaultTolerance } from './precision.js';
import { Session, Sessions } from './session.js';
import type { System } from './system.js';
import { Watch, type Termination } from './termination.js';

/** Tolerances that may depend on the precision: null is `eps^(4/5)` of what the backend stores. */
export interface Criterion extends Omit<Termination, 'abstol' | 'reltol'> {
  readonly abstol: number | null;
  readonly reltol: number | null;
}

/** What is known of a solve when it has ended. */
export interface Outcome {
  readonly retcode: Ending['retcode'];
  readonly reason: string | undefined;
  readonly iterations: number;
  readonly evaluations: number;
  /** The iteration whose state is returned. */
  readonly bestAt: number;
  /** The norm of the residual there, and the tolerance it had to meet. */
  readonly residual: number;
  readonly tolerance: number;
  readonly trace: readonly number[];
}

interface Prepared {
  readonly session: Session;
  readonly watch: Watch;
  readonly begin: () => Solving;
}

/** Solves one system by one algorithm, again and again, each time in a session that is idle. */
export class Runner {
  private readonly sessions: Sessions<Prepared>;

  constructor(
    readonly system: System,
    readonly algorithm: NonlinearAlgorithm,
    readonly criterion: Criterion,
  ) {
    this.sessions = new Sessions(system, (session) => {
      const tolerance = defaultTolerance(computesInDoubles(session.ws.backend));
      const { abstol, reltol } = criterion;
      const watch = new Watch({ ...criterion, abstol: abstol ?? tolerance, reltol: reltol ?? tolerance }, system);
      return { session, watch, begin: algorithm.open(session, watch) };
    });
  }

  /**
   * Lend a session to `f`, which may solve in it as often as it likes.
   *
   * @param bind Puts the caller's buffers behind the session's slots.
   */
  use<T>(context: RunContext, f: (lent: Lent) => T): T {
    const prepared = this.sessions.acquire(context);
    const { session, watch, begin } = prepared;
    try {
      return f({
        session,
        solve: () => {
          session.epoch++;
          watch.start();
          const { u, retcode, reason } = drive(begin(), (cell) => session.ws.read(cell));
          return {
            u,
            outcome: {
              retcode,
              reason,
              iterations: watch.iterations,
              evaluations: watch.evaluations,
              bestAt: watch.bestAt,
              residual: watch.best,
              tolerance: watch.tolerance,
              trace: watch.trace,
            },
          };
        },
      });
    } finally {
      this.sessions.release(prepared);
    }
  }

  dispose(): void {
    this.sessions.dispose();
    this.system.dispose();
  }
}

export interface Lent {
  readonly session: Session;
  readonly solve: () => { readonly u: Cell; readonly outcome: Outcome };
}

/** Let the session's slots stand for these buffers. */
export function bindAll({ ws, u0, operands }: Session, start: Buffer, buffers: readonly Buffer[]): void {
  ws.bind(u0, start);
  for (let i = 0; i < operands.length; i++) ws.bind(operands[i], buffers[i]);
}
