/**
 * What this package uses of Node, and can do without in a browser: built-in modules on demand, without an import that a
 * bundler would follow.
 */

interface HostProcess {
  readonly getBuiltinModule?: (name: string) => unknown;
  readonly platform?: string;
  readonly version?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export const hostProcess = (): HostProcess => (globalThis as { process?: HostProcess }).process ?? {};

/** A module of Node's own (the very object that `require` gives), or undefined elsewhere. */
export const builtin = (name: string): unknown => hostProcess().getBuiltinModule?.(name);

/** Threads that this machine runs at the same time; one outside Node, where there are no worker threads to be waited for. */
export function availableThreads(): number {
  const os = builtin('os') as { availableParallelism(): number } | undefined;
  return os?.availableParallelism() ?? 1;
}
