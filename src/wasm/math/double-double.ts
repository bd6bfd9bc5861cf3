/**
 * Exact products of doubles without a fused multiply-add, by splitting each into two halves whose products fit a double
 * (T. J. Dekker, A floating-point technique for extending the available precision, Numerische Mathematik 18, 1971).
 */
import type { Body, Expr } from '../emit/assembler.js';
import { BITS, F64X2 as L } from '../emit/lanes.js';

const HEAD = L.constBits(-1n << 27n);

/** The upper 26 bits of the significand. The product of two heads has 52 bits, and is exact. */
export const headOf = (x: Expr): Expr => BITS.and(x, HEAD);

/** A number as head + tail, the head of 26 bits. */
export interface Split {
  readonly head: Expr;
  readonly tail: Expr;
}

export function split(b: Body, x: Expr): Split {
  const head = b.vector(headOf(x));
  return { head, tail: b.vector(L.sub(x, head)) };
}

/** head + tail again with a head of 26 bits, where the tail is less than the head. */
export function renormalised(b: Body, { head, tail }: Split): Split {
  const sum = b.vector(headOf(L.add(head, tail)));
  return { head: sum, tail: b.vector(L.sub(tail, L.sub(sum, head))) };
}

/** What rounding took from the product of the two: exact where their tails have 52 bits together. */
export function productError(x: Split, y: Split, product: Expr): Expr {
  const heads = L.sub(product, L.mul(x.head, y.head));
  const crossed = L.sub(L.sub(heads, L.mul(x.tail, y.head)), L.mul(x.head, y.tail));
  return L.sub(L.mul(x.tail, y.tail), crossed);
}

/** A constant in two parts; `rest` is what its double lacks. */
export function splitConstant(value: number, rest = 0): Split & { readonly whole: Expr } {
  const bits = new BigInt64Array(Float64Array.of(value).buffer);
  bits[0] &= -1n << 27n;
  const [head] = new Float64Array(bits.buffer);
  return { head: L.const(head), tail: L.const(value - head + rest), whole: L.const(value) };
}
