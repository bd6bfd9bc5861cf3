/**
 * Solvers of linear systems as algorithms of `solve`: for {@link linearProblem}, for the linear systems of an implicit derivative, and inside
 * {@link newtonKrylov}.
 */
import * as tf from '@tensorflow/tfjs-core';
import { functionOption, parseOptions, positiveInteger, z } from '../../src/core/options.js';
import type { Tensor } from '../../src/core/tree.js';
import { formatShape, sameShape, sizeOf } from '../../src/graph/graph.js';
import { Program } from '../../src/graph/program.js';
import { traceGraph } from '../../src/graph/trace.js';
import type { Cell } from '../../src/graph/workspace.js';
import { defineAlgorithm, type NonlinearAlgorithm, type Solving } from '../nonlinear/algorithm.js';
import { HostEquation } from '../nonlinear/host.js';
import { Linearised } from '../nonlinear/linearised.js';
import { whySingular } from '../nonlinear/newton.js';
import type { Session } from '../nonlinear/session.js';
import type { Watch } from '../nonlinear/termination.js';
import type { NonlinearRetcode } from '../retcode.js';
import { openBicgstab } from './bicgstab.js';
import { openCg, openNormalCg } from './conjugate-gradients.js';
import { along, factorLU, factorQR, pseudoSolve, type Dense, type Factored } from './dense.js';
import { openGmres } from './gmres.js';
import { valuesOf, type CellOperator, type OpenKrylov } from './krylov.js';

/** `r -> M^-1 r` for an M that resembles A: of the vector of all unknowns in the shape of the state, and linear. */
export type Preconditioner = (r: Tensor) => Tensor;

export interface KrylovAlgorithmOptions {
  /**
   * Applied from the right, so that the residual stays the true one. It may close over tensors; they are read at each solve. Not
   * differentiated: the solution does not depend on it. For a state that is a tree, `r` is that tree as one vector.
   */
  readonly preconditioner?: Preconditioner;
  /** Iterations of one solve, besides the bound that `solve` sets. Default: no other. */
  readonly maxIters?: number;
}

/** A matrix-free method. */
export interface KrylovAlgorithm extends NonlinearAlgorithm {
  readonly openKrylov: OpenKrylov;
  readonly preconditioner: Preconditioner | null;
  readonly maxIters: number;
}

const COMMON = {
  preconditioner: functionOption<Preconditioner>('a function (r) => tensor').optional(),
  maxIters: positiveInteger.optional(),
};
const PLAIN = z.strictObject(COMMON);
const WITHOUT_PRECONDITIONER = z.strictObject({ maxIters: COMMON.maxIters });
const GMRES = z.strictObject({ ...COMMON, restart: positiveInteger.default(30) });

/**
 * GMRES, restarted: for any square system. The residual falls in every step; memory and work per step grow up to the restart.
 *
 * @param options.restart Vectors kept. Default 30, at most as many as unknowns.
 */
export function gmres(options: KrylovAlgorithmOptions & { readonly restart?: number } = {}): KrylovAlgorithm {
  const { restart, ...rest } = parseOptions(GMRES, options, 'gmres');
  return krylovAlgorithm('gmres', (session) => openGmres(session, restart), rest);
}

/** BiCGSTAB: for any square system, with a few vectors however many steps; two applications of the operator per step. */
export function bicgstab(options: KrylovAlgorithmOptions = {}): KrylovAlgorithm {
  return krylovAlgorithm('bicgstab', openBicgstab, parseOptions(PLAIN, options, 'bicgstab'));
}

/** Conjugate gradients: for a symmetric operator that is positive (or negative) definite, as its preconditioner must be too. */
export function cg(options: KrylovAlgorithmOptions = {}): KrylovAlgorithm {
  return krylovAlgorithm('cg', openCg, parseOptions(PLAIN, options, 'cg'));
}

