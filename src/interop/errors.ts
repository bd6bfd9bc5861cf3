/** A model or weights of another library that have no counterpart here, or do not fit. */
export class InteropError extends Error {
  override readonly name = 'InteropError';
}
