export { neuralODE, type NeuralOdeOptions, type NeuralOdeState } from './neural-ode.js';
