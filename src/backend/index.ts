export { BackendError } from './errors.js';
export type { BackendName } from './providers.js';
export { readsSynchronously } from './reading.js';
export { backendReport, type BackendReport, type BackendStatus } from './report.js';
export { useBackend, type BackendOptions } from './use-backend.js';
