// Loaded before tfjs (mocha --require): makes every float32 tensor of the cpu backend hold doubles. tfjs's kernels
// compute in JavaScript numbers and round only when they store, so this is double precision throughout.
globalThis.NativeFloat32Array = globalThis.Float32Array;
globalThis.Float32Array = globalThis.Float64Array;
// tfjs asks Node, not the constructor, whether an array is typed.
const { types } = require('node:util');
const isFloat32Array = types.isFloat32Array;
Object.defineProperty(types, 'isFloat32Array', { value: (x) => isFloat32Array(x) || types.isFloat64Array(x) });