/**
 * Conjugate gradients on the normal equations: for any operator, by its transpose, which the graph gives. The condition number counts squared, so
 * it is slow, but it does not break down; for least squares (more equations than unknowns, or fewer) too.
 */
export function normalCg(options: { readonly maxIters?: number } = {}): KrylovAlgorithm {
  return krylovAlgorithm('normalCg', openNormalCg, parseOptions(WITHOUT_PRECONDITIONER, options, 'normalCg'));
}

/** LU with partial pivoting of the dense matrix, on the host; refined by its own residual. For up to some hundred unknowns. */
export function lu(options: Readonly<Record<string, never>> = {}): NonlinearAlgorithm {
  parseOptions(z.strictObject({}), options, 'lu');
  return direct('lu', true, factorLU);
}

/**
 * QR of the dense matrix, on the host: dearer than {@link lu} and a little more accurate; with more equations than unknowns the least-squares
 * solution, and without full rank the one of least norm.
 */
export function qr(options: Readonly<Record<string, never>> = {}): NonlinearAlgorithm {
  parseOptions(z.strictObject({}), options, 'qr');
  return direct('qr', false, (A) => {
    const factored = factorQR(A);
    if (factored !== null) return factored;
    return pseudoSolve(A, new Array<number>(A.m).fill(0)) === null ? null : { solve: (b) => pseudoSolve(A, b) ?? [] };
  });
}

/** How often a solution is corrected by solving for its residual. */
const REFINEMENTS = 4;

const INCONSISTENT = 'the operator is singular and the system has no solution; this is that of least squares';

const NOT_LINEAR = 'the function is not linear in its state; take newtonRaphson() or newtonKrylov()';

function direct(name: string, square: boolean, factor: (A: Dense) => Factored | null): NonlinearAlgorithm {
  return defineAlgorithm({
    name,
    solves: ['nonlinear', 'fixedPoint'],
    open: (session, watch) => {
      const equation = new HostEquation(session, watch);
      if (square) equation.checkSquare(name);
      return function* (): Solving {
        equation.reset();
        let u = yield* equation.start();
        let r = yield* equation.residual(u);
        let retcode = equation.judge(r);
        if (retcode !== null) return equation.end(retcode);
        const A = yield* equation.jacobian();
        const factored = factor(A);
        if (factored === null) {
          return equation.end('InternalLinearSolveFailed', `the matrix ${whySingular(A)}`);
        }
        for (let k = 0; k <= REFINEMENTS; k++) {
          u = along(u, -1, factored.solve(r));
          r = yield* equation.residual(u);
          const before = watch.best;
          retcode = equation.judge(r);
          if (retcode !== null) return equation.end(retcode);
          if (!(watch.best < 0.5 * before)) break;
        }
        if (A.m > A.n) return equation.end('StalledSuccess');
        return equation.end('Stalled');
      };
    },
  });
}

interface KrylovSettings {
  readonly preconditioner?: Preconditioner | undefined;
  readonly maxIters?: number | undefined;
}

/** Solves begun anew from the residual that a solve left. */
const ATTEMPTS = 3;

function krylovAlgorithm(
  name: string,
  openKrylov: OpenKrylov,
  { preconditioner, maxIters }: KrylovSettings,
): KrylovAlgorithm {
  const algorithm: KrylovAlgorithm = {
    kind: 'nonlinearAlgorithm',
    name,
    solves: ['nonlinear', 'fixedPoint'],
    openKrylov,
    preconditioner: preconditioner ?? null,
    maxIters: maxIters ?? Infinity,
    open: (session, watch) => affineSolve(algorithm, session, watch),
  };
  return Object.freeze(algorithm);
}

