// The optional peers may be absent; what matters of them is that loading registers a backend.
declare module '@tensorflow/tfjs-node';
declare module '@tensorflow/tfjs-node-gpu';
