// The optional peers may be absent; what matters of them is that loading registers a backend, or the few names declared where they are used.
declare module '@tensorflow/tfjs-node';
declare module '@tensorflow/tfjs-node-gpu';
declare module 'webgpu';
