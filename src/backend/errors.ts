/** A backend that is not known, not installed, cannot start on this machine, or has failed while it ran. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
}

/** The first line of what was thrown, which need not be an `Error` (errors of a GPU device are none). */
export function messageOf(error: unknown): string {
  const { message } = (error ?? {}) as { message?: unknown };
  return (typeof message === 'string' ? message : String(error)).split('\n')[0];
}

/** Was it this package that is absent, and not something that it needs in turn? */
export function isAbsent(error: unknown, packageName: string): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return false;
  // 'Cannot find package 'x' imported from ...' as an ES module, 'Cannot find module 'x'' as CommonJS.
  return typeof message === 'string' && message.split('\n')[0].includes(`'${packageName}'`);
}
