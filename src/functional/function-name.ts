/** The name of a function as it prints; tfjs calls its own `tanh__op`. Empty for a function without one. */
export function functionName(f: { readonly name: string }): string {
  return f.name.replace(/__op$/, '');
}
