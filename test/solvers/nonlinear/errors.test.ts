import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  anderson,
  broyden,
  euler,
  fixedPointProblem,
  nonlinearProblem,
  NonlinearSolveError,
  picard,
  reversible,
  solve,
  steadyState,
  tsit5,
  type NonlinearAlgorithm,
} from '../../../solvers/index.js';
import { compile, constant, TraceError, type Tensor } from '../../../src/index.js';
import { expectClose } from '../../support/close.js';

const linear = (a: number) => (u: Tensor) => tf.add(tf.mul(u, constant(a)), 1);
const u0 = (): Tensor => tf.zeros([3]);

function failing(run: () => unknown): NonlinearSolveError {
  try {
    tf.tidy(() => {
      run();
    });
  } catch (error) {
    return error as NonlinearSolveError;
  }
  return expect.fail('it did not fail');
}

describe('errors of equations', () => {
  it('a map that does not contract: the spectral radius, and what to try', () => {
    const error = failing(() => solve(fixedPointProblem(linear(-1.3), u0(), {}), picard(), { maxIters: 30 }));
    expect(error.name).to.equal('SolveError');
    expect(error.retcode).to.equal('MaxIters');
    expect(error.iterations).to.equal(30);
    expectClose(error.spectralRadius as number, 1.3, { rtol: 1e-5 });
    expect(error.message).to.match(/The map does not contract there: the spectral radius of df\/du is about 1\.30/);
    expect(error.message).to.match(/Try anderson\(\), damping/);
    expect(error.u).to.have.length(3);
  });

  it('divergence is noticed long before overflow', () => {
    const error = failing(() => solve(fixedPointProblem(linear(3), u0(), {}), picard()));
    expect(error.retcode).to.equal('Unstable');
    expect(error.iterations).to.be.below(25);
    expect(error.message).to.match(/grows without bound/);
  });

  it('a slow map is told apart from one that does not contract', () => {
    const error = failing(() => solve(fixedPointProblem(linear(0.95), u0(), {}), picard(), { maxIters: 10 }));
    expect(error.message).to.match(/about 0\.950 there, so convergence is slow: try anderson\(\)/);
  });

  it('NaN at the start and on the way', () => {
    const start = failing(() =>
      solve(
        fixedPointProblem((u: Tensor) => tf.log(tf.sub(u, 1)), u0(), {}),
        anderson(),
      ),
    );
    expect(start.message).to.match(/f is not finite at the start/);
    expect(start.retcode).to.equal('Unstable');
    const way = failing(() => solve(fixedPointProblem((u: Tensor) => tf.sub(tf.sqrt(u), 1), tf.fill([2], 0.5), {}), picard())); // prettier-ignore
    expect(way.retcode).to.equal('Unstable');
    expect(way.u.every(Number.isFinite), 'the best state is still there').to.equal(true);
  });

  it('a residual that no longer falls', () => {
    // Without a fixed point: 0.5 u + 0.6 below 1, which would be 1.2, and 0.5 u + 0.4 above, which would be 0.8.
    const jump = (u: Tensor): Tensor =>
      tf.add(tf.mul(u, 0.5), tf.where(tf.greater(u, 1), tf.fill([3], 0.4), tf.fill([3], 0.6)));
    const { retcode, message, iterations } = failing(() =>
      solve(fixedPointProblem(jump, u0(), {}), picard(), { patience: 30 }),
    );
    expect(retcode).to.equal('Stalled');
    expect(iterations).to.be.within(30, 50);
    expect(message).to.match(
      /no longer falls.*about 0\.500 there: the tolerance is probably below what the precision allows, or f jumps/,
    );
  });

  it('an output of another shape or structure names both', () => {
    const wide = (): unknown =>
      solve(
        fixedPointProblem((u: Tensor) => tf.concat([u, u]), u0(), {}),
        picard(),
      );
    expect(wide).to.throw(/at \(root\) u0 is float32 \[3\], f returned float32 \[6\]/);
    const tree = (): unknown =>
      solve(
        fixedPointProblem((u: { a: Tensor }) => ({ b: u.a }) as never, { a: u0() }, {}),
        picard(),
      );
    expect(tree).to.throw(/nothing at a, only b/);
    const integer = (): unknown =>
      solve(
        nonlinearProblem((u: Tensor) => tf.cast(u, 'int32'), u0(), {}),
        broyden(),
      );
    expect(integer).to.throw(/f must return float32, got int32/);
  });

  it('wrong arguments', () => {
    expect(() => fixedPointProblem(3 as never, u0(), {})).to.throw(/f must be a function \(u, p\) => u, got number/);
    expect(() => nonlinearProblem((u: Tensor) => u, {} as never, {})).to.throw(/u0 must be a tensor or a tree of tensors/);
    expect(() => fixedPointProblem((u: Tensor) => u, tf.tensor1d([1], 'int32'), {})).to.throw(/must be float32, got int32/);
    const problem = fixedPointProblem(linear(0.5), u0(), {});
    const solving = (algorithm: unknown): (() => unknown) => () => solve(problem, algorithm as NonlinearAlgorithm);
    expect(solving(anderson)).to.throw(/must be an algorithm for a fixedPoint problem.*a function \(call it: anderson\(\)\)/);
    expect(solving(tsit5())).to.throw(/such as anderson\(\), got the ODE method Tsit5; steadyState\(tsit5\(\)\) wraps such a method$/);
    expect(solving({ tsit5 })).to.throw(/got an object \{tsit5\}$/);
    const root = nonlinearProblem(linear(0.5), u0(), {});
    expect(() => solve(root, picard())).to.throw(/picard does not solve nonlinear problems/);
    expect(() => solve(problem, picard(), { tolerance: 1 } as never)).to.throw(/unknown option "tolerance"/);
    expect(() => solve(problem, picard(), { abstol: 0, reltol: 0 })).to.throw(/both 0/);
    expect(() => solve(problem, picard(), { abstol: -1 })).to.throw(/"abstol".*non-negative/);
  }); // prettier-ignore

  it('wrong options of algorithms', () => {
    expect(() => anderson({ memory: 0 })).to.throw(/anderson: option "memory": expected a positive integer, got 0/);
    expect(() => anderson({ memry: 3 } as never)).to.throw(/did you mean "memory"/);
    expect(() => picard({ damping: 1.5 })).to.throw(/\(0, 1\]/);
    expect(() => reversible({ damping: 1 })).to.throw(/between 0 and 1/);
    expect(() => broyden({ update: 'ugly' as never })).to.throw(/"good" or "bad"/);
    expect(() => steadyState(euler())).to.throw(/has no error estimate/);
    expect(() => steadyState(anderson() as never)).to.throw(/must be an algorithm/);
  });

  it('numbers of a solution that is only traced', () => {
    const run = compile((x: Tensor) => {
      const { retcode } = solve(fixedPointProblem(linear(0.5), x, {}), picard());
      return tf.add(x, retcode === 'Success' ? 1 : 0);
    });
    expect(() => run(u0())).to.throw(TraceError, /solution.retcode is known only when the program runs/);
  });

  it('a solution that is not one, when asked for', () => {
    tf.tidy(() => {
      const { retcode, u } = solve(fixedPointProblem(linear(-1.3), u0(), {}), picard(), { maxIters: 30, throwOnFailure: false });
      expect(retcode).to.equal('MaxIters');
      // The best state is the start: every iteration led away.
      expectClose(u, [0, 0, 0]);
    }); // prettier-ignore
  });

  it('an error frees what the solve had made', () => {
    const before = [tf.memory().numTensors, tf.backend().numDataIds()];
    const start = u0();
    failing(() => solve(fixedPointProblem(linear(3), start, {}), picard()));
    start.dispose();
    expect(tf.memory().numTensors).to.equal(before[0]);
    expect(tf.backend().numDataIds()).to.be.at.most(before[1]);
  });
});
