// Loaded before tfjs (mocha --require): makes every float32 tensor of the cpu backend hold doubles. tfjs's kernels
// compute in JavaScript numbers and round only when they store, so this is double precision throughout.
globalThis.NativeFloat32Array = globalThis.Float32Array;
globalThis.Float32Array = globalThis.Float64Array;
