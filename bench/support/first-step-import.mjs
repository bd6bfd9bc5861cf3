// The part of tfjs that the program itself uses is named on the command line.
import * as nullcline from 'nullcline';
import * as models from 'nullcline/models';
import * as solvers from 'nullcline/solvers';
import firstStep from './first-step.cjs';

const tf = await import(process.argv[2]);
await firstStep(tf, nullcline, models, solvers, performance.now());
