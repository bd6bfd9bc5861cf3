/**
 * Vector instructions by what they do, for four floats of 32 bits or two of 64: the template parameter of every kernel.
 * Opcodes: WebAssembly core specification 2.0, section 5.4.8.
 */
import type { Expr } from './assembler.js';

export type Unary = (x: Expr) => Expr;
export type Binary = (x: Expr, y: Expr) => Expr;

const unary =
  (opcode: number): Unary =>
  (x) =>
  (b) => {
    x(b);
    b.simd(opcode);
  };

const binary =
  (opcode: number): Binary =>
  (x, y) =>
  (b) => {
    x(b);
    y(b);
    b.simd(opcode);
  };

const shift =
  (opcode: number) =>
  (x: Expr, count: number): Expr =>
  (b) => {
    x(b);
    b.plain(0x41, count);
    b.simd(opcode);
  };

/**
 * Does the engine know the relaxed vector instructions (core specification 3.0; V8 from 11.4 on, so not Node 20)? Asked
 * once, with a function that multiplies and adds.
 */
export const hasRelaxedSimd: boolean = WebAssembly.validate(
  Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 8, 1, 0x60, 3, 0x7b, 0x7b, 0x7b, 1, 0x7b],
    ...[3, 2, 1, 0],
    ...[10, 13, 1, 11, 0, 0x20, 0, 0x20, 1, 0x20, 2, 0xfd, 0x85, 0x02, 0x0b],
  ),
);

/** x y + z, rounded once where the engine can, twice otherwise. */
const mulAdd =
  (relaxed: number, mul: Binary, add: Binary) =>
  (x: Expr, y: Expr, z: Expr): Expr =>
    hasRelaxedSimd
      ? (b) => {
          x(b);
          y(b);
          z(b);
          b.simd(relaxed);
        }
      : add(z, mul(x, y));

/** The sixteen bytes of a constant. */
function vectorConst(bytes: Uint8Array): Expr {
  return (b) => {
    b.bytes.push(0xfd, 12, ...bytes);
  };
}

const Singles = (globalThis as { NativeFloat32Array?: Float32ArrayConstructor }).NativeFloat32Array ?? Float32Array;
const bytesOf = (array: Float32Array | Float64Array | Int32Array | BigInt64Array): Uint8Array =>
  new Uint8Array(array.buffer);

/** Operations that do not depend on the width. */
export const BITS = {
  not: unary(77),
  and: binary(78),
  /** x and not y */
  andnot: binary(79),
  or: binary(80),
  xor: binary(81),
  /** Bits of x where the mask is set, of y elsewhere. */
  select:
    (x: Expr, y: Expr, mask: Expr): Expr =>
    (b) => {
      x(b);
      y(b);
      mask(b);
      b.simd(82);
    },
} as const;

export const shuffle =
  (x: Expr, y: Expr, lanes: readonly number[]): Expr =>
  (b) => {
    x(b);
    y(b);
    b.simd(13);
    b.plain(...lanes);
  };

export const INTS = {
  const: (n: number): Expr => vectorConst(bytesOf(new Int32Array(4).fill(n))),
  splat: unary(17),
  add: binary(174),
  sub: binary(177),
  mul: binary(181),
  min: binary(182),
  max: binary(184),
  abs: unary(160),
  neg: unary(161),
  eq: binary(55),
  ne: binary(56),
  lt: binary(57),
  gt: binary(59),
  le: binary(61),
  ge: binary(63),
} as const;

function lanes32() {
  return {
    bits: 32 as 32 | 64,
    count: 4,
    bytes: 4,
    const: (x: number): Expr => vectorConst(bytesOf(new Singles(4).fill(x))),
    /** The same bits in every lane. */
    constBits: (x: bigint): Expr => vectorConst(bytesOf(new Int32Array(4).fill(Number(BigInt.asIntN(32, x))))),
    splat: unary(19),
    add: binary(228),
    sub: binary(229),
    mul: binary(230),
    mulAdd: mulAdd(0x105, binary(230), binary(228)),
    div: binary(231),
    min: binary(232),
    max: binary(233),
    /** y < x ? y : x */
    pmin: binary(234),
    /** x < y ? y : x */
    pmax: binary(235),
    abs: unary(224),
    neg: unary(225),
    sqrt: unary(227),
    ceil: unary(103),
    floor: unary(104),
    trunc: unary(105),
    nearest: unary(106),
    eq: binary(65),
    ne: binary(66),
    lt: binary(67),
    gt: binary(68),
    le: binary(69),
    ge: binary(70),
    intAdd: binary(174),
    intSub: binary(177),
    shl: shift(171),
    shrSigned: shift(172),
    shr: shift(173),
    /** From the integers of the low lanes. */
    fromInt: unary(250),
    /** Towards zero; what does not fit saturates. */
    toInt: unary(248),
  };
}

export type Lanes = ReturnType<typeof lanes32>;

function lanes64(): Lanes {
  return {
    bits: 64,
    count: 2,
    bytes: 8,
    const: (x) => vectorConst(bytesOf(new Float64Array(2).fill(x))),
    constBits: (x) => vectorConst(bytesOf(new BigInt64Array(2).fill(BigInt.asIntN(64, x)))),
    splat: unary(20),
    add: binary(240),
    sub: binary(241),
    mul: binary(242),
    mulAdd: mulAdd(0x107, binary(242), binary(240)),
    div: binary(243),
    min: binary(244),
    max: binary(245),
    pmin: binary(246),
    pmax: binary(247),
    abs: unary(236),
    neg: unary(237),
    sqrt: unary(239),
    ceil: unary(116),
    floor: unary(117),
    trunc: unary(122),
    nearest: unary(148),
    eq: binary(71),
    ne: binary(72),
    lt: binary(73),
    gt: binary(74),
    le: binary(75),
    ge: binary(76),
    intAdd: binary(206),
    intSub: binary(209),
    shl: shift(203),
    shrSigned: shift(204),
    shr: shift(205),
    fromInt: unary(254),
    toInt: unary(252),
  };
}

export const F32X4: Lanes = lanes32();
export const F64X2: Lanes = lanes64();

/** The low two of four singles as doubles, and back (the high half zero). */
export const promoteLow = unary(95);
export const demote = unary(94);

export const extractLane =
  (L: Lanes, x: Expr, lane: number): Expr =>
  (b) => {
    x(b);
    b.simd(L.bits === 32 ? 31 : 33);
    b.plain(lane);
  };

export const replaceLane =
  (L: Lanes, x: Expr, lane: number, value: Expr): Expr =>
  (b) => {
    x(b);
    value(b);
    b.simd(L.bits === 32 ? 32 : 34);
    b.plain(lane);
  };
