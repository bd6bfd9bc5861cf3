// Three steps of training, as a user of the installed package would write them. scripts/check-package.js compiles and
// runs this one text as an ES module, as CommonJS and as tslab cells (the lines `// %%` part them).
import * as tf from '@tensorflow/tfjs';
import { adam, chain, dense, key, setup, valueAndGrad } from 'nullcline';
import { neuralODE } from 'nullcline/models';
import { tsit5 } from 'nullcline/solvers';

// %%
const model = chain(
  dense(2, 8, 'tanh'),
  neuralODE(dense(8, 8, 'tanh'), { tspan: [0, 1], algorithm: tsit5(), reltol: 1e-4, abstol: 1e-4 }),
  dense(8, 1),
);
const x = tf.tensor2d([
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
]);
const y = tf.tensor2d([[0], [1], [1], [0]]);

// %%
let [ps, st] = setup(key(0), model);
const optimiser = adam(0.05);
let os = optimiser.init(ps);
const lossAndGrad = valueAndGrad((p: typeof ps) => {
  const [prediction] = model.apply(x, p, st);
  return tf.losses.meanSquaredError(y, prediction).asScalar();
});

// %%
const losses: number[] = [];
for (let step = 0; step < 3; step++) {
  const { value, grad } = lossAndGrad(ps);
  losses.push(value.dataSync()[0]);
  [ps, os] = optimiser.update(grad, os, ps);
}
if (!losses.every((loss, i) => i === 0 || loss < losses[i - 1])) {
  throw new Error(`the loss did not fall: ${losses.join(', ')}`);
}
console.log(`losses ${losses.map((loss) => loss.toFixed(6)).join(' ')}`);
