export { BackendError, useBackend, type BackendName, type BackendOptions } from './use-backend.js';
