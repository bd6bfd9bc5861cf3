import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { compile, grad } from '../../../src/graph/index.js';
import {
  anderson,
  discreteAdjoint,
  euler,
  odeProblem,
  readStatistics,
  rk4,
  solve,
  SolveError,
  tsit5,
} from '../../../solvers/index.js';
import { expectClose } from '../../support/close.js';

const decay = (u: tf.Tensor): tf.Tensor => tf.neg(u);
const one = (): tf.Tensor => tf.scalar(1);

function thrown(f: () => unknown): Error {
  const before = [tf.memory().numTensors, tf.backend().numDataIds()];
  try {
    tf.tidy(() => {
      f();
    });
  } catch (error) {
    expect([tf.memory().numTensors, tf.backend().numDataIds()], 'nothing is leaked').to.deep.equal(before);
    return error as Error;
  }
  return expect.fail('nothing was thrown');
}

const message = (f: () => unknown): string => thrown(f).message;

describe('solve: bad input', () => {
  const solving =
    (options: object, algorithm = tsit5()) =>
    () =>
      solve(odeProblem(decay, one(), [0, 1], {}), algorithm, options);

  it('names an unknown option and the nearest known one', () => {
    expect(message(solving({ abstl: 1e-6 }))).to.match(/solve.*abstl.*abstol/s);
    expect(message(solving({ saveat: [1] }))).to.match(/saveat.*saveAt/s);
  });

  it('names a bad value, what was given and what was expected', () => {
    expect(message(solving({ reltol: -1 }))).to.match(/reltol.*-1/s);
    expect(message(solving({ abstol: 0, reltol: 0 }))).to.match(/abstol and reltol/);
    expect(message(solving({ maxIters: 1.5 }))).to.match(/maxIters.*1\.5/s);
    expect(message(solving({ dt: 0 }))).to.match(/dt/);
    expect(message(solving({ adjoint: 'backsolve' }))).to.match(/adjoint/);
    expect(message(solving({ controller: { safety: 2 } }))).to.match(/safety/);
    expect(message(() => discreteAdjoint({ keepEvery: 0 }))).to.match(/keepEvery/);
  });

  it('saveAt outside the span, unsorted or empty', () => {
    expect(message(solving({ saveAt: [0.5, 1.5] }))).to.match(/saveAt 1\.5 lies outside the span \[0, 1\]/);
    expect(message(solving({ saveAt: [0.5, 0.2] }))).to.match(/sorted.*saveAt\[1\] = 0\.2 follows 0\.5/);
    expect(message(solving({ saveAt: [] }))).to.match(/saveAt/);
    expect(message(solving({ saveAt: [NaN] }))).to.match(/saveAt/);
    const backwards = (): unknown => solve(odeProblem(decay, one(), [1, 0], {}), tsit5(), { saveAt: [0, 1] });
    expect(message(backwards)).to.match(/direction of integration/);
    const unknownEnd = (): unknown =>
      solve(odeProblem(decay, one(), [0, tf.scalar(1)], {}), tsit5(), { saveAt: [0.5, 2] });
    expect(message(unknownEnd)).to.match(/saveAt 2 lies outside the span/);
    const wrongWay = (): unknown =>
      solve(odeProblem(decay, one(), [tf.scalar(1), tf.scalar(0)], {}), tsit5(), { saveAt: [0.2, 0.5] });
    expect(message(wrongWay)).to.match(/direction of integration/);
  });

  it('a method without error estimate wants dt, and cannot adapt', () => {
    expect(message(solving({}, rk4()))).to.match(/RK4 with fixed steps needs dt/);
    expect(message(solving({ adaptive: true, dt: 0.1 }, euler()))).to.match(/Euler has no error estimate/);
  });

  it('arguments that are no problem, no algorithm, no function, no state, no span', () => {
    expect(message(() => solve({} as never, tsit5()))).to.match(/first argument must be a problem/);
    expect(message(() => solve(odeProblem(decay, one(), [0, 1], {}), {} as never))).to.match(
      /second argument must be an algorithm, such as tsit5\(\), got an object \{\}$/,
    );
    expect(message(() => solve(odeProblem(decay, one(), [0, 1], {}), anderson() as never))).to.match(
      /got anderson, an algorithm for equations$/,
    );
    expect(message(() => solve(odeProblem(decay, one(), [0, 1], {}), tsit5 as never))).to.match(/call it: tsit5\(\)/);
    expect(message(() => odeProblem(3 as never, one(), [0, 1], {}))).to.match(/f must be a function/);
    expect(message(() => odeProblem(decay as never, {}, [0, 1], {}))).to.match(/u0 must be a tensor or a tree/);
    expect(message(() => odeProblem(decay, tf.scalar(1, 'int32'), [0, 1], {}))).to.match(
      /u0 at \(root\) must be float32, got int32/,
    );
    expect(message(() => odeProblem(decay, one(), [0] as never, {}))).to.match(/tspan must be \[t0, t1\]/);
    expect(message(() => odeProblem(decay, one(), [0, NaN], {}))).to.match(/tspan t1 must be a finite number/);
    expect(message(() => odeProblem(decay, one(), [0, tf.ones([2])], {}))).to.match(/tspan t1/);
  });

  it('a state that is not finite, naming the component', () => {
    const bad = (): unknown => solve(odeProblem(decay, tf.tensor2d([[1, 2], [NaN, 4]]), [0, 1], {}), tsit5()); // prettier-ignore
    expect(message(bad)).to.match(/u0 must be finite, but component \[1, 0\] is NaN/);
  });

  it('a right-hand side that is not finite at the start, and an error without a scale', () => {
    const bad = (): unknown =>
      solve(
        odeProblem((u: tf.Tensor, p: tf.Tensor) => tf.mul(p, u), tf.ones([2]), [0, 1], tf.tensor1d([1, NaN])),
        tsit5(),
      );
    expect(message(bad)).to.match(/at t = 0: the right-hand side is not finite there.*component at fault \[1\]/s);
    const noScale = (): unknown => solve(odeProblem(decay, tf.tensor1d([1, 0]), [0, 1], {}), tsit5(), { abstol: 0 });
    expect(message(noScale)).to.match(/abstol is 0 and so is component \[1\] of u0/);
    const compiled = compile((x: tf.Tensor) => solve(odeProblem(decay, x, [0, 1], {}), tsit5()).u);
    tf.tidy(() => {
      expect(() => compiled(tf.tensor1d([1, NaN]))).to.throw(/u0 must be finite, but component \[1\] is NaN/);
    });
  });

  it('a derivative of another shape or structure, naming both', () => {
    const bad = (f: (u: tf.Tensor) => unknown) => () =>
      solve(odeProblem(f as typeof decay, tf.ones([2]), [0, 1], {}), tsit5());
    expect(message(bad(() => tf.ones([3])))).to.match(/u0 is float32 \[2\], f returned float32 \[3\]/);
    expect(message(bad((u) => ({ du: u })))).to.match(
      /same structure as u0, a float32 tensor \[2\], got an object \{du\}/,
    );
    expect(message(bad(async (u) => Promise.resolve(u)))).to.match(/got a Promise/);
    expect(message(bad(() => 1))).to.match(/got 1$/);
    expect(message(() => odeProblem(decay, [1, 2] as never, [0, 1], {}))).to.match(/u0 must be .* got \[1, 2\]/);
    expect(message(() => odeProblem(decay, tf.ones([2]), { t0: 0 } as never, {}))).to.match(
      /tspan .* got an object \{t0\}/,
    );
    expect(message(bad((u) => tf.matMul(u, u)))).to.match(/MatMul/);
  });

  it('reading the traced state inside f', () => {
    const bad = (): unknown =>
      solve(
        odeProblem((u: tf.Tensor) => (u.dataSync()[0] > 0 ? u : tf.neg(u)), one(), [0, 1], {}),
        tsit5(),
      );
    expect(message(bad)).to.match(/traced value was read or branched on/);
  });
});