/** The derivative of the residual at a point, preconditioned as the algorithm says. */
export function operatorOf({ preconditioner }: KrylovAlgorithm, session: Session, map: Linearised): CellOperator {
  const operator = {
    apply: (x: Cell, y: Cell) => {
      map.apply(x, y);
    },
    transpose: (y: Cell, x: Cell) => {
      map.transpose(y, x);
    },
  };
  if (preconditioner === null) return operator;
  const { state } = session.system;
  const program = session.system.keep(
    new Program(traceGraph([state], ([r]) => [checkLike(preconditioner(r), state.shape)])),
  );
  return {
    ...operator,
    precondition: (r, z) => {
      session.ws.run(program, [r], [z], session.context);
    },
  };
}

function checkLike(z: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(z.shape, shape)) return z;
  throw new TypeError(
    `preconditioner: must return a tensor of its argument's shape ${formatShape(shape)}, got ${formatShape(z.shape)}`,
  );
}

/** The factor from a norm of the watch to a Euclidean one that is surely as strict. */
export const euclideanFactor = ({ termination }: Watch, size: number): number =>
  termination.norm === 'rms' ? Math.sqrt(size) : 1;

/** The state at which an affine residual vanishes. */
function affineSolve(algorithm: KrylovAlgorithm, session: Session, watch: Watch): () => Solving {
  const { ws, system } = session;
  const { name, openKrylov, maxIters } = algorithm;
  const size = sizeOf(system.image.shape);
  if (name !== 'normalCg' && size !== sizeOf(system.state.shape)) {
    throw new TypeError(
      `${name}: there must be as many equations as unknowns: the state is ${formatShape(system.state.shape)}, the residual ${formatShape(system.image.shape)}. For least squares take normalCg() or qr()`,
    );
  }
  const [u, x, next] = [session.cell(), session.cell(), session.cell()];
  const b = session.cell(system.image.shape);
  const sizes = session.cell([2]);
  const load = session.loader(u);
  const evaluate = session.step(`linear residual ${watch.termination.norm}`, [u], [b, sizes], ([at], maps) => {
    const y = maps.image(at);
    const r = maps.residual(at, y);
    return [tf.neg(r), tf.stack(watch.measure(r, y))];
  });
  const add = session.step('linear add', [u, x], [next], ([at, by]) => [tf.add(at, by)]);
  const map = new Linearised(session, u);
  const solver = openKrylov(session);
  const operator = operatorOf(algorithm, session, map);
  const residual = function* (): Generator<Cell, NonlinearRetcode | null, number[]> {
    evaluate.inputs[0] = u;
    evaluate.run();
    watch.evaluations++;
    const [r, image] = yield* valuesOf(session, sizes);
    return watch.judge(r, image);
  };
  return function* (): Solving {
    load.run();
    let retcode = yield* residual();
    map.settle();
    for (let attempt = 0; retcode === null && attempt < ATTEMPTS; attempt++) {
      const target = 0.5 * watch.tolerance * euclideanFactor(watch, size);
      const left = Math.min(maxIters, watch.termination.maxIters - watch.iterations);
      const norms: number[] = [];
      const result = yield* solver.solve(operator, b, x, {
        abstol: target,
        reltol: 0,
        maxIters: left,
        observe: (norm) => norms.push(norm) > 0,
      });
      watch.evaluations += result.applications;
      watch.pass(norms.slice(1), size);
      add.inputs[0] = u;
      add.inputs[1] = x;
      add.outputs[0] = next;
      add.run();
      ws.swap(u, next);
      retcode = yield* residual();
      if (retcode === null && result.leastSquares === true) {
        return size > sizeOf(system.state.shape)
          ? { u, retcode: 'StalledSuccess' }
          : { u, retcode: 'Stalled', reason: INCONSISTENT };
      }
      if (retcode !== null || result.converged) continue;
      const { failure } = result;
      return {
        u,
        retcode: failure?.retcode ?? 'ConvergenceFailure',
        ...(failure === undefined ? {} : { reason: failure.reason }),
      };
    }
    return retcode === null ? { u, retcode: 'InternalLinearSolveFailed', reason: NOT_LINEAR } : { u, retcode };
  };
}
