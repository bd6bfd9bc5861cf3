import '../../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { anderson, broyden, bs3, limitedMemoryBroyden, picard, reversible, solve, solveAsync, squarem, steadyState } from '../../../solvers/index.js'; // prettier-ignore
import { compile, disposeTree, grad, type Tensor } from '../../../src/index.js';
import { expectClose } from '../../support/close.js';
import { testBackend } from '../../support/backend.js';
import { tolerance } from '../../support/precision.js';
import { f2, F2_SOLUTION } from './problems.js';

/** tfjs's cpu backend, made to look like one whose values come as promises only. */
describe('equations on a backend whose numbers must be waited for', () => {
  const marks = ['device', 'queue'] as const;
  const tight = { norm: 'l2', abstol: tolerance({ float32: 2e-6, float64: 1e-10 }), reltol: 0 } as const;

  beforeEach(function () {
    if (testBackend !== 'cpu') this.skip();
    for (const mark of marks) Object.defineProperty(tf.backend(), mark, { value: {}, configurable: true });
  });
  afterEach(() => {
    for (const mark of marks) Reflect.deleteProperty(tf.backend(), mark);
  });

  it('every algorithm waits, and finds the same', async () => {
    const problem = f2(0.4);
    for (const algorithm of [picard(), anderson(), broyden(), limitedMemoryBroyden(), squarem(), reversible(), steadyState(bs3())]) {
      const run = compile((w: Tensor, b: Tensor) => {
        const { u, residual } = solve({ ...problem, p: { w, b } }, algorithm, tight);
        return { u, residual };
      });
      const result = await run.async(problem.p.w, problem.p.b);
      expectClose(await result.u.data(), F2_SOLUTION, { atol: 10 * tight.abstol }, algorithm.name);
      disposeTree(result);
    }
  }); // prettier-ignore

  it('gradients wait, too', async () => {
    const problem = f2(0.4);
    const run = compile(
      grad((b: Tensor) => tf.sum(solve({ ...problem, p: { ...problem.p, b } }, anderson(), tight).u)),
    );
    const g = await run.async(problem.p.b);
    for (const mark of marks) Reflect.deleteProperty(tf.backend(), mark);
    const expected = grad((b: Tensor) => tf.sum(solve({ ...problem, p: { ...problem.p, b } }, anderson(), tight).u))(problem.p.b); // prettier-ignore
    expectClose(g, expected, { rtol: tolerance({ float32: 1e-4, float64: 1e-9 }) });
  });

  it('solveAsync gives the whole solution', async () => {
    for (const options of [tight, { ...tight, storeTrace: true }]) {
      const problem = f2(0.4);
      const { u, retcode, iterations, evaluations, samples, residual, trace, statistics } = await solveAsync(problem, anderson(), options); // prettier-ignore
      expect(retcode).to.equal('Success');
      expect(evaluations).to.equal(iterations + 1);
      expect(samples).to.have.length(1);
      expect(samples[0].residual).to.equal((await residual.data())[0]);
      expectClose(await u.data(), F2_SOLUTION, { atol: 10 * tight.abstol });
      expect(trace === undefined).to.equal(options === tight);
      disposeTree([u, residual, statistics, ...(trace === undefined ? [] : [trace])]);
    }
  });

  it('without waiting it says what to do', () => {
    expect(() => solve(f2(0.4), anderson(), tight)).to.throw(/Wait for them: solveAsync\(\.\.\.\), compile\(f\)/);
  });
});
