/** Which of the two test runs this is: tfjs as it is, or tfjs with doubles in its float32 tensors (float64.cjs). */
export const isFloat64 = (globalThis.Float32Array as unknown) === globalThis.Float64Array;

/** The tolerance for this run's precision. */
export const tolerance = (of: { float32: number; float64: number }): number => (isFloat64 ? of.float64 : of.float32);
