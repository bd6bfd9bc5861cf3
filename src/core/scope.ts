/**
 * Where in the model the program is: the stack of layer names that containers push while they apply a child. Traced
 * operations remember it, so that an error can name the layer.
 */
let path: readonly string[] = [];

/** Run `f` with `name` pushed on the path. */
export function inScope<T>(name: string, f: () => T): T {
  return atScope([...path, name], f);
}

/** Run `f` as if inside the layer of that path: a derivative belongs where its operation does. */
export function atScope<T>(scope: readonly string[], f: () => T): T {
  const outer = path;
  path = scope;
  try {
    return f();
  } finally {
    path = outer;
  }
}

/** `layer2.dense`, or the empty string outside any layer. */
export function currentScope(): string {
  return path.join('.');
}

/** ` (in layer layer2.dense)`, or nothing outside any layer: for the end of an error message. */
export function scopeNote(scope: string = currentScope()): string {
  return scope === '' ? '' : ` (in layer ${scope})`;
}

/** Run `f`; an error that does not say where in the model it happened, such as one of tfjs, says so from here on. */
export function located<T>(f: () => T): T {
  try {
    return f();
  } catch (error) {
    // A DOMException's message, for one, cannot be changed.
    const open = error instanceof Error && Object.getOwnPropertyDescriptor(error, 'message')?.writable === true;
    if (open && !error.message.includes(' (in layer ')) {
      const { message, stack } = error;
      error.message = message + scopeNote();
      // What an uncaught error prints is its stack, which begins with the message as it was.
      if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
    }
    throw error;
  }
}
