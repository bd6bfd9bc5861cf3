import * as tf from '@tensorflow/tfjs';
import { registerNullcline } from '/work/main/src/wasm/register.js';
import * as S from '/work/main/solvers/index.js';
import { constant, grad, valueAndGrad } from '/work/main/src/index.js';
tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend(process.env.B ?? 'nullcline64');
const n = 12;
const A = constant(Array.from({length:n},(_, i)=>Array.from({length:n},(_, j)=> i===j? 4 + i*0.1 : 1/(1+Math.abs(i-j)**2) + (i<j?0.3:0))));
const SPD = tf.matMul(A as any, A as any, true, false);
const b = constant(Array.from({length:n},(_, i)=>Math.sin(i+1)));
for (const [name, alg, M] of [['lu', S.lu(), A],['qr', S.qr(), A],['gmres', S.gmres(), A],['gmres5', S.gmres({restart:5}), A],['bicgstab', S.bicgstab(), A],['cg', S.cg(), SPD],['normalCg', S.normalCg(), A],
  ['gmresP', S.gmres({preconditioner: (r)=>tf.div(r, constant(Array.from({length:n},(_, i)=>4+i*0.1)))}), A], ['cgP', S.cg({preconditioner: (r)=>tf.div(r, 20)}), SPD], ['bicgP', S.bicgstab({preconditioner: (r)=>tf.div(r, 4)}), A], ['cg indef', S.cg(), tf.sub(SPD, tf.mul(tf.eye(n), 20))]] as any) {
  for (const op of [false, true]) {
  const prob = op ? S.linearProblem(((x: any, p: any) => tf.reshape(tf.matMul(p, tf.reshape(x,[n,1])),[n])) as any, b, {p: M}) : S.linearProblem(M, b);
  const s = S.solve(prob as any, alg, { throwOnFailure: false, storeTrace: true, maxIters: 200 }) as any;
  const r = tf.norm(tf.sub(tf.reshape(tf.matMul(M, tf.reshape(s.u,[n,1])),[n]), b)).dataSync()[0];
  console.log(name, op, s.retcode, 'it', s.iterations, 'ev', s.evaluations, 'res', r, Array.from(s.trace.dataSync() as any).slice(0, 3));
  }
}
const g = grad((M: any) => tf.sum(tf.square((S.solve(S.linearProblem(M, b), S.gmres()) as any).u)))(A as any) as any;
const h = 1e-6; const f = (d: number) => { const buf = A.arraySync() as number[][]; buf[2][5] += d; const M = constant(buf); return tf.sum(tf.square((S.solve(S.linearProblem(M as any, b), S.lu()) as any).u)).dataSync()[0]; };
console.log((g.arraySync() as any)[2][5], (f(h)-f(-h))/2/h);
for (const [name, alg] of [['bis', S.bisection({bracket:[0,2]})],['brent', S.brent({bracket:[0,2]})]] as any) {
  const s = S.solve(S.nonlinearProblem((u: any)=>tf.sub(tf.cos(u), u), constant(0), {}), alg) as any;
  console.log(name, s.u.dataSync()[0], s.retcode, s.iterations, s.evaluations);
}
try { S.solve(S.nonlinearProblem((u: any)=>tf.add(tf.square(u), 1), constant(0), {}), S.brent({bracket:[0,2]})) } catch (e: any) { console.log(e.message) }
try { S.solve(S.nonlinearProblem((u: any)=>tf.mul(tf.ones([2]), tf.sum(u)), constant([1, 2]), {}), S.newtonRaphson()) } catch (e: any) { console.log(e.message) }
try { S.solve(S.linearProblem(tf.ones([3,3]), tf.tensor1d([1,2,3])), S.lu()) } catch (e: any) { console.log(e.message) }
try { S.solve(S.linearProblem(tf.ones([3,3]), tf.tensor1d([1,2,3])), S.gmres()) } catch (e: any) { console.log(e.message) }
try { S.solve(S.nonlinearProblem((u: any)=>tf.concat([u,u]), constant([1, 2]), {}), S.newtonRaphson()) } catch (e: any) { console.log(e.message) }
try { S.solve(S.nonlinearProblem((u: any)=>tf.square(tf.add(u,3)), constant([1, 2]), {}), S.gmres()) } catch (e: any) { console.log(e.message) }
console.log(tf.memory().numTensors);
