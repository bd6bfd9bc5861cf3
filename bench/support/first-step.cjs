/** The first training step of the spiral network in a fresh process; called with the modules by first-step-*. */
module.exports = async function firstStep(
  tf,
  { chain, dense, key, mae, rmsProp, setup, singleTrainStep, trainState, useBackend },
  { neuralODE },
  { dopri5 },
  loaded,
) {
  await useBackend('nullcline');
  const times = Array.from({ length: 10 }, (_, i) => (i * 25) / 999);
  const field = chain((y) => tf.mul(y, tf.square(y)), dense(2, 50, 'tanh'), dense(50, 2));
  const model = neuralODE(field, {
    tspan: [0, times[9]],
    saveAt: times,
    algorithm: dopri5(),
    reltol: 1e-3,
    abstol: 1e-6,
  });
  const [ps, st] = setup(key(1), model);
  const data = {
    x: tf.randomUniform([20, 2], -2, 2, 'float32', 1),
    y: tf.randomUniform([10, 20, 2], -2, 2, 'float32', 2),
  };
  const objective = (m, p, s, { x, y }) => {
    const [found, next] = m.apply(x, p, s);
    return [mae(found, y), next, {}];
  };
  const state = trainState(model, ps, st, rmsProp(1e-3));
  const begin = performance.now();
  singleTrainStep(objective, data, state).loss.dataSync();
  const end = performance.now();
  console.log(JSON.stringify({ loaded_ms: loaded, first_step_ms: end - begin, since_start_ms: end }));
};
