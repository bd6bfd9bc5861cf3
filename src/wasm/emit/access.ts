/**
 * Elements in memory and in lanes. Floats have 4 or 8 bytes, integers 4 and booleans 1. In a vector of L lanes a float
 * fills its lane, a boolean is a mask as wide as a float, and integers stand in the low 32-bit lanes.
 */
import { i32, i32add, V128, type Body, type Expr } from './assembler.js';
import { BITS, INTS, shuffle, type Lanes } from './lanes.js';

export type Kind = 'float' | 'int' | 'bool';

export const bytesOfKind = (L: Lanes, kind: Kind): number => (kind === 'float' ? L.bytes : kind === 'int' ? 4 : 1);

const op =
  (code: number, x: Expr): Expr =>
  (b) => {
    x(b);
    b.simd(code);
  };

const ZERO = INTS.const(0);
const ONE_BYTES: Expr = INTS.const(0x01010101);

/** The low 32-bit halves of two 64-bit lanes, next to each other. */
export const narrowMask = (x: Expr): Expr => shuffle(x, x, [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
/** A mask of 32-bit lanes as wide as a float. */
export const widenMask = (L: Lanes, x: Expr): Expr => (L.bits === 32 ? x : op(199, x));

/** Bytes in the low lanes to a mask of floats. */
function maskOfBytes(L: Lanes, bytes: Expr): Expr {
  const words = op(169, op(137, bytes));
  const mask = INTS.ne(words, ZERO);
  return widenMask(L, mask);
}

/** A mask of floats to bytes 0 or 1 in the low lanes. */
function bytesOfMask(L: Lanes, mask: Expr): Expr {
  const bytes = L.bits === 32 ? shuffle(mask, mask, [0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) : shuffle(mask, mask, [0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // prettier-ignore
  return BITS.and(bytes, ONE_BYTES);
}

const laneLoad: Readonly<Record<number, number>> = { 1: 84, 4: 86, 8: 87 };
const laneStore: Readonly<Record<number, number>> = { 1: 88, 4: 90, 8: 91 };
/** Of so many bytes from the first lane on, by one instruction. */
const wholeLoad: Readonly<Record<number, number | undefined>> = { 4: 92, 8: 93, 16: 0 };
const wholeStore: Readonly<Record<number, number | undefined>> = { 2: 89, 4: 90, 8: 91, 16: 11 };
const splatLoad: Readonly<Record<number, number>> = { 1: 7, 4: 9, 8: 10 };

/** How the lanes lie: `count` elements, `stride` elements apart; stride 0 is one element for all lanes. */
export interface Layout {
  readonly count: number;
  readonly stride: number;
}

export function load(L: Lanes, kind: Kind, address: Expr, offset: number, layout: Layout): Expr {
  // An instruction holds no negative offset.
  if (offset < 0) return load(L, kind, i32add(address, i32(offset)), 0, layout);
  const { count, stride } = layout;
  const size = bytesOfKind(L, kind);
  const whole = wholeLoad[size * count];
  const raw: Expr = (b) => {
    if (stride === 0) {
      address(b);
      b.simd(splatLoad[size]);
      b.memory(offset);
    } else if (stride === 1 && whole !== undefined) {
      address(b);
      b.simd(whole);
      b.memory(offset);
    } else {
      gather(b, address, offset, size, stride, count);
    }
  };
  return kind === 'bool' ? maskOfBytes(L, raw) : raw;
}

/** Lane after lane. An address below the offset's base (a negative stride) is added up, never wrapped. */
function gather(b: Body, address: Expr, offset: number, size: number, stride: number, count: number): void {
  const vector = b.local(V128);
  b.set(vector, ZERO);
  for (let lane = 0; lane < count; lane++) {
    b.set(vector, (c) => {
      at(c, address, offset + lane * stride * size, (rest) => {
        c.get(vector);
        c.simd(laneLoad[size]);
        c.memory(rest);
        c.plain(lane);
      });
    });
  }
  b.get(vector);
}

/** Push the address and go on with what is left of the offset, which an instruction cannot hold when it is negative. */
function at(b: Body, address: Expr, offset: number, use: (rest: number) => void): void {
  if (offset < 0) i32add(address, i32(offset))(b);
  else address(b);
  use(Math.max(offset, 0));
}

export function store(
  b: Body,
  L: Lanes,
  kind: Kind,
  address: Expr,
  offset: number,
  { count, stride }: Layout,
  value: Expr,
): void {
  const size = bytesOfKind(L, kind);
  const bits = kind === 'bool' ? bytesOfMask(L, value) : value;
  const whole = wholeStore[size * count];
  if (stride === 1 && whole !== undefined) {
    address(b);
    bits(b);
    b.simd(whole);
    b.memory(offset);
    if (size * count !== 16) b.plain(0);
    return;
  }
  const vector = b.vector(bits);
  for (let lane = 0; lane < count; lane++) {
    at(b, address, offset + lane * stride * size, (rest) => {
      vector(b);
      b.simd(laneStore[size]);
      b.memory(rest);
      b.plain(lane);
    });
  }
}
