/**
 * Bytes of a WebAssembly module: integers as LEB128 (core specification 2.0, section 5.2.2), names, and pieces put together.
 */

export type Piece = readonly number[] | Uint8Array;
/** Bytes in pieces. */
export type Code = readonly Piece[];

export function unsigned(out: number[], n: number): void {
  let rest = n >>> 0;
  while (rest > 0x7f) {
    out.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  out.push(rest);
}

export function signed(out: number[], n: number): void {
  let rest = n | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
      out.push(low);
      return;
    }
    out.push(low | 0x80);
  }
}

export function append(out: number[], more: readonly number[]): void {
  for (const byte of more) out.push(byte);
}

export const lengthOf = (pieces: Code): number => pieces.reduce((n, { length }) => n + length, 0);

export function joined(pieces: Code): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(lengthOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

export function name(out: number[], text: string): void {
  // Our own names: plain ASCII.
  unsigned(out, text.length);
  for (let i = 0; i < text.length; i++) out.push(text.charCodeAt(i));
}
