import * as tf from '@tensorflow/tfjs';
import '/work/main/test/support/precision.js';
import { registerNullcline } from '/work/main/src/wasm/register.js';
import { LIBRARY } from '/work/main/test/reference/nonlinear-library.js';
import { nonlinearProblem } from '/work/main/solvers/nonlinear/problem.js';
import { solveNonlinear } from '/work/main/solvers/nonlinear/solve.js';
import { constant } from '/work/main/src/core/constant.js';
tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend(process.env.B ?? 'nullcline64');
const mods = process.argv.slice(2);
for (const spec of mods) {
  const k = spec.indexOf(':'); const [file, expr] = [spec.slice(0, k), spec.slice(k + 1)];
  const m = await import('/work/main/solvers/' + file + '.js');
  const alg = new Function('m', 'return m.' + expr)(m);
  const fails = [];
  const t0 = performance.now();
  let out = '';
  for (const { number, f, start, root } of LIBRARY) {
    try {
      const s = solveNonlinear(nonlinearProblem((u: any) => f(u), constant(start as number[]) as any, {}), alg, { throwOnFailure: false, maxIters: 10000, ...(process.env.O ? JSON.parse(process.env.O) : {}) });
      const r = Math.max(...Array.from(f(s.u as any).dataSync()).map(Math.abs));
      out += `  ${number}: ${s.retcode} it ${s.iterations} ev ${s.evaluations} res ${r.toExponential(1)}\n`;
      if (!(r <= 1e-4)) fails.push(number);
    } catch (e: any) { out += `  ${number}: ERR ${e.stack.split('\n').slice(0,6).join(' | ')}\n`; fails.push(number); }
  }
  console.log(expr, 'fails', fails.join(' '), Math.round(performance.now() - t0) + 'ms');
  if (process.env.V) console.log(out);
}
