/**
 * What one solve node is made of, and what its forward pass leaves for its backward pass.
 */
import { Sessions } from '../../src/graph/sessions.js';
import type { Cell } from '../../src/graph/workspace.js';
import type { Field } from '../ode/field.js';
import type { Integration, Plan, Stepping, Steps } from '../ode/plan.js';
import { StepPrograms, type Tolerance } from '../ode/programs.js';
import { Session } from '../ode/session.js';
import { Tapes, type TapedPrograms } from '../ode/taped.js';
import type { Tableau } from '../ode/tableau.js';

/** A solve whose times may be tensors: null where the number is an input of the node. */
export interface SolvePlan extends Omit<Plan, 't0' | 't1' | 'stepping' | 'dtMin'> {
  readonly t0: number | null;
  readonly t1: number | null;
  /** Null for the default, which depends on the end times. */
  readonly dtMin: number | null;
  /** How to step; `again`: take the steps of the solve whose ticket is the last input. */
  readonly stepping: Stepping | { readonly kind: 'again' };
  /** Is the step, or the first one, an input of the node? */
  readonly dtGiven: boolean;
}

/** Which cotangents the derivatives of a solve ask for. */
export interface Wanted {
  readonly operands: readonly boolean[];
  readonly times: boolean;
}

export interface SolveNode {
  readonly field: Field;
  readonly tableau: Tableau;
  readonly tolerance: Tolerance;
  readonly plan: SolvePlan;
  readonly keepEvery: number;
  readonly tapeBytes: number;
  /** Set when a derivative is recorded: from then on the forward pass keeps what that needs. */
  readonly adjoint: { wanted: Wanted | null };
  readonly programs: StepPrograms;
  readonly tapes: Tapes;
  readonly sessions: Sessions<Session>;
  /** Told of each finished integration; throws where a failure is an error. */
  readonly onFinish: (result: Integration) => void;
}

export function makeSolveNode(node: Omit<SolveNode, 'adjoint' | 'programs' | 'tapes' | 'sessions'>): SolveNode {
  const programs = new StepPrograms(node.field, node.tableau, node.tolerance);
  const sessions = new Sessions(
    (context) => new Session(programs, context),
    (session) => session,
  );
  return { ...node, adjoint: { wanted: null }, programs, tapes: new Tapes(programs), sessions };
}

/** What the forward pass leaves for the backward pass. */
export interface SolveRecord {
  readonly steps: Steps;
  readonly states: readonly (Cell | undefined)[];
  /** What each step kept of its stages, and the programs that use it; undefined for steps that are computed again. */
  readonly tapes: readonly (readonly Cell[] | undefined)[];
  readonly taped: TapedPrograms | null;
  /** The operands whose cotangents the tapes give. */
  readonly operands: readonly boolean[];
  /** Whose states and tapes these are. */
  readonly session: Session;
  readonly plan: Plan;
}

export const STATISTICS = ['steps', 'accepted', 'rejected', 'evaluations', 'retcode'] as const;

/** Inputs before the operands: u0 and the times. */
export const LEADING = 4;
/** Where the times are among the inputs: t0, t1 and dt. */
export const TIMES = [1, 2, 3] as const;
