import * as tf from '@tensorflow/tfjs';
import { registerNullcline } from '/work/main/src/wasm/register.js';
import * as S from '/work/main/solvers/index.js';
import { constant } from '/work/main/src/index.js';
tf.env().set('PROD', true);
registerNullcline();
await tf.setBackend('nullcline64');
for (const [A, b] of [[[[1,0],[0,-1]],[1,2]], [[[1,0,0],[0,-1,0],[0,0,2]],[1,1,1]]] as any) {
const s = S.solve(S.linearProblem(constant(A) as any, constant(b)), S.cg(), {throwOnFailure: false});
console.log(s.retcode, s.iterations, s.u.arraySync());}