describe('solve: failures', () => {
  const blowUp = (u: tf.Tensor): tf.Tensor => tf.square(u);

  it('a blow-up says when, where and how far it got', () => {
    const error = thrown(() =>
      solve(odeProblem(blowUp, tf.tensor1d([0.1, 1]), [0, 2], {}), tsit5(), { saveAt: [0.5, 0.9, 1.5] }),
    ) as SolveError;
    expect(error).to.be.instanceOf(SolveError);
    expect(error.retcode).to.equal('Unstable');
    expect(error.time).to.be.closeTo(1, 0.01); // u = 1 / (1 - t)
    expect(error.component).to.deep.equal([1]);
    expect(error.message).to.match(/failed at t = .*grows without bound.*component at fault \[1\]/s);
    expect(error.solution.saved.map(({ t }) => t)).to.deep.equal([0.5, 0.9]);
    expectClose(error.solution.saved[0].u, [1 / (10 - 0.5), 2], { rtol: 1e-2 });
    expect(error.stats.accepted).to.be.above(10);
  });

  it('too many steps', () => {
    const error = thrown(() => solve(odeProblem(decay, one(), [0, 100], {}), tsit5(), { maxIters: 5 })) as SolveError;
    expect(error.retcode).to.equal('MaxIters');
    expect(error.stats.steps).to.equal(5);
    expect(error.message).to.match(/maxIters = 5/);
    expect(error.time).to.be.above(0);
  });

  it('a discontinuity too sharp for the smallest step', () => {
    const jump = (u: tf.Tensor, _: {}, t: tf.Tensor): tf.Tensor =>
      tf.mul(tf.mul(1e3, tf.step(tf.sub(t, 0.5))), tf.onesLike(u));
    const error = thrown(() =>
      solve(odeProblem(jump, one(), [0, 1], {}), tsit5(), { dtMin: 1e-3, reltol: 1e-8, abstol: 1e-8 }),
    ) as SolveError;
    expect(error.retcode).to.equal('DtLessThanMin');
    expect(error.time).to.be.closeTo(0.5, 0.05);
    expect(Math.abs(error.step)).to.be.below(1e-3);
  });

  it('a field that turns NaN', () => {
    // u = 1 - t until the logarithm of what is left stops existing.
    const spent = (u: tf.Tensor): tf.Tensor => tf.sub(tf.mul(0, tf.log(u)), 1);
    const error = thrown(() => solve(odeProblem(spent, one(), [0, 2], {}), tsit5())) as SolveError;
    expect(error.retcode).to.equal('Unstable');
    expect(error.time).to.be.closeTo(1, 1e-3);
    const atOnce = thrown(() =>
      solve(
        odeProblem((u: tf.Tensor) => tf.log(tf.neg(u)), one(), [0, 1], {}),
        tsit5(),
      ),
    ) as SolveError;
    expect(atOnce.retcode).to.equal('Unstable');
    expect(atOnce.time).to.equal(0);
  });

  it('fixed steps that overflow name the step at which they did', () => {
    const error = thrown(() =>
      solve(
        odeProblem((u: tf.Tensor) => tf.mul(50, tf.square(u)), tf.tensor1d([0, 1]), [0, 1], {}),
        rk4(),
        { dt: 0.05 },
      ),
    ) as SolveError;
    expect(error.retcode).to.equal('Unstable');
    expect(error.component).to.deep.equal([1]);
    expect(error.time).to.be.within(0.05, 0.5);
  });

  it('throwOnFailure: false returns what there is, with its retcode and NaN for the rest', () => {
    tf.tidy(() => {
      const { u, retcode, stats } = solve(odeProblem(decay, one(), [0, 100], {}), tsit5(), {
        maxIters: 8,
        throwOnFailure: false,
        saveAt: [0, 0.1, 99],
      });
      expect(retcode).to.equal('MaxIters');
      expect(stats.steps).to.equal(8);
      const rows = u.dataSync();
      expect(rows[0]).to.equal(1);
      expect(rows[1]).to.be.closeTo(Math.exp(-0.1), 1e-3);
      expect(rows[2]).to.be.NaN;
    });
  });

  it('inside compile the same error arrives when the program runs, and nothing is leaked', () => {
    const f = compile(grad((x: tf.Tensor) => tf.sum(solve(odeProblem(blowUp, x, [0, 2], {}), tsit5()).u)));
    tf.tidy(() => {
      expectClose(f(tf.scalar(0.2)), 1 / 0.6 ** 2, { rtol: 1e-3 }); // d/dx of x / (1 - 2 x)
    });
    const x = tf.scalar(1);
    expect(() => f(x)).to.throw(SolveError); // the first failure prepares the programs that explain it
    const error = thrown(() => f(x)) as SolveError;
    expect(error.retcode).to.equal('Unstable');
    x.dispose();
  });

  it('inside compile stats are read from the statistics tensor, and reading them early is an error', () => {
    const f = compile((x: tf.Tensor) => {
      const solution = solve(odeProblem(decay, x, [0, 1], {}), tsit5());
      expect(() => solution.stats).to.throw(/known only when the program runs/);
      expect(() => solution.retcode).to.throw(/solution\.statistics/);
      expect(solution.t).to.deep.equal([1]);
      return [solution.u, solution.statistics] as const;
    });
    tf.tidy(() => {
      const [, statistics] = f(one());
      const { stats } = solve(odeProblem(decay, one(), [0, 1], {}), tsit5());
      const { steps, accepted, rejected, evaluations } = stats;
      expect(readStatistics(statistics)).to.deep.equal({ steps, accepted, rejected, evaluations, retcode: 'Success' });
      expect(readStatistics(statistics.dataSync()), 'its values').to.deep.equal(readStatistics(statistics));
    });
  });

  it('the second derivative in an end time is refused by name', () => {
    const f = (t1: tf.Tensor): tf.Tensor => tf.sum(solve(odeProblem(decay, one(), [0, t1], {}), rk4(), { dt: 0.1 }).u);
    expect(message(() => grad(grad(f))(one()))).to.match(/second derivatives in them are not available/);
  });
});
