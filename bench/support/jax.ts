/**
 * The peer `@jax-js/jax`, loaded where it is installed.
 */
type Jax = typeof import('@jax-js/jax');

/** On WebAssembly; undefined, and said so, where it is absent or does not start. */
export async function loadJax(): Promise<Jax | undefined> {
  // It names this class when it is loaded, and Node has it only from version 24 on.
  const globals = globalThis as { Float16Array?: unknown };
  globals.Float16Array ??= Uint16Array; // never used: all arrays are single or double
  try {
    const jax = await import('@jax-js/jax');
    await jax.init('wasm');
    jax.defaultDevice('wasm');
    return jax;
  } catch (error) {
    console.log(`@jax-js/jax is absent: ${String(error)}`);
    return undefined;
  }
}
