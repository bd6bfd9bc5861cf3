export { compile, type Compiled, type CompileOptions, type CompileStats } from './compile.js';
export { DifferentiationError } from './differentiate.js';
export { explain } from './explain.js';
export { ExecutionError } from './kernels.js';
export { f32, f64 } from './precision.js';
export { scan, type ScanOptions } from './scan.js';
export { TraceError } from './trace.js';
export {
  grad,
  GradientError,
  hvp,
  jacobian,
  jvp,
  stopGradient,
  valueAndGrad,
  vjp,
  type GradOptions,
} from './transform.js';
