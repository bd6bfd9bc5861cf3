const tf = require('@tensorflow/tfjs');
const modules = ['nullcline', 'nullcline/models', 'nullcline/solvers'].map((name) => require(name));
require('./first-step.cjs')(tf, ...modules, performance.now());
