/**
 * One solve of an equation on buffers: what the forward node and the adjoint node have in common.
 */
import type { Buffer } from '../../src/graph/executor.js';
import { nested, type Gradual, type RunContext } from '../../src/graph/primitive.js';
import type { Sessions } from '../../src/graph/sessions.js';
import { reading, type Cell, type Loop } from '../../src/graph/workspace.js';
import { asLoop, type Ending, type NonlinearAlgorithm, type Solving } from './algorithm.js';
import { computesInDoubles, defaultTolerance } from './precision.js';
import { sessionsOf, type Session } from './session.js';
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
    this.sessions = sessionsOf(
      system,
      (session) => {
        const tolerance = defaultTolerance(computesInDoubles(session.ws.backend));
        const { abstol, reltol } = criterion;
        const watch = new Watch({ ...criterion, abstol: abstol ?? tolerance, reltol: reltol ?? tolerance }, system);
        return { session, watch, begin: algorithm.open(session, watch) };
      },
      criterion.norm,
    );
  }

  /** Lend a session to `f`, which binds its slots and may solve in it as often as it likes. */
  *use<T>(outer: RunContext, f: (lent: Lent) => Loop<T>): Gradual<T> {
    const { context, end } = nested(outer);
    const prepared = this.sessions.acquire(context);
    const { session, watch, begin } = prepared;
    const solve = function* (): Loop<Solved> {
      session.epoch++;
      watch.start();
      const { u, image, retcode, reason } = yield* asLoop(begin());
      const { iterations, evaluations, bestAt, best: residual, tolerance, trace } = watch;
      return { u, image, outcome: { retcode, reason, iterations, evaluations, bestAt, residual, tolerance, trace } };
    };
    try {
      return yield* reading(session.ws, f({ session, solve }));
    } finally {
      end();
      this.sessions.release(prepared);
    }
  }

  dispose(): void {
    this.sessions.dispose();
    this.system.dispose();
  }
}

export interface Solved {
  readonly u: Cell;
  /** See {@link Ending.image}. */
  readonly image: Cell | undefined;
  readonly outcome: Outcome;
}

export interface Lent {
  readonly session: Session;
  readonly solve: () => Loop<Solved>;
}

/** What is wrong where an equation would have to wait and may not. */
export const NEEDS_VALUES =
  'solve: the iterations need numbers that this backend cannot read at once (its values come as promises). ' +
  'Wait for them: solveAsync(...), compile(f).async(...) or train(...)';

/** Let the session's slots stand for these buffers. */
export function bindAll({ ws, u0, operands }: Session, start: Buffer, buffers: readonly Buffer[]): void {
  ws.bind(u0, start);
  for (let i = 0; i < operands.length; i++) ws.bind(operands[i], buffers[i]);
}
