// The part of tfjs that the program itself uses is named on the command line.
const tf = require(process.argv[2]);
const modules = ['nullcline', 'nullcline/models', 'nullcline/solvers'].map((name) => require(name));
require('./first-step.cjs')(tf, ...modules, performance.now());
