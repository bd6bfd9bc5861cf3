import * as tf from '@tensorflow/tfjs';
import { registerNullcline } from '/work/main/src/wasm/register.js';
import * as S from '/work/main/solvers/index.js';
import { constant, compile } from '/work/main/src/index.js';
tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('nullcline');
for (const d of [32, 128]) {
const A = constant(Array.from({length:d},(_, i)=>Array.from({length:d},(_, j)=> i===j? 2 : Math.cos(1+3*i+5*j+i*j)*0.5/Math.sqrt(d)))) as tf.Tensor2D;
const b = constant(Array.from({length:d},(_, i)=>Math.sin(i+1)));
for (const [name, alg] of [['gmres', S.gmres()],['bicgstab', S.bicgstab()],['lu', S.lu()]] as any) {
  let its = 0;
  const run = compile((M: tf.Tensor2D, r: tf.Tensor) => { const s = S.solve(S.linearProblem(M, r), alg, { reltol: 1e-5, abstol: 0 }) as any; return [s.u, s.statistics] as const; });
  const once = () => tf.tidy(() => run(A, b));
  its = tf.tidy(() => run(A, b)[1].dataSync()[0]);
  for (let i = 0; i < 300; i++) once();
  const N = 1000; let best = 1e9;
  for (let r = 0; r < 5; r++) { const t0 = performance.now(); for (let i = 0; i < N/5; i++) once(); best = Math.min(best, (performance.now() - t0) / (N/5) * 1000); }
  console.log(d, name, 'its', its, best.toFixed(1), 'us', (best / its).toFixed(2), 'us/it');
}
const f = (u: tf.Tensor, M: any) => tf.sub(tf.tanh(tf.add(tf.reshape(tf.matMul(M, tf.reshape(u, [d,1])), [d]), b)), tf.mul(3, u));
for (const [name, alg] of [['newtonKrylov', S.newtonKrylov()],['newtonRaphson', S.newtonRaphson()], ['robust', S.robustMultiNewton()], ['dfSane', S.dfSane()]] as any) {
  const run = compile((M: tf.Tensor2D) => { const s = S.solve(S.nonlinearProblem(f as any, tf.zeros([d]) as any, M as any), alg, { reltol: 1e-5, abstol: 1e-6 }) as any; return [s.u, s.statistics] as const; });
  const once = () => tf.tidy(() => run(A));
  const st = Array.from(tf.tidy(() => run(A)[1].dataSync()));
  for (let i = 0; i < 100; i++) once();
  let best = 1e9;
  for (let r = 0; r < 5; r++) { const t0 = performance.now(); for (let i = 0; i < 50; i++) once(); best = Math.min(best, (performance.now() - t0) / 50 * 1000); }
  console.log(d, name, st.join(','), best.toFixed(1), 'us');
}}
