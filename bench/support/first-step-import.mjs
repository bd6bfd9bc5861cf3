import * as tf from '@tensorflow/tfjs';
import * as nullcline from 'nullcline';
import * as models from 'nullcline/models';
import * as solvers from 'nullcline/solvers';
import firstStep from './first-step.cjs';

await firstStep(tf, nullcline, models, solvers, performance.now());
